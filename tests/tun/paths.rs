//! What happens to paths and to the machine's routes while a tunnel is there.

use crate::interop::{BEHIND_GATEWAY, Netns};
use crate::net::{OUTSIDE, Uplink};
use crate::person::Person;
use crate::traffic::Download;
use crate::watch::{Sender, Watch};
use crate::world::{BEHIND_GATEWAY6, Kind, Options, World, against, pause};
use anyhow::{Result, ensure};
use std::time::Duration;

/// The least that a device may carry that has an IPv6 address, octets (RFC 8200 5).
const LEAST6: u64 = 1280;

#[test]
fn a_roaming_laptop_keeps_its_device_and_its_connections() -> Result<()> {
    let test = "a_roaming_laptop_keeps_its_device_and_its_connections";
    against(&[Kind::Embedded, Kind::StrongSwan], test, Options::default(), |world| {
        world.connect()?;
        let tunnel = world.tunnel()?;
        let mut downloads = world.downloads()?;
        let mut same = |world: &World| {
            downloads.iter_mut().try_for_each(|download| download.goes_on())?;
            let now = world.tunnel()?;
            ensure!(now == tunnel, "before:\n{tunnel}\nnow:\n{now}");
            Ok(())
        };
        for uplink in [Uplink::Office, Uplink::Home] {
            world.net.go(uplink)?;
            world.until_at(uplink.address())?;
            same(world)?;
        }
        for (ports, before, after) in
            [("30000-30999", OUTSIDE, OUTSIDE), ("40000-40999", OUTSIDE, "10.8.0.3")]
        {
            world.net.map_ports(ports)?;
            world.net.forget_mappings(before, after)?;
            same(world)?;
        }
        Ok(())
    })
}

#[test]
fn a_full_tunnel_lets_nothing_out_and_refuses_what_it_does_not_carry() -> Result<()> {
    let test = "a_full_tunnel_lets_nothing_out_and_refuses_what_it_does_not_carry";
    let options = Options { serve: &["--tunnel-all"], ..Options::default() };
    against(&[Kind::Embedded], test, options, |world| {
        let before = world.picture()?;
        let sender = Sender::start(&world.net)?;
        let watch = Watch::start(&world.net)?;
        // The routers do count.
        pause(Duration::from_millis(200));
        ensure!(watch.leaked()?.0 > 0, "nothing of what is sent was seen");
        drop(watch);
        world.connect()?;
        let watch = Watch::start(&world.net)?;
        world.ping(BEHIND_GATEWAY, 56)?;
        let laptop = &world.net.laptop;
        let profile = Person::profile().display().to_string();
        let doctor = world.person.run(&["doctor", "IKEv2_Gateway", "--profile", &profile, "--json"])?;
        let doctor: serde_json::Value = serde_json::from_slice(&doctor.stdout)?;
        ensure!(
            doctor["stopped"]["at"] == "route" && doctor.to_string().contains("through the tunnel"),
            "{doctor}"
        );
        // Better ones than the one that the tunnel came by, of both families.
        for route in [
            "default via 10.2.0.1 dev eth0 metric 1",
            "0.0.0.0/1 via 10.2.0.1 dev eth0",
            "128.0.0.0/1 via 10.1.0.1 dev wifi0",
        ] {
            laptop.ip(&["route", "add"].into_iter().chain(route.split(' ')).collect::<Vec<_>>())?;
        }
        laptop.ip(&["-6", "route", "add", "2000::/3", "via", "fd01::1", "dev", "wifi0"])?;
        for there in ["8.8.8.8", "10.1.0.1", "192.168.10.1"] {
            let way = laptop.ip(&["route", "get", there])?;
            ensure!(way.contains("dev ikeep0"), "{way}");
        }
        for there in ["2001:db8:5::9", "fd08::1"] {
            let way = laptop.ip(&["-6", "route", "get", there]);
            ensure!(way.as_ref().map_or(true, |way| way.contains("unreachable")), "{way:?}");
        }
        let rounds = sender.rounds();
        pause(Duration::from_secs(2));
        world.ping(BEHIND_GATEWAY, 56)?;
        ensure!(sender.rounds() > rounds + 50, "nothing was sent");
        watch.ensure_tight()?;
        for route in [
            "default via 10.2.0.1 dev eth0 metric 1",
            "0.0.0.0/1 via 10.2.0.1 dev eth0",
            "128.0.0.0/1 via 10.1.0.1 dev wifi0",
        ] {
            laptop.ip(&["route", "del"].into_iter().chain(route.split(' ')).collect::<Vec<_>>())?;
        }
        laptop.ip(&["-6", "route", "del", "2000::/3", "via", "fd01::1", "dev", "wifi0"])?;
        world.ping(BEHIND_GATEWAY, 56)?;
        watch.ensure_tight()?;
        println!("{} rounds of packets to everywhere: none left outside the full tunnel", sender.rounds());
        drop((watch, sender));
        world.disconnect()?;
        world.until_as(&before).map(drop)
    })
}

