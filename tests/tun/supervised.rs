//! Stand-ins for the supervisors of agent and helper: what dies is started again, and the helper's device is kept.

use crate::interop::{self, Netns};
use crate::person::{Person, Stopwatch};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const SUPERVISOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netd/supervisor.py");

/// The helper's socket in a home.
pub(crate) fn socket(person: &Person) -> PathBuf {
    person.path("netd/netd.sock")
}

/// Both run.
pub(crate) struct Supervised {
    over: Arc<AtomicBool>,
    agent: Arc<AtomicI32>,
    helper: Arc<AtomicI32>,
    log: Arc<Mutex<String>>,
    supervisor: Child,
    threads: Vec<JoinHandle<()>>,
}

impl Supervised {
    /// Starts both, and waits until they can be talked to. `hold`: how long the helper keeps what nobody comes back for,
    /// seconds.
    pub(crate) fn start(person: &Person, laptop: &Netns, hold: u32) -> Result<Self> {
        Self::with(person, laptop, hold, person.command(&["agent"]))
    }

    /// The same with another agent.
    pub(crate) fn with(person: &Person, laptop: &Netns, hold: u32, mut command: Command) -> Result<Self> {
        let folder = person.path("netd");
        fs::create_dir_all(&folder)?;
        let inside = |name: &str| folder.join(name).display().to_string();
        let mut supervisor = laptop
            .command("/usr/bin/python3")
            .arg(SUPERVISOR)
            .arg(socket(person))
            .arg(&folder)
            .arg(env!("CARGO_BIN_EXE_ikeep-netd"))
            .args(["--hold", &hold.to_string(), "--verbose"])
            .args(["--state", &inside("state"), "--runtime", &inside("run")])
            .args(["--bus", &format!("unix:path={}", inside("no-bus"))])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the helper's supervisor")?;
        let (helper, agent) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicI32::new(0)));
        let log = Arc::new(Mutex::new(String::new()));
        let stdout = BufReader::new(supervisor.stdout.take().context("no stdout")?);
        let stderr = BufReader::new(supervisor.stderr.take().context("no stderr")?);
        let over = Arc::new(AtomicBool::new(false));
        let (pid, said, told) = (Arc::clone(&helper), Arc::clone(&log), Arc::clone(&log));
        let keep = |log: &Mutex<String>, line: &str| {
            *log.lock().unwrap_or_else(PoisonError::into_inner) += &format!("{line}\n");
        };
        let mut threads = vec![
            thread::spawn(move || {
                for line in stdout.lines().map_while(Result::ok) {
                    if let Some(started) = line.strip_prefix("started ").and_then(|pid| pid.parse().ok()) {
                        pid.store(started, Ordering::Relaxed);
                    }
                    keep(&said, &line);
                }
            }),
            thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| keep(&told, &line))),
        ];
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (pid, ended) = (Arc::clone(&agent), Arc::clone(&over));
        threads.push(thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let Ok(mut child) = command.spawn() else { return };
                pid.store(i32::try_from(child.id()).unwrap_or_default(), Ordering::Relaxed);
                let _ = child.wait();
            }
        }));
        let both = Self { over, agent, helper, log, supervisor, threads };
        until(|| Ok(socket(person).exists() && person.agent().is_some())).with_context(|| both.log())?;
        Ok(both)
    }

    /// `kill -9` of those that are named.
    pub(crate) fn kill(&self, agent: bool, helper: bool) -> Result<()> {
        for (wanted, pid) in [(agent, &self.agent), (helper, &self.helper)] {
            if wanted {
                let pid = Pid::from_raw(pid.load(Ordering::Relaxed)).context("nothing runs to be killed")?;
                kill_process(pid, Signal::KILL)?;
            }
        }
        Ok(())
    }

    /// Agent and helper as they run now.
    pub(crate) fn pids(&self) -> [i32; 2] {
        [&self.agent, &self.helper].map(|pid| pid.load(Ordering::Relaxed))
    }

    /// What helper and supervisor have said.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The helper ends with its supervisor.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        let _ = self.kill(true, false);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Waits for what is not told.
pub(crate) fn until(wanted: impl Fn() -> Result<bool>) -> Result<()> {
    let since = Stopwatch::start();
    while !wanted()? {
        ensure!(since.elapsed() < interop::PATIENCE, "it does not come");
        crate::world::pause(Duration::from_millis(2));
    }
    Ok(())
}
