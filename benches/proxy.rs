//! How fast a download through the tunnel is, and what it costs: the client's driver, ESP and proxy on one thread, the
//! embedded gateway with the network behind it on another, real UDP and TCP sockets of this machine between them. Beside it the
//! same HTTP server without a tunnel.
//!
//! `cargo bench --bench proxy` prints a table; nothing fails by being slow.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads a clock")]

use anyhow::{Context, Result, ensure};
use ikeep::agent::clock::{Clock, OsRandom};
use ikeep::agent::device::device;
use ikeep::agent::driver::{Command, Driver, Ends, Losses, Output, Sockets};
use ikeep::client::{Client, Event, Order, Settings};
use ikeep::crypto::{Encr, Integ, Secret};
use ikeep::gateway::GatewayConfig;
use ikeep::ike::cert::Root;
use ikeep::ike::eap::{Answers, Form};
use ikeep::ike::proposal::Algorithms;
use ikeep::lab::gateway::{Handle, Runner};
use ikeep::lab::inside::http::Conversation;
use ikeep::lab::inside::pattern;
use ikeep::lab::pki::Pki;
use ikeep::profile::Profile;
use ikeep::tunnel::Ports;
use ikeep::tunnel::proxy::Proxy;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

const PROFILE: &[u8] = include_bytes!("../profiles/flexvpn-c8kv.xml");
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The HTTP server behind the gateway, as SOCKS5 names it.
const INSIDE: [u8; 10] = [5, 1, 0, 1, 192, 168, 10, 1, 0, 80];
/// Octets read in one go, as curl does.
const CHUNK: usize = 100 << 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// Downloads at once.
const CROWD: usize = 1000;

const SUITES: [(&str, Encr, Option<Integ>); 3] = [
    ("AES-GCM-256", Encr::AesGcm256, None),
    ("AES-GCM-128", Encr::AesGcm128, None),
    ("AES-CBC-256 SHA-256-128", Encr::AesCbc256, Some(Integ::HmacSha256_128)),
];

/// A download: how long it took, and CPU time of the client's thread and of the server's.
struct Measured {
    octets: u64,
    time: Duration,
    client: Duration,
    server: Duration,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.octets as f64 * 8.0 / self.time.as_secs_f64() / 1e6
    }

    fn row(&self, what: &str, plain: f64) {
        let per_gigabyte = |cpu: Duration| cpu.as_secs_f64() * 1e9 / self.octets as f64;
        println!(
            "{what:<34} {:>10.0} {:>9.3} {:>14.2} {:>14.2}",
            self.rate(),
            self.rate() / plain,
            per_gigabyte(self.client),
            per_gigabyte(self.server)
        );
    }
}

fn main() -> Result<()> {
    // `cargo test --benches` asks for a quick look only.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let length: u64 = if quick { 4 << 20 } else { 256 << 20 };
    println!("one download of {} MiB; CPU seconds for each GB", length >> 20);
    println!("{:<34} {:>10} {:>9} {:>14} {:>14}", "what", "Mbit/s", "of plain", "client CPU", "server CPU");
    let plain = plain(length)?;
    plain.row("plain TCP, no tunnel", plain.rate());
    let mut crowd = None;
    for (name, encr, integ) in SUITES {
        let esp = Algorithms { encr: vec![encr], integ: integ.into_iter().collect(), ..Algorithms::esp() };
        let tunnel = Tunnel::up(&esp)?;
        // Once with every octet looked at; it also warms up what is measured then.
        fetch(connect(tunnel.proxy)?, length / 8, true)?;
        let before = tunnel.cpu()?;
        let begun = Instant::now();
        fetch(connect(tunnel.proxy)?, length, false)?;
        let time = begun.elapsed();
        let after = tunnel.cpu()?;
        let (client, server) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
        Measured { octets: length, time, client, server }.row(&format!("proxy over {name}"), plain.rate());
        if encr == Encr::AesGcm256 {
            crowd = Some(Crowd::measure(&tunnel, if quick { 20 } else { CROWD }, quick)?);
        }
        let losses = tunnel.down()?;
        if losses != Losses::default() {
            println!("{:<34} {losses:?}", "");
        }
    }
    println!("promised: at least 1,000 Mbit/s with AES-GCM");
    if let Some(crowd) = crowd {
        crowd.print();
    }
    Ok(())
}

/// Many downloads at once, all over AES-GCM-256 and from the same moment on.
struct Crowd {
    octets: Vec<u64>,
    time: Duration,
}

