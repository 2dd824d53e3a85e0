//! The recorded handshakes, against EAP-AnyConnect, AUTH and the certificate check: what independent programs said and signed.

mod common;

use common::recording::{CERTIFICATE_TIME, GATEWAY, PSK, Recording, SESSION_ID, data};
use ikeep::crypto::{Hash, Prf, Scheme, Secret, SignatureError, verify};
use ikeep::ike::auth::{method, shared_key_auth, signed_octets, verify_signature};
use ikeep::ike::cert::{CertError, Root, Trust, Verified, pkcs7};
use ikeep::ike::dialect::ANYCONNECT_ID;
use ikeep::ike::eap::dbrp::{self, Message, Packet, code, tlv};
use ikeep::ike::eap::server::{ClientKind, ClientMessage};
use ikeep::ike::eap::{AnyConnect, Device, EapError, LoginParams, Notice, Step};
use ikeep::ike::message::{Identity, Payload, decode_payloads};
use ikeep::time::UnixTime;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

const LOGIN: &str = "eap-anyconnect-login";
const IKE_AUTH: u8 = 35;
const NOW: UnixTime = UnixTime::from_secs(CERTIFICATE_TIME);
const DAY: u64 = 86_400;

/// The payloads of an IKE_AUTH message.
fn auth_payloads(recording: &Recording, from_client: bool, id: u32) -> Vec<Payload> {
    let message = recording.message(from_client, IKE_AUTH, id);
    let (first, chain) = (message.first_payload.expect("opened"), message.payloads.as_deref());
    decode_payloads(first, chain.expect("opened")).expect("recorded payloads")
}

fn eap(recording: &Recording, from_client: bool, id: u32) -> Vec<u8> {
    let payloads = auth_payloads(recording, from_client, id);
    let found =
        payloads.iter().find_map(|p| if let Payload::Eap(packet) = p { Some(packet.clone()) } else { None });
    found.expect("an EAP payload")
}

/// Method and data of the AUTH payload.
fn auth(payloads: &[Payload]) -> (u8, Vec<u8>) {
    let found = payloads.iter().find_map(|p| match p {
        Payload::Auth { method, data } => Some((*method, data.clone())),
        _ => None,
    });
    found.expect("an AUTH payload")
}

fn identity(payloads: &[Payload]) -> Identity {
    let found = payloads.iter().find_map(|p| match p {
        Payload::IdI(id) | Payload::IdR(id) => Some(id.clone()),
        _ => None,
    });
    found.expect("an identity")
}

fn certificates(payloads: &[Payload]) -> Vec<Vec<u8>> {
    let certificates = payloads.iter().filter_map(|p| match p {
        Payload::Cert { encoding: 4, data } => Some(data.clone()),
        _ => None,
    });
    certificates.collect()
}

fn prf(recording: &Recording) -> Prf {
    Prf::from_id(recording.keys.prf).expect("a PRF we know")
}

/// What the client signs: its IKE_SA_INIT, the gateway's nonce, its identity.
fn client_octets(recording: &Recording) -> Vec<u8> {
    let id = identity(&auth_payloads(recording, true, 1));
    let keys = &recording.keys;
    signed_octets(prf(recording), &Secret::from(&*keys.sk_pi), &recording.init().0.wire[0], &keys.nr, &id)
}

/// What the gateway signs.
fn gateway_octets(recording: &Recording) -> Vec<u8> {
    let id = identity(&auth_payloads(recording, false, 1));
    let keys = &recording.keys;
    signed_octets(prf(recording), &Secret::from(&*keys.sk_pr), &recording.init().1.wire[0], &keys.ni, &id)
}

fn flipped(octets: &[u8]) -> Vec<u8> {
    let mut out = octets.to_vec();
    *out.last_mut().expect("not empty") ^= 1;
    out
}

fn trust() -> Trust {
    let ca = CertificateDer::from_pem_file(data("recorded-ca.pem")).expect("recorded CA");
    Trust { roots: vec![Root { der: ca.to_vec(), configured: true }], ..Trust::default() }
}

fn verified(recording: &Recording) -> Verified {
    let chain = certificates(&auth_payloads(recording, false, 1));
    trust().verify(&chain, GATEWAY, NOW).expect("the recorded gateway's certificate")
}

