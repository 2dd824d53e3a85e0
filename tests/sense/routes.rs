//! Which way leads to the gateway, on a host with two uplinks whose routes, rules, addresses and links change.

use crate::ear::Ear;
use crate::interop::{self, BEHIND_GATEWAY, Pair, Stopwatch};
use anyhow::{Context as _, Result, bail, ensure};
use ikeep::plan::{MARK, TABLE};
use ikeep::sense::{Signal, Way};
use rustix::net::netdevice::name_to_index;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};

/// Between two questions in a storm.
const PAUSE: Duration = Duration::from_millis(50);

/// Questions that may be asked without a pause, and one after the last.
const BURST: u128 = 8 + 2;

/// The client's host, seen from inside.
struct Laptop<'n> {
    net: &'n Pair,
    ear: Ear,
    eth0: u32,
    eth1: u32,
}

/// Tells a story on a host with two uplinks and no default route.
fn on_laptop(story: impl AsyncFnOnce(Laptop<'_>) -> Result<()> + Send) -> Result<()> {
    let net = Pair::new()?;
    net.second_link()?;
    net.client.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let (eth0, eth1) = (name_to_index(&socket, "eth0")?, name_to_index(&socket, "eth1")?);
            let ear = Ear::new(None)?;
            let missing =
                ear.senses.missing.borrow().iter().any(|missing| missing.source.contains("network"));
            ensure!(!missing, "netlink works here");
            story(Laptop { net: &net, ear, eth0, eth1 }).await
        })
    })?
}

impl Laptop<'_> {
    /// Changes something, as `ip` says it.
    fn ip(&self, what: &str) -> Result<()> {
        self.net.client.ip(&what.split(' ').collect::<Vec<_>>()).map(drop)
    }

    /// Waits until this is the one way.
    async fn until(&mut self, what: &str, from: &str, interface: u32) -> Result<()> {
        let from: IpAddr = from.parse()?;
        let wanted = |ways: &[Way]| matches!(ways, [way] if (way.from, way.interface) == (from, interface));
        self.ear.until(what, wanted).await?;
        self.quiet().await;
        Ok(())
    }

    /// Lets the question pass that follows every change: what is noticed then is noticed for its own sake.
    async fn quiet(&self) {
        tokio::time::sleep(3 * PAUSE).await;
    }

    async fn until_none(&mut self, what: &str) -> Result<()> {
        self.ear.until(what, <[Way]>::is_empty).await?;
        self.quiet().await;
        Ok(())
    }
}

fn gateway() -> SocketAddr {
    SocketAddr::new(BEHIND_GATEWAY.parse().unwrap_or(IpAddr::from([0; 4])), 500)
}

#[test]
fn every_change_of_the_way_is_told() -> Result<()> {
    if !interop::enabled("every_change_of_the_way_is_told") {
        return Ok(());
    }
    on_laptop(async |mut laptop| {
        let (eth0, eth1) = (laptop.eth0, laptop.eth1);
        // IPv6 has news of its own for seconds after a link has come up, which would ring for what goes unheard.
        let off = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";
        ensure!(laptop.net.client.command("sh").args(["-c", off]).status()?.success(), "IPv6 off");
        laptop.quiet().await;
        laptop.ear.senses.gateway.send_replace(vec![gateway()]);
        laptop.until_none("without a route").await?;
        laptop.ip("route add default via 10.9.0.1 metric 100")?;
        laptop.until("a route", "10.9.0.2", eth0).await?;
        laptop.ip("route add default via 10.9.1.1 metric 50")?;
        laptop.until("a better route", "10.9.1.2", eth1).await?;
        // With its only address the interface loses its routes.
        laptop.ip("addr del 10.9.1.2/24 dev eth1")?;
        laptop.until("the address is gone", "10.9.0.2", eth0).await?;
        laptop.ip("link set eth0 down")?;
        laptop.until_none("the link is down").await?;
        laptop.ip("link set eth0 up")?;
        laptop.ip("route add default via 10.9.0.1 metric 100")?;
        laptop.until("link and route are back", "10.9.0.2", eth0).await?;
        // The same address on the other link is another way.
        laptop.ip("addr add 10.9.0.2/32 dev eth1")?;
        laptop.ip("route add default via 10.9.1.1 dev eth1 onlink src 10.9.0.2 metric 50")?;
        laptop.until("the same address on another link", "10.9.0.2", eth1).await?;
        laptop.ip(&format!("rule add to {BEHIND_GATEWAY} prohibit"))?;
        laptop.until_none("a rule forbids it").await?;
        laptop.ip(&format!("rule del to {BEHIND_GATEWAY} prohibit"))?;
        laptop.until("the rule is gone", "10.9.0.2", eth1).await?;
        // Rules by source decide after the source is chosen: the interface is the one that packets would really take.
        laptop.ip("route add default via 10.9.0.1 dev eth0 table 77")?;
        laptop.ip("rule add from 10.9.0.2 lookup 77")?;
        laptop.until("a rule by source", "10.9.0.2", eth0).await?;
        ensure!(laptop.ear.told().is_empty(), "nothing else was told");
        Ok(())
    })
}

