//! What is true of this machine, as far as a tunnel depends on it: for `ikeep doctor`, and for the agent's own choices.

mod agent;
mod clock;
pub mod privilege;
mod tunnel;

pub use clock::clock;

use crate::config::{Config, ConfigError};
use crate::time::UnixTime;
use agent::{agent, config};
use std::path::Path;
use tunnel::tunnel;

/// All that `ikeep doctor` looks at without a gateway. `config`: as it was read, from the file that is `named` if one is; where it could not be, the rest is looked at as
/// without one. Takes 2 s at most where the desktop's buses hang, and what the helper takes to answer.
pub async fn machine(
    now: UnixTime,
    named: Option<&Path>,
    config: Result<&Config, &ConfigError>,
) -> Vec<Finding> {
    let helper = config.ok().and_then(|config| config.agent.helper.as_deref());
    let (agent, tunnel) = tokio::join!(agent(), tunnel(helper));
    let mut findings = vec![clock(now), self::config(named, config.err())];
    findings.extend(agent);
    findings.extend(tunnel);
    findings
}

/// How one thing is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// As it has to be.
    Fine,
    /// It works without, but less well.
    Lacking,
    /// What needs it does not work.
    Missing,
    /// It cannot be known from here.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found, for people.
    pub found: String,
    /// What mends it, where something is wrong: a command, or a sentence.
    pub mend: Option<String>,
}

impl Finding {
    /// As it has to be.
    pub fn fine(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, health: Health::Fine, found: found.into(), mend: None }
    }

    /// Nobody can tell from here; `found` says why.
    pub fn unknown(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, health: Health::Unknown, found: found.into(), mend: None }
    }

    /// Not as it has to be, and what mends it.
    pub fn wrong(
        what: &'static str,
        health: Health,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { what, health, found: found.into(), mend: Some(mend.into()) }
    }
}
