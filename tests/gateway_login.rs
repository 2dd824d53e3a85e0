//! The whole life of a session at the gateway, seen by a client written by hand: login, ping, DPD, reconnect, end.

mod gateway_peer;

use gateway_peer::eap::Said;
use gateway_peer::world::{World, client};
use gateway_peer::{ANYCONNECT, ASKED, Given, Offer, Peer, id};
use ikeep::crypto::Secret;
use ikeep::gateway::{DownReason, GatewayEvent, Refusal, User};
use ikeep::ike::message::{Payload, find_notify, notify};
use std::time::Duration;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn is_refused(payloads: &[Payload]) -> bool {
    payloads.len() == 1 && find_notify(payloads, notify::AUTHENTICATION_FAILED).is_some()
}

#[test]
fn a_login_with_a_password_form_ends_in_a_tunnel() {
    let mut world = World::with(|config| config.banner = Some("Be <nice> & quiet".into()));
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    for part in ["name=\"username\"", "name=\"password\"", "type=\"password\"", "<auth id=\"main\">"] {
        assert!(form.xml().contains(part), "{part} in {form:?}");
    }
    assert!(!form.xml().contains("group_list"), "{form:?}");
    let complete = peer.password(&mut world, &form, "test", "cisco");
    assert!(complete.xml().contains("<banner>Be &lt;nice&gt; &amp; quiet</banner>"), "{complete:?}");
    let given = peer.finish(&mut world, &complete);
    assert_eq!(given.address, Some([192, 168, 20, 5].into()));
    assert_eq!(given.attribute(3), Some(&[192, 168, 10, 53][..]));
    assert_eq!(given.attribute(28_672), Some(&b"Be <nice> & quiet"[..]));
    assert_eq!(given.attribute(28_674), Some(&b"example.com"[..]));
    assert_eq!(given.attribute(28_676), Some(&[192, 168, 10, 0, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0][..]));
    assert_eq!(given.session_id.as_ref().map(Vec::len), Some(18));
    assert!(given.token.as_ref().is_some_and(|token| token.len() >= 32));

    assert_eq!(peer.ping(&mut world, 1), Some(client(2)));
    peer.dpd(&mut world);
    let counters = world.gateway.counters();
    assert_eq!((counters.aaa_requests, counters.active, counters.half_open), (1, 1, 0));
    assert_eq!((counters.drops.len(), counters.refusals.len()), (0, 0));
    let told = world.told();
    assert!(matches!(&told[0], GatewayEvent::Login { user, aaa_requests: 1, .. } if user == "test"));
    assert!(matches!(&told[1], GatewayEvent::SaUp { number: 1, reconnect: false, .. }), "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn show_prints_what_the_router_would() {
    let mut world = World::new();
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    for sequence in 1..=15 {
        assert!(peer.ping(&mut world, sequence).is_some());
    }
    world.pass(secs(15));
    let detail = world.gateway.show_session_detail(world.now);
    for line in [
        "Interface: Virtual-Access1",
        "Profile: AnyConnect-EAP",
        "Uptime: 00:00:15",
        "Peer: 10.9.0.2 port 40002 fvrf: (none) ivrf: (none)",
        "Phase1_id: *$AnyConnectClient$*",
        "Session ID: 1",
        "IKEv2 SA: local 10.9.0.1/4500 remote 10.9.0.2/40002 Active",
        "Capabilities:DN connid:1 lifetime:23:59:45",
        "IPSEC FLOW: permit ip 0.0.0.0/0.0.0.0 host 192.168.20.5",
        "Active SAs: 2, origin: crypto map",
        "Inbound: #pkts dec'ed 15 drop 0 life (KB/Sec) 4608000/3585",
        "Outbound: #pkts enc'ed 15 drop 0 life (KB/Sec) 4608000/3585",
    ] {
        assert!(detail.lines().any(|l| l == line), "{line:?} is missing in\n{detail}");
    }
    let detailed = world.gateway.show_ikev2_session_detailed(world.now);
    let spi = |spi: [u8; 8]| format!("{:016X}", u64::from_be_bytes(spi));
    let child = peer.child.as_ref().expect("a Child SA");
    for line in [
        "Encr: AES-CBC, keysize: 256, PRF: SHA512, Hash: SHA512, DH Grp:19, Auth sign: RSA, Auth verify: AnyConnect-EAP",
        "Life/Active Time: 86400/15 sec",
        &format!("Local spi: {} Remote spi: {}", spi(peer.spi_r), spi(peer.spi_i)),
        "Local id: 10.9.0.1",
        "Remote EAP id: test",
        "DPD configured for 45 seconds, retry 2",
        "NAT-T is detected outside",
        "Assigned host addr: 192.168.20.5",
        "remote selector 192.168.20.5/0 - 192.168.20.5/65535",
        &format!("ESP spi in/out: 0x{:X}/0x{:X}", child.spi_out(), child.spi_in()),
        "Encr: AES-CBC, keysize: 256, esp_hmac: SHA384",
    ] {
        assert!(detailed.lines().any(|l| l == line), "{line:?} is missing in\n{detailed}");
    }
    peer.dpd(&mut world);
    let detailed = world.gateway.show_ikev2_session_detailed(world.now);
    let next = "Local next msg id: 0 Remote next msg id: 7";
    assert!(detailed.contains(next), "{detailed}");
}

#[test]
fn a_lenient_gateway_lets_a_token_replace_a_live_sa() {
    let mut world = World::new();
    let (mut old, given) = Peer::login(&mut world, client(2), 1);
    assert!(old.ping(&mut world, 1).is_some());
    world.told();

    let (mut new, answer) = Peer::reconnect(&mut world, client(3), &given, 2);
    assert_eq!(new.verify_gateway(&world, &answer), 14);
    let again = new.take(&answer);
    assert_eq!(new.round_trips, 2);
    assert_eq!((again.address, &again.session_id), (given.address, &given.session_id));
    assert!(again.token == given.token);
    let told = world.told();
    assert!(matches!(&told[0], GatewayEvent::Reconnect { replaced: true, .. }), "{told:?}");
    let replaced = DownReason::Replaced;
    assert!(matches!(&told[1], GatewayEvent::SaDown { number: 1, why, kept: true, .. } if *why == replaced));
    assert!(matches!(&told[2], GatewayEvent::SaUp { number: 2, reconnect: true, .. }), "{told:?}");

    // What was under way on the old pair still comes in; the answer goes out on the new one, to the new address.
    let late = old.seal_ping([192, 168, 10, 1], 2);
    let answers = world.esp(client(2), late);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].to, client(3));
    assert_eq!(new.open_pong(&answers[0].payload), Some(2));
    assert_eq!(new.ping(&mut world, 3), Some(client(3)));
    // The old IKE SA has gone without a word.
    let request = old.seal(ikeep::ike::message::Exchange::Informational, &[]);
    assert!(world.ike(client(2), &request).is_empty());
    world.pass(secs(6));
    let late = old.seal_ping([192, 168, 10, 1], 4);
    assert!(world.esp(client(2), late).is_empty());

    let counters = world.gateway.counters();
    assert_eq!(counters.aaa_requests, 1);
    assert_eq!((counters.reconnects, counters.reconnects_ok, counters.reconnects_failed), (1, 1, 0));
    assert_eq!((counters.active, counters.inactive), (1, 0));
    let detail = world.gateway.show_session_detail(world.now);
    assert!(detail.contains("\nCapabilities:DNR connid:1 "), "{detail}");
    let hex: String = given.session_id.iter().flatten().map(|b| format!("{b:02X}")).collect();
    assert!(detail.contains(&format!("\nPhase1_id: {hex}\n")), "{detail}");
    assert_eq!(detail.matches("Interface:").count(), 1, "{detail}");
    let detailed = world.gateway.show_ikev2_session_detailed(world.now);
    assert!(detailed.contains("Auth verify: PSK\n"), "{detailed}");
    assert!(world.gateway.show_stats_reconnect().starts_with("Total incoming reconnect connection: 1\n"));
}

