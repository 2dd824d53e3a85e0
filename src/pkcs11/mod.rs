//! Certificates whose key is on a token: a smart card, a YubiKey, SoftHSM (PKCS#11, RFC 7512).
//!
//! A module, which is somebody else's code, is loaded in a process of its own (`ikeep pkcs11-helper`) that knows one request and
//! at most a PIN: what goes wrong in it ends that process, and nothing of the agent's memory is within its reach.

mod error;
mod token;
mod uri;

pub use error::TokenError;
pub use token::serve;
pub use uri::{Uri, UriError};

use crate::crypto::{Hash, Scheme};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What the loader finds by its own rules: it knows the modules that are set up on this machine.
pub const DEFAULT_MODULE: &str = "p11-kit-proxy.so";
/// Longest request without its PIN, and longest answer, octets.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Longest PIN, octets.
pub const MAX_PIN: usize = 255;

/// Schemes by their number in a request.
pub const SCHEMES: [Scheme; 11] = [
    Scheme::RsaPss(Hash::Sha256),
    Scheme::RsaPss(Hash::Sha384),
    Scheme::RsaPss(Hash::Sha512),
    Scheme::RsaPkcs1(Hash::Sha256),
    Scheme::RsaPkcs1(Hash::Sha384),
    Scheme::RsaPkcs1(Hash::Sha512),
    Scheme::EcdsaDer(Hash::Sha256),
    Scheme::EcdsaFixed(Hash::Sha256),
    Scheme::EcdsaDer(Hash::Sha384),
    Scheme::EcdsaFixed(Hash::Sha384),
    Scheme::Ed25519,
];

/// A line on the helper's standard input. What follows it, where `pin` says so, is the PIN.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The module.
    pub module: PathBuf,
    /// Which token and object: the text of a [`Uri`].
    pub uri: String,
    /// What is to be done.
    pub task: Task,
    /// A PIN follows.
    pub pin: bool,
}

/// What is to be done with a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Tell of the token and its certificates. Takes no PIN.
    List,
    /// Log in, once, and look whether the key is there.
    Check {
        /// CKA_ID of the key; `None`: what the URI says.
        id: Option<Vec<u8>>,
    },
    /// Log in, once, and sign.
    Sign {
        /// As above.
        id: Option<Vec<u8>>,
        /// Number in [`SCHEMES`].
        scheme: usize,
        /// Not hashed yet.
        octets: Vec<u8>,
    },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Done {
    /// Of [`Task::List`].
    Listed(Listed),
    /// Of [`Task::Check`].
    Checked,
    /// Of [`Task::Sign`].
    Signed(Vec<u8>),
}

/// A token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Its label, or where it has none model and serial number.
    pub token: String,
    /// How it wants to know who is there.
    pub login: Login,
    /// Numbers in [`SCHEMES`] of what it can make, whatever the key.
    pub schemes: Vec<usize>,
    /// Its certificates.
    pub certificates: Vec<Found>,
}

/// A certificate on a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Found {
    /// DER.
    pub der: Vec<u8>,
    /// CKA_ID, which its key has too.
    pub id: Vec<u8>,
    /// The URI means it.
    pub meant: bool,
}

/// How a token wants to know who is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Login {
    /// Not at all.
    No,
    /// By a PIN.
    Pin(Tries),
    /// At the reader's own keys (CKF_PROTECTED_AUTHENTICATION_PATH): nobody else hears of the PIN.
    Pinpad,
}

/// What a token tells of the wrong PINs that it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Tries {
    /// None since the last right one, or it does not tell.
    Untouched,
    /// One or more.
    Low,
    /// The next wrong one locks it.
    Last,
}

/// Whether a name of a file is a URI of an object on a token instead.
pub fn is_uri(name: &Path) -> bool {
    name.to_str().is_some_and(|name| {
        name.get(..uri::SCHEME.len()).is_some_and(|s| s.eq_ignore_ascii_case(uri::SCHEME))
    })
}
