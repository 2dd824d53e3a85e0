//! The SA payload: proposals and transforms (RFC 7296 3.3).

use super::read::{DecodeError, Reader, count, limits, with_length};
use std::collections::BTreeSet;

/// Security protocol numbers (RFC 7296 3.3.1).
#[allow(missing_docs)]
pub mod protocol {
    pub const NONE: u8 = 0;
    pub const IKE: u8 = 1;
    pub const AH: u8 = 2;
    pub const ESP: u8 = 3;
}

/// Transform types (RFC 7296 3.3.2).
#[allow(missing_docs)]
pub mod transform_kind {
    pub const ENCR: u8 = 1;
    pub const PRF: u8 = 2;
    pub const INTEG: u8 = 3;
    /// Key exchange method, "Diffie-Hellman group".
    pub const KE: u8 = 4;
    pub const ESN: u8 = 5;
    /// ADDITIONAL_KEY_EXCHANGE_1 (RFC 9370); 7 to 12 are the others.
    pub const ADDITIONAL_KE: u8 = 6;
}

/// A proposal (RFC 7296 3.3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Number, from 1.
    pub number: u8,
    /// 1 IKE, 3 ESP.
    pub protocol: u8,
    /// SPI: 0, 4 or 8 octets.
    pub spi: Vec<u8>,
    /// Transforms in order. Empty where the proposal held nothing that can be understood: it cannot be chosen.
    pub transforms: Vec<Transform>,
}

/// A transform with its key length attribute. Transforms with other attributes are not understood and left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Transform {
    /// 1 encryption, 2 PRF, 3 integrity, 4 key exchange, 5 ESN, 6 to 12 additional key exchanges.
    pub kind: u8,
    /// Transform ID.
    pub id: u16,
    /// Key length in bits.
    pub key_bits: Option<u16>,
}

/// "There are more of my kind after me."
const MORE_PROPOSALS: u8 = 2;
const MORE_TRANSFORMS: u8 = 3;
/// Attribute 14, key length, with the bit that says that the value is in the place of the length.
const KEY_LENGTH: u16 = 0x8000 | 14;
/// That bit.
const SHORT_ATTRIBUTE: u16 = 0x8000;

/// The proposals of an SA payload, at least one.
pub(super) fn decode(mut reader: Reader<'_>) -> Result<Vec<Proposal>, DecodeError> {
    let mut proposals = Vec::new();
    loop {
        if proposals.len() == limits::PROPOSALS {
            return Err(DecodeError::Limit { what: "proposals in an SA payload", max: limits::PROPOSALS });
        }
        let more = reader.u8()?;
        let (_reserved, length) = (reader.u8()?, reader.u16()?);
        let proposal = reader.inner("proposal", length, 4)?;
        match (more, reader.is_empty()) {
            (0, true) | (MORE_PROPOSALS, false) => proposals.push(decode_proposal(proposal)?),
            _ => return Err(proposal.malformed("it is wrong about being the last one")),
        }
        if more == 0 {
            return Ok(proposals);
        }
    }
}

fn decode_proposal(mut reader: Reader<'_>) -> Result<Proposal, DecodeError> {
    let (number, protocol) = (reader.u8()?, reader.u8()?);
    let (spi_size, transform_count) = (reader.u8()?, reader.u8()?);
    let fits = match protocol {
        protocol::IKE => matches!(spi_size, 0 | 8),
        protocol::AH | protocol::ESP => spi_size == 4,
        _ => matches!(spi_size, 0 | 4 | 8),
    };
    if !fits {
        return Err(reader.malformed("its protocol has no SPI of that size"));
    }
    let spi = reader.take(usize::from(spi_size))?.to_vec();

    let mut transforms = Vec::new();
    let (mut kinds, mut understood) = (BTreeSet::new(), BTreeSet::new());
    for left in (0..transform_count).rev() {
        let more = reader.u8()?;
        let (_reserved, length) = (reader.u8()?, reader.u16()?);
        let mut transform = reader.inner("transform", length, 4)?;
        if more != if left == 0 { 0 } else { MORE_TRANSFORMS } {
            return Err(transform.malformed("it is wrong about being the last one"));
        }
        let (kind, _reserved, id) = (transform.u8()?, transform.u8()?, transform.u16()?);
        kinds.insert(kind);
        if let Some(key_bits) = decode_attributes(transform)? {
            understood.insert(kind);
            transforms.push(Transform { kind, id, key_bits });
        }
    }
    reader.finish()?;
    // What is left of a proposal that lost all transforms of one kind would mean something else than its sender meant.
    if kinds != understood {
        transforms.clear();
    }
    Ok(Proposal { number, protocol, spi, transforms })
}

/// The key length, if any; `None` where there is something else, and the transform is not understood (RFC 7296 3.3.6).
fn decode_attributes(mut reader: Reader<'_>) -> Result<Option<Option<u16>>, DecodeError> {
    let (mut key_bits, mut understood) = (None, true);
    while !reader.is_empty() {
        let (kind, value) = (reader.u16()?, reader.u16()?);
        if kind == KEY_LENGTH && key_bits.is_none() {
            key_bits = Some(value);
        } else {
            understood = false;
            if kind & SHORT_ATTRIBUTE == 0 {
                reader.take(usize::from(value))?;
            }
        }
    }
    Ok(understood.then_some(key_bits))
}

/// The body of an SA payload.
pub(super) fn encode(proposals: &[Proposal], out: &mut Vec<u8>) {
    for (at, proposal) in proposals.iter().enumerate() {
        let more = if at + 1 == proposals.len() { 0 } else { MORE_PROPOSALS };
        with_length(out, 2, |out| {
            out.extend_from_slice(&[more, 0, 0, 0, proposal.number, proposal.protocol]);
            out.extend_from_slice(&[count(proposal.spi.len()), count(proposal.transforms.len())]);
            out.extend_from_slice(&proposal.spi);
            for (at, transform) in proposal.transforms.iter().enumerate() {
                let more = if at + 1 == proposal.transforms.len() { 0 } else { MORE_TRANSFORMS };
                with_length(out, 2, |out| encode_transform(more, transform, out));
            }
        });
    }
}

fn encode_transform(more: u8, transform: &Transform, out: &mut Vec<u8>) {
    out.extend_from_slice(&[more, 0, 0, 0, transform.kind, 0]);
    out.extend_from_slice(&transform.id.to_be_bytes());
    if let Some(bits) = transform.key_bits {
        out.extend_from_slice(&KEY_LENGTH.to_be_bytes());
        out.extend_from_slice(&bits.to_be_bytes());
    }
}