#[test]
fn the_gateways_certificate_passes_and_its_twins_do_not() {
    for recording in Recording::all() {
        let payloads = auth_payloads(&recording, false, 1);
        let (chain, trust) = (certificates(&payloads), trust());
        let verified = verified(&recording);
        assert_eq!(verified.subject, format!("CN={GATEWAY}"));
        trust.check_idr(&chain[0], &identity(&payloads)).expect("IDr is in the certificate");

        let other = trust.verify(&chain, "other.example.com", NOW);
        assert!(matches!(other, Err(CertError::Name { .. })), "{other:?}");
        let late = trust.verify(&chain, GATEWAY, UnixTime::from_secs(CERTIFICATE_TIME + 30 * 365 * DAY));
        assert!(matches!(late, Err(CertError::Expired { .. })), "{late:?}");
        let early = trust.verify(&chain, GATEWAY, UnixTime::from_secs(CERTIFICATE_TIME - 30 * DAY));
        assert!(matches!(early, Err(CertError::NotYetValid { .. })), "{early:?}");
        let unknown = Trust::default().verify(&chain, GATEWAY, NOW);
        assert!(matches!(unknown, Err(CertError::UnknownIssuer { .. })), "{unknown:?}");
        assert!(trust.verify(&[flipped(&chain[0])], GATEWAY, NOW).is_err());
        let pinned = Trust { pins: vec![[7; 64]], ..trust };
        assert!(matches!(pinned.verify(&chain, GATEWAY, NOW), Err(CertError::Pin { .. })));
    }
}

#[test]
fn certreq_is_what_the_recorded_clients_sent() {
    // Every client names the one CA it has; so would we.
    for recording in Recording::all() {
        let payloads = auth_payloads(&recording, true, 1);
        let sent = payloads.iter().find_map(|p| match p {
            Payload::CertReq { encoding: 4, authorities } => Some(authorities.clone()),
            _ => None,
        });
        assert_eq!(trust().certreq(None), sent.expect("CERTREQ"), "{}", recording.name);
        assert_eq!(trust().certreq(None), verified(&recording).root_key);
    }
}

#[test]
fn the_gateways_signature_verifies() {
    let mut methods = Vec::new();
    for recording in Recording::all() {
        let (method, data) = auth(&auth_payloads(&recording, false, 1));
        let (octets, spki) = (gateway_octets(&recording), verified(&recording).spki);
        let sha1 = recording.name.ends_with("sha1");
        assert_eq!(verify_signature(method, &data, &octets, &spki, sha1), Ok(()), "{}", recording.name);
        for (method, data, octets) in [
            (method, flipped(&data), octets.clone()),
            (method, data.clone(), flipped(&octets)),
            (method::SHARED_KEY, data.clone(), octets.clone()),
            (method::ECDSA_256, data.clone(), octets.clone()),
        ] {
            assert!(verify_signature(method, &data, &octets, &spki, sha1).is_err(), "{}", recording.name);
        }
        if sha1 {
            let refused = verify_signature(method, &data, &octets, &spki, false);
            assert_eq!(refused, Err(SignatureError::Invalid), "SHA-1 only where allowed");
        }
        methods.push(method);
    }
    assert_eq!(methods, [method::RSA, method::DIGITAL_SIGNATURE, method::DIGITAL_SIGNATURE, method::RSA]);
}

#[test]
fn the_login_goes_under_the_private_identity() {
    let id = identity(&auth_payloads(&Recording::load(LOGIN), true, 1));
    assert_eq!((id.kind, id.data.as_slice()), (201, ANYCONNECT_ID.as_bytes()));
}

#[test]
fn both_final_auths_of_the_login_are_made_with_sk_p() {
    let recording = Recording::load(LOGIN);
    let keys = &recording.keys;
    for (from_client, key, octets) in
        [(true, &keys.sk_pi, client_octets(&recording)), (false, &keys.sk_pr, gateway_octets(&recording))]
    {
        let (method, data) = auth(&auth_payloads(&recording, from_client, 6));
        assert_eq!(method, method::SHARED_KEY);
        assert_eq!(shared_key_auth(prf(&recording), key, &octets).expose(), data);
        assert_ne!(shared_key_auth(prf(&recording), key, &flipped(&octets)).expose(), data);
        assert_ne!(shared_key_auth(prf(&recording), &flipped(key), &octets).expose(), data);
    }
}

