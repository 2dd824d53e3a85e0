//! What the shell offers when somebody presses Tab.

use super::Cli;
use crate::config::{paths, profiles};
use clap::CommandFactory as _;
use clap_complete::{CompleteEnv, CompletionCandidate};

/// Where the shell asks for completions (the variable COMPLETE names it), they are printed and the process ends.
pub fn complete() {
    CompleteEnv::with_factory(Cli::command).bin("ikeep").complete();
}

/// The hosts of this user's profiles and of the vendor's folders, each once: by HostName, and those that share one by
/// HostAddress. What cannot be read is left out: a shell that completes has no place for messages, `ikeep profile list` tells
/// them.
pub(super) fn hosts() -> Vec<CompletionCandidate> {
    let profiles = profiles::in_folders(&paths::profile_folders());
    let mut choices = profiles.gateways().choices();
    choices.retain(|choice| is_offered(choice.typed));
    choices.sort_by_key(|choice| choice.typed);
    choices
        .into_iter()
        .map(|choice| CompletionCandidate::new(choice.typed).help(Some(choice.also.to_owned().into())))
        .collect()
}

/// The names of the same hosts, alone.
pub(super) fn host_names() -> Vec<String> {
    let profiles = profiles::in_folders(&paths::profile_folders());
    let mut names: Vec<String> =
        profiles.gateways().choices().into_iter().map(|choice| choice.typed.to_owned()).collect();
    names.sort();
    names
}

/// A name with a line break would be two for the shell, and one with a hyphen at its beginning an option.
fn is_offered(name: &str) -> bool {
    !name.starts_with('-') && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_would_take_for_something_else_is_not_offered() {
        assert!(is_offered("Head office"));
        for name in ["a\nb", "--trust=/tmp/ca.pem", "-h"] {
            assert!(!is_offered(name), "{name}");
        }
    }
}
