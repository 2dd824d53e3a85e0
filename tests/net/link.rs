//! What the kill switch leaves of the link itself: addresses and neighbours are found in both directions, and whoever only looks
//! like that, or is forwarded, is held back.

use crate::interop::{self, Netns, PATIENCE};
use crate::leaks::{THERE, seen};
use crate::wall::{all, watch};
use crate::world::{World, on_laptop};
use anyhow::{Context as _, Result, ensure};
use ikeep::netd::wall::Builder;
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

/// All DHCPv6 servers and relays (RFC 8415 7.1), all routers (RFC 4291 2.7.1), and listeners of version 2 (RFC 3810 5.2.14).
const SERVERS: &str = "ff02::1:2";
const ROUTERS: &str = "ff02::2";
const LISTENERS: &str = "ff02::16";

/// A question is asked so often, and again after this time.
const TRIES: u32 = 40;
const AGAIN: Duration = Duration::from_millis(250);

/// An ICMPv6 message of this type and hop limit, that says no more: whether the kernel lets it go.
fn icmpv6(kind: u8, hops: u32, to: SocketAddrV6) -> Result<bool> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_unicast_hops_v6(hops)?;
    socket.set_multicast_hops_v6(hops)?;
    let mut message = [0; 24];
    message[0] = kind;
    Ok(socket.send_to(&message, &SockAddr::from(to)).is_ok())
}

/// The index of the local network's interface.
fn eth0() -> Result<u32> {
    Ok(name_to_index(UdpSocket::bind("127.0.0.1:0")?, "eth0")?)
}

fn at(ip: &str, scope: u32) -> Result<SocketAddrV6> {
    Ok(SocketAddrV6::new(ip.parse()?, 0, 0, scope))
}

/// A question of the client's and the server's answer. It asks again, as clients do: the link may be new.
fn asks(client: &UdpSocket, server: &UdpSocket, to: SocketAddr) -> Result<()> {
    for socket in [client, server] {
        socket.set_read_timeout(Some(AGAIN))?;
    }
    let mut buffer = [0; 16];
    for _ in 0..TRIES {
        client.send_to(b"discover", to).with_context(|| format!("to {to}"))?;
        let Ok((_, from)) = server.recv_from(&mut buffer) else { continue };
        server.send_to(b"offer", from)?;
        if client.recv_from(&mut buffer).is_ok_and(|(length, _)| &buffer[..length] == b"offer") {
            return Ok(());
        }
    }
    anyhow::bail!("no answer from {to}")
}

#[test]
fn addresses_and_neighbours_are_found_behind_a_kill_switch() -> Result<()> {
    if !interop::enabled("addresses_and_neighbours_are_found_behind_a_kill_switch") {
        return Ok(());
    }
    on_laptop(async |world| {
        let link = eth0()?;
        let far = world.router.run(eth0)??;
        Builder::default().put(&all())?;
        let client = UdpSocket::bind("0.0.0.0:68")?;
        client.set_broadcast(true)?;
        socket2::SockRef::from(&client).bind_device(Some(b"eth0"))?;
        let server = world.router.run(|| UdpSocket::bind("0.0.0.0:67"))??;
        asks(&client, &server, "255.255.255.255:67".parse()?)?;
        asks(&client, &server, "192.168.1.1:67".parse()?)?;

        // Neighbours are asked for first, on both sides.
        world.ip("-6 neigh flush dev eth0")?;
        world.router.ip(&["-6", "neigh", "flush", "dev", "eth0"])?;
        let client = UdpSocket::bind("[::]:546")?;
        let server = world.router.run(|| UdpSocket::bind("[::]:547"))??;
        server.join_multicast_v6(&SERVERS.parse()?, far)?;
        asks(&client, &server, SocketAddrV6::new(SERVERS.parse()?, 547, 0, link).into())?;
        asks(&client, &server, "[fd01::1]:547".parse()?)?;
        // An answer to a neighbour's question leaves; one to its ping does not.
        world.router.ip(&["-6", "neigh", "flush", "dev", "eth0"])?;
        let ping = ["-n", "-q", "-c", "1", "-W", "1", "fd01::2"];
        let output = world.router.command("ping").args(ping).output()?;
        let known = world.router.ip(&["-6", "neigh", "show", "fd01::2"])?;
        ensure!(!output.status.success() && known.contains("lladdr"), "{known}");

        for (kind, hops, to) in [
            (133, 255, ROUTERS),
            (135, 255, "fd01::1"),
            (136, 255, "fd01::1"),
            (131, 1, ROUTERS),
            (143, 1, LISTENERS),
        ] {
            ensure!(icmpv6(kind, hops, at(to, link)?)?, "type {kind} with {hops} hops to {to}");
        }
        // As no neighbour would say it.
        for (kind, hops, to) in [
            (133, 64, ROUTERS),
            (135, 254, "fd01::1"),
            (143, 255, LISTENERS),
            (143, 1, "fd01::1"),
            (131, 1, "fd01::1"),
            (128, 255, "fd01::1"),
            (138, 255, "fd01::1"),
            (1, 255, "fd01::1"),
        ] {
            ensure!(!icmpv6(kind, hops, at(to, link)?)?, "type {kind} with {hops} hops to {to} left");
        }
        for (from, to) in [
            ("0.0.0.0:68", "192.168.1.1:68"),
            ("0.0.0.0:67", "192.168.1.1:67"),
            ("0.0.0.0:67", "192.168.1.1:68"),
            ("[::]:546", "[fd01::1]:546"),
            ("[::]:547", "[fd01::1]:547"),
            ("[::]:68", "[fd01::1]:67"),
        ] {
            let socket = Socket::new(Domain::for_address(from.parse()?), Type::DGRAM, None)?;
            socket.set_reuse_address(true)?;
            if from.starts_with('[') {
                socket.set_only_v6(true)?;
            }
            // The clients above have theirs still.
            if socket.bind(&from.parse::<SocketAddr>()?.into()).is_err() {
                continue;
            }
            let sent = socket.send_to(b"x", &to.parse::<SocketAddr>()?.into());
            ensure!(sent.is_err(), "{from} to {to} left");
        }
        Ok(())
    })
}

