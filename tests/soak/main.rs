//! The real agent and the real embedded gateway for a long real time, with traffic and a fault every second: neither of them may
//! grow, and at the end the session of the beginning carries on. As root:
//!
//! `IKEEP_SOAK=30 cargo test --test soak -- --nocapture`: so many minutes. `IKEEP_SOAK_SEED=N`: other faults.
//! `IKEEP_PROGRAM=FILE`: a program that no build replaces meanwhile. Without `IKEEP_SOAK` it is left out, also by `tests/run`.

#[path = "../person/mod.rs"]
mod person;
mod road;
mod traffic;

use anyhow::{Context as _, Result, ensure};
use person::{Company, PATIENCE, Person, Stopwatch, said};
use road::Road;
use rustix::process::{Pid, Signal, kill_process};
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use traffic::{Report, Traffic};

const TEST: &str = "half_an_hour_of_faults_leaves_the_session_and_no_growth";
const SECOND: Duration = Duration::from_secs(1);
/// Until then memory may grow as it likes: buffers, log, allocator.
const WARM: Duration = Duration::from_secs(180);
/// And by so much afterwards, octets.
const GROWTH: u64 = 6 << 20;
/// Nothing goes wrong for so long at the end of each minute.
const CALM: Duration = Duration::from_secs(12);
const MINUTE: Duration = Duration::from_secs(60);

/// What a process takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Taken {
    resident: u64,
    descriptors: usize,
    threads: usize,
}

impl Taken {
    fn by(process: Pid) -> Result<Self> {
        let folder = format!("/proc/{}", process.as_raw_nonzero());
        let status = fs::read_to_string(format!("{folder}/status"))?;
        let number = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line of status")?;
            Ok(line.trim().trim_end_matches(" kB").parse()?)
        };
        Ok(Self {
            resident: number("VmRSS:")? << 10,
            descriptors: fs::read_dir(format!("{folder}/fd"))?.count(),
            threads: usize::try_from(number("Threads:")?)?,
        })
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident, descriptors, threads } = self;
        write!(f, "{} KiB, {descriptors} descriptors, {threads} threads", resident >> 10)
    }
}

/// Downloads so far.
#[derive(Default)]
struct Downloads {
    whole: u64,
    broken: u64,
    octets: u64,
}

impl Downloads {
    fn take(&mut self, report: Report) -> Result<()> {
        match report {
            Report::Whole => {
                self.whole += 1;
                self.octets += 300_000;
            }
            Report::Partly(octets) => {
                self.broken += 1;
                self.octets += u64::try_from(octets)?;
            }
            Report::Wrong(what) => anyhow::bail!("the tunnel changed what passed: {what}"),
        }
        Ok(())
    }
}

/// A seeded generator (splitmix64): the faults of a run can be had again, the moments of the packets cannot.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output()?;
    ensure!(output.status.success(), "ip {words}: {}", said(&output));
    Ok(())
}

/// Who does wrong, and what has to be undone.
struct Trouble<'a> {
    person: &'a Person,
    company: &'a mut Company,
    road: &'a Road,
    agent: Pid,
    random: Seeded,
    address: u8,
    reconnecting: Option<Child>,
    /// Until when, in seconds of the run: the road, the gateway, the agent.
    until: [u64; 3],
    done: std::collections::BTreeMap<&'static str, u64>,
}