#[test]
fn a_strict_gateway_finds_inactive_sessions_only() {
    let mut world = World::with(|config| config.lenient = false);
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    peer.dpd(&mut world);
    let (_, answer) = Peer::reconnect(&mut world, client(3), &given, 2);
    assert!(is_refused(&answer), "{answer:?}");
    assert!(peer.ping(&mut world, 1).is_some(), "the live SA is as it was");

    // The client falls silent: the gateway asks, gives up, and keeps the session.
    let quiet = world.pass(secs(44));
    assert!(quiet.is_empty(), "nothing is asked before the interval is over");
    let asked = world.pass(secs(100));
    assert_eq!(asked.len(), 5, "one DPD, five transmissions");
    assert!(asked.iter().all(|t| t.payload == asked[0].payload && t.to == client(2)));
    let counters = world.gateway.counters();
    assert_eq!((counters.active, counters.inactive), (0, 1));
    let dead = |e: &GatewayEvent| matches!(e, GatewayEvent::SaDown { why: DownReason::Dead, kept: true, .. });
    assert!(world.told().iter().any(dead));

    let (mut peer, answer) = Peer::reconnect(&mut world, client(3), &given, 3);
    peer.verify_gateway(&world, &answer);
    assert_eq!(peer.take(&answer).address, given.address);
    assert_eq!(peer.ping(&mut world, 2), Some(client(3)));
    let counters = world.gateway.counters();
    assert_eq!((counters.reconnects, counters.reconnects_ok, counters.reconnects_failed), (2, 1, 1));
    assert_eq!((counters.aaa_requests, counters.active, counters.inactive), (1, 1, 0));
}

