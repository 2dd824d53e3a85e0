use super::*;
use crate::crypto::Secret;
use crate::ike::dialect::Dialect;
use crate::ike::message::{Exchange, Outgoing};
use crate::ike::ppk::Ppk;
use crate::ike::proposal::Algorithms;

/// What every IPv6 path carries (RFC 8200 5). IKE_SA_INIT knows no fragments (RFC 7383 2.1).
const LEAST6: usize = 1280;
/// Headers of IPv6 and UDP.
const AROUND: usize = 40 + 8;
const SPI: Spi = [0x11; 8];

struct Ones;

impl Random for Ones {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill(1);
    }
}

/// A login with everything that makes its first message longer, but for ML-KEM.
fn everything() -> InitiatorConfig {
    let secret = Secret::new(vec![7; 32]);
    InitiatorConfig {
        ike: Algorithms::ike(),
        esp: Algorithms::esp(),
        first_group: None,
        trust: Default::default(),
        host: "gateway.example.com".into(),
        last_root: None,
        dialect: Dialect::default(),
        credentials: Credentials::Token { id: vec![1; 16], token: secret },
        ppk: Some(Ppk::new("ppk", &Secret::new(vec![b'9'; 32]), false).expect("a PPK")),
        addresses: Vec::new(),
        ipv4: true,
        ipv6: true,
        mobike: true,
        ticket: true,
        redirect: true,
        redirected_from: Some("2001:db8::1".parse().expect("an address")),
        proof_only: false,
        learn: false,
        fragment: 1200,
        retransmission: Retransmission::default(),
        exchange_timeout: Duration::from_secs(30),
        init_timeout: None,
    }
}

fn plain() -> InitiatorConfig {
    InitiatorConfig { ppk: None, redirect: false, redirected_from: None, ..everything() }
}

fn with(ml_kem: Wish, config: InitiatorConfig) -> InitiatorConfig {
    InitiatorConfig { ike: Algorithms { ml_kem, ..config.ike }, ..config }
}

/// What the gateway answers to make us begin anew.
fn answer(kind: u16, data: Vec<u8>) -> Vec<u8> {
    let head = Outgoing {
        spi_i: SPI,
        spi_r: [0; 8],
        exchange: Exchange::IkeSaInit,
        initiator: false,
        response: true,
        message_id: 0,
    };
    encode_message(&head, &[Payload::Notify(Notify::status(kind, data))])
}

/// Octets of the IPv6 packets: with our own choice of a group, and with each that a gateway may ask for, with the longest cookie.
fn packets(config: &InitiatorConfig) -> Vec<(Group, usize)> {
    let now = Instant::default();
    let remote = "[2001:db8::2]:500".parse().expect("an address");
    let mut sizes = Vec::new();
    for group in config.ike.groups.clone() {
        let mut init = Init::new(now, config, SPI, remote, &mut Ones);
        sizes.push((init.group, AROUND + init.poll_datagram().expect("a request").len()));
        let mut again = vec![answer(notify::COOKIE, vec![5; COOKIE_MAX])];
        if group != init.group {
            again.push(answer(notify::INVALID_KE_PAYLOAD, group.id().to_be_bytes().to_vec()));
        }
        for datagram in again {
            assert_eq!(
                init.handle_datagram(now, config, &datagram, &mut Ones).map(|k| k.is_none()),
                Ok(true)
            );
            sizes.push((init.group, AROUND + init.poll_datagram().expect("another request").len()));
        }
        assert_eq!(sizes.last().map(|(last, _)| *last), Some(group));
    }
    sizes
}

fn too_large(config: &InitiatorConfig) -> Vec<(Group, usize)> {
    let mut sizes = packets(config);
    sizes.retain(|(_, octets)| *octets > LEAST6);
    sizes
}

#[test]
fn the_first_message_passes_every_ipv6_path_without_ml_kem() {
    assert_eq!(too_large(&plain()), []);
    assert_eq!(too_large(&everything()), []);
}

#[test]
fn the_first_message_passes_every_ipv6_path_where_ml_kem_is_required() {
    assert_eq!(too_large(&with(Wish::Require, plain())), []);
    assert_eq!(too_large(&with(Wish::Require, everything())), []);
}

#[test]
fn with_ml_kem_offered_only_the_largest_groups_need_a_larger_path() {
    let groups = |config| {
        let mut groups: Vec<_> = too_large(&with(Wish::Offer, config)).iter().map(|(g, _)| g.id()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    };
    assert_eq!(groups(plain()), [15, 16]); // 15 with the longest cookie
    assert_eq!(groups(everything()), [15, 16]);
}
