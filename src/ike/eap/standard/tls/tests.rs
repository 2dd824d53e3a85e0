//! Whole logins against a TLS server in virtual time, cut into pieces in both directions.

use super::super::super::dbrp::{code, failure, success};
use super::super::super::{EapError, Standard, Step};
use super::fragments::{Inbound, Piece};
use super::{MAX_TLS_ROUNDS, TlsLogin};
use crate::crypto::{Random, Secret};
use crate::ike::cert::{CertError, OwnCertificate, Root, Trust};
use crate::lab::pki::{IssuedBy, Leaf, Pki, TestKey, Usage};
use crate::time::UnixTime;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::Write as _;
use std::sync::Arc;

const HOST: &str = "vpn.example.com";
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

struct Nothing;

impl Random for Nothing {
    fn fill(&mut self, _: &mut [u8]) {}
}

fn pem(chain: &[Vec<u8>]) -> String {
    let one = |der: &Vec<u8>| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(der))
    };
    chain.iter().map(one).collect()
}

fn own(pki: &Pki, leaf: &Leaf) -> Arc<OwnCertificate> {
    let issued = pki.issue(leaf).expect("a certificate");
    let key =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&issued.pkcs8));
    Arc::new(OwnCertificate::read(pem(&issued.chain).as_bytes(), key.as_bytes(), None).expect("one's own"))
}

fn anna(pki: &Pki) -> Leaf {
    Leaf { key: TestKey::User, usages: vec![Usage::ClientAuth], ..pki.leaf("anna") }
}

fn login(pki: &Pki, leaf: &Leaf) -> TlsLogin {
    let roots = vec![Root { der: pki.ca().to_vec(), configured: true }];
    let trust = Trust { roots, ..Trust::default() };
    TlsLogin { own: own(pki, leaf), name: "anna@example.com".into(), server: HOST.into(), trust }
}

/// An EAP server: TLS, and packets of at most `size` octets of it.
struct Server {
    tls: ServerConnection,
    id: u8,
    size: usize,
    /// It says so inside TLS 1.3 that it is content.
    indication: &'static [u8],
    indicated: bool,
    /// Packets of each side that were pieces of a longer message.
    pieces: (usize, usize),
}

impl Server {
    fn new(pki: &Pki, leaf: &Leaf, version: &'static SupportedProtocolVersion, ask: bool) -> Self {
        let issued = pki.issue(leaf).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(pki.ca().to_vec())).expect("a root");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let clients = clients.build().expect("a verifier");
        let clients = if ask { clients } else { WebPkiClientVerifier::no_client_auth() };
        let chain = issued.chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(issued.pkcs8));
        let config = ServerConfig::builder_with_details(provider, Arc::new(super::server::At(NOW)))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .expect("a key");
        let tls = ServerConnection::new(Arc::new(config)).expect("a session");
        Self { tls, id: 1, size: 1_000, indication: &[0], indicated: false, pieces: (0, 0) }
    }

    fn request(&mut self, data: &[u8]) -> Vec<u8> {
        self.id = self.id.wrapping_add(1);
        let length = (5 + data.len()) as u16;
        [&[code::REQUEST, self.id], &length.to_be_bytes()[..], &[13], data].concat()
    }

    /// The whole login; how the client ended it, and the server's key where it is content.
    fn serve(&mut self, client: &mut Standard) -> (Result<Step, EapError>, Option<Vec<u8>>) {
        let mut packet = self.request(b"\x20");
        let mut inbound = Inbound::default();
        let mut out: Vec<Vec<u8>> = Vec::new();
        let mut refused = false;
        loop {
            let response = match client.handle(&packet, &mut Nothing) {
                Ok(Step::Reply(response)) => response,
                other => return (other, None),
            };
            assert_eq!(response[..2], [code::RESPONSE, self.id]);
            assert!(response.len() <= 1_020 && response[4] == 13, "{}", response.len());
            let piece = Piece::parse(&response[5..]).expect("a piece");
            if !out.is_empty() {
                assert!(piece.is_acknowledgement());
            } else if let Some(message) = inbound.take(piece).expect("a good piece") {
                let mut rest = message.as_slice();
                while !rest.is_empty() && !refused {
                    self.tls.read_tls(&mut rest).expect("octets");
                    refused = self.tls.process_new_packets().is_err();
                }
                let over = !self.tls.is_handshaking() && !refused;
                let is_13 = self.tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
                if over && is_13 && !self.indicated {
                    self.indicated = true;
                    self.tls.writer().write_all(self.indication).expect("room");
                }
                let mut octets = Vec::new();
                while self.tls.wants_write() {
                    self.tls.write_tls(&mut octets).expect("octets");
                }
                if octets.is_empty() {
                    let end = if over { success(self.id) } else { failure(self.id) };
                    let key = over.then(|| self.key(is_13));
                    return (client.handle(&end, &mut Nothing), key);
                }
                out = self.cut(&octets);
            } else {
                self.pieces.1 += 1;
                packet = self.request(b"\0");
                continue;
            }
            packet = match out.is_empty() {
                true => self.request(b"\0"),
                false => {
                    let data = out.remove(0);
                    self.request(&data)
                }
            };
        }
    }

    fn cut(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        let count = octets.len().div_ceil(self.size);
        self.pieces.0 += count - 1;
        let length = (octets.len() as u32).to_be_bytes();
        let piece = |(n, data): (usize, &[u8])| match (n, n + 1 == count) {
            (0, true) => [&[0], data].concat(),
            (0, false) => [&[0xc0], &length[..], data].concat(),
            (_, last) => [&[if last { 0 } else { 0x40 }], data].concat(),
        };
        octets.chunks(self.size).enumerate().map(piece).collect()
    }

    fn key(&mut self, is_13: bool) -> Vec<u8> {
        let mut material = [0; 128];
        let exported = match is_13 {
            true => self.tls.export_keying_material(
                &mut material[..],
                b"EXPORTER_EAP_TLS_Key_Material",
                Some(&[13]),
            ),
            false => self.tls.export_keying_material(&mut material[..], b"client EAP encryption", None),
        };
        exported.expect("a key");
        material[..64].to_vec()
    }
}

