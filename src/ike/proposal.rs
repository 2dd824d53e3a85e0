//! Suites and their negotiation (RFC 7296 2.7, 3.3).

use super::message::{Payload, Proposal};
use crate::crypto::{Encr, Group, Integ, Prf};

/// The algorithms of an IKE SA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IkeSuite {
    /// Encryption.
    pub encr: Encr,
    /// Integrity, `None` with AEAD.
    pub integ: Option<Integ>,
    /// PRF.
    pub prf: Prf,
    /// Key exchange.
    pub group: Group,
}

/// The algorithms of a Child SA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EspSuite {
    /// Encryption.
    pub encr: Encr,
    /// Integrity, `None` with AEAD.
    pub integ: Option<Integ>,
    /// Key exchange of a CREATE_CHILD_SA; never in the first Child SA.
    pub group: Option<Group>,
    /// 64-bit sequence numbers.
    pub esn: bool,
}

/// What may be used, best first: one proposal for CBC with integrity, one for AEAD (they cannot share one, RFC 7296 3.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Algorithms {
    /// Encryption; AEAD and CBC mixed are split into two proposals, in the order of their first appearance.
    pub encr: Vec<Encr>,
    /// Integrity for the CBC ones.
    pub integ: Vec<Integ>,
    /// PRFs (IKE only).
    pub prf: Vec<Prf>,
    /// Groups. For ESP: of a rekey with PFS, empty for none.
    pub groups: Vec<Group>,
    /// ESP: offer extended sequence numbers, and take them where both sides can.
    pub esn: bool,
}

impl Algorithms {
    /// The seed's IKE suite first (AES-CBC-256, PRF and integrity SHA-512, group 19), then what good practice adds.
    pub fn ike() -> Self {
        todo!()
    }
    /// The seed's ESP suite first (AES-CBC-256 with HMAC-SHA-384-192), then what good practice adds.
    pub fn esp() -> Self {
        todo!()
    }
    /// The proposals of an IKE SA; `spi` is empty in IKE_SA_INIT and 8 octets in a rekey. `first`: offered first of the groups.
    pub fn ike_proposals(&self, _spi: &[u8], _first: Option<Group>) -> Vec<Proposal> {
        todo!()
    }
    /// The proposals of a Child SA; with `pfs` the groups are offered too (CREATE_CHILD_SA only).
    pub fn esp_proposals(&self, _spi: u32, _pfs: bool) -> Vec<Proposal> {
        todo!()
    }
    /// The responder's choice for an IKE SA: the first proposal that fits, in it the responder's order of preference.
    /// Also the proposal to send back and the peer's SPI (empty or 8 octets).
    pub fn choose_ike(&self, _offered: &[Proposal]) -> Option<(IkeSuite, Proposal)> {
        todo!()
    }
    /// The same for a Child SA; the peer's SPI is in the offered proposal and returned. The answer carries `spi`.
    /// A group is chosen only where `pfs` (CREATE_CHILD_SA).
    pub fn choose_esp(&self, _offered: &[Proposal], _spi: u32, _pfs: bool) -> Option<(EspSuite, u32, Proposal)> {
        todo!()
    }
    /// The initiator's check of an IKE answer: exactly one proposal, one transform of each kind, all offered. Also the SPI.
    pub fn accept_ike(&self, _answer: &[Proposal]) -> Option<(IkeSuite, Vec<u8>)> {
        todo!()
    }
    /// The same for a Child SA. Also the peer's SPI.
    pub fn accept_esp(&self, _answer: &[Proposal], _pfs: bool) -> Option<(EspSuite, u32)> {
        todo!()
    }
}

/// The SA payload's proposals, if there is exactly one such payload.
pub fn proposals(_payloads: &[Payload]) -> Option<&[Proposal]> {
    todo!()
}
