//! Networks: an address and a prefix length.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: address and prefix length. Host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// First address.
    pub address: IpAddr,
    /// Prefix length, bits.
    pub prefix: u8,
}

impl Net {
    /// The network that `address` lies in: its host bits are cleared. `None` where the prefix is longer than an address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(a) if prefix <= 32 => Ipv4Addr::from(u32::from(a) & mask4(prefix)).into(),
            IpAddr::V6(a) if prefix <= 128 => Ipv6Addr::from(u128::from(a) & mask6(prefix)).into(),
            _ => return None,
        };
        Some(Self { address, prefix })
    }

    /// This one address.
    pub fn host(address: IpAddr) -> Self {
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The network of an address and a netmask; `None` where the mask's ones do not come first.
    pub fn with_mask(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Self> {
        let prefix = prefix_of(mask)?;
        Self::new(address.into(), prefix)
    }

    /// True where `address` lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self::new(address, self.prefix).is_some_and(|net| net.address == self.address)
    }

    /// Whether all of it lies in what never leaves the machine or its links: this host, loopback, groups, link-local.
    pub fn stays_here(&self) -> bool {
        let local = |address: IpAddr, prefix| {
            self.prefix >= prefix && Self::new(self.address, prefix) == Some(Self { address, prefix })
        };
        let v4 = |a, b, prefix| local(Ipv4Addr::new(a, b, 0, 0).into(), prefix);
        let v6 = |first, prefix| local(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), prefix);
        v4(127, 0, 8)
            || v4(224, 0, 4)
            || v4(0, 0, 8)
            || v4(169, 254, 16)
            || local(Ipv4Addr::BROADCAST.into(), 32)
            || local(Ipv6Addr::LOCALHOST.into(), 128)
            || local(Ipv6Addr::UNSPECIFIED.into(), 128)
            || v6(0xfe80, 10)
            || v6(0xff00, 8)
    }

    /// The fewest networks that hold exactly the addresses from `first` to `last`; none where they are of two families or the
    /// wrong way round.
    pub fn cover(first: IpAddr, last: IpAddr) -> Vec<Self> {
        let (bits, mut at, end) = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (32, u128::from(u32::from(a)), u128::from(u32::from(b))),
            (IpAddr::V6(a), IpAddr::V6(b)) => (128, u128::from(a), u128::from(b)),
            _ => return Vec::new(),
        };
        let address = |number: u128| -> IpAddr {
            if bits == 32 { Ipv4Addr::from(number as u32).into() } else { Ipv6Addr::from(number).into() }
        };
        let mut nets = Vec::new();
        while at <= end {
            // As large as its first address allows, and no larger than what is left.
            let mut free = at.trailing_zeros().min(bits);
            while free > 0 && (free == 128 || end - at < (1 << free) - 1) {
                if free == 128 && at == 0 && end == u128::MAX {
                    break;
                }
                free -= 1;
            }
            nets.push(Self { address: address(at), prefix: (bits - free) as u8 });
            match 1_u128.checked_shl(free).and_then(|size| at.checked_add(size)) {
                Some(next) => at = next,
                None => break,
            }
        }
        nets
    }

    /// First and last address.
    pub fn range(&self) -> (IpAddr, IpAddr) {
        let last = match self.address {
            IpAddr::V4(a) => Ipv4Addr::from(u32::from(a) | !mask4(self.prefix)).into(),
            IpAddr::V6(a) => Ipv6Addr::from(u128::from(a) | !mask6(self.prefix)).into(),
        };
        (self.address, last)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The prefix length of a netmask; `None` where its ones do not come first.
pub(super) fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let mask = u32::from(mask);
    let ones = mask.leading_ones();
    (mask.checked_shl(ones).unwrap_or(0) == 0).then_some(ones as u8)
}

/// The netmask of a prefix length; all ones from 32 up.
pub(super) fn mask4(prefix: u8) -> u32 {
    !u32::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    !u128::MAX.checked_shr(prefix.into()).unwrap_or(0)
}
