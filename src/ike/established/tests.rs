//! Two ends in virtual time: liveness, DELETE and rekeys from both sides, loss and collisions.

mod collisions;
mod mobike;
mod script;

use super::*;
use crate::crypto::{Group, Secret};
use crate::esp::{HEADROOM, SaPair, SaSet, TrafficSelector, inner};
use crate::ike::keys::{ChildKeying, SaKeys};
use crate::ike::proposal::{Algorithms, EspSuite, IkeSuite};
use crate::ike::sk::Fragmentation;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

struct Seeded(u64);

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 33) as u8;
        }
    }
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 20, 5));
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 10, 1));

/// One end with its ESP, as an owner keeps it.
struct End {
    ike: Established,
    esp: SaSet,
    unproved: Vec<u32>,
    random: Seeded,
    events: Vec<String>,
    spi_up: Vec<u32>,
}

impl End {
    fn events(&mut self, now: Instant) {
        while let Some(event) = self.ike.poll_event() {
            let name = format!("{event:?}").split([' ', '{']).next().unwrap_or_default().to_owned();
            self.events.push(name);
            match event {
                SaEvent::ChildUp { child, send, .. } => {
                    self.spi_up.push(child.spi_in);
                    if send {
                        self.esp.install(SaPair::new(*child));
                    } else {
                        self.unproved.push(child.spi_in);
                        self.esp.install_inbound(SaPair::new(*child));
                    }
                }
                SaEvent::ChildDown { spi_in } => {
                    if self.esp.current().is_some_and(|p| p.spi_in() == spi_in)
                        && let Some(at) = self.unproved.iter().position(|s| *s != spi_in)
                    {
                        let spi = self.unproved.remove(at);
                        self.esp.promote(spi);
                    }
                    self.unproved.retain(|s| *s != spi_in);
                    self.esp.retire(spi_in, now);
                    self.esp.handle_timeout(now);
                }
                _ => {}
            }
        }
    }

    fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|e| e.as_str() == name).count()
    }
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    wire: VecDeque<(usize, Vec<u8>)>,
    /// Datagrams to lose, counted down.
    lose: u32,
}

/// The IKE SA and the Child SA that IKE_AUTH has made: SPIs 1000 (initiator) and 2000.
fn beginning(initiator: bool) -> (IkeSa, SaParams) {
    let suite = Algorithms::ike();
    let suite = IkeSuite {
        encr: suite.encr[0],
        integ: Some(suite.integ[0]),
        prf: suite.prf[0],
        group: Group::Curve25519,
        additional: None,
    };
    let esp = Algorithms::esp();
    let esp = EspSuite { encr: esp.encr[0], integ: Some(esp.integ[0]), group: None, esn: false };
    let (spi_i, spi_r) = ([1; 8], [2; 8]);
    let shared = Secret::from(&[7; 32][..]);
    let keys = SaKeys::derive(&suite, &[3; 32], &[4; 32], &shared, &spi_i, &spi_r);
    let keying = ChildKeying { prf: suite.prf, sk_d: &keys.sk_d, ni: &[3; 32], nr: &[4; 32], shared: None };
    let client = vec![TrafficSelector::host(CLIENT)];
    let net = vec![TrafficSelector::any_v4()];
    let (spi_in, spi_out) = if initiator { (1000, 2000) } else { (2000, 1000) };
    let (local, remote) = if initiator { (client, net) } else { (net, client) };
    let child = keying.derive(&esp, initiator, spi_in, spi_out, local, remote);
    let ids = if initiator { (2, 0) } else { (0, 2) };
    let rule = Retransmission::default();
    (IkeSa::new(initiator, spi_i, spi_r, suite, keys, ids, Fragmentation::Standard(600), rule), child)
}

impl End {
    fn new(now: Instant, initiator: bool, policy: SaPolicy) -> Self {
        let (sa, child) = beginning(initiator);
        let ike = Established::new(now, sa, Some(&child), policy);
        let mut esp = SaSet::default();
        esp.install(SaPair::new(child));
        let random = Seeded(if initiator { 17 } else { 18 });
        End { ike, esp, unproved: Vec::new(), random, events: Vec::new(), spi_up: Vec::new() }
    }
}

impl Pair {
    fn new(policy: impl Fn(usize) -> SaPolicy) -> Self {
        let now = Instant::from_boot(Duration::from_secs(10));
        let end = |index: usize| End::new(now, index == 0, policy(index));
        Self { now, ends: [end(0), end(1)], wire: VecDeque::new(), lose: 0 }
    }

    fn quiet() -> Self {
        Self::new(|_| policy(None, None))
    }

    fn collect(&mut self) {
        for index in 0..2 {
            let end = &mut self.ends[index];
            end.events(self.now);
            while let Some(datagram) = end.ike.poll_datagram() {
                if self.lose > 0 {
                    self.lose -= 1;
                } else {
                    self.wire.push_back((1 - index, datagram));
                }
            }
        }
    }

