//! What `ikeep profile check` calls honoured: each test changes one setting of the seed's profile and sees another behaviour.

use crate::harness::World;
use ikeep::client::{Event, Order, Settings, Way};
use ikeep::crypto::Hash;
use ikeep::gateway::{GatewayConfig, Refusal};
use ikeep::ike::cert::{CertError, OwnCertificate};
use ikeep::ike::eap::{EapError, EapMethod};
use ikeep::ike::initiator::Failure;
use ikeep::lab::pki::TestKey;
use ikeep::profile::{AuthMethod, NotUsable, Profile};
use ikeep::reconnect::{State, Why};
use std::sync::Arc;
use std::time::Duration;

const SEED: &str = include_str!("../../profiles/flexvpn-c8kv.xml");
const SECOND: Duration = Duration::from_secs(1);
const METHOD: &str = "<AuthMethodDuringIKENegotiation>EAP-AnyConnect</AuthMethodDuringIKENegotiation>";
const PROTOCOL_END: &str = "</PrimaryProtocol>";

/// The seed's profile with `from`, which stands there once, replaced.
fn profile(from: &str, to: &str) -> Profile {
    assert_eq!(SEED.matches(from).count(), 1, "{from}");
    assert_ne!(from, to);
    Profile::parse(SEED.replace(from, to).as_bytes()).expect("a sound profile").0
}

fn seed() -> Profile {
    Profile::parse(SEED.as_bytes()).expect("the seed's profile").0
}

fn with_gateway(profile: &Profile, gateway: impl FnOnce(&mut GatewayConfig)) -> World {
    World::of(profile, 1, gateway, |_: &mut Settings| {}).expect("the host can be used")
}

fn world(profile: &Profile) -> World {
    with_gateway(profile, |_| {})
}

fn connected(profile: &Profile) -> World {
    let mut world = world(profile);
    world.connect(5 * SECOND);
    world
}

/// Why the host cannot be used at all.
fn refused(profile: &Profile) -> NotUsable {
    World::of(profile, 1, |_| {}, |_| {}).err().expect("the host cannot be used")
}