impl Crowd {
    fn measure(tunnel: &Tunnel, flows: usize, quick: bool) -> Result<Self> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        let mut streams = Vec::new();
        for _ in 0..flows {
            let stream = connect(tunnel.proxy)?;
            stream.set_nonblocking(true)?;
            streams.push(stream);
        }
        for stream in &mut streams {
            write!(stream, "GET /bytes/{} HTTP/1.1\r\nHost: inside\r\n\r\n", 1_u64 << 40)?;
        }
        let (mut octets, mut buffer) = (vec![0; flows], vec![0; CHUNK]);
        let lasts = Duration::from_secs(if quick { 1 } else { 10 });
        let begun = Instant::now();
        while begun.elapsed() < lasts {
            let mut idle = true;
            for (stream, octets) in streams.iter_mut().zip(&mut octets) {
                match stream.read(&mut buffer) {
                    Ok(0) => anyhow::bail!("a download has ended"),
                    Ok(length) => (*octets, idle) = (*octets + length as u64, false),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if idle {
                thread::yield_now();
            }
        }
        let time = begun.elapsed();
        octets.sort_unstable();
        Ok(Self { octets, time })
    }

    fn print(&self) {
        let count = self.octets.len();
        let sum: f64 = self.octets.iter().map(|octets| *octets as f64).sum();
        let squares: f64 = self.octets.iter().map(|octets| (*octets as f64).powi(2)).sum();
        let share = |at: usize| self.octets.get(at).map_or(0.0, |octets| *octets as f64 * count as f64 / sum);
        println!(
            "{count} downloads at once: {:.0} Mbit/s; of an equal share the least has {:.2}, the median {:.2}, the most {:.2}; \
             Jain's index {:.3}",
            sum * 8.0 / self.time.as_secs_f64() / 1e6,
            share(0),
            share(count / 2),
            share(count.saturating_sub(1)),
            sum * sum / (count as f64 * squares)
        );
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The server behind the gateway, on a TCP socket of the kernel's.
fn plain(length: u64) -> Result<Measured> {
    let listener = TcpListener::bind((HOME, 0))?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || -> Result<Duration> {
        let (mut client, _) = listener.accept()?;
        let before = cpu();
        let (mut conversation, mut buffer) = (Conversation::new(), vec![0; 256 << 10]);
        while !conversation.is_over() {
            if conversation.has_output() {
                let length = conversation.send(&mut buffer);
                client.write_all(&buffer[..length])?;
            } else {
                let length = client.read(&mut buffer)?;
                ensure!(length > 0, "the client has closed");
                conversation.receive(&buffer[..length]);
            }
        }
        Ok(cpu() - before)
    });
    let (begun, before) = (Instant::now(), cpu());
    fetch(TcpStream::connect(address)?, length, false)?;
    let (time, client) = (begun.elapsed(), cpu() - before);
    let server = server.join().map_err(|_| anyhow::anyhow!("the server crashed"))??;
    Ok(Measured { octets: length, time, client, server })
}

/// A connection through the proxy.
fn connect(proxy: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.write_all(&[&[5, 1, 0], &INSIDE[..]].concat())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    ensure!(answer[3] == 0, "the proxy refuses with code {}", answer[3]);
    Ok(stream)
}

/// Downloads so much; `look`: at each octet.
fn fetch(mut stream: TcpStream, length: u64, look: bool) -> Result<()> {
    write!(stream, "GET /bytes/{length} HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n\r\n")?;
    let mut buffer = vec![0; CHUNK];
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    ensure!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
    let mut received = 0;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        if look {
            let wrong = pattern::first_wrong(received, &buffer[..read]);
            ensure!(wrong.is_none(), "octet {wrong:?} is another one");
        }
        received += read as u64;
    }
    ensure!(received == length, "{received} of {length} octets");
    Ok(())
}

/// A client and a gateway, each on a thread of its own, logged in.
struct Tunnel {
    proxy: SocketAddr,
    gateway: Handle,
    client: tokio::runtime::Handle,
    end: oneshot::Sender<()>,
    losses: mpsc::Receiver<Losses>,
}

impl Tunnel {
    fn up(esp: &Algorithms) -> Result<Self> {
        let clock = Clock::system();
        let (profile, _) =
            Profile::parse(PROFILE).map_err(|error| anyhow::anyhow!("the profile: {error:?}"))?;
        let host = profile.hosts.first().context("a host in the profile")?;
        let pki = Pki::new(clock.now().wall)?;
        let identity = pki.gateway(&host.address)?;
        let config = GatewayConfig {
            ports: (0, 0),
            esp: esp.clone(),
            ..GatewayConfig::seed(HOME, identity.chain, identity.signer)
        };
        let gateway = serve(config, clock.clone())?;
        let mut settings = Settings::from_profile(&profile, host, device("00"))?;
        settings.trust.roots = vec![Root { der: pki.ca().to_vec(), configured: true }];
        settings.addresses = vec![HOME];
        (settings.port, settings.nat_port) = (gateway.ports.0.port(), gateway.ports.1.port());
        settings.esp = esp.clone();
        let (up, is_up) = mpsc::channel();
        let (lost, losses) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            let result = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let result = result.context("a runtime").and_then(|runtime| {
                let handle = runtime.handle().clone();
                runtime.block_on(run(settings, clock, ended, |proxy| {
                    let _ = up.send((proxy, handle));
                }))
            });
            match result {
                Ok(losses) => drop(lost.send(losses)),
                Err(error) => eprintln!("the client: {error:#}"),
            }
        });
        let (proxy, client) = is_up.recv_timeout(PATIENCE).context("the login")?;
        Ok(Self { proxy, gateway, client, end, losses })
    }

    /// CPU time of the client's thread and of the gateway's.
    fn cpu(&self) -> Result<(Duration, Duration)> {
        let (client, of_client) = mpsc::channel();
        self.client.spawn(async move { client.send(cpu()) });
        let (gateway, of_gateway) = mpsc::channel();
        let handle = self.gateway.clone();
        self.client.spawn(async move { gateway.send(handle.ask(|_| cpu()).await) });
        Ok((of_client.recv_timeout(PATIENCE)?, of_gateway.recv_timeout(PATIENCE)??))
    }

    fn down(self) -> Result<Losses> {
        let _ = self.end.send(());
        Ok(self.losses.recv_timeout(PATIENCE)?)
    }
}