impl Trouble<'_> {
    /// One fault; `now` in seconds.
    fn make(&mut self, now: u64) -> Result<()> {
        let time = 1 + self.random.below(6);
        let what = match self.random.below(20) {
            0..=4 => {
                self.road.lose(50 + self.random.below(400));
                self.until[0] = now + time;
                "loss"
            }
            5 | 6 => {
                self.road.lose(1000);
                self.until[0] = now + time;
                "outage of the road"
            }
            7..=9 => {
                self.road.rebind();
                "NAT rebinding"
            }
            10 | 11 => {
                let old = self.address;
                self.address = if old == 1 { 2 } else { 1 };
                ip(&format!("addr add 10.77.{}.1/24 dev soak0", self.address))?;
                ip(&format!("route replace default via 10.77.{}.254", self.address))?;
                ip(&format!("addr del 10.77.{old}.1/24 dev soak0"))?;
                "another address"
            }
            12 | 13 => {
                self.company.freeze(true)?;
                self.until[1] = now + time;
                "the gateway stands still"
            }
            14 => {
                kill_process(self.agent, Signal::STOP)?;
                self.until[2] = now + 1;
                "the agent stands still"
            }
            15 => {
                self.company.tell("restart")?;
                "the gateway restarts"
            }
            16 => {
                self.company.tell("clear session")?;
                "the gateway deletes every IKE SA"
            }
            17 => {
                self.company.tell("clear sa")?;
                "the gateway deletes every Child SA"
            }
            _ => {
                if self.reconnecting.as_mut().is_none_or(|child| matches!(child.try_wait(), Ok(Some(_)))) {
                    let mut command = self.person.command(&["reconnect"]);
                    self.reconnecting = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
                }
                "ikeep reconnect"
            }
        };
        *self.done.entry(what).or_default() += 1;
        Ok(())
    }

    /// What is over by now; everything where `all` is set.
    fn mend(&mut self, now: u64, all: bool) -> Result<()> {
        if self.until[0] <= now || all {
            self.road.lose(0);
        }
        if self.until[1] <= now || all {
            self.company.freeze(false)?;
        }
        if self.until[2] <= now || all {
            kill_process(self.agent, Signal::CONT)?;
        }
        Ok(())
    }
}

