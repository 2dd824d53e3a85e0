//! CREATE_CHILD_SA: rekeys of the Child SA and of the IKE SA, started and answered (RFC 7296 1.3, 2.8, 2.18).

use super::super::keys::{ChildKeying, SaKeys};
use super::super::message::{Exchange, Notify, Payload, Spi, notify};
use super::super::proposal::{EspSuite, IkeSuite, proposals};
use super::super::sa::{IkeSa, Retransmission};
use super::child::{Child, CreateChild, narrow, rekeyed_spi};
use super::{Established, PROTOCOL_ESP, Pending, REPLACED_LINGER, SaEvent, Slot, Which};
use crate::crypto::{Group, KeyExchange, Random, Secret, generate};
use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Octets of our nonces: at least half the key of every PRF we offer.
const NONCE_LEN: usize = 32;

/// A rekey of the Child SA that waits for its answer.
pub(super) struct ChildRekey {
    old: u32,
    new_spi: u32,
    nonce: Vec<u8>,
    kex: Option<Box<dyn KeyExchange>>,
}

/// A rekey of the IKE SA that waits for its answer.
pub(super) struct IkeRekey {
    spi: Spi,
    nonce: Vec<u8>,
    kex: Box<dyn KeyExchange>,
}

/// A nonce of ours.
fn nonce(random: &mut dyn Random) -> Vec<u8> {
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

fn refusal(kind: u16, data: Vec<u8>) -> Vec<Payload> {
    vec![Payload::Notify(Notify::status(kind, data))]
}

/// A put-off rekey is tried again after this; random, so that two ends do not meet again.
fn put_off(now: Instant, random: &mut dyn Random) -> Instant {
    now + Duration::from_millis(5_000 + random.below(10_000))
}

fn error_notify(payloads: &[Payload]) -> Option<&Notify> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Notify(n) if n.kind < 16384 => Some(n),
        _ => None,
    })
}

impl Established {
    /// Starts a rekey of the Child SA with this inbound SPI. Nothing where it is unknown, or on its way out already.
    pub fn rekey_child(&mut self, now: Instant, spi_in: u32, random: &mut dyn Random) {
        let busy_with_ike = self.current.pending.iter().any(|p| matches!(p, Pending::RekeyIke(_)));
        if self.closed {
            return;
        }
        let Some(at) = self.children.iter().position(|c| c.spi_in == spi_in && !c.rekeying && !c.deleting)
        else {
            return;
        };
        if busy_with_ike {
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
            let rekey = ChildRekey { old: spi_in, new_spi, nonce, kex };
            self.current.pending.push_back(Pending::RekeyChild(Box::new(rekey)));
        } else {
            child.rekeying = false;
            child.rekey_at = Some(put_off(now, random));
        }
    }

    pub(super) fn child_rekey_answered(
        &mut self,
        now: Instant,
        rekey: ChildRekey,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        let Some(at) = self.children.iter().position(|c| c.spi_in == rekey.old) else { return };
        self.children[at].rekeying = false;
        let Some((suite, child, nonce_r)) = self.accept_child(&rekey, payloads, at) else {
            if error_notify(payloads).is_some_and(|n| n.kind == notify::CHILD_SA_NOT_FOUND) {
                // The peer has lost it (RFC 7296 2.25): it is gone here too, and the owner must know.
                self.children.remove(at);
                self.events.push_back(SaEvent::ChildDown { spi_in: rekey.old });
                return;
            }
            let old = &mut self.children[at];
            let other = match error_notify(payloads) {
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
                None => old.rekey_at = Some(put_off(now, random)),
            }
            return;
        };
        let new_spi = child.spi_in;
        let remembered = Child::new(now, &child, Some(&suite), &self.policy);
        let collision = self.children[at].rekeyed_by_peer.take();
        self.children.push(remembered);
        match collision {
            // Both sides rekeyed. The SA of the exchange with the lowest of the four nonces goes; its maker deletes it.
            Some((peer_lowest, _)) if rekey.nonce.as_slice().min(&nonce_r) < peer_lowest.as_slice() => {
                self.events.push_back(SaEvent::ChildUp {
                    child: Box::new(child),
                    replaces: Some(rekey.old),
                    send: false,
                });
                self.delete_child(now, new_spi, random);
            }
            Some((_, _)) | None => {
                self.events.push_back(SaEvent::ChildUp {
                    child: Box::new(child),
                    replaces: Some(rekey.old),
                    send: true,
                });
                self.delete_child(now, rekey.old, random);
            }
        }
    }