#[test]
fn dpd_is_on_demand() {
    let mut world = World::new();
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    assert!(world.pass(secs(600)).is_empty(), "it has not heard a DPD yet");
    peer.dpd(&mut world);
    world.pass(secs(40));
    assert!(peer.ping(&mut world, 1).is_some());
    assert!(world.pass(secs(44)).is_empty(), "ESP is a sign of life");
    let asked = world.pass(secs(1));
    assert_eq!(asked.len(), 1);
    let payloads = peer.answer_request(&mut world, &asked[0].payload[4..]);
    assert_eq!(payloads, []);
    assert!(world.pass(secs(44)).is_empty(), "the answer counts");
    assert_eq!(world.gateway.counters().active, 1);
}

#[test]
fn a_session_ends_with_its_window() {
    let mut world = World::new();
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    peer.dpd(&mut world);
    world.pass(secs(45 + 60));
    assert_eq!(world.gateway.counters().inactive, 1);
    world.pass(secs(900));
    let expired = |e: &GatewayEvent| matches!(e, GatewayEvent::Expired { id } if Some(id.as_bytes()) == given.session_id.as_deref());
    assert!(world.told().iter().any(expired));
    let (_, answer) = Peer::reconnect(&mut world, client(2), &given, 2);
    assert!(is_refused(&answer), "{answer:?}");
    let (_, given) = Peer::login(&mut world, client(3), 3);
    assert_eq!(given.address, Some([192, 168, 20, 5].into()), "the address is free again");
}

#[test]
fn a_wrong_token_an_unknown_session_and_another_id_type_look_alike() {
    let mut world = World::new();
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    let wrong =
        Given { token: Some(Secret::from(&b"not the token at all, not at all"[..])), ..given.clone() };
    let unknown = Given { session_id: Some(b"rIUHKccDRiUtFTATwq".to_vec()), ..given.clone() };
    for (seed, given) in [(2, &wrong), (3, &unknown)] {
        let (_, answer) = Peer::reconnect(&mut world, client(3), given, seed);
        assert!(is_refused(&answer), "{answer:?}");
    }
    let mut other = Peer::init(&mut world, client(3), Offer::default(), 4);
    let session = given.session_id.clone().unwrap_or_default();
    let answer = other.first_auth(&mut world, id(2, &session), given.token.as_ref(), &[(1, &[])]);
    assert!(is_refused(&answer), "{answer:?}");
    let mut stranger = Peer::init(&mut world, client(3), Offer::default(), 5);
    let answer = stranger.first_auth(&mut world, id(11, b"somebody"), None, &[(1, &[])]);
    assert!(is_refused(&answer), "{answer:?}");

    assert!(peer.ping(&mut world, 1).is_some(), "nothing happened to the session");
    let counters = world.gateway.counters();
    assert_eq!((counters.reconnects, counters.reconnects_failed, counters.aaa_requests), (3, 3, 1));
    assert_eq!(counters.refusals.get(&Refusal::Token), Some(&3));
    assert_eq!(counters.refusals.get(&Refusal::Identity), Some(&1));
    world.pass(secs(10));
    assert_eq!(world.gateway.counters().half_open, 0);
}

#[test]
fn both_types_of_the_first_id_are_taken_and_method_1_without_rfc_7427() {
    let mut world = World::new();
    for (seed, kind, hashes) in [(1, 11, true), (2, 201, false)] {
        let offer = Offer { hashes, ..Offer::default() };
        let mut peer = Peer::init(&mut world, client(2), offer, seed);
        let answer = peer.first_auth(&mut world, id(kind, ANYCONNECT), None, &[(1, &[])]);
        assert_eq!(peer.verify_gateway(&world, &answer), if hashes { 14 } else { 1 });
    }
}

