//! "Connected", and not: the gateway answers for the IKE SA, and nothing comes back through the Child SA. It may have lost that
//! one (a fail-over, a bug), and a DELETE that would tell us never came.
//!
//! It may as well be that the person pings a host that does not exist. What is done costs little and seldom: the Child SA is
//! rekeyed. A gateway that does not have it says so (CHILD_SA_NOT_FOUND), and the tunnel comes back as after a DELETE; one that has
//! it gives new keys, and nobody notices.

use super::liveness::PROBE_AFTER;
use super::{Client, Event};
use crate::esp::SaPair;
use crate::ike::message::{Exchange, Header, Payload, decode_message, find_notify, notify};
use crate::ike::sa::Retransmission;
use crate::reconnect::Trigger;
use crate::time::{Instant, Now};
use std::net::SocketAddr;
use std::time::Duration;

/// So many answered liveness checks while traffic goes out and none comes back are a reason to doubt the Child SA.
const ANSWERED: u32 = 3;
/// At most one rekey on suspicion in this time. It doubles while rekeys bring nothing back..
const SPACING: Duration = Duration::from_secs(300);
/// ..this often.
const DOUBLINGS: u32 = 3;
/// A rekey that is put off comes within this time..
const RETRY_WITHIN: Duration = Duration::from_secs(16);
/// ..and is waited for so often: each time for three answered checks.
const WAITS: u32 = 4;
/// An unprotected hint leads to one liveness check in this time at most.
const HINT_SPACING: Duration = Duration::from_secs(10);

/// What there is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Suspicion {
    /// Rekey the Child SA.
    Rekey,
    /// The rekey is not answered with anything of use: a new IKE SA.
    Renew,
}

/// How the Child SA does, seen from here.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Doubt {
    /// Since when traffic goes out and none comes back.
    unanswered_since: Option<Instant>,
    /// Answered liveness checks since then.
    answered: u32,
    /// A rekey on suspicion is under way.
    asked: bool,
    /// No other one before this.
    earliest: Option<Instant>,
    /// Rekeys on suspicion since traffic came in last.
    vain: u32,
    hinted: Option<Instant>,
    /// When the gateway last rekeyed no Child SA, and a new IKE SA was tried.
    refused: Option<Instant>,
    /// How often a rekey that is only put off was waited for.
    waits: u32,
}

impl Doubt {
    /// An inner packet has left.
    pub(super) fn sent(&mut self, now: Instant) {
        self.unanswered_since.get_or_insert(now);
    }

    /// Authenticated ESP has come in.
    pub(super) fn carried(&mut self) {
        *self =
            Self { earliest: self.earliest, hinted: self.hinted, refused: self.refused, ..Self::default() };
    }

    /// There is another Child SA: it gets its own chance.
    pub(super) fn renewed(&mut self) {
        let Self { earliest, hinted, refused, vain, .. } = *self;
        *self = Self { earliest, hinted, refused, vain, ..Self::default() };
    }

    /// A liveness check was answered.
    pub(super) fn check_answered(&mut self, now: Instant) -> Option<Suspicion> {
        if self.unanswered_since.is_none_or(|since| now.since(since) < PROBE_AFTER) {
            return None;
        }
        self.answered += 1;
        if self.answered < ANSWERED {
            return None;
        }
        if std::mem::take(&mut self.asked) {
            self.answered = 0;
            return Some(Suspicion::Renew);
        }
        self.suspect(now)
    }

    /// The gateway says that it does not know the SPI that we send with.
    pub(super) fn suspect(&mut self, now: Instant) -> Option<Suspicion> {
        if self.earliest.is_some_and(|at| now < at) {
            return None;
        }
        self.earliest = Some(now + SPACING * 2_u32.pow(self.vain.min(DOUBLINGS)));
        self.vain = self.vain.saturating_add(1);
        self.answered = 0;
        self.asked = true;
        Some(Suspicion::Rekey)
    }

    /// The gateway rekeys no Child SA: may a new IKE SA be tried now?
    pub(super) fn take_refusal(&mut self, now: Instant) -> bool {
        let free = self.refused.is_none_or(|at| now.since(at) >= SPACING);
        if free {
            self.refused = Some(now);
        }
        free
    }

    /// The rekey is still to come: true where its verdict is worth waiting for.
    fn wait_for_rekey(&mut self) -> bool {
        self.waits += 1;
        self.asked = self.waits <= WAITS;
        self.asked
    }

    /// May a hint be followed now?
    fn take_hint(&mut self, now: Instant) -> bool {
        let free = self.hinted.is_none_or(|at| now.since(at) >= HINT_SPACING);
        if free {
            self.hinted = Some(now);
        }
        free
    }
}

impl Client {
    pub(super) fn act_on_suspicion(&mut self, now: Now, suspicion: Option<Suspicion>) {
        match suspicion {
            None => {}
            Some(Suspicion::Rekey) => {
                let Some(spi_in) = self.esp.current().map(SaPair::spi_in) else { return };
                let Some(serving) = self.serving.as_mut() else { return };
                self.events.push_back(Event::ChildDoubted);
                serving.ike.rekey_child(now.at, spi_in, &mut *self.random);
            }
            Some(Suspicion::Renew) => {
                // TEMPORARY_FAILURE, or an IKE rekey that goes first, says nothing about the Child SA.
                let spi_in = self.esp.current().map(SaPair::spi_in);
                let soon = self.serving.as_ref().zip(spi_in).is_some_and(|(serving, spi_in)| {
                    serving.ike.rekeys_child_before(now.at + RETRY_WITHIN, spi_in)
                });
                if !(soon && self.doubt.wait_for_rekey()) {
                    self.trigger(now, Trigger::Renew);
                }
            }
        }
    }

