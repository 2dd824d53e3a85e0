//! CREATE_CHILD_SA that rekeys the Child SA, started and answered, and two of them that meet (RFC 7296 1.3.3, 2.8.1, 2.25.1).

use super::super::keys::ChildKeying;
use super::super::message::{Exchange, Notify, Payload, Spi, first_error_notify, notify};
use super::super::proposal::{EspSuite, proposals};
use super::child::{Child, CreateChild, narrow, rekeyed_spi};
use super::{Established, PROTOCOL_ESP, Pending, SaEvent, Which};
use crate::crypto::{Group, KeyExchange, Random, generate};
use crate::esp::TrafficSelector;
use crate::time::Instant;
use std::time::Duration;

/// Octets of our nonces: at least half the key of every PRF we offer.
const NONCE_LEN: usize = 32;
/// Child SAs that may exist at a time: one, its successors of two rekeys that met, and what is being deleted. A peer that makes
/// more gets NO_ADDITIONAL_SAS.
const CHILDREN: usize = 8;

/// After NO_ADDITIONAL_SAS the next rekey is put off by this and a little.
const NO_ROOM: Duration = Duration::from_secs(300);

/// A rekey of the Child SA that waits for its answer.
pub(super) struct ChildRekey {
    old: u32,
    new_spi: u32,
    nonce: Vec<u8>,
    kex: Option<Box<dyn KeyExchange>>,
    local: Vec<TrafficSelector>,
    remote: Vec<TrafficSelector>,
    /// The peer has rekeyed it meanwhile: the lower nonce of its exchange.
    crossed: Option<Vec<u8>>,
    /// The peer has deleted the old one meanwhile; the owner knows.
    gone: bool,
}

impl ChildRekey {
    /// The old Child SA is gone, and nothing but this exchange will put another in its place.
    pub(super) fn is_orphan(&self) -> bool {
        self.gone && self.crossed.is_none()
    }

    pub(super) fn old_is_gone(&mut self) {
        self.gone = true;
    }
}

/// A nonce of ours.
pub(super) fn nonce(random: &mut dyn Random) -> Vec<u8> {
    let mut nonce = vec![0; NONCE_LEN];
    random.fill(&mut nonce);
    nonce
}

/// An ESP SPI: 0 to 255 are reserved (RFC 4303 2.1).
pub fn esp_spi(random: &mut dyn Random) -> u32 {
    loop {
        let spi = (random.u64() >> 32) as u32;
        if spi > 255 {
            return spi;
        }
    }
}

/// An IKE SPI: not zero.
pub fn ike_spi(random: &mut dyn Random) -> Spi {
    loop {
        let spi = random.u64();
        if spi != 0 {
            return spi.to_be_bytes();
        }
    }
}

pub(super) fn refusal(kind: u16, data: Vec<u8>) -> Vec<Payload> {
    vec![Payload::Notify(Notify::status(kind, data))]
}

/// A put-off rekey is tried again after this; random, so that two ends do not meet again.
pub(super) fn put_off(now: Instant, random: &mut dyn Random) -> Instant {
    now + Duration::from_millis(5_000 + random.below(10_000))
}

impl Established {
    /// True where a rekey of the Child SA with this inbound SPI is under way, or begins before `until`.
    pub fn rekeys_child_before(&self, until: Instant, spi_in: u32) -> bool {
        let soon = |c: &Child| c.rekeying || c.rekey_at.is_some_and(|at| at < until);
        self.children.iter().any(|c| c.spi_in == spi_in && soon(c))
    }

    /// Starts a rekey of the Child SA with this inbound SPI. Nothing where it is unknown, or on its way out already.
    pub fn rekey_child(&mut self, now: Instant, spi_in: u32, random: &mut dyn Random) {
        if self.closed || self.current.is_closing() {
            return;
        }
        let Some(at) = self.children.iter().position(|c| c.spi_in == spi_in && !c.rekeying && !c.deleting)
        else {
            return;
        };
        if self.current.is_rekeying() {
            self.children[at].rekey_at = Some(put_off(now, random));
            return;
        }
        let new_spi = esp_spi(random);
        let nonce = nonce(random);
        let kex = self.children[at].group.map(|group| generate(group, random));
        let child = &mut self.children[at];
        child.rekeying = true;
        child.rekey_at = None;
        let mut payloads = vec![
            Payload::Notify(Notify {
                protocol: PROTOCOL_ESP,
                spi: spi_in.to_be_bytes().to_vec(),
                kind: notify::REKEY_SA,
                data: Vec::new(),
            }),
            Payload::Sa(self.policy.esp.esp_proposals(new_spi, kex.is_some())),
            Payload::Nonce(nonce.clone()),
        ];
        if let Some(kex) = &kex {
            payloads.push(Payload::Ke { group: kex.group().id(), data: kex.public_value().to_vec() });
        }
        payloads.push(Payload::TsI(child.local.clone()));
        payloads.push(Payload::TsR(child.remote.clone()));
        if self.current.sa.request(now, Exchange::CreateChildSa, payloads, random) {
            let (local, remote) = (child.local.clone(), child.remote.clone());
            let rekey =
                ChildRekey { old: spi_in, new_spi, nonce, kex, local, remote, crossed: None, gone: false };
            self.current.pending.push_back(Pending::RekeyChild(Box::new(rekey)));
        } else {
            child.rekeying = false;
            child.rekey_at = Some(put_off(now, random));
        }
    }

