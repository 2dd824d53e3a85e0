//! Somebody who sends everywhere all the time, and routers that count what of it comes out of the laptop.

use crate::interop::Netns;
use crate::net::{GATEWAY, GATEWAY6, Net};
use anyhow::{Context, Result, ensure};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Behind the gateway, behind the routers, nowhere, name servers, and the gateway's host at another port.
const EVERYWHERE: [&str; 9] = [
    "192.168.10.1:9",
    "192.168.10.77:9",
    "8.8.8.8:53",
    "10.7.0.1:9",
    "172.16.5.5:443",
    "203.0.113.9:500",
    "[fd10::1]:9",
    "[2001:db8:5::9]:53",
    "[fd08::1]:4500",
];
/// Between one round and the next.
const GAP: Duration = Duration::from_millis(20);

/// Sends to [`EVERYWHERE`] until dropped.
pub(crate) struct Sender {
    over: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    pub(crate) fn start(net: &Net) -> Result<Self> {
        Self::to(net, &[])
    }

    /// The same, and to these too.
    pub(crate) fn to(net: &Net, more: &[&str]) -> Result<Self> {
        let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let to: Vec<SocketAddr> =
            EVERYWHERE.iter().chain(more).map(|to| to.parse()).collect::<Result<_, _>>()?;
        let (ends, count) = (Arc::clone(&over), Arc::clone(&rounds));
        // A socket belongs to the host on which it was made.
        let sockets = net.laptop.run(|| [UdpSocket::bind("0.0.0.0:0"), UdpSocket::bind("[::]:0")])?;
        let [ipv4, ipv6] = sockets;
        let (ipv4, ipv6) = (ipv4?, ipv6?);
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                for to in &to {
                    let socket = if to.is_ipv4() { &ipv4 } else { &ipv6 };
                    let _ = socket.send_to(b"secret", to);
                }
                count.fetch_add(1, Ordering::Relaxed);
                crate::world::pause(GAP);
            }
        });
        Ok(Self { over, rounds, thread: Some(thread) })
    }

    /// How often it has sent to all of them.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the routers see of the laptop beside IKE and ESP to the gateway, from here on until dropped.
pub(crate) struct Watch<'n> {
    net: &'n Net,
    /// Networks to which packets may leave; each has a counter.
    allowed: usize,
}

impl<'n> Watch<'n> {
    pub(crate) fn start(net: &'n Net) -> Result<Self> {
        Self::but_for(net, &[])
    }

    /// The same, but what goes to these networks may.
    pub(crate) fn but_for(net: &'n Net, allowed: &[&str]) -> Result<Self> {
        let watch = Self { net, allowed: allowed.len() };
        let mut rules = String::new();
        for (number, to) in allowed.iter().enumerate() {
            let family = if to.contains(':') { "ip6" } else { "ip" };
            rules += &format!("add counter inet watch allowed{number}; ");
            rules += &format!(
                "add rule inet watch path {family} daddr {to} counter name allowed{number} return; "
            );
        }
        let neighbours = "nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report";
        for router in [&net.home, &net.office] {
            router.nft(&format!(
                "add table inet watch; \
                 add set inet watch seen4 {{ typeof ip daddr . ip protocol; flags dynamic; }}; \
                 add set inet watch seen6 {{ typeof ip6 daddr . meta l4proto; flags dynamic; }}; \
                 add chain inet watch path {{ type filter hook prerouting priority -200; }}; \
                 add rule inet watch path iifname != \"lan\" return; \
                 add rule inet watch path ip daddr {GATEWAY} udp dport {{ 500, 4500 }} return; \
                 add rule inet watch path ip6 daddr {GATEWAY6} udp dport {{ 500, 4500 }} return; \
                 add rule inet watch path icmpv6 type {{ {neighbours} }} return; \
                 {rules}\
                 add rule inet watch path update @seen4 {{ ip daddr . ip protocol }}; \
                 add rule inet watch path update @seen6 {{ ip6 daddr . meta l4proto }}; \
                 add rule inet watch path counter"
            ))?;
        }
        Ok(watch)
    }

    /// Packets so far to each of the networks that they may leave to.
    pub(crate) fn passed(&self) -> Result<Vec<u64>> {
        let count = |number: usize| {
            let name = format!("allowed{number}");
            self.routers().into_iter().try_fold(0, |sum, router| {
                let arguments = ["list", "counter", "inet", "watch", &name];
                let output = router.command("nft").args(arguments).output()?;
                Ok(sum + packets(&String::from_utf8(output.stdout)?, "packets ")?)
            })
        };
        (0..self.allowed).map(count).collect()
    }

    /// Packets so far that had no business outside, and which.
    pub(crate) fn leaked(&self) -> Result<(u64, String)> {
        let (mut sum, mut which) = (0, String::new());
        for router in self.routers() {
            let output = router.command("nft").args(["list", "table", "inet", "watch"]).output()?;
            let text = String::from_utf8(output.stdout)?;
            sum += packets(&text, "counter packets ")?;
            which += &text;
        }
        Ok((sum, which))
    }

    fn routers(&self) -> [&'n Netns; 2] {
        [&self.net.home, &self.net.office]
    }

    /// There were none.
    pub(crate) fn ensure_tight(&self) -> Result<()> {
        let (leaked, which) = self.leaked()?;
        ensure!(leaked == 0, "{leaked} packets left outside the tunnel:\n{which}");
        Ok(())
    }
}

/// The number behind the first `words`.
fn packets(text: &str, words: &str) -> Result<u64> {
    let count = text.split(words).nth(1).and_then(|rest| rest.split(' ').next());
    Ok(count.with_context(|| text.to_owned())?.parse()?)
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        for router in self.routers() {
            let _ = router.nft("delete table inet watch");
        }
    }
}
