//! A gateway that asks for the user's certificate.

use super::super::super::cert::{OwnCertificate, pkcs7};
use super::*;
use crate::lab::pki::Pki;
use crate::time::UnixTime;
use std::sync::Arc;

/// RFC 7468, in one line: readers do not mind.
fn pem(label: &str, der: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let bits =
            u32::from_be_bytes([0, chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)]);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { letter.into() } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn own() -> Arc<OwnCertificate> {
    let user = Pki::new(UnixTime::from_secs(1_800_000_000)).unwrap().user("anna").unwrap();
    let key = pem("PRIVATE KEY", &user.pkcs8);
    Arc::new(
        OwnCertificate::read(pem("CERTIFICATE", &user.chain[0]).as_bytes(), key.as_bytes(), None).unwrap(),
    )
}

fn with_certificate() -> AnyConnect {
    let own = Some(own());
    AnyConnect::new(LoginParams {
        device: device(),
        group_access: Some("Staff & Co".into()),
        own,
        scans: true,
    })
}

fn request(id: u8) -> Vec<u8> {
    server::certificate_request(id, OPAQUE).unwrap()
}

/// Up to the certificate being shown.
fn shown() -> AnyConnect {
    let mut login = with_certificate();
    reply(login.handle(&server::hello(1).unwrap()));
    assert!(matches!(login.handle(&request(2)), Ok(Step::Sign(_))));
    login.signed(b"signature".to_vec()).unwrap();
    login
}

#[test]
fn chain_and_signature_come_before_a_second_init_in_the_order_3_1_0() {
    let mut login = with_certificate();
    reply(login.handle(&server::hello(1).unwrap()));
    let Ok(Step::Sign(asked)) = login.handle(&request(2)) else { panic!("no signature is asked for") };
    assert_eq!(asked, own());
    let packet = login.signed(b"signature".to_vec()).unwrap();
    let message = dbrp::Message::parse(&packet).unwrap();
    assert_eq!(message.tlvs.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [3, 1, 0]);
    let init = ClientMessage::parse(&packet).unwrap();
    assert_eq!((init.id, init.kind, &init.device), (2, ClientKind::Init, &device()));
    assert_eq!(init.group_access.as_deref(), Some("Staff & Co"));
    assert_eq!(init.opaque.as_deref(), Some(OPAQUE), "byte for byte");
    assert_eq!(init.signature.as_deref(), Some(&b"signature"[..]));
    assert_eq!(pkcs7::decode(&init.certificates.unwrap()).unwrap(), own().chain());
    assert!(matches!(login.signed(Vec::new()), Err(EapError::Unexpected(_))), "only once");
}

#[test]
fn after_the_certificate_comes_an_empty_auth_or_a_form_as_ever() {
    let only = [
        server::confirmation(3, OPAQUE, None).unwrap(),
        raw_request(3, "auth-request", "<csport>443</csport>"),
    ];
    for request in only {
        let mut login = shown();
        let empty = reply(login.handle(&request));
        assert_eq!((empty.kind, empty.fields.len()), (ClientKind::AuthReply, 0));
        assert_eq!(empty.opaque.as_deref(), Some(OPAQUE));
        let ack = reply(login.handle(&server::complete(4, &Complete::default()).unwrap()));
        assert_eq!(ack.kind, ClientKind::Ack);
    }
    let mut login = shown();
    ask(login.handle(&server::auth_request(3, OPAQUE, &password_form()).unwrap()));
    let given = answers(&[("username", "test"), ("password", "cisco")]);
    let sent = ClientMessage::parse(&login.answer(&given).unwrap()).unwrap();
    assert_eq!((sent.username(), sent.certificates.is_none()), (Some("test"), true));
}

#[test]
fn without_a_certificate_a_form_beside_the_request_does_and_nothing_else() {
    let mut login = login();
    let both =
        "<client-cert-request/><auth id='main'><form><input type='text' name='username'/></form></auth>";
    assert_eq!(ask(login.handle(&raw_request(1, "auth-request", both))).inputs.len(), 1);
    let mut none = super::login();
    let error = none.handle(&request(1)).unwrap_err();
    assert_eq!(error, EapError::ClientCertificate);
    assert!(error.to_string().contains("--certificate"), "{error}");
    assert!(none.handle(&server::hello(2).unwrap()).is_err(), "an error is final");
}

#[test]
fn a_certificate_that_is_not_taken_is_told_and_not_shown_again() {
    let error = shown().handle(&request(3)).unwrap_err();
    assert!(matches!(&error, EapError::CertificateNotTaken(who) if who.contains("anna")), "{error}");
    let refused = shown().handle(&server::error(3, "Certificate Validation Failure").unwrap());
    assert_eq!(refused.unwrap_err(), EapError::Refused("Certificate Validation Failure".into()));
    // A form beside it is another way.
    let both =
        "<client-cert-request/><auth id='main'><form><input type='text' name='username'/></form></auth>";
    ask(shown().handle(&raw_request(3, "auth-request", both)));
}

#[test]
fn what_comes_while_the_key_signs_ends_the_login() {
    let mut login = with_certificate();
    assert!(matches!(login.handle(&request(2)), Ok(Step::Sign(_))));
    assert!(matches!(login.handle(&server::hello(3).unwrap()), Err(EapError::Unexpected(_))));
    assert!(matches!(login.signed(Vec::new()), Err(EapError::Unexpected(_))));
    let mut long = with_certificate();
    assert!(matches!(long.handle(&request(2)), Ok(Step::Sign(_))));
    assert_eq!(long.signed(vec![0; 65_000]).unwrap_err(), EapError::TooLong);
    assert!(long.handle(&server::hello(3).unwrap()).is_err());
}
