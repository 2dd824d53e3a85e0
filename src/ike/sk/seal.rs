//! Sealing: one message, or fragments of it.

use super::FRAGMENT_FIELDS;
use crate::crypto::{PacketProtection, Random};
use crate::ike::message::{
    GENERIC_LEN, HEADER_LEN, Outgoing, Payload, encode_payloads, limits, payload_type,
};
use zeroize::Zeroizing;

/// The IV of AES-GCM: 8 octets that must not repeat (RFC 5282 3.1), so a counter.
const COUNTER_IV: usize = 8;

/// Our direction of an IKE SA: keys and the counter that GCM's IVs come from.
pub struct Sealer {
    protection: PacketProtection,
    /// IVs given out so far, where they are counted.
    sealed: u64,
}

impl Sealer {
    /// From expanded keys, which must never have been used before: the counter starts with them.
    pub fn new(protection: PacketProtection) -> Self {
        Self { protection, sealed: 0 }
    }

    /// Seals a message into one datagram, or into fragments of at most `fragment` octets of IKE message each where it would
    /// be larger (RFC 7383 allowed by both sides). No non-ESP marker. A message beyond 64 KiB gives no datagram at all: no
    /// peer would take it, and our own payloads never come near.
    pub fn seal(
        &mut self,
        head: &Outgoing,
        payloads: &[Payload],
        fragment: Option<usize>,
        random: &mut dyn Random,
    ) -> Vec<Vec<u8>> {
        let (first, chain) = encode_payloads(payloads);
        self.seal_chain(head, first, &Zeroizing::new(chain), fragment, random)
    }

    /// [`Sealer::seal`] for a payload chain in octets, `first` being the type of its first payload. Tests make chains with it
    /// that no encoder would.
    pub fn seal_chain(
        &mut self,
        head: &Outgoing,
        first: u8,
        chain: &[u8],
        fragment: Option<usize>,
        random: &mut dyn Random,
    ) -> Vec<Vec<u8>> {
        if chain.len() > limits::MESSAGE {
            return Vec::new();
        }
        let whole = HEADER_LEN + GENERIC_LEN + self.sealed_len(chain.len());
        match fragment {
            Some(most) if whole > most && !chain.is_empty() => {
                self.seal_fragments(head, first, chain, most, random)
            }
            _ if whole > limits::MESSAGE => Vec::new(),
            _ => vec![self.seal_one(head, first, None, chain, random)],
        }
    }

    fn seal_fragments(
        &mut self,
        head: &Outgoing,
        first: u8,
        chain: &[u8],
        most: usize,
        random: &mut dyn Random,
    ) -> Vec<Vec<u8>> {
        let parts: Vec<&[u8]> = chain.chunks(self.fragment_content(most)).collect();
        let Ok(total) = u16::try_from(parts.len()) else { return Vec::new() };
        (1..=total)
            .zip(parts)
            .map(|(number, part)| {
                // Only the first fragment names the first payload (RFC 7383 2.5).
                let inner = if number == 1 { first } else { payload_type::NONE };
                self.seal_one(head, inner, Some((number, total)), part, random)
            })
            .collect()
    }

    /// One datagram: SK, or SKF where it has a fragment number and total.
    fn seal_one(
        &mut self,
        head: &Outgoing,
        inner: u8,
        fragment: Option<(u16, u16)>,
        content: &[u8],
        random: &mut dyn Random,
    ) -> Vec<u8> {
        let kind = if fragment.is_some() { payload_type::SKF } else { payload_type::SK };
        let fields = if fragment.is_some() { FRAGMENT_FIELDS } else { 0 };
        let body = fields + self.sealed_len(content.len());
        let length = HEADER_LEN + GENERIC_LEN + body;

        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&head.header(kind, length).encode());
        // Both callers keep the message, and with it the payload, within 65,535 octets.
        let payload_length = u16::try_from(GENERIC_LEN + body).unwrap_or(u16::MAX).to_be_bytes();
        out.extend_from_slice(&[inner, 0, payload_length[0], payload_length[1]]);
        if let Some((number, total)) = fragment {
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(&total.to_be_bytes());
        }
        let iv_at = out.len();
        out.resize(iv_at + self.protection.iv_len(), 0);
        out.extend_from_slice(content);
        let padding = self.padding(content.len());
        out.resize(out.len() + padding, 0);
        // Less than a block, so one octet holds it.
        out.push(padding as u8);
        out.resize(length, 0);

        let iv = self.next_iv(random);
        self.protection.seal(&mut out, iv_at, &iv, None);
        out
    }

    fn next_iv(&mut self, random: &mut dyn Random) -> Vec<u8> {
        if self.protection.iv_len() == COUNTER_IV {
            self.sealed += 1;
            return self.sealed.to_be_bytes().to_vec();
        }
        let mut iv = vec![0; self.protection.iv_len()];
        random.fill(&mut iv);
        iv
    }

    /// Octets of padding, so that content, padding and the pad length octet fill whole blocks.
    fn padding(&self, content: usize) -> usize {
        let block = self.protection.block_len();
        (content + 1).next_multiple_of(block) - content - 1
    }

    /// IV, content, padding, pad length and ICV.
    fn sealed_len(&self, content: usize) -> usize {
        self.protection.iv_len() + content + self.padding(content) + 1 + self.protection.icv_len()
    }

    /// Octets of the chain that fit into a fragment of `most` octets. A limit too small for anything is taken as one that
    /// leaves room for a block: the link has the last word on what is too large.
    fn fragment_content(&self, most: usize) -> usize {
        let around =
            HEADER_LEN + GENERIC_LEN + FRAGMENT_FIELDS + self.protection.iv_len() + self.protection.icv_len();
        let block = self.protection.block_len();
        let room = most.min(limits::MESSAGE).saturating_sub(around) / block * block;
        room.max(block.max(2)) - 1
    }
}
