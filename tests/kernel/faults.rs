//! Minutes of random faults, one after the other, with a download and an idle connection under way; each fault that was felt has to
//! stand in the event log with its reason.
//!
//! `tests/run` plays a short form. The long one:
//! `IKEEP_INTEROP=1 IKEEP_FAULTS=100 IKEEP_FAULTS_SECONDS=600 cargo test --test kernel random_faults -- --nocapture`;
//! `IKEEP_FAULTS_SEED=N` plays another.

use crate::interop::{self, GATEWAY_NAME, Pki, Stopwatch};
use crate::net::{GATEWAY, IN_VPN, OUTSIDE, Uplink};
use crate::uplinks::vpn;
use crate::usage::Usage;
use crate::world::{Kind, World, pause};
use anyhow::{Context, Result, ensure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::fmt;
use std::time::Duration;
use tempfile::TempDir;

/// One of the things that happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    OtherUplink,
    NewAddress,
    LinkDown(Duration),
    RouteFlaps(u32),
    OtherVpn,
    NatForgets,
    Loss(u32),
    Silence(Duration),
    Refused,
    GatewayRestarts,
    GatewayDeletesSa,
    GatewayDeletesChild,
    TokenRefusedOnce,
    AgentFrozen(Duration),
    UserReconnects,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherUplink => f.write_str("the default route moves to the other uplink"),
            Self::NewAddress => f.write_str("the address is taken away and another given"),
            Self::LinkDown(time) => write!(f, "the link is down for {} ms", time.as_millis()),
            Self::RouteFlaps(times) => write!(f, "the default route flaps {times} times, ten times a second"),
            Self::OtherVpn => f.write_str("another VPN takes the way to the gateway, and ends"),
            Self::NatForgets => f.write_str("the NAT forgets what it mapped"),
            Self::Loss(percent) => write!(f, "{percent} % are lost either way for 2 s"),
            Self::Silence(time) => write!(f, "the path is silent for {} ms", time.as_millis()),
            Self::Refused => {
                f.write_str("routers say that the gateway cannot be reached, until that is noticed")
            }
            Self::GatewayRestarts => f.write_str("the gateway restarts and keeps its sessions"),
            Self::GatewayDeletesSa => f.write_str("the gateway deletes the IKE SA"),
            Self::GatewayDeletesChild => f.write_str("the gateway deletes the Child SA"),
            Self::TokenRefusedOnce => f.write_str("the path moves, and the gateway refuses the token once"),
            Self::AgentFrozen(time) => {
                write!(f, "the agent's process is stopped for {} ms", time.as_millis())
            }
            Self::UserReconnects => f.write_str("the user types `ikeep reconnect`"),
        }
    }
}

impl Fault {
    /// Long silences are rare: a hundred faults have ten minutes.
    fn any(random: &mut ChaCha8Rng) -> Self {
        let mut below = |bound: u32| random.next_u32() % bound;
        let ms = |ms: u32| Duration::from_millis(ms.into());
        match below(40) {
            0..7 => Self::OtherUplink,
            7..12 => Self::NewAddress,
            12..16 => Self::LinkDown(ms(300 + below(1500))),
            16..18 => Self::RouteFlaps(4 + below(20)),
            18..20 => Self::OtherVpn,
            20..23 => Self::NatForgets,
            23..25 => Self::Loss(5 + below(20)),
            25 => Self::Silence(ms(7_500 + below(3_000))),
            26..28 => Self::Silence(ms(200 + below(3_000))),
            28 => Self::Refused,
            29 => Self::GatewayRestarts,
            30..32 => Self::GatewayDeletesSa,
            32..34 => Self::GatewayDeletesChild,
            34..36 => Self::TokenRefusedOnce,
            36..38 => Self::AgentFrozen(ms(100 + below(2_000))),
            _ => Self::UserReconnects,
        }
    }

