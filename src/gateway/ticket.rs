//! Tickets by value (RFC 5723 5): what it takes to resume an IKE SA, sealed with a key that only this gateway has.
//!
//! Octets: a version, the name of the key (6.1 asks for it), the ticket's number as IV, the content encrypted, the ICV (AES-256-GCM).
//! The number is never given twice, so that a ticket which has served, or whose IKE SA was deleted or rekeyed, can be told.

use super::sessions::SessionKey;
use crate::crypto::{Encr, Group, Integ, PacketProtection, Prf, Random, Secret};
use crate::ike::message::Identity;
use crate::ike::proposal::IkeSuite;
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use zeroize::Zeroizing;

/// The format.
const VERSION: u8 = 3;
/// An authentication without an end.
const NEVER: u64 = u64::MAX;
/// There is an IPv6 address; AAA has named the IPv4 address; AAA has named the IPv6 address.
const FLAGS: [u8; 3] = [1, 2, 4];
/// Version and name of the key.
const HEAD: usize = 5;
/// Numbers of tickets that may not be shown again are kept until the tickets are over; with so many of them no new ticket is given.
const SPENT: usize = 100_000;

/// What a ticket holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ticket {
    /// Its number, which is in the clear.
    pub(super) number: u64,
    /// Taken until then.
    pub(super) until: Instant,
    /// When its client has to have authenticated anew.
    pub(super) expires: Option<Instant>,
    /// The session, where it is still in a database.
    pub(super) session: SessionKey,
    /// Algorithms of the IKE SA.
    pub(super) suite: IkeSuite,
    /// SK_d of the IKE SA.
    pub(super) sk_d: Secret,
    /// IDi of the IKE SA.
    pub(super) id: Identity,
    /// Who logged in.
    pub(super) user: String,
    /// INTERNAL_IP4_ADDRESS.
    pub(super) address4: Ipv4Addr,
    /// INTERNAL_IP6_ADDRESS.
    pub(super) address6: Option<Ipv6Addr>,
    /// AAA outside has named the IPv4 address, and the IPv6 address: its user comes back with them or not at all.
    pub(super) framed: (bool, bool),
    /// RADIUS Class.
    pub(super) class: Vec<Vec<u8>>,
}

/// The key, and the tickets that may not be shown again.
pub(super) struct Tickets {
    protection: PacketProtection,
    /// Names it.
    key: [u8; 4],
    /// Numbers given so far.
    given: u64,
    spent: BTreeMap<u64, Instant>,
}

impl Tickets {
    /// With a fresh key.
    pub(super) fn new(random: &mut dyn Random) -> Self {
        let (protection, key) = fresh(random);
        Self { protection, key, given: 0, spent: BTreeMap::new() }
    }

    /// Another key: what was given so far opens no more.
    pub(super) fn forget_key(&mut self, random: &mut dyn Random) {
        (self.protection, self.key) = fresh(random);
    }

    /// A number for a new ticket; `None` where too many are to be remembered.
    pub(super) fn number(&mut self, now: Instant) -> Option<u64> {
        if self.spent.len() >= SPENT {
            self.spent.retain(|_, until| *until > now);
        }
        (self.spent.len() < SPENT).then(|| {
            self.given += 1;
            self.given
        })
    }

    /// The ticket as its owner gets it.
    pub(super) fn seal(&self, ticket: &Ticket) -> Secret {
        let content = ticket.encode();
        let iv = ticket.number.to_be_bytes();
        let start = HEAD + iv.len();
        let mut octets = Zeroizing::new(vec![0; start + content.len() + self.protection.icv_len()]);
        octets[0] = VERSION;
        octets[1..HEAD].copy_from_slice(&self.key);
        octets[start..start + content.len()].copy_from_slice(&content);
        self.protection.seal(&mut octets, HEAD, &iv, None);
        Secret::from(&octets[..])
    }

    /// Reads a ticket of ours that is good at `now`.
    pub(super) fn open(&self, now: Instant, octets: &[u8]) -> Option<Ticket> {
        let (&[VERSION, ref key @ ..], rest) = octets.split_first_chunk::<HEAD>()? else { return None };
        if *key != self.key {
            return None;
        }
        let number = u64::from_be_bytes(*rest.first_chunk()?);
        let mut octets = Zeroizing::new(octets.to_vec());
        let content = self.protection.open(&mut octets, HEAD, None).ok()?;
        let ticket = Ticket::decode(number, octets.get(content)?)?;
        (now < ticket.until && !self.spent.contains_key(&number)).then_some(ticket)
    }

