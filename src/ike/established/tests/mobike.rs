//! MOBIKE between two ends: the window rule, rekeys in between, refusals, and what is remembered of addresses.

use super::super::mobike::mobike_offer;
use super::*;
use crate::ike::message::arbitrary;
use proptest::prelude::*;
use std::net::{Ipv6Addr, SocketAddr};

const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)), 4500);
const CLIENT_OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 1, 7)), 20_001);

/// Two ends that announced it; the gateway's is the second.
fn mobile() -> Pair {
    let mut pair = Pair::quiet();
    for end in &mut pair.ends {
        end.ike.set_mobike(Vec::new());
    }
    pair.ends[1].ike.set_ends(GATEWAY, CLIENT_OUTSIDE);
    pair
}

impl Pair {
    fn update(&mut self, label: u32) {
        let end = &mut self.ends[0];
        end.ike.update_addresses(self.now, label, GATEWAY, Retransmission::default(), &mut end.random);
    }

    /// What the client has to send now, none of it delivered.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(datagram) = self.ends[0].ike.poll_datagram() {
            sent.push(datagram);
        }
        sent
    }

    /// One datagram to the gateway, its answers back: what each of those proved.
    fn exchange(&mut self, request: &[u8]) -> Vec<Authentic> {
        let end = &mut self.ends[1];
        end.ike.handle_datagram(self.now, request, &mut end.random).expect("accepted");
        end.events(self.now);
        let mut proofs = Vec::new();
        while let Some(answer) = self.ends[1].ike.poll_datagram() {
            let end = &mut self.ends[0];
            proofs.push(end.ike.handle_datagram(self.now, &answer, &mut end.random).expect("accepted"));
            end.events(self.now);
        }
        proofs
    }
}

#[test]
fn an_update_moves_the_peer_and_its_answer_names_the_path() {
    let mut pair = mobile();
    pair.update(7);
    let sent = pair.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(pair.exchange(&sent[0]), [Authentic::Updated { label: 7 }]);
    assert_eq!(pair.ends[1].count("PeerMoved"), 1);
    // Its repetition moves nobody.
    let end = &mut pair.ends[1];
    assert_eq!(end.ike.handle_datagram(pair.now, &sent[0], &mut end.random), Ok(Authentic::Repeated));
    end.events(pair.now);
    assert_eq!(pair.ends[1].count("PeerMoved"), 1);
}

#[test]
fn with_a_request_outstanding_only_its_repetition_leaves_and_the_update_is_next() {
    let mut pair = mobile();
    let end = &mut pair.ends[0];
    end.ike.rekey_child(pair.now, 1000, &mut end.random);
    end.ike.delete_child(pair.now, 1000, &mut end.random); // waits for the window
    let rekey = pair.sent();
    assert_eq!(rekey.len(), 1);
    pair.update(1);
    pair.update(2);
    pair.update(3);
    assert_eq!(pair.sent(), [rekey[0].clone(), rekey[0].clone(), rekey[0].clone()], "the same octets");
    assert_eq!(pair.exchange(&rekey[0]), [Authentic::Answer]);
    let update = pair.sent();
    assert_eq!(update.len(), 1, "one outstanding request");
    assert_eq!(
        pair.exchange(&update[0]),
        [Authentic::Updated { label: 3 }],
        "of the last path, and no other"
    );
    assert_eq!(pair.ends[1].count("PeerMoved"), 1);
    let delete = pair.sent();
    assert_eq!(delete.len(), 1, "what waited before it comes after it");
    pair.exchange(&delete[0]);
}

#[test]
fn an_update_of_a_path_that_was_left_proves_nothing_for_the_next() {
    let mut pair = mobile();
    pair.update(1);
    let first = pair.sent();
    pair.update(2);
    assert_eq!(pair.sent(), first, "the window: only its repetition");
    assert_eq!(pair.exchange(&first[0]), [Authentic::Updated { label: 1 }]);
    let second = pair.sent();
    assert_eq!(second.len(), 1);
    assert_ne!(second, first);
    assert_eq!(pair.exchange(&second[0]), [Authentic::Updated { label: 2 }]);
    assert!(!pair.ends[0].ike.is_busy());
}

#[test]
fn asked_again_on_the_same_path_it_only_repeats() {
    let mut pair = mobile();
    pair.update(1);
    let first = pair.sent();
    pair.update(1);
    assert_eq!(pair.sent(), first);
    assert_eq!(pair.exchange(&first[0]), [Authentic::Updated { label: 1 }]);
    assert!(pair.sent().is_empty());
}

#[test]
fn a_rekey_of_the_ike_sa_under_way_is_followed_by_an_update_of_the_new_one() {
    for rekeyed_by in 0..2 {
        let mut pair = mobile();
        let before = pair.ends[0].ike.spis();
        if rekeyed_by == 0 {
            let end = &mut pair.ends[0];
            end.ike.rekey_ike(pair.now, &mut end.random);
            pair.sent();
            pair.update(1); // the rekey goes out again, the update waits
            for datagram in pair.sent() {
                pair.wire.push_back((1, datagram));
            }
        } else {
            pair.update(1);
            pair.sent(); // lost
            let end = &mut pair.ends[1];
            end.ike.rekey_ike(pair.now, &mut end.random);
        }
        let mut proofs = Vec::new();
        pair.collect();
        while let Some((to, datagram)) = pair.wire.pop_front() {
            let end = &mut pair.ends[to];
            let proof = end.ike.handle_datagram(pair.now, &datagram, &mut end.random);
            if to == 0 {
                proofs.extend(proof);
            }
            pair.collect();
        }
        assert_ne!(pair.ends[0].ike.spis(), before);
        assert!(proofs.contains(&Authentic::Updated { label: 1 }), "{rekeyed_by}: {proofs:?}");
        assert!(pair.ends[1].count("PeerMoved") >= 1);
        // Still: the client moves, the gateway follows, whoever rekeyed.
        pair.update(2);
        let sent = pair.sent();
        assert_eq!(pair.exchange(&sent[0]), [Authentic::Updated { label: 2 }]);
    }
}