#[test]
fn a_path_of_576_octets_carries_everything() -> Result<()> {
    let test = "a_path_of_576_octets_carries_everything";
    against(&[Kind::Embedded, Kind::StrongSwan], test, Options::default(), |world| {
        // Beyond the router: the laptop has to find out.
        world.net.home.ip(&["link", "set", "wan", "mtu", "576"])?;
        world.net.gateway.ip(&["link", "set", "wan0", "mtu", "576"])?;
        world.connect()?;
        // Begun while nobody knows how narrow it is, and after.
        let mut early = world.downloads()?;
        for to in [BEHIND_GATEWAY, BEHIND_GATEWAY6] {
            world.ping(to, 1400)?;
        }
        world.until("the narrow path", |status| status["mtu"] == LEAST6)?;
        early.iter_mut().try_for_each(Download::goes_on)?;
        drop(early);
        let mut downloads = world.downloads()?;
        downloads.iter_mut().try_for_each(Download::goes_on)?;
        let output = world
            .net
            .laptop
            .command("ss")
            .args(["-tin", "state", "established", "dport", "=", ":80"])
            .output()?;
        let sockets = String::from_utf8(output.stdout)?;
        println!("mtu {LEAST6} on a path of 576 octets\n{sockets}");
        let sizes: Vec<u64> =
            sockets.split_whitespace().filter_map(|word| word.strip_prefix("mss:")?.parse().ok()).collect();
        ensure!(!sizes.is_empty(), "{sockets}");
        ensure!(sizes.iter().all(|size| size + 40 <= LEAST6), "{sizes:?}");
        let link = world.net.laptop.ip(&["-o", "link", "show", "dev", "ikeep0"])?;
        ensure!(link.contains(&format!("mtu {LEAST6} ")), "{link}");
        Ok(())
    })
}

#[test]
fn another_vpn_keeps_its_rules_and_routes() -> Result<()> {
    let test = "another_vpn_keeps_its_rules_and_routes";
    against(&[Kind::Embedded], test, Options::default(), |world| {
        let laptop = &world.net.laptop;
        let vpn = Netns::new("vpn")?;
        vpn.accept_any_way()?;
        laptop.link(("vpn0", &["10.3.0.2/24"]), &vpn, ("lan", &["10.3.0.1/24"]))?;
        laptop.ip(&["link", "set", "vpn0", "addrgenmode", "none"])?;
        laptop.ip(&["-6", "addr", "flush", "dev", "vpn0"])?;
        vpn.link(("wan", &["10.6.0.2/24"]), &world.net.gateway, ("wan2", &["10.6.0.1/24"]))?;
        vpn.forward()?;
        vpn.ip(&["route", "add", "default", "via", "10.6.0.1"])?;
        vpn.nft(
            "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; \
             add rule ip nat out oifname \"wan\" masquerade",
        )?;
        // As wg-quick sets a full tunnel up.
        for what in [
            "route add default dev vpn0 via 10.3.0.1 table 51820",
            "rule add not fwmark 51820 table 51820 priority 32764",
            "rule add table main suppress_prefixlength 0 priority 32763",
        ] {
            laptop.ip(&what.split(' ').collect::<Vec<_>>())?;
        }
        let before = world.picture()?;
        world.connect()?;
        world.until_at("10.3.0.2")?;
        world.ping(BEHIND_GATEWAY, 56)?;
        let theirs = |picture: &str| -> Vec<String> {
            let ours =
                |line: &&str| line.contains("51820") || line.contains("vpn0") || line.contains("32763");
            picture.lines().filter(ours).map(str::to_owned).collect()
        };
        let during = world.picture()?;
        let kept = theirs(&before).iter().all(|line| during.lines().any(|now| now == line));
        ensure!(kept, "before:\n{before}\nduring:\n{during}");
        world.disconnect()?;
        world.until_as(&before)?;
        Ok(())
    })
}
