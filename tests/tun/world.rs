//! A laptop whose agent has a tunnel with a device, and whatever gateway it is connected to.

use crate::interop::agent::{TOKEN, configure_for_strongswan, plant_session, until};
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Netns, Pki, Suite, WebServer,
};
use crate::net::{GATEWAY, Net};
use crate::person::{Company, Person, Stopwatch, said};
use crate::supervised;
use crate::traffic::Download;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// The device of the first tunnel.
pub(crate) const TUN: &str = "ikeep0";
/// [`BEHIND_GATEWAY`] in the other family, and as it stands in a URL.
pub(crate) const BEHIND_GATEWAY6: &str = "fd10::1";
pub(crate) const URL6: &str = "[fd10::1]";
/// What answers names before there is a tunnel.
const RESOLVER: &str = "# the laptop's own\nnameserver 10.1.0.1\nsearch home.example\n";
/// After an agent is gone its device and everything about it is gone, at the latest, after this time.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// A packet there and back, in words for `ping`.
const PING: [&str; 8] = ["-n", "-q", "-c", "3", "-i", "0.2", "-w", "15"];

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `ikeep gateway serve --tun`.
    Embedded,
    /// strongSwan, that comes back by token only.
    StrongSwan,
}

/// What a story wants to be otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options<'a> {
    /// More options of `gateway serve`; empty: a split tunnel of both families.
    pub(crate) serve: &'a [&'a str],
    /// More lines for `[agent]`.
    pub(crate) agent: &'a str,
    /// What strongSwan has behind it.
    pub(crate) behind: Option<&'a str>,
    /// The agent finds a helper of [`crate::supervised`], and starts none.
    pub(crate) supervised: bool,
}

pub(crate) enum Peer {
    Embedded(Company),
    StrongSwan(Box<Charon>),
}

/// The parts end in this order: the laptop's programs, gateway, hosts.
pub(crate) struct World {
    pub(crate) person: Person,
    pub(crate) peer: Peer,
    _web: Vec<WebServer>,
    pki: Option<Pki>,
    _folder: TempDir,
    pub(crate) net: Net,
}

impl World {
    /// Everything is there, and nobody has connected.
    pub(crate) fn new(kind: Kind, options: Options<'_>) -> Result<Self> {
        let net = Net::new()?;
        let laptop = &net.laptop;
        laptop.own_resolver(RESOLVER)?;
        // What the kernel gives a link by itself comes when it likes; the pictures are to hold still.
        for device in ["wifi0", "eth0"] {
            laptop.ip(&["link", "set", device, "addrgenmode", "none"])?;
            laptop.ip(&["-6", "addr", "flush", "dev", device, "scope", "link"])?;
        }
        laptop.ip(&["-6", "route", "add", "default", "via", "fd01::1", "dev", "wifi0"])?;
        // What a sender says before the neighbours know each other would wait, and leave long after there is a tunnel.
        for router in ["10.1.0.1", "10.2.0.1", "fd01::1"] {
            let output = laptop.command("ping").args(PING).arg(router).output()?;
            ensure!(output.status.success(), "{router}: {}", said(&output));
        }
        let at: SocketAddr = format!("{GATEWAY}:4500").parse()?;
        let mut person = Person::within(prefix(laptop), (SocketAddr::new(at.ip(), 500), at))?;
        person.set("RUST_BACKTRACE", "1");
        let mut agent = format!("tunnel = \"tun\"\n{}", options.agent);
        if options.supervised {
            agent += &format!("helper = \"{}\"\n", supervised::socket(&person).display());
        }
        person.configure((SocketAddr::new(at.ip(), 500), at), &agent)?;
        let folder = TempDir::with_prefix("ikeep-pki-")?;
        let (peer, pki) = match kind {
            Kind::Embedded => {
                let mut words = vec!["--listen", GATEWAY, "--tun", "192.168.19.1", "--tun", "fd19::1"];
                if options.serve.is_empty() {
                    words.extend(["--include", "192.168.10.0/24", "--include", "fd10::/64"]);
                    words.extend(["--pool6", "fd20::5-fd20::10"]);
                }
                words.extend(options.serve);
                (Peer::Embedded(Company::within(&prefix(&net.gateway), &words)?), None)
            }
            Kind::StrongSwan => {
                let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
                let config = GatewayConfig { mobike: false, ..GatewayConfig::new(Suite::GCM, TOKEN) };
                let mut text = config.render();
                if let Some(behind) = options.behind {
                    text = text.replace("local_ts = 0.0.0.0/0, ::/0", &format!("local_ts = {behind}"));
                }
                let more = "plugins {\n    kernel-netlink {\n      roam_events = no\n    }\n  }";
                let options = CharonOptions { more, ..CharonOptions::default() };
                let charon = Charon::start(&net.gateway, options, &pki, true, &text)?;
                configure_for_strongswan(&person)?;
                plant_session(&person, at, 31)?;
                (Peer::StrongSwan(Box::new(charon)), Some(pki))
            }
        };
        let web = [format!("{BEHIND_GATEWAY}:80"), format!("{URL6}:80")];
        let web = web.iter().map(|at| WebServer::start(&net.gateway, at.parse()?));
        Ok(Self { person, peer, _web: web.collect::<Result<_>>()?, pki, _folder: folder, net })
    }

