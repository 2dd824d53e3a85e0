use super::*;
use crate::gateway::sessions::State;
use crate::ike::message::{ConfigAttribute, cfg_kind};
use std::net::Ipv6Addr;

fn session(address6: Option<Ipv6Addr>) -> Session {
    Session {
        credentials: None,
        user: "test".into(),
        address4: [192, 168, 20, 5].into(),
        address6,
        dpd_heard: false,
        grant: Default::default(),
        tickets: Vec::new(),
        state: State::Active(1),
    }
}

fn payloads(ts_i: Vec<TrafficSelector>, ts_r: Vec<TrafficSelector>) -> Vec<Payload> {
    let attributes = vec![ConfigAttribute::request(1)];
    vec![
        Payload::Cp(Configuration { kind: cfg_kind::REQUEST, attributes }),
        Payload::Sa(Algorithms::esp().esp_proposals(0x1000, false)),
        Payload::TsI(ts_i),
        Payload::TsR(ts_r),
    ]
}

fn agree(
    ts_i: Vec<TrafficSelector>,
    ts_r: Vec<TrafficSelector>,
    session: &Session,
) -> Result<Agreed, (Refusal, u16)> {
    ChildRequest::read(&payloads(ts_i, ts_r)).unwrap().agree(&Algorithms::esp(), 0x2000, session)
}

#[test]
fn selectors_are_narrowed_to_the_assigned_addresses_of_both_families() {
    let (v4, v6) = (TrafficSelector::any_v4(), TrafficSelector::any_v6());
    let inner6: Ipv6Addr = "fd00::5".parse().unwrap();
    let hosts = [TrafficSelector::host([192, 168, 20, 5].into()), TrafficSelector::host(inner6.into())];
    let both = agree(vec![v4, v6], vec![v4, v6], &session(Some(inner6))).unwrap();
    assert_eq!((both.spi_out, both.ts_i, both.ts_r), (0x1000, hosts.to_vec(), vec![v4, v6]));
    let only4 = agree(vec![v4, v6], vec![v4, v6], &session(None)).unwrap();
    assert_eq!((only4.ts_i, only4.ts_r), (vec![hosts[0]], vec![v4]), "no IPv6 without an address");
    let split = TrafficSelector { addresses: ([10, 0, 0, 0].into(), [10, 255, 255, 255].into()), ..v4 };
    let narrow = agree(vec![hosts[0]], vec![split], &session(None)).unwrap();
    assert_eq!((narrow.ts_i, narrow.ts_r), (vec![hosts[0]], vec![split]));
}

#[test]
fn selectors_that_do_not_fit_and_unknown_suites_are_refused() {
    let (v4, v6) = (TrafficSelector::any_v4(), TrafficSelector::any_v6());
    let other = TrafficSelector::host([192, 168, 20, 6].into());
    for (ts_i, ts_r) in
        [(vec![other], vec![v4]), (vec![v6], vec![v6]), (vec![v4], vec![v6]), (vec![], vec![])]
    {
        let refused = agree(ts_i, ts_r, &session(None)).unwrap_err();
        assert_eq!(refused, (Refusal::Selectors, notify::TS_UNACCEPTABLE));
    }
    let mut own = Algorithms::esp();
    own.encr.clear();
    let request = ChildRequest::read(&payloads(vec![v4], vec![v4])).unwrap();
    let refused = request.agree(&own, 1, &session(None)).unwrap_err();
    assert_eq!(refused, (Refusal::Proposal, notify::NO_PROPOSAL_CHOSEN));
}

#[test]
fn every_payload_is_needed_and_the_answer_is_bounded() {
    let v4 = TrafficSelector::any_v4();
    for missing in 0..4 {
        let mut payloads = payloads(vec![v4], vec![v4]);
        payloads.remove(missing);
        assert!(ChildRequest::read(&payloads).is_none(), "without payload {missing}");
    }
    let many = (0..255).map(|n| TrafficSelector::host([10, 0, 0, n].into())).collect();
    assert_eq!(agree(vec![v4], many, &session(None)).unwrap().ts_r.len(), SELECTORS);
}
