//! How a command ends: exit codes and errors.

use crate::config::ConfigError;
use crate::lab::LabError;
use crate::profile::{NotUsable, ProfileError};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit codes (DESIGN section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Anything that has no code of its own.
    Other = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A person must log in, or the gateway refused the login.
    Authentication = 3,
    /// No answer from the gateway.
    NoAnswer = 4,
    /// The gateway's certificate was refused.
    Certificate = 5,
    /// No agent runs.
    NoAgent = 6,
    /// The profile is damaged, or not for this client.
    Profile = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed: what happened, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A profile is damaged.
    #[error(
        "{}:{}:{}: found {}, expected {}; mend the file there, or ask whoever made it for a sound copy",
        .file.display(), .error.at.line, .error.at.column, .error.found, .error.expected
    )]
    Profile {
        /// The file.
        file: PathBuf,
        /// What is wrong; told in the text above, so not a source.
        error: Box<ProfileError>,
    },
    /// No host of a sound profile can be used.
    #[error("{}: {why}", .file.display())]
    NotUsable {
        /// The file.
        file: PathBuf,
        /// Why the first host cannot be used.
        why: NotUsable,
    },
    /// The config file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The lab cannot be built.
    #[error("the lab cannot run")]
    Lab(#[from] LabError),
    /// Nothing more can be written.
    #[error("cannot write to standard output")]
    Output {
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Profile { .. } | Self::NotUsable { .. } | Self::Lab(LabError::Host(_)) => Exit::Profile,
            Self::Read { .. } | Self::Config(_) | Self::Lab(_) | Self::Output { .. } => Exit::Other,
        }
    }
}