#[test]
fn a_refusal_is_told_and_proves_nothing() {
    let mut pair = mobile();
    pair.ends[1].ike.refuse_updates(true);
    pair.update(1);
    let sent = pair.sent();
    assert_eq!(pair.exchange(&sent[0]), [Authentic::NotFollowed]);
    assert_eq!(
        (pair.ends[0].count("UpdateRefused(\"UNACCEPTABLE_ADDRESSES\")")),
        1,
        "{:?}",
        pair.ends[0].events
    );
    assert_eq!(pair.ends[1].count("PeerMoved"), 0);
    assert!(pair.ends[0].ike.has_mobike());
}

#[test]
fn an_answer_without_our_cookie_is_not_believed_and_ends_mobike() {
    for cookie in [None, Some(vec![7; 16])] {
        let mut pair = mobile();
        pair.update(1);
        let request = pair.sent().remove(0);
        // The gateway's side by hand: it answers as it likes.
        let end = &mut pair.ends[1];
        let received = end.ike.current.sa.handle(pair.now, &request, &mut end.random).expect("a request");
        let Received::Request { id, exchange, payloads } = received else { panic!("{received:?}") };
        assert!(payloads.iter().any(|p| matches!(p, Payload::Notify(n) if n.kind == notify::COOKIE2)));
        let answer: Vec<Payload> =
            cookie.into_iter().map(|c| Payload::Notify(Notify::status(notify::COOKIE2, c))).collect();
        end.ike.current.sa.respond(id, exchange, &answer, &mut end.random);
        let answer = end.ike.poll_datagram().expect("an answer");
        let end = &mut pair.ends[0];
        let proof = end.ike.handle_datagram(pair.now, &answer, &mut end.random);
        assert_eq!(proof, Ok(Authentic::NotFollowed));
        assert!(!end.ike.has_mobike());
    }
}

#[test]
fn the_gateway_cannot_move_the_client() {
    let mut pair = mobile();
    let end = &mut pair.ends[1];
    end.ike.update_addresses(pair.now, 1, CLIENT_OUTSIDE, Retransmission::default(), &mut end.random);
    pair.settle();
    assert_eq!(pair.ends[0].count("PeerMoved"), 0);
    assert_eq!(pair.ends[1].count("Answered"), 1, "it gets an answer, with its COOKIE2");
    assert!(pair.ends[1].ike.has_mobike());
}

#[test]
fn without_mobike_an_update_is_an_empty_request() {
    let mut pair = Pair::quiet();
    pair.update(1);
    let sent = pair.sent();
    // No COOKIE2 comes back: nothing is believed.
    assert_eq!(pair.exchange(&sent[0]), [Authentic::NotFollowed]);
    assert_eq!(pair.ends[1].count("PeerMoved"), 0);
}

#[test]
fn addresses_of_the_peer_are_replaced_by_what_it_says_last() {
    let say = |pair: &mut Pair, payloads: Vec<Payload>| {
        let end = &mut pair.ends[1];
        end.ike.current.sa.request(pair.now, Exchange::Informational, payloads, &mut end.random);
        end.ike.current.pending.push_back(Pending::Liveness);
        pair.settle();
        pair.ends[0].ike.peer_addresses().to_vec()
    };
    let status = |kind, data: &[u8]| Payload::Notify(Notify::status(kind, data));
    let (v4, v6) = (Ipv4Addr::new(10, 9, 0, 9), Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 9));
    let mut pair = mobile();
    let known = say(
        &mut pair,
        vec![
            status(notify::ADDITIONAL_IP4_ADDRESS, &v4.octets()),
            status(notify::ADDITIONAL_IP6_ADDRESS, &v6.octets()),
            status(notify::ADDITIONAL_IP4_ADDRESS, &[10, 9, 0]), // not an address
            status(notify::ADDITIONAL_IP4_ADDRESS, &[0, 0, 0, 0]),
        ],
    );
    assert_eq!(known, [IpAddr::V4(v4), IpAddr::V6(v6)]);
    assert_eq!(say(&mut pair, Vec::new()).len(), 2, "a DPD says nothing of them");
    assert!(say(&mut pair, vec![status(notify::NO_ADDITIONAL_ADDRESSES, &[])]).is_empty());
}

proptest! {
    #[test]
    fn whatever_a_peer_announces_is_bounded(payloads in arbitrary::payloads(12), many in 0u8..40) {
        let mut payloads = payloads;
        payloads.push(Payload::Notify(Notify::status(notify::MOBIKE_SUPPORTED, vec![1, 2])));
        payloads.extend((0..many).map(|n| {
            Payload::Notify(Notify::status(notify::ADDITIONAL_IP4_ADDRESS, vec![10, 0, 0, n]))
        }));
        let offer = mobike_offer(&payloads).expect("announced");
        prop_assert!(offer.len() <= 8 && (many == 0 || !offer.is_empty()));
        prop_assert!(offer.iter().all(|ip| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback()));
    }
}
