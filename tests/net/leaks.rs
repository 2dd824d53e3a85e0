//! Between one plan and the next, no packet leaves that neither lets out.

use crate::interop::{self, PATIENCE};
use crate::world::{World, net, on_laptop, plan};
use anyhow::{Context as _, Result, bail, ensure};
use ikeep::plan::{Network, Refused};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use tokio::task::yield_now;
use tokio::time::timeout;

/// Somewhere behind the router, in both families.
pub(crate) const THERE: [&str; 2] = ["198.51.100.9", "2001:db8:5::9"];

/// Times that the plans are gone through.
const ROUNDS: usize = 10;

/// Somebody on the laptop who sends all the time, until dropped.
pub(crate) struct Sender {
    over: Arc<AtomicBool>,
    tries: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Threads are where the one is that starts them: on the laptop.
    pub(crate) fn start() -> Result<Self> {
        let (over, tries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sockets = [UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("[::]:0")?];
        let (ends, tried) = (over.clone(), tries.clone());
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                for (socket, to) in sockets.iter().zip(THERE) {
                    let _ = socket.send_to(b"secret", (to, 9));
                }
                tried.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
        });
        Ok(Self { over, tries, thread: Some(thread) })
    }

    /// Times that it has sent.
    pub(crate) fn tries(&self) -> u64 {
        self.tries.load(Ordering::Relaxed)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the router has seen of them, packets.
pub(crate) fn seen(world: &World<'_>) -> Result<[u64; 2]> {
    let output = world.router.command("nft").args(["list", "table", "inet", "watch"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut counts = text.split("packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse().ok());
    Ok([counts.next().context(text.clone())?, counts.next().context(text.clone())?])
}

/// Waits until packets of both families arrive at the router.
pub(crate) async fn until_seen(world: &World<'_>) -> Result<()> {
    let before = seen(world)?;
    let arrive = async {
        loop {
            let now = seen(world)?;
            if now[0] > before[0] && now[1] > before[1] {
                return Ok(());
            }
            yield_now().await;
        }
    };
    timeout(PATIENCE, arrive).await.context("nothing arrives at the router")?
}

#[test]
fn nothing_leaves_between_one_plan_and_the_next() -> Result<()> {
    if !interop::enabled("nothing_leaves_between_one_plan_and_the_next") {
        return Ok(());
    }
    on_laptop(async |world| {
        let [there4, there6] = THERE;
        world.router.nft(&format!(
            "add table inet watch; add chain inet watch in {{ type filter hook prerouting priority 0; }}; \
             add rule inet watch in ip daddr {there4} counter; add rule inet watch in ip6 daddr {there6} counter"
        ))?;
        let before = world.snapshot()?;
        let device = world.tun()?;
        let full = plan(&["0.0.0.0/0", "::/0"])?;
        let plans = [
            full.clone(),
            // Other addresses, and networks of their own for what is sent.
            Network {
                addresses: vec!["10.7.0.9".parse()?, "fd07::9".parse()?],
                exclude: vec![net("10.2.0.0/16")?],
                local_lan: true,
                ..plan(&["198.51.100.0/24", "2001:db8:5::/48"])?
            },
            // Too narrow for IPv6: the kernel takes it from the device.
            Network { mtu: 1200, ..full.clone() },
            full.clone(),
            Network {
                addresses: vec!["10.7.0.2".parse()?],
                refused: Refused { ipv4: false, ipv6: true },
                ..plan(&["0.0.0.0/0"])?
            },
            Network {
                addresses: vec!["fd07::2".parse()?],
                refused: Refused { ipv4: true, ipv6: false },
                ..plan(&["::/0"])?
            },
        ];
        let sender = Sender::start()?;
        until_seen(world).await?;
        world.net.apply(&device, &full).await?;
        let at_first = seen(world)?;
        let tries = sender.tries();
        for round in 0..ROUNDS {
            for (number, plan) in plans.iter().enumerate() {
                world.net.apply(&device, plan).await?;
                let now = seen(world)?;
                if now != at_first {
                    bail!(
                        "round {round}, plan {number}: {:?} packets left",
                        [now[0] - at_first[0], now[1] - at_first[1]]
                    );
                }
            }
        }
        let tries = sender.tries() - tries;
        println!(
            "{tries} packets of each family while plans changed {} times: none left",
            ROUNDS * plans.len()
        );
        ensure!(tries > 1000, "{tries}");
        let problems = world.net.revert(Some(&device)).await;
        ensure!(problems.is_empty(), "{problems:?}");
        until_seen(world).await?;
        drop(sender);
        world.end(device, &before).await
    })
}
