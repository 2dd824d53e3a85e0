//! `ikeep doctor`.

use super::{Error, Exit, Global, output, runtime};
use crate::config::Config;
use crate::facts::{self, Health};
use serde_json::json;

/// What `ikeep doctor` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        let config = Config::load(global.config.as_deref())?;
        let findings = runtime::block_on(async { Ok(facts::tunnel(config.agent.helper.as_deref()).await) })?;
        let missing = findings.iter().any(|finding| finding.health == Health::Missing);
        if self.json {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| {
                    json!({
                        "what": finding.what,
                        "health": word(finding.health),
                        "found": finding.found,
                        "mend": finding.mend,
                    })
                })
                .collect();
            output::json(&json!({ "findings": list }))?;
        } else {
            let mut text = String::new();
            for finding in &findings {
                let (mark, what) = (word(finding.health), finding.what);
                text += &format!("{mark:8} {what}: {}\n", output::printable(&finding.found));
                if let Some(mend) = &finding.mend {
                    text += &format!("         mend it: {mend}\n");
                }
            }
            output::print(&text)?;
        }
        Ok(if missing { Exit::Other } else { Exit::Done })
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Fine => "fine",
        Health::Lacking => "lacking",
        Health::Missing => "MISSING",
    }
}
