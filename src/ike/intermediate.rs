//! What AUTH covers of the IKE_INTERMEDIATE exchanges between IKE_SA_INIT and IKE_AUTH (RFC 9242 3.3.2).

use super::keys::SaKeys;
use super::message::{GENERIC_LEN, HEADER_LEN, Header, payload_type};
use crate::crypto::{Prf, Secret};

#[cfg(test)]
mod tests;

/// IntAuth of both directions so far.
#[derive(Debug, Default)]
pub struct IntAuth {
    initiator: Option<Secret>,
    responder: Option<Secret>,
    /// Message ID of the last one.
    last: u32,
}

impl IntAuth {
    /// Takes a message of either direction: `chain` are its payloads in the clear, the first of type `first`. `keys`: those that it
    /// is encrypted with. What counts is the message as it would be without encryption and fragments.
    pub fn take(&mut self, prf: Prf, keys: &SaKeys, header: &Header, first: u8, chain: &[u8]) {
        let (so_far, key) = if header.initiator {
            (&mut self.initiator, &keys.sk_pi)
        } else {
            (&mut self.responder, &keys.sk_pr)
        };
        let payload = GENERIC_LEN + chain.len();
        // A message has 64 KiB at most, whoever made it.
        let length = u32::try_from(HEADER_LEN + payload).unwrap_or(u32::MAX);
        let [high, low] = u16::try_from(payload).unwrap_or(u16::MAX).to_be_bytes();
        let octets = Header { next_payload: payload_type::SK, length, ..*header }.encode();
        let before = so_far.as_ref().map_or(&[][..], Secret::expose);
        *so_far = Some(prf.compute(key.expose(), &[before, &octets, &[first, 0, high, low], chain]));
        self.last = header.message_id;
    }

    /// IntAuth_i | IntAuth_r | message ID of IKE_AUTH, which is the next one: the end of what both AUTH payloads cover. Nothing where
    /// there was no such exchange.
    pub fn octets(&self) -> Vec<u8> {
        let (Some(initiator), Some(responder)) = (&self.initiator, &self.responder) else {
            return Vec::new();
        };
        let auth = self.last.wrapping_add(1).to_be_bytes();
        [initiator.expose(), responder.expose(), &auth].concat()
    }
}
