//! A kernel that drops what did not come by the way back: answers of the gateway have to pass.

use crate::interop::{self, Netns, Stopwatch};
use crate::world::{GATEWAY, TUN, on_laptop, plan};
use anyhow::{Context as _, Result, ensure};
use ikeep::plan::{MARK, Network, Refused};
use nix::sys::socket::{setsockopt, sockopt};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Longer than an answer takes here.
const SOON: Duration = Duration::from_millis(500);

/// Serves echoes on a host while `work` lasts.
fn with_echo<T>(host: &Netns, ports: [u16; 2], work: impl FnOnce() -> Result<T>) -> Result<T> {
    let over = AtomicBool::new(false);
    let sockets = host.run(|| ports.map(|port| UdpSocket::bind((GATEWAY, port))))?;
    thread::scope(|scope| {
        for socket in sockets {
            let socket = socket?;
            socket.set_read_timeout(Some(SOON / 5))?;
            let over = &over;
            scope.spawn(move || {
                let mut packet = [0; 64];
                while !over.load(Ordering::Relaxed) {
                    if let Ok((length, from)) = socket.recv_from(&mut packet) {
                        let _ = socket.send_to(&packet[..length], from);
                    }
                }
            });
        }
        let done = work();
        over.store(true, Ordering::Relaxed);
        done
    })
}

/// Whether the gateway's answer comes back to a socket as netd opens it.
fn answered(port: u16) -> Result<bool> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    setsockopt(&socket, sockopt::Mark, &MARK)?;
    socket.set_read_timeout(Some(SOON))?;
    socket.send_to(b"ike", (GATEWAY, port))?;
    match socket.recv_from(&mut [0; 64]) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
        Err(error) => Err(error).context("receiving"),
    }
}

#[test]
fn the_gateway_is_heard_where_reverse_paths_are_checked() -> Result<()> {
    if !interop::enabled("the_gateway_is_heard_where_reverse_paths_are_checked") {
        return Ok(());
    }
    on_laptop(async |world| {
        world.sh("for file in all default eth0; do echo 1 >/proc/sys/net/ipv4/conf/$file/rp_filter; done")?;
        let before = world.snapshot()?;
        let device = world.tun()?;
        let watch = Stopwatch::start();
        let full = plan(&["0.0.0.0/0", "::/0"])?;
        let nobody = Network { gateways: Vec::new(), ..full.clone() };
        let heard = || with_echo(world.router, [500, 4500], || Ok([answered(500)?, answered(4500)?]));
        ensure!(heard()? == [true, true], "there is no tunnel");
        world.net.apply(&device, &nobody).await?;
        ensure!(heard()? == [false, false], "this kernel checks nothing: the test shows nothing");
        world.net.apply(&device, &full).await?;
        ensure!(heard()? == [true, true], "strict: {:?}", world.snapshot()?);
        // Only what IKE needs goes past: the rest of what is sent to the gateway's address does not.
        let web = format!("{GATEWAY} ipproto tcp dport 443");
        world.ensure_ways(&[(&web, Some(TUN)), (GATEWAY, Some(TUN))])?;

        // Where the family is refused, a loose kernel finds no way back either.
        world.sh("for file in all default eth0; do echo 2 >/proc/sys/net/ipv4/conf/$file/rp_filter; done")?;
        let refused = Network {
            addresses: vec!["fd07::2".parse()?],
            refused: Refused { ipv4: true, ipv6: false },
            ..plan(&["::/0"])?
        };
        world.net.apply(&device, &Network { gateways: Vec::new(), ..refused.clone() }).await?;
        ensure!(heard()? == [false, false], "a loose kernel needs some way back");
        world.net.apply(&device, &refused).await?;
        ensure!(heard()? == [true, true], "loose: {:?}", world.snapshot()?);
        // Where nothing is checked there are no such rules, which cost time for every packet.
        world.net.apply(&device, &full).await?;
        ensure!(!world.ip("rule")?.contains("dport"), "loose, and there is a way back");
        println!("reverse paths: {} ms", watch.elapsed().as_millis());
        world.end(device, &before).await
    })
}