#[test]
fn a_wrong_password_brings_the_form_again_and_the_third_ends_the_login() {
    let mut world = World::new();
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    let again = peer.password(&mut world, &form, "test", "Cisco");
    assert!(
        again.xml().contains("<error id=\"13\" param1=\"\" param2=\"\">Login failed.</error>"),
        "{again:?}"
    );
    let complete = peer.password(&mut world, &again, "test", "cisco");
    peer.finish(&mut world, &complete);
    assert_eq!(world.gateway.counters().aaa_requests, 2);

    let (mut peer, mut form) = Peer::begin(&mut world, client(3), Offer::default(), 2);
    for _ in 0..2 {
        form = peer.password(&mut world, &form, "nobody", "cisco");
    }
    assert_eq!(peer.password(&mut world, &form, "nobody", "cisco"), Said::Failure);
    let counters = world.gateway.counters();
    assert_eq!(counters.refusals.get(&Refusal::Password), Some(&3));
    assert_eq!(counters.refusals.get(&Refusal::TooManyTries), Some(&1));
    assert_eq!((counters.active, counters.half_open), (1, 1));
    world.pass(secs(10));
    assert_eq!(world.gateway.counters().half_open, 0);
}

#[test]
fn second_factor_and_groups() {
    let mut world = World::with(|config| {
        let mut user = User::with_password("cisco");
        user.second_factor = Some(Secret::from(&b"123456"[..]));
        user.groups = vec!["staff".into()];
        config.users.insert("test".into(), user);
        config.groups = vec!["guests".into(), "staff".into()];
    });
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    assert!(form.xml().contains("<select name=\"group_list\""), "{form:?}");
    assert!(form.xml().contains(">staff</option>"), "{form:?}");
    let fields = "<username>test</username><password>cisco</password>";
    let guests = "<group-select>guests</group-select>";
    let again = peer.answer(&mut world, &form, fields, guests);
    assert!(again.xml().contains("Login failed."), "not a member: {again:?}");
    let staff = "<group-select>staff</group-select>";
    let second = peer.answer(&mut world, &again, fields, staff);
    assert!(second.xml().contains("<auth id=\"challenge\">"), "{second:?}");
    let second = peer.answer(&mut world, &second, "<password>654321</password>", staff);
    assert!(second.xml().contains("<auth id=\"challenge\">") && second.xml().contains("Login failed."));
    let complete = peer.answer(&mut world, &second, "<password>123456</password>", staff);
    peer.finish(&mut world, &complete);
    assert_eq!(world.gateway.counters().aaa_requests, 4);
    let login = world.told().into_iter().find(|e| matches!(e, GatewayEvent::Login { .. }));
    assert_eq!(
        login,
        Some(GatewayEvent::Login { user: "test".into(), group: Some("staff".into()), aaa_requests: 4 })
    );
}

#[test]
fn an_opaque_that_is_not_echoed_and_a_message_out_of_turn_end_the_login() {
    let mut world = World::new();
    let (mut peer, form) = Peer::begin(&mut world, client(2), Offer::default(), 1);
    let body = "<opaque is-for=\"sg\">other</opaque><auth><username>test</username><password>cisco</password></auth>";
    assert_eq!(peer.say(&mut world, &form, "auth-reply", body), Said::Failure);
    let (mut peer, form) = Peer::begin(&mut world, client(3), Offer::default(), 2);
    assert_eq!(peer.say(&mut world, &form, "ack", ""), Said::Failure);
    let counters = world.gateway.counters();
    assert_eq!((counters.aaa_requests, counters.refusals.get(&Refusal::Eap)), (0, Some(&2)));
}

#[test]
fn the_address_of_the_request_is_honoured_and_the_pool_has_an_end() {
    let mut world = World::new();
    let asked = |seed: u64, world: &mut World, want: [u8; 4]| {
        let mut peer = Peer::init(world, client(seed as u8), Offer::default(), seed);
        let form = peer.begin_eap(world, &[(1, &want), (28_728, &[])]);
        let complete = peer.password(world, &form, "test", "cisco");
        peer.finish(world, &complete)
    };
    assert_eq!(asked(2, &mut world, [192, 168, 20, 8]).address, Some([192, 168, 20, 8].into()));
    let taken = asked(3, &mut world, [192, 168, 20, 8]);
    assert_eq!(taken.address, Some([192, 168, 20, 5].into()));
    assert!(taken.session_id.is_some() && taken.token.is_none(), "only what was asked for");
    for seed in 4..8 {
        asked(seed, &mut world, [0; 4]);
    }
    let (mut peer, form) = Peer::begin(&mut world, client(9), Offer::default(), 9);
    let complete = peer.password(&mut world, &form, "test", "cisco");
    assert_eq!(peer.say(&mut world, &complete, "ack", ""), Said::Success);
    let answer = peer.final_auth_refused(&mut world);
    assert!(find_notify(&answer, notify::INTERNAL_ADDRESS_FAILURE).is_some(), "{answer:?}");
    assert_eq!(world.gateway.counters().refusals.get(&Refusal::PoolEmpty), Some(&1));
}