#[test]
fn addresses_of_both_families_are_watched_at_once() -> Result<()> {
    if !interop::enabled("addresses_of_both_families_are_watched_at_once") {
        return Ok(());
    }
    on_laptop(async |mut laptop| {
        let v6: SocketAddr = "[fd10::1]:500".parse()?;
        laptop.ear.senses.gateway.send_replace(vec![v6, gateway()]);
        laptop.until_none("without a route").await?;
        laptop.ip("route add default via 10.9.0.1")?;
        laptop.until("IPv4", "10.9.0.2", laptop.eth0).await?;
        laptop.ip("-6 route add fd10::/64 via fd09::1")?;
        let both = laptop.ear.until("both", |ways| ways.len() == 2).await?;
        let shown: Vec<_> = both.iter().map(|way| (way.to, way.from.to_string(), way.interface)).collect();
        let eth0 = laptop.eth0;
        ensure!(shown == [(v6, "fd09::2".into(), eth0), (gateway(), "10.9.0.2".into(), eth0)], "{shown:?}");
        laptop.ip("route del default")?;
        laptop.until("IPv6 only", "fd09::2", eth0).await?;
        // An address that is not there yet: the kernel does not choose what it may not use.
        laptop.ip("-6 addr del fd09::2/64 dev eth0")?;
        laptop
            .ear
            .until("the address is gone", |ways| ways.iter().all(|way| way.from.to_string() != "fd09::2"))
            .await?;
        Ok(())
    })
}

/// A tunnel of ours takes everything but what is marked: the way to the gateway stays the one outside. The path's MTU is the
/// smaller one of the interface's and of what is known of the route.
#[test]
fn a_full_tunnel_of_ours_does_not_stand_in_the_way() -> Result<()> {
    if !interop::enabled("a_full_tunnel_of_ours_does_not_stand_in_the_way") {
        return Ok(());
    }
    on_laptop(async |mut laptop| {
        let outside: SocketAddr = "[fd10::1]:500".parse()?;
        laptop.ip("route add default via 10.9.0.1 mtu 1400")?;
        laptop.ip("-6 route add fd10::/64 via fd09::1")?;
        laptop.ear.senses.gateway.send_replace(vec![gateway(), outside]);
        laptop.ear.until("both", |ways| ways.len() == 2).await?;
        laptop.quiet().await;
        laptop.ip("link add tunnel type veth peer name far")?;
        laptop.ip("link set far up")?;
        laptop.ip("addr add 192.0.2.77/32 dev tunnel")?;
        laptop.ip("-6 addr add 2001:db8::77/128 dev tunnel nodad")?;
        laptop.ip("link set tunnel up")?;
        for family in ["-4", "-6"] {
            laptop.ip(&format!("{family} route add default dev tunnel table {TABLE}"))?;
            laptop.ip(&format!("{family} rule add not fwmark {MARK:#x} lookup {TABLE} priority 100"))?;
        }
        laptop.quiet().await;
        let captured = UdpSocket::bind("0.0.0.0:0")?;
        captured.connect(gateway())?;
        ensure!(captured.local_addr()?.ip().to_string() == "192.0.2.77", "what is not marked is captured");
        let way = |to, from: &str, mtu| {
            Ok::<_, anyhow::Error>(Some(Way {
                to,
                from: from.parse()?,
                interface: laptop.eth0,
                mtu: Some(mtu),
            }))
        };
        ensure!(ikeep::sense::way_to(gateway())? == way(gateway(), "10.9.0.2", 1400)?, "IPv4");
        ensure!(ikeep::sense::way_to(outside)? == way(outside, "fd09::2", 1500)?, "IPv6");
        laptop.ip("link set eth0 mtu 1300")?;
        ensure!(ikeep::sense::way_to(gateway())? == way(gateway(), "10.9.0.2", 1300)?, "a smaller link");
        Ok(())
    })
}

