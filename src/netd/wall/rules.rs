//! The table as messages.

use super::message::{Attributes, Batch, Kind};
use super::ranges::{next, others, union};
use super::{Held, Range, TABLE, Wall};
use crate::plan::{MARK, Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CHAIN: &str = "out";
/// Elements in one message, at most: an attribute is no longer than 64 KiB.
const ELEMENTS: usize = 1000;

/// The loopback's index, in every namespace.
const LOOPBACK: u32 = 1;
/// `NF_INET_POST_ROUTING`, and a priority behind everything that turns packets round.
const POST_ROUTING: u32 = 4;
const PRIORITY: u32 = 300;
/// `NF_DROP`, `NF_ACCEPT`.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// `NFT_META_*`.
const META_MARK: u32 = 3;
const META_OIF: u32 = 5;
const META_SKUID: u32 = 10;
const META_FAMILY: u32 = 15;
const META_L4PROTO: u32 = 16;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// DHCP and DHCPv6, from the client's port to the server's (RFC 2131 4.1, RFC 8415 7.2).
const DHCP: [(bool, u16, u16); 2] = [(false, 68, 67), (true, 546, 547)];
/// ICMPv6 of a link, with the hop limit that it has to have: multicast listeners (RFC 2710 3), routers, neighbours and redirects
/// (RFC 4861 4), and listeners of version 2 (RFC 3810 5). What a router forwards never has the 255 any more; listeners also have
/// to speak to groups, which it does not forward within the link's scope.
const LINK_TYPES: [(u8, u8, u8); 3] = [(1, 130, 132), (255, 133, 137), (1, 143, 143)];
/// The first octet of a group's address.
const GROUPS: u8 = 0xff;
/// No user: what `meta skuid` never is.
const NOBODY: u32 = u32::MAX;
/// Pages and names, for the log-in at a captive portal.
const OPEN: [(u8, u16); 8] =
    [(TCP, 53), (UDP, 53), (TCP, 80), (TCP, 443), (UDP, 443), (TCP, 8080), (TCP, 8443), (TCP, 8880)];

/// Puts the table up, or its rules in the place of those that are there.
///
/// The chain itself stays: while one takes another's place, a packet can pass the new one before the transaction is done and the
/// old one after it, and find rules in neither (seen: one packet in sixty). Rules within a chain change at one moment, but a
/// packet that has the old rules can find their sets empty already (seen: one in a hundred). So sets only ever let through, and
/// the last rule drops what is left: for a moment too little may pass, and never too much.
pub(super) fn put(wall: &Wall) -> Vec<u8> {
    let mut batch = Batch::new();
    batch.make(Kind::NewTable, |attributes| {
        attributes.text(1, TABLE).number(2, 0);
    });
    batch.make(Kind::NewChain, |attributes| {
        attributes.text(1, TABLE).text(3, CHAIN);
        attributes.nested(4, |hook| {
            hook.number(1, POST_ROUTING).number(2, PRIORITY);
        });
        attributes.number(5, ACCEPT).text(7, "filter");
    });
    batch.take(Kind::DelRule, |attributes| {
        attributes.text(1, TABLE).text(2, CHAIN);
    });
    let mut sets = Sets::anew(&mut batch);
    if !wall.lan.is_empty() {
        let own = super::held(&link_local().map(|net| (net, true)).into());
        sets.make(&mut batch, "lan", &union(&own, &wall.lan));
    }
    if let Held::Only(ranges) = &wall.held {
        sets.make(&mut batch, "free", &others(ranges));
    }
    for device in [Some(LOOPBACK), wall.device].into_iter().flatten() {
        rule(&mut batch, |rule| rule.meta(META_OIF).equal(&device.to_ne_bytes()).verdict(ACCEPT));
    }
    rule(&mut batch, |rule| rule.meta(META_MARK).equal(&MARK.to_ne_bytes()).verdict(ACCEPT));
    for (ipv6, from, to) in DHCP {
        rule(&mut batch, |rule| {
            // Only of a socket on this machine: what is forwarded has none, and is nobody's.
            rule.meta(META_SKUID).not_equal(&NOBODY.to_ne_bytes());
            rule.family(ipv6).meta(META_L4PROTO).equal(&[UDP]);
            rule.transport(0, 2).equal(&from.to_be_bytes());
            rule.transport(2, 2).equal(&to.to_be_bytes()).verdict(ACCEPT)
        });
    }
    for (hops, first, last) in LINK_TYPES {
        rule(&mut batch, |rule| {
            rule.family(true).payload(1, 7, 1).equal(&[hops]);
            if hops == 1 {
                rule.payload(1, 24, 1).equal(&[GROUPS]);
            }
            rule.meta(META_L4PROTO).equal(&[ICMPV6]);
            rule.transport(0, 1);
            if first == last { rule.equal(&[first]) } else { rule.between(&[first], &[last]) }.verdict(ACCEPT)
        });
    }
    if wall.open {
        for (protocol, port) in OPEN {
            rule(&mut batch, |rule| {
                rule.meta(META_L4PROTO).equal(&[protocol]);
                rule.transport(2, 2).equal(&port.to_be_bytes()).verdict(ACCEPT)
            });
        }
    }
    sets.rules(&mut batch, "lan", |rule| rule.verdict(ACCEPT));
    sets.rules(&mut batch, "free", |rule| rule.verdict(ACCEPT));
    rule(&mut batch, |rule| rule.counted().verdict(DROP));
    batch.end()
}

/// Takes the table down.
pub(super) fn take() -> Vec<u8> {
    let mut batch = Batch::new();
    batch.take(Kind::DelTable, |attributes| {
        attributes.text(1, TABLE);
    });
    batch.end()
}

/// What is nobody's but the link's, where the local network may be reached: neighbours, groups, and everybody.
fn link_local() -> [Net; 5] {
    let v4 = |a, b, prefix| Net { address: Ipv4Addr::new(a, b, 0, 0).into(), prefix };
    let v6 = |first, prefix| Net { address: Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), prefix };
    let everybody = Net::host(Ipv4Addr::BROADCAST.into());
    [v4(169, 254, 16), v4(224, 0, 4), everybody, v6(0xfe80, 10), v6(0xff02, 16)]
}

