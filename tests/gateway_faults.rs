//! What the gateway does when asked to misbehave, when it is attacked, and when answers are lost.

mod gateway_peer;

use gateway_peer::eap::Said;
use gateway_peer::world::{Dice, World, client};
use gateway_peer::{ANYCONNECT, Offer, Peer, id, init_request};
use ikeep::crypto::{Group, Kem, KemKey, Random, generate};
use ikeep::gateway::{DropReason, GatewayEvent, Port, Refusal, TokenFault};
use ikeep::ike::message::{Exchange, Notify, Payload, decode_message, find_notify, notify};
use ikeep::ike::proposal::{Algorithms, Wish};
use proptest::prelude::*;
use std::time::Duration;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn refused(payloads: &[Payload]) -> bool {
    find_notify(payloads, notify::AUTHENTICATION_FAILED).is_some()
}

#[test]
fn a_cookie_and_another_group_cost_a_round_trip_each() {
    let mut world = World::new();
    assert_eq!(Peer::init(&mut world, client(2), Offer::default(), 1).round_trips, 1);
    let modp = Offer { group: Group::Modp2048, ..Offer::default() };
    let peer = Peer::init(&mut world, client(2), modp, 2);
    assert_eq!(
        (peer.round_trips, peer.suite.group),
        (1, Group::Modp2048),
        "the group that is there is taken"
    );
    world.gateway.faults().cookie = true;
    assert_eq!(Peer::init(&mut world, client(2), Offer::default(), 3).round_trips, 2);
    world.gateway.faults().group = Some(Group::Ecp384);
    let peer = Peer::init(&mut world, client(2), Offer::default(), 4);
    assert_eq!((peer.round_trips, peer.suite.group), (3, Group::Ecp384));
    let counters = world.gateway.counters();
    assert_eq!(counters.refusals.get(&Refusal::Cookie), Some(&2));
    assert_eq!(counters.refusals.get(&Refusal::Group), Some(&1));
    assert_eq!((counters.inits, counters.half_open), (4, 4));
}

#[test]
fn aead_with_group_31_and_no_common_suite() {
    let mut world = World::new();
    let mut algorithms = Algorithms::ike();
    algorithms.encr.retain(|encr| encr.is_aead());
    algorithms.groups = vec![Group::Curve25519];
    let offer = Offer { group: Group::Curve25519, algorithms, ..Offer::default() };
    let (mut peer, form) = Peer::begin(&mut world, client(2), offer, 1);
    let complete = peer.password(&mut world, &form, "test", "cisco");
    peer.finish(&mut world, &complete);
    assert!(peer.ping(&mut world, 1).is_some());

    let mut world = World::with(|config| config.ike.groups = vec![Group::Ecp521]);
    let mut algorithms = Algorithms::ike();
    algorithms.groups = vec![Group::Ecp256];
    let offer = Offer { algorithms, ..Offer::default() };
    let request = request(1, &offer);
    let (_, payloads) = decode_message(&world.one_answer(client(2), &request)).expect("an answer");
    assert!(find_notify(&payloads, notify::NO_PROPOSAL_CHOSEN).is_some(), "{payloads:?}");
    assert_eq!(world.gateway.counters().half_open, 0);
}

/// An IKE_SA_INIT request without a client behind it.
fn request(seed: u64, offer: &Offer) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let kex = generate(offer.group, &mut dice);
    let mut ni = vec![0; 32];
    dice.fill(&mut ni);
    let to = "10.9.0.1:4500".parse().expect("an address");
    init_request(&dice.u64().to_be_bytes(), offer, kex.public_value(), &ni, None, client(2), to)
}

#[test]
fn the_same_init_octets_get_the_same_answer_from_wherever_they_come() {
    let mut world = World::new();
    let request = request(1, &Offer::default());
    let first = world.one_answer(client(2), &request);
    assert_eq!(world.one_answer(client(2), &request), first);
    assert_eq!(world.one_answer(client(3), &request), first);
    assert_eq!(world.datagram(client(3), Port::Ike, request).len(), 1);
    let counters = world.gateway.counters();
    assert_eq!((counters.inits, counters.half_open), (1, 1));
}

