//! Suites and their negotiation (RFC 7296 2.7, 3.3).

use super::message::{Payload, Proposal, Transform, protocol, transform_kind};
use crate::crypto::{Encr, Group, Integ, Kem, Prf};

#[cfg(test)]
mod tests;

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
    /// A key exchange after it (RFC 9370). A rekeyed IKE SA has the one of the SA before it, whose SK_d is in its keys.
    pub additional: Option<Kem>,
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
    /// IKE_SA_INIT: ML-KEM-768 as an additional key exchange. Rekeys are without it: SK_d, which their keys come from, has it in it.
    pub ml_kem: Wish,
}

/// What becomes of an algorithm that few peers have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Not at all.
    #[default]
    No,
    /// Where the peer has it too.
    Offer,
    /// Nothing without it.
    Require,
}

/// Transform ID "none" of integrity and key exchange.
const NONE: u16 = 0;
/// The seed's groups, then what good practice adds.
const GROUPS: [Group; 7] = [
    Group::Ecp256,
    Group::Modp2048,
    Group::Ecp521,
    Group::Ecp384,
    Group::Curve25519,
    Group::Modp3072,
    Group::Modp4096,
];
/// Strongest first within CBC (what the seed offers) and within AEAD, what fewer gateways have last.
const ENCR: [Encr; 5] =
    [Encr::AesCbc256, Encr::AesCbc128, Encr::AesGcm256, Encr::AesGcm128, Encr::ChaCha20Poly1305];

/// One suite of ESP, for a peer that takes no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EspChoice {
    /// AES-CBC-256 with HMAC-SHA-384-192: the seed's.
    AesCbc256Sha384,
    /// AES-GCM-256.
    AesGcm256,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
}

impl Algorithms {
    /// The same with this suite of ESP alone.
    pub fn only(&self, choice: EspChoice) -> Self {
        let (encr, integ) = match choice {
            EspChoice::AesCbc256Sha384 => (Encr::AesCbc256, vec![Integ::HmacSha384_192]),
            EspChoice::AesGcm256 => (Encr::AesGcm256, self.integ.clone()),
            EspChoice::ChaCha20Poly1305 => (Encr::ChaCha20Poly1305, self.integ.clone()),
        };
        Self { encr: vec![encr], integ, ..self.clone() }
    }

    /// The seed's IKE suite first (AES-CBC-256, PRF and integrity SHA-512, group 19), then what good practice adds.
    pub fn ike() -> Self {
        Self {
            encr: ENCR.to_vec(),
            integ: vec![Integ::HmacSha512_256, Integ::HmacSha384_192, Integ::HmacSha256_128],
            prf: vec![Prf::HmacSha512, Prf::HmacSha384, Prf::HmacSha256],
            groups: GROUPS.to_vec(),
            esn: false,
            ml_kem: Wish::No,
        }
    }

    /// The seed's ESP suite first (AES-CBC-256 with HMAC-SHA-384-192), then what good practice adds.
    pub fn esp() -> Self {
        Self {
            encr: ENCR.to_vec(),
            integ: vec![Integ::HmacSha384_192, Integ::HmacSha512_256, Integ::HmacSha256_128],
            prf: Vec::new(),
            groups: GROUPS.to_vec(),
            esn: true,
            ml_kem: Wish::No,
        }
    }

    /// The proposals of an IKE SA; `spi` is empty in IKE_SA_INIT and 8 octets in a rekey. `first`: offered first of the groups.
    pub fn ike_proposals(&self, spi: &[u8], first: Option<Group>) -> Vec<Proposal> {
        let preferred = self.groups.iter().filter(|group| Some(**group) == first);
        let others = self.groups.iter().filter(|group| Some(**group) != first);
        let prfs = self.prf.iter().map(|prf| transform(transform_kind::PRF, prf.id()));
        let groups = preferred.chain(others).map(|group| transform(transform_kind::KE, group.id()));
        let mut rest = prfs.chain(groups).collect::<Vec<_>>();
        let without = self.proposals(protocol::IKE, spi, &rest);
        if self.ml_kem == Wish::No {
            return without;
        }
        // Whoever does not know the kind of transform takes a proposal without it (RFC 7296 3.3.6).
        rest.push(transform(transform_kind::ADDITIONAL_KE, Kem::MlKem768.id()));
        let mut all = self.proposals(protocol::IKE, spi, &rest);
        all.extend(without.into_iter().filter(|_| self.ml_kem == Wish::Offer));
        (1..).zip(&mut all).for_each(|(number, proposal)| proposal.number = number);
        all
    }

    /// The same for rekeys.
    pub fn without_ml_kem(&self) -> Self {
        Self { ml_kem: Wish::No, ..self.clone() }
    }

    /// The proposals of a Child SA; with `pfs` the groups are offered too (CREATE_CHILD_SA only).
    pub fn esp_proposals(&self, spi: u32, pfs: bool) -> Vec<Proposal> {
        let groups =
            self.groups.iter().filter(|_| pfs).map(|group| transform(transform_kind::KE, group.id()));
        let esn = [1, 0].into_iter().filter(|id| *id == 0 || self.esn);
        let rest = groups.chain(esn.map(|id| transform(transform_kind::ESN, id)));
        self.proposals(protocol::ESP, &spi.to_be_bytes(), &rest.collect::<Vec<_>>())
    }