/// The sets that were made, by name and family.
#[derive(Default)]
struct Sets {
    made: Vec<(String, bool)>,
}

impl Sets {
    /// None: those that are there are taken away. (Made first, so that each is there.)
    fn anew(batch: &mut Batch) -> Self {
        let names = ["lan", "free"].into_iter().flat_map(|name| [(name, false), (name, true)]);
        for (id, (name, ipv6)) in (100..).zip(names) {
            let name = named(name, ipv6);
            make_set(batch, &name, id, ipv6);
            batch.take(Kind::DelSet, |attributes| {
                attributes.text(1, TABLE).text(2, &name);
            });
        }
        Self::default()
    }

    /// One set of each family that has addresses: `lan4`, `lan6`.
    fn make(&mut self, batch: &mut Batch, name: &str, ranges: &[Range]) {
        for ipv6 in [false, true] {
            let own: Vec<Range> = ranges.iter().copied().filter(|(ip, _)| ip.is_ipv6() == ipv6).collect();
            if !own.is_empty() {
                let name = named(name, ipv6);
                let id = u32::try_from(self.made.len()).unwrap_or_default() + 1;
                make_set(batch, &name, id, ipv6);
                fill_set(batch, &name, &own);
                self.made.push((name, ipv6));
            }
        }
    }

    /// A rule for what goes to an address of the sets of this name.
    fn rules(&self, batch: &mut Batch, name: &str, then: impl Fn(&mut Rule<'_, '_>)) {
        for (set, ipv6) in self.made.iter().filter(|(set, ipv6)| *set == named(name, *ipv6)) {
            rule(batch, |rule| {
                let (offset, length) = if *ipv6 { (24, 16) } else { (16, 4) };
                rule.family(*ipv6).payload(1, offset, length).lookup(set);
                then(rule);
            });
        }
    }
}

fn named(name: &str, ipv6: bool) -> String {
    format!("{name}{}", if ipv6 { '6' } else { '4' })
}

