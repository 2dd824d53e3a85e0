//! CFG_REPLY attributes to a [`Plan`]: nothing in them is fatal, everything left out is noted.

use super::{Net, Plan, attribute, net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// DNS servers kept, and NetBIOS name servers.
pub const MAX_DNS: usize = 64;
/// Networks kept in each list.
pub const MAX_NETS: usize = 1024;
/// Names kept in each list.
pub const MAX_NAMES: usize = 256;
/// Octets of text kept in each attribute.
pub const MAX_TEXT: usize = 16_384;
/// Notes kept; the last one then counts the rest.
pub const MAX_NOTES: usize = 64;
/// Longest DNS name, octets (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;
/// One entry of a split list: address, mask, and six octets of protocol and ports.
const SPLIT_ENTRY: usize = 14;

/// Why part of a CFG_REPLY did not make it into the plan.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanNote {
    /// A number that PROTOCOL section 4 does not know.
    #[error("unknown attribute {kind} of {length} octets")]
    Unknown {
        /// Attribute number.
        kind: u16,
        /// Octets of its value.
        length: usize,
    },
    /// The value has a length that this attribute never has. An empty value means that the gateway has none.
    #[error("attribute {kind} has {length} octets")]
    Length {
        /// Attribute number.
        kind: u16,
        /// Octets of its value.
        length: usize,
    },
    /// The ones of the mask do not come first.
    #[error("attribute {kind}: {mask} is not a netmask")]
    Mask {
        /// Attribute number.
        kind: u16,
        /// As received.
        mask: Ipv4Addr,
    },
    /// The prefix length is longer than an address.
    #[error("attribute {kind}: prefix length {prefix}")]
    Prefix {
        /// Attribute number.
        kind: u16,
        /// As received.
        prefix: u8,
    },
    /// Unspecified, loopback, multicast or broadcast where a host's address belongs.
    #[error("attribute {kind}: {address} cannot be used")]
    Address {
        /// Attribute number.
        kind: u16,
        /// As received.
        address: IpAddr,
    },
    /// Of this machine, of its links, or the gateway itself: no tunnel leads there ([`Plan::leave_here`]).
    #[error(
        "the gateway wants {net} {what}: that is of this machine, its links or the gateway itself, and is left out"
    )]
    Here {
        /// What it asked for.
        net: Net,
        /// As what.
        what: &'static str,
    },
    /// Not UTF-8.
    #[error("attribute {kind} is not UTF-8 text")]
    Text {
        /// Attribute number.
        kind: u16,
    },
    /// Control characters were taken out: the text goes to terminals and logs.
    #[error("attribute {kind} held control characters")]
    Control {
        /// Attribute number.
        kind: u16,
    },
    /// Not a host or domain name.
    #[error("attribute {kind}: not a name")]
    Name {
        /// Attribute number.
        kind: u16,
    },
    /// A number out of its range.
    #[error("attribute {kind}: {value} is out of range")]
    Value {
        /// Attribute number.
        kind: u16,
        /// As received.
        value: u32,
    },
    /// There is room for one only; the first counts.
    #[error("attribute {kind} came twice")]
    Again {
        /// Attribute number.
        kind: u16,
    },
    /// More entries, or more text, than we keep.
    #[error("attribute {kind}: more than {limit}")]
    TooMany {
        /// Attribute number.
        kind: u16,
        /// How many are kept.
        limit: usize,
    },
    /// So many further notes were not kept.
    #[error("{count} more notes")]
    More {
        /// How many.
        count: usize,
    },
}

impl Plan {
    /// Reads the attributes of a CFG_REPLY: number and value, in order. Attributes of one kind add up. What is malformed,
    /// unknown or too much is left out, and noted.
    pub fn from_reply<'a>(attributes: impl IntoIterator<Item = (u16, &'a [u8])>) -> (Self, Vec<PlanNote>) {
        let mut reader = Reader::default();
        for (kind, value) in attributes {
            if let Err(note) = reader.attribute(kind, value) {
                reader.note(note);
            }
        }
        reader.plan.include.sort_unstable();
        reader.plan.exclude.sort_unstable();
        if reader.unkept > 0 {
            reader.notes.push(PlanNote::More { count: reader.unkept });
        }
        (reader.plan, reader.notes)
    }
}

#[derive(Default)]
struct Reader {
    plan: Plan,
    notes: Vec<PlanNote>,
    unkept: usize,
}

