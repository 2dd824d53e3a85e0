//! Somebody who listens to the machine.

use crate::interop::PATIENCE;
use anyhow::{Context as _, Result, bail};
use ikeep::sense::{Files, Missing, Senses, Signal, Sources, Way};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

/// The senses, with time limits.
pub(crate) struct Ear {
    pub(crate) senses: Senses,
    /// Seconds that this machine has been asleep.
    slept: Arc<AtomicU64>,
    _folder: TempDir,
}

impl Ear {
    /// Listens on this bus; without one, on an address where none is.
    pub(crate) fn new(bus: Option<String>) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-ear-")?;
        let resolv_conf = folder.path().join("resolv.conf");
        std::fs::write(&resolv_conf, "nameserver 10.0.0.53\n")?;
        let nowhere = format!("unix:path={}", folder.path().join("no-bus").display());
        let sources = Sources {
            bus: Some(bus.unwrap_or(nowhere)),
            resolver: Files { resolv_conf, behind_the_stub: folder.path().join("none") },
        };
        let slept = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&slept);
        let senses = sources.listen(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        Ok(Self { senses, slept, _folder: folder })
    }

    /// The clocks say that the machine was asleep.
    pub(crate) fn has_slept(&self, time: Duration) {
        self.slept.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    /// The next signal but what the networks say.
    pub(crate) async fn next(&mut self) -> Result<Signal> {
        loop {
            let signal = timeout(PATIENCE, self.senses.signals.recv()).await.context("no signal came")?;
            match signal.context("the senses have ended")? {
                Signal::Networks(_) => {}
                signal => return Ok(signal),
            }
        }
    }

    /// Follows the ways until they are as wanted.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl Fn(&[Way]) -> bool) -> Result<Vec<Way>> {
        let mut last = None;
        loop {
            match self.next().await.with_context(|| format!("{what}; the last signal: {last:?}"))? {
                Signal::Ways(ways) if wanted(&ways) => return Ok(ways),
                other => last = Some(other),
            }
        }
    }

    /// The ways that were told and not heard yet.
    pub(crate) fn told(&mut self) -> Vec<Vec<Way>> {
        let mut told = Vec::new();
        while let Ok(signal) = self.senses.signals.try_recv() {
            if let Signal::Ways(ways) = signal {
                told.push(ways);
            }
        }
        told
    }

    /// The next signal, as its text shows it.
    pub(crate) async fn expect(&mut self, wanted: &str) -> Result<Signal> {
        let signal = self.next().await.with_context(|| format!("waiting for {wanted}"))?;
        if !shown(&signal).starts_with(wanted) {
            bail!("{wanted} was expected, not {signal:?}");
        }
        Ok(signal)
    }

    /// Waits until the list of what is missing is as wanted.
    pub(crate) async fn missing(&mut self, wanted: impl Fn(&[Missing]) -> bool) -> Result<Vec<Missing>> {
        let mut missing = self.senses.missing.clone();
        match timeout(PATIENCE, missing.wait_for(|missing| wanted(missing))).await {
            Ok(found) => Ok(found?.clone()),
            Err(_) => bail!("what is missing is still {:?}", self.senses.missing.borrow()),
        }
    }
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?}")
}