    /// Our rekey of the Child SA with this inbound SPI that is under way.
    pub(super) fn rekey_of(&mut self, spi_in: u32) -> Option<&mut ChildRekey> {
        self.current.pending.iter_mut().find_map(|pending| match pending {
            Pending::RekeyChild(rekey) if rekey.old == spi_in => Some(&mut **rekey),
            _ => None,
        })
    }

    pub(super) fn child_rekey_answered(
        &mut self,
        now: Instant,
        rekey: ChildRekey,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        let old = self.children.iter_mut().find(|c| c.spi_in == rekey.old);
        // A DELETE of ours that waited for this answer is meant for its successor too.
        let unwanted = old.as_ref().is_some_and(|old| old.deleting);
        if let Some(old) = old {
            old.rekeying = false;
        }
        let Some((suite, child, nonce_r)) = self.accept_child(&rekey, payloads) else {
            return self.child_rekey_refused(now, &rekey, payloads, random);
        };
        let new_spi = child.spi_in;
        // Both sides rekeyed: the SA of the exchange with the lowest of the four nonces goes, its maker deletes it.
        let lowest = rekey.nonce.as_slice().min(&nonce_r);
        let lost = rekey.crossed.as_deref().is_some_and(|theirs| lowest < theirs);
        self.children.push(Child::new(now, &child, Some(&suite), &self.policy));
        self.events.push_back(SaEvent::ChildUp {
            child: Box::new(child),
            replaces: Some(rekey.old),
            send: !lost,
        });
        self.delete_child(now, if lost || unwanted { new_spi } else { rekey.old }, random);
    }

    fn child_rekey_refused(
        &mut self,
        now: Instant,
        rekey: &ChildRekey,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        let error = first_error_notify(payloads);
        let kind = error.map(|n| n.kind);
        let Some(at) = self.children.iter().position(|c| c.spi_in == rekey.old) else {
            if rekey.is_orphan() {
                // Now the owner knows that none comes in its place.
                self.events.push_back(SaEvent::ChildDown { spi_in: rekey.old });
            }
            return;
        };
        if rekey.crossed.is_some() {
            return; // the peer's rekey has made the successor, and the peer deletes the old one
        }
        if kind == Some(notify::CHILD_SA_NOT_FOUND) {
            // The peer has lost it (RFC 7296 2.25): it is gone here too, and the owner must know.
            self.children.remove(at);
            self.events.push_back(SaEvent::ChildDown { spi_in: rekey.old });
            return;
        }
        let old = &mut self.children[at];
        if old.deleting {
            return;
        }
        let other = match error {
            Some(n) if n.kind == notify::INVALID_KE_PAYLOAD => {
                named_group(n).filter(|group| self.policy.esp.groups.contains(group)).map(Some)
            }
            // It may want no PFS, as the seed's router.
            Some(n) if n.kind == notify::NO_PROPOSAL_CHOSEN => Some(None),
            _ => None,
        };
        match other.filter(|group| *group != old.group) {
            Some(group) => {
                old.group = group;
                self.rekey_child(now, rekey.old, random);
            }
            // A peer that has room for none will not have any in a few seconds either.
            None if kind == Some(notify::NO_ADDITIONAL_SAS) => {
                old.rekey_at = Some(put_off(now + NO_ROOM, random));
            }
            None => old.rekey_at = Some(put_off(now, random)),
        }
        if kind == Some(notify::NO_ADDITIONAL_SAS) {
            self.events.push_back(SaEvent::RekeyRefused { spi_in: rekey.old });
        }
    }

    fn accept_child(
        &self,
        rekey: &ChildRekey,
        payloads: &[Payload],
    ) -> Option<(EspSuite, crate::esp::SaParams, Vec<u8>)> {
        if first_error_notify(payloads).is_some() {
            return None;
        }
        let (suite, spi_out) = self.policy.esp.accept_esp(proposals(payloads)?, rekey.kex.is_some())?;
        let answer = CreateChild::read(payloads)?;
        let shared = match (&rekey.kex, answer.ke) {
            (Some(kex), Some((group, data))) if group == kex.group().id() => Some(kex.agree(data).ok()?),
            (None, _) => None,
            // Offered with PFS; the answer may leave the group out only where it chose none.
            (Some(_), _) if suite.group.is_none() => None,
            _ => return None,
        };
        if suite.group.is_some() != shared.is_some() {
            return None;
        }
        let (local, remote) = (narrow(answer.ts_i, &rekey.local), narrow(answer.ts_r, &rekey.remote));
        if local.is_empty() || remote.is_empty() {
            return None;
        }
        let keys = self.current.sa.keys();
        let keying = ChildKeying {
            prf: self.current.sa.suite().prf,
            sk_d: &keys.sk_d,
            ni: &rekey.nonce,
            nr: answer.nonce,
            shared: shared.as_ref(),
        };
        let child = keying.derive(&suite, true, rekey.new_spi, spi_out, local, remote);
        Some((suite, child, answer.nonce.to_vec()))
    }

