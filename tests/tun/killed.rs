//! `kill -9` of agent, of helper, of both, at a dozen moments. Afterwards the tunnel is there again as it was, or the machine is as
//! before it, and nothing has left outside the tunnel in between.

use crate::interop;
use crate::interop::agent::Running;
use crate::net::{Net, Uplink};
use crate::person::{PASSWORD, Person, Stopwatch};
use crate::supervised::{Supervised, until};
use crate::traffic::Download;
use crate::watch::{Sender, Watch};
use crate::world::{BEHIND_GATEWAY6, Kind, LONGEST, Options, Peer, TUN, World};
use anyhow::{Context, Result, bail, ensure};
use std::io::Write as _;
use std::process::Stdio;

/// Worlds at a time: each has a dozen processes.
const AT_ONCE: usize = 6;
/// The helper keeps what nobody comes back for, seconds.
const HOLD: u32 = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Agent,
    Helper,
    Both,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// The gateway has been asked, and there is no tunnel.
    Login,
    /// The device is there, and not all of the rest.
    Applying,
    /// Connected, and nobody has anything to download.
    Idle,
    /// Two downloads are under way, and live through it.
    Traffic,
    /// No packet comes through, and that was noticed.
    Reconnecting,
    /// The user has said disconnect.
    Disconnecting,
}

const MATRIX: [(Victim, Moment); 12] = [
    (Victim::Agent, Moment::Reconnecting),
    (Victim::Both, Moment::Reconnecting),
    (Victim::Agent, Moment::Idle),
    (Victim::Helper, Moment::Idle),
    (Victim::Both, Moment::Idle),
    (Victim::Agent, Moment::Traffic),
    (Victim::Helper, Moment::Traffic),
    (Victim::Both, Moment::Traffic),
    (Victim::Agent, Moment::Login),
    (Victim::Helper, Moment::Applying),
    (Victim::Both, Moment::Applying),
    (Victim::Both, Moment::Disconnecting),
];

#[test]
fn killed_at_any_moment_nothing_leaks_and_nothing_stays() -> Result<()> {
    if !interop::enabled("killed_at_any_moment_nothing_leaks_and_nothing_stays") {
        return Ok(());
    }
    for some in MATRIX.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let play = |&(victim, moment): &(Victim, Moment)| {
                scope.spawn(move || {
                    play(victim, moment).with_context(|| format!("kill -9 of {victim:?} at {moment:?}"))
                })
            };
            let played: Vec<_> = some.iter().map(play).collect();
            let ends = played
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            ends.collect::<Result<()>>()
        })?;
    }
    Ok(())
}

fn play(victim: Victim, moment: Moment) -> Result<()> {
    // The socket's name is known once there is a home.
    let options = Options {
        serve: &["--tunnel-all", "--pool6", "fd20::5-fd20::10"],
        supervised: true,
        ..Options::default()
    };
    let world = World::new(Kind::Embedded, options)?;
    let before = world.picture()?;
    let supervised = Supervised::start(&world.person, &world.net.laptop, HOLD)?;
    let story = Story { world: &world, supervised: &supervised, before: &before, victim, moment };
    story.tell().with_context(|| format!("events:\n{}\nhelper:\n{}", world.person.events(), supervised.log()))
}

/// `ikeep connect`, under way.
pub(crate) fn begin_to_connect(world: &World) -> Result<Running> {
    let Peer::Embedded(company) = &world.peer else { bail!("another gateway") };
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--user", "test", "--password-stdin"];
    let mut command = world.person.command(&args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(PASSWORD.as_bytes())?;
    Ok(Running(child))
}

struct Story<'w> {
    world: &'w World,
    supervised: &'w Supervised,
    before: &'w str,
    victim: Victim,
    moment: Moment,
}

