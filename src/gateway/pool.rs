//! The addresses that are handed out, one pool a family.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses of one family and which of them are taken.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    first: IpAddr,
    last: IpAddr,
    taken: BTreeSet<IpAddr>,
}

impl Pool {
    /// From `first` to `last`, both included; no address where `last` is the smaller one.
    pub(super) fn v4((first, last): (Ipv4Addr, Ipv4Addr)) -> Self {
        Self { first: first.into(), last: last.into(), taken: BTreeSet::new() }
    }

    /// See [`Pool::v4`].
    pub(super) fn v6((first, last): (Ipv6Addr, Ipv6Addr)) -> Self {
        Self { first: first.into(), last: last.into(), taken: BTreeSet::new() }
    }

    /// The wanted address where it is of this pool and free, else the lowest free one.
    pub(super) fn take(&mut self, wanted: Option<IpAddr>) -> Option<IpAddr> {
        let address = wanted.filter(|a| self.is_free(*a)).or_else(|| self.lowest_free())?;
        self.taken.insert(address);
        Some(address)
    }

    /// No address of its own: only what is reserved.
    pub(super) fn none6() -> Self {
        let (first, last) = (Ipv6Addr::from_bits(1), Ipv6Addr::UNSPECIFIED);
        Self { first: first.into(), last: last.into(), taken: BTreeSet::new() }
    }

    /// Takes this address, of the range or not; false where somebody has it.
    pub(super) fn reserve(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address)
    }

    /// Gives an address back.
    pub(super) fn free(&mut self, address: IpAddr) {
        self.taken.remove(&address);
    }

    /// How many are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.len()
    }

    fn is_free(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && (self.first..=self.last).contains(&address)
            && !self.taken.contains(&address)
    }

    fn lowest_free(&self) -> Option<IpAddr> {
        let mut candidate = self.first;
        for taken in self.taken.range(self.first..) {
            if *taken != candidate {
                break;
            }
            candidate = successor(candidate)?;
        }
        (candidate <= self.last).then_some(candidate)
    }
}

fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(a) => a.to_bits().checked_add(1).map(|b| Ipv4Addr::from_bits(b).into()),
        IpAddr::V6(a) => a.to_bits().checked_add(1).map(|b| Ipv6Addr::from_bits(b).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hands_out_the_lowest_free_address_and_ends_with_the_pool() {
        let mut pool = Pool::v4((Ipv4Addr::new(10, 0, 0, 254), Ipv4Addr::new(10, 0, 1, 1)));
        let all: Vec<_> = std::iter::from_fn(|| pool.take(None)).collect();
        assert_eq!(all, ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"].map(ip));
        pool.free(ip("10.0.0.255"));
        assert_eq!(pool.take(None), Some(ip("10.0.0.255")));
        assert_eq!(pool.take(None), None);
        assert_eq!(pool.taken(), 4);
    }

    #[test]
    fn a_wanted_address_is_given_only_where_free_and_of_the_pool() {
        let mut pool = Pool::v4((Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(pool.take(Some(ip("10.0.0.7"))), Some(ip("10.0.0.7")));
        assert_eq!(pool.take(Some(ip("10.0.0.7"))), Some(ip("10.0.0.1")));
        assert_eq!(pool.take(Some(ip("10.0.0.10"))), Some(ip("10.0.0.2")));
        assert_eq!(pool.take(Some(ip("::1"))), Some(ip("10.0.0.3")));
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_trap() {
        let mut pool = Pool::v4((Ipv4Addr::BROADCAST, Ipv4Addr::BROADCAST));
        assert_eq!(pool.take(None), Some(ip("255.255.255.255")));
        assert_eq!(pool.take(None), None);
        let top = Ipv6Addr::from_bits(u128::MAX);
        let mut pool = Pool::v6((top, top));
        assert_eq!(pool.take(None), Some(top.into()));
        assert_eq!(pool.take(None), None);
        let mut empty = Pool::v4((Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(empty.take(None), None);
    }
}
