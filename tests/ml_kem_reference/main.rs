//! ML-KEM in IKE_INTERMEDIATE (RFC 9370, RFC 9242), judged by others: our initiator and our gateway reconnect a session, and a program
//! in Python computes key schedule, IntAuth and both AUTH payloads from the datagrams, with the ML-KEM of `kyber-py`.

#[path = "../gateway_peer/mod.rs"]
mod gateway_peer;

use anyhow::{Context as _, Result, ensure};
use gateway_peer::Peer;
use gateway_peer::world::{Dice, World, client};
use ikeep::crypto::{Encr, Group, Prf, Random};
use ikeep::gateway::Port;
use ikeep::ike::cert::{Root, Trust};
use ikeep::ike::dialect::Dialect;
use ikeep::ike::initiator::{Credentials, Initiator, InitiatorConfig, InitiatorEvent, Leg};
use ikeep::ike::proposal::{Algorithms, Wish};
use ikeep::ike::sa::Retransmission;
use ikeep::lab::pki::Pki;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Randomness that remembers what it gave.
struct Recorder(Dice, Vec<Vec<u8>>);

impl Random for Recorder {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out);
        self.1.push(out.to_vec());
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn a_program_of_others_makes_the_same_keys_and_auth_payloads() -> Result<()> {
    let Some(kyber) = std::env::var_os("IKEEP_KYBER") else {
        let _ = writeln!(
            std::io::stderr(),
            "left out: a_program_of_others_makes_the_same_keys_and_auth_payloads (needs kyber-py; `tests/run` has it)"
        );
        return Ok(());
    };
    let mut world = World::with(|config| config.ike.ml_kem = Wish::Offer);
    let (_, given) = Peer::login(&mut world, client(2), 1);
    let token = given.token.context("a token")?;
    let root = Pki::new(world.now.wall)?.ca().to_vec();
    let config = InitiatorConfig {
        ike: Algorithms {
            encr: vec![Encr::AesGcm256],
            integ: Vec::new(),
            prf: vec![Prf::HmacSha384],
            groups: vec![Group::Curve25519],
            ml_kem: Wish::Require,
            ..Algorithms::ike()
        },
        esp: Algorithms::esp(),
        first_group: None,
        trust: Trust { roots: vec![Root { der: root, configured: true }], ..Trust::default() },
        host: "flexvpn-c8kv.example.com".into(),
        last_root: None,
        dialect: Dialect::default(),
        credentials: Credentials::Token { id: given.session_id.context("an ID")?, token: token.clone() },
        ppk: None,
        addresses: Vec::new(),
        ipv4: true,
        ipv6: false,
        mobike: false,
        ticket: false,
        redirect: false,
        redirected_from: None,
        proof_only: false,
        learn: false,
        fragment: 1200,
        retransmission: Retransmission::default(),
        exchange_timeout: Duration::from_secs(30),
        init_timeout: None,
    };
    let mut random = Recorder(Dice::new(5), Vec::new());
    let mut initiator = Initiator::new(world.now, config, world.address(Port::Ike), &mut random);
    let mut datagrams = Vec::new();
    while let Some((leg, datagram)) = initiator.poll_datagram() {
        let (answers, marker) = match leg {
            Leg::Init => (world.datagram(client(3), Port::Ike, datagram.clone()), 0),
            Leg::Auth => (world.ike(client(3), &datagram), 4),
        };
        datagrams.push(datagram);
        for answer in answers {
            let message = answer.payload[marker..].to_vec();
            initiator.handle_datagram(world.now, &message, &mut random)?;
            datagrams.push(message);
        }
    }
    let events: Vec<_> = std::iter::from_fn(|| initiator.poll_event()).collect();
    ensure!(events.iter().any(|event| matches!(event, InitiatorEvent::Established(_))), "{events:?}");

    let list = |octets: &[Vec<u8>]| octets.iter().map(|octets| hex(octets)).collect::<Vec<_>>();
    let record = serde_json::json!({
        "drawn": list(&random.1),
        "datagrams": list(&datagrams),
        "token": hex(token.expose()),
    });
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("exchange.json");
    fs::write(&file, record.to_string())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lib/ml_kem_reference.py");
    let judged = Command::new("/usr/bin/python3").arg(script).arg(&file).env("PYTHONPATH", kyber).output()?;
    print!("{}", String::from_utf8_lossy(&judged.stdout));
    ensure!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    Ok(())
}
