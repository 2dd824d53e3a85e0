//! The diagnostic bundle: what somebody who is asked for help wants to see, in one zip of the vendor's name and shape.
//!
//! Secrets are masked in everything ([`redact`]); the files in which the session store keeps sessions and keys are not even
//! opened. The bundle is made beside its name and gets it when it is whole.

mod anonymize;
mod archive;
mod collect;
mod gather;
mod network;
pub mod redact;
mod summary;
mod system;

pub use collect::{is_crash_report, profiles_in};

use crate::config::Places;
use crate::facts::{Finding, Health};
use crate::time::UnixTime;
use collect::Source;
use gather::{Gathered, Item, gather};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// What goes into a bundle beside the logs.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Now, for its name.
    pub now: UnixTime,
    /// Where the logs are.
    pub places: Places,
    /// The agent's picture, or why there is none.
    pub status: Result<Value, String>,
    /// The config file, whether it is there or not.
    pub config: Option<PathBuf>,
    /// Profiles; of the same file only the first counts.
    pub profiles: Vec<PathBuf>,
    /// What `ikeep doctor` finds here.
    pub findings: Vec<Finding>,
    /// Mask addresses, MACs, session IDs and the names of people, hosts and domains as well, each the same everywhere.
    pub anonymize: bool,
}

/// An entry that a bundle would have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Preview {
    /// Its name in the bundle's folder.
    pub name: String,
    /// Its length, octets.
    pub octets: usize,
    /// Octets of its origin that would be cut off.
    pub cut: u64,
    /// A path, or how it is made.
    pub origin: String,
}

/// There is no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It cannot be written.
    #[error("the bundle cannot be written to {}: {error}; give another folder with --output", .folder.display())]
    Write {
        /// Where it was to be.
        folder: PathBuf,
        /// Why not; told in the text, so not a source.
        error: io::Error,
    },
}

/// Makes `DARTBundle_YYYYMMDD_HHMM.zip` in `folder`, or `.._2.zip` and so on where there is one already: a file of this user's
/// alone (0600), with at most 32 MiB of content, at most 4 MiB an entry, of which the end counts. What cannot be read becomes
/// an entry that says why. Returns its path.
///
/// # Errors
/// The folder is not there, cannot be written to, or is full.
pub fn write(folder: &Path, contents: &Contents) -> Result<PathBuf, BundleError> {
    archive::write(folder, contents.now, &contents.gather(), contents.anonymize)
        .map_err(|error| BundleError::Write { folder: folder.to_owned(), error })
}

/// What [`write()`] would put into a bundle now, beside its manifest; nothing is written.
pub fn preview(contents: &Contents) -> Vec<Preview> {
    let items = contents.gather().items.into_iter();
    items
        .map(|item| Preview { name: item.name, octets: item.text.len(), cut: item.cut, origin: item.origin })
        .collect()
}

impl Contents {
    /// All entries, masked as is wanted, and the page about them.
    fn gather(&self) -> Gathered {
        let mut gathered = gather(&self.sources(), &self.forbidden());
        if self.anonymize {
            anonymize::all(&mut gathered, &system::known());
        }
        // Made from what is masked already, so that it cannot tell more, and masks cannot break its form.
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let text = summary::html(&gathered, self.now, &zone);
        let origin = "made from the other entries of this bundle".to_owned();
        gathered.items.insert(0, Item { name: "summary.html".to_owned(), origin, text, cut: 0 });
        gathered
    }

    /// What is collected, the most telling first.
    fn sources(&self) -> Vec<(String, Source)> {
        let status = match &self.status {
            Ok(status) => status.clone(),
            Err(why) => json!({ "not_available": why }),
        };
        let mut sources = vec![
            ("status.json".to_owned(), Source::Json(status)),
            ("doctor.json".to_owned(), Source::Json(doctor(&self.findings))),
            ("system.json".to_owned(), Source::Json(system::facts())),
            ("network.json".to_owned(), Source::Json(network::facts())),
        ];
        if let Some(config) = self.config.as_ref().filter(|config| config.symlink_metadata().is_ok()) {
            sources.push(("config.toml".to_owned(), Source::File(config.clone())));
        }
        sources.extend(collect::dns(system::dns_files()));
        sources.extend(collect::profiles(&self.profiles));
        sources.extend(collect::crashes(&self.places.logs()));
        sources.extend(collect::events(&self.places.events()));
        sources.extend(collect::logs(&self.places.logs()));
        sources
    }

    /// Nothing below these is opened, by whatever name or link it is reached.
    fn forbidden(&self) -> Vec<PathBuf> {
        let folders = [self.places.sessions(), self.places.keys.clone()];
        folders.iter().filter_map(|folder| folder.canonicalize().ok()).collect()
    }
}

fn doctor(findings: &[Finding]) -> Value {
    let health = |health: Health| match health {
        Health::Fine => "fine",
        Health::Lacking => "lacking",
        Health::Missing => "missing",
        Health::Unknown => "unknown",
    };
    let told = findings.iter().map(|finding| {
        json!({ "what": finding.what, "health": health(finding.health), "found": finding.found, "mend": finding.mend })
    });
    json!({ "findings": told.collect::<Vec<_>>() })
}
