//! EAP as IKE carries it, and EAP-AnyConnect (`fork`, `ssl`, `seen`: PROTOCOL section 2).
//!
//! `dbrp`: framing and TLVs. `xml`: the aggregate-auth documents, both directions. `client`: the login as a state machine.
//! `server`: what the embedded gateway says and how it reads what the client says. `standard`: the methods of other gateways.
//! `peer`: whichever of them a login uses.

mod client;
pub mod dbrp;
mod outline;
mod peer;
pub mod server;
pub mod standard;
pub(crate) mod text;
pub mod xml;

#[cfg(test)]
mod tests;

pub use client::{AnyConnect, MAX_ROUNDS};
pub use outline::{Outline, outline, session_elements};
pub use peer::Peer;
pub use standard::{EapMethod, MAX_MESSAGE, MAX_TLS_ROUNDS, Standard, TlsLogin};

use super::cert::{CertError, OwnCertificate};
use crate::crypto::Secret;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a `config-auth` client message says about this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// `<version who="vpn">`.
    pub version: String,
    /// `computer-name`.
    pub computer_name: String,
    /// `device-type`.
    pub device_type: String,
    /// `platform-version`.
    pub platform_version: String,
    /// `unique-id`: our own stable random value, hex.
    pub unique_id: String,
    /// `unique-id-global`.
    pub unique_id_global: String,
}

/// A question to the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    /// `<auth id=..>`: forms with the same id and input names are the same question.
    pub id: String,
    /// Title, may be empty.
    pub title: String,
    /// Message, may be empty.
    pub message: String,
    /// Banner, may be empty.
    pub banner: String,
    /// `<error>`: why the last answer was not taken, may be empty.
    pub error: String,
    /// Inputs in order.
    pub inputs: Vec<Input>,
}

/// One input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// `name`.
    pub name: String,
    /// `label`, or the name.
    pub label: String,
    /// What kind.
    pub kind: InputKind,
}

/// Kinds of inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// Shown while typed.
    Text,
    /// Not shown while typed.
    Password,
    /// One of these: value, label, selected by default.
    Select(Vec<(String, String, bool)>),
}

/// Answers by input name.
pub type Answers = BTreeMap<String, Secret>;

/// What the login does next.
#[derive(Debug)]
pub enum Step {
    /// Send this EAP packet.
    Reply(Vec<u8>),
    /// Ask the user, then call `answer`.
    Ask(Form),
    /// Look this machine over, then call [`AnyConnect::scanned`].
    Scan(HostScan),
    /// Sign the initiator's octets with this certificate's key, then call [`AnyConnect::signed`].
    Sign(Arc<OwnCertificate>),
    /// The gateway took the login (EAP-Success).
    Success,
}

/// What a gateway says of the scan of the host that it wants (`<host-scan>`, `seen`). Texts without control characters, empty where
/// absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostScan {
    /// `<host-scan-ticket>`.
    pub ticket: String,
    /// `<host-scan-token>`: what a scan goes by, and in the recorded login what comes back.
    pub token: String,
    /// `<host-scan-base-uri>`.
    pub base_uri: String,
    /// `<host-scan-wait-uri>`.
    pub wait_uri: String,
}

/// Things to tell the user during a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A banner, to be shown.
    Banner(String),
    /// A message.
    Message(String),
    /// An error of the gateway that a form or the end follows.
    Error(String),
}