/// What somebody behind the laptop sends: all of it looks like a link's own.
fn guest_sends(guest: &Netns) -> Result<()> {
    let [there4, there6] = THERE;
    let sent = guest.run(|| -> Result<()> {
        UdpSocket::bind("0.0.0.0:68")?.send_to(b"x", (there4, 67))?;
        UdpSocket::bind("[::]:546")?.send_to(b"x", (there6, 547))?;
        let there: Ipv6Addr = there6.parse()?;
        for (kind, hops) in
            [(133, 255), (134, 255), (135, 255), (136, 255), (137, 255), (131, 2), (143, 2), (143, 255)]
        {
            ensure!(icmpv6(kind, hops, SocketAddrV6::new(there, 0, 0, 0))?, "type {kind}");
        }
        Ok(())
    });
    sent?
}

/// What has come of that to the router.
async fn came(world: &World<'_>, guest: &Netns, expected: bool) -> Result<[u64; 2]> {
    let before = seen(world)?;
    let arrive = async {
        loop {
            guest_sends(guest)?;
            let now = seen(world)?;
            let came = [now[0] - before[0], now[1] - before[1]];
            if !expected || (came[0] > 0 && came[1] >= 8) {
                return Ok(came);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arrive).await.context("nothing of a guest's arrives")?
}

#[test]
fn what_is_forwarded_does_not_pass_a_kill_switch_as_a_links_own() -> Result<()> {
    if !interop::enabled("what_is_forwarded_does_not_pass_a_kill_switch_as_a_links_own") {
        return Ok(());
    }
    on_laptop(async |world| {
        watch(world)?;
        let guest = Netns::new("guest")?;
        guest.link(
            ("eth0", &["10.99.0.2/24", "fd99::2/64"]),
            world.laptop,
            ("guest0", &["10.99.0.1/24", "fd99::1/64"]),
        )?;
        guest.ip(&["route", "add", "default", "via", "10.99.0.1"])?;
        guest.ip(&["-6", "route", "add", "default", "via", "fd99::1"])?;
        world.sh("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")?;
        let open = came(world, &guest, true).await?;
        let mut builder = Builder::default();
        builder.put(&all())?;
        let mut held = [0; 2];
        for _ in 0..3 {
            let some = came(world, &guest, false).await?;
            held = [held[0] + some[0], held[1] + some[1]];
        }
        println!(
            "a guest's packets that look like the link's: {open:?} seen without a kill switch, {held:?} with it"
        );
        ensure!(held == [0; 2], "{held:?}");
        builder.take()?;
        came(world, &guest, true).await?;
        Ok(())
    })
}