impl Reader {
    fn note(&mut self, note: PlanNote) {
        if self.notes.len() < MAX_NOTES - 1 {
            self.notes.push(note);
        } else {
            self.unkept += 1;
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> Result<(), PlanNote> {
        match kind {
            attribute::IP4_ADDRESS => {
                let address = host(kind, Ipv4Addr::from(exactly(kind, value)?))?;
                once(kind, &mut self.plan.address4, address)
            }
            attribute::IP4_NETMASK => {
                let mask = Ipv4Addr::from(exactly(kind, value)?);
                let prefix = net::prefix_of(mask).ok_or(PlanNote::Mask { kind, mask })?;
                once(kind, &mut self.plan.prefix4, prefix)
            }
            attribute::IP4_DNS => {
                let address = host(kind, Ipv4Addr::from(exactly(kind, value)?))?;
                add(kind, &mut self.plan.dns, address.into(), MAX_DNS)
            }
            attribute::IP4_NBNS => {
                let address = host(kind, Ipv4Addr::from(exactly(kind, value)?))?;
                add(kind, &mut self.plan.nbns, address, MAX_DNS)
            }
            attribute::APPLICATION_VERSION => {
                let text = self.text(kind, value)?;
                once(kind, &mut self.plan.gateway_version, text)
            }
            attribute::IP6_ADDRESS => {
                let (address, prefix) = address_and_prefix(kind, value)?;
                once(kind, &mut self.plan.address6, (host(kind, address)?, prefix))
            }
            attribute::IP6_DNS => {
                let address = host(kind, Ipv6Addr::from(exactly(kind, value)?))?;
                add(kind, &mut self.plan.dns, address.into(), MAX_DNS)
            }
            attribute::IP4_SUBNET => {
                let net = masked(kind, exactly::<8>(kind, value)?)?;
                add(kind, &mut self.plan.include, net, MAX_NETS)
            }
            attribute::IP6_SUBNET => {
                let (address, prefix) = address_and_prefix(kind, value)?;
                let net = Net::new(address.into(), prefix).ok_or(PlanNote::Prefix { kind, prefix })?;
                add(kind, &mut self.plan.include, net, MAX_NETS)
            }
            attribute::SPLIT_INCLUDE | attribute::SPLIT_EXCLUDE => self.split_list(kind, value),
            attribute::DEFAULT_DOMAIN | attribute::DNS_DOMAIN => self.names(kind, value, |p| &mut p.domains),
            attribute::SPLIT_DNS => self.names(kind, value, |p| &mut p.split_dns),
            attribute::BACKUP_SERVERS => self.names(kind, value, |p| &mut p.backup_servers),
            attribute::BANNER => self.banner(kind, value),
            attribute::SAVE_PASSWORD => {
                self.plan.save_password = number(kind, value)? != 0;
                Ok(())
            }
            attribute::PFS => {
                self.plan.pfs = number(kind, value)? != 0;
                Ok(())
            }
            attribute::NAT_PORT => {
                let value = number(kind, value)?;
                let port = u16::try_from(value).ok().filter(|&port| port != 0);
                once(kind, &mut self.plan.nat_port, port.ok_or(PlanNote::Value { kind, value })?)
            }
            attribute::DDNS_HOST => {
                let name = name(kind, &self.text(kind, value)?)?;
                once(kind, &mut self.plan.ddns_host, name)
            }
            _ => Err(PlanNote::Unknown { kind, length: value.len() }),
        }
    }

    /// n x (address, mask, protocol and ports). The last six octets would make the entry hold for one protocol only; routes
    /// cannot say that, so it holds for all.
    fn split_list(&mut self, kind: u16, value: &[u8]) -> Result<(), PlanNote> {
        let (entries, rest) = value.as_chunks::<SPLIT_ENTRY>();
        if entries.is_empty() || !rest.is_empty() {
            return Err(PlanNote::Length { kind, length: value.len() });
        }
        for &[a0, a1, a2, a3, m0, m1, m2, m3, ..] in entries {
            let list = match kind {
                attribute::SPLIT_INCLUDE => &mut self.plan.include,
                _ => &mut self.plan.exclude,
            };
            let added =
                masked(kind, [a0, a1, a2, a3, m0, m1, m2, m3]).and_then(|net| add(kind, list, net, MAX_NETS));
            if let Err(note) = added {
                self.note(note);
            }
        }
        Ok(())
    }

    /// Names separated by commas or blanks.
    fn names(
        &mut self,
        kind: u16,
        value: &[u8],
        list: impl Fn(&mut Plan) -> &mut Vec<String>,
    ) -> Result<(), PlanNote> {
        let text = self.text(kind, value)?;
        for part in text.split([',', ' ', '\t', '\n']).filter(|part| !part.is_empty()) {
            let added = name(kind, part).and_then(|name| add(kind, list(&mut self.plan), name, MAX_NAMES));
            if let Err(note) = added {
                self.note(note);
            }
        }
        Ok(())
    }

    /// A banner may come in several attributes: one line after the other.
    fn banner(&mut self, kind: u16, value: &[u8]) -> Result<(), PlanNote> {
        let text = self.text(kind, value)?;
        let banner = match self.plan.banner.take() {
            Some(before) if before.len() + 1 + text.len() > MAX_TEXT => {
                self.plan.banner = Some(before);
                return Err(PlanNote::TooMany { kind, limit: MAX_TEXT });
            }
            Some(before) => format!("{before}\n{text}"),
            None => text,
        };
        self.plan.banner = Some(banner);
        Ok(())
    }

    /// Text without the zeros some gateways end it with, and without control characters but line feed and tab.
    fn text(&mut self, kind: u16, value: &[u8]) -> Result<String, PlanNote> {
        if value.len() > MAX_TEXT {
            return Err(PlanNote::TooMany { kind, limit: MAX_TEXT });
        }
        let text = str::from_utf8(value).map_err(|_| PlanNote::Text { kind })?.trim_end_matches('\0');
        if text.is_empty() {
            return Err(PlanNote::Length { kind, length: value.len() });
        }
        let text = text.replace("\r\n", "\n");
        let clean: String = text.chars().filter(|&c| !c.is_control() || c == '\n' || c == '\t').collect();
        if clean.is_empty() {
            return Err(PlanNote::Control { kind });
        }
        if clean.len() != text.len() {
            self.note(PlanNote::Control { kind });
        }
        Ok(clean)
    }
}

fn exactly<const N: usize>(kind: u16, value: &[u8]) -> Result<[u8; N], PlanNote> {
    value.try_into().map_err(|_| PlanNote::Length { kind, length: value.len() })
}

/// The first one counts.
fn once<T>(kind: u16, place: &mut Option<T>, value: T) -> Result<(), PlanNote> {
    if place.is_some() {
        return Err(PlanNote::Again { kind });
    }
    *place = Some(value);
    Ok(())
}

/// Each one once, `limit` at most.
fn add<T: PartialEq>(kind: u16, list: &mut Vec<T>, value: T, limit: usize) -> Result<(), PlanNote> {
    if list.contains(&value) {
        return Ok(());
    }
    if list.len() >= limit {
        return Err(PlanNote::TooMany { kind, limit });
    }
    list.push(value);
    Ok(())
}

/// An address that a host can have.
fn host<A: Copy + Into<IpAddr>>(kind: u16, address: A) -> Result<A, PlanNote> {
    let ip: IpAddr = address.into();
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || broadcast {
        return Err(PlanNote::Address { kind, address: ip });
    }
    Ok(address)
}

fn address_and_prefix(kind: u16, value: &[u8]) -> Result<(Ipv6Addr, u8), PlanNote> {
    let [address @ .., prefix] = exactly::<17>(kind, value)?;
    if prefix > 128 {
        return Err(PlanNote::Prefix { kind, prefix });
    }
    Ok((Ipv6Addr::from(address), prefix))
}

fn masked(kind: u16, octets: [u8; 8]) -> Result<Net, PlanNote> {
    let [a0, a1, a2, a3, m0, m1, m2, m3] = octets;
    let mask = Ipv4Addr::new(m0, m1, m2, m3);
    Net::with_mask(Ipv4Addr::new(a0, a1, a2, a3), mask).ok_or(PlanNote::Mask { kind, mask })
}

/// A number of 1, 2 or 4 octets: gateways differ.
fn number(kind: u16, value: &[u8]) -> Result<u32, PlanNote> {
    match *value {
        [a] => Ok(a.into()),
        [a, b] => Ok(u16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(PlanNote::Length { kind, length: value.len() }),
    }
}

/// A host or domain name, or an address literal; dots around it are cut off. It may end up in a resolver's configuration, so
/// only letters, digits, hyphens, underscores, dots and the colons of IPv6 pass, and names in other scripts.
fn name(kind: u16, text: &str) -> Result<String, PlanNote> {
    let name = text.trim_matches('.');
    let is_name = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-'));
    if is_name { Ok(name.to_owned()) } else { Err(PlanNote::Name { kind }) }
}
