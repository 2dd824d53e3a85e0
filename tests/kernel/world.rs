//! A laptop that is connected, with traffic under way, and whatever gateway it is connected to.

use crate::interop::agent::{TOKEN, configure_for_strongswan, plant_session, until};
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Netns, Pki, Suite, WebServer,
};
use crate::net::{AT_HOME, GATEWAY, GATEWAY6, Net};
use crate::person::{Company, Person, said};
use crate::traffic::{Download, Idle};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `ikeep gateway serve`.
    Embedded,
    /// strongSwan, that comes back by token only.
    StrongSwan,
    /// strongSwan, that lets an SA move too.
    Mobike,
}

/// The gateway's own addresses stay: strongSwan takes the end of IPv6's address detection for a move of its own, and while it
/// looks for another path by MOBIKE it follows no update of ours.
const AT_REST: &str = "plugins {\n    kernel-netlink {\n      roam_events = no\n    }\n  }";

enum Peer {
    Embedded(Company),
    StrongSwan { charon: Box<Charon>, _web: WebServer },
}

/// The parts end in this order: traffic, agent, gateway, hosts.
pub(crate) struct World {
    /// Under way since the beginning.
    pub(crate) download: Download,
    /// Idle since the beginning.
    pub(crate) idle: Idle,
    /// At the laptop.
    pub(crate) person: Person,
    peer: Peer,
    /// Everything between.
    pub(crate) net: Net,
}

impl World {
    /// Connected at home, both kinds of traffic begun. `pki`: of a gateway that has none of its own.
    pub(crate) fn new(kind: Kind, pki: &Pki) -> Result<Self> {
        Self::with(kind, pki, &[])
    }

    /// The same with more in the environment of the person's programs.
    pub(crate) fn with(kind: Kind, pki: &Pki, environment: &[(&str, &str)]) -> Result<Self> {
        let net = Net::new()?;
        let prefix = |host: &Netns| ["ip", "netns", "exec", host.name()].map(str::to_owned).to_vec();
        let at: SocketAddr = format!("{GATEWAY}:4500").parse()?;
        let mut person = Person::within(prefix(&net.laptop), (SocketAddr::new(at.ip(), 500), at))?;
        for (name, value) in environment {
            person.set(name, value);
        }
        let config = person.path("config/ikeep/config.toml");
        let both = fs::read_to_string(&config)?
            .replace(&format!("\"{GATEWAY}\""), &format!("[\"{GATEWAY}\", \"{GATEWAY6}\"]"));
        fs::write(config, both)?;
        let peer = if kind == Kind::Embedded {
            let company = Company::within(&prefix(&net.gateway), &["--listen", GATEWAY])?;
            let login = person.log_in(&company.ca())?;
            ensure!(login.status.success(), "{}", said(&login));
            Peer::Embedded(company)
        } else {
            let mobike = kind == Kind::Mobike;
            let config = GatewayConfig { mobike, ..GatewayConfig::new(Suite::GCM, TOKEN) };
            let options = CharonOptions { more: AT_REST, ..CharonOptions::default() };
            let charon = Charon::start(&net.gateway, options, pki, true, &config.render())?;
            let web = WebServer::start(&net.gateway, format!("{BEHIND_GATEWAY}:80").parse()?)?;
            configure_for_strongswan(&person)?;
            plant_session(&person, at, 31)?;
            let (profile, ca) = (Person::profile().display().to_string(), pki.ca.display().to_string());
            let connect = person.run(&["connect", "--profile", &profile, "--trust", &ca])?;
            ensure!(connect.status.success(), "{}\n{}", said(&connect), charon.log());
            Peer::StrongSwan { charon: Box::new(charon), _web: web }
        };
        let proxy = person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
        let download = Download::start(&net.laptop, &proxy)?;
        let idle = Idle::start(&net.laptop, &proxy)?;
        let world = Self { download, idle, person, peer, net };
        world.until_at(AT_HOME)?;
        Ok(world)
    }

    /// Waits for a status.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        until(&self.person, what, wanted)
    }

    /// Waits until it is connected from this address.
    pub(crate) fn until_at(&self, address: &str) -> Result<Value> {
        let from = format!("{address}:");
        self.until(&format!("the connection from {address}"), |status| {
            status["state"] == "connected"
                && status["ike"]["local"].as_str().is_some_and(|local| local.starts_with(&from))
        })
    }

    /// Both kinds of traffic have survived.
    pub(crate) fn lives(&mut self) -> Result<()> {
        self.idle.line()?;
        self.download.goes_on()
    }

    /// How often it has come back.
    pub(crate) fn reconnects(&self) -> Result<u64> {
        self.person.status()?["reconnects"].as_u64().context("a number of reconnects")
    }

    /// A command on the console of our gateway; its answer up to the line that holds `last`.
    pub(crate) fn console(&mut self, command: &str, last: &str) -> Result<String> {
        match &mut self.peer {
            Peer::Embedded(company) => company.ask(command, last),
            Peer::StrongSwan { .. } => bail!("strongSwan has no such console"),
        }
    }

    /// For an error: what both sides say.
    pub(crate) fn told(&self) -> String {
        let status =
            self.person.status().map_or_else(|error| error.to_string(), |status| format!("{status:#}"));
        let gateway = match &self.peer {
            Peer::Embedded(_) => String::new(),
            Peer::StrongSwan { charon, .. } => charon.log(),
        };
        format!("status: {status}\nevents:\n{}\nthe gateway's log:\n{gateway}", self.person.events())
    }
}

/// Plays a story against each kind of gateway.
pub(crate) fn everywhere(test: &str, story: fn(&mut World) -> Result<()>) -> Result<()> {
    against(&[Kind::Embedded, Kind::StrongSwan, Kind::Mobike], test, story)
}

/// Plays a story against each of these gateways, all at the same time: most of it is waiting.
pub(crate) fn against(kinds: &[Kind], test: &str, story: fn(&mut World) -> Result<()>) -> Result<()> {
    if !interop::enabled(test) {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = &Pki::create(folder.path(), GATEWAY_NAME)?;
    std::thread::scope(|scope| {
        let play = |kind: Kind| {
            scope.spawn(move || {
                let play = || {
                    let mut world = World::new(kind, pki).context("the connection")?;
                    story(&mut world).with_context(|| world.told())
                };
                play().with_context(|| format!("{kind:?}"))
            })
        };
        let played: Vec<_> = kinds.iter().copied().map(play).collect();
        let ends = played
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ends.collect()
    })
}

/// Where a fault is that something lasts.
#[expect(clippy::disallowed_methods, reason = "the length of a fault, not a wait for something")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
