//! 100,000 datagrams a second at a real agent and at a real gateway, sent with the other side's address: the session stays, both
//! answer, memory is bounded, the log can be read.

mod person;

use anyhow::{Context, Result, ensure};
use ikeep::lab::inside::pattern;
use person::{Company, PATIENCE, Person, Stopwatch, said};
use rustix::process::Pid;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Datagrams a second.
const RATE: u64 = 100_000;
/// Of each flood: of three seconds, or of more on a machine that cannot send as fast.
const FLOOD: u64 = 3 * RATE;
/// Different ones.
const POOL: u64 = 4_096;
/// What memory may grow by, in KiB.
const GROWTH: u64 = 24 * 1024;
/// Lines that a log may grow by.
const LINES: usize = 60;

/// Between the two: hands on what they say, keeps what the gateway says, and sends from where the gateway is.
struct Stranger {
    ports: (SocketAddr, SocketAddr),
    front: UdpSocket,
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    /// The agent's socket, the last one that spoke.
    client: Option<SocketAddr>,
    /// What the gateway sent.
    inward: Vec<Vec<u8>>,
    /// The client's first message: IKE_SA_INIT.
    begin: Option<Vec<u8>>,
}

impl Stranger {
    fn before(gateway: (SocketAddr, SocketAddr)) -> Result<Self> {
        let (seen, over) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let mut threads = Vec::new();
        let mut open = |to: SocketAddr| -> Result<UdpSocket> {
            let (front, back) =
                (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
            back.connect(to)?;
            for outward in [true, false] {
                let (front, back) = (front.try_clone()?, back.try_clone()?);
                let (seen, over) = (Arc::clone(&seen), Arc::clone(&over));
                threads.push(std::thread::spawn(move || hand_on(&front, &back, outward, &seen, &over)));
            }
            Ok(front)
        };
        let (ike, nat) = (open(gateway.0)?, open(gateway.1)?);
        Ok(Self { ports: (ike.local_addr()?, nat.local_addr()?), front: nat, seen, over, threads })
    }

    /// Sends so many of them, at [`RATE`] or as fast as this machine can; how long that took.
    fn flood(&self, to: SocketAddr, make: impl FnMut(u64) -> Vec<u8>) -> Duration {
        flood(&self.front, to, make)
    }
}

/// See [`Stranger::flood`].
fn flood(from: &UdpSocket, to: SocketAddr, make: impl FnMut(u64) -> Vec<u8>) -> Duration {
    let pool: Vec<_> = (0..POOL).map(make).collect();
    let watch = Stopwatch::start();
    for (number, datagram) in (0..FLOOD).zip(pool.iter().cycle()) {
        while number % 64 == 0 && watch.elapsed() < Duration::from_micros(number * 1_000_000 / RATE) {
            std::thread::yield_now();
        }
        let _ = from.send_to(datagram, to);
    }
    watch.elapsed()
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn hand_on(front: &UdpSocket, back: &UdpSocket, outward: bool, seen: &Mutex<Seen>, over: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    let from = if outward { front } else { back };
    let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
    while !over.load(Ordering::Relaxed) {
        let Ok((length, client)) = from.recv_from(&mut buffer) else { continue };
        let datagram = &buffer[..length];
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if outward {
            seen.client = Some(client);
            seen.begin.get_or_insert_with(|| datagram.to_vec());
            let _ = back.send(datagram);
        } else {
            if seen.inward.len() < 1_000 {
                seen.inward.push(datagram.to_vec());
            }
            let client = seen.client;
            client.map(|client| front.send_to(datagram, client));
        }
    }
}

/// Numbers without meaning, the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn spoil(&mut self, octets: &mut [u8]) {
        for chunk in octets.chunks_mut(8) {
            let noise = self.next().to_le_bytes();
            chunk.iter_mut().zip(noise).for_each(|(octet, noise)| *octet = noise);
        }
    }
}

/// Resident memory (KiB) and processor time (ms) of a process.
fn usage(pid: Pid) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let resident = line.split_whitespace().next().context("a number")?.parse()?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    let (_, rest) = stat.rsplit_once(')').context("a name")?;
    let ticks: Vec<u64> =
        rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok((resident, ticks.iter().sum::<u64>() * 10))
}

/// 300,000 octets from behind the gateway, by the proxy.
fn fetch(person: &Person) -> Result<()> {
    let proxy = person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let host = "www.inside.example.com";
    write!(stream, "GET http://{host}/bytes/300000 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").context("a header")?;
    let body = &answer[end + 4..];
    ensure!(body.len() == 300_000 && pattern::first_wrong(0, body).is_none(), "{} octets", body.len());
    Ok(())
}

fn told(what: &str, took: Duration, before: (u64, u64), after: (u64, u64), lines: usize) {
    let _ = writeln!(
        std::io::stderr(),
        "{what}: {FLOOD} datagrams at a time, in {took:?}, {} ms of processor time, memory {} to {} KiB, {lines} lines in the log",
        after.1 - before.1,
        before.0,
        after.0
    );
}

