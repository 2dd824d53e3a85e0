//! An independent check of the key derivation: a client and a gateway resume an IKE SA, `check.py` recomputes all keys from the old
//! SK_d and the octets on the wire, gives tshark its own keys to decrypt the exchange with, and recomputes both AUTH payloads
//! from what tshark shows.

use crate::harness::{LAB, Seeded, World};
use ikeep::client::{AuthKind, Client, Event, Order, PathId, Paths, Signal};
use ikeep::crypto::{Encr, Integ, Secret};
use ikeep::gateway::{Gateway, GatewayConfig, Port};
use ikeep::reconnect::Resumption;
use ikeep::time::{Instant, Now, UnixTime};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 1));

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The two, and every IKE message between them: from the client or not, without the marker.
struct Line {
    now: Now,
    client: Client,
    gateway: Gateway,
    seen: Vec<(bool, Vec<u8>)>,
    events: Vec<Event>,
}

impl Line {
    fn note(&mut self, client: bool, port: u16, payload: &[u8]) {
        let message = if port == 4500 { payload.strip_prefix(&[0; 4]) } else { Some(payload) };
        self.seen.extend(message.map(|message| (client, message.to_vec())));
    }

    /// Until nobody has anything to say.
    fn talk(&mut self) {
        let from = SocketAddr::from(([10, 9, 0, 2], 40_000));
        let now = self.now;
        loop {
            if let Some(mut transmit) = self.client.poll_transmit() {
                self.note(true, transmit.to.port(), &transmit.payload);
                let port = if transmit.to.port() == 500 { Port::Ike } else { Port::Nat };
                self.gateway.handle_datagram(now, from, port, &mut transmit.payload);
            } else if let Some(mut transmit) = self.gateway.poll_transmit() {
                let port = if transmit.from == Port::Ike { 500 } else { 4500 };
                self.note(false, port, &transmit.payload);
                let at = SocketAddr::new(GATEWAY, port);
                self.client.handle_datagram(now, PathId(1), at, &mut transmit.payload);
            } else if let Some(event) = self.client.poll_event() {
                if let Event::Ask(_) = &event {
                    let answers = [("username", "test"), ("password", "cisco")];
                    let answers = answers.map(|(k, v)| (k.to_owned(), Secret::from(v.as_bytes())));
                    self.client.order(now, Order::Answer(answers.into_iter().collect()));
                }
                self.events.push(event);
            } else {
                return;
            }
        }
    }
}

fn resumed(encr: Encr, integ: Integ) -> serde_json::Value {
    let wall = UnixTime::from_secs(1_800_000_000);
    let now = Now { at: Instant::from_boot(Duration::from_secs(1_000)), wall };
    let mut config = GatewayConfig::seed(GATEWAY, Vec::new(), LAB.signer(crate::harness::Certificate::P256));
    LAB.equip(&mut config, crate::harness::Certificate::P256);
    config.tickets = Some(Duration::from_secs(600));
    config.reconnect_timeout = None;
    let host = LAB.profile.hosts.first().expect("a host");
    let mut settings = World::settings(&LAB.profile, host).expect("the seed's host can be used");
    settings.addresses = vec![GATEWAY];
    settings.resumption = Resumption::First;
    settings.key_log = true;
    settings.ike.encr = vec![encr];
    settings.ike.integ = vec![integ];
    let client = Client::new(now, settings, Box::new(Seeded::new(1)));
    let gateway = Gateway::new(config, now, Box::new(Seeded::new(2)));
    let mut line = Line { now, client, gateway, seen: Vec::new(), events: Vec::new() };
    line.client.signal(now, Signal::Paths(Paths::of_family(GATEWAY, PathId(1))));
    line.client.order(now, Order::Connect);
    line.talk();
    let ticket = line.client.session().and_then(|session| session.ticket.clone()).expect("a ticket");
    line.seen.clear();
    line.client.order(now, Order::Reconnect);
    line.talk();
    let by_ticket = |e: &Event| matches!(e, Event::Established { auth: AuthKind::Ticket, round_trips: 2 });
    assert!(line.events.iter().any(by_ticket), "{:?}", line.events);
    let keys = line.events.iter().rev().find_map(|event| match event {
        Event::IkeKeys(keys) => Some(keys.clone()),
        _ => None,
    });
    let keys = keys.expect("keys of the resumed IKE SA").keys;
    // IKE_SESSION_RESUME and IKE_AUTH of the resumed IKE SA; what else was said is on the old one, or comes after.
    let spi = line.seen.iter().find(|(_, m)| m[18] == 38).expect("IKE_SESSION_RESUME").1[..8].to_vec();
    let messages = line.seen.iter().filter(|(_, m)| m[..8] == spi[..] && matches!(m[18], 35 | 38));
    let messages: Vec<_> = messages.map(|(client, m)| serde_json::json!([client, hex(m)])).collect();
    assert_eq!(messages.len(), 4);
    let logged = [&keys.sk_d, &keys.sk_ai, &keys.sk_ar, &keys.sk_ei, &keys.sk_er, &keys.sk_pi, &keys.sk_pr];
    let logged = logged.map(|key| hex(key.expose()));
    serde_json::json!({
        "old_sk_d": hex(ticket.sk_d.expose()),
        "prf": ticket.prf.id(),
        "encr": [ticket.encr.id(), ticket.encr.key_bits()],
        "integ": ticket.integ.map(Integ::id),
        "messages": messages,
        "keys": logged,
    })
}

/// What the script says.
fn judge(case: &serde_json::Value) -> std::process::Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim/resume/check.py");
    let mut python = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 (Debian: python3)");
    let mut input = python.stdin.take().expect("its input");
    input.write_all(case.to_string().as_bytes()).expect("it reads");
    drop(input);
    python.wait_with_output().expect("it ends")
}

#[test]
fn the_keys_and_both_auth_payloads_are_what_an_independent_program_makes_of_the_octets() {
    for (encr, integ) in [(Encr::AesCbc256, Integ::HmacSha512_256), (Encr::AesGcm256, Integ::HmacSha256_128)]
    {
        let mut case = resumed(encr, integ);
        let right = judge(&case);
        let said = String::from_utf8_lossy(&right.stdout).into_owned();
        assert!(right.status.success(), "{said}\n{}", String::from_utf8_lossy(&right.stderr));
        print!("{encr:?}: {said}");
        // It can say no.
        let sk_d = case["old_sk_d"].as_str().expect("hex").replace(['0', '1', '2'], "3");
        case["old_sk_d"] = sk_d.into();
        assert!(!judge(&case).status.success());
    }
}