    fn accept_child(
        &self,
        rekey: &ChildRekey,
        payloads: &[Payload],
        at: usize,
    ) -> Option<(EspSuite, crate::esp::SaParams, Vec<u8>)> {
        if error_notify(payloads).is_some() {
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
        let old = &self.children[at];
        let (local, remote) = (narrow(answer.ts_i, &old.local), narrow(answer.ts_r, &old.remote));
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

    /// Starts a rekey of the IKE SA, unless another CREATE_CHILD_SA of ours is under way.
    pub fn rekey_ike(&mut self, now: Instant, random: &mut dyn Random) {
        let creating = |p: &Pending| matches!(p, Pending::RekeyChild(_) | Pending::RekeyIke(_));
        if self.closed {
            return;
        }
        if self.current.pending.iter().any(creating) || self.replaced.is_some() {
            self.ike_rekey_at = Some(put_off(now, random));
            return;
        }
        self.start_ike_rekey(now, self.current.sa.suite().group, random);
    }

    fn start_ike_rekey(&mut self, now: Instant, group: Group, random: &mut dyn Random) {
        self.ike_rekey_at = None;
        let rekey = IkeRekey { spi: ike_spi(random), nonce: nonce(random), kex: generate(group, random) };
        let payloads = vec![
            Payload::Sa(self.policy.ike.ike_proposals(&rekey.spi, Some(group))),
            Payload::Nonce(rekey.nonce.clone()),
            Payload::Ke { group: group.id(), data: rekey.kex.public_value().to_vec() },
        ];
        if self.current.sa.request(now, Exchange::CreateChildSa, payloads, random) {
            self.current.pending.push_back(Pending::RekeyIke(Box::new(rekey)));
        } else {
            self.ike_rekey_at = Some(put_off(now, random));
        }
    }

    pub(super) fn ike_rekey_answered(
        &mut self,
        now: Instant,
        rekey: IkeRekey,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        let Some((suite, keys, spi_r)) = self.accept_ike(&rekey, payloads) else {
            if let Some(n) = error_notify(payloads)
                && n.kind == notify::INVALID_KE_PAYLOAD
                && let Some(group) = named_group(n)
                && group != rekey.kex.group()
                && self.policy.ike.groups.contains(&group)
            {
                self.start_ike_rekey(now, group, random);
            } else {
                self.ike_rekey_at = Some(put_off(now, random));
            }
            return;
        };
        self.replace_sa(now, true, rekey.spi, spi_r, suite, keys);
        if let Some((slot, _)) = self.replaced.as_mut() {
            let payload = Payload::Delete(super::Delete { protocol: super::PROTOCOL_IKE, spis: Vec::new() });
            if slot.sa.request(now, Exchange::Informational, vec![payload], random) {
                slot.pending.push_back(Pending::DeleteIke);
            }
        }
    }

    fn accept_ike(&self, rekey: &IkeRekey, payloads: &[Payload]) -> Option<(IkeSuite, SaKeys, Spi)> {
        if error_notify(payloads).is_some() {
            return None;
        }
        let (suite, spi) = self.policy.ike.accept_ike(proposals(payloads)?)?;
        let spi_r: Spi = spi.as_slice().try_into().ok().filter(|s| *s != [0; 8])?;
        let answer = CreateChild::read(payloads)?;
        let (group, data) = answer.ke?;
        if suite.group != rekey.kex.group() || group != suite.group.id() {
            return None;
        }
        let shared = rekey.kex.agree(data).ok()?;
        let keys = self.rekeyed_keys(&suite, &rekey.nonce, answer.nonce, &shared, &rekey.spi, &spi_r);
        Some((suite, keys, spi_r))
    }

    fn rekeyed_keys(
        &self,
        suite: &IkeSuite,
        ni: &[u8],
        nr: &[u8],
        shared: &Secret,
        spi_i: &Spi,
        spi_r: &Spi,
    ) -> SaKeys {
        let old = &self.current.sa;
        SaKeys::derive_rekey(old.suite().prf, &old.keys().sk_d, suite, ni, nr, shared, spi_i, spi_r)
    }

    fn replace_sa(
        &mut self,
        now: Instant,
        initiator: bool,
        spi_i: Spi,
        spi_r: Spi,
        suite: IkeSuite,
        keys: SaKeys,
    ) {
        let fragment = self.current.sa.fragment();
        let sa =
            IkeSa::new(initiator, spi_i, spi_r, suite, keys, (0, 0), fragment, Retransmission::default());
        let old = std::mem::replace(&mut self.current, Slot { sa, pending: VecDeque::new() });
        self.carry_update_over(&old);
        self.replaced = Some((old, now + REPLACED_LINGER));
        self.ike_rekey_at = self.policy.ike_lifetime.map(|after| now + after);
        self.events.push_back(SaEvent::Rekeyed);
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
        if self.closed
            || self.children[at].deleting
            || self.current.pending.iter().any(|p| matches!(p, Pending::RekeyIke(_)))
        {
            return Err(refusal(notify::TEMPORARY_FAILURE, Vec::new()));
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
        if old.rekeying {
            let lowest = request.nonce.min(&nonce_r).to_vec();
            old.rekeyed_by_peer = Some((lowest, new_spi));
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

    fn answer_ike_rekey(&mut self, now: Instant, id: u32, payloads: &[Payload], random: &mut dyn Random) {
        let made = self.make_ike_rekey(payloads, random);
        match made {
            Err(refusal) => self.respond(Which::Current, id, Exchange::CreateChildSa, &refusal, random),
            Ok((answer, suite, keys, spi_i, spi_r)) => {
                self.respond(Which::Current, id, Exchange::CreateChildSa, &answer, random);
                self.replace_sa(now, false, spi_i, spi_r, suite, keys);
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn make_ike_rekey(
        &mut self,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Result<(Vec<Payload>, IkeSuite, SaKeys, Spi, Spi), Vec<Payload>> {
        let creating = |p: &Pending| matches!(p, Pending::RekeyChild(_) | Pending::RekeyIke(_));
        if self.closed || self.replaced.is_some() || self.current.pending.iter().any(creating) {
            return Err(refusal(notify::TEMPORARY_FAILURE, Vec::new()));
        }
        let syntax = || refusal(notify::INVALID_SYNTAX, Vec::new());
        let request = CreateChild::read(payloads).ok_or_else(syntax)?;
        let offered = proposals(payloads).ok_or_else(syntax)?;
        let (suite, mut chosen) = self
            .policy
            .ike
            .choose_ike(offered)
            .ok_or_else(|| refusal(notify::NO_PROPOSAL_CHOSEN, Vec::new()))?;
        let spi_i: Spi = chosen.spi.as_slice().try_into().map_err(|_| syntax())?;
        let (group, data) = request.ke.ok_or_else(syntax)?;
        if group != suite.group.id() {
            return Err(refusal(notify::INVALID_KE_PAYLOAD, suite.group.id().to_be_bytes().to_vec()));
        }
        let kex = generate(suite.group, random);
        let shared = kex.agree(data).map_err(|_| syntax())?;
        let nonce_r = nonce(random);
        let spi_r = ike_spi(random);
        let keys = self.rekeyed_keys(&suite, request.nonce, &nonce_r, &shared, &spi_i, &spi_r);
        chosen.spi = spi_r.to_vec();
        let answer = vec![
            Payload::Sa(vec![chosen]),
            Payload::Nonce(nonce_r),
            Payload::Ke { group: suite.group.id(), data: kex.public_value().to_vec() },
        ];
        Ok((answer, suite, keys, spi_i, spi_r))
    }
}

fn named_group(n: &Notify) -> Option<Group> {
    n.data.as_slice().try_into().ok().map(u16::from_be_bytes).and_then(Group::from_id)
}
