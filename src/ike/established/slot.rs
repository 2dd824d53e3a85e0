//! The IKE SAs that exist side by side during a rekey, and what their requests are for.

use super::super::message::{AuthLifetime, Delete, Exchange, Payload, find_notify, notify};
use super::super::sa::IkeSa;
use super::mobike::Update;
use super::rekey::ChildRekey;
use super::rekey_ike::IkeRekey;
use super::{Established, REPLACED_LINGER, SaEvent};
use crate::crypto::Random;
use crate::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How long an IKE SA that the peer has deleted repeats its answer.
const DELETED_LINGER: Duration = Duration::from_secs(5);

/// What an outstanding or queued request of ours is for; one entry each, in order.
pub(super) enum Pending {
    Liveness,
    Ticket,
    DeleteIke,
    DeleteChild { spi_in: u32 },
    RekeyChild(Box<ChildRekey>),
    RekeyIke(Box<IkeRekey>),
    Update(Update),
}

/// An IKE SA with the purposes of its requests.
pub(super) struct Slot {
    pub(super) sa: IkeSa,
    pub(super) pending: VecDeque<Pending>,
}

impl Slot {
    pub(super) fn new(sa: IkeSa) -> Self {
        Self { sa, pending: VecDeque::new() }
    }

    /// A DELETE of this IKE SA, unless one is under way.
    pub(super) fn delete(&mut self, now: Instant, random: &mut dyn Random) {
        let request = vec![Payload::Delete(Delete::ike())];
        if !self.is_closing() && self.sa.request(now, Exchange::Informational, request, random) {
            self.pending.push_back(Pending::DeleteIke);
        }
    }

    /// Our DELETE of this IKE SA is under way, or waits.
    pub(super) fn is_closing(&self) -> bool {
        self.pending.iter().any(|p| matches!(p, Pending::DeleteIke))
    }

    /// Our rekey of the IKE SA is under way, or waits.
    pub(super) fn is_rekeying(&self) -> bool {
        self.pending.iter().any(|p| matches!(p, Pending::RekeyIke(_)))
    }

    /// A rekey or a DELETE of a Child SA of ours is under way, or waits.
    pub(super) fn is_at_a_child(&self) -> bool {
        self.pending.iter().any(|p| matches!(p, Pending::RekeyChild(_) | Pending::DeleteChild { .. }))
    }
}

/// The IKE SA of the peer's rekey while ours is under way; afterwards the one of the two that lost (RFC 7296 2.8.2).
pub(super) struct Rival {
    pub(super) slot: Slot,
    /// The lower nonce of the peer's exchange, while it is not known which of the two goes.
    pub(super) undecided: Option<Vec<u8>>,
    pub(super) until: Instant,
}

impl Rival {
    /// The peer's exchange has made it, and ours is not answered yet.
    pub(super) fn undecided(now: Instant, sa: IkeSa, lowest: Vec<u8>) -> Self {
        Self { slot: Slot::new(sa), undecided: Some(lowest), until: now + REPLACED_LINGER }
    }

    /// When it goes without a word; not before it has lost.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.undecided.is_none().then_some(self.until)
    }
}

/// One of the IKE SAs that may exist during a rekey.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Current,
    Replaced,
    Rival,
}

impl Established {
    /// True where a datagram with these header SPIs belongs here (the rekeyed and the replaced SA too).
    pub fn owns(&self, spi_i: &[u8; 8], spi_r: &[u8; 8]) -> bool {
        self.slot_named(spi_i, spi_r).is_some()
    }