#[test]
fn half_open_logins_are_bounded_and_forgotten() {
    let mut world = World::with(|config| {
        config.cookie_threshold = 3;
        config.half_open_limit = 4;
    });
    for seed in 1..=3 {
        assert_eq!(Peer::init(&mut world, client(2), Offer::default(), seed).round_trips, 1);
    }
    assert_eq!(Peer::init(&mut world, client(2), Offer::default(), 4).round_trips, 2);
    // A flood: cookies only, and nothing is kept.
    for seed in 10..40 {
        let answers = world.ike(client(3), &request(seed, &Offer::default()));
        let (_, payloads) = decode_message(&answers[0].payload[4..]).expect("a cookie");
        assert!(find_notify(&payloads, notify::COOKIE).is_some());
    }
    let counters = world.gateway.counters();
    assert_eq!((counters.half_open, counters.refusals.get(&Refusal::Cookie)), (4, Some(&31)));
    let told = world.told().iter().filter(|e| matches!(e, GatewayEvent::Refused { .. })).count();
    assert_eq!(told, 1 + 5, "a flooding peer is told of five times a second");
    world.pass(secs(30));
    let counters = world.gateway.counters();
    assert_eq!((counters.half_open, counters.refusals.get(&Refusal::Timeout)), (0, Some(&4)));
    assert_eq!(Peer::login(&mut world, client(2), 50).0.round_trips, 6);
}

#[test]
fn a_login_waits_for_the_person_and_not_for_ever() {
    let mut world = World::new();
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    world.pass(secs(29));
    let again = peer.password(&mut world, &form, "test", "typo");
    world.pass(secs(29));
    let complete = peer.password(&mut world, &again, "test", "cisco");
    peer.finish(&mut world, &complete);
    let (mut peer, _) = Peer::begin(&mut world, client(3), Offer::default(), 2);
    world.pass(secs(30));
    let late = peer.seal(Exchange::IkeAuth, &[]);
    assert!(world.ike(client(3), &late).is_empty());
    assert_eq!(world.gateway.counters().drops.get(&DropReason::UnknownSa), Some(&1));
}

#[test]
fn a_lost_answer_is_sent_again_and_changes_nothing() {
    let mut world = World::new();
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    let lost = peer.last.clone();
    let again = world.one_answer(client(2), &lost);
    assert_eq!(world.one_answer(client(2), &lost), again);
    let complete = peer.password(&mut world, &form, "test", "cisco");
    assert_eq!(world.ike(client(2), &peer.last.clone()).len(), 1);
    assert_eq!(world.gateway.counters().aaa_requests, 1, "a repeated answer is not asked about twice");
    let given = peer.finish(&mut world, &complete);
    assert_eq!(world.ike(client(2), &peer.last.clone()).len(), 1, "the last answer too, by the new SA");
    assert_eq!(world.gateway.counters().active, 1);
    assert!(peer.ping(&mut world, 1).is_some());

    let (mut peer, answer) = Peer::reconnect(&mut world, client(3), &given, 2);
    let again = world.one_answer(client(3), &peer.last.clone());
    let payloads = peer.open(Exchange::IkeAuth, &again);
    assert_eq!(payloads, answer);
    peer.take(&payloads);
    assert!(peer.ping(&mut world, 2).is_some());
    assert_eq!(world.gateway.counters().reconnects, 1);
}

#[test]
fn a_client_that_leaves_during_the_login_is_let_go() {
    let mut world = World::new();
    let (mut peer, _) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    peer.dpd(&mut world);
    assert!(refused(&peer.final_auth_refused(&mut world)), "closed is closed");
    world.pass(secs(10));
    assert_eq!(world.gateway.counters().half_open, 0);
}

#[test]
fn tokens_are_refused_by_order() {
    let mut world = World::new();
    let (mut old, given) = Peer::login(&mut world, client(2), 1);
    world.gateway.faults().tokens = TokenFault::Next(2);
    for seed in 2..4 {
        assert!(refused(&Peer::reconnect(&mut world, client(2), &given, seed).1));
    }
    assert!(old.ping(&mut world, 1).is_some());
    let (mut peer, answer) = Peer::reconnect(&mut world, client(2), &given, 4);
    peer.take(&answer);
    world.gateway.faults().tokens = TokenFault::All;
    for seed in 5..9 {
        assert!(refused(&Peer::reconnect(&mut world, client(2), &given, seed).1));
    }
    let counters = world.gateway.counters();
    assert_eq!((counters.reconnects, counters.reconnects_ok, counters.reconnects_failed), (7, 1, 6));
}

