//! Which of the gateway's attributes are the session's (PROTOCOL section 3: their numbers are not public).

use crate::crypto::Secret;
use crate::ike::dialect::Dialect;

/// Vendor attributes with a known meaning (PROTOCOL section 4).
const KNOWN: [(u16, &str); 10] = [
    (28672, "banner"),
    (28673, "save password"),
    (28674, "default domain"),
    (28675, "split DNS"),
    (28676, "split include"),
    (28677, "NAT-T port"),
    (28678, "split exclude"),
    (28679, "PFS"),
    (28681, "backup servers"),
    (28682, "DDNS host name"),
];
/// Standard attributes (RFC 7296 3.15.1, RFC 8598).
const STANDARD: [(u16, &str); 10] = [
    (1, "IPv4 address"),
    (2, "IPv4 netmask"),
    (3, "IPv4 DNS server"),
    (4, "IPv4 NBNS server"),
    (7, "application version"),
    (8, "IPv6 address"),
    (10, "IPv6 DNS server"),
    (13, "IPv4 subnet"),
    (15, "IPv6 subnet"),
    (25, "DNS domain"),
];
/// Longest session ID that is thought of, octets: it is an IKE identity.
const LONGEST_ID: usize = 128;
/// The session ID of the seed's logs, octets.
const SEED_ID: usize = 18;
/// Values up to here may be a number of seconds (a week); an IPv4 address is larger.
const LARGEST: u32 = 604_800;

/// Two attributes that may be the session's ID and its token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Number of the session ID.
    pub id: u16,
    /// Number of the session token.
    pub token: u16,
}

/// What an attribute is called, where that is public.
pub(super) fn name(kind: u16) -> Option<&'static str> {
    KNOWN.iter().chain(&STANDARD).find(|(known, _)| *known == kind).map(|(_, name)| *name)
}

/// Every two attributes that may be the session's, most likely first. `dialect`: what is assumed until now.
pub(super) fn pairs(attributes: &[(u16, Secret)], dialect: &Dialect) -> Vec<Pair> {
    let unknown = || {
        attributes.iter().filter(|(kind, value)| {
            (28672..=28735).contains(kind) && name(*kind).is_none() && !value.is_empty()
        })
    };
    let mut pairs = Vec::new();
    for (id, id_value) in unknown().filter(|(_, value)| value.len() <= LONGEST_ID && number(value).is_none())
    {
        for (token, token_value) in unknown().filter(|(_, value)| value.len() >= dialect.token_min_length) {
            if id == token {
                continue;
            }
            let pair = Pair { id: *id, token: *token };
            let assumed = Pair { id: dialect.session_id_attribute, token: dialect.session_token_attribute };
            let score = id_score(id_value) + token_score(token_value)
                + u32::from(pair == assumed)
                // The ID is named first wherever both are named.
                + u32::from(id < token);
            pairs.push((score, pair));
        }
    }
    pairs.sort_by_key(|(score, pair)| (std::cmp::Reverse(*score), pair.id, pair.token));
    pairs.into_iter().map(|(_, pair)| pair).collect()
}

/// An ID is a text that people read in logs.
fn id_score(value: &Secret) -> u32 {
    let text = value.expose().iter().all(u8::is_ascii_graphic);
    4 * u32::from(text) + 4 * u32::from(value.len() == SEED_ID)
}

/// A token is random, and has no reason to be read by people.
fn token_score(value: &Secret) -> u32 {
    let octets = value.expose();
    let mut distinct: Vec<u8> = octets.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    // Of 16 random octets 15 are distinct, of 256 there are 162.
    let random = distinct.len() >= octets.len().min(64) / 2;
    zeroize::Zeroize::zeroize(&mut distinct);
    3 * u32::from(random) + 2 * u32::from(octets.len().is_multiple_of(16)) + u32::from(octets.len() > SEED_ID)
}

/// A value that may be a number of seconds.
pub(super) fn number(value: &Secret) -> Option<u32> {
    let octets = value.expose();
    if !matches!(octets.len(), 1 | 2 | 4) {
        return None;
    }
    let number = octets.iter().fold(0_u32, |number, octet| number << 8 | u32::from(*octet));
    (number <= LARGEST).then_some(number)
}

/// What a value looks like, without what it is.
pub(super) fn shape(value: &Secret) -> String {
    let octets = value.expose();
    if octets.is_empty() {
        return "empty".into();
    }
    if let Some(number) = number(value) {
        return format!("may be the number {number}");
    }
    let text = octets.strip_suffix(b"\0").unwrap_or(octets);
    if !text.iter().all(|c| c.is_ascii_graphic() || matches!(c, b' ' | b'\r' | b'\n')) {
        return "binary".into();
    }
    let has = |is: fn(&u8) -> bool, name: &'static str| text.iter().any(is).then_some(name);
    let found: Vec<&str> = [
        has(u8::is_ascii_uppercase, "upper case"),
        has(u8::is_ascii_lowercase, "lower case"),
        has(u8::is_ascii_digit, "digits"),
        has(|c| !c.is_ascii_alphanumeric(), "other characters"),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("text: {}", found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(octets: &[u8]) -> Secret {
        Secret::from(octets)
    }

    #[test]
    fn the_seeds_kind_of_id_and_a_random_token_come_first() {
        let token: Vec<u8> = (0..32_u8).map(|n| n.wrapping_mul(73) ^ 0x5a).collect();
        let attributes = [
            (1, value(&[192, 168, 20, 5])),
            (28672, value(b"Welcome to the company's network")),
            (28700, value(b"one-more-text-of-some-length")),
            (28720, value(&900_u32.to_be_bytes())),
            (28731, value(b"rIUHKccDRiUtFTATwq")),
            (28733, value(&token)),
        ];
        let pairs = pairs(&attributes, &Dialect::default());
        assert_eq!(pairs[0], Pair { id: 28731, token: 28733 });
        assert!(pairs.iter().all(|pair| ![pair.id, pair.token].contains(&28672)), "{pairs:?}");
        assert!(pairs.iter().all(|pair| pair.id != 28720), "{pairs:?}");
        assert!(super::pairs(&attributes[..4], &Dialect::default()).is_empty());
    }

    #[test]
    fn an_undecided_guess_goes_by_what_is_assumed() {
        let token = |first: u8| value(&(first..first + 24).collect::<Vec<u8>>());
        let id = value(b"rIUHKccDRiUtFTATwq");
        let attributes = [(28701, token(100)), (28728, id.clone()), (28729, token(130)), (28730, token(160))];
        let pairs = pairs(&attributes, &Dialect::default());
        assert_eq!(pairs[0], Pair { id: 28728, token: 28729 }, "{pairs:?}");
    }

    #[test]
    fn a_shape_tells_no_value() {
        for (octets, expected) in [
            (&b""[..], "empty"),
            (b"rIUH9", "text: upper case, lower case, digits"),
            (b"a b\0", "text: lower case, other characters"),
            (&[0, 0, 3, 0x84], "may be the number 900"),
            (&[192, 168, 1, 1], "binary"),
            (&[0xff; 40], "binary"),
        ] {
            assert_eq!(shape(&value(octets)), expected);
        }
    }
}
