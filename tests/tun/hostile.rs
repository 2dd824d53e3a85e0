//! A gateway with a certificate that is right and wishes that are not: what it asks of the machine arrives through the real agent and
//! the real helper, and the kernel's routes, rules and resolver are looked at afterwards.

use crate::interop::BEHIND_GATEWAY;
use crate::net::GATEWAY;
use crate::world::{Kind, Options, World, against};
use anyhow::{Result, ensure};

/// What belongs to the machine, its links, groups, and the gateway itself; the local network and everything as if they were two
/// networks of its own; resolvers on the loopback, the link, the local network and the gateway.
const WISHES: [&str; 30] = [
    "--include",
    "127.0.0.0/8",
    "--include",
    "169.254.0.0/16",
    "--include",
    "224.0.0.0/4",
    "--include",
    "::1/128",
    "--include",
    "fe80::/10",
    "--include",
    "ff02::/16",
    "--include",
    GATEWAY_NET,
    "--include",
    "10.1.0.0/24",
    "--include",
    "0.0.0.0/0",
    "--include",
    "fd10::/64",
    "--pool6",
    "fd20::5-fd20::10",
    "--dns",
    "127.0.0.53",
    "--dns",
    "169.254.169.254",
    "--dns",
    GATEWAY,
    "--dns",
    "10.1.0.1",
];
/// [`GATEWAY`] alone.
const GATEWAY_NET: &str = "10.9.0.1/32";

#[test]
fn a_hostile_gateways_plan_takes_nothing_of_the_machines_own_and_the_log_says_what() -> Result<()> {
    let test = "a_hostile_gateways_plan_takes_nothing_of_the_machines_own_and_the_log_says_what";
    let options = Options { serve: &WISHES, ..Options::default() };
    against(&[Kind::Embedded], test, options, |world| {
        let world: &World = world;
        ensure!(GATEWAY_NET == format!("{GATEWAY}/32"));
        let before = world.picture()?;
        world.connect()?;
        world.ping(BEHIND_GATEWAY, 56)?;
        let tunnel = world.tunnel()?;
        println!("{tunnel}");
        for route in
            ["127.", "169.254.", "224.0.0.0/4 dev", "::1 dev", "fe80::/10 dev", "ff02::/16 dev", GATEWAY]
        {
            let into = |line: &&str| line.starts_with(route) && line.contains("dev ikeep0");
            ensure!(!tunnel.lines().any(|line| into(&line)), "{route} leads into the tunnel:\n{tunnel}");
        }
        let laptop = &world.net.laptop;
        for (to, device) in
            [("127.0.0.1", "lo"), ("127.0.0.53", "lo"), ("::1", "lo"), ("224.0.0.251", "wifi0")]
        {
            let way = laptop.ip(&["route", "get", to])?;
            ensure!(way.contains(&format!("dev {device} ")), "{to}: {way}");
        }
        // Our own packets to the gateway carry the mark, and stay outside whatever covers it.
        let way = laptop.ip(&["route", "get", GATEWAY, "mark", "0x696b6565"])?;
        ensure!(way.contains("dev wifi0 "), "{way}");
        let resolver = std::fs::read_to_string(laptop.resolver())?;
        let servers: Vec<&str> = resolver.lines().filter(|line| line.starts_with("nameserver")).collect();
        ensure!(servers == ["nameserver 10.1.0.1"], "{resolver}");
        // The one that is asked is asked in the tunnel: the local network's does not hear the names.
        let way = laptop.ip(&["route", "get", "10.1.0.1"])?;
        ensure!(way.contains("dev ikeep0 "), "{way}");
        let events = world.person.events();
        for left_out in
            ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "::1/128", "fe80::/10", "ff02::/16", GATEWAY_NET]
        {
            ensure!(events.contains(&format!("{left_out} in the tunnel")), "{left_out}:\n{events}");
        }
        for server in ["169.254.169.254", GATEWAY] {
            ensure!(events.contains(&format!("{server}/32 as a DNS server")), "{server}:\n{events}");
        }
        // 127.0.0.53 is no host's address at all: that is in the agent's own log.
        let status = world.person.status()?;
        ensure!(status["dns"] == serde_json::json!(["10.1.0.1"]), "{status:#}");
        ensure!(status["state"] == "connected" && status["error"].is_null(), "{status:#}");
        world.disconnect()?;
        world.until_as(&before).map(drop)
    })
}
