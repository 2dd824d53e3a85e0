//! MOBIKE (RFC 4555): an IKE SA and its Child SAs go on from another address of the client's.
//!
//! The client tells with UPDATE_SA_ADDRESSES where it is, the gateway follows; nothing else moves an SA that has MOBIKE.
//! Both roles are here, told apart by who began the IKE SA, whoever rekeyed it later.

use super::super::initiator::nat_detection_hash;
use super::super::message::{Exchange, Notify, Payload, find_notify, first_error_notify, notify};
use super::super::sa::Retransmission;
use super::{Authentic, Established, Pending, SaEvent, Slot, Which};
use crate::crypto::Random;
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// Further addresses of the peer that are kept.
const ADDRESSES: usize = 8;
/// Octets of our COOKIE2.
const COOKIE2: usize = 16;
/// What a COOKIE2 may have (RFC 4555 4.2.5).
const COOKIE2_LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

/// What an IKE SA knows of MOBIKE; it stays through rekeys.
#[derive(Default)]
pub(super) struct Mobike {
    /// Both sides announced it.
    on: bool,
    /// We began the first IKE SA: we move, the peer follows.
    initiator: bool,
    /// Further addresses of the peer.
    peer_addresses: Vec<IpAddr>,
    ends: Option<Ends>,
    /// Every update of the client is refused.
    refuse: bool,
    /// The IKE SA was replaced while an update was under way: it starts anew on the new one.
    due: Option<(u32, Retransmission)>,
}

/// The two ends as NAT detection names them. `None`: our own is not told (a hash that cannot match, PROTOCOL section 1).
#[derive(Clone, Copy)]
struct Ends {
    local: Option<SocketAddr>,
    peer: SocketAddr,
}

/// An UPDATE_SA_ADDRESSES of ours.
pub(super) struct Update {
    label: u32,
    cookie: Vec<u8>,
    rule: Retransmission,
}

/// The further addresses of a peer that announces MOBIKE in these payloads (of IKE_AUTH); `None` where it does not.
pub fn mobike_offer(payloads: &[Payload]) -> Option<Vec<IpAddr>> {
    find_notify(payloads, notify::MOBIKE_SUPPORTED)?;
    Some(additional_addresses(payloads).unwrap_or_default())
}