    /// An unprotected INVALID_SPI or INVALID_IKE_SPI about an SA of ours, from where the gateway is (RFC 7296 1.5, 2.21.4):
    /// anybody can have written it, so that it leads to a liveness check and to nothing else. True where it was one.
    pub(super) fn take_hint(&mut self, now: Now, from: SocketAddr, header: &Header, datagram: &[u8]) -> bool {
        let Some(serving) = self.serving.as_ref().filter(|serving| serving.remote.ip() == from.ip()) else {
            return false;
        };
        let Ok((_, payloads)) = decode_message(datagram) else { return false };
        let about_ike = header.response
            && serving.ike.owns(&header.spi_i, &header.spi_r)
            && find_notify(&payloads, notify::INVALID_IKE_SPI).is_some();
        let about_esp = !header.response
            && header.exchange == Exchange::Informational
            && self.esp.current().is_some_and(|pair| names(&payloads, pair.spi_out()));
        if !about_ike && !about_esp {
            return false;
        }
        if self.doubt.take_hint(now.at) {
            if let Some(liveness) = self.liveness.as_mut() {
                liveness.asked(now.at, false);
            }
            self.ask_serving(now, Retransmission::default());
        }
        true
    }
}

/// INVALID_SPI about this SPI.
fn names(payloads: &[Payload], spi: u32) -> bool {
    find_notify(payloads, notify::INVALID_SPI).is_some_and(|n| n.data == spi.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    /// Checks every 3 s are answered and nothing comes back: when the Child SA is rekeyed.
    fn rekeys(doubt: &mut Doubt, from: u64, to: u64) -> Vec<u64> {
        let mut times = Vec::new();
        for second in (from..to).step_by(3) {
            doubt.sent(at(second));
            match doubt.check_answered(at(second + 3)) {
                Some(Suspicion::Rekey) => {
                    times.push(second + 3 - from);
                    doubt.renewed();
                }
                Some(Suspicion::Renew) => panic!("the rekey worked"),
                None => {}
            }
        }
        times
    }

    #[test]
    fn a_dead_host_costs_a_rekey_now_and_then() {
        let mut doubt = Doubt::default();
        let times = rekeys(&mut doubt, 0, 3 * 3600);
        assert_eq!(times[0], 9);
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[0] >= 300 && gaps[1] >= 600 && gaps[2..].iter().all(|gap| *gap >= 1200), "{gaps:?}");
        // What comes in makes the next loss be found soon again.
        doubt.carried();
        assert_eq!(rekeys(&mut doubt, 4 * 3600, 4 * 3600 + 60), [9]);
    }

    #[test]
    fn traffic_that_comes_back_leaves_no_doubt() {
        let mut doubt = Doubt::default();
        for second in 0..1000 {
            doubt.sent(at(second));
            assert_eq!(doubt.check_answered(at(second + 3)), None);
            doubt.carried();
        }
        assert_eq!(doubt.check_answered(at(2000)), None, "nothing was sent");
    }

    #[test]
    fn a_rekey_that_gets_nowhere_leads_to_a_new_ike_sa() {
        let mut doubt = Doubt::default();
        doubt.sent(at(0));
        let verdicts: Vec<_> = (1..=6).map(|n| doubt.check_answered(at(3 * n))).collect();
        assert_eq!(verdicts[2], Some(Suspicion::Rekey));
        assert_eq!(verdicts[5], Some(Suspicion::Renew));
        assert_eq!(verdicts.iter().flatten().count(), 2);
    }

    #[test]
    fn a_rekey_that_is_put_off_is_waited_for_a_while() {
        let mut doubt = Doubt::default();
        doubt.sent(at(0));
        let (mut waited, mut renewed) = (0, 0);
        for n in 1..=18 {
            if doubt.check_answered(at(3 * n)) == Some(Suspicion::Renew) {
                match doubt.wait_for_rekey() {
                    true => waited += 1,
                    false => renewed += 1,
                }
            }
        }
        assert_eq!((waited, renewed), (4, 1));
    }

    #[test]
    fn refused_rekeys_lead_to_a_new_ike_sa_every_five_minutes_at_most() {
        let mut doubt = Doubt::default();
        let mut tried = Vec::new();
        for second in (0..1000).step_by(10) {
            doubt.sent(at(second));
            if doubt.take_refusal(at(second)) {
                tried.push(second);
            }
            doubt.carried();
            doubt.renewed();
        }
        assert_eq!(tried, [0, 300, 600, 900]);
    }

    #[test]
    fn hints_are_followed_seldom() {
        let mut doubt = Doubt::default();
        let followed = (0..100).filter(|second| doubt.take_hint(at(*second))).count();
        assert_eq!(followed, 10);
    }
}