/// Why an EAP login ended. The texts say what the gateway said.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EapError {
    /// EAP-Failure, or an `<error>` that ends the login.
    #[error("the gateway refused the login: {0}")]
    Refused(String),
    /// Another method than EAP-AnyConnect is offered. It is never negotiated down to.
    #[error(
        "the gateway offers {0} instead of EAP-AnyConnect, which is refused. If that is meant, the profile has to name the \
         method (AuthMethodDuringIKENegotiation), or for EAP-TLS the config file (login)"
    )]
    WrongMethod(String),
    /// The gateway goes on with another method than the one that profile or config file names.
    #[error(
        "the gateway offers {offered}, and {}: nothing else is done. Ask the gateway's administrator which of the two is meant",
        .wanted.named()
    )]
    NotOffered {
        /// What it offers.
        offered: String,
        /// What was asked for.
        wanted: EapMethod,
    },
    /// The account cannot be used, whatever the password is.
    #[error("the gateway refused the login: {0}")]
    Account(String),
    /// The password has expired.
    #[error("the gateway refused the login: {0}")]
    Expired(String),
    /// Whoever answers does not know the password: it is not whom the user has an account with.
    #[error(
        "the gateway has not shown that it knows the password (MS-CHAPv2), so the login was ended: its user database is not the \
         one that the password belongs to; ask its administrator"
    )]
    NotMutual,
    /// EAP-TLS: the server's certificate will not do.
    #[error(
        "the EAP server, which checks logins for the gateway, is not trusted: {}. Its name and CA, where they are not the \
         gateway's, belong in the config file (eap_server_name, eap_ca)", of_server(.0)
    )]
    Server(Box<CertError>),
    /// EAP-TLS: the server ended the session.
    #[error("the EAP server refused the login: {0}")]
    Alert(String),
    /// EAP-TLS: the session cannot go on.
    #[error("the TLS session with the EAP server failed: {0}")]
    Tls(String),
    /// EAP-TLS: a server that wants no certificate.
    #[error(
        "the EAP server did not ask for your certificate, so the login was ended: ask the gateway's administrator"
    )]
    NotAsked,
    /// EAP-TLS: success without the word inside TLS 1.3 that RFC 9190 wants.
    #[error(
        "the EAP server did not say inside TLS 1.3 that it takes the certificate (RFC 9190 2.1.1), so the login was ended: ask \
         the gateway's administrator for a newer EAP server, or for TLS 1.2"
    )]
    NoIndication,
    /// `<client-cert-request/>`, and there is none to show.
    #[error(
        "the gateway asks for your certificate, and none is named: name it with --certificate FILE --key FILE, or in the config file \
         (certificate and key, or certificates, of the gateway); or log in to a group that takes a password"
    )]
    ClientCertificate,
    /// `<client-cert-request/>` once more, after the certificate was shown.
    #[error(
        "the gateway does not take the certificate of {0}: it asks for one again. Name another one (--certificate FILE --key FILE), \
         or ask the gateway's administrator which CA it trusts"
    )]
    CertificateNotTaken(String),
    /// `<host-scan>`, and there is no program for it.
    #[error(
        "the gateway asks for a host scan (posture check), and no program is named that does it: host_scan in its section of the \
         config file; or log in to a group without one, or ask the gateway's administrator"
    )]
    HostScan,
    /// The program for `<host-scan>` has given no token: why, for people.
    #[error("the gateway asks for a host scan (posture check), and {0}")]
    NotScanned(String),
    /// It asks for something this version does not know.
    #[error("the gateway sent {0}, which this version does not understand")]
    Unsupported(String),
    /// A packet that breaks the rules of EAP or XML, or a limit.
    #[error("the gateway's EAP message is malformed: {0}")]
    Malformed(String),
    /// Something out of turn.
    #[error("{0}")]
    Unexpected(&'static str),
    /// The login goes round in circles.
    #[error("the gateway asked more than {} times without an end", client::MAX_ROUNDS)]
    TooManyRounds,
    /// An answer cannot be sent; the form still waits for better ones.
    #[error("the answer to '{input}' {why}")]
    Answer {
        /// The input's name.
        input: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A text has characters that XML cannot carry (control characters).
    #[error("a name or answer has control characters, which cannot be sent")]
    NotXml,
    /// The packet would be larger than EAP allows (65,531 octets).
    #[error("the EAP message would be too long")]
    TooLong,
}

/// The reason in words about the EAP server: the rules are those for gateways.
fn of_server(error: &CertError) -> String {
    error
        .to_string()
        .replace("the gateway", "the EAP server")
        .replace("HostAddress in the profile", "eap_server_name")
}

impl EapError {
    /// True where the login is not over: the form still waits for better answers.
    pub fn is_about_answers(&self) -> bool {
        matches!(self, Self::Answer { .. } | Self::NotXml)
    }
}

impl Form {
    /// Whether this is the same question as `other`: the same id and input names, in the same order. Then the answers given to
    /// one do for the other, as where the gateway has dropped a half-open login while the user was typing.
    pub fn same_question(&self, other: &Self) -> bool {
        self.id == other.id
            && self.inputs.len() == other.inputs.len()
            && self.inputs.iter().zip(&other.inputs).all(|(a, b)| a.name == b.name)
    }
}

/// What a login needs to know beforehand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginParams {
    /// This machine.
    pub device: Device,
    /// `<group-access>`: the profile's UserGroup.
    pub group_access: Option<String>,
    /// The user's certificate, shown to a gateway that asks for one inside EAP-AnyConnect.
    pub own: Option<Arc<OwnCertificate>>,
    /// There is a program for the scan of the host that a gateway may ask for.
    pub scans: bool,
}
