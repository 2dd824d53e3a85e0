//! One tunnel, measured: flows, pings, memory and CPU time.

use crate::bed::{Bed, Host, Tunnel};
use crate::interop::agent::Running;
use crate::parse::{self, Flow};
use anyhow::{Context, Result, ensure};
use rustix::process::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::thread::JoinHandle;

/// The share of the top rate at which datagrams are sent, and their size in octets. The top rate is what arrives when as much is
/// offered as TCP carries, and at most what is promised of TCP, in bit/s.
const SHARE: f64 = 0.8;
const DATAGRAM: &str = "1200";
const MOST: f64 = 2e9;
/// Time between two pings, seconds.
const INTERVAL: &str = "0.005";
/// The kernel counts CPU time in hundredths of a second, whatever its own clock does.
const TICKS: f64 = 100.0;

/// How long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Each flow, seconds.
    pub(crate) seconds: usize,
    /// At rest.
    pub(crate) pings: usize,
}

/// Datagrams one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagrams {
    pub(crate) flow: Flow,
    /// Of those that are lost: how many had arrived, and found the buffer of iperf3 full.
    pub(crate) unread: u64,
}

impl Datagrams {
    /// Lost on the way, percent.
    pub(crate) fn lost(&self) -> f64 {
        self.percent(self.flow.lost.saturating_sub(self.unread))
    }

    /// Lost by iperf3, percent.
    pub(crate) fn unread(&self) -> f64 {
        self.percent(self.unread)
    }

    fn percent(&self, count: u64) -> f64 {
        count as f64 * 100.0 / self.flow.datagrams.max(1) as f64
    }
}

/// Round trips, microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pings {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What a process needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Resident while a flow runs, and the most ever, MiB.
    pub(crate) resident: f64,
    pub(crate) peak: f64,
    /// CPU seconds for each GB of both TCP flows.
    pub(crate) cpu: f64,
}

/// Everything about a tunnel. Of a pair the first is towards the laptop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) tcp: [Flow; 2],
    /// The top rate of datagrams, bit/s.
    pub(crate) top: [f64; 2],
    /// At a share of that.
    pub(crate) udp: [Datagrams; 2],
    pub(crate) rest: Pings,
    pub(crate) loaded: [Pings; 2],
    pub(crate) agent: Option<Cost>,
    pub(crate) gateway: Option<Cost>,
}

/// iperf3's end behind the gateway.
struct Server {
    _process: Running,
    _reader: JoinHandle<()>,
}

impl Server {
    fn start(host: &Host, at: Ipv4Addr) -> Result<Self> {
        let mut command = host.netns.command("iperf3");
        command.args(["--server", "--forceflush", "--bind", &at.to_string()]).stdout(Stdio::piped());
        let mut process = Running(command.stderr(Stdio::null()).spawn()?);
        let mut lines = BufReader::new(process.0.stdout.take().context("its output")?);
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            ensure!(lines.read_line(&mut line)? > 0, "iperf3 does not listen at {at}");
        }
        // Nobody wants the rest; a full pipe would stop it.
        let reader = std::thread::spawn(move || {
            let _ = lines.read_to_end(&mut Vec::new());
        });
        Ok(Self { _process: process, _reader: reader })
    }
}

/// What a process has used, before and while.
pub(crate) struct Watched {
    pid: Pid,
    ticks: u64,
    resident: f64,
}

impl Watched {
    pub(crate) fn begin(pid: Pid) -> Result<Self> {
        Ok(Self { pid, ticks: used(pid)?, resident: 0.0 })
    }

    fn look(&mut self) -> Result<()> {
        self.resident = self.resident.max(memory(self.pid, "VmRSS:")?);
        Ok(())
    }

    pub(crate) fn end(self, octets: f64) -> Result<Cost> {
        let ticks = used(self.pid)?.saturating_sub(self.ticks);
        let peak = memory(self.pid, "VmHWM:")?;
        Ok(Cost { resident: self.resident, peak, cpu: ticks as f64 / TICKS / (octets / 1e9) })
    }
}

fn used(pid: Pid) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    parse::ticks(&text).context("the kernel tells no CPU time")
}

fn memory(pid: Pid, name: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    Ok(parse::memory(&text, name).context("the kernel tells no memory")? / 1024.0)
}

