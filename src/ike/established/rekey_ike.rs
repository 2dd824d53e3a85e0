//! CREATE_CHILD_SA that rekeys the IKE SA, started and answered, and two of them that meet (RFC 7296 1.3.2, 2.8.2, 2.18).

use super::super::keys::SaKeys;
use super::super::message::{Exchange, Payload, Spi, first_error_notify, notify};
use super::super::proposal::{IkeSuite, proposals};
use super::super::sa::{IkeSa, Retransmission};
use super::child::CreateChild;
use super::rekey::{ike_spi, named_group, nonce, put_off, refusal};
use super::{Established, Pending, REPLACED_LINGER, Rival, SaEvent, Slot, Which};
use crate::crypto::{Group, KeyExchange, Random, Secret, generate};
use crate::time::Instant;

/// A rekey of the IKE SA that waits for its answer.
pub(super) struct IkeRekey {
    spi: Spi,
    nonce: Vec<u8>,
    kex: Box<dyn KeyExchange>,
}

/// What an exchange has made: the new IKE SA, and the lower of its two nonces.
struct Made {
    sa: IkeSa,
    lowest: Vec<u8>,
}

/// The parts of an exchange that the new keys depend on.
struct Ends<'a> {
    initiator: bool,
    spi_i: Spi,
    spi_r: Spi,
    ni: &'a [u8],
    nr: &'a [u8],
}

