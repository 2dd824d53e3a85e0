//! A gateway in this process, and a visit of the real program to it.

use crate::HOST;
use crate::person::Person;
use anyhow::{Context as _, Result, ensure};
use ikeep::agent::clock::Clock;
use ikeep::gateway::{Faults, GatewayConfig, GatewayEvent};
use ikeep::lab::gateway::{Handle, Runner};
use ikeep::lab::pki::{Leaf, Pki};
use ikeep::time::UnixTime;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The steps to a gateway without a fault.
pub(crate) fn sound() -> Vec<(String, String)> {
    let fine = [
        "profile",
        "clock",
        "name",
        "route",
        "UDP 500",
        "UDP 4500",
        "NAT",
        "fragments",
        "certificate",
        "offers",
    ];
    let mut steps: Vec<_> = fine.iter().map(|what| ((*what).to_owned(), "fine".to_owned())).collect();
    steps.push(("after the login".to_owned(), "unknown".to_owned()));
    steps
}

/// A gateway at 127.0.0.1.
pub(crate) struct Site {
    pub(crate) ports: (SocketAddr, SocketAddr),
    folder: TempDir,
    runtime: Runtime,
    handle: Handle,
}

impl Site {
    /// `change` gets its certificate and the time.
    pub(crate) fn new(
        change: impl FnOnce(&mut Leaf, UnixTime),
        faults: impl FnOnce(&mut Faults) + Send + 'static,
    ) -> Result<Self> {
        Self::build(change, faults, |_| {})
    }

    /// A sound one whose settings are others.
    pub(crate) fn with(settings: impl FnOnce(&mut GatewayConfig)) -> Result<Self> {
        Self::build(|_, _| {}, |_| {}, settings)
    }

    fn build(
        change: impl FnOnce(&mut Leaf, UnixTime),
        faults: impl FnOnce(&mut Faults) + Send + 'static,
        settings: impl FnOnce(&mut GatewayConfig),
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let now = Clock::system().now().wall;
        let pki = Pki::new(now)?;
        let mut leaf = pki.leaf("flexvpn-c8kv.example.com");
        change(&mut leaf, now);
        let issued = pki.issue(&leaf)?;
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let mut config =
            GatewayConfig { ports: (0, 0), ..GatewayConfig::seed(address, issued.chain, issued.signer) };
        settings(&mut config);
        let handle = runtime.block_on(async {
            let (runner, handle) = Runner::new(config, address, Clock::system())?;
            tokio::spawn(runner.run());
            handle.ask(|site| faults(site.gateway.faults())).await?;
            anyhow::Ok(handle)
        })?;
        let folder = TempDir::with_prefix("ikeep-doctor-")?;
        std::fs::write(folder.path().join("ca.pem"), pki.ca_pem())?;
        Ok(Self { ports: handle.ports, folder, runtime, handle })
    }

    /// The file of the root that the visitor trusts.
    pub(crate) fn ca(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// A question to it.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut ikeep::lab::gateway::Site) -> T + Send + 'static,
    ) -> Result<T> {
        Ok(self.runtime.block_on(self.handle.ask(question))?)
    }

    /// Logins, and refusals, that the gateway has seen.
    pub(crate) fn logins(&self) -> Result<(usize, usize)> {
        let counted = self.handle.ask(|site| {
            let count =
                |wanted: fn(&GatewayEvent) -> bool| site.events.iter().filter(|(_, e)| wanted(e)).count();
            (
                count(|event| matches!(event, GatewayEvent::Login { .. })),
                count(|event| matches!(event, GatewayEvent::Refused { .. })),
            )
        });
        Ok(self.runtime.block_on(counted)?)
    }
}

/// What `ikeep doctor HOST --json` said.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) code: Option<i32>,
    pub(crate) document: Value,
}

impl Visit {
    pub(crate) fn to(site: &Site, ports: (SocketAddr, SocketAddr)) -> Result<Self> {
        Self::of(HOST, site, ports)
    }

    pub(crate) fn of(host: &str, site: &Site, ports: (SocketAddr, SocketAddr)) -> Result<Self> {
        Self::by(&Person::new(ports)?, host, &site.ca())
    }

    /// A person who is somewhere.
    pub(crate) fn by(person: &Person, host: &str, ca: &str) -> Result<Self> {
        let profile = Person::profile().display().to_string();
        let output = person.run(&["doctor", host, "--profile", &profile, "--trust", ca, "--json"])?;
        let document = serde_json::from_slice(&output.stdout).with_context(|| {
            format!("one JSON document; stderr: {}", String::from_utf8_lossy(&output.stderr))
        })?;
        Ok(Self { code: output.status.code(), document })
    }

    /// What was looked at, and how it is.
    pub(crate) fn steps(&self) -> Vec<(String, String)> {
        let findings = self.document["findings"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        findings.iter().map(|finding| (text(&finding["what"]), text(&finding["health"]))).collect()
    }

    fn finding(&self, what: &str) -> Value {
        let findings = self.document["findings"].as_array().into_iter().flatten();
        findings.rev().find(|finding| finding["what"] == what).cloned().unwrap_or_default()
    }

    pub(crate) fn found(&self, what: &str) -> String {
        self.finding(what)["found"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn health(&self, what: &str) -> String {
        self.finding(what)["health"].as_str().unwrap_or_default().to_owned()
    }

    /// It stopped there, with this exit code, and `parts` are in what was found or mends it.
    pub(crate) fn stopped(&self, at: &str, code: i32, parts: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code), "{self:#?}");
        ensure!(
            self.document["stopped"]["at"] == at && self.document["stopped"]["exit"] == code,
            "{self:#?}"
        );
        let finding = self.finding(at);
        ensure!(finding["health"] == "MISSING" && finding["mend"].is_string(), "{self:#?}");
        for part in parts {
            ensure!(finding.to_string().contains(part), "{part:?} is missing in {self:#?}");
        }
        Ok(())
    }
}