#[test]
fn a_reconnects_auth_is_made_with_the_token_as_text() {
    for recording in Recording::all().into_iter().filter(|r| r.name != LOGIN) {
        let payloads = auth_payloads(&recording, true, 1);
        let (method, data) = auth(&payloads);
        assert_eq!(method, method::SHARED_KEY);
        assert_eq!(identity(&payloads), Identity { kind: 11, data: SESSION_ID.into() });
        let octets = client_octets(&recording);
        assert_eq!(
            shared_key_auth(prf(&recording), PSK.as_bytes(), &octets).expose(),
            data,
            "{}",
            recording.name
        );
        assert_ne!(shared_key_auth(prf(&recording), b"another token", &octets).expose(), data);
    }
}

#[test]
fn eap_framing_is_read_and_written_identically() {
    let recording = Recording::load(LOGIN);
    for id in 1..=5 {
        for from_client in [true, false] {
            if (id, from_client) == (1, true) {
                continue; // no EAP in the first request
            }
            let packet = eap(&recording, from_client, id);
            let parsed = Packet::parse(&packet).expect("recorded packet");
            if (id, from_client) == (5, false) {
                assert_eq!(packet, dbrp::success(parsed.id));
                continue;
            }
            assert_eq!(parsed.method().expect("a method").to_string(), "EAP-AnyConnect");
            let message = Message::parse(&packet).expect("recorded TLVs");
            assert_eq!(message.code, if from_client { code::RESPONSE } else { code::REQUEST });
            let kinds: Vec<u16> = message.tlvs.iter().map(|(kind, _)| *kind).collect();
            let all = (id, from_client) == (3, true);
            let expected: &[u16] =
                if all { &[tlv::CERTIFICATES, tlv::SIGNATURE, tlv::XML] } else { &[tlv::XML] };
            assert_eq!(kinds, expected, "message {id}");
            assert_eq!(message.encode().expect("it fits"), packet);
            for end in 0..packet.len() {
                assert!(Message::parse(&packet[..end]).is_err(), "cut at {end}");
            }
        }
    }
}

#[test]
fn tlv_1_is_the_users_signature_over_the_initiators_octets() {
    let recording = Recording::load(LOGIN);
    let message = ClientMessage::parse(&eap(&recording, true, 3)).expect("recorded init");
    let (pkcs7, signature) = (message.certificates.expect("TLV 3"), message.signature.expect("TLV 1"));
    let chain = pkcs7::decode(&pkcs7).expect("PKCS#7 of another's client");
    let (_, certificate) = X509Certificate::from_der(&chain[0]).expect("a certificate in TLV 3");
    assert_eq!(certificate.subject().to_string(), "CN=user1");
    let (spki, octets) = (certificate.public_key().raw, client_octets(&recording));
    assert_eq!(verify_signature(method::RSA, &signature, &octets, spki, false), Ok(()));
    let sha512 = Scheme::RsaPkcs1(Hash::Sha512);
    assert_eq!(verify(spki, sha512, &octets, &signature), Ok(()), "the hash is the PRF's");
    let other = verify_signature(method::RSA, &signature, &flipped(&octets), spki, false);
    assert_eq!(other, Err(SignatureError::Invalid));
}

/// What the recorded client says of its machine.
fn recorded_device() -> Device {
    Device {
        version: "4.9.01095".into(),
        computer_name: "MyPC1".into(),
        device_type: "PC".into(),
        platform_version: "10.0.18363".into(),
        unique_id: "6670710BAE51885EDEF982FC59BAC8321D0AEE1036A3005FCDF996E19AEF6978".into(),
        unique_id_global: "CC182A13D1990CF18436AEDEC8891122345EFD7D".into(),
    }
}

/// `scans`: there is a program for that.
fn login(scans: bool) -> AnyConnect {
    let group_access = Some("Tunnel-Group1".into());
    AnyConnect::new(LoginParams { device: recorded_device(), group_access, own: None, scans })
}

fn xml(packet: &[u8]) -> String {
    let message = Message::parse(packet).expect("a packet of the method");
    String::from_utf8(message.tlv(tlv::XML).expect("TLV 0").to_vec()).expect("UTF-8")
}