    /// The SPIs of every IKE SA that datagrams may come for; at most three pairs, the one in use first.
    pub fn all_spis(&self) -> impl Iterator<Item = ([u8; 8], [u8; 8])> + '_ {
        let replaced = self.replaced.iter().map(|(slot, _)| slot);
        let rival = self.rival.iter().map(|rival| &rival.slot);
        std::iter::once(&self.current).chain(replaced).chain(rival).map(|slot| slot.sa.spis())
    }

    pub(super) fn slot_named(&self, spi_i: &[u8; 8], spi_r: &[u8; 8]) -> Option<Which> {
        let is = |slot: &Slot| slot.sa.spis() == (*spi_i, *spi_r);
        if is(&self.current) {
            Some(Which::Current)
        } else if self.replaced.as_ref().is_some_and(|(slot, _)| is(slot)) {
            Some(Which::Replaced)
        } else if self.rival.as_ref().is_some_and(|rival| is(&rival.slot)) {
            Some(Which::Rival)
        } else {
            None
        }
    }

    pub(super) fn slot(&mut self, which: Which) -> Option<&mut Slot> {
        match which {
            Which::Current => Some(&mut self.current),
            Which::Replaced => self.replaced.as_mut().map(|(slot, _)| slot),
            Which::Rival => self.rival.as_mut().map(|rival| &mut rival.slot),
        }
    }

    /// The peer has deleted one of the IKE SAs, and was answered.
    pub(super) fn deleted_by_peer(&mut self, now: Instant, which: Which, random: &mut dyn Random) {
        // It stays for the repetition of that DELETE, but not for long.
        let soon = now + DELETED_LINGER;
        match which {
            // It has seen no collision, and its own rekey is done: what that made goes on (RFC 7296 2.8.2).
            Which::Current if self.adopt_rival(now, random) => {
                if let Some((old, until)) = self.replaced.as_mut() {
                    old.sa.forget_requests();
                    old.pending.clear();
                    *until = soon;
                }
            }
            Which::Current if self.closed => {}
            // The stored answer must survive until the owner lets go of us.
            Which::Current => {
                self.closed = true;
                self.events.push_back(SaEvent::DeletedByPeer);
            }
            Which::Replaced => {
                if let Some((_, until)) = self.replaced.as_mut() {
                    *until = (*until).min(soon);
                }
            }
            Which::Rival => {
                if let Some(rival) = self.rival.as_mut() {
                    rival.undecided = None;
                    rival.until = rival.until.min(soon);
                }
            }
        }
    }

    /// What an INFORMATIONAL request says beside its deletes.
    pub(super) fn take_notifies(&mut self, which: Which, payloads: &[Payload]) {
        if matches!(which, Which::Current)
            && !self.closed
            && find_notify(payloads, notify::AUTHENTICATION_FAILED).is_some()
        {
            self.closed = true;
            self.events.push_back(SaEvent::Disbelieved);
        }
        let unknown = find_notify(payloads, notify::INVALID_SPI)
            .and_then(|n| n.data.as_slice().try_into().ok().map(u32::from_be_bytes));
        if let Some(child) = self.children.iter().find(|c| Some(c.spi_out) == unknown && !c.deleting) {
            self.events.push_back(SaEvent::UnknownToPeer { spi_in: child.spi_in });
        }
        if let Some(lifetime) = AuthLifetime::find(payloads) {
            self.events.push_back(SaEvent::AuthLifetime(lifetime.0));
        }
    }

    /// Retransmissions on every IKE SA, and the end of those that go.
    pub(super) fn slots_timeout(&mut self, now: Instant, random: &mut dyn Random) {
        if self.current.sa.handle_timeout(now) {
            let deleting = self.current.is_closing();
            if self.adopt_rival(now, random) {
                self.replaced = None;
            } else {
                self.current.pending.clear();
                self.closed = true;
                self.events.push_back(if deleting { SaEvent::Deleted } else { SaEvent::Dead });
            }
        }
        if let Some((slot, until)) = self.replaced.as_mut()
            && (slot.sa.handle_timeout(now) || *until <= now)
        {
            self.replaced = None;
        }
        if let Some(rival) = self.rival.as_mut()
            && (rival.slot.sa.handle_timeout(now) || rival.ends_at().is_some_and(|at| at <= now))
        {
            self.rival = None;
        }
    }
}
