//! The two kinds of client, each a process of its own with pings through its tunnel.

use crate::inside::TARGET;
use crate::interop::agent::{Running, TOKEN, configure_for_strongswan, plant_session};
use crate::interop::{Charon, CharonOptions, ClientConfig, Netns, Pki, SESSION_ID, Suite};
use crate::person::Person;
use crate::pings::Pings;
use crate::track::{Track, now, pause};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// What both propose and accept.
pub(crate) const SUITE: Suite = Suite::GCM;
const GROUP: u16 = 31;
/// The lease.
const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 20, 5);
/// What a person who knows strongSwan well would set for a laptop: a dead peer is noticed after a second and a little, tried
/// again at once and for ever.
const BEST_DAEMON: &str = "retransmit_timeout = 0.3\n  retransmit_base = 1.0\n  retransmit_tries = 3";
const BEST_CONNECTION: &str = "dpd_delay = 1s\n    keyingtries = 0\n    mobike = yes\n";
const BEST_CHILD: &str = "dpd_action = restart\n        close_action = start\n";

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Ours, against a gateway without MOBIKE.
    Token(Entry),
    /// Ours, against one with MOBIKE.
    Mobike(Entry),
    /// strongSwan as it comes (MOBIKE is on).
    Default,
    /// strongSwan, tuned.
    Best,
}

/// Where pings enter a tunnel of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// Where the proxy hands its packets over.
    Proxy,
    /// At the device, through the kernel, as strongSwan's do.
    Tun,
}

impl Kind {
    /// In the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Token(Entry::Proxy) => "ikeep, token",
            Self::Mobike(Entry::Proxy) => "ikeep, MOBIKE",
            Self::Token(Entry::Tun) => "ikeep TUN, token",
            Self::Mobike(Entry::Tun) => "ikeep TUN, MOBIKE",
            Self::Default => "strongSwan, defaults",
            Self::Best => "strongSwan, tuned",
        }
    }

    /// Whether its gateway offers MOBIKE.
    pub(crate) fn mobike(self) -> bool {
        !matches!(self, Self::Token(_))
    }

    /// Whether it is our program.
    pub(crate) fn is_ours(self) -> bool {
        self.entry().is_some()
    }

    /// Of ours.
    fn entry(self) -> Option<Entry> {
        match self {
            Self::Token(entry) | Self::Mobike(entry) => Some(entry),
            Self::Default | Self::Best => None,
        }
    }
}

/// A client that is connected, and its pings.
pub(crate) struct Client {
    pub(crate) kind: Kind,
    pub(crate) track: Track,
    which: Which,
}

enum Which {
    /// The parts end in this order.
    Ours {
        _pings: Option<Pings>,
        process: Running,
        orders: ChildStdin,
        _helper: Option<Running>,
        _person: Person,
    },
    Theirs {
        charon: Box<Charon>,
        _pings: Pings,
    },
}

impl Client {
    /// Connects from `host` to the gateway at `gateway`, and waits for the first answered ping.
    pub(crate) fn start(kind: Kind, host: &Netns, gateway: Ipv4Addr, pki: &Pki) -> Result<Self> {
        let track = Track::default();
        let which = match kind.entry() {
            Some(entry) => ours(entry, host, gateway, pki, &track)?,
            None => theirs(kind, host, gateway, pki, &track)?,
        };
        let client = Self { kind, track, which };
        let begun = now();
        client.track.alive_after(begun, PATIENCE).with_context(|| client.told(0))?;
        Ok(client)
    }

    /// The process does nothing until [`Client::go_on`].
    pub(crate) fn freeze(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::STOP)?)
    }

    /// See [`Client::freeze`].
    pub(crate) fn go_on(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::CONT)?)
    }

    /// What logind would say; strongSwan does not listen to it.
    pub(crate) fn order(&mut self, word: &str) -> Result<()> {
        match &mut self.which {
            Which::Ours { orders, .. } => Ok(writeln!(orders, "{word}")?),
            Which::Theirs { .. } => Ok(()),
        }
    }

    /// For an error.
    pub(crate) fn told(&self, since: u64) -> String {
        match &self.which {
            Which::Ours { .. } => self.track.events_since(since),
            Which::Theirs { charon, .. } => charon.log(),
        }
    }

    fn pid(&self) -> Result<Pid> {
        let pid = match &self.which {
            Which::Ours { process, .. } => i32::try_from(process.0.id()).ok().and_then(Pid::from_raw),
            Which::Theirs { charon, .. } => charon.pid(),
        };
        pid.context("a process")
    }
}

