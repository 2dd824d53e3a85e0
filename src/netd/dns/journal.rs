//! What has to be known to go back, on the disk before anything is changed.

use super::disk::{Disk, state_error};
use super::{DnsError, file, network_manager, resolved};
use crate::config::files::read_at_most;
use serde::{Deserialize, Serialize};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Largest journal that is read, octets.
const MAX_SIZE: usize = 1 << 20;

/// The changes that are not taken back yet, one of a kind. More than one only where the way back of another kind is closed
/// for now.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resolved: Option<resolved::Saved>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) network_manager: Option<network_manager::Saved>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<file::Saved>,
}

impl Journal {
    pub(super) fn path(state: &Path) -> PathBuf {
        state.join("dns.json")
    }

    /// The journal, empty where there is none, and what is wrong with it. One that cannot be understood is put aside: what it
    /// said is lost to us, but not to a person.
    pub(super) fn load(state: &Path, disk: &dyn Disk) -> (Self, Option<String>) {
        let path = Self::path(state);
        let octets = match read_at_most(&path, MAX_SIZE) {
            Ok(octets) => octets,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(error) => {
                return (Self::default(), Some(format!("{} cannot be read: {error}", path.display())));
            }
        };
        match serde_json::from_slice(&octets) {
            Ok(journal) => (journal, None),
            Err(error) => {
                let aside = path.with_added_extension("bad");
                let _ = disk.rename(&path, &aside);
                let problem = format!(
                    "{} is damaged ({error}): the resolver's settings may be those of a tunnel that is gone; see {}",
                    path.display(),
                    aside.display()
                );
                (Self::default(), Some(problem))
            }
        }
    }

    /// # Errors
    /// It cannot be written; the one before is still there, whole.
    pub(super) fn save(&self, state: &Path, disk: &dyn Disk) -> Result<(), DnsError> {
        let path = Self::path(state);
        if *self == Self::default() {
            return disk.forget(&path).map_err(state_error(&path));
        }
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other).map_err(state_error(&path))?;
        make_folder(state).and_then(|()| disk.replace(&path, &text)).map_err(state_error(&path))
    }
}

/// The folder for what nobody else may read.
pub(super) fn make_folder(state: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(state)
}