fn key(client: &Standard) -> Option<Vec<u8>> {
    client.key().map(|key: &Secret| key.expose().to_vec())
}

#[test]
fn both_versions_with_keys_of_both_kinds_make_the_same_key_on_both_sides() {
    let pki = Pki::new(NOW).unwrap();
    for version in [&TLS12, &TLS13] {
        for (ours, theirs) in
            [(TestKey::User, TestKey::GatewayP256), (TestKey::GatewayP256, TestKey::Gateway)]
        {
            let mut client = Standard::tls(login(&pki, &Leaf { key: ours, ..anna(&pki) }), NOW);
            let identity = [&[code::REQUEST, 9, 0, 5, 1][..]].concat();
            let Ok(Step::Reply(named)) = client.handle(&identity, &mut Nothing) else { panic!("a name") };
            assert_eq!(named[5..], *b"anna@example.com");
            let mut server = Server::new(&pki, &Leaf { key: theirs, ..pki.leaf(HOST) }, version, true);
            let (end, key_there) = server.serve(&mut client);
            assert!(matches!(end, Ok(Step::Success)), "{end:?}");
            assert!(key_there.is_some() && key(&client) == key_there, "{version:?}");
            assert!(client.handle(&success(1), &mut Nothing).is_err(), "once");
        }
    }
}

#[test]
fn long_chains_are_cut_both_ways() {
    let pki = Pki::new(NOW).unwrap();
    for version in [&TLS12, &TLS13] {
        let leaf = Leaf { issuer: IssuedBy::Intermediate, ..anna(&pki) };
        let mut client = Standard::tls(login(&pki, &leaf), NOW);
        let theirs = Leaf { issuer: IssuedBy::Intermediate, ..pki.leaf(HOST) };
        let mut server = Server::new(&pki, &theirs, version, true);
        server.size = 100;
        let (end, there) = server.serve(&mut client);
        assert!(matches!(end, Ok(Step::Success)), "{end:?}");
        assert_eq!(key(&client), there);
        assert!(server.pieces.0 > 15 && server.pieces.1 >= 1, "{:?}", server.pieces);
    }
}

#[test]
fn a_server_that_is_not_the_one_that_is_meant_sees_no_certificate() {
    let pki = Pki::new(NOW).unwrap();
    let leaf = pki.leaf(HOST);
    let long_ago = UnixTime::from_secs(NOW.as_secs() - 3_600);
    type Right = fn(&CertError) -> bool;
    let wrong: [(Leaf, Right); 5] = [
        (Leaf { issuer: IssuedBy::OtherCa, ..leaf.clone() }, |e| {
            matches!(e, CertError::UnknownIssuer { .. })
        }),
        (pki.leaf("other.example.com"), |e| matches!(e, CertError::Name { .. })),
        (Leaf { not_after: long_ago, ..leaf.clone() }, |e| matches!(e, CertError::Expired { .. })),
        (Leaf { usages: vec![Usage::ClientAuth], ..leaf.clone() }, |e| matches!(e, CertError::Usage { .. })),
        (Leaf { usages: vec![Usage::Ike], ..leaf.clone() }, |e| matches!(e, CertError::Usage { .. })),
    ];
    for version in [&TLS12, &TLS13] {
        for (theirs, right) in &wrong {
            let mut client = Standard::tls(login(&pki, &anna(&pki)), NOW);
            let mut server = Server::new(&pki, theirs, version, true);
            let (end, there) = server.serve(&mut client);
            let Err(EapError::Server(error)) = end else { panic!("{end:?}") };
            assert!(right(&error), "{error}");
            assert!(there.is_none() && key(&client).is_none() && server.tls.peer_certificates().is_none());
        }
        // Any usage, or none at all, will do (RFC 5216 5.3).
        for usages in [vec![], vec![Usage::Any]] {
            let mut client = Standard::tls(login(&pki, &anna(&pki)), NOW);
            let mut server = Server::new(&pki, &Leaf { usages, ..leaf.clone() }, version, true);
            assert!(matches!(server.serve(&mut client).0, Ok(Step::Success)));
        }
    }
    let text =
        EapError::Server(Box::new(CertError::Name { expected: HOST.into(), found: "x".into() })).to_string();
    assert!(text.contains("the EAP server's certificate") && text.contains("eap_server_name"), "{text}");
}

