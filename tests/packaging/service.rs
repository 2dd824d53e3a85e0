//! The agent as its unit starts it, told and heard by a stand-in for systemd. With a real one: `tests/packages`.

use crate::person::{PATIENCE, Person, Stopwatch, said};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the stand-in would wait for a word: the agent says one three times as often.
const WATCHDOG: Duration = Duration::from_millis(600);
/// What is far longer than the agent is silent while its loop goes round, also on a machine that is busy.
const SILENCE: Duration = Duration::from_secs(3);

/// A person whose gateway does not matter.
fn person() -> Result<Person> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    Person::new((nowhere, nowhere))
}

/// The agent, and the socket on which it says how it is.
struct Unit {
    agent: Child,
    words: UnixDatagram,
    started: Stopwatch,
}

impl Unit {
    fn start(person: &Person) -> Result<Self> {
        let socket = person.path("notify");
        let words = UnixDatagram::bind(&socket)?;
        let mut command = person.command(&["agent"]);
        command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        command.env("JOURNAL_STREAM", "1:1").stderr(Stdio::piped());
        let started = Stopwatch::start();
        Ok(Self { agent: command.spawn()?, words, started })
    }

    /// The next thing that it says; `None`: nothing for so long.
    fn hear(&self, patience: Duration) -> Result<Option<String>> {
        self.words.set_read_timeout(Some(patience))?;
        let mut octets = [0; 1024];
        match self.words.recv(&mut octets) {
            Ok(length) => Ok(Some(String::from_utf8(octets[..length].to_vec())?)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it says this.
    fn wait(&self, wanted: &str) -> Result<String> {
        let mut heard = Vec::new();
        while let Some(words) = self.hear(PATIENCE)? {
            if words.contains(wanted) {
                return Ok(words);
            }
            heard.push(words);
        }
        bail!("no {wanted}, but {heard:?}")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.agent)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

#[test]
fn the_supervisor_hears_of_the_beginning_the_life_and_the_end() -> Result<()> {
    let person = person()?;
    let mut unit = Unit::start(&person)?;
    unit.wait("READY=1\nSTATUS=")?;
    let ready = unit.started.elapsed();
    ensure!(person.agent() == Some(unit.pid()), "ready, but not listening");
    ensure!(person.run(&["status"])?.status.success(), "ready, but not serving");
    for _ in 0..3 {
        unit.wait("WATCHDOG=1")?;
    }
    let asked = Stopwatch::start();
    kill_process(unit.pid(), Signal::TERM)?;
    unit.wait("STOPPING=1")?;
    let status = unit.agent.wait()?;
    ensure!(status.success(), "{status}");
    // Only told: other programs compete for the processor here. `tests/packages` measures the real program alone.
    println!("ready after {ready:?}, ended after {:?}", asked.elapsed());

    // What it had to say is in the journal, with priorities, and in its file.
    let mut journal = String::new();
    std::io::Read::read_to_string(&mut unit.agent.stderr.take().context("stderr")?, &mut journal)?;
    ensure!(journal.lines().all(|line| line.starts_with('<')), "{journal}");
    let folder = person.path("state/ikeep/log");
    let file = fs::read_dir(folder)?.next().context("a log file")??.path();
    for log in [journal, fs::read_to_string(file)?] {
        ensure!(log.contains("the agent runs") && log.contains("the agent has ended"), "{log}");
    }
    Ok(())
}

#[test]
fn a_loop_that_is_stuck_is_not_said_to_be_alive() -> Result<()> {
    let person = person()?;
    let unit = Unit::start(&person)?;
    unit.wait("READY=1")?;
    unit.wait("WATCHDOG=1")?;
    // The service waits for this file, some seconds at most; a timer beside it would not.
    let profile = person.path("profile.xml");
    ensure!(Command::new("mkfifo").arg(&profile).status()?.success(), "mkfifo");
    let path = profile.display().to_string();
    let mut command = person.command(&["connect", "--profile", &path, "--wait", "1"]);
    let mut connect = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let since = Stopwatch::start();
    while unit.hear(SILENCE)?.is_some() {
        ensure!(since.elapsed() < PATIENCE, "it beats while the loop is stuck");
    }
    // The file ends: the loop goes on, and says so.
    drop(fs::OpenOptions::new().write(true).open(&profile)?);
    unit.wait("WATCHDOG=1")?;
    connect.wait()?;
    Ok(())
}

#[test]
fn the_unit_stands_by_while_another_agent_runs() -> Result<()> {
    let person = person()?;
    let mut other = person.command(&["agent", "--background"]).stdout(Stdio::piped()).spawn()?;
    let mut word = String::new();
    std::io::Read::read_to_string(&mut other.stdout.take().context("stdout")?, &mut word)?;
    ensure!(word == "ready\n", "{word}");
    let unit = Unit::start(&person)?;
    let stands_by = unit.wait("READY=1")?;
    ensure!(stands_by.contains("STATUS=Another agent of this user runs"), "{stands_by}");
    unit.wait("WATCHDOG=1")?;
    ensure!(person.agent() == Some(Pid::from_child(&other)), "the other one was displaced");
    other.kill()?;
    other.wait()?;
    unit.wait("STATUS=Serving")?;
    ensure!(person.agent() == Some(unit.pid()), "it does not serve");
    Ok(())
}

#[test]
fn a_desktop_starts_an_agent_only_where_systemd_does_not() -> Result<()> {
    let person = person()?;
    let private = person.path("runtime/systemd/private");
    fs::create_dir_all(private.parent().context("a parent")?)?;
    fs::write(&private, "")?;
    let output = person.run(&["agent", "--autostart"])?;
    ensure!(output.status.success() && person.agent().is_none(), "{}", said(&output));
    fs::remove_file(&private)?;
    let mut desktop = person.command(&["agent", "--autostart"]).stdout(Stdio::piped()).spawn()?;
    let mut word = String::new();
    std::io::Read::read_to_string(&mut desktop.stdout.take().context("stdout")?, &mut word)?;
    ensure!(word == "ready\n" && person.agent() == Some(Pid::from_child(&desktop)), "{word}");
    // A second one, as of another session of the same desktop, leaves it alone.
    let output = person.run(&["agent", "--autostart"])?;
    ensure!(output.status.success() && output.stdout == b"running\n", "{}", said(&output));
    desktop.kill()?;
    desktop.wait()?;
    Ok(())
}