#[test]
fn a_delete_ends_the_session_where_the_dialect_says_so() {
    let mut world = World::new();
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    peer.delete(&mut world);
    let again = peer.last.clone();
    assert_eq!(world.ike(client(2), &again).len(), 1, "a repeated DELETE is answered again");
    let counters = world.gateway.counters();
    assert_eq!((counters.active, counters.inactive), (0, 0));
    assert!(world.esp(client(2), peer.seal_ping([192, 168, 10, 1], 1)).is_empty());
    world.pass(secs(11));
    assert!(world.ike(client(2), &again).is_empty(), "and then forgotten");
    let (_, answer) = Peer::reconnect(&mut world, client(2), &given, 2);
    assert!(is_refused(&answer));
    assert_eq!(Peer::login(&mut world, client(3), 3).1.address, given.address);

    let mut world = World::with(|config| config.dialect.delete_ends_session = false);
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    peer.delete(&mut world);
    assert_eq!(world.gateway.counters().inactive, 1);
    let (mut peer, answer) = Peer::reconnect(&mut world, client(2), &given, 2);
    assert_eq!(peer.take(&answer).address, given.address);
}

#[test]
fn without_reconnect_no_session_is_handed_out() {
    let mut world = World::with(|config| config.reconnect_timeout = None);
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    assert!(given.session_id.is_none() && given.token.is_none());
    peer.dpd(&mut world);
    world.pass(secs(200));
    let counters = world.gateway.counters();
    assert_eq!((counters.active, counters.inactive), (0, 0));
    assert_eq!(Peer::login(&mut world, client(3), 2).1.address, given.address, "the address is free");
}

#[test]
fn a_rekeyed_child_takes_over_once_it_was_used() {
    let mut world = World::new();
    let (mut peer, _) = Peer::login(&mut world, client(2), 1);
    assert!(peer.ping(&mut world, 1).is_some());
    let mut old = peer.rekey_child(&mut world);
    // Nothing came on the new pair yet: the gateway answers on the old one.
    std::mem::swap(&mut old, peer.child.as_mut().expect("a Child SA"));
    assert!(peer.ping(&mut world, 2).is_some());
    std::mem::swap(&mut old, peer.child.as_mut().expect("a Child SA"));
    assert!(peer.ping(&mut world, 3).is_some(), "answered on the new pair");
    let mut last = std::mem::replace(peer.child.as_mut().expect("a Child SA"), old);
    let late = peer.seal_ping([192, 168, 10, 1], 4);
    std::mem::swap(&mut last, peer.child.as_mut().expect("a Child SA"));
    let answers = world.esp(client(2), late);
    assert_eq!(peer.open_pong(&answers[0].payload), Some(4), "a late packet is still taken");
}

#[test]
fn the_gateway_follows_a_client_behind_a_nat() {
    let mut world = World::new();
    let (mut peer, given) = Peer::login(&mut world, client(2), 1);
    let ping = peer.seal_ping([192, 168, 10, 1], 1);
    world.told();
    peer.from = client(77);
    assert_eq!(peer.ping(&mut world, 2), Some(client(77)), "ESP from a new address moves the path");
    assert_eq!(world.told(), [GatewayEvent::Moved { number: 1, peer: client(77) }]);
    let mut replayed = ping.clone();
    replayed[20] ^= 1;
    world.esp(client(66), replayed);
    assert_eq!(world.told(), [], "forged ESP moves nothing");
    assert_eq!(world.esp(client(77), ping.clone()).len(), 1);
    assert!(world.esp(client(66), ping).is_empty(), "nor does a replay");
    peer.from = client(78);
    peer.dpd(&mut world);
    let again = peer.last.clone();
    assert_eq!(
        world.ike(client(66), &again)[0].to,
        client(66),
        "the answer goes to where the request came from"
    );
    assert_eq!(world.told(), [GatewayEvent::Moved { number: 1, peer: client(78) }], "and teaches nothing");

    let offer = Offer { nat: false, ..Offer::default() };
    let mut fixed = Peer::init(&mut world, client(5), offer, 2);
    let session = given.session_id.clone().unwrap_or_default();
    let asked = ASKED.map(|kind| (kind, &[][..]));
    let answer = fixed.first_auth(&mut world, id(11, &session), given.token.as_ref(), &asked);
    fixed.take(&answer);
    fixed.from = client(6);
    assert_eq!(fixed.ping(&mut world, 3), Some(client(5)), "without a NAT the path stays");
}
