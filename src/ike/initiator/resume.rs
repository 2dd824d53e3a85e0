//! What a resumed IKE SA (RFC 5723) does otherwise: IKE_SESSION_RESUME carries a ticket and nonces and no key exchange, the keys
//! come from the old SK_d, and both sides prove by them that they know it.

use super::super::auth::{method, resumed_auth, signed_octets};
use super::super::established::TicketAnswer;
use super::super::keys::SaKeys;
use super::super::message::{Exchange, Identity, Notify, Payload, Spi, TicketGrant, notify};
use super::super::proposal::IkeSuite;
use super::auth::Auth;
use super::{Credentials, Failure};
use crate::crypto::Secret;
use crate::session::Ticket;

/// RFC 7296 3.9.
const NONCE_MAX: usize = 256;

/// What an IKE SA that was made with a request for a ticket leaves of it.
#[derive(Clone, Debug)]
pub struct Resumable {
    /// Our IDi: type and data.
    pub id: (u8, Vec<u8>),
    /// The gateway's IDr: type and data.
    pub gateway_id: (u8, Vec<u8>),
    /// The ticket; `None`: later (TICKET_ACK).
    pub grant: Option<TicketGrant>,
}

/// The first exchange of an attempt.
pub(super) fn exchange(credentials: &Credentials) -> Exchange {
    match credentials {
        Credentials::Ticket(_) => Exchange::IkeSessionResume,
        _ => Exchange::IkeSaInit,
    }
}

/// The head of IKE_SESSION_RESUME: Ni, N(TICKET_OPAQUE).
pub(super) fn request(ticket: &Ticket, nonce: &[u8]) -> [Payload; 2] {
    let opaque = Notify::status(notify::TICKET_OPAQUE, ticket.opaque.expose());
    [Payload::Nonce(nonce.to_vec()), Payload::Notify(opaque)]
}

/// The old suite and the new keys; `None` for a nonce of the gateway's that is too short for the PRF (RFC 7296 2.10), or too long.
pub(super) fn keys(
    ticket: &Ticket,
    (ni, nr): (&[u8], &[u8]),
    (spi_i, spi_r): (&Spi, &Spi),
) -> Option<(IkeSuite, SaKeys)> {
    let Ticket { encr, integ, prf, group, .. } = *ticket;
    // An additional key exchange is in the old SK_d.
    let suite = IkeSuite { encr, integ, prf, group, additional: None };
    let fits = (16.max(prf.len() / 2)..=NONCE_MAX).contains(&nr.len());
    fits.then(|| (suite, SaKeys::derive_resumed(&suite, &ticket.sk_d, ni, nr, spi_i, spi_r)))
}

/// IDi of the old IKE SA.
pub(super) fn identity((kind, data): &(u8, Vec<u8>)) -> Identity {
    Identity { kind: *kind, data: data.clone() }
}

impl Auth {
    /// Our AUTH payload in a resumed IKE SA.
    pub(super) fn resumed_auth_payload(&self) -> Payload {
        let (prf, keyed) = (self.keyed.suite.prf, &self.keyed);
        let octets = signed_octets(prf, &keyed.keys.sk_pi, &keyed.request, &keyed.nr, self.id());
        let data = resumed_auth(prf, &keyed.keys.sk_pi, &octets).expose().to_vec();
        Payload::Auth { method: method::SHARED_KEY, data }
    }

    /// The gateway is the one of the ticket: the same IDr, and an AUTH that only the old SK_d leads to.
    pub(super) fn check_resumed(&mut self, ticket: &Ticket, payloads: &[Payload]) -> Result<(), Failure> {
        let (mut said, mut proof) = (None, None);
        for payload in payloads {
            match payload {
                Payload::IdR(id) => said = Some(id),
                Payload::Auth { method: method::SHARED_KEY, data } => proof = Some(data.as_slice()),
                _ => {}
            }
        }
        let said = said.ok_or(Failure::Protocol("no IDr payload"))?;
        let proof = proof.ok_or(Failure::Protocol("the gateway did not authenticate itself"))?;
        let keyed = &self.keyed;
        let octets = signed_octets(keyed.suite.prf, &keyed.keys.sk_pr, &keyed.response, &keyed.ni, said);
        let expected = resumed_auth(keyed.suite.prf, &keyed.keys.sk_pr, &octets);
        if expected != Secret::from(proof) || *said != identity(&ticket.gateway_id) {
            return Err(Failure::GatewayAuth);
        }
        self.resumed = Some(said.clone());
        Ok(())
    }

    /// What the gateway says of tickets where it knows of them; `None` where one was not asked for, or it refuses.
    pub(super) fn resumable(&self, gateway: &Identity, payloads: &[Payload]) -> Option<Resumable> {
        let grant = match TicketAnswer::read(payloads) {
            TicketAnswer::Granted(grant) => Some(grant),
            TicketAnswer::Later => None,
            TicketAnswer::Refused | TicketAnswer::Silent => return None,
        };
        let plain = |id: &Identity| (id.kind, id.data.clone());
        Some(Resumable { id: plain(self.id()), gateway_id: plain(gateway), grant })
    }
}