    pub(super) fn answer_create_child(
        &mut self,
        now: Instant,
        id: u32,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        let is_ike =
            proposals(payloads).is_some_and(|p| p.first().is_some_and(|p| p.protocol == super::PROTOCOL_IKE));
        if is_ike {
            self.answer_ike_rekey(now, id, payloads, random);
            return;
        }
        let answer = match self.answer_child_rekey(now, payloads, random) {
            Ok(answer) => answer,
            Err(refusal) => refusal,
        };
        self.respond(Which::Current, id, Exchange::CreateChildSa, &answer, random);
    }

    fn answer_child_rekey(
        &mut self,
        now: Instant,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Result<Vec<Payload>, Vec<Payload>> {
        if self.closed || self.current.is_closing() || self.current.is_rekeying() {
            return Err(refusal(notify::TEMPORARY_FAILURE, Vec::new()));
        }
        let Some(spi_out) = rekeyed_spi(payloads) else {
            return Err(refusal(notify::NO_ADDITIONAL_SAS, Vec::new()));
        };
        let Some(at) = self.children.iter().position(|c| c.spi_out == spi_out) else {
            return Err(vec![Payload::Notify(Notify {
                protocol: PROTOCOL_ESP,
                spi: spi_out.to_be_bytes().to_vec(),
                kind: notify::CHILD_SA_NOT_FOUND,
                data: Vec::new(),
            })]);
        };
        if self.children[at].deleting {
            return Err(refusal(notify::TEMPORARY_FAILURE, Vec::new()));
        }
        if self.children.len() >= CHILDREN {
            return Err(refusal(notify::NO_ADDITIONAL_SAS, Vec::new()));
        }
        let request =
            CreateChild::read(payloads).ok_or_else(|| refusal(notify::INVALID_SYNTAX, Vec::new()))?;
        let offered = proposals(payloads).ok_or_else(|| refusal(notify::INVALID_SYNTAX, Vec::new()))?;
        let new_spi = esp_spi(random);
        let (suite, peer_spi, chosen) = self
            .policy
            .esp
            .choose_esp(offered, new_spi, request.ke.is_some())
            .ok_or_else(|| refusal(notify::NO_PROPOSAL_CHOSEN, Vec::new()))?;
        let (shared, ke) = match suite.group {
            None => (None, None),
            Some(group) => {
                let (theirs, data) = request.ke.unwrap_or((0, &[]));
                if theirs != group.id() {
                    return Err(refusal(notify::INVALID_KE_PAYLOAD, group.id().to_be_bytes().to_vec()));
                }
                let kex = generate(group, random);
                let shared = kex.agree(data).map_err(|_| refusal(notify::INVALID_SYNTAX, Vec::new()))?;
                (Some(shared), Some(Payload::Ke { group: group.id(), data: kex.public_value().to_vec() }))
            }
        };
        let old = &self.children[at];
        let (remote, local) = (narrow(request.ts_i, &old.remote), narrow(request.ts_r, &old.local));
        if local.is_empty() || remote.is_empty() {
            return Err(refusal(notify::TS_UNACCEPTABLE, Vec::new()));
        }
        let nonce_r = nonce(random);
        let keying = ChildKeying {
            prf: self.current.sa.suite().prf,
            sk_d: &self.current.sa.keys().sk_d,
            ni: request.nonce,
            nr: &nonce_r,
            shared: shared.as_ref(),
        };
        let child = keying.derive(&suite, false, new_spi, peer_spi, local.clone(), remote.clone());
        let old = &mut self.children[at];
        let old_spi_in = old.spi_in;
        old.rekey_at = None;
        if let Some(rekey) = self.rekey_of(old_spi_in) {
            rekey.crossed = Some(request.nonce.min(&nonce_r).to_vec());
        }
        self.children.push(Child::new(now, &child, Some(&suite), &self.policy));
        self.events.push_back(SaEvent::ChildUp {
            child: Box::new(child),
            replaces: Some(old_spi_in),
            send: false,
        });
        let mut answer = vec![Payload::Sa(vec![chosen]), Payload::Nonce(nonce_r)];
        answer.extend(ke);
        answer.push(Payload::TsI(remote));
        answer.push(Payload::TsR(local));
        Ok(answer)
    }
}

pub(super) fn named_group(n: &Notify) -> Option<Group> {
    n.data.as_slice().try_into().ok().map(u16::from_be_bytes).and_then(Group::from_id)
}
