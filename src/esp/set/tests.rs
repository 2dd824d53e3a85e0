use super::*;
use crate::esp::testing::{SUITE, SUITES, Seeded, datagram, ends, frame, params, sealed};
use crate::esp::{OpenError, SealError};
use std::time::Duration;

fn at(seconds: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(seconds))
}

/// Our end in a set, and the peer's end.
fn pair(spi: u32) -> (SaPair, SaPair) {
    ends(params(SUITES[7], false, spi))
}

/// The outbound SPI of the next packet.
fn sends_on(set: &mut SaSet) -> Result<u32, SealError> {
    let mut frame = frame(&datagram(true, b"x"));
    let range = set.seal(&mut frame, &mut Seeded::new(1))?;
    Ok(spi_of(&frame[range]).unwrap())
}

fn receive(set: &mut SaSet, peer: &mut SaPair) -> Result<u32, OpenError> {
    let mut packet = sealed(peer, &datagram(true, b"y"));
    set.open(&mut packet).map(|(spi, range)| {
        assert_eq!(packet[range], datagram(true, b"y"));
        spi
    })
}

#[test]
fn a_new_pair_sends_and_both_receive() {
    let mut set = SaSet::default();
    assert_eq!(sends_on(&mut set), Err(SealError::NoSa));
    let ((old, mut old_peer), (new, mut new_peer)) = (pair(100), pair(200));
    set.install(old);
    assert_eq!(sends_on(&mut set), Ok(101));
    set.install(new);
    assert_eq!(sends_on(&mut set), Ok(201));
    assert_eq!((receive(&mut set, &mut old_peer), receive(&mut set, &mut new_peer)), (Ok(100), Ok(200)));
    assert_eq!(set.spis(), [100, 200]);

    set.retire(100, at(10));
    assert_eq!(set.poll_timeout(), Some(at(10)));
    set.handle_timeout(at(9));
    assert_eq!(receive(&mut set, &mut old_peer), Ok(100));
    set.handle_timeout(at(10));
    assert_eq!(receive(&mut set, &mut old_peer), Err(OpenError::UnknownSpi(100)));
    assert_eq!((set.spis(), set.poll_timeout()), (vec![200], None));
    assert_eq!(sends_on(&mut set), Ok(201));
}

#[test]
fn a_responder_sends_on_the_new_pair_once_promoted() {
    let mut set = SaSet::default();
    set.install(pair(100).0);
    let (new, mut peer) = pair(200);
    set.install_inbound(new);
    assert_eq!((sends_on(&mut set), receive(&mut set, &mut peer)), (Ok(101), Ok(200)));
    assert!(!set.promote(300));
    assert_eq!(sends_on(&mut set), Ok(101));
    assert!(set.promote(200));
    assert_eq!(sends_on(&mut set), Ok(201));
}

#[test]
fn a_pair_that_only_receives_does_not_send_by_itself() {
    let mut set = SaSet::default();
    set.install_inbound(pair(100).0);
    set.handle_timeout(at(1));
    assert_eq!(sends_on(&mut set), Err(SealError::NoSa));
    assert!(set.current().is_none() && set.get(100).is_some());
}

#[test]
fn the_newest_inherits() {
    let three = || {
        let mut set = SaSet::default();
        for spi in [100, 200, 300] {
            set.install(pair(spi).0);
        }
        set
    };
    let mut set = three();
    set.retire(300, at(10));
    assert_eq!(sends_on(&mut set), Ok(201), "retired: the newest of the others");
    set.remove(200);
    assert_eq!(sends_on(&mut set), Ok(101), "one that stays goes before one that retires");
    set.remove(100);
    assert_eq!(sends_on(&mut set), Ok(301), "better than nothing");
    set.handle_timeout(at(10));
    assert_eq!(sends_on(&mut set), Err(SealError::NoSa));
    assert!(set.is_empty());

    let mut set = three();
    set.retire(100, at(5));
    set.retire(999, at(1));
    assert_eq!((sends_on(&mut set), set.poll_timeout()), (Ok(301), Some(at(5))));
    set.retire(100, at(50));
    assert_eq!(set.poll_timeout(), Some(at(5)), "the earlier time counts");
    set.retire(200, at(3));
    assert_eq!(set.poll_timeout(), Some(at(3)));
}

#[test]
fn the_last_pair_sends_to_its_end() {
    let mut set = SaSet::default();
    set.install(pair(100).0);
    set.retire(100, at(5));
    assert_eq!(sends_on(&mut set), Ok(101));
    set.handle_timeout(at(5));
    assert_eq!(sends_on(&mut set), Err(SealError::NoSa));
}

#[test]
fn counters_outlive_their_pairs() {
    let mut set = SaSet::default();
    let ((one, mut peer), (two, _)) = (pair(100), pair(200));
    set.install(one);
    sends_on(&mut set).unwrap();
    receive(&mut set, &mut peer).unwrap();
    let replay = sealed(&mut peer, &datagram(true, b"y"));
    set.open(&mut replay.clone()).unwrap();
    assert_eq!(set.open(&mut replay.clone()), Err(OpenError::Replayed));
    set.install(two);
    sends_on(&mut set).unwrap();
    let length = datagram(true, b"y").len() as u64;
    let expected =
        SaStats { bytes_in: 2 * length, bytes_out: 2 * length, packets_in: 2, packets_out: 2, drops: 1 };
    assert_eq!(set.stats(), expected);
    set.retire(100, at(1));
    set.handle_timeout(at(1));
    assert_eq!(set.stats(), expected);
    // What belongs to no pair is a drop too.
    assert_eq!(set.open(&mut replay.clone()), Err(OpenError::UnknownSpi(100)));
    assert_eq!(set.open(&mut [0; 3]), Err(OpenError::Malformed));
    set.remove(200);
    assert_eq!(set.stats(), SaStats { drops: 3, ..expected });
}

#[test]
fn the_same_spi_again_replaces() {
    let mut set = SaSet::default();
    set.install(ends(params(SUITE, false, 100)).0);
    sends_on(&mut set).unwrap();
    let (new, mut peer) = pair(100);
    set.install(new);
    assert_eq!((set.spis(), sends_on(&mut set)), (vec![100], Ok(101)));
    assert_eq!(receive(&mut set, &mut peer), Ok(100));
    assert_eq!(set.stats().packets_out, 2);
}

/// The old pair is in use until the new one is, and no packet on the way is lost.
#[test]
fn a_hand_over_loses_nothing() {
    let (mut client, mut gateway) = (SaSet::default(), SaSet::default());
    let ((a1, b1), (a2, b2)) = (pair(100), pair(200));
    client.install(a1);
    gateway.install(b1);
    let send = |set: &mut SaSet| {
        let mut frame = frame(&datagram(true, b"x"));
        let range = set.seal(&mut frame, &mut Seeded::new(1)).unwrap();
        frame[range].to_vec()
    };
    let (up, down) = (send(&mut client), send(&mut gateway));
    gateway.install_inbound(b2);
    client.install(a2);
    client.retire(100, at(5));
    let new_up = send(&mut client);
    // The new one overtakes the old.
    let (spi, _) = gateway.open(&mut new_up.clone()).unwrap();
    assert!(gateway.promote(spi));
    gateway.retire(101, at(5));
    assert!(gateway.open(&mut up.clone()).is_ok() && client.open(&mut down.clone()).is_ok());
    let (spi, _) = client.open(&mut send(&mut gateway)).unwrap();
    assert_eq!(spi, 200);
    assert_eq!((client.stats().drops, gateway.stats().drops), (0, 0));
}