/// Why the first login fails.
fn failure(world: &mut World) -> Failure {
    world.order(Order::Connect);
    world.run_for(5 * SECOND);
    assert!(!world.is_connected(), "{}", world.history());
    let failed = world.events.iter().find_map(|(_, event)| match event {
        Event::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("no failure\n{}", world.history()))
}

#[test]
fn honours_host_address() {
    connected(&seed());
    let mut other = world(&profile("flexvpn-c8kv.example.com", "other.example.com"));
    match failure(&mut other) {
        Failure::Certificate(CertError::Name { expected, .. }) => assert_eq!(expected, "other.example.com"),
        failure => panic!("{failure}"),
    }
    assert_eq!(other.count(|event| matches!(event, Event::Ask(_))), 0, "no password for another machine");
}

#[test]
fn honours_ip_protocol_support() {
    // (what the profile says, the families that the network carries) -> the gateway's address
    for (text, (ipv4, ipv6), expected) in [
        ("IPv4,IPv6", (true, true), Some("10.9.0.1")),
        ("IPv6,IPv4", (true, true), Some("fd09::1")),
        ("IPv4,IPv6", (false, true), Some("fd09::1")),
        ("IPv6,IPv4", (true, false), Some("10.9.0.1")),
        ("IPv6", (true, true), Some("fd09::1")),
        ("IPv6", (true, false), None),
        ("IPv4", (true, true), Some("10.9.0.1")),
        ("IPv4", (false, true), None),
    ] {
        let text = format!("<IPProtocolSupport>{text}<");
        let seed = SEED.replace("<IPProtocolSupport>IPv4,IPv6<", &text);
        let profile = Profile::parse(seed.as_bytes()).expect("a sound profile").0;
        let both = ["fd09::1", "10.9.0.1"].map(|ip| ip.parse().expect("an address"));
        let mut world =
            World::of(&profile, 1, |_| {}, |settings| settings.addresses = both.to_vec()).expect("a host");
        (world.places[0].ipv4, world.places[0].ipv6) = (ipv4, ipv6);
        world.roam();
        if expected.is_none() {
            // It fails while the order is taken, which no random schedule can show.
            let (now, client) = (world.now, world.client.as_mut().expect("the client runs"));
            client.order(now, Order::Connect);
            let told = std::iter::from_fn(|| client.poll_event()).collect::<Vec<_>>();
            assert!(format!("{told:?}").contains("IPProtocolSupport"), "{told:?}");
            assert_eq!((client.poll_transmit(), client.state().name()), (None, "disconnected"), "{text}");
            continue;
        }
        world.order(Order::Connect);
        world.run_for(5 * SECOND);
        let gateway = world.client().status(world.now.at).gateway.map(|gateway| gateway.ip().to_string());
        assert_eq!(gateway.as_deref(), expected, "{text} {ipv4} {ipv6}: {}", world.history());
    }
}

#[test]
fn honours_primary_protocol() {
    connected(&seed());
    let ssl = refused(&profile("<PrimaryProtocol>IPsec", "<PrimaryProtocol>SSL"));
    assert_eq!(ssl, NotUsable::Ssl { host: "IKEv2_Gateway".into() });
}

/// The gateway speaks EAP-AnyConnect alone: a login with another method declines that, and names what it would do.
fn declined(profile: &Profile, wanted: EapMethod) {
    let mut world = world(profile);
    match failure(&mut world) {
        Failure::Eap(EapError::NotOffered { offered, wanted: named }) => {
            assert_eq!((offered.as_str(), named), ("EAP-AnyConnect", wanted));
        }
        failure => panic!("{failure}"),
    }
    assert_eq!(world.count(|event| matches!(event, Event::Ask(_))), 0, "nobody is asked for a password");
}

/// A profile that wants a certificate: without one nothing is sent; with one the login is its signature, which this gateway
/// does not take.
fn certificate(profile: &Profile) {
    let key = rcgen::KeyPair::from_pem(TestKey::User.pem()).expect("a key of the tree");
    let issued = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
    let pem = TestKey::User.pem().as_bytes();
    let own = Arc::new(OwnCertificate::read(issued.pem().as_bytes(), pem, None).expect("a pair"));
    let mut without = world(profile);
    let (now, client) = (without.now, without.client.as_mut().expect("the client runs"));
    client.order(now, Order::Connect);
    let told = format!("{:?}", std::iter::from_fn(|| client.poll_event()).collect::<Vec<_>>());
    assert!(told.contains("OwnCertificate") && client.poll_transmit().is_none(), "{told}");
    let way = Way::Certificate(Some(own));
    let mut with =
        World::of(profile, 1, |_| {}, |settings: &mut Settings| settings.way = way).expect("usable");
    assert!(matches!(failure(&mut with), Failure::Refused { what: "login", .. }), "{}", with.history());
}

#[test]
fn honours_auth_method() {
    connected(&seed());
    for (text, method) in
        [("EAP-MD5", EapMethod::Md5), ("EAP-MSCHAPv2", EapMethod::Mschapv2), ("EAP-GTC", EapMethod::Gtc)]
    {
        declined(&profile(METHOD, &METHOD.replace("EAP-AnyConnect", text)), method);
    }
    declined(&profile(METHOD, ""), EapMethod::Gtc);
    for (text, method) in [("IKE-RSA", AuthMethod::IkeRsa), ("IKE-ECDSA", AuthMethod::IkeEcdsa)] {
        let profile = profile(METHOD, &METHOD.replace("EAP-AnyConnect", text));
        assert_eq!(profile.hosts[0].usable(), Ok(method));
        certificate(&profile);
    }
}

#[test]
fn honours_standard_authentication_only() {
    const TRUE: &str = "<StandardAuthenticationOnly>true";
    let md5 = |only: &str| {
        let text = SEED.replace("EAP-AnyConnect", "EAP-MD5").replace(TRUE, only);
        Profile::parse(text.as_bytes()).expect("a sound profile").0
    };
    declined(&md5(TRUE), EapMethod::Md5);
    // Where it is false the method does not count: the login is EAP-AnyConnect.
    connected(&md5("<StandardAuthenticationOnly>false"));
}

#[test]
fn honours_ike_identity() {
    let usual = connected(&seed());
    let shown = usual.gateway().show_ikev2_session_detailed(usual.now);
    assert!(shown.contains("*$AnyConnectClient$*"), "{shown}");
    // The gateway knows logins by the usual identity only, so it refuses another one: that is what reached it.
    let mut staff = world(&profile(METHOD, &format!("{METHOD}<IKEIdentity>staff.example.com</IKEIdentity>")));
    assert!(matches!(failure(&mut staff), Failure::Refused { .. }));
    assert!(staff.gateway().counters().refusals.contains_key(&Refusal::Identity));
    connected(&profile(METHOD, &format!("{METHOD}<IKEIdentity>*$AnyConnectClient$*</IKEIdentity>")));
}

#[test]
fn honours_user_group() {
    let group = |profile: &Profile| {
        let mut world = with_gateway(profile, |g| g.groups = vec!["Staff".into(), "Guests".into()]);
        world.connect(5 * SECOND);
        world.sites[0].login_groups.clone()
    };
    // Nobody chooses in the form: what it begins with counts.
    assert_eq!(group(&seed()), [Some("Staff".to_owned())]);
    let guests = profile("</HostAddress>", "</HostAddress><UserGroup>Guests</UserGroup>");
    assert_eq!(group(&guests), [Some("Guests".to_owned())]);
}

#[test]
fn honours_authentication_timeout() {
    for seconds in [12, 25] {
        let profile = if seconds == 12 {
            seed()
        } else {
            profile("<AuthenticationTimeout>12", &format!("<AuthenticationTimeout>{seconds}"))
        };
        let mut world = world(&profile);
        world.link.cut = true;
        world.order(Order::Connect);
        let begun = world.now.at;
        world.run_for(60 * SECOND);
        let failed: Vec<_> = world
            .events
            .iter()
            .filter(|(_, event)| matches!(event, Event::Failed(Failure::NoAnswer { .. })))
            .map(|(at, _)| at.since(begun))
            .collect();
        assert_eq!(failed, [Duration::from_secs(seconds)], "{}", world.history());
        assert!(!matches!(world.client().state(), State::Connecting));
    }
}

#[test]
fn honours_auto_reconnect() {
    let outage = |profile: &Profile| {
        let mut world = connected(profile);
        world.echo_every = Some(Duration::from_millis(100));
        world.run_for(SECOND);
        world.link.cut = true;
        world.run_for(20 * SECOND);
        let during = world.client().state().clone();
        world.link.cut = false;
        world.run_for(20 * SECOND);
        (during, world)
    };
    let (during, back) = outage(&seed());
    assert!(matches!(during, State::Reconnecting(_)), "{during:?}");
    assert!(back.is_connected() && back.count(|event| matches!(event, Event::Reconnected(_))) == 1);
    let off = profile(
        "<AutoReconnect UserControllable=\"false\">true",
        "<AutoReconnect UserControllable=\"false\">false",
    );
    let (during, ended) = outage(&off);
    assert!(matches!(during, State::Disconnected { why: Some(Why::NoAutoReconnect) }), "{during:?}");
    assert_eq!(ended.state(), "disconnected", "and it stays so once the gateway can be reached again");
    assert!(ended.stored.is_none(), "the session is over");
}

#[test]
fn honours_auto_reconnect_behavior() {
    let sleep = |profile: &Profile| {
        let mut world = connected(profile);
        world.sleep(Duration::from_secs(600), true);
        world.run_for(10 * SECOND);
        world
    };
    let back = sleep(&seed());
    assert!(back.is_connected(), "{}", back.history());
    assert_eq!(back.gateway().counters().aaa_requests, 1, "nobody was asked again");
    let ended = sleep(&profile("ReconnectAfterResume", "DisconnectOnSuspend"));
    assert_eq!(ended.state(), "disconnected");
    assert!(ended.stored.is_none(), "the session is over");
}

#[test]
fn honours_certificate_pinning() {
    let pinned = |key: TestKey| {
        let hash = Hash::Sha512.digest(&[&key.spki().expect("a key of the tree")]);
        let hash: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
        let pin = format!("<Pin Subject=\"CN=gateway\" Issuer=\"CN=ca\">{hash}</Pin>");
        let list = format!("<CertificatePinList>{pin}</CertificatePinList>");
        profile(PROTOCOL_END, &format!("{PROTOCOL_END}<CertificatePinning>{list}</CertificatePinning>"))
    };
    connected(&pinned(TestKey::Gateway));
    let mut wrong = world(&pinned(TestKey::User));
    let failure = failure(&mut wrong);
    assert!(matches!(failure, Failure::Certificate(CertError::Pin { .. })), "{failure}");
    assert_eq!(wrong.count(|event| matches!(event, Event::Ask(_))), 0);
}
