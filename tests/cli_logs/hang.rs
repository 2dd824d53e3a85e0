//! The whole agent with every log on a disk that hangs: pipes that nobody reads, whose opening never returns.

use crate::person::{Company, Person, Stopwatch, said};
use anyhow::{Context as _, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

/// A login takes longer on a busy machine than it should; a log that holds it up never ends.
const LOGIN: Duration = Duration::from_secs(10);
/// The same for a question to the agent.
const QUESTION: Duration = Duration::from_secs(3);

fn hang(file: &Path) -> Result<()> {
    fs::create_dir_all(file.parent().context("a folder")?)?;
    mknodat(CWD, file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    Ok(())
}

/// It works, and in time.
fn in_time(what: &str, limit: Duration, run: impl FnOnce() -> Result<Output>) -> Result<Output> {
    let watch = Stopwatch::start();
    let output = run()?;
    ensure!(output.status.success(), "{what}: {}", said(&output));
    ensure!(watch.elapsed() < limit, "{what} took {:?}", watch.elapsed());
    Ok(output)
}

#[test]
fn an_agent_whose_logs_all_hang_connects_comes_back_and_answers_in_time() -> Result<()> {
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let keys = person.path("keys");
    person.configure(company.ports, &format!("key_log = \"{}\"", keys.display()))?;
    let logs =
        [person.path("state/ikeep/events.log"), keys.join("ikev2_decryption_table"), keys.join("esp_sa")];
    logs.iter().try_for_each(|log| hang(log))?;
    for folder in [&keys, &person.path("state/ikeep")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    // The agent's own log is named after the day, which may end meanwhile.
    let days = ["today", "tomorrow"].map(|day| -> Result<String> {
        let output = person.program("date", &["-u", "-d", day, "+%Y-%m-%d"]).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    });
    let mut logs = logs.to_vec();
    for day in days {
        logs.push(person.path(&format!("state/ikeep/log/agent.{}.log", day?)));
        hang(logs.last().context("a log")?)?;
    }

    in_time("the login", LOGIN, || person.log_in(&company.ca()))?;
    for round in 1..=3 {
        in_time("a reconnect", QUESTION, || person.run(&["reconnect"]))?;
        let output = in_time("the status", QUESTION, || person.run(&["status", "--json"]))?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        ensure!(status["state"] == "connected" && status["reconnects"] == round, "{status}");
    }
    // They do hang: each is the pipe still, and nobody reads it.
    for log in &logs {
        let nobody = open(log, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).map(drop);
        ensure!(nobody == Err(Errno::NXIO), "{}: {nobody:?}", log.display());
    }
    in_time("the end of the connection", QUESTION, || person.run(&["disconnect"]))?;
    Ok(())
}
