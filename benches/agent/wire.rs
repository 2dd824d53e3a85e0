//! The time of a handshake on the wire, as tshark sees it: from the first IKE_SA_INIT to the last IKE_AUTH of an IKE SA.

use crate::interop::agent::Running;
use crate::interop::{Netns, PATIENCE, Stopwatch};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Its last datagram goes here, and nobody answers.
const NOBODY: &str = "10.9.0.1/9";
const LAST: &str = "the last datagram of this capture";

/// Listens at a host's `eth0`.
pub(crate) struct Sniffer {
    tshark: Running,
    folder: TempDir,
}

impl Sniffer {
    /// Returns when it hears.
    pub(crate) fn start(host: &Netns) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-wire-")?;
        let tshark = Running(
            host.command("tshark")
                .args(["-Q", "-l", "-i", "eth0", "-f", "udp", "-w"])
                .arg(capture(&folder))
                .env("HOME", folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?,
        );
        let sniffer = Self { tshark, folder };
        // The file appears once it listens.
        sniffer.until("capture", |file| fs::metadata(file).is_ok_and(|file| file.len() > 0))?;
        Ok(sniffer)
    }

    /// Each handshake of this initiator's port of first contact, in their order.
    pub(crate) fn handshakes(mut self, host: &Netns) -> Result<Vec<Handshake>> {
        let socket = format!("printf '%s' '{LAST}' >/dev/udp/{NOBODY}");
        let sent = host.command("bash").args(["-c", &socket]).status()?;
        ensure!(sent.success(), "the last datagram was not sent: {sent}");
        let has = |octets: &[u8]| octets.windows(LAST.len()).any(|window| window == LAST.as_bytes());
        self.until("write what it captures", |file| fs::read(file).is_ok_and(|octets| has(&octets)))?;
        let pid = i32::try_from(self.tshark.0.id()).ok().and_then(Pid::from_raw).context("a process")?;
        kill_process(pid, Signal::INT)?;
        self.tshark.0.wait()?;
        let output = Command::new("tshark")
            .arg("-r")
            .arg(capture(&self.folder))
            .args(["-Y", "isakmp.exchangetype == 34 || isakmp.exchangetype == 35", "-T", "fields"])
            .args(["-e", "isakmp.ispi", "-e", "frame.time_epoch", "-e", "isakmp.exchangetype"])
            .args(["-e", "isakmp.flag_r"])
            .env("HOME", self.folder.path())
            .output()?;
        ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
        handshakes(&String::from_utf8(output.stdout)?)
    }

    fn until(&self, what: &str, wanted: impl Fn(&Path) -> bool) -> Result<()> {
        let (waited, file) = (Stopwatch::start(), capture(&self.folder));
        while !wanted(&file) {
            ensure!(waited.elapsed() < PATIENCE, "tshark does not {what}");
            std::thread::yield_now();
        }
        Ok(())
    }
}

fn capture(folder: &TempDir) -> PathBuf {
    folder.path().join("capture.pcapng")
}

/// A handshake on the wire, milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake {
    /// From its first packet to its last.
    pub(crate) whole: f64,
    /// Of that the initiator's own, between the answer to IKE_SA_INIT and its IKE_AUTH request.
    pub(crate) own: f64,
}

/// Of lines "SPI, TIME, EXCHANGE, whether it is an answer".
fn handshakes(lines: &str) -> Result<Vec<Handshake>> {
    #[derive(Default)]
    struct Seen {
        first: f64,
        init_answer: Option<f64>,
        auth_request: Option<f64>,
        last: f64,
    }
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for line in lines.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [spi, time, exchange, answer] = words[..] else { bail!("tshark says {line:?}") };
        let time = time.parse::<f64>()?;
        let seen = seen.entry(spi).or_insert(Seen { first: time, ..Seen::default() });
        match (exchange, matches!(answer, "1" | "True")) {
            ("34", true) => seen.init_answer = Some(time),
            ("35", false) => seen.auth_request = seen.auth_request.or(Some(time)),
            ("35", true) => seen.last = time,
            _ => {}
        }
    }
    let mut found: Vec<Seen> = seen.into_values().filter(|seen| seen.last > seen.first).collect();
    found.sort_by(|a, b| a.first.total_cmp(&b.first));
    let handshake = |seen: Seen| {
        let own = seen.auth_request.zip(seen.init_answer).map(|(request, answer)| request - answer);
        Some(Handshake { whole: (seen.last - seen.first) * 1e3, own: own? * 1e3 })
    };
    Ok(found.into_iter().filter_map(handshake).collect())
}