    /// What the event log must say where it was felt; one of these is enough. None: it need not be felt at all.
    fn reasons(self) -> &'static [&'static str] {
        match self {
            Self::OtherUplink
            | Self::NewAddress
            | Self::LinkDown(_)
            | Self::RouteFlaps(_)
            | Self::OtherVpn => &["Low level reconnect reason code 100:"],
            Self::Refused => &["Low level reconnect reason code 6:"],
            Self::GatewayRestarts => {
                &["Low level reconnect reason code 6:", "Low level reconnect reason code 103:"]
            }
            Self::GatewayDeletesSa => &["Low level reconnect reason code 101:"],
            Self::GatewayDeletesChild => &["Low level reconnect reason code 102:"],
            Self::TokenRefusedOnce => &["Low level reconnect reason code 100:"],
            Self::UserReconnects => &["Session level reconnect reason code 100:"],
            Self::Silence(time) if time.as_secs() >= 8 => &["Low level reconnect reason code 6:"],
            Self::NatForgets | Self::Loss(_) | Self::Silence(_) | Self::AgentFrozen(_) => &[],
        }
    }
}

/// Where the laptop is now.
struct Place {
    uplink: Uplink,
    /// Of its address at home, and in the office.
    last: [u32; 2],
}

impl Place {
    fn address(&self) -> String {
        match self.uplink {
            Uplink::Home => format!("10.1.0.{}", self.last[0]),
            Uplink::Office => format!("10.2.0.{}", self.last[1]),
        }
    }
}

fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(default),
    }
}

#[test]
fn random_faults_are_survived_and_explained() -> Result<()> {
    if !interop::enabled("random_faults_are_survived_and_explained") {
        return Ok(());
    }
    let (count, seconds) = (setting("IKEEP_FAULTS", 8)?, setting("IKEEP_FAULTS_SECONDS", 30)?);
    let seed = setting("IKEEP_FAULTS_SEED", 1)?;
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let mut world = World::new(Kind::Embedded, &pki)?;
    let played = play(&mut world, count, Duration::from_secs(seconds), seed);
    if played.is_ok() {
        println!("the event log:\n{}", world.person.events());
    }
    played.with_context(|| format!("seed {seed}\n{}", world.told()))
}

fn play(world: &mut World, count: u64, time: Duration, seed: u64) -> Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut place = Place { uplink: Uplink::Home, last: [2, 2] };
    let begun = Stopwatch::start();
    let mut usage = vec![Usage::of(&world.person)?];
    let mut felt = 0;
    for number in 0..count {
        let due = time.mul_f64(number as f64 / count as f64);
        pause(due.saturating_sub(begun.elapsed()));
        let fault = Fault::any(&mut random);
        let at = begun.elapsed();
        let (before, logged) = (world.reconnects()?, world.person.events().len());
        strike(world, fault, &mut place, &mut random).with_context(|| format!("fault {number}: {fault}"))?;
        world.until_at(&place.address()).with_context(|| format!("fault {number}: {fault}"))?;
        world.lives().with_context(|| format!("after fault {number}: {fault}"))?;
        let times = world.reconnects()? - before;
        let log = world.person.events();
        let told = reasons_told(log.get(logged..).unwrap_or_default());
        let wanted = fault.reasons();
        ensure!(
            times == 0 || !told.is_empty(),
            "fault {number}: {fault}: {times} reconnects, and the event log gives no reason"
        );
        ensure!(
            wanted.is_empty() || told.iter().any(|told| wanted.iter().any(|wanted| told.starts_with(wanted))),
            "fault {number}: {fault}: the event log says {told:?}, and not {wanted:?}"
        );
        felt += u64::from(times > 0);
        let outage = world.person.status()?["last_reconnect"]["outage_ms"].as_f64().unwrap_or_default();
        let noticed = if times == 0 { "nothing noticed".to_owned() } else { format!("{outage:.0} ms") };
        println!("{:8.1} s  {fault}: {noticed}", at.as_secs_f64());
        for reason in &told {
            println!("{:12}{reason}", "");
        }
        if number % (count / 4).max(1) == 0 {
            usage.push(Usage::of(&world.person)?);
        }
    }
    usage.push(Usage::of(&world.person)?);
    println!("{felt} of {count} faults led to a reconnect; idle connection and download live; seed {seed}");
    Usage::ensure_flat(&usage)
}

/// The reasons that this part of the log gives, each with its text.
fn reasons_told(log: &str) -> Vec<String> {
    let lines: Vec<&str> = log.lines().collect();
    let given = lines.windows(2).filter_map(|pair| match pair {
        [code, text] if code.contains("reason code ") => {
            let code = code.trim_start_matches("Description :").trim();
            Some(format!("{code} {text}"))
        }
        _ => None,
    });
    given.collect()
}

