//! What the shell offers when somebody presses Tab.

use super::Cli;
use crate::config::{files, paths};
use crate::profile::{MAX_SIZE, Profile};
use clap::CommandFactory as _;
use clap_complete::{CompleteEnv, CompletionCandidate};
use std::collections::BTreeMap;

/// Where the shell asks for completions (the variable COMPLETE names it), they are printed and the process ends.
pub fn complete() {
    CompleteEnv::with_factory(Cli::command).bin("ikeep").complete();
}

/// The hosts of this user's profiles and of the vendor's folders, each once. What cannot be read is left out: a shell that
/// completes has no place for messages, `ikeep profile list` tells them.
pub(super) fn hosts() -> Vec<CompletionCandidate> {
    let mut hosts = BTreeMap::new();
    for folder in paths::profile_folders() {
        for file in files::in_folder(&folder, "xml").unwrap_or_default() {
            let Ok(octets) = files::read_at_most(&file, MAX_SIZE) else { continue };
            let Ok((profile, _)) = Profile::parse(&octets) else { continue };
            for host in profile.hosts {
                // A name with a line break would be two for the shell.
                if host.usable().is_ok() && !host.name.chars().any(char::is_control) {
                    hosts.entry(host.name).or_insert(host.address);
                }
            }
        }
    }
    let candidate =
        |(name, address): (String, String)| CompletionCandidate::new(name).help(Some(address.into()));
    hosts.into_iter().map(candidate).collect()
}
