//! What is known by its form alone: addresses, MACs, UUIDs. Each is looked for at the beginning of some octets; `before`: the
//! octet before them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest textual address of IPv6, octets.
pub(super) const LONGEST_IPV6: usize = 45;

/// An address of IPv4 at the beginning: four numbers.
pub(super) fn ipv4(octets: &[u8], before: u8) -> Option<(usize, IpAddr)> {
    if before.is_ascii_digit() || !octets.first()?.is_ascii_digit() {
        return None;
    }
    let mut length = 0;
    for part in 0..4 {
        if part > 0 {
            length += usize::from(octets.get(length) == Some(&b'.'));
        }
        length += octets.get(length..)?.iter().take_while(|octet| octet.is_ascii_digit()).count();
    }
    let ip: Ipv4Addr = std::str::from_utf8(octets.get(..length)?).ok()?.parse().ok()?;
    Some((length, ip.into()))
}

/// An address of IPv6 at the beginning: the longest that it can be.
pub(super) fn ipv6(octets: &[u8], before: u8) -> Option<(usize, IpAddr)> {
    // `name::name` is a path in a program.
    let path = octets.starts_with(b"::") && (before.is_ascii_alphanumeric() || before == b'_');
    if before.is_ascii_hexdigit() || path {
        return None;
    }
    let is_part = |octet: &&u8| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'.');
    let run = octets.iter().take(LONGEST_IPV6).take_while(is_part).count();
    let colons = octets.get(..run)?.iter().filter(|octet| **octet == b':').count();
    if colons < 2 {
        return None;
    }
    (2..=run).rev().find_map(|length| {
        let ends = octets.get(length).is_none_or(|after| !after.is_ascii_alphanumeric() && *after != b'_');
        let text = std::str::from_utf8(octets.get(..length)?).ok()?;
        let ip: Ipv6Addr = text.parse().ok().filter(|_| ends)?;
        Some((length, ip.into()))
    })
}

/// Six octets of a MAC as `aa:bb:cc:dd:ee:ff`, `aa-bb-..` or `aabb.ccdd.eeff` (the vendor's), unless they are all the same:
/// nobody's. Its length, and its first form.
pub(super) fn mac(octets: &[u8], before: u8) -> Option<(usize, String)> {
    let (length, group) = match (octets.get(2)?, octets.get(4)?) {
        (b':' | b'-', _) => (17, 2),
        (_, b'.') => (14, 4),
        _ => return None,
    };
    let text = octets.get(..length)?;
    let separator = text.get(group)?;
    let fits = |(at, octet): (usize, &u8)| match at % (group + 1) {
        of_group if of_group == group => octet == separator,
        _ => octet.is_ascii_hexdigit(),
    };
    // A dot ends a sentence; before a digit it would go on.
    let ends = match octets.get(length..) {
        Some([b'.', after, ..]) if group == 4 => !after.is_ascii_hexdigit(),
        Some([after, ..]) => !after.is_ascii_hexdigit(),
        _ => true,
    };
    let alone = !before.is_ascii_hexdigit() && ends && (group == 2 || before != b'.');
    if !alone || !text.iter().enumerate().all(fits) {
        return None;
    }
    let digits: Vec<u8> =
        text.iter().filter(|octet| octet.is_ascii_hexdigit()).map(u8::to_ascii_lowercase).collect();
    let parts: Vec<&str> = digits.chunks(2).filter_map(|part| std::str::from_utf8(part).ok()).collect();
    let same = parts.iter().all(|part| Some(part) == parts.first());
    (!same).then(|| (length, parts.join(":")))
}

/// The length of an interface's name that systemd has made of its MAC: `enx` or `wlx`, and twelve digits.
pub(super) fn named_by_mac(octets: &[u8], before: u8) -> Option<usize> {
    let (kind, digits) = octets.get(..15)?.split_first_chunk::<3>()?;
    let ends = octets.get(15).is_none_or(|after| !after.is_ascii_alphanumeric());
    let fits = matches!(kind, b"enx" | b"wlx") && digits.iter().all(u8::is_ascii_hexdigit);
    (fits && ends && !before.is_ascii_alphanumeric()).then_some(15)
}

/// The length of a UUID: disks and machines are told apart by them.
pub(super) fn uuid(octets: &[u8], before: u8) -> Option<usize> {
    let text = octets.get(..36)?;
    let fits = |(at, octet): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *octet == b'-',
        _ => octet.is_ascii_hexdigit(),
    };
    let alone = !before.is_ascii_alphanumeric();
    (alone && text.iter().enumerate().all(fits)).then_some(36)
}
