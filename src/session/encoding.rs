//! A session as octets for the session store: JSON with a version.

use super::Session;
use crate::crypto::Secret;
use crate::time::UnixTime;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use zeroize::Zeroizing;

/// The version written; older ones are read, newer ones are not.
const VERSION: u32 = 1;
/// Longest encoding that is read, octets.
pub const MAX_ENCODED: usize = 65_536;
/// Most inner addresses that are read.
const MAX_ADDRESSES: usize = 16;

/// Why stored octets are not a session. The texts hold nothing of the content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// More than [`MAX_ENCODED`] octets.
    #[error("the stored session has {0} octets, {MAX_ENCODED} are allowed: log in again")]
    TooLarge(usize),
    /// Not JSON, or not the members a session has.
    #[error("the stored session is damaged at line {line}, column {column}: log in again")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Written by a newer program.
    #[error(
        "the stored session has format {found}, this program reads up to {VERSION}: upgrade it or log in again"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// A member has a value that no session has.
    #[error("the stored session's {0} makes no sense: log in again")]
    Value(&'static str),
}

/// Read first: what the other members mean depends on it.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Version 1. `token` is borrowed, so that reading makes no copy of it on the way.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    version: u32,
    #[serde(borrow)]
    host_name: Cow<'a, str>,
    #[serde(borrow)]
    host_address: Cow<'a, str>,
    id: String,
    token: &'a str,
    #[serde(borrow)]
    user: Cow<'a, str>,
    peer: SocketAddr,
    addresses: Vec<IpAddr>,
    group: u16,
    root_key: Option<String>,
    window_ms: u64,
    issued_ms: u64,
    last_contact_ms: u64,
}

impl Session {
    /// The session as octets; the window is kept in whole milliseconds. What would exceed [`MAX_ENCODED`] is not read back:
    /// that takes an ID or a token of tens of kilobytes.
    pub fn encode(&self) -> Secret {
        let token = Zeroizing::new(BASE64_STANDARD.encode(self.token.expose()));
        let record = Record {
            version: VERSION,
            host_name: (&self.host_name).into(),
            host_address: (&self.host_address).into(),
            id: BASE64_STANDARD.encode(&self.id),
            token: &token,
            user: (&self.user).into(),
            peer: self.peer,
            addresses: self.addresses.clone(),
            group: self.group,
            root_key: self.root_key.map(|key| BASE64_STANDARD.encode(key)),
            window_ms: u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX),
            issued_ms: self.issued.as_millis(),
            last_contact_ms: self.last_contact.as_millis(),
        };
        // Room enough from the start: a vector that grows leaves copies of the token behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(MAX_ENCODED));
        serde_json::to_writer(&mut *octets, &record).expect("plain members, and a vector to write to");
        Secret::from(&octets[..])
    }

    /// Reads what [`encode`](Self::encode) wrote. Unknown members are ignored.
    pub fn decode(octets: &[u8]) -> Result<Self, SessionError> {
        if octets.len() > MAX_ENCODED {
            return Err(SessionError::TooLarge(octets.len()));
        }
        let Versioned { version } = serde_json::from_slice(octets).map_err(damaged)?;
        match version {
            VERSION => {}
            0 => return Err(SessionError::Value("version")),
            found => return Err(SessionError::Newer { found }),
        }
        let record: Record<'_> = serde_json::from_slice(octets).map_err(damaged)?;
        let root_key = match &record.root_key {
            Some(text) => {
                let key = base64(text, "root_key")?;
                Some(key.try_into().map_err(|_| SessionError::Value("root_key"))?)
            }
            None => None,
        };
        if record.addresses.len() > MAX_ADDRESSES {
            return Err(SessionError::Value("addresses"));
        }
        Ok(Self {
            host_name: record.host_name.into_owned(),
            host_address: record.host_address.into_owned(),
            id: Some(base64(&record.id, "id")?)
                .filter(|id| !id.is_empty())
                .ok_or(SessionError::Value("id"))?,
            token: Some(Secret::new(base64(record.token, "token")?))
                .filter(|token| !token.is_empty())
                .ok_or(SessionError::Value("token"))?,
            user: record.user.into_owned(),
            peer: record.peer,
            addresses: record.addresses,
            group: record.group,
            root_key,
            window: Duration::from_millis(record.window_ms),
            issued: UnixTime::from_millis(record.issued_ms),
            last_contact: UnixTime::from_millis(record.last_contact_ms),
        })
    }
}

/// Only the place: serde's own text quotes values, and one of them is the token.
fn damaged(error: serde_json::Error) -> SessionError {
    SessionError::Damaged { line: error.line(), column: error.column() }
}

fn base64(text: &str, member: &'static str) -> Result<Vec<u8>, SessionError> {
    BASE64_STANDARD.decode(text).map_err(|_| SessionError::Value(member))
}
