//! A gateway that has proved itself and then turns: forms without end, documents that explode, a tunnel that was not agreed on.

use crate::gateway::{Rogue, SECRETS, Victim};
use ikeep::crypto::Secret;
use ikeep::ike::eap::{Answers, Form, Input, InputKind, MAX_ROUNDS, dbrp, server};
use ikeep::ike::initiator::{Failure, InitiatorEvent};
use ikeep::ike::message::Payload;

fn eap(payloads: &[Payload]) -> Vec<u8> {
    let packet = payloads.iter().find_map(|p| match p {
        Payload::Eap(packet) => Some(packet.clone()),
        _ => None,
    });
    packet.expect("an EAP payload")
}

fn form(round: usize) -> Form {
    Form {
        id: "main".into(),
        title: String::new(),
        message: format!("round {round}"),
        banner: String::new(),
        error: String::new(),
        inputs: vec![
            Input { name: "username".into(), label: String::new(), kind: InputKind::Text },
            Input { name: "password".into(), label: String::new(), kind: InputKind::Password },
        ],
    }
}

fn typed() -> Answers {
    let typed = ["username", "password"].map(|name| (name.to_owned(), Secret::from(SECRETS[1])));
    typed.into_iter().collect()
}

/// After the hello: the victim's first packet is heard, the next is the test's.
fn greeted() -> (Victim, Rogue, u8) {
    let mut victim = Victim::new(|_| ());
    let mut rogue = Rogue::met(&mut victim);
    rogue.begin_eap(&mut victim, server::hello(1).expect("a packet"));
    let heard = eap(&rogue.hear(&mut victim));
    assert_eq!((heard[0], heard[1]), (2, 1));
    (victim, rogue, 2)
}

#[test]
fn forms_without_end() {
    let (mut victim, mut rogue, mut id) = greeted();
    let opaque = server::opaque("group", 1).expect("a document");
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 200, "without end");
        let packet = server::auth_request(id, &opaque, &form(rounds)).expect("a packet");
        rogue.say(&mut victim, &[Payload::Eap(packet)]);
        let events = victim.events();
        if let Some(failure) = events.iter().find_map(|event| match event {
            InitiatorEvent::Failed(failure) => Some(failure),
            _ => None,
        }) {
            assert!(matches!(failure, Failure::Eap(_)), "{failure:?}");
            break;
        }
        assert!(events.iter().any(|event| matches!(event, InitiatorEvent::Ask(_))), "{events:?}");
        victim.answer(&typed());
        rogue.hear(&mut victim);
        id = id.wrapping_add(1);
    }
    assert!(rounds <= usize::try_from(MAX_ROUNDS).expect("few") + 1, "{rounds}");
}

/// Documents that grow when they are read, or are too deep, too long, or none.
#[test]
fn documents_that_explode() {
    let billion = "<!DOCTYPE a [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><config-auth>&b;</config-auth>";
    let outside = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><config-auth>&x;</config-auth>";
    let deep = "<a>".repeat(20_000);
    let attributes =
        format!("<config-auth {}/>", (0..20_000).map(|n| format!("a{n}=\"\" ")).collect::<String>());
    let long = format!("<config-auth><message>{}</message></config-auth>", "x".repeat(60_000));
    for document in [billion, outside, &deep, &attributes, &long, "", "\0", "<", "<config-auth>"] {
        let (mut victim, mut rogue, id) = greeted();
        let Ok(packet) = dbrp::Message::xml_only(1, id, document.as_bytes().to_vec()).encode() else {
            continue;
        };
        rogue.say(&mut victim, &[Payload::Eap(packet)]);
        let failure = victim.failure();
        let shown: String = document.chars().take(60).collect();
        assert!(matches!(failure, Some(Failure::Eap(_))), "{shown}: {failure:?}");
        assert!(failure.is_some_and(|failure| failure.to_string().len() < 2_000), "{shown}");
    }
}

/// The login was taken, and the gateway does not know what its own login has made.
#[test]
fn a_last_proof_that_does_not_hold() {
    let (mut victim, mut rogue, id) = greeted();
    rogue.say(&mut victim, &[Payload::Eap(vec![3, id, 0, 4])]);
    assert!(matches!(victim.failure(), Some(Failure::Eap(_))), "EAP-Success in the middle");
}
