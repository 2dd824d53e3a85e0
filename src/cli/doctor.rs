//! `ikeep doctor`.

use super::complete::hosts;
use super::{Error, Exit, Global, help, output, runtime};
use crate::agent::clock::Clock;
use crate::agent::walk::{self, Walk};
use crate::config::{Config, Places};
use crate::facts::{self, Finding, Health};
use crate::ipc::{Client, Connect, FailureKind, Reply, Request};
use clap::ValueHint;
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

/// An agent that does not tell its addresses in this time is not waited for.
const ASKED: Duration = Duration::from_secs(1);

/// What `ikeep doctor` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::DOCTOR)]
pub(super) struct Command {
    /// Walk the way to this gateway instead, and tell where it stops: a HostName or address, as for `ikeep connect`
    #[arg(value_name = "HOST", add = ArgValueCandidates::new(hosts))]
    host: Option<String>,
    /// The profile, instead of those that are found
    #[arg(long, value_name = "FILE", requires = "host", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,
    /// Trust this root for the gateway's certificate, too; may be given several times
    #[arg(long, value_name = "CA.pem", requires = "host", value_hint = ValueHint::FilePath)]
    trust: Vec<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        match &self.host {
            Some(host) => self.walk(host, global),
            None => self.machine(global),
        }
    }

    fn machine(&self, global: &Global) -> Result<Exit, Error> {
        let named = global.config.as_deref();
        let config = Config::load(named);
        let now = Clock::system().now().wall;
        let findings = runtime::block_on(async { Ok(facts::machine(now, named, config.as_ref()).await) })?;
        let missing = findings.iter().any(|finding| finding.health == Health::Missing);
        if self.json {
            output::json(&json!({ "findings": list(&findings) }))?;
        } else {
            output::print(&text(&findings))?;
        }
        Ok(if missing { Exit::Other } else { Exit::Done })
    }

    fn walk(&self, host: &str, global: &Global) -> Result<Exit, Error> {
        let wishes = Connect {
            host: Some(host.to_owned()),
            profile: self.profile.clone(),
            trust: self.trust.clone(),
            config: global.config.clone(),
            ..Connect::default()
        };
        let clock = Clock::system();
        let walk = runtime::block_on(async {
            let inner = timeout(ASKED, inner()).await.ok().flatten().unwrap_or_default();
            Ok(walk::walk(&wishes, &inner, &clock).await)
        })?;
        let exit = exit(&walk);
        if self.json {
            output::json(&document(&walk, exit))?;
        } else {
            output::print(&(text(&walk.findings) + &verdict(&walk)))?;
        }
        Ok(exit)
    }
}

/// The addresses that this user's tunnel has given the machine. `None`: no agent says so.
pub(super) async fn inner() -> Option<Vec<IpAddr>> {
    let places = Places::of_user().ok()?;
    let mut client = Client::connect(&places).await.ok()?;
    client.send(&Request::Status).await.ok()?;
    loop {
        if let Reply::Status { status } = client.recv().await.ok()? {
            return Some(inner_of(&status));
        }
    }
}

fn inner_of(status: &Value) -> Vec<IpAddr> {
    let address = |key: &str| status.get(key)?.as_str()?.split('/').next()?.parse().ok();
    ["address4", "address6"].into_iter().filter_map(address).collect()
}

fn exit(walk: &Walk) -> Exit {
    match walk.stop.as_ref().map(|stop| stop.kind) {
        None => Exit::Done,
        Some(FailureKind::Authentication) => Exit::Authentication,
        Some(FailureKind::NoAnswer) => Exit::NoAnswer,
        Some(FailureKind::Certificate) => Exit::Certificate,
        Some(FailureKind::Profile) => Exit::Profile,
        Some(FailureKind::Usage) => Exit::Usage,
        Some(FailureKind::Other) => Exit::Other,
    }
}

fn document(walk: &Walk, exit: Exit) -> Value {
    json!({
        "host": walk.host,
        "gateway": walk.host_address,
        "findings": list(&walk.findings),
        "stopped": walk.stop.as_ref().map(|stop| json!({ "at": stop.at, "exit": exit as u8 })),
        "offers": walk.offers.as_ref().map(|offers| json!({
            "suite": offers.suite,
            "notifies": offers.notifies,
            "vendor_ids": offers.vendor_ids,
        })),
    })
}

fn verdict(walk: &Walk) -> String {
    match &walk.stop {
        Some(stop) => format!("The way to {} stops at: {}.\n", output::printable(&walk.host), stop.at),
        None => format!("Nothing is in the way of a login: ikeep connect {}\n", output::argument(&walk.host)),
    }
}

fn list(findings: &[Finding]) -> Vec<Value> {
    let one = |finding: &Finding| {
        json!({
            "what": finding.what,
            "health": word(finding.health),
            "found": finding.found,
            "mend": finding.mend,
        })
    };
    findings.iter().map(one).collect()
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let (mark, what) = (word(finding.health), finding.what);
        text += &format!("{mark:8} {what}: {}\n", output::printable(&finding.found));
        if let Some(mend) = &finding.mend {
            text += &format!("         mend it: {}\n", output::printable(mend));
        }
    }
    text
}

pub(super) fn word(health: Health) -> &'static str {
    match health {
        Health::Fine => "fine",
        Health::Lacking => "lacking",
        Health::Missing => "MISSING",
        Health::Unknown => "unknown",
    }
}