/// A recorded document without what differs on purpose: each of `pieces` must be there.
fn without(document: &str, pieces: &[&str]) -> String {
    pieces.iter().fold(document.to_owned(), |text, piece| {
        assert!(text.contains(piece), "{piece} is not in the recording");
        text.replace(piece, "")
    })
}

/// A recorded client document as we would send it: we run on Linux and name neither our MAC address nor single sign-on.
fn as_ours(document: &str, more: &[&str]) -> String {
    const MAC: &str = "<mac-address-list><mac-address public-interface=\"true\">82-00-11-aa-bb-cc</mac-address></mac-address-list>";
    let document = without(document, &[&[MAC], more].concat());
    assert!(document.contains(">win</device-id>"));
    document.replace(">win</device-id>", ">linux</device-id>")
}

const SINGLE_SIGN_ON: &str = "<capabilities><auth-method>single-sign-on</auth-method></capabilities>";

fn reply(step: Result<Step, EapError>) -> Vec<u8> {
    match step {
        Ok(Step::Reply(packet)) => packet,
        other => panic!("{other:?}"),
    }
}

#[test]
fn our_init_and_ack_are_the_recorded_ones_octet_for_octet() {
    let recording = Recording::load(LOGIN);
    let mut login = login(false);
    let init = reply(login.handle(&eap(&recording, false, 1)));
    let recorded = eap(&recording, true, 2);
    assert_eq!(init[..2], recorded[..2], "code and identifier");
    assert_eq!(xml(&init), as_ours(&xml(&recorded), &[SINGLE_SIGN_ON]));

    let ack = reply(login.handle(&eap(&recording, false, 4)));
    let recorded = eap(&recording, true, 5);
    assert_eq!(ack[..2], recorded[..2], "code and identifier");
    assert_eq!(xml(&ack), as_ours(&xml(&recorded), &[]));
    assert_eq!(login.notices(), [Notice::Banner("Hello & welcome".into())]);
    assert!(matches!(login.handle(&eap(&recording, false, 5)), Ok(Step::Success)));
}

#[test]
fn our_auth_reply_is_the_recorded_one_octet_for_octet() {
    let recording = Recording::load(LOGIN);
    let request = eap(&recording, false, 3);
    assert_eq!(login(false).handle(&request).expect_err("nobody scans"), EapError::HostScan);
    let mut login = login(true);
    let Ok(Step::Scan(scan)) = login.handle(&request) else { panic!("a scan is asked for") };
    assert_eq!((scan.ticket.as_str(), scan.token.as_str()), ("AB12", "CD34"));
    let sent = reply(login.scanned(Ok(scan.token)));
    let recorded = eap(&recording, true, 4);
    assert_eq!(sent[..2], recorded[..2], "code and identifier");
    assert_eq!(xml(&sent), as_ours(&xml(&recorded), &[]));
}

#[test]
fn a_certificate_that_the_recorded_gateway_asks_for_and_nobody_names_is_said() {
    let recording = Recording::load(LOGIN);
    let error = login(false).handle(&eap(&recording, false, 2)).expect_err("client-cert-request");
    assert_eq!(error, EapError::ClientCertificate);
}

#[test]
fn the_recorded_clients_messages_are_read_as_the_gateway_reads_them() {
    let recording = Recording::load(LOGIN);
    for (id, kind) in
        [(2, ClientKind::Init), (3, ClientKind::Init), (4, ClientKind::AuthReply), (5, ClientKind::Ack)]
    {
        let message = ClientMessage::parse(&eap(&recording, true, id)).expect("recorded message");
        assert_eq!(message.kind, kind);
        assert_eq!(message.device, recorded_device());
        assert_eq!(message.platform, "win");
        assert_eq!(message.certificates.is_some(), id == 3);
        assert_eq!(message.group_access.is_some(), kind == ClientKind::Init);
        assert!(message.fields.is_empty());
        let gateway = xml(&eap(&recording, false, 3));
        if let Some(opaque) = message.opaque {
            assert_eq!(kind, ClientKind::AuthReply);
            assert!(gateway.contains(std::str::from_utf8(&opaque).expect("UTF-8")), "echoed byte for byte");
        }
    }
}
