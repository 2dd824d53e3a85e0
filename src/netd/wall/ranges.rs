//! Networks within networks, as ranges of addresses that do not overlap: what a set of nftables holds.

use crate::plan::Net;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one family from the first to the last.
pub type Range = (IpAddr, IpAddr);

/// The addresses whose narrowest network of `nets` has `true`, sorted, each range as long as it can be.
pub fn held(nets: &BTreeMap<Net, bool>) -> Vec<Range> {
    let mut ranges = family(nets, true);
    ranges.extend(family(nets, false));
    ranges
}

/// Every address of both families that is in none of these ranges, which are sorted and do not overlap.
pub fn others(ranges: &[Range]) -> Vec<Range> {
    let mut others = Vec::new();
    let families: [Range; 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from(u128::MAX).into()),
    ];
    for (first, last) in families {
        let mut at = Some(first);
        for (from, to) in ranges.iter().filter(|(from, _)| from.is_ipv4() == first.is_ipv4()) {
            if let (Some(start), Some(end)) = (at, before(*from))
                && start <= end
            {
                others.push((start, end));
            }
            at = next(*to);
        }
        others.extend(at.map(|start| (start, last)));
    }
    others
}

/// The addresses that are in both; both are sorted and do not overlap.
pub fn both(one: &[Range], other: &[Range]) -> Vec<Range> {
    let mut both = Vec::new();
    for (first, last) in one {
        let same = |(from, to): &&Range| from.is_ipv4() == first.is_ipv4() && from <= last && to >= first;
        both.extend(other.iter().filter(same).map(|(from, to)| (*first.max(from), *last.min(to))));
    }
    both
}

/// The addresses that are in either, sorted; neighbours become one.
pub(super) fn union(one: &[Range], other: &[Range]) -> Vec<Range> {
    let mut all: Vec<Range> = one.iter().chain(other).copied().collect();
    all.sort_unstable();
    let mut union: Vec<Range> = Vec::new();
    for (first, last) in all {
        match union.last_mut() {
            Some((from, to))
                if from.is_ipv4() == first.is_ipv4() && next(*to).is_none_or(|after| after >= first) =>
            {
                *to = last.max(*to);
            }
            _ => union.push((first, last)),
        }
    }
    union
}

/// The address after this one; the last has none.
pub(super) fn next(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => Some(Ipv4Addr::from(u32::from(ip).checked_add(1)?).into()),
        IpAddr::V6(ip) => Some(Ipv6Addr::from(u128::from(ip).checked_add(1)?).into()),
    }
}

fn before(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => Some(Ipv4Addr::from(u32::from(ip).checked_sub(1)?).into()),
        IpAddr::V6(ip) => Some(Ipv6Addr::from(u128::from(ip).checked_sub(1)?).into()),
    }
}

/// Numbers from `first` on that were decided.
#[derive(Default)]
struct Sweep {
    ranges: Vec<(u128, u128)>,
}

impl Sweep {
    fn emit(&mut self, first: u128, last: u128, is_held: bool) {
        if first > last || !is_held {
            return;
        }
        match self.ranges.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(first) => *end = last,
            _ => self.ranges.push((first, last)),
        }
    }
}