/// One flood at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn an_agent_that_is_flooded_keeps_its_session() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let company = Company::open(&[])?;
    let stranger = Stranger::before(company.ports)?;
    let person = Person::new(stranger.ports)?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    fetch(&person)?;
    let pid = person.agent().context("an agent")?;
    let (before, lines) = (usage(pid)?, person.events().lines().count());
    // Of every SA: what may not have been given up and made anew.
    let held = |person: &Person| -> Result<Vec<serde_json::Value>> {
        let status = person.status()?;
        ensure!(status["ike"]["spi_r"].is_string() && status["child"]["spi_in"].is_string(), "{status:#}");
        let at = ["/reconnects", "/ike/spi_i", "/ike/spi_r", "/child/spi_in", "/child/spi_out"];
        Ok(at.iter().filter_map(|at| status.pointer(at).cloned()).collect())
    };
    let held_before = held(&person)?;

    let (client, recorded) = {
        let seen = stranger.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.client.context("the agent's port")?, seen.inward.clone())
    };
    ensure!(recorded.len() > 100, "{} datagrams of the gateway", recorded.len());
    let mut noise = Noise(7);
    let took = std::thread::scope(|scope| -> Result<Duration> {
        let flood = scope.spawn(|| {
            stranger.flood(client, |number| {
                let pick = noise.next();
                let mut datagram = recorded[usize::try_from(pick).unwrap_or(0) % recorded.len()].clone();
                match number % 4 {
                    // As it was; the end damaged; the SPI and nothing else true; nothing true.
                    0 => {}
                    1 => datagram.iter_mut().rev().take(1).for_each(|octet| *octet ^= 1),
                    2 => noise.spoil(datagram.get_mut(4..).unwrap_or_default()),
                    _ => noise.spoil(&mut datagram),
                }
                datagram
            })
        });
        // Whoever asks is answered meanwhile.
        let status = person.status()?;
        ensure!(status["state"].is_string(), "{status:#}");
        flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))
    })?;

    let watch = Stopwatch::start();
    while person.status()?["state"] != "connected" {
        ensure!(watch.elapsed() < PATIENCE, "{:#}\n{}", person.status()?, person.events());
    }
    fetch(&person)?;
    ensure!(person.agent() == Some(pid), "the same agent");
    let held_after = held(&person)?;
    ensure!(held_after == held_before, "{held_before:?} became {held_after:?}\n{}", person.events());
    let (after, more) = (usage(pid)?, person.events().lines().count() - lines);
    told("agent", took, before, after, more);
    ensure!(after.0 < before.0 + GROWTH, "{} to {} KiB", before.0, after.0);
    ensure!(more < LINES, "{more} lines more:\n{}", person.events());
    Ok(())
}

#[test]
fn a_gateway_that_is_flooded_with_beginnings_lets_the_next_one_in() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let company = Company::open(&[])?;
    let stranger = Stranger::before(company.ports)?;
    let person = Person::new(stranger.ports)?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    let begun = stranger.seen.lock().unwrap_or_else(PoisonError::into_inner).begin.clone();
    let begun = begun.context("what the agent began with")?;
    ensure!(begun[8..16] == [0; 8] && begun[18] == 34, "an IKE_SA_INIT");
    let pid = company.process().context("a gateway")?;
    let before = usage(pid)?;

    // A true IKE_SA_INIT, each time with another SPI: a half-open IKE SA, as long as the gateway believes it.
    let mut noise = Noise(11);
    let elsewhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let believed = flood(&elsewhere, company.ports.0, |_| {
        let mut datagram = begun.clone();
        noise.spoil(&mut datagram[..8]);
        datagram
    });
    let mut answers = 0;
    elsewhere.set_nonblocking(true)?;
    while elsewhere.recv(&mut [0; 1 << 11]).is_ok() {
        answers += 1;
    }
    ensure!(answers > 0, "the gateway answers some of them");

    // An IKE_SA_INIT that has no proposal and one that is damaged in many places: the first octets are another SPI each time.
    let mut noise = Noise(9);
    let (ike, nat) = company.ports;
    let mut begin = vec![0; 300];
    begin[16..20].copy_from_slice(&[33, 0x20, 34, 0x08]);
    begin[24..28].copy_from_slice(&300u32.to_be_bytes());
    let took = flood(&elsewhere, ike, |number| {
        let mut datagram = begin.clone();
        noise.spoil(&mut datagram[..8]);
        if number % 2 == 0 {
            noise.spoil(&mut datagram[28..]);
        }
        datagram
    });
    let more = flood(&elsewhere, nat, |_| {
        let mut datagram = begin.clone();
        noise.spoil(&mut datagram[4..]);
        datagram
    });
    fetch(&person)?;
    let second = Person::new(company.ports)?;
    let login = second.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    fetch(&second)?;
    let after = usage(pid)?;
    told("gateway", believed + took + more, before, after, 0);
    ensure!(after.0 < before.0 + GROWTH, "{} to {} KiB", before.0, after.0);
    Ok(())
}