/// This program again, as [`crate::inside`].
fn ours(entry: Entry, host: &Netns, gateway: Ipv4Addr, pki: &Pki, track: &Track) -> Result<Which> {
    let (ike, at) = (SocketAddr::from((gateway, 500)), SocketAddr::from((gateway, 4500)));
    let prefix = ["ip", "netns", "exec", host.name()].map(str::to_owned).to_vec();
    let person = Person::within(prefix, (ike, at))?;
    let helper = match entry {
        Entry::Proxy => None,
        Entry::Tun => {
            // Its file is what the helper may change, not the machine's.
            host.own_resolver("")?;
            let socket = person.path("netd/netd.sock");
            person.configure((ike, at), &format!("tunnel = \"tun\"\nhelper = \"{}\"\n", socket.display()))?;
            Some(helper(&person, &socket)?)
        }
    };
    configure_for_strongswan(&person)?;
    plant_session(&person, at, GROUP)?;
    let own = std::env::current_exe()?;
    let mut process = Running(
        person
            .program(&own.to_string_lossy(), &["--inside"])
            .args([Person::profile(), pki.ca.clone()])
            .args(helper.is_some().then_some("--tun"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let orders = process.0.stdin.take().context("its input")?;
    let lines = BufReader::new(process.0.stdout.take().context("its output")?);
    let (track, pings_seen) = (track.clone(), track.clone());
    // It ends with the process.
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            note(&line, &track);
        }
    });
    let pings = helper.is_some().then(|| Pings::start(host, Ipv4Addr::UNSPECIFIED, TARGET, &pings_seen));
    Ok(Which::Ours { _pings: pings.transpose()?, process, orders, _helper: helper, _person: person })
}

/// `ikeep-netd` where the person is; it listens.
fn helper(person: &Person, socket: &Path) -> Result<Running> {
    let folder = person.path("netd");
    fs::create_dir_all(&folder)?;
    let mut command = person.program(env!("CARGO_BIN_EXE_ikeep-netd"), &[]);
    command.arg("--socket").arg(socket).arg("--state").arg(folder.join("state"));
    command.arg("--runtime").arg(folder.join("run"));
    command.arg("--bus").arg(format!("unix:path={}", folder.join("no-bus").display()));
    let helper = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let begun = now();
    while !socket.exists() {
        ensure!(now() - begun < 5_000_000_000, "the helper does not listen at {}", socket.display());
        pause(Duration::from_millis(5));
    }
    Ok(helper)
}

fn note(line: &str, track: &Track) -> Option<()> {
    let (kind, rest) = line.split_once(' ')?;
    let (first, second) = rest.split_once(' ')?;
    let first = first.parse().ok()?;
    match kind {
        "p" => track.answered(first, second.parse().ok()?),
        _ => track.said(first, second),
    }
    Some(())
}

fn theirs(kind: Kind, host: &Netns, gateway: Ipv4Addr, pki: &Pki, track: &Track) -> Result<Which> {
    let best = kind == Kind::Best;
    let config = ClientConfig::new(SUITE, SESSION_ID.as_bytes(), TOKEN);
    let (connection, child) = if best { (BEST_CONNECTION, BEST_CHILD) } else { ("", "") };
    // The address changes: it must not be said beforehand.
    let config = config
        .render()
        .replace("local_addrs = 10.9.0.2\n", connection)
        .replace("remote_addrs = 10.9.0.1\n", &format!("remote_addrs = {gateway}\n"))
        .replace("esp_proposals", &format!("{child}        esp_proposals"));
    let options = CharonOptions {
        ike_log_level: 1,
        more: if best { BEST_DAEMON } else { "" },
        ..CharonOptions::default()
    };
    let charon = Charon::start(host, options, pki, false, &config)?;
    charon.initiate("net")?;
    let pings = Pings::start(host, OWN, TARGET, track)?;
    Ok(Which::Theirs { charon: Box::new(charon), _pings: pings })
}
