//! strongSwan as a client of the embedded gateway: it takes up a session that our own client has logged in for, with the session
//! ID as key-id and the token as PSK, and lives on it. A login of its own it cannot make: the gateway's is EAP-AnyConnect.

use crate::interop::{self, Charon, CharonOptions, ClientConfig, GATEWAY_NAME, PATIENCE, Pair, Pki, Suite};
use crate::person::{Person, said};
use anyhow::{Context, Result, bail, ensure};
use ikeep::agent::clock::Clock;
use ikeep::gateway::{Counters, DownReason, Dpd, GatewayConfig, GatewayEvent, Refusal};
use ikeep::lab::gateway::{Handle, Runner, Site};
use ikeep::lab::pki;
use ikeep::plan::Net;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Hosts behind the gateway, which answer pings.
const BEHIND: [&str; 2] = ["192.168.10.7", "fd10::7"];
/// The gateway's name of itself, as the seed's router has it.
const ADDRESS: &str = "10.9.0.1";

/// The embedded gateway on its host, and one session whose client has died without a word.
struct Office {
    folder: TempDir,
    net: Pair,
    runtime: Runtime,
    gateway: Handle,
    events: mpsc::Receiver<GatewayEvent>,
    /// What the session comes back with.
    session: (String, Vec<u8>),
}