impl Story<'_> {
    fn tell(&self) -> Result<()> {
        let world = self.world;
        let sender = Sender::start(&world.net)?;
        let command = match self.moment {
            Moment::Login | Moment::Applying => {
                let connect = begin_to_connect(world)?;
                if self.moment == Moment::Login {
                    world.until("the login", |status| status["state"] == "connecting")?;
                } else {
                    until(|| Ok(world.net.laptop.ip(&["-o", "link"])?.contains(TUN)))?;
                }
                Some(connect)
            }
            _ => {
                world.connect()?;
                None
            }
        };
        let connected = command.is_none();
        let during = world.picture()?;
        let watch = connected.then(|| Watch::start(&world.net)).transpose()?;
        let rounds = sender.rounds();
        let (since, downloads) = self.kill()?;
        if connected && self.moment != Moment::Disconnecting {
            self.until_back(&during)?;
            watch.iter().try_for_each(Watch::ensure_tight)?;
            downloads.into_iter().try_for_each(|mut download| download.goes_on())?;
        }
        let end = self.settle()?;
        let took = since.elapsed();
        if end == "connected" {
            watch.iter().try_for_each(Watch::ensure_tight)?;
        }
        println!(
            "kill -9 of {:?} at {:?}: {end} after {:.2} s, {} rounds of packets to everywhere{}",
            self.victim,
            self.moment,
            took.as_secs_f64(),
            sender.rounds() - rounds,
            if watch.is_some() && end == "connected" { ", none of them leaked" } else { "" }
        );
        drop((command, watch));
        world.disconnect()?;
        world.until_as(self.before)?;
        Ok(())
    }

    /// Brings the moment about, and kills. The time since then; what is under way goes on living.
    fn kill(&self) -> Result<(Stopwatch, Vec<Download>)> {
        let world = self.world;
        let net: &Net = &world.net;
        let strike = || {
            let pids = self.supervised.pids();
            let (agent, helper) = (self.victim != Victim::Helper, self.victim != Victim::Agent);
            let since = Stopwatch::start();
            self.supervised.kill(agent, helper)?;
            // Others run in their place.
            until(|| {
                let now = self.supervised.pids();
                Ok((!agent || now[0] != pids[0]) && (!helper || now[1] != pids[1]))
            })?;
            anyhow::Ok(since)
        };
        let since = match self.moment {
            Moment::Traffic => {
                let downloads = world.downloads()?;
                return Ok((strike()?, downloads.into()));
            }
            Moment::Reconnecting => {
                let silent = net.spoil("drop")?;
                world.until("the outage", |status| status["state"] == "reconnecting")?;
                let since = strike()?;
                drop(silent);
                net.go(Uplink::Home)?;
                since
            }
            Moment::Disconnecting => {
                let told = world.person.events().len();
                let child = world
                    .person
                    .command(&["disconnect"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()?;
                let disconnect = Running(child);
                until(|| Ok(world.person.events().len() > told))?;
                let since = strike()?;
                drop(disconnect);
                since
            }
            Moment::Login | Moment::Applying | Moment::Idle => strike()?,
        };
        Ok((since, Vec::new()))
    }

    /// Waits until the same tunnel works again.
    fn until_back(&self, during: &str) -> Result<()> {
        self.world.until_as(during)?;
        // The picture may not have changed at all: the agent that runs in its place may not listen yet.
        until(|| Ok(self.world.person.status().is_ok()))?;
        self.world.until("the connection", |status| status["state"] == "connected")?;
        self.world.ping(BEHIND_GATEWAY6, 56)
    }

    /// Waits until it is connected, or all is as before.
    fn settle(&self) -> Result<&'static str> {
        let since = Stopwatch::start();
        loop {
            if self.world.picture()? == self.before {
                return Ok("as before");
            }
            if self.world.person.status().is_ok_and(|status| status["state"] == "connected") {
                self.world.ping(BEHIND_GATEWAY6, 56)?;
                return Ok("connected");
            }
            ensure!(since.elapsed() < LONGEST, "neither connected nor as before:\n{}", self.world.picture()?);
        }
    }
}