fn make_set(batch: &mut Batch, name: &str, id: u32, ipv6: bool) {
    // The numbers by which `nft` knows the types of keys; the kernel wants a length.
    let (kind, length) = if ipv6 { (8, 16) } else { (7, 4) };
    const INTERVAL: u32 = 4;
    batch.make(Kind::NewSet, |attributes| {
        attributes.text(1, TABLE).text(2, name).number(3, INTERVAL).number(4, kind).number(5, length);
        attributes.number(10, id);
    });
}

fn fill_set(batch: &mut Batch, name: &str, ranges: &[Range]) {
    // Where a range begins, and where what follows it does.
    let mut edges: Vec<(IpAddr, bool)> = Vec::new();
    for (first, last) in ranges {
        edges.push((*first, false));
        edges.extend(next(*last).map(|after| (after, true)));
    }
    for some in edges.chunks(ELEMENTS) {
        batch.make(Kind::NewElements, |attributes| {
            attributes.text(1, TABLE).text(2, name);
            attributes.nested(3, |list| {
                for (ip, is_end) in some {
                    list.nested(1, |element| {
                        if *is_end {
                            element.number(3, 1);
                        }
                        element.nested(1, |key| {
                            match ip {
                                IpAddr::V4(ip) => key.octets(1, &ip.octets()),
                                IpAddr::V6(ip) => key.octets(1, &ip.octets()),
                            };
                        });
                    });
                }
            });
        });
    }
}

fn rule(batch: &mut Batch, fill: impl FnOnce(&mut Rule<'_, '_>)) {
    batch.make(Kind::NewRule, |attributes| {
        attributes.text(1, TABLE).text(2, CHAIN);
        attributes.nested(4, |list| fill(&mut Rule(list)));
    });
}

/// `NFT_REG_VERDICT`, `NFT_REG_1`.
const VERDICT: u32 = 0;
const REGISTER: u32 = 1;

/// The expressions of a rule, in their order: one that is not true ends it.
struct Rule<'r, 'o>(&'r mut Attributes<'o>);

impl Rule<'_, '_> {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.0.nested(1, |element| {
            element.text(1, name).nested(2, fill);
        });
        self
    }

    fn meta(&mut self, key: u32) -> &mut Self {
        self.expression("meta", |data| {
            data.number(2, key).number(1, REGISTER);
        })
    }

    fn equal(&mut self, value: &[u8]) -> &mut Self {
        self.compare(0, value)
    }

    fn not_equal(&mut self, value: &[u8]) -> &mut Self {
        self.compare(1, value)
    }

    /// `operator`: `NFT_CMP_*`.
    fn compare(&mut self, operator: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", |data| {
            data.number(1, REGISTER).number(2, operator).nested(3, |constant| {
                constant.octets(1, value);
            });
        })
    }

    fn between(&mut self, first: &[u8], last: &[u8]) -> &mut Self {
        self.expression("range", |data| {
            data.number(1, REGISTER).number(2, 0);
            for (kind, value) in [(3, first), (4, last)] {
                data.nested(kind, |constant| {
                    constant.octets(1, value);
                });
            }
        })
    }

    fn family(&mut self, ipv6: bool) -> &mut Self {
        // NFPROTO_IPV4, NFPROTO_IPV6.
        self.meta(META_FAMILY).equal(&[if ipv6 { 10 } else { 2 }])
    }

    /// `base`: 1 the network header, 2 the transport's. In octets.
    fn payload(&mut self, base: u32, offset: u32, length: u32) -> &mut Self {
        self.expression("payload", |data| {
            data.number(1, REGISTER).number(2, base).number(3, offset).number(4, length);
        })
    }

    fn transport(&mut self, offset: u32, length: u32) -> &mut Self {
        self.payload(2, offset, length)
    }

    fn lookup(&mut self, set: &str) -> &mut Self {
        self.expression("lookup", |data| {
            data.text(1, set).number(2, REGISTER);
        })
    }

    fn counted(&mut self) -> &mut Self {
        self.expression("counter", |_| {})
    }

    fn verdict(&mut self, code: u32) {
        self.expression("immediate", |data| {
            data.number(1, VERDICT).nested(2, |value| {
                value.nested(2, |verdict| {
                    verdict.number(1, code);
                });
            });
        });
    }
}