/// All of it.
pub(crate) fn measure(bed: &Bed, tunnel: &Tunnel, effort: Effort) -> Result<Figures> {
    bed.wait_for(tunnel.target)?;
    let _server = Server::start(&bed.gateway, tunnel.target)?;
    let rest = pings(bed, tunnel, effort.pings)?;
    let mut watched = [tunnel.agent, tunnel.gateway].map(|pid| pid.map(Watched::begin).transpose());
    let mut flow = |reverse: bool| {
        let running = start(bed, tunnel, effort.seconds, &[direction(reverse)])?;
        // The pings are the clock: in the middle of the flow the two are looked at.
        let _ = pings(bed, tunnel, (effort.seconds * 100).min(100))?;
        for process in watched.iter_mut().flat_map(|found| found.as_mut().ok().and_then(Option::as_mut)) {
            process.look()?;
        }
        finish(running)
    };
    let tcp = [flow(true)?, flow(false)?];
    let octets = tcp[0].octets + tcp[1].octets;
    let [agent, gateway] = watched.map(|found| found?.map(|process| process.end(octets)).transpose());
    let (agent, gateway) = (agent?, gateway?);
    let loaded = [true, false].map(|reverse| {
        let running = start(bed, tunnel, effort.seconds, &[direction(reverse)])?;
        let found = pings(bed, tunnel, effort.seconds * 150)?;
        finish(running)?;
        anyhow::Ok(found)
    });
    let [down, up] = loaded;
    let loaded = [down?, up?];
    let top = |reverse, tcp: Flow| {
        datagrams(bed, tunnel, effort, reverse, tcp.rate.min(MOST)).map(|all| all.flow.rate)
    };
    let top = [top(true, tcp[0])?, top(false, tcp[1])?];
    let udp = [
        datagrams(bed, tunnel, effort, true, top[0] * SHARE)?,
        datagrams(bed, tunnel, effort, false, top[1] * SHARE)?,
    ];
    Ok(Figures { tcp, top, udp, rest, loaded, agent, gateway })
}

fn direction(reverse: bool) -> &'static str {
    // With --reverse the server sends.
    if reverse { "--reverse" } else { "--forceflush" }
}

fn start(bed: &Bed, tunnel: &Tunnel, seconds: usize, more: &[&str]) -> Result<Running> {
    let mut command = bed.laptop.netns.command("iperf3");
    command.args(["--json", "--client", &tunnel.target.to_string(), "--time", &seconds.to_string()]);
    Ok(Running(command.args(more).stdout(Stdio::piped()).spawn()?))
}

fn finish(mut running: Running) -> Result<Flow> {
    let mut text = String::new();
    running.0.stdout.take().context("its output")?.read_to_string(&mut text)?;
    running.0.wait()?;
    parse::flow(&text)
}

fn pings(bed: &Bed, tunnel: &Tunnel, count: usize) -> Result<Pings> {
    let mut command = bed.laptop.netns.command("ping");
    command.args(["-n", "-i", INTERVAL, "-W", "1", "-c", &count.to_string(), &tunnel.target.to_string()]);
    let output = command.output()?;
    let times = parse::pings(&String::from_utf8_lossy(&output.stdout))?;
    Ok(Pings { p50: parse::percentile(&times, 50), p99: parse::percentile(&times, 99) })
}

fn datagrams(bed: &Bed, tunnel: &Tunnel, effort: Effort, reverse: bool, rate: f64) -> Result<Datagrams> {
    let rate = format!("{rate:.0}");
    let receiver = if reverse { &bed.laptop } else { &bed.gateway };
    let before = unread(receiver)?;
    // Bursts of a millisecond, iperf3's own habit, would be longer than its buffer.
    let more =
        ["--udp", "--bitrate", &rate, "--length", DATAGRAM, "--pacing-timer", "100", direction(reverse)];
    let flow = finish(start(bed, tunnel, effort.seconds, &more)?)?;
    let unread = unread(receiver)?.saturating_sub(before).min(flow.lost);
    Ok(Datagrams { flow, unread })
}

/// Datagrams that found a full buffer on a host, but for those of sockets that are open: the tunnel's.
fn unread(host: &Host) -> Result<u64> {
    host.netns.run(|| {
        let read = |name| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
        let all = parse::full_buffers(&read("snmp")?).context("the kernel does not count full buffers")?;
        anyhow::Ok(all.saturating_sub(parse::drops(&read("udp")?)))
    })?
}
