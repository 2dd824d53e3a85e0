//! A session as octets for the session store: JSON with a version.

use super::{Session, Ticket};
use crate::crypto::{Encr, Group, Integ, Prf, Secret};
use crate::time::UnixTime;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use zeroize::Zeroizing;

/// The newest version; older ones are read, newer ones are not.
const VERSION: u32 = 2;
/// What is written for a session without a ticket: programs that know of no tickets read it too.
const WITHOUT_TICKET: u32 = 1;
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

/// Version 2; version 1 has no ticket, and always a token. Secrets are borrowed, so that reading makes no copy of them on the
/// way.
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
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    ticket: Option<TicketRecord<'a>>,
}

/// Algorithms by their numbers of IKEv2.
#[derive(Serialize, Deserialize)]
struct TicketRecord<'a> {
    opaque: &'a str,
    sk_d: &'a str,
    encr: u16,
    key_bits: Option<u16>,
    integ: Option<u16>,
    prf: u16,
    group: u16,
    id_type: u8,
    id: String,
    gateway_id_type: u8,
    gateway_id: String,
    until_ms: u64,
    /// Nothing in tickets of before this member: on no terms of today.
    #[serde(default)]
    terms: String,
}

impl TicketRecord<'_> {
    fn decode(&self) -> Result<Ticket, SessionError> {
        let wrong = SessionError::Value("ticket");
        let secret = |text| Some(Secret::new(base64(text, "ticket").ok()?)).filter(|s| !s.is_empty());
        let integ = match self.integ {
            Some(id) => Some(Integ::from_id(id).ok_or(wrong)?),
            None => None,
        };
        let encr = Encr::from_id(self.encr, self.key_bits).ok_or(wrong)?;
        if encr.is_aead() != integ.is_none() {
            return Err(wrong);
        }
        Ok(Ticket {
            opaque: secret(self.opaque).ok_or(wrong)?,
            sk_d: secret(self.sk_d).ok_or(wrong)?,
            encr,
            integ,
            prf: Prf::from_id(self.prf).ok_or(wrong)?,
            group: Group::from_id(self.group).ok_or(wrong)?,
            id: (self.id_type, base64(&self.id, "ticket")?),
            gateway_id: (self.gateway_id_type, base64(&self.gateway_id, "ticket")?),
            until: UnixTime::from_millis(self.until_ms),
            terms: base64(&self.terms, "ticket")?,
        })
    }
}

impl Session {
    /// The session as octets; the window is kept in whole milliseconds. What would exceed [`MAX_ENCODED`] is not read back:
    /// that takes an ID or a token of tens of kilobytes.
    pub fn encode(&self) -> Secret {
        let secret = |secret: &Secret| Zeroizing::new(BASE64_STANDARD.encode(secret.expose()));
        let token = secret(&self.token);
        let of_ticket =
            self.ticket.as_ref().map(|ticket| (ticket, secret(&ticket.opaque), secret(&ticket.sk_d)));
        let ticket = of_ticket.as_ref().map(|(ticket, opaque, sk_d)| TicketRecord {
            opaque,
            sk_d,
            encr: ticket.encr.id(),
            key_bits: ticket.encr.key_bits(),
            integ: ticket.integ.map(Integ::id),
            prf: ticket.prf.id(),
            group: ticket.group.id(),
            id_type: ticket.id.0,
            id: BASE64_STANDARD.encode(&ticket.id.1),
            gateway_id_type: ticket.gateway_id.0,
            gateway_id: BASE64_STANDARD.encode(&ticket.gateway_id.1),
            until_ms: ticket.until.as_millis(),
            terms: BASE64_STANDARD.encode(&ticket.terms),
        });
        let record = Record {
            version: if ticket.is_some() { VERSION } else { WITHOUT_TICKET },
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
            ticket,
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
            WITHOUT_TICKET..=VERSION => {}
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
        let ticket = record.ticket.as_ref().map(TicketRecord::decode).transpose()?;
        // Without a ticket it takes a token to come back; half a token is none.
        let id = base64(&record.id, "id")?;
        let token = Secret::new(base64(record.token, "token")?);
        if id.is_empty() && (ticket.is_none() || !token.is_empty()) {
            return Err(SessionError::Value("id"));
        }
        if token.is_empty() && (ticket.is_none() || !id.is_empty()) {
            return Err(SessionError::Value("token"));
        }
        Ok(Self {
            host_name: record.host_name.into_owned(),
            host_address: record.host_address.into_owned(),
            id,
            token,
            ticket,
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