impl Established {
    /// Starts a rekey of the IKE SA; put off while another exchange about a Child SA or an earlier rekey is not over.
    pub fn rekey_ike(&mut self, now: Instant, random: &mut dyn Random) {
        if self.closed || self.current.is_closing() {
            return;
        }
        let busy = self.current.is_at_a_child() || self.current.is_rekeying();
        if busy || self.replaced.is_some() || self.rival.is_some() {
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
        rekey: &IkeRekey,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        let Some(made) = self.accept_ike(rekey, payloads) else {
            return self.ike_rekey_refused(now, rekey, payloads, random);
        };
        // Two rekeys have met: of the two new IKE SAs the one with the lowest of the four nonces goes.
        let theirs = self.rival.as_mut().and_then(|rival| rival.undecided.take());
        if theirs.is_some_and(|theirs| made.lowest < theirs) {
            if let Some(winner) = self.rival.take() {
                let mut loser = Slot::new(made.sa);
                loser.delete(now, random);
                self.rival = Some(Rival { slot: loser, undecided: None, until: now + REPLACED_LINGER });
                self.replace_sa(now, winner.slot.sa, random);
            }
            return; // the peer's rekey lives on, so the peer deletes the old IKE SA
        }
        self.replace_sa(now, made.sa, random);
        if let Some((old, _)) = self.replaced.as_mut() {
            old.delete(now, random);
        }
    }

    fn ike_rekey_refused(
        &mut self,
        now: Instant,
        rekey: &IkeRekey,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        // The peer had rekeyed it before our request came, and deletes the old one (RFC 7296 2.8.2).
        if self.adopt_rival(now, random) {
            return;
        }
        let other = first_error_notify(payloads)
            .filter(|n| n.kind == notify::INVALID_KE_PAYLOAD)
            .and_then(named_group)
            .filter(|group| *group != rekey.kex.group() && self.policy.ike.groups.contains(group));
        match other.filter(|_| !self.current.is_closing()) {
            Some(group) => self.start_ike_rekey(now, group, random),
            None => self.ike_rekey_at = Some(put_off(now, random)),
        }
    }

    /// What the peer's rekey has made takes over, where ours will make nothing. False where there is no such IKE SA.
    pub(super) fn adopt_rival(&mut self, now: Instant, random: &mut dyn Random) -> bool {
        let Some(rival) = self.rival.take_if(|rival| rival.undecided.is_some()) else { return false };
        self.replace_sa(now, rival.slot.sa, random);
        true
    }

    fn accept_ike(&self, rekey: &IkeRekey, payloads: &[Payload]) -> Option<Made> {
        if first_error_notify(payloads).is_some() {
            return None;
        }
        let (mut suite, spi) = self.policy.ike.accept_ike(proposals(payloads)?)?;
        suite.additional = self.current.sa.suite().additional;
        let spi_r: Spi = spi.as_slice().try_into().ok().filter(|s| *s != [0; 8])?;
        let answer = CreateChild::read(payloads)?;
        let (group, data) = answer.ke?;
        if suite.group != rekey.kex.group() || group != suite.group.id() {
            return None;
        }
        let shared = rekey.kex.agree(data).ok()?;
        let ends = Ends { initiator: true, spi_i: rekey.spi, spi_r, ni: &rekey.nonce, nr: answer.nonce };
        Some(self.make(suite, &ends, &shared))
    }

    fn make(&self, suite: IkeSuite, ends: &Ends<'_>, shared: &Secret) -> Made {
        let old = &self.current.sa;
        let (prf, sk_d) = (old.suite().prf, &old.keys().sk_d);
        let (spi_i, spi_r) = (ends.spi_i, ends.spi_r);
        let keys = SaKeys::derive_rekey(prf, sk_d, &suite, ends.ni, ends.nr, shared, &spi_i, &spi_r);
        let rule = Retransmission::default();
        let sa = IkeSa::new(ends.initiator, spi_i, spi_r, suite, keys, (0, 0), old.fragmentation(), rule);
        Made { sa, lowest: ends.ni.min(ends.nr).to_vec() }
    }

    /// The new IKE SA takes over the Child SAs.
    fn replace_sa(&mut self, now: Instant, sa: IkeSa, random: &mut dyn Random) {
        let old = std::mem::replace(&mut self.current, Slot::new(sa));
        let leaving = old.is_closing();
        self.carry_update_over(&old);
        self.replaced = Some((old, now + REPLACED_LINGER));
        self.ike_rekey_at = self.policy.ike_lifetime.map(|after| now + after);
        self.events.push_back(SaEvent::Rekeyed);
        if leaving {
            // The owner wanted an end while the rekey was under way: that is meant for its successor too.
            self.delete(now, random);
        }
    }

    pub(super) fn answer_ike_rekey(
        &mut self,
        now: Instant,
        id: u32,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) {
        let (answer, made) = match self.make_ike_rekey(payloads, random) {
            Ok((answer, made)) => (answer, Some(made)),
            Err(refusal) => (refusal, None),
        };
        self.respond(Which::Current, id, Exchange::CreateChildSa, &answer, random);
        match made {
            None => {}
            Some(made) if self.current.is_rekeying() => {
                self.rival = Some(Rival::undecided(now, made.sa, made.lowest));
            }
            Some(made) => self.replace_sa(now, made.sa, random),
        }
    }

    fn make_ike_rekey(
        &mut self,
        payloads: &[Payload],
        random: &mut dyn Random,
    ) -> Result<(Vec<Payload>, Made), Vec<Payload>> {
        let busy = self.current.is_closing() || self.current.is_at_a_child();
        if self.closed || busy || self.replaced.is_some() || self.rival.is_some() {
            return Err(refusal(notify::TEMPORARY_FAILURE, Vec::new()));
        }
        let syntax = || refusal(notify::INVALID_SYNTAX, Vec::new());
        let request = CreateChild::read(payloads).ok_or_else(syntax)?;
        let offered = proposals(payloads).ok_or_else(syntax)?;
        let (mut suite, mut chosen) = self
            .policy
            .ike
            .choose_ike(offered)
            .ok_or_else(|| refusal(notify::NO_PROPOSAL_CHOSEN, Vec::new()))?;
        suite.additional = self.current.sa.suite().additional;
        let spi_i: Spi = chosen.spi.as_slice().try_into().map_err(|_| syntax())?;
        let (group, data) = request.ke.ok_or_else(syntax)?;
        if group != suite.group.id() {
            return Err(refusal(notify::INVALID_KE_PAYLOAD, suite.group.id().to_be_bytes().to_vec()));
        }
        let kex = generate(suite.group, random);
        let shared = kex.agree(data).map_err(|_| syntax())?;
        let nonce_r = nonce(random);
        let spi_r = ike_spi(random);
        let ends = Ends { initiator: false, spi_i, spi_r, ni: request.nonce, nr: &nonce_r };
        let made = self.make(suite, &ends, &shared);
        chosen.spi = spi_r.to_vec();
        let answer = vec![
            Payload::Sa(vec![chosen]),
            Payload::Nonce(nonce_r),
            Payload::Ke { group: suite.group.id(), data: kex.public_value().to_vec() },
        ];
        Ok((answer, made))
    }
}