/// The embedded gateway on a thread of its own, until its handle is dropped.
fn serve(config: GatewayConfig, clock: Clock) -> Result<Handle> {
    let (up, is_up) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let run = |runtime: tokio::runtime::Runtime| {
            let _inside = runtime.enter();
            let (runner, handle) = Runner::new(config, HOME, clock)?;
            let _ = up.send(handle);
            runtime.block_on(runner.run());
            Ok(())
        };
        if let Err(error) = runtime.and_then(run) {
            eprintln!("the gateway: {error}");
        }
    });
    Ok(is_up.recv_timeout(PATIENCE)?)
}

/// The client as the agent runs it: driver and proxy on one event loop.
async fn run(
    settings: Settings,
    clock: Clock,
    mut ended: oneshot::Receiver<()>,
    up: impl FnOnce(SocketAddr),
) -> Result<Losses> {
    let client = Client::new(clock.now(), settings, Box::new(OsRandom::new()));
    let (driver, Ends { commands, mut outputs, outward, inward }) =
        Driver::new(client, clock.clone(), Sockets::Own);
    let driver = tokio::spawn(driver.run());
    let proxy = Proxy::bind((HOME, 0).into()).await?;
    let address = proxy.local_addr();
    let (plan, plans) = watch::channel(None);
    let ports = Ports { outward, inward, plan: plans };
    let tunnel = tokio::spawn(proxy.run(ports, move || clock.now().at, OsRandom::new()));
    commands.send(Command::Paths(vec![std::net::SocketAddr::from((HOME, 0)).into()])).await?;
    commands.send(Command::Order(Order::Connect)).await?;
    let mut up = Some(up);
    loop {
        let output = tokio::select! {
            output = outputs.recv() => output.context("the driver has ended")?,
            _ = &mut ended => break,
        };
        match output {
            Output::Event(_, Event::Ask(form)) => {
                commands.send(Command::Order(Order::Answer(answers(&form)))).await?;
            }
            Output::Event(_, Event::Plan { plan: assigned, .. }) => {
                plan.send_replace(Some(*assigned));
                if let Some(up) = up.take() {
                    up(address);
                }
            }
            _ => {}
        }
    }
    drop(commands);
    let (_, losses) = driver.await?;
    tunnel.abort();
    Ok(losses)
}

fn answers(form: &Form) -> Answers {
    let known = [("username", "test"), ("password", "cisco")];
    let mut answers = Answers::new();
    for input in &form.inputs {
        if let Some((name, text)) = known.iter().find(|(name, _)| *name == input.name) {
            answers.insert((*name).to_owned(), Secret::from(text.as_bytes()));
        }
    }
    answers
}