#[test]
fn what_the_server_says_against_the_certificate_is_told() {
    let pki = Pki::new(NOW).unwrap();
    let old = UnixTime::from_secs(NOW.as_secs() - 60);
    for version in [&TLS12, &TLS13] {
        for (leaf, words) in [
            (Leaf { issuer: IssuedBy::OtherCa, ..anna(&pki) }, "does not know the CA"),
            (Leaf { not_after: old, ..anna(&pki) }, "has expired"),
        ] {
            let mut client = Standard::tls(login(&pki, &leaf), NOW);
            let (end, _) = Server::new(&pki, &pki.leaf(HOST), version, true).serve(&mut client);
            let Err(EapError::Alert(text)) = &end else { panic!("{end:?}") };
            assert!(text.contains(words), "{text}");
            assert!(key(&client).is_none());
        }
    }
}

#[test]
fn success_counts_only_after_the_whole_of_tls() {
    let pki = Pki::new(NOW).unwrap();
    let client = || Standard::tls(login(&pki, &anna(&pki)), NOW);
    for version in [&TLS12, &TLS13] {
        let mut refused = client();
        let (end, _) = Server::new(&pki, &pki.leaf(HOST), version, false).serve(&mut refused);
        assert!(matches!(end, Err(EapError::NotAsked)), "{end:?}");
    }
    let mut early = client();
    assert!(matches!(early.handle(&success(1), &mut Nothing), Err(EapError::Unexpected(_))));
    let mut early = client();
    assert!(matches!(early.handle(&[1, 1, 0, 6, 13, 0x20], &mut Nothing), Ok(Step::Reply(_))));
    assert!(matches!(early.handle(&success(1), &mut Nothing), Err(EapError::Unexpected(_))));
    // TLS 1.3 without the server's last word, or with another one.
    for (indication, tickets) in [(&b""[..], true), (b"", false), (b"\x01", false), (b"\0\0", false)] {
        let mut refused = client();
        let mut server = Server::new(&pki, &pki.leaf(HOST), &TLS13, true);
        server.indication = indication;
        server.indicated = !tickets && indication.is_empty();
        let (end, _) = server.serve(&mut refused);
        let is_right = match indication {
            b"" => matches!(end, Err(EapError::NoIndication)),
            _ => matches!(end, Err(EapError::Tls(_))),
        };
        assert!(is_right && key(&refused).is_none(), "{end:?}");
    }
}

#[test]
fn a_request_that_comes_again_gets_the_same_answer() {
    let pki = Pki::new(NOW).unwrap();
    let mut client = Standard::tls(login(&pki, &anna(&pki)), NOW);
    let start = [1, 7, 0, 6, 13, 0x20];
    let Ok(Step::Reply(first)) = client.handle(&start, &mut Nothing) else { panic!("a hello") };
    let Ok(Step::Reply(again)) = client.handle(&start, &mut Nothing) else { panic!("the same") };
    assert_eq!(first, again);
    // With another identifier it is a second start.
    let second = client.handle(&[1, 8, 0, 6, 13, 0x20], &mut Nothing);
    assert!(matches!(second, Err(EapError::Unexpected(_))), "{second:?}");
    let mut patient = Standard::tls(login(&pki, &anna(&pki)), NOW);
    let answered = (0..).take_while(|_| patient.handle(&start, &mut Nothing).is_ok()).count();
    assert_eq!(answered, MAX_TLS_ROUNDS as usize);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is sent in place of a server's message: no success, no key, packets of bounded size, an end.
    #[test]
    fn whatever_the_server_sends(
        at in 0usize..8, flags in any::<u8>(), data in proptest::collection::vec(any::<u8>(), 0..600), spoil in any::<bool>(),
    ) {
        let pki = Pki::new(NOW).unwrap();
        let mut client = Standard::tls(login(&pki, &anna(&pki)), NOW);
        let mut server = Server::new(&pki, &pki.leaf(HOST), &TLS13, true);
        let mut packet = server.request(b"\x20");
        for turn in 0..9 {
            if turn == at {
                packet = server.request(&[&[flags], &data[..]].concat());
            } else if turn > 0 && spoil {
                packet = server.request(&[&[0x16, 3, 3][..], &data[..]].concat());
            }
            match client.handle(&packet, &mut Nothing) {
                Ok(Step::Reply(reply)) => prop_assert!(reply.len() <= 1_020 && reply[0] == code::RESPONSE),
                Ok(step) => prop_assert!(false, "{step:?}"),
                Err(_) => break,
            }
            packet = server.request(b"\0");
        }
        prop_assert!(!matches!(client.handle(&success(1), &mut Nothing), Ok(Step::Success)));
        prop_assert_eq!(client.key(), None);
    }
}