    /// `ikeep connect`, to its end.
    pub(crate) fn connect(&self) -> Result<Value> {
        let said_of = match (&self.peer, &self.pki) {
            (Peer::Embedded(company), _) => self.person.log_in(&company.ca())?,
            (_, pki) => {
                let ca = pki.as_ref().context("a CA")?.ca.display().to_string();
                let profile = Person::profile().display().to_string();
                self.person.run(&["connect", "--profile", &profile, "--trust", &ca])?
            }
        };
        ensure!(said_of.status.success(), "{}", said(&said_of));
        self.until("the connection", |status| status["state"] == "connected")
    }

    /// `ikeep disconnect`, to its end.
    pub(crate) fn disconnect(&self) -> Result<()> {
        let output = self.person.run(&["disconnect"])?;
        ensure!(output.status.success(), "{}", said(&output));
        Ok(())
    }

    /// Waits for a status.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        until(&self.person, what, wanted)
    }

    /// Everything that a tunnel changes on a machine, as a person would look at it.
    pub(crate) fn picture(&self) -> Result<String> {
        let laptop = &self.net.laptop;
        let mut picture = String::new();
        for what in
            ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all", "addr", "-o link"]
        {
            let words: Vec<&str> = what.split(' ').collect();
            picture += &format!("$ ip {what}\n{}", laptop.ip(&words)?);
        }
        let file = laptop.resolver();
        picture += &format!("$ cat /etc/resolv.conf\n{}", std::fs::read_to_string(file)?);
        Ok(picture)
    }

    /// The tunnel's part of it.
    pub(crate) fn tunnel(&self) -> Result<String> {
        let mut picture = String::new();
        for what in ["-4 rule", "-6 rule", "-4 route show table 26987", "-6 route show table 26987"] {
            picture += &self.net.laptop.ip(&what.split(' ').collect::<Vec<_>>())?;
        }
        for what in ["-o link show dev", "-o addr show dev"] {
            picture += &self.net.laptop.ip(&what.split(' ').chain([TUN]).collect::<Vec<_>>())?;
        }
        Ok(picture)
    }

    /// Waits until it is connected from this address.
    pub(crate) fn until_at(&self, address: &str) -> Result<Value> {
        let from = format!("{address}:");
        self.until(&format!("the connection from {address}"), |status| {
            status["state"] == "connected"
                && status["ike"]["local"].as_str().is_some_and(|local| local.starts_with(&from))
        })
    }

    /// Waits until the machine is as it was, 60 s at most; how long that took.
    pub(crate) fn until_as(&self, before: &str) -> Result<Duration> {
        let since = Stopwatch::start();
        loop {
            let now = self.picture()?;
            if now == before {
                return Ok(since.elapsed());
            }
            ensure!(since.elapsed() < LONGEST, "before:\n{before}\nnow:\n{now}");
        }
    }

    /// An ordinary program's packets go there and back, each with so many octets behind its headers.
    pub(crate) fn ping(&self, to: &str, octets: u16) -> Result<()> {
        let mut command = self.net.laptop.command("ping");
        let output = command.args(PING).args(["-s", &octets.to_string(), to]).output()?;
        ensure!(output.status.success(), "ping {to} ({octets}): {}\n{}", said(&output), self.picture()?);
        Ok(())
    }

    /// An ordinary program's download that does not end, from both families' servers.
    pub(crate) fn downloads(&self) -> Result<[Download; 2]> {
        let start = |server| Download::with(&self.net.laptop, server, &["--noproxy", "*"]);
        Ok([start(BEHIND_GATEWAY)?, start(URL6)?])
    }

    /// For an error: what both sides say.
    fn told(&self) -> String {
        let status =
            self.person.status().map_or_else(|error| error.to_string(), |status| format!("{status:#}"));
        let gateway = match &self.peer {
            Peer::Embedded(_) => String::new(),
            Peer::StrongSwan(charon) => charon.log(),
        };
        format!("status: {status}\nevents:\n{}\nthe gateway's log:\n{gateway}", self.person.events())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The agent, its helper, and whatever a story has started there.
        self.net.laptop.end_all();
    }
}

/// Runs a program there.
fn prefix(host: &Netns) -> Vec<String> {
    ["ip", "netns", "exec", host.name()].map(str::to_owned).to_vec()
}

/// Plays a story against each of these gateways, all at the same time: most of it is waiting.
pub(crate) fn against(
    kinds: &[Kind],
    test: &str,
    options: Options<'_>,
    story: fn(&mut World) -> Result<()>,
) -> Result<()> {
    if !interop::enabled(test) {
        return Ok(());
    }
    std::thread::scope(|scope| {
        let play = |kind: Kind| {
            scope.spawn(move || {
                let play = || {
                    let mut world = World::new(kind, options)?;
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

/// Where something lasts.
#[expect(clippy::disallowed_methods, reason = "the length of a fault, not a wait for something")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
