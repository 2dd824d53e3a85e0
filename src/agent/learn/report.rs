//! What was seen, as it may be shown to anybody.

use super::guess::{self, Pair};
use crate::agent::probe::Seen;
use crate::agent::walk::Walk;
use crate::facts::Health;
use crate::ike::cert;
use crate::ike::eap::{EapError, Outline, outline, session_elements};
use crate::ike::initiator::Failure;
use crate::ike::message::{id_type, notify};
use crate::time::UnixTime;
use std::time::Duration;

/// A gateway, without whose: no name, address, user or value is in it but what vendor IDs say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The steps of the way, and how each is.
    pub way: Vec<(&'static str, Health)>,
    /// The IKE SA's algorithms; empty: no answer to IKE_SA_INIT.
    pub suite: String,
    /// Notifies of the answer to IKE_SA_INIT.
    pub notifies: Vec<String>,
    /// Its vendor IDs.
    pub vendor_ids: Vec<String>,
    /// From the first datagram to the answer to IKE_SA_INIT.
    pub answered: Option<Duration>,
    /// The certificates that it showed, each in a line.
    pub certificates: Vec<String>,
    /// How it proved itself.
    pub auth: Option<String>,
    /// What it calls itself by.
    pub id_kind: Option<String>,
    /// The protected answers in order.
    pub answers: Vec<Told>,
    /// The attributes of its CFG_REPLY.
    pub attributes: Vec<Attribute>,
    /// Elements of its last document that may be the session's, and the attributes with the same value.
    pub elements: Vec<(&'static str, Vec<u16>)>,
    /// Round trips of the login, the typing between them.
    pub round_trips: Option<u32>,
    /// Why the login did not work, without what the gateway said.
    pub failure: Option<&'static str>,
    /// The pairs that were tried for a reconnect.
    pub tried: Vec<Tried>,
    /// The session's attributes: proved, or the best guess.
    pub pair: Option<Pair>,
    /// A new IKE SA came to stand by `pair`.
    pub proved: bool,
}

/// A protected answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// From the first datagram.
    pub after: Duration,
    /// Names of its notifies.
    pub notifies: Vec<String>,
    /// Its EAP packet.
    pub eap: Option<Outline>,
}

/// An attribute of the CFG_REPLY.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Its number.
    pub kind: u16,
    /// Its name, where that is public.
    pub name: Option<&'static str>,
    /// Length, octets.
    pub octets: usize,
    /// What it looks like.
    pub shape: String,
}

/// A pair that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// ID and token.
    pub pair: Pair,
    /// Why it is not the one; `None`: it is.
    pub refused: Option<String>,
}

impl Report {
    pub(super) fn of_walk(walk: &Walk) -> Self {
        let offers = walk.offers.clone().unwrap_or_default();
        Self {
            way: walk.findings.iter().map(|finding| (finding.what, finding.health)).collect(),
            suite: offers.suite,
            notifies: offers.notifies,
            vendor_ids: offers.vendor_ids,
            ..Self::default()
        }
    }

    pub(super) fn login(&mut self, seen: &Seen, now: UnixTime) {
        self.answered = seen.answer.as_ref().map(|answer| answer.after);
        self.failure = seen.failure.as_ref().map(failure);
        for (after, heard) in &seen.heard {
            self.certificates.extend(heard.certificates.iter().map(|der| certificate(der, now)));
            if self.auth.is_none() {
                self.auth.clone_from(&heard.auth);
            }
            if self.id_kind.is_none() {
                self.id_kind = heard.id_kind.map(id_name);
            }
            let notifies = heard.notifies.iter().map(|kind| notify_name(*kind)).collect();
            let eap = heard.eap.as_ref().map(|packet| outline(packet.expose()));
            self.answers.push(Told { after: *after, notifies, eap });
            self.vendor_ids.extend(heard.vendor_ids.iter().map(|id| crate::agent::probe::vendor_id(id)));
            self.attributes.extend(heard.attributes.iter().map(|(kind, value)| Attribute {
                kind: *kind,
                name: guess::name(*kind),
                octets: value.len(),
                shape: guess::shape(value),
            }));
        }
        let attributes = || seen.heard.iter().flat_map(|(_, heard)| &heard.attributes);
        for packet in seen.heard.iter().filter_map(|(_, heard)| heard.eap.as_ref()) {
            for (name, text) in session_elements(packet.expose()) {
                let same = attributes().filter(|(_, value)| *value == text).map(|(kind, _)| *kind).collect();
                self.elements.retain(|(other, _)| *other != name);
                self.elements.push((name, same));
            }
        }
    }
}

/// What went wrong, without what the gateway said.
pub(super) fn failure(failure: &Failure) -> &'static str {
    match failure {
        Failure::NoAnswer { .. } => "no answer",
        Failure::Certificate(_) => "the certificate is refused here",
        Failure::GatewayAuth => "the gateway's signature does not verify",
        Failure::Refused { verified: true, .. } => "AUTHENTICATION_FAILED after the gateway's proof",
        Failure::Refused { verified: false, .. } => "AUTHENTICATION_FAILED before the gateway's proof",
        Failure::Ticket => "TICKET_NACK",
        Failure::Eap(EapError::Server(_)) => "the EAP server's certificate is refused here",
        Failure::Eap(_) => "the EAP exchange ended without success",
        Failure::OwnKey(_) => "the token made no signature",
        Failure::Ppk(what) | Failure::OwnCertificate(what) => what,
        Failure::Child(_) => "no Child SA, or no address",
        Failure::Elsewhere(_) | Failure::Redirects(_) => "redirected",
        Failure::Protocol(what) => what,
    }
}

fn notify_name(kind: u16) -> String {
    notify::name(kind).map_or_else(|| format!("notify {kind}"), str::to_owned)
}

fn id_name(kind: u8) -> String {
    let name = match kind {
        id_type::IPV4_ADDR => "IPv4 address",
        id_type::FQDN => "FQDN",
        id_type::RFC822_ADDR => "e-mail address",
        id_type::IPV6_ADDR => "IPv6 address",
        id_type::DER_ASN1_DN => "distinguished name",
        id_type::KEY_ID => "key-id",
        _ => return format!("ID type {kind}"),
    };
    name.to_owned()
}

fn certificate(der: &[u8], now: UnixTime) -> String {
    match cert::shape(der, now) {
        Ok(shape) => {
            let or_none = |list: &str| if list.is_empty() { "none".to_owned() } else { list.to_owned() };
            let left = shape
                .left
                .map_or("expired".to_owned(), |left| format!("{} days left", left.as_secs() / 86_400));
            format!(
                "{}, signed by {} with {}; names: {}; extended key usages: {}; {left}",
                shape.key,
                if shape.self_issued { "itself" } else { "another" },
                shape.signature,
                or_none(&shape.names.join(", ")),
                or_none(&shape.usages.join(", ")),
            )
        }
        Err(_) => format!("{} octets that are no certificate", der.len()),
    }
}
