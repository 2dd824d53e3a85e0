//! Why an attempt to bring up an IKE SA ended.

use super::super::cert::CertError;
use super::super::eap;
use super::super::message::GatewayId;

/// Why an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No valid answer in time. `hint`: an error that came without proof, if any.
    #[error("no answer from the gateway{}", .hint.as_deref().map(|h| format!(" (somebody answered: {h})")).unwrap_or_default())]
    NoAnswer {
        /// Unauthenticated error notify, for people.
        hint: Option<String>,
    },
    /// The gateway's certificate or signature was refused by us.
    #[error("the gateway is not trusted: {0}")]
    Certificate(#[from] CertError),
    /// The gateway's AUTH does not verify.
    #[error("the gateway's signature does not verify")]
    GatewayAuth,
    /// AUTHENTICATION_FAILED.
    #[error("the gateway refused the {what}{}", if *.verified { "" } else { " (it had not proved itself)" })]
    Refused {
        /// "login" (and where a PPK may be to blame, that), "session token" or "ticket".
        what: &'static str,
        /// The gateway had proved itself before it refused.
        verified: bool,
    },
    /// TICKET_NACK: it has come without proof, like every answer to IKE_SESSION_RESUME.
    #[error("the gateway does not take the ticket")]
    Ticket,
    /// The user's own certificate cannot be used.
    #[error("no login with a certificate: {0}")]
    OwnCertificate(&'static str),
    /// The key of the user's certificate, which is on a token, made no signature: why, for people.
    #[error("no login with a certificate: {0}")]
    OwnKey(String),
    /// The gateway does not use the PPK (RFC 8784) where there is to be no IKE SA without it, or has another one.
    #[error("no IKE SA with the PPK of the config file (ppk_id, ppk_file): the gateway {0}")]
    Ppk(&'static str),
    /// The EAP login failed.
    #[error(transparent)]
    Eap(#[from] eap::EapError),
    /// The IKE SA came up, the Child SA did not.
    #[error("the gateway gave no tunnel: {0}")]
    Child(String),
    /// The gateway, which has proved itself, wants the login at another one (RFC 5685 6).
    #[error("the gateway wants the login at {0}")]
    Elsewhere(GatewayId),
    /// Redirects that lead nowhere: why, for people.
    #[error("the gateway's redirect leads nowhere: {0}")]
    Redirects(String),
    /// The gateway broke the protocol.
    #[error("the gateway's answer makes no sense: {0}")]
    Protocol(&'static str),
}
