//! The attributes of a CFG_REPLY, as kind, length and value of 16 bits, 8 bits and that many octets: what is made of them keeps its
//! limits, holds nothing twice, and reads the same when it is sent on. What becomes of it on this machine names no gateway inside.

use ikeep::plan::{MAX_DNS, MAX_NAMES, MAX_NETS, MAX_NOTES, Network, Plan, Wishes};
use std::net::SocketAddr;

/// One input.
pub(crate) fn check(data: &[u8]) {
    let (mut attributes, mut rest) = (Vec::new(), data);
    while let [k1, k0, length, after @ ..] = rest {
        let (value, next) = after.split_at(usize::from(*length).min(after.len()));
        // Mostly numbers that mean something.
        let kind = match *k1 {
            0..=99 => u16::from(*k0 % 32),
            100..=199 => 28_672 + u16::from(*k0 % 64),
            _ => u16::from_be_bytes([*k1, *k0]),
        };
        attributes.push((kind, value));
        rest = next;
    }
    let (mut plan, notes) = Plan::from_reply(attributes);
    assert!(notes.len() <= MAX_NOTES && plan.dns.len() <= MAX_DNS);
    assert!(plan.include.len() <= MAX_NETS && plan.exclude.len() <= MAX_NETS);
    assert!(plan.split_dns.len() <= MAX_NAMES);

    let gateway: SocketAddr = "192.0.2.1:4500".parse().expect("an address");
    for local_lan in [false, true] {
        let network = Network::new(&plan, Wishes { local_lan, bypass: false }, &[gateway], 1_400);
        assert_eq!(network.gateways, [gateway]);
        for list in [&network.include, &network.exclude] {
            assert!(list.is_sorted_by(|a, b| a < b), "sorted, and nothing twice");
        }
        assert!(local_lan || !network.local_lan, "only where the user wants it");
    }

    let attributes = plan.to_attributes();
    let (again, _) = Plan::from_reply(attributes.iter().map(|(kind, value)| (*kind, &value[..])));
    // There is no attribute for them.
    plan.exclude.retain(|net| net.address.is_ipv4());
    assert_eq!(again, plan);
}
