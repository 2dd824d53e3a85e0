//! What the laptop itself can see: uplinks, addresses, routes.

use crate::interop::Netns;
use crate::net::{AT_HOME, AT_HOME6, GATEWAY, IN_OFFICE, IN_VPN, Net, RATE, Uplink};
use crate::world::{Kind, against, everywhere, pause};
use anyhow::{Result, ensure};
use std::time::Duration;

#[test]
fn the_default_route_moves_to_the_other_uplink_and_back() -> Result<()> {
    everywhere("the_default_route_moves_to_the_other_uplink_and_back", |world| {
        for uplink in [Uplink::Office, Uplink::Home] {
            world.net.go(uplink)?;
            world.until_at(uplink.address())?;
            world.lives()?;
        }
        // A second default route does nothing until it is the better one.
        let office = ["default", "via", "10.2.0.1", "dev", "eth0"];
        world.net.laptop.ip(&["route", "del", "default"])?;
        world
            .net
            .laptop
            .ip(&["route", "add", "default", "via", "10.1.0.1", "dev", "wifi0", "metric", "600"])?;
        world.until_at(AT_HOME)?;
        let before = world.reconnects()?;
        world.net.laptop.ip(&[&["route", "add"][..], &office, &["metric", "700"]].concat())?;
        world.lives()?;
        ensure!(world.reconnects()? == before, "a route that is not used has led to a reconnect");
        world.net.laptop.ip(&[&["route", "add"][..], &office, &["metric", "100"]].concat())?;
        world.until_at(IN_OFFICE)?;
        world.lives()
    })
}

/// No route changes: a rule sends what goes to the gateway to another table.
#[test]
fn a_rule_takes_the_way_to_the_gateway() -> Result<()> {
    everywhere("a_rule_takes_the_way_to_the_gateway", |world| {
        let laptop = &world.net.laptop;
        laptop.ip(&["route", "add", "default", "via", "10.2.0.1", "dev", "eth0", "table", "100"])?;
        world.lives()?;
        let rule = ["to", GATEWAY, "lookup", "100"];
        world.net.laptop.ip(&[&["rule", "add"][..], &rule].concat())?;
        world.until_at(IN_OFFICE)?;
        world.lives()?;
        world.net.laptop.ip(&[&["rule", "del"][..], &rule].concat())?;
        world.until_at(AT_HOME)?;
        world.lives()
    })
}

#[test]
fn the_address_is_taken_away_and_another_given() -> Result<()> {
    everywhere("the_address_is_taken_away_and_another_given", |world| {
        let laptop = &world.net.laptop;
        laptop.ip(&["addr", "del", "10.1.0.2/24", "dev", "wifi0"])?;
        world.until("the state without an address", |status| status["state"] == "waiting-for-network")?;
        laptop.add_address("wifi0", "10.1.0.77/24")?;
        world.net.go(Uplink::Home)?;
        world.until_at("10.1.0.77")?;
        world.lives()
    })
}

#[test]
fn the_link_goes_down_and_comes_up() -> Result<()> {
    everywhere("the_link_goes_down_and_comes_up", |world| {
        let laptop = &world.net.laptop;
        laptop.ip(&["link", "set", "wifi0", "down"])?;
        world.until("the state without a link", |status| status["state"] == "waiting-for-network")?;
        laptop.ip(&["link", "set", "wifi0", "up"])?;
        world.net.go(Uplink::Home)?;
        world.until_at(AT_HOME)?;
        world.lives()
    })
}

#[test]
fn the_default_route_flaps_ten_times_a_second() -> Result<()> {
    everywhere("the_default_route_flaps_ten_times_a_second", |world| {
        let before = world.reconnects()?;
        for round in 0..30 {
            world.net.go(if round % 2 == 0 { Uplink::Office } else { Uplink::Home })?;
            pause(Duration::from_millis(100));
        }
        world.until_at(AT_HOME)?;
        world.lives()?;
        let times = world.reconnects()? - before;
        ensure!(times <= 31, "30 changes have led to {times} reconnects");
        Ok(())
    })
}

/// A network that carries only IPv6, and then one that carries only IPv4.
#[test]
fn ipv4_alone_then_ipv6_alone_and_back() -> Result<()> {
    // The embedded gateway listens at one address.
    against(&[Kind::StrongSwan, Kind::Mobike], "ipv4_alone_then_ipv6_alone_and_back", |world| {
        let laptop = &world.net.laptop;
        laptop.ip(&["route", "del", "default"])?;
        world.until("the state without a way", |status| status["state"] == "waiting-for-network")?;
        // The two changes are not one: the second has to be heard for itself.
        pause(Duration::from_millis(300));
        laptop.ip(&["-6", "route", "add", "default", "via", "fd01::1", "dev", "wifi0"])?;
        world.until_at(AT_HOME6)?;
        world.idle.line()?;
        world.download.goes_on()?;
        laptop.ip(&["-6", "route", "del", "default"])?;
        world.net.go(Uplink::Home)?;
        world.until_at(AT_HOME)?;
        world.lives()
    })
}

/// The other VPN's device takes the way to the gateway, and leaves it again.
#[test]
fn another_vpn_takes_the_way_to_the_gateway() -> Result<()> {
    everywhere("another_vpn_takes_the_way_to_the_gateway", |world| {
        let vpn = vpn(&world.net)?;
        world.net.laptop.ip(&["route", "add", GATEWAY, "via", "10.3.0.1", "dev", "vpn0"])?;
        world.until_at(IN_VPN)?;
        world.lives()?;
        // It ends with its device, and its route with it.
        world.net.laptop.ip(&["link", "del", "vpn0"])?;
        world.until_at(AT_HOME)?;
        drop(vpn);
        world.lives()
    })
}

/// The far end of another VPN, which hides its clients behind its own address.
pub(crate) fn vpn(net: &Net) -> Result<Netns> {
    let vpn = Netns::new("vpn")?;
    vpn.accept_any_way()?;
    net.laptop.link(("vpn0", &["10.3.0.2/24"]), &vpn, ("lan", &["10.3.0.1/24"]))?;
    vpn.link(("wan", &["10.6.0.2/24"]), &net.gateway, ("wan2", &["10.6.0.1/24"]))?;
    net.gateway.slow_down("wan2", RATE)?;
    vpn.forward()?;
    vpn.ip(&["route", "add", "default", "via", "10.6.0.1"])?;
    vpn.nft(
        "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; \
         add rule ip nat out oifname \"wan\" masquerade",
    )?;
    Ok(vpn)
}
