//! The kill switch's table on a real kernel: what `nft` reads of it, and what leaves the laptop.

use crate::interop;
use crate::leaks::{Sender, THERE, seen, until_seen};
use crate::world::{World, net, on_laptop, plan};
use anyhow::{Context as _, Result, ensure};
use ikeep::netd::wall::{Builder, Held, Range, Wall, held};
use ikeep::plan::{MARK, Refused};

use std::net::UdpSocket;
use std::time::Duration;

/// Times that the kill switch is changed, at least, by threes.
const ROUNDS: u32 = 200;

/// A notice would have come by then.
const QUIET: Duration = Duration::from_millis(300);

/// As `nft` (not ours) says that it is.
const EVERYTHING: &str = "\
table inet ikeep {
	set lan4 {
		type ipv4_addr
		flags interval
		elements = { 169.254.0.0/16, 192.168.1.0/24,
			     224.0.0.0/4, 255.255.255.255 }
	}

	set lan6 {
		type ipv6_addr
		flags interval
		elements = { fe80::/10,
			     ff02::/16 }
	}

	chain out {
		type filter hook postrouting priority 300; policy accept;
		oif \"lo\" accept
		oif \"ikeep0\" accept
		meta mark 0x696b6565 accept
		meta skuid != 4294967295 meta nfproto ipv4 udp sport 68 udp dport 67 accept
		meta skuid != 4294967295 meta nfproto ipv6 udp sport 546 udp dport 547 accept
		ip6 hoplimit 1 ip6 daddr ff00::/8 icmpv6 type 130-132 accept
		ip6 hoplimit 255 icmpv6 type 133-137 accept
		ip6 hoplimit 1 ip6 daddr ff00::/8 icmpv6 type mld2-listener-report accept
		ip daddr @lan4 accept
		ip6 daddr @lan6 accept
		counter packets 0 bytes 0 drop
	}
}
";

