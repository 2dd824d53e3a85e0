//! An IKE SA whose messages are cut in the way of before RFC 7383: what gets lost comes again, and what a stranger puts in
//! between proves nothing and stays without effect.

use super::*;
use crate::crypto::{Encr, Group, Integ, Prf};
use proptest::prelude::*;

const MOST: usize = 300;

/// Octets that differ from call to call.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        for octet in out {
            self.0 = self.0.wrapping_add(1);
            *octet = self.0;
        }
    }
}

/// The two ends of one SA.
fn pair(fragmentation: Fragmentation) -> [IkeSa; 2] {
    let suite = IkeSuite {
        encr: Encr::AesCbc256,
        integ: Some(Integ::HmacSha256_128),
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: None,
    };
    let shared = Secret::from(&[7; 32][..]);
    let keys = SaKeys::derive(&suite, &[3; 32], &[4; 32], &shared, &[1; 8], &[2; 8]);
    [(true, (1, 0)), (false, (0, 1))].map(|(initiator, ids)| {
        let rule = Retransmission::default();
        IkeSa::new(initiator, [1; 8], [2; 8], suite, keys.clone(), ids, fragmentation, rule)
    })
}

fn large(octet: u8) -> Vec<Payload> {
    (0..12).map(|_| Payload::VendorId(vec![octet; 96])).collect()
}

fn start() -> Instant {
    Instant::from_boot(Duration::from_secs(10))
}

fn sent(sa: &mut IkeSa) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| sa.poll_datagram()).collect()
}

/// Hands over a list of datagrams; what the last one made of it.
fn hand(sa: &mut IkeSa, now: Instant, datagrams: &[Vec<u8>]) -> Result<Received, Dropped> {
    let mut last = Err(Dropped::Foreign);
    for datagram in datagrams {
        last = sa.handle(now, datagram, &mut Counting(9));
    }
    last
}

#[test]
fn a_large_exchange_is_cut_and_its_repetition_gets_the_same_answer() {
    let [mut client, mut gateway] = pair(Fragmentation::Legacy(MOST));
    let now = start();
    assert!(client.request(now, Exchange::Informational, large(1), &mut Counting(0)));
    let request = sent(&mut client);
    assert!(
        request.len() > 4
            && request.iter().all(|d| d.len() <= MOST && d[16] == payload_type::LEGACY_FRAGMENT)
    );
    assert_eq!(hand(&mut gateway, now, &request[1..]), Ok(Received::Slice));
    let got = hand(&mut gateway, now, &request[..1]);
    assert_eq!(got, Ok(Received::Request { id: 1, exchange: Exchange::Informational, payloads: large(1) }));
    assert_eq!(hand(&mut gateway, now, &request), Ok(Received::Retransmission), "while it is being answered");
    gateway.respond(1, Exchange::Informational, &large(2), &mut Counting(1));
    let answer = sent(&mut gateway);
    // The answer is lost; the request comes again as it was, and so does the answer.
    assert!(!client.handle_timeout(client.poll_timeout().expect("a repetition")));
    assert_eq!(sent(&mut client), request);
    assert_eq!(hand(&mut gateway, now, &request), Ok(Received::Retransmission));
    assert_eq!(sent(&mut gateway), answer);
    let Ok(Received::Response { payloads, .. }) = hand(&mut client, now, &answer) else {
        panic!("an answer")
    };
    assert_eq!(payloads, large(2));
}

#[test]
fn a_forged_slice_costs_a_repetition_and_nothing_else() {
    let [mut client, mut gateway] = pair(Fragmentation::Legacy(MOST));
    let now = start();
    assert!(client.request(now, Exchange::Informational, large(1), &mut Counting(0)));
    let request = sent(&mut client);
    let mut forged = request[1].clone();
    *forged.last_mut().expect("octets") ^= 1;
    // Whichever comes first: the whole does not open, or the true slice begins anew.
    assert_eq!(hand(&mut gateway, now, &[forged.clone()]), Ok(Received::Slice));
    assert_eq!(hand(&mut gateway, now, &request), Ok(Received::Slice));
    assert_eq!(hand(&mut gateway, now, &[forged]), Ok(Received::Slice));
    let others = [&request[..1], &request[2..]].concat();
    assert_eq!(hand(&mut gateway, now, &others), Err(Dropped::Sk(SkError::Forged)));
    assert!(sent(&mut gateway).is_empty());
    assert!(matches!(hand(&mut gateway, now, &request), Ok(Received::Request { .. })));
}

#[test]
fn slices_in_slices_open_nothing() {
    let [mut client, mut gateway] = pair(Fragmentation::Legacy(MOST));
    assert!(client.request(start(), Exchange::Informational, large(1), &mut Counting(0)));
    let head = client.head(Exchange::Informational, false, 1);
    for datagram in sent(&mut client) {
        let nested = slice(&head, 9, datagram, 100);
        assert_eq!(hand(&mut gateway, start(), &nested), Err(Dropped::Sk(SkError::NotEncrypted)));
    }
}

#[test]
fn slices_are_taken_only_where_that_was_agreed() {
    let [mut client, _] = pair(Fragmentation::Legacy(MOST));
    assert!(client.request(start(), Exchange::Informational, large(1), &mut Counting(0)));
    for fragmentation in [Fragmentation::Off, Fragmentation::Standard(MOST)] {
        let [_, mut gateway] = pair(fragmentation);
        let refused = hand(&mut gateway, start(), &client.outbox.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(refused, Err(Dropped::Sk(SkError::NotEncrypted)));
    }
}

proptest! {
    /// A stranger who sees every slice puts others in between, in any place. Nothing that was not sent is received, and once the
    /// stranger is silent, two repetitions are enough.
    #[test]
    fn a_stranger_between_the_slices_is_believed_nothing(
        noise in proptest::collection::vec((any::<prop::sample::Index>(), 28..300_usize, 1..255_u8), 1..40),
    ) {
        let [mut client, mut gateway] = pair(Fragmentation::Legacy(MOST));
        client.request(start(), Exchange::Informational, large(1), &mut Counting(0));
        let request = sent(&mut client);
        let sent_payloads = large(1);
        let mut received = 0;
        let mut note = |got: Result<Received, Dropped>| match got {
            Ok(Received::Request { payloads, .. }) => {
                received += 1;
                payloads == sent_payloads
            }
            Ok(Received::Slice | Received::Retransmission) | Err(_) => true,
            Ok(other) => panic!("{other:?}"),
        };
        let mut noise = noise.iter();
        for datagram in &request {
            for (which, at, flip) in noise.by_ref().take(4) {
                let mut forged = request[which.index(request.len())].clone();
                let at = at % (forged.len() - 28) + 28;
                forged[at] ^= flip;
                prop_assert!(note(gateway.handle(start(), &forged, &mut Counting(9))));
            }
            prop_assert!(note(gateway.handle(start(), datagram, &mut Counting(9))));
        }
        for _ in 0..2 {
            for datagram in &request {
                prop_assert!(note(gateway.handle(start(), datagram, &mut Counting(9))));
            }
        }
        prop_assert_eq!(received, 1);
    }
}