    /// This ticket, good until then at most, is not taken again.
    pub(super) fn spend(&mut self, number: u64, until: Instant) {
        self.spent.insert(number, until);
    }

    /// It has been.
    pub(super) fn is_spent(&self, number: u64) -> bool {
        self.spent.contains_key(&number)
    }
}

fn fresh(random: &mut dyn Random) -> (PacketProtection, [u8; 4]) {
    let mut key = Zeroizing::new(vec![0; Encr::AesGcm256.key_len()]);
    random.fill(&mut key);
    let mut name = [0; 4];
    random.fill(&mut name);
    (PacketProtection::new(Encr::AesGcm256, None, &key, &[]), name)
}

impl Ticket {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let IkeSuite { encr, integ, prf, group, .. } = self.suite;
        // Room enough from the start: a vector that grows leaves copies of the key behind.
        let class: usize = self.class.iter().map(|class| class.len() + 2).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(
            128 + self.sk_d.len() + self.id.data.len() + self.user.len() + class,
        ));
        let until = u64::try_from(self.until.since_boot().as_millis()).unwrap_or(u64::MAX);
        out.extend_from_slice(&until.to_be_bytes());
        let expires = self.expires.map(|at| u64::try_from(at.since_boot().as_millis()).unwrap_or(u64::MAX));
        out.extend_from_slice(&expires.unwrap_or(NEVER).to_be_bytes());
        out.extend_from_slice(&self.session.to_be_bytes());
        let ids = [encr.id(), encr.key_bits().unwrap_or(0), integ.map_or(0, Integ::id), prf.id(), group.id()];
        ids.iter().for_each(|id| out.extend_from_slice(&id.to_be_bytes()));
        out.push(self.id.kind);
        out.extend_from_slice(&self.address4.octets());
        let flags = [self.address6.is_some(), self.framed.0, self.framed.1];
        out.push(flags.iter().zip(FLAGS).filter(|(set, _)| **set).map(|(_, flag)| flag).sum());
        out.extend_from_slice(&self.address6.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
        let fields = [self.sk_d.expose(), &self.id.data, self.user.as_bytes()];
        for field in fields.into_iter().chain(self.class.iter().map(Vec::as_slice)) {
            out.extend_from_slice(&u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(&field[..field.len().min(usize::from(u16::MAX))]);
        }
        out
    }

    fn decode(number: u64, content: &[u8]) -> Option<Self> {
        let mut rest = content;
        let until = u64::from_be_bytes(take(&mut rest)?);
        let expires = u64::from_be_bytes(take(&mut rest)?);
        let session = u64::from_be_bytes(take(&mut rest)?);
        let mut ids = [0; 5];
        for id in &mut ids {
            *id = u16::from_be_bytes(take(&mut rest)?);
        }
        let [encr, bits, integ, prf, group] = ids;
        let suite = IkeSuite {
            encr: Encr::from_id(encr, Some(bits).filter(|bits| *bits > 0))?,
            integ: if integ == 0 { None } else { Some(Integ::from_id(integ)?) },
            prf: Prf::from_id(prf)?,
            group: Group::from_id(group)?,
            // It is in the old SK_d.
            additional: None,
        };
        let [kind] = take(&mut rest)?;
        let address4 = Ipv4Addr::from(take::<4>(&mut rest)?);
        let [flags] = take(&mut rest)?;
        let [has6, framed4, framed6] = FLAGS.map(|flag| flags & flag != 0);
        let address6 = Ipv6Addr::from(take::<16>(&mut rest)?);
        let sk_d = Secret::from(field(&mut rest)?);
        let id = Identity { kind, data: field(&mut rest)?.to_vec() };
        let user = String::from_utf8(field(&mut rest)?.to_vec()).ok()?;
        let mut class = Vec::new();
        while !rest.is_empty() {
            class.push(field(&mut rest)?.to_vec());
        }
        let address6 = has6.then_some(address6);
        let until = Instant::from_boot(Duration::from_millis(until));
        let expires = (expires != NEVER).then(|| Instant::from_boot(Duration::from_millis(expires)));
        let framed = (framed4, framed6);
        Some(Self {
            number,
            until,
            expires,
            session,
            suite,
            sk_d,
            id,
            user,
            address4,
            address6,
            framed,
            class,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::Dice;
    use proptest::prelude::*;

    fn ticket(number: u64) -> Ticket {
        Ticket {
            number,
            until: Instant::from_boot(Duration::from_secs(100)),
            expires: None,
            session: 7,
            suite: IkeSuite {
                encr: Encr::AesCbc256,
                integ: Some(Integ::HmacSha512_256),
                prf: Prf::HmacSha512,
                group: Group::Ecp256,
                additional: None,
            },
            sk_d: Secret::new(vec![9; 64]),
            id: Identity { kind: 201, data: b"*$AnyConnectClient$*".to_vec() },
            user: "anna".into(),
            address4: Ipv4Addr::new(192, 168, 20, 5),
            address6: None,
            framed: (false, false),
            class: Vec::new(),
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(secs))
    }

    #[test]
    fn a_ticket_is_opened_by_its_maker_only_in_time_and_until_it_has_served() {
        let mut ours = Tickets::new(&mut Dice::new(1));
        let number = ours.number(at(0)).unwrap();
        let sealed = ours.seal(&ticket(number));
        assert_eq!(ours.open(at(99), sealed.expose()), Some(ticket(number)));
        assert_eq!(ours.open(at(100), sealed.expose()), None, "over");
        assert_eq!(Tickets::new(&mut Dice::new(2)).open(at(1), sealed.expose()), None, "another key");
        assert!(!sealed.expose().windows(4).any(|w| w == b"anna"), "nobody reads it");
        ours.spend(number, at(100));
        assert_eq!(ours.open(at(1), sealed.expose()), None, "it has served");
        assert_ne!(ours.number(at(0)), Some(number));
    }

    #[test]
    fn what_may_not_be_shown_again_is_remembered_and_no_more_than_that() {
        let mut tickets = Tickets::new(&mut Dice::new(1));
        (0..SPENT as u64).for_each(|number| tickets.spend(number + 1_000_000, at(50)));
        assert_eq!(tickets.number(at(49)), None, "there is no room to remember it");
        assert!(tickets.number(at(50)).is_some() && tickets.spent.is_empty());
    }

    proptest! {
        #[test]
        fn every_ticket_is_read_back(
            session: u64, sk_d in proptest::collection::vec(any::<u8>(), 0..64), id in proptest::collection::vec(any::<u8>(), 0..64),
            kind: u8, user: String, address4: Ipv4Addr, address6: Option<Ipv6Addr>, framed: (bool, bool),
            class in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..32), 0..4), aead: bool,
            expires in proptest::option::of(0u64..1_000_000),
        ) {
            let mut suite = ticket(1).suite;
            if aead {
                (suite.encr, suite.integ) = (Encr::ChaCha20Poly1305, None);
            }
            let id = Identity { kind, data: id };
            let sk_d = Secret::new(sk_d);
            let expires = expires.map(|ms| Instant::from_boot(Duration::from_millis(ms)));
            let made = Ticket { session, suite, sk_d, id, user, address4, address6, framed, class, expires, ..ticket(3) };
            let tickets = Tickets::new(&mut Dice::new(1));
            prop_assert_eq!(tickets.open(at(1), tickets.seal(&made).expose()), Some(made));
        }

        #[test]
        fn every_change_is_noticed(at_octet: prop::sample::Index, bit in 0u8..8, cut: prop::sample::Index) {
            let tickets = Tickets::new(&mut Dice::new(1));
            let mut octets = tickets.seal(&ticket(1)).expose().to_vec();
            let length = octets.len();
            prop_assert_eq!(tickets.open(at(1), &octets[..cut.index(length)]), None);
            octets[at_octet.index(length)] ^= 1 << bit;
            prop_assert_eq!(tickets.open(at(1), &octets), None);
        }

        #[test]
        fn any_content_is_survived(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Ticket::decode(1, &content);
        }
    }
}