/// In a network of its own, so that the machine's does not change under others.
fn inside(minutes: u64, seed: u64) -> Result<()> {
    println!("{minutes} min, seed {seed}");
    for words in [
        "link set lo up",
        "link add soak0 type veth peer name soak1",
        "link set soak1 up",
        "link set soak0 up",
        "addr add 10.77.1.1/24 dev soak0",
        "route add default via 10.77.1.254",
    ] {
        ip(words)?;
    }
    let mut company = Company::open(&[])?;
    let gateway = company.process().context("a gateway")?;
    let road = Road::to(company.ports)?;
    let person = Person::new(road.ports)?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    let agent = person.agent().context("an agent")?;
    let status = person.status()?;
    let proxy = status["proxy"].as_str().context("a proxy")?.parse()?;
    let session = status["session_id"].clone();
    ensure!(session.is_string(), "{status:#}");
    let traffic = Traffic::through(proxy);
    let mut downloads = Downloads::default();
    while downloads.whole < 10 {
        downloads.take(traffic.reports.recv()?)?;
    }
    let begun = [Taken::by(agent)?, Taken::by(gateway)?];
    println!("connected: agent {}; gateway {}", begun[0], begun[1]);

    let clock = Stopwatch::start();
    let end = MINUTE * u32::try_from(minutes)?;
    let mut trouble = Trouble {
        person: &person,
        company: &mut company,
        road: &road,
        agent,
        random: Seeded(seed),
        address: 1,
        reconnecting: None,
        until: [0; 3],
        done: Default::default(),
    };
    let (mut warm, mut next) = (None, SECOND);
    let mut worst_calm = Duration::ZERO;
    while clock.elapsed() < end {
        while let Some(left) = next.checked_sub(clock.elapsed()) {
            let Ok(report) = traffic.reports.recv_timeout(left) else { break };
            downloads.take(report)?;
        }
        let now = clock.elapsed();
        next = now + SECOND;
        let of_the_minute = Duration::from_millis(u64::try_from(now.as_millis() % MINUTE.as_millis())?);
        trouble.mend(now.as_secs(), false)?;
        if of_the_minute < MINUTE - CALM {
            trouble.make(now.as_secs())?;
            continue;
        }
        // The calm: how long until a download is whole again, and then what both take.
        trouble.mend(0, true)?;
        let before = downloads.whole;
        while downloads.whole < before + 2 {
            ensure!(clock.elapsed() < now + 2 * PATIENCE, "no download in the calm: {:#}", person.status()?);
            downloads.take(traffic.reports.recv_timeout(PATIENCE * 2)?)?;
        }
        let back = clock.elapsed() - now;
        worst_calm = worst_calm.max(back);
        let minute = now.as_secs() / 60;
        let rest = MINUTE * u32::try_from(minute + 1)?;
        while let Some(left) = rest.checked_sub(clock.elapsed()) {
            let Ok(report) = traffic.reports.recv_timeout(left) else { break };
            downloads.take(report)?;
        }
        let taken = [Taken::by(agent)?, Taken::by(gateway)?];
        println!(
            "minute {}: agent {}; gateway {}; back in {back:?}; {} downloads, {} broken, {} MB, {} datagrams",
            minute + 1,
            taken[0],
            taken[1],
            downloads.whole,
            downloads.broken,
            downloads.octets / 1_000_000,
            road.passed(),
        );
        if clock.elapsed() >= WARM {
            let warm = *warm.get_or_insert(taken);
            for (name, before, after) in [("agent", warm[0], taken[0]), ("gateway", warm[1], taken[1])] {
                ensure!(
                    after.resident <= before.resident + GROWTH,
                    "the {name} grows: {before}, now {after}"
                );
            }
        }
        next = clock.elapsed() + SECOND;
    }
    trouble.mend(0, true)?;
    let (faults, mut reconnecting) = (std::mem::take(&mut trouble.done), trouble.reconnecting.take());
    if let Some(child) = reconnecting.as_mut() {
        child.wait()?;
    }
    let whole = downloads.whole;
    while downloads.whole < whole + 5 {
        downloads.take(traffic.reports.recv_timeout(2 * PATIENCE)?)?;
    }
    drop(traffic);
    let status = person.status()?;
    let ended = [Taken::by(agent)?, Taken::by(gateway)?];
    println!("at the end: agent {}; gateway {}; {faults:?}", ended[0], ended[1]);
    println!(
        "longest way back in a calm {worst_calm:?}; {} downloads, {} broken",
        downloads.whole, downloads.broken
    );
    println!("{:#}\n{}", status["traffic"], company.ask("show stats reconnect", "Failed")?);
    ensure!(status["state"] == "connected" && status["session_id"] == session, "{status:#}");
    ensure!(person.agent() == Some(agent), "it is the agent of the beginning");
    // A download is under way when they are counted, or none: that is one descriptor.
    let warm = warm.unwrap_or(begun);
    for (name, before, after) in [("agent", warm[0], ended[0]), ("gateway", warm[1], ended[1])] {
        ensure!(
            after.descriptors <= before.descriptors + 1,
            "{name}: descriptors are left: {before}, now {after}"
        );
        ensure!(after.threads <= before.threads + 1, "{name}: threads are left: {before}, now {after}");
    }
    Ok(())
}

#[test]
fn half_an_hour_of_faults_leaves_the_session_and_no_growth() -> Result<()> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse().ok());
    let Some(minutes) = number("IKEEP_SOAK").filter(|_| rustix::process::geteuid().is_root()) else {
        let _ = writeln!(
            std::io::stderr(),
            "left out: {TEST} (takes as long as IKEEP_SOAK=MINUTES says, as root)"
        );
        return Ok(());
    };
    if std::env::var_os("IKEEP_SOAK_INSIDE").is_some() {
        return inside(minutes, number("IKEEP_SOAK_SEED").unwrap_or(1));
    }
    let own = std::env::current_exe()?;
    let mut again = Command::new("unshare");
    again.arg("--net").arg(own).args([TEST, "--exact", "--nocapture"]).env("IKEEP_SOAK_INSIDE", "1");
    ensure!(again.status()?.success(), "see above");
    Ok(())
}