#[test]
fn fragments_are_announced_only_where_configured() {
    for fragmentation in [false, true] {
        let mut world = World::with(|config| config.fragmentation = fragmentation);
        let answer = world.one_answer(client(2), &request(1, &Offer::default()));
        let (_, payloads) = decode_message(&answer).expect("an answer");
        let announced = find_notify(&payloads, notify::IKEV2_FRAGMENTATION_SUPPORTED).is_some();
        assert_eq!(announced, fragmentation);
    }
}

#[test]
fn a_child_sa_whose_volume_is_nearly_used_up_is_rekeyed_once() {
    let mut world = World::with(|config| config.child_volume_kb = 1);
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    let mut rekeys = 0;
    for sequence in 1..=40 {
        let ping = peer.seal_ping([192, 168, 10, 1], sequence);
        let sent = world.esp(client(2), ping);
        let ike = sent.iter().filter(|t| t.payload[..4] == [0; 4]);
        rekeys += ike.filter(|t| t.payload[4 + 18] == Exchange::CreateChildSa.number()).count();
        assert!(sent.len() <= 2);
        assert_eq!(rekeys, usize::from(sequence >= 21), "ping {sequence}");
    }
}

#[test]
fn a_silent_gateway_hears_and_says_nothing_and_its_clocks_run() {
    let mut world = World::new();
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    peer.dpd(&mut world);
    world.gateway.faults().silent = true;
    assert!(peer.ping(&mut world, 1).is_none());
    assert!(world.pass(secs(110)).is_empty(), "its DPD is not heard outside");
    world.gateway.faults().silent = false;
    let counters = world.gateway.counters();
    assert_eq!((counters.active, counters.inactive), (0, 1));
    assert!(counters.drops.get(&DropReason::Silent).is_some_and(|n| *n == 6), "{:?}", counters.drops);
    let (mut peer, answer) = Peer::reconnect(&mut world, client(2), &given, 2);
    peer.take(&answer);
    assert!(peer.ping(&mut world, 2).is_some());
}

#[test]
fn the_window_is_over_by_order() {
    let mut world = World::new();
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    peer.dpd(&mut world);
    world.pass(secs(110));
    assert_eq!(world.gateway.counters().inactive, 1);
    world.gateway.faults().window_over();
    world.pass(secs(0));
    assert_eq!(world.gateway.counters().inactive, 0);
    assert!(refused(&Peer::reconnect(&mut world, client(2), &given, 2).1));
}

#[test]
fn a_restart_loses_the_sas_and_perhaps_the_sessions() {
    for keep in [true, false] {
        let mut world = World::with(|config| config.lenient = false);
        let (mut peer, given) = Peer::login(&mut world, client(2), 1);
        let (_half, _) = Peer::begin(&mut world, client(3), Offer::default(), 2);
        world.gateway.restart(world.now, keep);
        let counters = world.gateway.counters();
        assert_eq!((counters.active, counters.inactive, counters.half_open), (0, usize::from(keep), 0));
        assert!(world.gateway.show_session_detail(world.now).ends_with("R - IKE Auto Reconnect\n"));
        assert!(peer.ping(&mut world, 1).is_none());
        let down = |e: &GatewayEvent| matches!(e, GatewayEvent::SaDown { kept, .. } if *kept == keep);
        assert!(world.told().iter().any(down));
        let (mut peer, answer) = Peer::reconnect(&mut world, client(2), &given, 3);
        if keep {
            assert_eq!(peer.take(&answer).address, given.address);
            assert!(peer.ping(&mut world, 2).is_some());
        } else {
            assert!(refused(&answer));
            assert_eq!(Peer::login(&mut world, client(4), 4).1.address, given.address);
        }
        assert_eq!(world.gateway.counters().aaa_requests, if keep { 1 } else { 2 });
    }
}

