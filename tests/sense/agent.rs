//! What the real agent makes of it: it takes the lock, and says what it cannot notice.

use crate::bus::{self, Bus, Skill};
use crate::interop::PATIENCE;
use crate::person::{Person, Stopwatch};
use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::process::Stdio;

#[test]
fn the_status_says_what_the_agent_cannot_notice() -> Result<()> {
    if !bus::enabled("the_status_says_what_the_agent_cannot_notice") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut bus = Bus::new()?;
        let logind = bus.start_logind(Skill::Everything).await?;
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let person = Person::new((nobody, nobody))?;
        let mut agent = person
            .command(&["agent"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the agent")?;
        let told = async {
            logind.until_locks(1).await?;
            until_missing(&person, |missing| !missing.contains("sleep"))?;
            bus.end_logind();
            until_missing(&person, |missing| missing.contains("sleep before it begins: logind has gone"))?;
            let events = person.events();
            if !events.contains("This agent cannot notice sleep before it begins") {
                bail!("the log says nothing of it:\n{events}");
            }
            Ok(())
        };
        let told = told.await;
        let _ = agent.kill();
        agent.wait()?;
        told
    })
}

/// Asks for the status until `missing` is as wanted.
fn until_missing(person: &Person, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let watch = Stopwatch::start();
    loop {
        let status = person.status()?;
        let missing = status["missing"].as_array().context("a list")?;
        let lines: Vec<_> = missing.iter().filter_map(serde_json::Value::as_str).collect();
        let text = lines.join("\n");
        if wanted(&text) {
            return Ok(());
        }
        if watch.elapsed() > PATIENCE {
            bail!("what is missing is still {text:?}");
        }
    }
}