    /// Delivers until nothing is on the wire.
    fn settle(&mut self) {
        self.collect();
        while let Some((to, datagram)) = self.wire.pop_front() {
            let end = &mut self.ends[to];
            let _ = end.ike.handle_datagram(self.now, &datagram, &mut end.random);
            self.collect();
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = self.ends.iter().filter_map(|e| e.ike.poll_timeout()).map(|(at, _)| at).min();
            let Some(at) = due.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            for end in &mut self.ends {
                end.ike.handle_timeout(self.now, &mut end.random);
            }
            self.settle();
        }
        self.now = until;
    }

    /// An echo from end to end, both ways.
    fn echo(&mut self) {
        for (from, to, source, target) in [(0, 1, CLIENT, INSIDE), (1, 0, INSIDE, CLIENT)] {
            let mut frame = vec![0; HEADROOM];
            frame.extend(inner::echo_request(source, target, 1, 1, b"echo"));
            let end = &mut self.ends[from];
            let range = end.esp.seal(&mut frame, &mut end.random).expect("sealed");
            let mut packet = frame[range].to_vec();
            let end = &mut self.ends[to];
            let (spi, _) = end.esp.open(&mut packet).expect("opened");
            if let Some(at) = end.unproved.iter().position(|s| *s == spi) {
                end.unproved.remove(at);
                end.esp.promote(spi);
            }
        }
    }
}

fn policy(ike: Option<u64>, child: Option<u64>) -> SaPolicy {
    SaPolicy {
        ike: Algorithms::ike(),
        esp: Algorithms::esp(),
        ike_lifetime: ike.map(Duration::from_secs),
        child_lifetime: child.map(Duration::from_secs),
    }
}

#[test]
fn liveness_is_answered_from_both_sides() {
    let mut pair = Pair::quiet();
    for index in 0..2 {
        let end = &mut pair.ends[index];
        end.ike.check_liveness(pair.now, &mut end.random);
        pair.settle();
        assert_eq!(pair.ends[index].count("Answered"), 1);
    }
}

#[test]
fn an_unanswered_request_is_repeated_twelve_times_and_then_dead() {
    let mut pair = Pair::quiet();
    pair.lose = 12;
    let begin = pair.now;
    let end = &mut pair.ends[0];
    end.ike.check_liveness(begin, &mut end.random);
    pair.settle();
    pair.pass(Duration::from_secs(60));
    assert_eq!(pair.ends[0].count("Dead"), 1);
    assert_eq!(pair.lose, 0);
    assert!(pair.ends[0].ike.is_closed());
}

#[test]
fn a_lost_answer_is_given_again_without_a_second_effect() {
    let mut pair = Pair::quiet();
    let end = &mut pair.ends[0];
    end.ike.rekey_child(pair.now, 1000, &mut end.random);
    pair.collect();
    // The request arrives, its answer is lost.
    while let Some((to, datagram)) = pair.wire.pop_front() {
        let end = &mut pair.ends[to];
        end.ike.handle_datagram(pair.now, &datagram, &mut end.random).expect("accepted");
    }
    pair.lose = 20;
    pair.collect();
    pair.lose = 0;
    pair.pass(Duration::from_secs(3));
    assert_eq!((pair.ends[0].count("ChildUp"), pair.ends[1].count("ChildUp")), (1, 1));
    pair.echo();
}

#[test]
fn either_side_rekeys_the_child_and_the_old_one_goes() {
    for index in 0..2 {
        let mut pair = Pair::quiet();
        pair.echo();
        let spi = [1000, 2000][index];
        let end = &mut pair.ends[index];
        end.ike.rekey_child(pair.now, spi, &mut end.random);
        pair.settle();
        pair.echo();
        for end in &pair.ends {
            assert_eq!((end.count("ChildUp"), end.count("ChildDown")), (1, 1), "{:?}", end.events);
            assert_eq!(end.esp.spis(), end.spi_up);
        }
    }
}

#[test]
fn child_rekeys_that_cross_leave_one_sa() {
    for salt in 0..20 {
        let mut pair = Pair::quiet();
        for (index, spi) in [(0, 1000), (1, 2000)] {
            let end = &mut pair.ends[index];
            end.random.0 = end.random.0.wrapping_add(salt * 977);
            end.ike.rekey_child(pair.now, spi, &mut end.random);
        }
        pair.settle();
        pair.pass(Duration::from_secs(3));
        pair.echo();
        let left = pair.ends.each_ref().map(|e| e.esp.spis().len());
        assert_eq!(left, [1, 1], "salt {salt}: {:?} {:?}", pair.ends[0].events, pair.ends[1].events);
    }
}

#[test]
fn either_side_rekeys_the_ike_sa() {
    for index in 0..2 {
        let mut pair = Pair::quiet();
        let before = pair.ends[0].ike.spis();
        let end = &mut pair.ends[index];
        end.ike.rekey_ike(pair.now, &mut end.random);
        pair.settle();
        assert_ne!(pair.ends[0].ike.spis(), before);
        assert_eq!(pair.ends[0].ike.spis(), pair.ends[1].ike.spis());
        pair.pass(Duration::from_secs(40));
        assert!(!pair.ends[0].ike.owns(&before.0, &before.1), "the old SA is deleted");
        for index in 0..2 {
            let spi = pair.ends[index].esp.spis()[0];
            let end = &mut pair.ends[index];
            end.ike.rekey_child(pair.now, spi, &mut end.random);
            pair.settle();
        }
        pair.echo();
        assert_eq!(pair.ends[0].count("ChildUp"), 2, "the new SA's keys serve");
    }
}