#[test]
fn what_nobody_answers_behind_the_gateway_is_handed_out() {
    let mut world = World::new();
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    world.told();
    let ping = peer.seal_ping([10, 10, 10, 10], 1);
    assert!(world.esp(client(2), ping).is_empty());
    let told = world.told();
    let [GatewayEvent::Inner(inner)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(inner[16..20], [10, 10, 10, 10]);
    let answer = ikeep::esp::inner::echo_reply(
        [10, 10, 10, 10].into(),
        [192, 168, 20, 5].into(),
        77,
        1,
        b"is anybody there?",
    );
    world.gateway.send_packet(world.now, &answer);
    let sent = world.pass(secs(0));
    assert_eq!(peer.open_pong(&sent[0].payload), Some(1));
    world.gateway.send_packet(world.now, &[0x45; 10]);
    assert!(world.pass(secs(0)).is_empty());
    assert_eq!(world.gateway.counters().drops.get(&DropReason::Downlink), Some(&1));
}

#[test]
fn keepalives_are_nothing_and_short_datagrams_are_counted() {
    let mut world = World::new();
    assert!(world.datagram(client(2), Port::Nat, vec![0xff]).is_empty());
    assert!(world.gateway.counters().drops.is_empty());
    for (n, datagram) in [vec![], vec![0xfe], vec![0; 4], vec![0; 31]].into_iter().enumerate() {
        assert!(world.datagram(client(2), Port::Nat, datagram).is_empty());
        assert_eq!(world.gateway.counters().drops.get(&DropReason::Malformed), Some(&(n as u64 + 1)));
    }
    assert!(world.datagram(client(2), Port::Nat, vec![9; 40]).is_empty());
    assert_eq!(world.gateway.counters().drops.get(&DropReason::UnknownSpi), Some(&1));
}

/// A gateway with a live session and a half-open login, and one message of each for mutation.
fn busy() -> (World, Peer, Vec<Vec<u8>>) {
    let mut world = World::new();
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    let mut half = Peer::init(&mut world, client(3), Offer::default(), 2);
    half.first_auth(&mut world, id(201, ANYCONNECT), None, &[(1, &[])]);
    let marked = |message: Vec<u8>| [&[0; 4][..], &message].concat();
    let packet = gateway_peer::eap::response(0, "init", "");
    let messages = vec![
        marked(request(3, &Offer::default())),
        marked(half.seal(Exchange::IkeAuth, &[Payload::Eap(packet)])),
        marked(peer.seal(Exchange::Informational, &[])),
        peer.seal_ping([192, 168, 10, 1], 1),
    ];
    (world, peer, messages)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any octets, and any damage to real messages, leave the sessions as they were.
    #[test]
    fn damaged_messages_change_nothing(
        seed in any::<u64>(),
        rubbish in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
    ) {
        let (mut world, mut peer, messages) = busy();
        let before = world.gateway.counters();
        let mut dice = Dice::new(seed);
        for message in &messages[1..] {
            for _ in 0..20 {
                let mut damaged = message.clone();
                // Not the SPI of ESP or the header of IKE alone: everything behind them is under the ICV.
                let at = dice.below(damaged.len() as u64) as usize;
                damaged[at] ^= 1 << dice.below(8);
                world.datagram(client(9), Port::Nat, damaged);
                let cut = dice.below(message.len() as u64) as usize;
                world.datagram(client(9), Port::Nat, message[..cut].to_vec());
            }
        }
        for octets in rubbish {
            world.datagram(client(9), Port::Nat, octets.clone());
            world.datagram(client(9), Port::Nat, [&[0; 4][..], &octets].concat());
            world.datagram(client(9), Port::Ike, octets);
        }
        let after = world.gateway.counters();
        prop_assert_eq!((after.active, after.half_open, after.aaa_requests), (before.active, before.half_open, before.aaa_requests));
        prop_assert!(after.drops.values().sum::<u64>() > 50);
        let moved = world.told().iter().any(|e| matches!(e, GatewayEvent::Moved { .. }));
        prop_assert!(!moved, "the path follows authenticated packets only");
        prop_assert_eq!(peer.ping(&mut world, 2), Some(client(2)));
    }

    /// A damaged IKE_SA_INIT makes at most half-open logins, which end by themselves.
    #[test]
    fn damaged_init_requests_are_survived(seed in any::<u64>()) {
        let mut world = World::new();
        let mut dice = Dice::new(seed);
        let whole = request(1, &Offer { group: Group::Curve25519, ..Offer::default() });
        for _ in 0..20 {
            let mut damaged = whole.clone();
            for _ in 0..=dice.below(3) {
                let at = dice.below(damaged.len() as u64) as usize;
                damaged[at] = dice.below(256) as u8;
            }
            world.datagram(client(2), Port::Nat, [&[0; 4][..], &damaged].concat());
        }
        world.pass(secs(60));
        prop_assert_eq!(world.gateway.counters().half_open, 0);
        let (mut peer, form) = Peer::begin(&mut world, client(3), Offer::default(), 2);
        let again = peer.password(&mut world, &form, "test", "no");
        let asked = matches!(again, Said::Request { .. });
        prop_assert!(asked, "it still works");
    }
}

/// A client that offers ML-KEM, after IKE_SA_INIT.
fn post_quantum(world: &mut World, seed: u64) -> Peer {
    let algorithms = Algorithms { ml_kem: Wish::Require, ..Algorithms::ike() };
    let peer = Peer::init(world, client(2), Offer { algorithms, ..Offer::default() }, seed);
    assert_eq!(peer.suite.additional, Some(Kem::MlKem768));
    peer
}

#[test]
fn clients_that_agree_to_ml_kem_and_do_otherwise_get_no_ike_auth() {
    let kem = Kem::MlKem768.id();
    let key = KemKey::generate(&mut Dice::new(9));
    let public = key.public_value().to_vec();
    // Coefficients are below 3329 (FIPS 203, 7.2): 0xfff is none.
    let mut out_of_range = public.clone();
    out_of_range[..3].fill(0xff);
    let ke = |group, data: &[u8]| Payload::Ke { group, data: data.to_vec() };
    let cases: [(&str, Vec<Payload>); 8] = [
        ("nothing", vec![]),
        ("an octet less", vec![ke(kem, &public[1..])]),
        ("an octet more", vec![ke(kem, &[&public[..], &[0]].concat())]),
        ("of no length", vec![ke(kem, &[])]),
        ("another method", vec![ke(kem + 1, &public)]),
        ("a key that is none", vec![ke(kem, &out_of_range)]),
        ("two of them", vec![ke(kem, &public), ke(kem, &public)]),
        ("a notify", vec![Payload::Notify(Notify::status(notify::INTERMEDIATE_EXCHANGE_SUPPORTED, []))]),
    ];
    for (seed, (what, payloads)) in (1..).zip(cases) {
        let mut world = World::with(|config| config.ike.ml_kem = Wish::Offer);
        let mut peer = post_quantum(&mut world, seed);
        let answer = peer.ask(&mut world, Exchange::IkeIntermediate, &payloads);
        assert!(find_notify(&answer, notify::INVALID_SYNTAX).is_some(), "{what}: {answer:?}");
        let late = peer.ask(&mut world, Exchange::IkeAuth, &[Payload::IdI(id(11, ANYCONNECT))]);
        assert!(refused(&late), "{what}: it is over: {late:?}");
        world.pass(secs(30));
        assert_eq!(world.gateway.counters().half_open, 0, "{what}");
        assert_eq!(Peer::login(&mut world, client(3), 50).0.round_trips, 6, "others log in");
    }
}

#[test]
fn ml_kem_comes_once_and_before_ike_auth() {
    let mut world = World::with(|config| config.ike.ml_kem = Wish::Offer);
    let mut early = post_quantum(&mut world, 1);
    let answer = early.ask(&mut world, Exchange::IkeAuth, &[Payload::IdI(id(11, ANYCONNECT))]);
    assert!(refused(&answer), "{answer:?}");
    world.pass(secs(30));
    assert_eq!(world.gateway.counters().half_open, 0);

    // After it the keys are others: whatever is said under the old ones is not heard, the same request again is answered alike.
    let mut peer = post_quantum(&mut world, 2);
    let key = KemKey::generate(&mut Dice::new(9));
    let ke = Payload::Ke { group: Kem::MlKem768.id(), data: key.public_value().to_vec() };
    let request = peer.seal(Exchange::IkeIntermediate, std::slice::from_ref(&ke));
    let first = world.one_answer(client(2), &request);
    assert_eq!(world.one_answer(client(2), &request), first);
    let again = peer.seal(Exchange::IkeIntermediate, &[ke]);
    assert!(world.ike(client(2), &again).is_empty());
    assert_eq!(world.gateway.counters().half_open, 1, "it waits for IKE_AUTH");
    world.pass(secs(30));
    assert_eq!(world.gateway.counters().half_open, 0);

    // Nobody who was not asked for one may begin one.
    let mut plain = Peer::init(&mut world, client(4), Offer::default(), 3);
    let ke = Payload::Ke { group: Kem::MlKem768.id(), data: key.public_value().to_vec() };
    let answer = plain.ask(&mut world, Exchange::IkeIntermediate, &[ke]);
    assert!(find_notify(&answer, notify::INVALID_SYNTAX).is_some(), "{answer:?}");
}