fn strike(world: &mut World, fault: Fault, place: &mut Place, random: &mut ChaCha8Rng) -> Result<()> {
    match fault {
        Fault::OtherUplink => move_on(world, place),
        Fault::NewAddress => {
            let at = if place.uplink == Uplink::Home { 0 } else { 1 };
            let (device, old) = (place.uplink.device(), place.address());
            place.last[at] = 10 + (place.last[at] - 1 + random.next_u32() % 100) % 200;
            world.net.laptop.ip(&["addr", "del", &format!("{old}/24"), "dev", device])?;
            world.net.laptop.add_address(device, &format!("{}/24", place.address()))?;
            world.net.go(place.uplink)
        }
        Fault::LinkDown(time) => {
            let device = place.uplink.device();
            world.net.laptop.ip(&["link", "set", device, "down"])?;
            pause(time);
            world.net.laptop.ip(&["link", "set", device, "up"])?;
            world.net.go(place.uplink)
        }
        Fault::RouteFlaps(times) => {
            for _ in 0..times {
                move_on(world, place)?;
                pause(Duration::from_millis(100));
            }
            Ok(())
        }
        Fault::OtherVpn => {
            let vpn = vpn(&world.net)?;
            world.net.laptop.ip(&["route", "add", GATEWAY, "via", "10.3.0.1", "dev", "vpn0"])?;
            world.until_at(IN_VPN)?;
            world.net.laptop.ip(&["link", "del", "vpn0"])?;
            world.until_at(&place.address())?;
            drop(vpn);
            Ok(())
        }
        Fault::NatForgets => {
            // Room for the flows of before: they stay until the kernel's time for them is over.
            let first = 20_000 + random.next_u32() % 20_000;
            world.net.map_ports(&format!("{first}-{}", first + 999))?;
            world.net.forget_mappings(OUTSIDE, OUTSIDE)
        }
        Fault::Loss(percent) => {
            let spoiled = world.net.spoil(&format!("numgen random mod 100 < {percent} drop"))?;
            pause(Duration::from_secs(2));
            drop(spoiled);
            Ok(())
        }
        Fault::Silence(time) => {
            let spoiled = world.net.spoil("drop")?;
            pause(time);
            drop(spoiled);
            Ok(())
        }
        Fault::Refused => {
            let spoiled = world.net.spoil("reject with icmpx type host-unreachable")?;
            world.until("the outage", |status| status["state"] == "reconnecting")?;
            drop(spoiled);
            Ok(())
        }
        Fault::GatewayRestarts => {
            let back = world.reconnects()? + 1;
            world.console("restart", "restarted")?;
            world.until("the reconnect", |status| status["reconnects"].as_u64() >= Some(back)).map(drop)
        }
        Fault::GatewayDeletesSa => {
            let back = world.reconnects()? + 1;
            world.console("clear session", "deleted")?;
            world.until("the reconnect", |status| status["reconnects"].as_u64() >= Some(back)).map(drop)
        }
        Fault::GatewayDeletesChild => {
            let back = world.reconnects()? + 1;
            world.console("clear sa", "deleted")?;
            world.until("the reconnect", |status| status["reconnects"].as_u64() >= Some(back)).map(drop)
        }
        Fault::TokenRefusedOnce => {
            world.console("fault refuse 1", "refused")?;
            move_on(world, place)?;
            world.until_at(&place.address())?;
            world.console("fault refuse off", "taken").map(drop)
        }
        Fault::AgentFrozen(time) => {
            let agent = world.person.agent().context("an agent")?;
            rustix::process::kill_process(agent, rustix::process::Signal::STOP)?;
            pause(time);
            Ok(rustix::process::kill_process(agent, rustix::process::Signal::CONT)?)
        }
        Fault::UserReconnects => {
            let done = world.person.run(&["reconnect"])?;
            ensure!(done.status.success(), "{}", crate::person::said(&done));
            Ok(())
        }
    }
}

fn move_on(world: &World, place: &mut Place) -> Result<()> {
    place.uplink = if place.uplink == Uplink::Home { Uplink::Office } else { Uplink::Home };
    world.net.go(place.uplink)
}
