use super::*;
use crate::crypto::Secret;
use crate::gateway::sessions::{Credentials, State};
use crate::gateway::testing;
use crate::plan::Net;
use std::time::Duration;

fn request(kinds: &[u16]) -> Configuration {
    let attributes = kinds.iter().map(|kind| ConfigAttribute { kind: *kind, value: Vec::new() }).collect();
    Configuration { kind: cfg_kind::REQUEST, attributes }
}

fn session(reconnect: bool) -> Session {
    let credentials =
        Credentials { id: "rIUHKccDRiUtFTATwq".into(), token: Secret::from(&b"token-token-token"[..]) };
    Session {
        credentials: reconnect.then_some(credentials),
        user: "test".into(),
        address4: Ipv4Addr::new(192, 168, 20, 5),
        address6: None,
        dpd_heard: false,
        grant: Default::default(),
        tickets: Vec::new(),
        state: State::Active(1),
    }
}

#[test]
fn the_seeds_answer() {
    let config = testing::config();
    let asked = request(&[1, 2, 3, 8, 28_672, 28_674, 28_676, 28_728, 28_729]);
    let answer = reply(&config, &asked, &session(true));
    assert_eq!(answer.kind, 2);
    assert_eq!(answer.find(1), Some(&[192, 168, 20, 5][..]));
    assert_eq!(answer.find(2), Some(&[255, 255, 255, 255][..]));
    assert_eq!(answer.find(8), None);
    assert_eq!(answer.find(28_672), None);
    assert_eq!(answer.find(28_674), Some(&b"example.com"[..]));
    assert_eq!(answer.find(28_676), Some(&[192, 168, 10, 0, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0][..]));
    assert_eq!(answer.find(28_728), Some(&b"rIUHKccDRiUtFTATwq"[..]));
    assert_eq!(answer.find(28_729), Some(&b"token-token-token"[..]));
}

#[test]
fn networks_outside_the_tunnel_and_the_word_for_local_ones() {
    let mut config = testing::config();
    let net = |a, prefix| Net::new(Ipv4Addr::from(a).into(), prefix).unwrap();
    config.exclude = vec![net([0, 0, 0, 0], 32), net([172, 16, 0, 0], 12)];
    let answer = reply(&config, &request(&[1, 28_678]), &session(true));
    let local = [0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0];
    let other = [172, 16, 0, 0, 255, 240, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(answer.find(28_678), Some(&[local, other].concat()[..]));
}

#[test]
fn nothing_is_given_that_was_not_asked_for() {
    let config = testing::config();
    let answer = reply(&config, &request(&[1]), &session(true));
    assert_eq!(answer.attributes.iter().map(|a| a.kind).collect::<Vec<_>>(), [1]);
    let answer = reply(&config, &request(&[1, 28_728, 28_729]), &session(false));
    assert_eq!(answer.attributes.iter().map(|a| a.kind).collect::<Vec<_>>(), [1]);
}

#[test]
fn the_dialects_numbers_and_times() {
    let mut config = testing::config();
    config.dialect.session_id_attribute = 28_731;
    config.dialect.session_token_attribute = 28_733;
    config.dialect.window_attribute = Some(28_720);
    config.dialect.dpd_interval_attribute = Some(28_721);
    config.reconnect_timeout = Some(Duration::from_secs(900));
    let answer = reply(&config, &request(&[28_720, 28_721, 28_728, 28_731, 28_733]), &session(true));
    assert_eq!(answer.find(28_720), Some(&900u32.to_be_bytes()[..]));
    assert_eq!(answer.find(28_721), Some(&45u32.to_be_bytes()[..]));
    assert_eq!(answer.find(28_728), None);
    assert_eq!(answer.find(28_731), Some(&b"rIUHKccDRiUtFTATwq"[..]));
    assert!(answer.find(28_733).is_some());
}

#[test]
fn a_request_may_name_an_address() {
    let mut asked = request(&[]);
    let mut ask = |kind, value: &[u8]| asked.attributes.push(ConfigAttribute { kind, value: value.to_vec() });
    ask(1, &[192, 168, 20, 7]);
    ask(8, &[0; 17]);
    let wanted = AddressRequest::of(&asked);
    assert_eq!(wanted.v4, Some(Some(Ipv4Addr::new(192, 168, 20, 7))));
    assert_eq!(wanted.v6, Some(None));
    assert_eq!(AddressRequest::of(&request(&[1])), AddressRequest { v4: Some(None), v6: None });
}
