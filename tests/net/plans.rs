//! What a plan makes of the machine, and that nothing is left of it.

use crate::interop;
use crate::world::{GATEWAY, GATEWAY6, TUN, marked, net, on_laptop, plan};
use anyhow::{Result, ensure};
use ikeep::netd::net::{Looks, NetError};
use ikeep::plan::{Dns, Network, Refused};

#[test]
fn a_full_tunnel_takes_everything_and_gives_it_back() -> Result<()> {
    if !interop::enabled("a_full_tunnel_takes_everything_and_gives_it_back") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let notes = world.net.apply(&device, &plan(&["0.0.0.0/0", "::/0"])?).await?;
        ensure!(notes.is_empty(), "{notes:?}");
        // A better default route than any, as another program would set it.
        world.ip("route add default via 192.168.1.1 dev eth0 metric 1")?;
        let (gateway, gateway6) = (marked(GATEWAY), marked(GATEWAY6));
        world.ensure_ways(&[
            ("1.1.1.1", Some(TUN)),
            ("192.168.1.77", Some(TUN)),
            (GATEWAY, Some(TUN)),
            ("2001:db8::1", Some(TUN)),
            ("fd01::77", Some(TUN)),
            (&gateway, Some("eth0")),
            (&gateway6, Some("eth0")),
            ("1.1.1.1 oif eth0", Some("eth0")),
            ("224.0.0.251", Some("eth0")),
            ("192.168.1.2", Some("lo")),
        ])?;
        let link =
            world.ip(&format!("-d link show dev {TUN}"))? + &world.ip(&format!("addr show dev {TUN}"))?;
        for part in ["mtu 1390", "10.7.0.2/32", "fd07::2/128", "addrgenmode none", "UP"] {
            ensure!(link.contains(part), "{part}: {link}");
        }
        ensure!(!link.contains("tentative") && !link.contains("inet6 fe80"), "{link}");
        world.ip("route del default via 192.168.1.1 dev eth0 metric 1")?;
        world.end(device, &before).await
    })
}

#[test]
fn a_split_tunnel_takes_its_networks_only() -> Result<()> {
    if !interop::enabled("a_split_tunnel_takes_its_networks_only") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let network = Network {
            exclude: vec![net("10.2.0.0/16")?],
            dns: Dns { servers: vec!["10.2.0.53".parse()?], ..Dns::default() },
            ..plan(&["10.0.0.0/8", "2001:db8:7::/48"])?
        };
        world.net.apply(&device, &network).await?;
        world.ensure_ways(&[
            ("10.1.0.1", Some(TUN)),
            ("10.2.0.1", Some("eth0")),
            ("10.2.0.53", Some(TUN)),
            ("1.1.1.1", Some("eth0")),
            ("2001:db8:7::1", Some(TUN)),
            ("2001:db8:8::1", Some("eth0")),
        ])?;
        // Another plan on the same device, with another address.
        let network = Network { addresses: vec!["10.7.0.9".parse()?], ..plan(&["10.3.0.0/16"])? };
        world.net.apply(&device, &network).await?;
        world.ensure_ways(&[
            ("10.1.0.1", Some("eth0")),
            ("10.3.0.1 from 10.7.0.9", Some(TUN)),
            ("2001:db8:7::1", Some("eth0")),
        ])?;
        let said = world.ip("route get 10.3.0.1")?;
        ensure!(said.contains("src 10.7.0.9"), "{said}");
        ensure!(
            world.ip("-6 rule")?.lines().count() == 2,
            "the rule of a family that is not concerned is gone"
        );
        world.end(device, &before).await
    })
}

#[test]
fn a_family_without_an_address_is_refused() -> Result<()> {
    if !interop::enabled("a_family_without_an_address_is_refused") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let network = Network {
            addresses: vec!["10.7.0.2".parse()?],
            refused: Refused { ipv4: false, ipv6: true },
            ..plan(&["0.0.0.0/0"])?
        };
        world.net.apply(&device, &network).await?;
        let gateway6 = marked(GATEWAY6);
        world.ensure_ways(&[("1.1.1.1", Some(TUN)), ("2001:db8::1", None), (&gateway6, Some("eth0"))])?;
        // The other way round: what was a route of the device is refused in its place.
        let network = Network {
            addresses: vec!["fd07::2".parse()?],
            refused: Refused { ipv4: true, ipv6: false },
            ..plan(&["::/0"])?
        };
        world.net.apply(&device, &network).await?;
        let gateway = marked(GATEWAY);
        world.ensure_ways(&[("1.1.1.1", None), ("2001:db8::1", Some(TUN)), (&gateway, Some("eth0"))])?;
        world.end(device, &before).await
    })
}

#[test]
fn where_ipv6_is_off_the_rest_works_and_nothing_leaks() -> Result<()> {
    if !interop::enabled("where_ipv6_is_off_the_rest_works_and_nothing_leaks") {
        return Ok(());
    }
    on_laptop(async |world| {
        // New interfaces have none; eth0 has, and could carry what the tunnel should.
        world.sh("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")?;
        let before = world.snapshot()?;
        let device = world.tun()?;
        let full = plan(&["0.0.0.0/0", "::/0"])?;
        let notes = world.net.apply(&device, &full).await?;
        ensure!(notes.len() == 1 && notes[0].contains("IPv6"), "{notes:?}");
        world.ensure_ways(&[("1.1.1.1", Some(TUN)), ("2001:db8::1", None)])?;
        // The user switches it on: that is a change.
        world.sh(&format!("echo 0 >/proc/sys/net/ipv6/conf/{TUN}/disable_ipv6"))?;
        world.net.changed(&mut Looks::default()).await;
        world.net.apply(&device, &full).await?;
        world.ensure_ways(&[("2001:db8::1", Some(TUN))])?;
        world.sh("echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6")?;
        // A path that is too narrow for IPv6 is another reason; the kernel takes it from the device by itself.
        let notes = world.net.apply(&device, &Network { mtu: 1200, ..full.clone() }).await?;
        ensure!(notes.len() == 1 && notes[0].contains("narrow"), "{notes:?}");
        world.ensure_ways(&[("1.1.1.1", Some(TUN)), ("2001:db8::1", None)])?;
        world.net.apply(&device, &full).await?;
        world.ensure_ways(&[("2001:db8::1", Some(TUN))])?;
        world.end(device, &before).await
    })
}

#[test]
fn a_device_that_is_gone_is_an_error_and_leaves_nothing() -> Result<()> {
    if !interop::enabled("a_device_that_is_gone_is_an_error_and_leaves_nothing") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let network = Network {
            addresses: vec!["10.7.0.2".parse()?],
            refused: Refused { ipv4: false, ipv6: true },
            exclude: vec![net("10.2.0.0/16")?],
            ..plan(&["0.0.0.0/0"])?
        };
        world.net.apply(&device, &network).await?;
        world.ip(&format!("link del {TUN}"))?;
        let gone = world.net.apply(&device, &network).await;
        ensure!(matches!(gone, Err(NetError::NoDevice { .. })), "{gone:?}");
        world.ensure_ways(&[("2001:db8::1", None)])?;
        // Another process, that knows of no device.
        let problems = ikeep::netd::net::Net::open()?.revert(None).await;
        ensure!(problems.is_empty(), "{problems:?}");
        world.ensure_as(&before)
    })
}