/// The default route flaps ten times a second. Each change is acted on when it comes.
#[test]
fn a_flapping_route_is_followed() -> Result<()> {
    const FLAPS: usize = 30;
    if !interop::enabled("a_flapping_route_is_followed") {
        return Ok(());
    }
    on_laptop(async |mut laptop| {
        laptop.ip("route add default via 10.9.0.1")?;
        laptop.ear.senses.gateway.send_replace(vec![gateway()]);
        laptop.until("the first way", "10.9.0.2", laptop.eth0).await?;
        let mut tick = interval(Duration::from_millis(100));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut delays = Vec::new();
        for flap in 0..FLAPS {
            tick.tick().await;
            let (to, from, interface) = match flap % 2 {
                0 => ("10.9.1.1", "10.9.1.2", laptop.eth1),
                _ => ("10.9.0.1", "10.9.0.2", laptop.eth0),
            };
            laptop.ip(&format!("route replace default via {to}"))?;
            let changed = Stopwatch::start();
            let wanted = (from.parse::<IpAddr>()?, interface);
            laptop
                .ear
                .until("a flap", |ways| ways.iter().any(|way| (way.from, way.interface) == wanted))
                .await?;
            delays.push(changed.elapsed());
        }
        delays.sort();
        let (median, worst) = (delays[FLAPS / 2], delays[FLAPS - 1]);
        println!("a change is told after {median:?} (median of {FLAPS}), {worst:?} at most");
        ensure!(median < PAUSE, "the first change after a pause is told at once, not after {median:?}");
        Ok(())
    })
}

/// Thousands of changes within moments: some are lost (ENOBUFS), questions stay few, and the last word is right.
#[test]
fn a_storm_costs_little_and_its_end_is_not_missed() -> Result<()> {
    const ROUTES: usize = 6000;
    if !interop::enabled("a_storm_costs_little_and_its_end_is_not_missed") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-storm-")?;
    let batch = folder.path().join("batch");
    let mut script = String::new();
    for n in 0..ROUTES {
        writeln!(script, "route add 10.77.{}.{}/32 dev eth0", n / 250, n % 250)?;
        let gateway = if n / 20 % 2 == 0 { "10.9.1.1" } else { "10.9.0.1" };
        writeln!(script, "route replace default via {gateway}")?;
    }
    writeln!(script, "route replace default via 10.9.1.1")?;
    std::fs::write(&batch, script)?;
    on_laptop(async move |mut laptop| {
        laptop.ip("route add default via 10.9.0.1")?;
        laptop.ear.senses.gateway.send_replace(vec![gateway()]);
        laptop.until("the first way", "10.9.0.2", laptop.eth0).await?;
        let storm = Stopwatch::start();
        let mut child =
            laptop.net.client.command("ip").arg("-batch").arg(&batch).stdout(Stdio::null()).spawn()?;
        let mut over = tokio::task::spawn_blocking(move || child.wait());
        let (mut told, mut last) = (0_u32, Vec::new());
        let status = loop {
            tokio::select! {
                status = &mut over => break status??,
                signal = laptop.ear.next() => {
                    let Signal::Ways(ways) = signal? else { bail!("a signal of another kind") };
                    (told, last) = (told + 1, ways);
                }
            }
        };
        let took = storm.elapsed();
        ensure!(status.success(), "ip -batch: {status}");
        let wanted =
            Way { to: gateway(), from: "10.9.1.2".parse()?, interface: laptop.eth1, mtu: Some(1500) };
        if last != [wanted] {
            laptop.until("the last word of the storm", "10.9.1.2", laptop.eth1).await?;
        }
        ensure!(ikeep::sense::way_to(gateway())? == Some(wanted), "the kernel says the same");
        let allowed = took.as_millis() / PAUSE.as_millis() + BURST;
        let dropped = dropped()?;
        println!("{} changes in {took:?}: {told} ways told, {dropped} messages lost", 2 * ROUTES);
        ensure!(dropped > 0, "the storm was too small to lose anything");
        ensure!(u128::from(told) <= allowed, "{told} ways told in {took:?}");
        Ok(())
    })
}

/// How many messages the kernel has not been able to give to the netlink sockets of this host.
fn dropped() -> Result<u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/netlink")?;
    let mut lines = table.lines();
    let head = lines.next().context("an empty table")?;
    let column = head.split_whitespace().position(|name| name == "Drops").context("no column Drops")?;
    Ok(lines.filter_map(|line| line.split_whitespace().nth(column)?.parse::<u64>().ok()).sum())
}