#[test]
fn ike_rekeys_that_cross_leave_one_ike_sa() {
    for salt in 0..20 {
        let mut pair = Pair::quiet();
        let before = pair.ends[0].ike.spis();
        for end in &mut pair.ends {
            end.random.0 = end.random.0.wrapping_add(salt * 977);
            end.ike.rekey_ike(pair.now, &mut end.random);
        }
        // Every other time the first datagram is lost: then one side notices the collision late.
        pair.lose = u32::from(salt % 2 == 1);
        pair.settle();
        pair.pass(Duration::from_secs(60));
        assert_ne!(pair.ends[0].ike.spis(), before);
        assert_eq!(pair.ends[0].ike.spis(), pair.ends[1].ike.spis(), "salt {salt}");
        for end in &pair.ends {
            assert_eq!(end.ike.all_spis().count(), 1, "salt {salt}: {:?}", end.events);
            assert_eq!(end.count("Rekeyed"), 1);
        }
        let end = &mut pair.ends[0];
        end.ike.rekey_child(pair.now, 1000, &mut end.random);
        pair.settle();
        pair.echo();
    }
}

#[test]
fn lifetimes_start_rekeys() {
    let mut pair = Pair::new(|i| policy((i == 0).then_some(97), (i == 1).then_some(30)));
    pair.pass(Duration::from_secs(301));
    assert_eq!(pair.ends[0].count("Rekeyed"), 3);
    assert_eq!(pair.ends[1].count("Rekeyed"), 3);
    assert!(pair.ends[0].count("ChildUp") >= 9, "{}", pair.ends[0].count("ChildUp"));
    pair.echo();
}

#[test]
fn deletes_of_both_kinds() {
    let mut pair = Pair::quiet();
    let end = &mut pair.ends[1];
    end.ike.delete_child(pair.now, 2000, &mut end.random);
    pair.settle();
    assert_eq!((pair.ends[0].count("ChildDown"), pair.ends[1].count("ChildDown")), (1, 1));
    let end = &mut pair.ends[0];
    end.ike.delete(pair.now, &mut end.random);
    pair.settle();
    assert_eq!((pair.ends[0].count("Deleted"), pair.ends[1].count("DeletedByPeer")), (1, 1));
}

#[test]
fn a_rekey_of_an_unknown_child_and_an_additional_child_are_refused() {
    let mut pair = Pair::quiet();
    let request = vec![
        Payload::Sa(Algorithms::esp().esp_proposals(777, false)),
        Payload::Nonce(vec![9; 32]),
        Payload::TsI(vec![TrafficSelector::any_v4()]),
        Payload::TsR(vec![TrafficSelector::any_v4()]),
    ];
    let end = &mut pair.ends[0];
    end.ike.current.sa.request(pair.now, Exchange::CreateChildSa, request, &mut end.random);
    end.ike.current.pending.push_back(Pending::Liveness);
    pair.settle();
    assert_eq!(pair.ends[1].count("ChildUp"), 0);
    assert_eq!(pair.ends[0].count("Answered"), 1);
}

#[test]
fn replayed_and_damaged_datagrams_change_nothing() {
    let mut pair = Pair::quiet();
    let end = &mut pair.ends[0];
    end.ike.rekey_child(pair.now, 1000, &mut end.random);
    pair.collect();
    let (_, request) = pair.wire.front().cloned().expect("a request");
    for at in 0..request.len() {
        let mut damaged = request.clone();
        damaged[at] ^= 0x10;
        let end = &mut pair.ends[1];
        assert!(end.ike.handle_datagram(pair.now, &damaged, &mut end.random).is_err(), "octet {at}");
    }
    for length in 0..request.len() {
        let end = &mut pair.ends[1];
        assert!(end.ike.handle_datagram(pair.now, &request[..length], &mut end.random).is_err());
    }
    assert!(pair.ends[1].ike.poll_datagram().is_none());
    pair.settle();
    assert_eq!(pair.ends[1].count("ChildUp"), 1);
    // The same request again: the stored answer, and no second Child SA.
    let end = &mut pair.ends[1];
    let again = end.ike.handle_datagram(pair.now, &request, &mut end.random);
    assert_ne!(again, Ok(Authentic::New));
    assert_eq!(pair.ends[1].count("ChildUp"), 1);
}

#[test]
fn a_peer_that_wants_no_pfs_is_rekeyed_without() {
    let mut pair = Pair::new(|index| {
        let mut policy = policy(None, None);
        if index == 1 {
            policy.esp.groups.clear();
        }
        policy
    });
    let end = &mut pair.ends[0];
    end.ike.rekey_child(pair.now, 1000, &mut end.random);
    pair.settle();
    pair.echo();
    assert_eq!((pair.ends[0].count("ChildUp"), pair.ends[1].count("ChildUp")), (1, 1));
}
