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

    /// No address of its own: only what is reserved.
    pub(super) fn none6() -> Self {
        let (first, last) = (Ipv6Addr::from_bits(1), Ipv6Addr::UNSPECIFIED);
        Self { first: first.into(), last: last.into(), taken: BTreeSet::new() }
    }

    /// The wanted address where it is of this pool and free, else the lowest free one; it is not taken yet. `freed`: taken
    /// ones that will be free.
    pub(super) fn choose(&self, wanted: Option<IpAddr>, freed: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let free = |a: &IpAddr| self.contains(*a) && (!self.is_taken(*a) || freed.contains(a));
        wanted.filter(free).or_else(|| self.lowest_free(freed))
    }

    /// Takes this address, of the range or not; false where somebody has it.
    pub(super) fn reserve(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address)
    }

    /// Gives an address back.
    pub(super) fn free(&mut self, address: IpAddr) {
        self.taken.remove(&address);
    }

    /// Somebody has it.
    pub(super) fn is_taken(&self, address: IpAddr) -> bool {
        self.taken.contains(&address)
    }

    /// It is of the range.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Every address that is taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> &BTreeSet<IpAddr> {
        &self.taken
    }

    fn lowest_free(&self, freed: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let mut candidate = self.first;
        for taken in self.taken.range(self.first..).filter(|taken| !freed.contains(taken)) {
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

    fn take(pool: &mut Pool, wanted: Option<IpAddr>) -> Option<IpAddr> {
        pool.choose(wanted, &BTreeSet::new()).filter(|address| pool.reserve(*address))
    }

    #[test]
    fn hands_out_the_lowest_free_address_and_ends_with_the_pool() {
        let mut pool = Pool::v4((Ipv4Addr::new(10, 0, 0, 254), Ipv4Addr::new(10, 0, 1, 1)));
        let all: Vec<_> = std::iter::from_fn(|| take(&mut pool, None)).collect();
        assert_eq!(all, ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"].map(ip));
        pool.free(ip("10.0.0.255"));
        assert_eq!(take(&mut pool, None), Some(ip("10.0.0.255")));
        assert_eq!(take(&mut pool, None), None);
        assert_eq!(pool.taken().len(), 4);
    }

    #[test]
    fn a_wanted_address_is_given_only_where_free_and_of_the_pool() {
        let mut pool = Pool::v4((Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(take(&mut pool, Some(ip("10.0.0.7"))), Some(ip("10.0.0.7")));
        assert_eq!(take(&mut pool, Some(ip("10.0.0.7"))), Some(ip("10.0.0.1")));
        assert_eq!(take(&mut pool, Some(ip("10.0.0.10"))), Some(ip("10.0.0.2")));
        assert_eq!(take(&mut pool, Some(ip("::1"))), Some(ip("10.0.0.3")));
    }

    #[test]
    fn what_will_be_free_can_be_chosen() {
        let mut pool = Pool::v4((Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)));
        let all = [take(&mut pool, None), take(&mut pool, None)];
        assert_eq!(all, [Some(ip("10.0.0.1")), Some(ip("10.0.0.2"))]);
        let freed = BTreeSet::from([ip("10.0.0.2")]);
        for wanted in [None, Some(ip("10.0.0.1")), Some(ip("10.0.0.2"))] {
            assert_eq!(pool.choose(wanted, &freed), Some(ip("10.0.0.2")), "{wanted:?}");
        }
        assert_eq!(pool.choose(None, &BTreeSet::from([ip("10.0.0.3")])), None, "of no pool");
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_trap() {
        let mut pool = Pool::v4((Ipv4Addr::BROADCAST, Ipv4Addr::BROADCAST));
        assert_eq!(take(&mut pool, None), Some(ip("255.255.255.255")));
        assert_eq!(take(&mut pool, None), None);
        let top = Ipv6Addr::from_bits(u128::MAX);
        let mut pool = Pool::v6((top, top));
        assert_eq!(take(&mut pool, None), Some(top.into()));
        assert_eq!(take(&mut pool, None), None);
        let mut empty = Pool::v4((Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(take(&mut empty, None), None);
    }
}