    /// One proposal for the CBC ciphers and one for AEAD; `rest` follows encryption and integrity in both.
    fn proposals(&self, protocol: u8, spi: &[u8], rest: &[Transform]) -> Vec<Proposal> {
        let aead_first = self.encr.first().is_some_and(|encr| encr.is_aead());
        let offer = |aead: bool| {
            let encr =
                self.encr.iter().filter(|encr| encr.is_aead() == aead).map(|encr| encr_transform(*encr));
            let integ = self.integ.iter().filter(|_| !aead);
            let integ = integ.map(|integ| transform(transform_kind::INTEG, integ.id()));
            let (encr, integ): (Vec<_>, Vec<_>) = (encr.collect(), integ.collect());
            let usable = !encr.is_empty() && (aead || !integ.is_empty());
            usable.then(|| [encr, integ, rest.to_vec()].concat())
        };
        let offers = [aead_first, !aead_first].into_iter().filter_map(offer);
        (1..)
            .zip(offers)
            .map(|(number, transforms)| Proposal { number, protocol, spi: spi.to_vec(), transforms })
            .collect()
    }

    /// The responder's choice for an IKE SA: the first proposal that fits, in it the responder's order of preference.
    /// Also the proposal to send back, which still has the peer's SPI (empty or 8 octets): the answer to a rekey carries
    /// the responder's own in its place.
    pub fn choose_ike(&self, offered: &[Proposal]) -> Option<(IkeSuite, Proposal)> {
        use transform_kind::{ADDITIONAL_KE, ENCR, INTEG, KE, PRF};
        let kinds = [ENCR, PRF, INTEG, KE, ADDITIONAL_KE];
        let kinds = if self.ml_kem == Wish::No { &kinds[..4] } else { &kinds };
        offered.iter().filter(|p| p.protocol == protocol::IKE && has_only(p, kinds)).find_map(|offer| {
            let (encr, integ, mut answer) = self.choose_protection(offer)?;
            let prf = *self.prf.iter().find(|prf| offers(offer, PRF, prf.id()))?;
            let group = *self.groups.iter().find(|group| offers(offer, KE, group.id()))?;
            let additional = self.choose_additional(offer)?;
            answer.extend([transform(PRF, prf.id()), transform(KE, group.id())]);
            if has(offer, ADDITIONAL_KE) {
                answer.push(transform(ADDITIONAL_KE, additional.map_or(NONE, Kem::id)));
            }
            let suite = IkeSuite { encr, integ, prf, group, additional };
            Some((suite, Proposal { transforms: answer, ..offer.clone() }))
        })
    }

    /// The same for a Child SA; the peer's SPI is in the offered proposal and returned. The answer carries `spi`.
    /// A group is chosen only where `pfs` (CREATE_CHILD_SA); there a peer that offers none, or "none", gets none.
    pub fn choose_esp(&self, offered: &[Proposal], spi: u32, pfs: bool) -> Option<(EspSuite, u32, Proposal)> {
        use transform_kind::{ENCR, ESN, INTEG, KE};
        offered
            .iter()
            .filter(|p| p.protocol == protocol::ESP && has_only(p, &[ENCR, INTEG, KE, ESN]))
            .find_map(|offer| {
                let peer_spi = esp_spi(offer)?;
                let (encr, integ, mut answer) = self.choose_protection(offer)?;
                let mut group = None;
                if pfs && has(offer, KE) {
                    group = self.groups.iter().copied().find(|group| offers(offer, KE, group.id()));
                    let id = group.map_or(NONE, Group::id);
                    answer.push(Some(transform(KE, id)).filter(|chosen| offer.transforms.contains(chosen))?);
                }
                let esn = self.esn && offers(offer, ESN, 1);
                answer.push(
                    Some(transform(ESN, esn.into())).filter(|chosen| offer.transforms.contains(chosen))?,
                );
                let suite = EspSuite { encr, integ, group, esn };
                let spi = spi.to_be_bytes().to_vec();
                Some((suite, peer_spi, Proposal { spi, transforms: answer, ..offer.clone() }))
            })
    }

    /// The additional key exchange of this offer; `None` where it does not fit.
    fn choose_additional(&self, offer: &Proposal) -> Option<Option<Kem>> {
        use transform_kind::ADDITIONAL_KE;
        if self.ml_kem != Wish::No && offers(offer, ADDITIONAL_KE, Kem::MlKem768.id()) {
            return Some(Some(Kem::MlKem768));
        }
        // "None" beside others says that the peer can do without (RFC 9370 2.2.1).
        let without = !has(offer, ADDITIONAL_KE) || offers(offer, ADDITIONAL_KE, NONE);
        (without && self.ml_kem != Wish::Require).then_some(None)
    }