fn listed(world: &World<'_>) -> Result<String> {
    let output = world.laptop.command("nft").args(["list", "table", "inet", "ikeep"]).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn all() -> Wall {
    Wall { device: None, held: Held::All, lan: Vec::new(), open: false }
}

fn ranges(nets: &[&str]) -> Result<Vec<Range>> {
    Ok(held(&nets.iter().map(|text| Ok((net(text)?, true))).collect::<Result<_>>()?))
}

/// The router counts what this one sends, in both families.
pub(crate) fn watch(world: &World<'_>) -> Result<()> {
    let [there4, there6] = THERE;
    world.router.nft(&format!(
        "add table inet watch; add chain inet watch in {{ type filter hook prerouting priority 0; }}; \
         add rule inet watch in ip daddr {there4} counter; add rule inet watch in ip6 daddr {there6} counter"
    ))
}

#[test]
fn nft_reads_the_kill_switch_as_it_is_meant() -> Result<()> {
    if !interop::enabled("nft_reads_the_kill_switch_as_it_is_meant") {
        return Ok(());
    }
    on_laptop(async |world| {
        let device = world.tun()?;
        let mut builder = Builder::default();
        builder.take()?;
        let lan = ranges(&["192.168.1.0/24"])?;
        builder.put(&Wall { device: Some(device.index), lan, ..all() })?;
        let text = listed(world)?;
        ensure!(text == EVERYTHING, "{text}");
        // As our own routes have it: what is inside, what outside of it, and the resolver in that.
        let mut network = plan(&["10.0.0.0/8", "2001:db8:5::/48"])?;
        network.exclude = vec![net("10.2.0.0/16")?];
        network.dns.servers = vec!["10.2.3.4".parse()?];
        let taken = world.net.taken(Some(&device), &network).await?;
        builder.put(&Wall { device: None, held: Held::Only(held(&taken)), open: true, ..all() })?;
        let text = listed(world)?;
        for line in [
            "elements = { 0.0.0.0-9.255.255.255, 10.2.0.0-10.2.3.3,",
            "10.2.3.5-10.2.255.255, 11.0.0.0-255.255.255.255 }",
            "elements = { ::-2001:db8:4:ffff:ffff:ffff:ffff:ffff,",
            "2001:db8:6::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff }",
            "ip daddr @free4 accept",
            "counter packets 0 bytes 0 drop",
            "tcp dport 443 accept",
            "udp dport 53 accept",
        ] {
            ensure!(text.contains(line), "{line}: {text}");
        }
        ensure!(!text.contains("ikeep0"), "{text}");
        network.include.clear();
        network.refused = Refused { ipv4: false, ipv6: true };
        let taken = world.net.taken(Some(&device), &network).await?;
        builder.put(&Wall { held: Held::Only(held(&taken)), ..all() })?;
        let text = listed(world)?;
        ensure!(
            text.contains("elements = { fe80::/10,") && !text.contains("::-"),
            "a refused family: {text}"
        );
        // As many networks as a plan may have.
        let many =
            (0..2000_u32).map(|n| net(&format!("{}/32", std::net::Ipv4Addr::from(0x0b00_0000 + 2 * n))));
        let many = many.map(|net| Ok((net?, true))).collect::<Result<_>>()?;
        builder.put(&Wall { held: Held::Only(held(&many)), ..all() })?;
        ensure!(listed(world)?.contains("11.0.15.159"));
        builder.take()?;
        ensure!(listed(world)?.is_empty() && !builder.is_there());
        builder.take()?;
        Ok(())
    })
}

#[test]
fn nothing_leaves_while_one_kill_switch_takes_the_place_of_another() -> Result<()> {
    if !interop::enabled("nothing_leaves_while_one_kill_switch_takes_the_place_of_another") {
        return Ok(());
    }
    on_laptop(async |world| {
        watch(world)?;
        let sender = Sender::start()?;
        until_seen(world).await?;
        let mut builder = Builder::default();
        builder.put(&all())?;
        // What was on its way when it was put up.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (before, begun) = (seen(world)?, sender.tries());
        let nets = ["198.51.100.0/24", "2001:db8:5::/48"].iter().map(|text| Ok((net(text)?, true)));
        let nets = nets.collect::<Result<_>>()?;
        let mut round = 0;
        while round < ROUNDS || sender.tries() - begun < 1000 {
            round += 1;
            builder.put(&Wall { held: Held::Only(held(&nets)), ..all() })?;
            builder.put(&Wall { open: round % 2 == 0, lan: ranges(&["192.168.1.0/24"])?, ..all() })?;
            builder.put(&all())?;
        }
        let (after, tries) = (seen(world)?, sender.tries() - begun);
        let times = 3 * round;
        println!(
            "{tries} packets of each family while the kill switch changed {times} times: {before:?} and {after:?} seen"
        );
        ensure!(before == after, "{before:?} {after:?} {tries}");
        builder.take()?;
        until_seen(world).await?;
        drop(sender);
        Ok(())
    })
}

#[test]
fn the_kill_switch_lets_through_what_the_tunnel_needs_and_no_more() -> Result<()> {
    if !interop::enabled("the_kill_switch_lets_through_what_the_tunnel_needs_and_no_more") {
        return Ok(());
    }
    on_laptop(async |world| {
        watch(world)?;
        let mut builder = Builder::default();
        let [there4, there6] = THERE;
        let to_router = |mark: bool, to: (&str, u16), from: u16| -> Result<bool> {
            let any = if to.0.contains(':') { "[::]" } else { "0.0.0.0" };
            let socket = UdpSocket::bind(format!("{any}:{from}"))?;
            socket.set_broadcast(true)?;
            if mark {
                socket2::SockRef::from(&socket).set_mark(MARK)?;
            }
            Ok(socket.send_to(b"x", to).is_ok())
        };
        let ping = |to: &str| -> Result<bool> {
            Ok(world
                .laptop
                .command("ping")
                .args(["-n", "-q", "-c", "1", "-W", "2", to])
                .output()?
                .status
                .success())
        };
        builder.put(&all())?;
        for there in [there4, there6] {
            ensure!(!to_router(false, (there, 9), 0)?, "{there} was reached");
            ensure!(to_router(true, (there, 9), 0)?, "{there} was not reached with our mark");
            ensure!(!to_router(false, (there, 53), 0)?, "names");
        }
        ensure!(to_router(false, ("255.255.255.255", 67), 68)?, "DHCP");
        ensure!(to_router(false, ("192.168.1.1", 67), 68)?, "DHCP of a server that is known");
        ensure!(!to_router(false, ("192.168.1.1", 67), 0)?, "from another port");
        ensure!(ping("127.0.0.1")? && !ping("192.168.1.1")? && !ping("fd01::1")?);
        builder.put(&Wall { lan: ranges(&["192.168.1.0/24", "fd01::/64"])?, ..all() })?;
        ensure!(ping("192.168.1.1")?, "the local network");
        // Neighbours are found with it up: nothing is known of them before.
        world.ip("-6 neigh flush dev eth0")?;
        ensure!(ping("fd01::1")?, "the local network, and its neighbours");
        ensure!(!ping(there4)? && !to_router(false, (there4, 9), 0)?);
        builder.put(&Wall { open: true, ..all() })?;
        ensure!(to_router(false, (there4, 53), 0)? && to_router(false, (there6, 443), 0)?);
        ensure!(!to_router(false, (there4, 9), 0)?);
        builder.put(&all())?;
        ensure!(!to_router(false, (there4, 53), 0)?, "closed again");
        Ok(())
    })
}

#[test]
fn what_is_forwarded_is_held_back_and_a_table_that_others_remove_is_missed() -> Result<()> {
    if !interop::enabled("what_is_forwarded_is_held_back_and_a_table_that_others_remove_is_missed") {
        return Ok(());
    }
    on_laptop(async |world| {
        watch(world)?;
        let guest = interop::Netns::new("guest")?;
        guest.link(("eth0", &["10.99.0.2/24"]), world.laptop, ("guest0", &["10.99.0.1/24"]))?;
        guest.ip(&["route", "add", "default", "via", "10.99.0.1"])?;
        world.sh("echo 1 >/proc/sys/net/ipv4/ip_forward")?;
        let sends = |expected: u64| -> Result<()> {
            let before = seen(world)?[0];
            let ping = ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "1", THERE[0]];
            guest.command("ping").args(ping).output().context("ping")?;
            let came = seen(world)?[0] - before;
            ensure!(came == expected, "{came} packets of a guest, not {expected}");
            Ok(())
        };
        sends(3)?;
        let mut builder = Builder::default();
        builder.put(&all())?;
        sends(0)?;
        // A firewall that is loaded anew takes everybody's tables away; others only what is in it, or add to that.
        for others in [
            "flush ruleset",
            "flush table inet ikeep",
            "flush chain inet ikeep out",
            "insert rule inet ikeep out accept",
        ] {
            world.laptop.nft(others)?;
            let changed = tokio::time::timeout(interop::PATIENCE, builder.changed());
            changed.await.with_context(|| format!("{others} was not noticed"))?;
            sends(3).context(others)?;
            builder.put(&all())?;
            sends(0).context(others)?;
        }
        // What others do elsewhere, and what is done here, is nothing new.
        world.laptop.nft("add table inet others; add chain inet others in; delete table inet others")?;
        let lan = ranges(&["192.168.1.0/24"])?;
        builder.put(&Wall { lan, ..all() })?;
        world.laptop.nft("add table ip ikeep; delete table ip ikeep")?;
        let quiet = tokio::time::timeout(QUIET, builder.changed()).await;
        ensure!(quiet.is_err(), "a change that was not ours was taken for one");
        world.laptop.nft("add element inet ikeep lan4 { 198.51.100.0/24 }")?;
        tokio::time::timeout(interop::PATIENCE, builder.changed()).await.context("a network more")?;
        builder.take()?;
        sends(3)
    })
}
