//! Why a connect makes no sense, in words that say what to do.

use crate::config::profiles::FileError;
use crate::ipc::{Failure, FailureKind};
use crate::pkcs11::TokenError;
use crate::profile::NotUsable;
use std::path::PathBuf;

/// Why a connect makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No profile is named and none is found.
    #[error(
        "no profile is found in {}, nor in {others}: `ikeep profile import FILE` takes your company's, or name one with --profile \
         FILE{}", .own.display(), not_seen(.unlisted)
    )]
    NoProfile {
        /// The user's own folder.
        own: PathBuf,
        /// The vendor's.
        others: String,
        /// Folders that are there and cannot be listed, and why.
        unlisted: Vec<String>,
    },
    /// A profile cannot be read, or is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// The profile of the last connection has gone, and no other one has its host.
    #[error(
        "the profile of the last connection, {}, is not there any more, and no other one has {host}: put it back, name another one \
         with --profile FILE, or import one: `ikeep profile import FILE`{}", .file.display(), doubtful(.broken)
    )]
    Vanished {
        /// The file.
        file: PathBuf,
        /// HostName.
        host: String,
        /// What is wrong with profiles and folders that may have it.
        broken: Vec<String>,
    },
    /// A profile without hosts.
    #[error("{} names no host: name one, if the profile allows that, or ask for a profile with a ServerList", .file.display())]
    NoHost {
        /// The file.
        file: PathBuf,
    },
    /// Several hosts, and none is named.
    #[error("which host? name one, as in `ikeep connect HOST`; there are: {}", .names.join(", "))]
    WhichHost {
        /// HostNames; HostAddresses of those that share one.
        names: Vec<String>,
    },
    /// The host is in no profile.
    #[error("no profile has a host {host}{}{}", known(.names), doubtful(.broken))]
    UnknownHost {
        /// What was asked for.
        host: String,
        /// HostNames; HostAddresses of those that share one.
        names: Vec<String>,
        /// What is wrong with profiles that may have it.
        broken: Vec<String>,
    },
    /// Several gateways have this HostName.
    #[error("several gateways are called {host}: {}; {choose}", .there.join(", "))]
    Ambiguous {
        /// What was asked for.
        host: String,
        /// Address and file of each.
        there: Vec<String>,
        /// How to choose.
        choose: String,
    },
    /// The host is for another client.
    #[error(transparent)]
    NotUsable(#[from] NotUsable),
    /// The host wants the user's certificate.
    #[error("host {host} wants {method}: {what}")]
    Certificate {
        /// HostName.
        host: String,
        /// What is asked for, and where.
        method: String,
        /// What is missing or wrong, and what to do.
        what: String,
    },
    /// The token with the user's certificate.
    #[error("host {host}: {error}")]
    Token {
        /// HostName.
        host: String,
        /// What is wrong, and what to do.
        error: TokenError,
    },
    /// The PPK that the config file names.
    #[error("the PPK of {host} (RFC 8784): {what}")]
    Ppk {
        /// HostAddress.
        host: String,
        /// What is missing or wrong, and what to do.
        what: String,
    },
    /// The config file.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A file of `--trust`.
    #[error("{what}; {mend}")]
    Trust {
        /// What is wrong.
        what: String,
        /// What to do.
        mend: &'static str,
    },
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        use TargetError::*;
        let kind = match &error {
            NoProfile { .. } | WhichHost { .. } | UnknownHost { .. } | Ambiguous { .. } => FailureKind::Usage,
            File(FileError::Damaged { .. }) | NoHost { .. } | NotUsable(_) => FailureKind::Profile,
            Token { error, .. } if error.is_about_pin() => FailureKind::Authentication,
            File(FileError::Read { .. })
            | Token { .. }
            | Vanished { .. }
            | Config(_)
            | Trust { .. }
            | Ppk { .. }
            | Certificate { .. } => FailureKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

fn known(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are: {}", names.join(", ")) }
}

fn doubtful(errors: &[String]) -> String {
    if errors.is_empty() {
        String::new()
    } else {
        format!("; it may be in one that cannot be used: {}", errors.join("; "))
    }
}

fn not_seen(folders: &[String]) -> String {
    folders.iter().map(|folder| format!("; {folder}")).collect()
}