/// The addresses of ADDITIONAL_IP4_ADDRESS and ADDITIONAL_IP6_ADDRESS, at most eight; none for NO_ADDITIONAL_ADDRESSES.
/// `None` where the message says nothing of them, so that what was known holds (RFC 4555 3.6).
fn additional_addresses(payloads: &[Payload]) -> Option<Vec<IpAddr>> {
    let mut said = false;
    let mut addresses = Vec::new();
    for payload in payloads {
        let Payload::Notify(n) = payload else { continue };
        let address = match n.kind {
            notify::ADDITIONAL_IP4_ADDRESS => <[u8; 4]>::try_from(n.data.as_slice()).ok().map(IpAddr::from),
            notify::ADDITIONAL_IP6_ADDRESS => <[u8; 16]>::try_from(n.data.as_slice()).ok().map(IpAddr::from),
            notify::NO_ADDITIONAL_ADDRESSES => None,
            _ => continue,
        };
        said = true;
        let usable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback();
        if let Some(address) = address.filter(usable)
            && addresses.len() < ADDRESSES
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    said.then_some(addresses)
}

fn status(kind: u16, data: impl Into<Vec<u8>>) -> Payload {
    Payload::Notify(Notify::status(kind, data))
}

impl Established {
    /// Both sides announced MOBIKE in IKE_AUTH. `addresses`: further ones of the peer, see [`mobike_offer`].
    pub fn set_mobike(&mut self, addresses: Vec<IpAddr>) {
        let initiator = self.current.sa.is_initiator();
        self.mobike = Mobike { on: true, initiator, peer_addresses: addresses, ..Mobike::default() };
    }

    /// MOBIKE is in use.
    pub fn has_mobike(&self) -> bool {
        self.mobike.on
    }

    /// Further addresses of the peer, as it told last; at most eight.
    pub fn peer_addresses(&self) -> &[IpAddr] {
        &self.mobike.peer_addresses
    }

    /// The gateway's side: between which addresses the datagram that comes next travelled.
    pub fn set_ends(&mut self, local: SocketAddr, peer: SocketAddr) {
        self.mobike.ends = Some(Ends { local: Some(local), peer });
    }

    /// The gateway's side: every UPDATE_SA_ADDRESSES is answered UNACCEPTABLE_ADDRESSES.
    pub fn refuse_updates(&mut self, refuse: bool) {
        self.mobike.refuse = refuse;
    }

    /// Tells the peer (at `peer`) where we are now: an UPDATE_SA_ADDRESSES, which leaves from the present path. `label` names
    /// that path in [`Authentic::Updated`].
    ///
    /// Window 1 holds: an outstanding request is repeated at once, the same octets from the new address, and the update is the
    /// next to follow. Where the outstanding one is an update from this very path, its repetition is all.
    pub fn update_addresses(
        &mut self,
        now: Instant,
        label: u32,
        peer: SocketAddr,
        rule: Retransmission,
        random: &mut dyn Random,
    ) {
        if self.closed {
            return;
        }
        self.mobike.ends = Some(Ends { local: None, peer });
        self.mobike.due = None;
        if self.current.sa.repeat(now) {
            let labelled = |pending: Option<&Pending>| match pending {
                Some(Pending::Update(update)) => Some(update.label),
                _ => None,
            };
            if labelled(self.current.pending.front()) == Some(label) {
                return;
            }
            match labelled(self.current.pending.get(1)) {
                Some(waiting) if waiting == label => return,
                // It waits for a path that we have left.
                Some(_) => {
                    self.current.pending.remove(1);
                    self.current.sa.withdraw_first();
                }
                None => {}
            }
        }
        self.send_update(now, label, rule, random);
    }

    /// The update is the next request, or leaves at once where none is outstanding.
    fn send_update(&mut self, now: Instant, label: u32, rule: Retransmission, random: &mut dyn Random) {
        let mut cookie = vec![0; COOKIE2];
        random.fill(&mut cookie);
        let mut payloads = vec![status(notify::UPDATE_SA_ADDRESSES, Vec::new())];
        payloads.extend(self.nat_detection(Which::Current, random));
        payloads.push(status(notify::COOKIE2, cookie.clone()));
        let at = usize::from(self.current.sa.is_busy());
        self.current.sa.request_first(now, Exchange::Informational, payloads, rule, random);
        self.current.pending.insert(at, Pending::Update(Update { label, cookie, rule }));
    }

    fn nat_detection(&mut self, which: Which, random: &mut dyn Random) -> Vec<Payload> {
        let Some(ends) = self.mobike.ends else { return Vec::new() };
        let Some((spi_i, spi_r)) = self.slot(which).map(|slot| slot.sa.spis()) else { return Vec::new() };
        let source = match ends.local {
            Some(local) => nat_detection_hash(&spi_i, &spi_r, local),
            None => {
                let mut hash = vec![0; 20];
                random.fill(&mut hash);
                hash
            }
        };
        vec![
            status(notify::NAT_DETECTION_SOURCE_IP, source),
            status(notify::NAT_DETECTION_DESTINATION_IP, nat_detection_hash(&spi_i, &spi_r, ends.peer)),
        ]
    }

    /// What the answer to an update of ours proves.
    pub(super) fn update_answered(
        &mut self,
        which: Which,
        update: &Update,
        payloads: &[Payload],
    ) -> Authentic {
        if let Some(error) = first_error_notify(payloads) {
            let name = notify::name(error.kind).map_or_else(|| error.kind.to_string(), str::to_owned);
            self.events.push_back(SaEvent::UpdateRefused(name));
            return Authentic::NotFollowed;
        }
        if find_notify(payloads, notify::COOKIE2).is_none_or(|echo| echo.data != update.cookie) {
            // RFC 4555 3.7 ends the IKE SA here. The answer is authenticated and the SA may still serve on its old address:
            // what it says about this path is not believed, and no update is sent on it again.
            self.mobike.on = false;
            self.events.push_back(SaEvent::UpdateRefused("another COOKIE2 than was sent".to_owned()));
            return Authentic::NotFollowed;
        }
        match which {
            Which::Current => Authentic::Updated { label: update.label },
            // The Child SAs belong to the new IKE SA, which gets an update of its own.
            Which::Replaced | Which::Rival => Authentic::New,
        }
    }

    /// Answers the notifies of MOBIKE in an INFORMATIONAL request that was authenticated and new.
    pub(super) fn answer_mobike(
        &mut self,
        which: Which,
        payloads: &[Payload],
        answer: &mut Vec<Payload>,
        random: &mut dyn Random,
    ) {
        if !self.mobike.on {
            return;
        }
        if let Some(addresses) = additional_addresses(payloads) {
            self.mobike.peer_addresses = addresses;
        }
        let has = |kind| find_notify(payloads, kind).is_some();
        if has(notify::UPDATE_SA_ADDRESSES) && !self.mobike.initiator {
            if self.mobike.refuse {
                answer.push(status(notify::UNACCEPTABLE_ADDRESSES, Vec::new()));
            } else {
                self.events.push_back(SaEvent::PeerMoved);
            }
        }
        if has(notify::NAT_DETECTION_SOURCE_IP) && has(notify::NAT_DETECTION_DESTINATION_IP) {
            answer.extend(self.nat_detection(which, random));
        }
        if let Some(cookie) = find_notify(payloads, notify::COOKIE2)
            && COOKIE2_LENGTH.contains(&cookie.data.len())
        {
            answer.push(status(notify::COOKIE2, cookie.data.clone()));
        }
    }

    /// A rekey replaced `old`: an update that is under way or waits there says nothing about the new IKE SA.
    pub(super) fn carry_update_over(&mut self, old: &Slot) {
        let last = old.pending.iter().rev().find_map(|pending| match pending {
            Pending::Update(update) => Some((update.label, update.rule)),
            _ => None,
        });
        self.mobike.due = last.or(self.mobike.due);
    }

    /// Starts the update that a replaced IKE SA left behind.
    pub(super) fn send_due_update(&mut self, now: Instant, random: &mut dyn Random) {
        if self.closed || !self.mobike.on {
            return;
        }
        if let Some((label, rule)) = self.mobike.due.take() {
            self.send_update(now, label, rule, random);
        }
    }
}
