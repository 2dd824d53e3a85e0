//! LocalLanAccess: with a full tunnel the printer at home is reached where the gateway allows that and the user wants it, and
//! nothing else leaves.

use crate::interop::BEHIND_GATEWAY;
use crate::person::Stopwatch;
use crate::watch::{Sender, Watch};
use crate::world::{BEHIND_GATEWAY6, Kind, Options, World, against, pause};
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;

/// Of the gateway: both families, everything, but for the local networks (if `LocalLanAccess`) and one network for everybody.
const GENEROUS: [&str; 7] =
    ["--tunnel-all", "--pool6", "fd20::5-fd20::10", "--exclude", "0.0.0.0/32", "--exclude", OUTSIDE];
/// The same gateway, that has no word about local networks.
const STRICT: [&str; 5] = ["--tunnel-all", "--pool6", "fd20::5-fd20::10", "--exclude", OUTSIDE];
/// What stays outside for everybody.
const OUTSIDE: &str = "203.0.113.0/24";
/// For `[agent]`, and what comes after it.
const WANTED: &str = "[preferences]\nlocal_lan_access = true\n";
const UNWANTED: &str = "[preferences]\nlocal_lan_access = false\n";
/// Hosts of the networks that the laptop is attached to, and by which device.
const AT_HAND: [(&str, &str); 3] = [("10.1.0.1", "wifi0"), ("10.2.0.1", "eth0"), ("fd01::1", "wifi0")];
/// The same, for a program that sends there, and their networks.
const SEND_TO: [&str; 4] = ["10.1.0.1:9", "10.2.0.1:9", "[fd01::1]:9", "203.0.113.9:9"];
const LANS: [&str; 3] = ["10.1.0.0/24", "10.2.0.0/24", "fd01::/64"];
/// Hosts elsewhere.
const FAR: [&str; 4] = ["8.8.8.8", "192.168.10.77", "172.16.5.5", "2001:db8:5::9"];
/// So long everybody sends.
const WHILE: Duration = Duration::from_secs(1);

#[test]
fn the_local_network_is_reached_beside_a_full_tunnel_and_nothing_else_leaves() -> Result<()> {
    let test = "the_local_network_is_reached_beside_a_full_tunnel_and_nothing_else_leaves";
    let options = Options { serve: &GENEROUS, agent: WANTED, ..Options::default() };
    against(&[Kind::Embedded], test, options, |world| {
        let before = world.picture()?;
        world.connect()?;
        println!("the tunnel beside the local networks:\n{}", world.tunnel()?);
        for (host, device) in AT_HAND {
            leads(world, host, device)?;
        }
        leads(world, "203.0.113.9", "wifi0")?;
        for host in FAR {
            leads(world, host, "ikeep0")?;
        }
        let sender = Sender::to(&world.net, &SEND_TO)?;
        let watch = Watch::but_for(&world.net, &[&LANS[..], &[OUTSIDE]].concat())?;
        for (host, _) in AT_HAND {
            world.ping(host, 56)?;
        }
        for host in [BEHIND_GATEWAY, BEHIND_GATEWAY6] {
            world.ping(host, 56)?;
        }
        let rounds = sender.rounds();
        pause(WHILE);
        ensure!(sender.rounds() > rounds + 20, "nothing was sent");
        watch.ensure_tight()?;
        let passed = watch.passed()?;
        ensure!(passed.iter().all(|packets| *packets > 20), "to the networks outside: {passed:?}");
        println!("{passed:?} packets to the networks outside, no other left");
        drop(watch);

        // Another network of the laptop's is a local one from now on, and one that it has left is none any more.
        let laptop = &world.net.laptop;
        laptop.ip(&["addr", "add", "10.4.0.2/24", "dev", "wifi0"])?;
        leads_soon(world, "10.4.0.1", "wifi0")?;
        laptop.ip(&["addr", "del", "10.2.0.2/24", "dev", "eth0"])?;
        leads_soon(world, "10.2.0.1", "ikeep0")?;
        laptop.ip(&["addr", "add", "10.2.0.2/24", "dev", "eth0"])?;
        leads_soon(world, "10.2.0.1", "eth0")?;
        laptop.ip(&["addr", "del", "10.4.0.2/24", "dev", "wifi0"])?;
        leads_soon(world, "10.4.0.1", "ikeep0")?;
        drop(sender);
        world.disconnect()?;
        world.until_as(&before).map(drop)
    })
}

#[test]
fn the_local_network_is_in_the_tunnel_where_the_user_does_not_want_it() -> Result<()> {
    let test = "the_local_network_is_in_the_tunnel_where_the_user_does_not_want_it";
    let options = Options { serve: &GENEROUS, agent: UNWANTED, ..Options::default() };
    against(&[Kind::Embedded], test, options, all_in_the_tunnel)
}

#[test]
fn the_local_network_is_in_the_tunnel_where_the_gateway_does_not_allow_it() -> Result<()> {
    let test = "the_local_network_is_in_the_tunnel_where_the_gateway_does_not_allow_it";
    let options = Options { serve: &STRICT, agent: WANTED, ..Options::default() };
    against(&[Kind::Embedded], test, options, all_in_the_tunnel)
}

fn all_in_the_tunnel(world: &mut World) -> Result<()> {
    let before = world.picture()?;
    world.connect()?;
    for host in AT_HAND.iter().map(|(host, _)| host).chain(&FAR) {
        leads(world, host, "ikeep0")?;
    }
    leads(world, "203.0.113.9", "wifi0")?;
    let sender = Sender::to(&world.net, &SEND_TO)?;
    let watch = Watch::but_for(&world.net, &[OUTSIDE])?;
    let rounds = sender.rounds();
    pause(WHILE);
    world.ping(BEHIND_GATEWAY, 56)?;
    ensure!(sender.rounds() > rounds + 20, "nothing was sent");
    watch.ensure_tight()?;
    let passed = watch.passed()?;
    ensure!(passed.iter().all(|packets| *packets > 20), "to the network outside: {passed:?}");
    drop((watch, sender));
    world.disconnect()?;
    world.until_as(&before).map(drop)
}

/// By which device the laptop's packets to a host leave.
fn leads(world: &World, host: &str, device: &str) -> Result<()> {
    let way = way(world, host)?;
    ensure!(way.contains(&format!("dev {device} ")), "{device} is not on the way: {way}");
    Ok(())
}

/// The same once the agent has noticed.
fn leads_soon(world: &World, host: &str, device: &str) -> Result<()> {
    let since = Stopwatch::start();
    while leads(world, host, device).is_err() {
        if since.elapsed() > crate::interop::PATIENCE {
            return leads(world, host, device).with_context(|| world.tunnel().unwrap_or_default());
        }
    }
    Ok(())
}

fn way(world: &World, host: &str) -> Result<String> {
    world.net.laptop.ip(&["route", "get", host])
}
