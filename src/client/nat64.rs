//! A gateway that has only IPv4 addresses, seen from a network that carries only IPv6: NAT64 (RFC 6052), its prefix found by
//! the addresses that DNS64 invents for `ipv4only.arpa` (RFC 7050).

use std::net::{Ipv4Addr, Ipv6Addr};

/// The name whose IPv4 addresses are known to everybody (RFC 7050 section 8).
pub const KNOWN_NAME: &str = "ipv4only.arpa";
/// Its addresses.
const KNOWN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// Where a network keeps IPv4 in IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    network: [u8; 16],
    /// Octets of it: 4, 5, 6, 7, 8 or 12.
    length: usize,
}

impl Prefix {
    /// `64:ff9b::/96` (RFC 6052 section 2.1), for as long as nothing better is known.
    pub const WELL_KNOWN: Self =
        Self { network: [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], length: 12 };

    /// The prefix that the addresses of [`KNOWN_NAME`] show; `None` where none of them holds a known address.
    pub fn shown_by(answers: &[Ipv6Addr]) -> Option<Self> {
        answers.iter().find_map(|answer| {
            let octets = answer.octets();
            [12, 8, 7, 6, 5, 4].into_iter().find_map(|length| {
                let mut network = [0; 16];
                network[..length].copy_from_slice(&octets[..length]);
                let prefix = Self { network, length };
                KNOWN.iter().any(|known| prefix.map(*known) == *answer).then_some(prefix)
            })
        })
    }

    /// The address of an IPv4 host there (RFC 6052 section 2.2: octet 8 stays zero).
    pub fn map(&self, host: Ipv4Addr) -> Ipv6Addr {
        let mut octets = self.network;
        let places = (self.length..16).filter(|place| *place != 8);
        for (place, octet) in places.zip(host.octets()) {
            octets[place] = octet;
        }
        octets.into()
    }
}

/// True where `mapped` is an address of `host` as some network's NAT64 has it: it leads nowhere in any other network.
pub fn is_mapped(mapped: Ipv6Addr, host: Ipv4Addr) -> bool {
    let octets = mapped.octets();
    [12, 8, 7, 6, 5, 4].into_iter().any(|length| {
        let mut network = [0; 16];
        network[..length].copy_from_slice(&octets[..length]);
        Prefix { network, length }.map(host) == mapped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6052 section 2.4.
    const TABLE: [(&str, usize, &str); 6] = [
        ("2001:db8::", 4, "2001:db8:c000:221::"),
        ("2001:db8:100::", 5, "2001:db8:1c0:2:21::"),
        ("2001:db8:122::", 6, "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::", 7, "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::", 8, "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::", 12, "2001:db8:122:344::192.0.2.33"),
    ];

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_embedded_as_the_standard_shows() {
        for (network, length, expected) in TABLE {
            let prefix = Prefix { network: address(network).octets(), length };
            assert_eq!(
                prefix.map(Ipv4Addr::new(192, 0, 2, 33)),
                address(expected),
                "{network}/{}",
                length * 8
            );
        }
        let host = Ipv4Addr::new(192, 0, 2, 33);
        for (_, _, mapped) in TABLE {
            assert!(is_mapped(address(mapped), host));
            assert!(!is_mapped(address(mapped), Ipv4Addr::new(192, 0, 2, 34)));
        }
        let mapped = Prefix::WELL_KNOWN.map(Ipv4Addr::new(192, 0, 2, 33));
        assert_eq!(mapped, address("64:ff9b::192.0.2.33"));
    }

    #[test]
    fn every_prefix_is_found_again_by_the_known_name() {
        for (network, length, _) in TABLE {
            let prefix = Prefix { network: address(network).octets(), length };
            for known in KNOWN {
                assert_eq!(Prefix::shown_by(&[prefix.map(known)]), Some(prefix));
            }
        }
        assert_eq!(Prefix::shown_by(&[address("2001:db8::1")]), None);
        assert_eq!(Prefix::shown_by(&[]), None);
    }
}