    /// Encryption and integrity, and the transforms of the answer.
    fn choose_protection(&self, offer: &Proposal) -> Option<(Encr, Option<Integ>, Vec<Transform>)> {
        use transform_kind::INTEG;
        let ciphers = self.encr.iter().filter(|encr| offer.transforms.contains(&encr_transform(**encr)));
        ciphers.copied().find_map(|encr| {
            let mut answer = vec![encr_transform(encr)];
            if !encr.is_aead() {
                let integ = *self.integ.iter().find(|integ| offers(offer, INTEG, integ.id()))?;
                answer.push(transform(INTEG, integ.id()));
                return Some((encr, Some(integ), answer));
            }
            // An offer of AEAD has no integrity, or says so with "none" (RFC 7296 3.3).
            if has(offer, INTEG) {
                answer.push(Some(transform(INTEG, NONE)).filter(|none| offer.transforms.contains(none))?);
            }
            Some((encr, None, answer))
        })
    }

    /// The initiator's check of an IKE answer: exactly one proposal, one transform of each kind, all offered. Also the SPI.
    pub fn accept_ike(&self, answer: &[Proposal]) -> Option<(IkeSuite, Vec<u8>)> {
        let answer = accepted(answer, &self.ike_proposals(&[], None))?;
        let (encr, integ) = chosen_protection(answer)?;
        let prf = Prf::from_id(chosen(answer, transform_kind::PRF)?.id)?;
        let group = Group::from_id(chosen(answer, transform_kind::KE)?.id)?;
        let additional = match chosen(answer, transform_kind::ADDITIONAL_KE) {
            Some(transform) => Some(Kem::from_id(transform.id)?),
            None => None,
        };
        Some((IkeSuite { encr, integ, prf, group, additional }, answer.spi.clone()))
    }

    /// The same for a Child SA. Also the peer's SPI.
    pub fn accept_esp(&self, answer: &[Proposal], pfs: bool) -> Option<(EspSuite, u32)> {
        let answer = accepted(answer, &self.esp_proposals(0, pfs))?;
        let (encr, integ) = chosen_protection(answer)?;
        let group = match chosen(answer, transform_kind::KE) {
            Some(transform) => Some(Group::from_id(transform.id)?),
            None => None,
        };
        let esn = chosen(answer, transform_kind::ESN)?.id == 1;
        Some((EspSuite { encr, integ, group, esn }, esp_spi(answer)?))
    }
}

/// The one proposal of an answer, where it takes exactly one transform of each kind of the offer with its number.
fn accepted<'a>(answer: &'a [Proposal], offered: &[Proposal]) -> Option<&'a Proposal> {
    let [answer] = answer else { return None };
    let offer =
        offered.iter().find(|offer| offer.number == answer.number && offer.protocol == answer.protocol)?;
    let each_once = offer.transforms.iter().all(|offered| chosen(answer, offered.kind).is_some());
    let all_offered = answer.transforms.iter().all(|transform| offer.transforms.contains(transform));
    (each_once && all_offered).then_some(answer)
}

/// The only transform of this kind.
fn chosen(answer: &Proposal, kind: u8) -> Option<Transform> {
    let mut of_kind = answer.transforms.iter().filter(|transform| transform.kind == kind);
    of_kind.next().copied().filter(|_| of_kind.next().is_none())
}

fn chosen_protection(answer: &Proposal) -> Option<(Encr, Option<Integ>)> {
    let encr = chosen(answer, transform_kind::ENCR)?;
    let encr = Encr::from_id(encr.id, encr.key_bits)?;
    match chosen(answer, transform_kind::INTEG) {
        Some(integ) => Some((encr, Some(Integ::from_id(integ.id)?))),
        None => encr.is_aead().then_some((encr, None)),
    }
}

fn encr_transform(encr: Encr) -> Transform {
    Transform { kind: transform_kind::ENCR, id: encr.id(), key_bits: encr.key_bits() }
}

fn transform(kind: u8, id: u16) -> Transform {
    Transform { kind, id, key_bits: None }
}

fn offers(offer: &Proposal, kind: u8, id: u16) -> bool {
    offer.transforms.contains(&transform(kind, id))
}

fn has(offer: &Proposal, kind: u8) -> bool {
    offer.transforms.iter().any(|transform| transform.kind == kind)
}

/// A kind of transform that we do not know makes a proposal unacceptable (RFC 7296 3.3.6).
fn has_only(offer: &Proposal, kinds: &[u8]) -> bool {
    offer.transforms.iter().all(|transform| kinds.contains(&transform.kind))
}

/// The ESP SPI of a proposal; 0 is none (RFC 4303 2.1).
fn esp_spi(proposal: &Proposal) -> Option<u32> {
    let spi = u32::from_be_bytes(proposal.spi.as_slice().try_into().ok()?);
    (spi != 0).then_some(spi)
}

/// The SA payload's proposals, if there is exactly one such payload.
pub fn proposals(payloads: &[Payload]) -> Option<&[Proposal]> {
    let mut found = payloads.iter().filter_map(|payload| match payload {
        Payload::Sa(proposals) => Some(proposals.as_slice()),
        _ => None,
    });
    found.next().filter(|_| found.next().is_none())
}
