//! The diagnostic bundle: what somebody who is asked for help wants to see, in one zip of the vendor's name and shape.
//!
//! Secrets are masked in everything ([`redact`]); the files in which the session store keeps sessions and keys are not even
//! opened. The bundle is made beside its name and gets it when it is whole.

mod archive;
mod collect;
pub mod redact;
mod system;

pub use collect::profiles_in;

use crate::config::Places;
use crate::time::UnixTime;
use collect::Source;
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
    archive::write(folder, contents.now, &contents.sources(), &contents.forbidden())
        .map_err(|error| BundleError::Write { folder: folder.to_owned(), error })
}

impl Contents {
    /// What is collected, the most telling first.
    fn sources(&self) -> Vec<(String, Source)> {
        let status = match &self.status {
            Ok(status) => status.clone(),
            Err(why) => json!({ "not_available": why }),
        };
        let mut sources = vec![
            ("status.json".to_owned(), Source::Json(status)),
            ("system.json".to_owned(), Source::Json(system::facts())),
        ];
        if let Some(config) = self.config.as_ref().filter(|config| config.symlink_metadata().is_ok()) {
            sources.push(("config.toml".to_owned(), Source::File(config.clone())));
        }
        sources.extend(collect::profiles(&self.profiles));
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
