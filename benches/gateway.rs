//! What the embedded gateway carries: logins and reconnects by token a second, and memory for each session.
//!
//! `cargo bench --bench gateway`: the real program on this machine's loopback, and so many clients of ours in this process
//! (`IKEEP_CLIENTS=N`), each with sockets of its own. Both ends share the machine's cores: what counts is the gateway's own CPU
//! time. It prints a table; nothing here can fail by being slow.

#[path = "../tests/interop/mod.rs"]
mod interop;
#[path = "../tests/person/mod.rs"]
mod person;

use anyhow::{Context, Result, bail, ensure};
use ikeep::agent::clock::{Clock, OsRandom};
use ikeep::agent::driver::{Command, Driver, Ends, Output, Sockets};
use ikeep::client::{Client, Event, Order, Settings};
use ikeep::crypto::Secret;
use ikeep::ike::cert::{Root, Trust};
use ikeep::ike::eap::Device;
use ikeep::profile::Profile;
use person::{Company, Stopwatch};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Exchanges under way at the same time.
const AT_ONCE: usize = 16;
const CLIENTS: usize = 1000;
/// A reconnect so soon after an SA has come to stand would wait for the policy's distance between attempts.
const DISTANCE: Duration = Duration::from_millis(100);

fn main() -> Result<()> {
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::var("IKEEP_CLIENTS").ok().and_then(|count| count.parse().ok());
    let clients = asked.unwrap_or(if quick { 20 } else { CLIENTS });
    ensure!((1..=60_000).contains(&clients), "IKEEP_CLIENTS: 1 to 60000");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(clients))
}

async fn run(clients: usize) -> Result<()> {
    let company = Company::open(&["--pool", "10.100.0.1-10.100.255.250", "--dpd", "3600"])?;
    let pid = company.process().context("a gateway")?.as_raw_nonzero().get();
    let root = CertificateDer::from_pem_file(company.ca())?.to_vec();
    let settings = settings(&company, root)?;
    println!(
        "{:36} {:>10} {:>16} {:>20}",
        format!("{clients} clients"),
        "wall",
        "gateway's CPU",
        "a second of a core"
    );
    // What the first one allocates is nobody's own.
    let first = Laptop::start(&settings, 0).await?;
    let before = resident(pid)?;
    let laptops = many("login", pid, clients, |n| Laptop::start(&settings, n + 1)).await?;
    let grown = resident(pid)?.saturating_sub(before);
    println!("{:36} {:>7.1} KiB", "memory of the gateway a session", grown as f64 / clients as f64);
    tokio::time::sleep(DISTANCE).await;
    let mut laptops: Vec<_> = laptops.into_iter().map(Some).collect();
    let again = |n: usize| {
        let laptop = laptops.get_mut(n).and_then(Option::take);
        async move {
            let mut laptop = laptop.context("a laptop")?;
            laptop.reconnect().await?;
            Ok(laptop)
        }
    };
    let laptops = many("reconnect by token", pid, clients, again).await?;
    drop((first, laptops));
    Ok(())
}

/// Does it for all of them, some at a time, and prints what it cost.
async fn many<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
    what: &str,
    gateway: i32,
    count: usize,
    mut each: impl FnMut(usize) -> F,
) -> Result<Vec<T>> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let (watch, before) = (Stopwatch::start(), cpu(gateway)?);
    let mut under_way = JoinSet::new();
    for n in 0..count {
        let (permits, work) = (Arc::clone(&permits), each(n));
        under_way.spawn(async move {
            let _permit = permits.acquire_owned().await?;
            work.await
        });
    }
    let mut done = Vec::with_capacity(count);
    while let Some(one) = under_way.join_next().await {
        done.push(one??);
    }
    let (wall, cost) = (watch.elapsed(), cpu(gateway)?.saturating_sub(before));
    println!(
        "{what:36} {:>8}/s {:>13.2} ms {:>20.0}",
        (count as f64 / wall.as_secs_f64()).round(),
        cost.as_secs_f64() * 1e3 / count as f64,
        count as f64 / cost.as_secs_f64().max(0.01),
    );
    Ok(done)
}

/// A client with an address of its own.
struct Laptop {
    ends: Ends,
}

impl Laptop {
    /// Logs in.
    fn start(settings: &Settings, n: usize) -> impl Future<Output = Result<Self>> + Send + use<> {
        let settings = settings.clone();
        async move {
            let clock = Clock::system();
            let client = Client::new(clock.now(), settings, Box::new(OsRandom::new()));
            let (driver, ends) = Driver::new(client, clock, Sockets::Own);
            tokio::spawn(driver.run());
            let mut laptop = Self { ends };
            let number = u32::try_from(n)?;
            let own = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number);
            laptop.tell(Command::Paths(vec![SocketAddr::from((own, 0)).into()])).await?;
            laptop.tell(Command::Order(Order::Connect)).await?;
            laptop.until(|event| matches!(event, Event::Established { .. })).await?;
            Ok(laptop)
        }
    }

    async fn reconnect(&mut self) -> Result<()> {
        self.tell(Command::Order(Order::Reconnect)).await?;
        self.until(|event| matches!(event, Event::Reconnected(_))).await
    }

    async fn tell(&self, command: Command) -> Result<()> {
        self.ends.commands.send(command).await.context("the driver runs")
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<()> {
        loop {
            match self.ends.outputs.recv().await.context("the driver runs")? {
                Output::Event(_, Event::Ask(form)) => {
                    let value = |name: &str| if name == "username" { "test" } else { "cisco" };
                    let answer = |name: String| {
                        let value = Secret::from(value(&name).as_bytes());
                        (name, value)
                    };
                    let answers = form.inputs.into_iter().map(|input| answer(input.name)).collect();
                    self.tell(Command::Order(Order::Answer(answers))).await?;
                }
                Output::Event(_, Event::Failed(failure)) => bail!("{failure:?}"),
                Output::Event(_, event) if wanted(&event) => return Ok(()),
                Output::NoSocket { local, error } => bail!("no socket at {local}: {error}"),
                _ => {}
            }
        }
    }
}

fn settings(company: &Company, root: Vec<u8>) -> Result<Settings> {
    let (profile, _) = Profile::parse(include_bytes!("../profiles/flexvpn-c8kv.xml"))?;
    let host = profile.hosts.first().context("the seed's host")?;
    let device = Device {
        version: "ikeep".into(),
        computer_name: "bench".into(),
        device_type: "linux".into(),
        platform_version: "0".into(),
        unique_id: "00".into(),
        unique_id_global: "00".into(),
    };
    let mut settings = Settings::from_profile(&profile, host, device)?;
    settings.addresses = vec![company.ports.0.ip()];
    (settings.port, settings.nat_port) = (company.ports.0.port(), company.ports.1.port());
    settings.trust = Trust { roots: vec![Root { der: root, configured: true }], ..Trust::default() };
    Ok(settings)
}

/// What a process and its threads have run, those that have ended left out.
fn cpu(pid: i32) -> Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().context("a time")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// Anonymous memory of a process, KiB.
fn resident(pid: i32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("RssAnon")?;
    Ok(line.split_whitespace().next().context("a number")?.parse()?)
}