impl Office {
    fn new(settings: impl FnOnce(&mut GatewayConfig)) -> Result<Self> {
        let net = Pair::new()?;
        let folder = TempDir::with_prefix("ikeep-office-")?;
        let now = Clock::system().now().wall;
        let ca = pki::Pki::new(now)?;
        std::fs::write(folder.path().join("ca.pem"), ca.ca_pem())?;
        // So many names that the certificate fits into no datagram.
        let names = (0..24).map(|n| format!("gateway-{n:02}.somewhere-in-a-large-company.example.com"));
        let names = [GATEWAY_NAME, ADDRESS].map(str::to_owned).into_iter().chain(names).collect();
        let issued = ca.issue(&pki::Leaf { names, ..ca.leaf(GATEWAY_NAME) })?;
        let address = ADDRESS.parse()?;
        let mut config = GatewayConfig::seed(address, issued.chain, issued.signer);
        config.pool6 = Some(("fd20::5".parse()?, "fd20::9".parse()?));
        config.inside.push(Net::new("fd10::".parse()?, 64).context("a network")?);
        settings(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (tell, events) = mpsc::channel();
        let gateway = net.gateway.run(|| {
            runtime.block_on(async {
                let (runner, gateway) = Runner::new(config, address, Clock::system())?;
                tokio::spawn(runner.run());
                let watch = move |_, event: &GatewayEvent| drop(tell.send(event.clone()));
                gateway.ask(move |site| site.watcher = Some(Box::new(watch))).await?;
                anyhow::Ok(gateway)
            })
        })??;
        let mut office = Self { folder, net, runtime, gateway, events, session: Default::default() };
        office.log_in()?;
        Ok(office)
    }

    fn log_in(&mut self) -> Result<()> {
        let prefix = ["ip", "netns", "exec", self.net.client.name()].map(str::to_owned).to_vec();
        let at = SocketAddr::new(ADDRESS.parse()?, 4500);
        let person = Person::within(prefix, (SocketAddr::new(at.ip(), 500), at))?;
        let login = person.log_in(&self.ca())?;
        ensure!(login.status.success(), "{}", said(&login));
        self.wait("our login", |event| matches!(event, GatewayEvent::SaUp { reconnect: false, .. }))?;
        person.kill_agent()?;
        let tokens = self.ask(|site| site.gateway.tokens())?;
        let [(id, token)] = tokens.as_slice() else { bail!("{} sessions", tokens.len()) };
        self.session = (id.clone(), token.expose().to_vec());
        Ok(())
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn ask<T: Send + 'static>(&self, what: impl FnOnce(&mut Site) -> T + Send + 'static) -> Result<T> {
        Ok(self.runtime.block_on(self.gateway.ask(what))?)
    }

    fn counters(&self) -> Result<Counters> {
        self.ask(|site| site.gateway.counters())
    }

    /// The next event of the gateway's that is `wanted`; those before it are passed over.
    fn wait(&self, what: &str, wanted: impl Fn(&GatewayEvent) -> bool) -> Result<GatewayEvent> {
        loop {
            let event = self.events.recv_timeout(PATIENCE);
            let event = event.with_context(|| format!("the gateway did not tell of {what}"))?;
            if wanted(&event) {
                return Ok(event);
            }
        }
    }

    /// strongSwan's configuration for the session, which moves where it has to.
    fn config(&self, suite: Suite) -> ClientConfig {
        let (id, token) = &self.session;
        let plain = ClientConfig::new(suite, id.as_bytes(), token);
        ClientConfig { local_addrs: "%any", gateway_id: ADDRESS, ..plain }
    }

    /// strongSwan on the client's host, which trusts `ca`.
    fn client(&self, ca: &Path, more: &'static str, config: &str) -> Result<Charon> {
        let none = PathBuf::new();
        let pki = Pki { ca: ca.to_owned(), gateway: none.clone(), gateway_key: none };
        let options = CharonOptions { more, ..CharonOptions::default() };
        Charon::start(&self.net.client, options, &pki, false, config)
    }

    /// Both families, small and large, through the tunnel.
    fn ping(&self) -> Result<()> {
        for host in BEHIND {
            for size in ["16", "1200"] {
                let mut ping = self.net.client.command("ping");
                let pinged = ping.args(["-c", "3", "-i", "0.05", "-W", "2", "-s", size, host]).output()?;
                ensure!(pinged.status.success(), "{}", said(&pinged));
            }
        }
        Ok(())
    }

    /// Runs `story`, and tells both sides of it where it fails.
    fn story(&self, client: &Charon, story: impl FnOnce() -> Result<()>) -> Result<()> {
        story().with_context(|| {
            let ours = self.ask(|site| site.timeline()).unwrap_or_default();
            format!("strongSwan's log:\n{}\nour gateway's events:\n{ours}", client.log())
        })
    }
}

/// The session is strongSwan's: by token, in two round trips, with the address it had.
fn take_up(office: &Office, client: &Charon) -> Result<()> {
    client.initiate("net")?;
    let up =
        office.wait("the reconnect", |event| matches!(event, GatewayEvent::SaUp { reconnect: true, .. }))?;
    let GatewayEvent::SaUp { user, addresses, .. } = up else { bail!("{up:?}") };
    ensure!(user == "test" && addresses.contains(&"192.168.20.5".parse()?), "{user} {addresses:?}");
    ensure!(office.counters()?.aaa_requests == 1, "AAA was asked for the login only");
    office.ping()
}

/// Fragments both ways, rekeys of both SAs with a new exchange of keys, liveness asked by the gateway, a move, DELETE from both sides.
#[test]
fn strongswan_takes_up_a_session_of_our_gateway_and_lives_on_it() -> Result<()> {
    if !interop::enabled("strongswan_takes_up_a_session_of_our_gateway_and_lives_on_it") {
        return Ok(());
    }
    let office = Office::new(|config| {
        (config.mobike, config.fragmentation) = (true, true);
        config.dpd = Dpd { interval: Duration::from_secs(1), ..config.dpd };
    })?;
    let config = ClientConfig { dpd_delay: "2s", ..office.config(Suite::SEED) };
    // With a new exchange of keys in every rekey.
    let config =
        config.render().replace("esp_proposals = aes256-sha384", "esp_proposals = aes256-sha384-ecp256");
    let client = office.client(&office.ca(), "fragment_size = 300", &config)?;
    office.story(&client, || {
        take_up(&office, &client)?;
        let log = client.log();
        ensure!(log.contains("received fragment #"), "the gateway's certificate comes in fragments");
        ensure!(log.contains("splitting IKE message"), "strongSwan's request goes in fragments");

        // The gateway asks on demand: once it was asked.
        client.wait_for_log("parsed INFORMATIONAL request", 1)?;

        client.rekey_child("net")?;
        client.wait_for_log("CHILD_SA net{2} established", 1)?;
        office.ping()?;
        client.rekey_ike("net")?;
        client.wait_for_log("IKE_SA net[2] rekeyed", 1)?;
        client.rekey_child("net")?;
        client.wait_for_log("CHILD_SA net{3} established", 1)?;
        office.ping()?;

        office.net.client.ip(&["addr", "del", "10.9.0.2/24", "dev", "eth0"])?;
        office.net.client.add_address("eth0", "10.9.0.3/24")?;
        let moved = office.wait("the move", |event| matches!(event, GatewayEvent::Moved { .. }))?;
        let there = matches!(moved, GatewayEvent::Moved { peer, .. } if peer.ip().to_string() == "10.9.0.3");
        ensure!(there, "{moved:?}");
        office.ping()?;

        office.ask(|site| site.gateway.clear_sessions(site.now()))?;
        client.wait_for_log("received DELETE for IKE_SA", 1)?;
        take_up(&office, &client)?;
        client.terminate("net")?;
        let deleted =
            |event: &GatewayEvent| matches!(event, GatewayEvent::SaDown { why: DownReason::Deleted, .. });
        office.wait("the DELETE", deleted)?;
        let counters = office.counters()?;
        ensure!((counters.reconnects, counters.reconnects_ok) == (2, 2), "{counters:?}");
        ensure!((counters.active, counters.inactive) == (0, 0), "the session ends with it: {counters:?}");
        Ok(())
    })
}

/// Each suite, and rekeys of both SAs that the gateway starts; neither fragments nor MOBIKE, as at the seed's router; liveness asked by strongSwan.
#[test]
fn our_gateway_rekeys_both_sas_of_strongswan() -> Result<()> {
    if !interop::enabled("our_gateway_rekeys_both_sas_of_strongswan") {
        return Ok(());
    }
    for suite in [Suite::SEED, Suite::GCM, Suite::CHACHA] {
        let office = Office::new(|config| {
            config.child_lifetime = Duration::from_secs(2);
            config.ike_lifetime = Duration::from_secs(3);
        })?;
        let config = ClientConfig { dpd_delay: "1s", ..office.config(suite) };
        let client = office.client(&office.ca(), "", &config.render())?;
        let story = office.story(&client, || {
            take_up(&office, &client)?;
            client.wait_for_log("outbound CHILD_SA net", 1)?;
            office.ping()?;
            client.wait_for_log(" rekeyed between ", 1)?;
            client.wait_for_log("outbound CHILD_SA net", 2)?;
            office.ping()?;
            client.wait_for_log("sending DPD request", 1)
        });
        story.with_context(|| format!("{suite:?}"))?;
    }
    Ok(())
}

/// What is refused on either side leaves the session as it is, and nothing behind.
#[test]
fn strangers_are_refused_by_our_gateway_and_a_strange_gateway_by_strongswan() -> Result<()> {
    if !interop::enabled("strangers_are_refused_by_our_gateway_and_a_strange_gateway_by_strongswan") {
        return Ok(());
    }
    let office = Office::new(|_| {})?;
    let foreign = TempDir::with_prefix("ikeep-pki-")?;
    let foreign = (Pki::create(foreign.path(), "stranger.example.com")?, foreign);
    let right = office.config(Suite::SEED);
    let certificate = {
        let text = right.render();
        let (local, rest) = (text.find("auth = psk").context("psk")?, text.find("    remote {"));
        let rest = rest.context("remote")?;
        format!("{}auth = pubkey\n      certs = gw.pem\n    }}\n{}", &text[..local], &text[rest..])
    };
    for (what, config, why) in [
        (
            "another token",
            ClientConfig { token: b"another token".to_vec(), ..right.clone() }.render(),
            Refusal::Token,
        ),
        (
            "another ID",
            ClientConfig { session_id: b"another".to_vec(), ..right.clone() }.render(),
            Refusal::Token,
        ),
        ("a foreign certificate", certificate, Refusal::Identity),
    ] {
        let pki = Pki {
            ca: office.ca(),
            gateway: foreign.0.gateway.clone(),
            gateway_key: foreign.0.gateway_key.clone(),
        };
        let client = Charon::start(&office.net.client, CharonOptions::default(), &pki, true, &config)?;
        let story = office.story(&client, || {
            ensure!(client.initiate("net").is_err(), "it is let in");
            client.wait_for_log("received AUTHENTICATION_FAILED notify error", 1)?;
            office.wait(
                "the refusal",
                |event| matches!(event, GatewayEvent::Refused { why: w, .. } if *w == why),
            )?;
            let counters = office.counters()?;
            ensure!((counters.active, counters.reconnects_ok) == (1, 0), "{counters:?}");
            Ok(())
        });
        story.context(what)?;
    }
    // strongSwan proves itself first, and learns only then whom it has met: it takes all back.
    let client = office.client(&foreign.0.ca, "", &right.render())?;
    office.story(&client, || {
        ensure!(client.initiate("net").is_err(), "it believes the gateway");
        office.wait("the reconnect", |event| matches!(event, GatewayEvent::SaUp { reconnect: true, .. }))?;
        office.wait(
            "its end",
            |event| matches!(event, GatewayEvent::SaDown { why, .. } if *why != DownReason::Replaced),
        )?;
        Ok(())
    })
}