fn family(nets: &BTreeMap<Net, bool>, ipv4: bool) -> Vec<Range> {
    let mut sweep = Sweep::default();
    // Networks that the present one lies in, the narrowest last; and the first address that nothing was said of.
    let mut around: Vec<(u128, bool)> = Vec::new();
    let mut at = Some(0);
    let close = |sweep: &mut Sweep, at: &mut Option<u128>, (last, is_held): (u128, bool)| {
        if let Some(first) = *at
            && first <= last
        {
            sweep.emit(first, last, is_held);
            *at = last.checked_add(1);
        }
    };
    // Sorted by address, and the wider of two that begin together first.
    for (net, is_held) in nets.iter().filter(|(net, _)| net.address.is_ipv4() == ipv4) {
        let (first, last) = net.range();
        let (first, last) = (number(first), number(last));
        while let Some(outer) = around.pop_if(|(end, _)| *end < first) {
            close(&mut sweep, &mut at, outer);
        }
        if let (Some((_, outer)), Some(from), Some(before)) = (around.last(), at, first.checked_sub(1)) {
            sweep.emit(from, before, *outer);
        }
        at = Some(first);
        around.push((last, *is_held));
    }
    while let Some(outer) = around.pop() {
        close(&mut sweep, &mut at, outer);
    }
    let address = |number: u128| -> IpAddr {
        match u32::try_from(number) {
            Ok(number) if ipv4 => Ipv4Addr::from(number).into(),
            _ => Ipv6Addr::from(number).into(),
        }
    };
    sweep.ranges.into_iter().map(|(first, last)| (address(first), address(last))).collect()
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Net {
        let (address, prefix) = text.split_once('/').unwrap();
        Net::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
    }

    fn ranges(nets: &[(&str, bool)]) -> Vec<String> {
        let nets = nets.iter().map(|(text, is_held)| (net(text), *is_held)).collect();
        held(&nets).into_iter().map(|(first, last)| format!("{first}-{last}")).collect()
    }

    #[test]
    fn a_network_within_another_is_cut_out_and_one_within_that_put_back() {
        assert_eq!(
            ranges(&[("0.0.0.0/0", true), ("::/0", true)]),
            ["0.0.0.0-255.255.255.255", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
        );
        assert_eq!(
            ranges(&[("10.0.0.0/8", true), ("10.2.0.0/16", false), ("10.2.3.0/24", true)]),
            ["10.0.0.0-10.1.255.255", "10.2.3.0-10.2.3.255", "10.3.0.0-10.255.255.255"]
        );
        assert_eq!(ranges(&[("10.0.0.0/9", true), ("10.128.0.0/9", true)]), ["10.0.0.0-10.255.255.255"]);
        assert_eq!(
            ranges(&[("::/0", true), ("fe80::/10", false)]),
            ["::-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
        );
        assert_eq!(ranges(&[("10.0.0.0/8", false)]), [""; 0]);
    }

    #[test]
    fn the_others_are_all_that_is_left() {
        let shown = |nets: &[&str]| {
            let ranges = held(&nets.iter().map(|text| (net(text), true)).collect());
            let others = others(&ranges);
            others.into_iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(" ")
        };
        let six = "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(shown(&[]), format!("0.0.0.0-255.255.255.255 {six}"));
        assert_eq!(shown(&["0.0.0.0/0"]), six);
        assert_eq!(shown(&["0.0.0.0/0", "::/0"]), "");
        assert_eq!(
            shown(&["0.0.0.0/8", "10.0.0.0/8", "255.0.0.0/8"]),
            format!("1.0.0.0-9.255.255.255 11.0.0.0-254.255.255.255 {six}")
        );
    }

    fn nets() -> impl Strategy<Value = BTreeMap<Net, bool>> {
        // Close together, so that they meet.
        let one = (0_u32..64, 24_u8..=32, any::<bool>()).prop_map(|(low, prefix, is_held)| {
            (Net::new(Ipv4Addr::from(0x0a00_0000 | low << 2).into(), prefix).unwrap(), is_held)
        });
        prop::collection::btree_map(any::<u8>(), one, 0..12).prop_map(|some| some.into_values().collect())
    }

    proptest! {
        #[test]
        fn an_address_is_held_as_its_narrowest_network_says(nets in nets()) {
            let ranges = held(&nets);
            for pair in ranges.windows(2) {
                prop_assert!(number(pair[0].1) + 1 < number(pair[1].0), "{ranges:?}");
            }
            for low in 0..=0x200_u32 {
                let ip = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + low));
                let narrowest = nets.iter().filter(|(net, _)| net.contains(ip)).max_by_key(|(net, _)| net.prefix);
                let wanted = narrowest.is_some_and(|(_, is_held)| *is_held);
                let is_in = |ranges: &[Range]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&ip));
                prop_assert_eq!(is_in(&ranges), wanted);
                prop_assert_eq!(is_in(&others(&ranges)), !wanted);
            }
        }

        #[test]
        fn what_is_in_both_and_what_is_in_either(one in nets(), other in nets()) {
            let (one, other) = (held(&one), held(&other));
            let (both, either) = (both(&one, &other), union(&one, &other));
            for pair in either.windows(2) {
                prop_assert!(number(pair[0].1) + 1 < number(pair[1].0), "{either:?}");
            }
            for low in 0..=0x200_u32 {
                let ip = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + low));
                let is_in = |ranges: &[Range]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&ip));
                prop_assert_eq!(is_in(&both), is_in(&one) && is_in(&other));
                prop_assert_eq!(is_in(&either), is_in(&one) || is_in(&other));
            }
        }
    }
}
