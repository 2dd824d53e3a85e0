//! The product's agent in a process of its own, with pings where packets enter its tunnel.
//!
//! It is `agent::service` with the machine's own `sense`, as `ikeep agent` has it. Without a device the proxy alone is
//! replaced: a SOCKS proxy takes no pings, and a TCP echo would measure the retransmission of TCP. With one nothing is, and
//! somebody else pings through the kernel. Lines on standard output: `p SENT ANSWERED` and `e AT WHAT`, in nanoseconds; on standard input: `suspend` and `resume`, as logind would say.

use crate::track::{INTERVAL, now};
use anyhow::{Context, Result};
use ikeep::agent::clock::Clock;
use ikeep::agent::connection::Surroundings;
use ikeep::agent::service::{Service, Setup};
use ikeep::client::Event;
use ikeep::config::{Places, Tunnel};
use ikeep::esp::{HEADROOM, inner};
use ikeep::ipc::{Call, Connect, Request};
use ikeep::plan::Plan;
use ikeep::sense::{self, Hold, Senses, Signal};
use ikeep::store::Store;
use ikeep::tunnel::Ports;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

/// Behind the gateway, the echo service (RFC 862).
pub(crate) const TARGET: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 168, 10, 1), 7);
const PORT: u16 = 4007;
/// Signals, replies and packets that may wait.
const WAITING: usize = 1024;

/// Runs until standard input ends. `tun`: with a device.
pub(crate) fn run(profile: PathBuf, ca: PathBuf, tun: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(agent(profile, ca, tun))
}

async fn agent(profile: PathBuf, ca: PathBuf, tun: bool) -> Result<()> {
    let places = Places::of_user()?;
    let clock = Clock::system();
    let slept = clock.clone();
    let Senses { mut signals, gateway, missing } = sense::machine(move || slept.slept());
    let (told, senses) = mpsc::channel(WAITING);
    let machine = told.clone();
    tokio::spawn(async move {
        while let Some(signal) = signals.recv().await {
            if machine.send(signal).await.is_err() {
                return;
            }
        }
    });
    let usual = Surroundings::default();
    let around = Surroundings {
        tap: if tun { usual.tap } else { Arc::new(tap) },
        observe: Arc::new(|_, event| match event {
            Event::State(state) => say(&format!("e {} {}", now(), state.name())),
            Event::Trouble(cause) => say(&format!("e {} {cause:?}", now())),
            Event::Reconnected(report) => {
                let what = if report.old_sa { "old-sa" } else { "new-sa" };
                say(&format!("e {} {what}", now()));
            }
            _ => {}
        }),
        ..usual
    };
    let store = Store::in_files(&places);
    let senses = Senses { signals: senses, gateway, missing };
    let service = Service::new(Setup { places, clock, store, senses, around }).await;
    let (calls, called) = mpsc::channel(WAITING);
    tokio::spawn(service.run(called));
    let wishes = Connect {
        profile: Some(profile),
        trust: vec![ca],
        tunnel: Some(if tun { Tunnel::Tun } else { Tunnel::Proxy }),
        proxy: (!tun).then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ..Connect::default()
    };
    let (replies, mut replied) = mpsc::channel(WAITING);
    calls.send(Call { request: Request::Connect(wishes), replies }).await?;
    tokio::spawn(async move {
        while let Some(reply) = replied.recv().await {
            say(&format!("e {} reply {}", now(), format!("{reply:?}").replace('\n', " ")));
        }
    });
    let mut lines = BufReader::new(tokio_stdin()?).lines();
    while let Some(line) = lines.next_line().await? {
        let signal = match line.as_str() {
            "suspend" => Signal::Suspend(Hold::none()),
            "resume" => Signal::Resume,
            _ => continue,
        };
        told.send(signal).await.ok().context("the agent has ended")?;
    }
    Ok(())
}

/// Standard input, which is a pipe here, without a thread that reads it.
fn tokio_stdin() -> Result<tokio::net::unix::pipe::Receiver> {
    let stdin = rustix::stdio::stdin();
    let own = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    Ok(tokio::net::unix::pipe::Receiver::from_owned_fd(own)?)
}

/// A line for the bench; one that has gone needs none.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

/// Pings enter and leave; the proxy gets nothing.
fn tap(ports: Ports) -> Ports {
    let Ports { outward, inward, plan } = ports;
    tokio::spawn(ping(outward, inward, plan.clone()));
    let (nobody, _) = mpsc::channel(1);
    let (silent, inward) = mpsc::channel(1);
    // The proxy ends when its tunnel does.
    tokio::spawn(async move { silent.closed().await });
    Ports { outward: nobody, inward, plan }
}

async fn ping(
    outward: mpsc::Sender<Vec<u8>>,
    mut inward: mpsc::Receiver<Vec<u8>>,
    plan: watch::Receiver<Option<Plan>>,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            packet = inward.recv() => {
                let Some(packet) = packet else { return };
                let sent = inner::parse_udp(&packet)
                    .filter(|answer| answer.destination_port == PORT)
                    .and_then(|answer| answer.payload.try_into().ok());
                if let Some(sent) = sent {
                    say(&format!("p {} {}", u64::from_be_bytes(sent), now()));
                }
            }
            _ = ticks.tick() => {
                let own = plan.borrow().as_ref().and_then(|plan| plan.addresses().into_iter().find(IpAddr::is_ipv4));
                let Some(own) = own else { continue };
                let mut frame = vec![0; HEADROOM];
                frame.extend(inner::udp(own, PORT, TARGET.0.into(), TARGET.1, &now().to_be_bytes()));
                // A full queue loses what comes, as any link does.
                let _ = outward.try_send(frame);
            }
        }
    }
}
