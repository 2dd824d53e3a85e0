//! A gateway that has proved itself and then says anything in a login with EAP-AnyConnect: packets with their length, 16 bits,
//! before each. Whatever it asks, the password goes out only in an answer to a form, and the login ends within its rounds.

use ikeep::crypto::Secret;
use ikeep::ike::eap::{AnyConnect, Device, InputKind, LoginParams, MAX_ROUNDS, Step};

const PASSWORD: &[u8] = b"unguessable";

fn login() -> AnyConnect {
    let text = || "x".to_owned();
    let device = Device {
        version: text(),
        computer_name: text(),
        device_type: text(),
        platform_version: text(),
        unique_id: text(),
        unique_id_global: text(),
    };
    AnyConnect::new(LoginParams { device, group_access: None, own: None, scans: true })
}

/// One input.
pub(crate) fn check(data: &[u8]) {
    let (mut login, mut rest, mut over, mut replies) = (login(), data, false, 0);
    while let [high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (packet, next) = after.split_at(length.min(after.len()));
        rest = next;
        let step = login.handle(packet);
        assert!(!over || step.is_err(), "something after the end");
        let (reply, typed) = match step {
            Ok(Step::Reply(reply)) => (reply, false),
            Ok(Step::Ask(form)) => {
                let answers = form.inputs.iter().map(|input| match &input.kind {
                    InputKind::Select(options) => (input.name.clone(), Secret::from(options[0].0.as_bytes())),
                    _ => (input.name.clone(), Secret::from(PASSWORD)),
                });
                (login.answer(&answers.collect()).expect("good answers"), true)
            }
            Ok(Step::Scan(_)) => match login.scanned(Ok("token".to_owned())) {
                Ok(Step::Reply(reply)) => (reply, false),
                Ok(_) => break,
                Err(_) => {
                    over = true;
                    continue;
                }
            },
            Ok(Step::Sign(_)) => panic!("there is no certificate"),
            Ok(Step::Success) | Err(_) => {
                over = true;
                continue;
            }
        };
        replies += 1;
        assert!(replies <= MAX_ROUNDS);
        assert_eq!((reply[0], reply[1]), (2, packet[1]), "the response to this request");
        assert_eq!(usize::from(u16::from_be_bytes([reply[2], reply[3]])), reply.len());
        assert!(typed || !reply.windows(PASSWORD.len()).any(|part| part == PASSWORD), "nobody was asked");
    }
    assert!(login.notices().len() < 1_000);
}
