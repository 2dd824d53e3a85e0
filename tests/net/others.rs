//! Other programs' routes and rules, and what another process of ours has left half done.

use crate::interop::{self, Stopwatch};
use crate::world::{GATEWAY, TUN, marked, on_laptop, plan};
use anyhow::{Result, ensure};
use ikeep::netd::net::{Net, NetError};
use ikeep::plan::{self, Network, PROTOCOL, TABLE};
use std::time::Duration;

/// More than the largest list of networks that a gateway sends.
const MANY: u16 = 2000;

#[test]
fn another_vpn_stays_as_it_is() -> Result<()> {
    if !interop::enabled("another_vpn_stays_as_it_is") {
        return Ok(());
    }
    on_laptop(async |world| {
        // As wg-quick does it.
        for line in [
            "tuntap add dev wg0 mode tun",
            "addr add 10.66.0.2/32 dev wg0",
            "link set wg0 up",
            "route add default dev wg0 table 51820",
            "rule add priority 32764 lookup main suppress_prefixlength 0",
            "rule add priority 32765 not fwmark 0xca6c lookup 51820",
        ] {
            world.ip(line)?;
        }
        let before = world.snapshot()?;
        let device = world.tun()?;
        world.net.apply(&device, &plan(&["0.0.0.0/0"])?).await?;
        // The tunnel takes everything, also what the other VPN sends; its own way is the machine's, which is the other VPN.
        let gateway = marked(GATEWAY);
        world.ensure_ways(&[
            ("1.1.1.1", Some(TUN)),
            ("1.1.1.1 mark 0xca6c", Some(TUN)),
            (&gateway, Some("wg0")),
        ])?;
        // In a split tunnel the other one has the rest.
        world.net.apply(&device, &plan(&["10.0.0.0/8"])?).await?;
        world.ensure_ways(&[
            ("10.1.1.1", Some(TUN)),
            ("1.1.1.1", Some("wg0")),
            ("192.168.1.9", Some("eth0")),
        ])?;
        world.end(device, &before).await
    })
}

#[test]
fn a_strangers_route_in_our_table_is_left_alone() -> Result<()> {
    if !interop::enabled("a_strangers_route_in_our_table_is_left_alone") {
        return Ok(());
    }
    on_laptop(async |world| {
        world.ip(&format!("route add 10.5.0.0/16 via 192.168.1.1 table {TABLE}"))?;
        world.ip(&format!("-6 route add default via fd01::1 table {TABLE}"))?;
        world.ip(&format!("rule add priority 100 to 10.99.0.0/16 lookup main protocol {PROTOCOL}"))?;
        let before = world.snapshot()?;
        let device = world.tun()?;
        let notes = world.net.apply(&device, &plan(&["10.0.0.0/8", "::/0"])?).await?;
        ensure!(notes.len() == 1 && notes[0].contains("2 in all"), "{notes:?}");
        // The best metric wins in IPv6; in IPv4 a route of the same place would be in the way.
        world.ensure_ways(&[
            ("10.1.1.1", Some(TUN)),
            ("10.5.1.1", Some("eth0")),
            ("2001:db8::1", Some(TUN)),
        ])?;
        let blocked = world.net.apply(&device, &plan(&["10.5.0.0/16", "10.6.0.0/16"])?).await;
        ensure!(matches!(blocked, Err(NetError::Foreign { protocol: 3, .. })), "{blocked:?}");
        world.ensure_ways(&[("10.1.1.1", Some(TUN)), ("10.6.1.1", Some(TUN))])?;
        world.end(device, &before).await
    })
}

#[test]
fn what_another_process_left_half_done_is_finished_or_undone() -> Result<()> {
    if !interop::enabled("what_another_process_left_half_done_is_finished_or_undone") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let full = plan(&["0.0.0.0/0", "::/0"])?;
        world.net.apply(&device, &full).await?;
        let whole = world.snapshot()?;
        // Half of it: no rule of one family, no route of the other, an address less, and one that nobody asked for.
        let halve = || -> Result<()> {
            world.ip("-6 rule del priority 20000")?;
            world.ip(&format!("route del default table {TABLE}"))?;
            world.ip(&format!("addr del 10.7.0.2/32 dev {TUN}"))?;
            world.ip(&format!("-6 route add throw 2001:db8:9::/48 table {TABLE} protocol {PROTOCOL}"))?;
            world.ip(&format!("addr add 10.8.0.1/24 dev {TUN}"))?;
            Ok(())
        };
        halve()?;
        Net::open()?.apply(&device, &full).await?;
        world.ensure_as(&whole)?;
        halve()?;
        let problems = Net::open()?.revert(Some(&device)).await;
        ensure!(problems.is_empty(), "{problems:?}");
        world.end(device, &before).await
    })
}

#[test]
fn thousands_of_routes_take_a_moment() -> Result<()> {
    if !interop::enabled("thousands_of_routes_take_a_moment") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let many = |first: u8, count: u16| -> Result<Network> {
            let nets = (0..count).filter_map(|at| {
                let [high, low] = at.to_be_bytes();
                plan::Net::new([first, high, low, 0].into(), 24)
            });
            Ok(Network { include: nets.collect(), ..plan(&[])? })
        };
        // A tenth of it where nothing else runs.
        let limit = Duration::from_secs(2);
        for (what, network) in
            [("made", many(10, MANY)?), ("looked at", many(10, MANY)?), ("exchanged", many(11, MANY)?)]
        {
            let watch = Stopwatch::start();
            world.net.apply(&device, &network).await?;
            let took = watch.elapsed();
            println!("{MANY} routes {what} in {} ms", took.as_millis());
            ensure!(took < limit, "{took:?}");
        }
        ensure!(world.ip(&format!("route show table {TABLE}"))?.lines().count() == usize::from(MANY));
        let watch = Stopwatch::start();
        let problems = world.net.revert(Some(&device)).await;
        println!("{MANY} routes taken away in {} ms", watch.elapsed().as_millis());
        ensure!(problems.is_empty() && watch.elapsed() < limit, "{problems:?}");
        world.end(device, &before).await
    })
}
