//! What the kernel keeps for a tunnel, as values that can be compared.

use crate::plan::Net;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Priority of the rules that lead into the tunnel: after the kernel's own (local, 0), before everybody's that counts down
/// from main (32766), as wg-quick does.
pub(super) const INTO_TUNNEL: u32 = 20_000;
/// Priority of the rules that lead past it.
pub(super) const PAST_TUNNEL: u32 = INTO_TUNNEL - 1;

/// One thing that the kernel keeps for us.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Item {
    Address(Address),
    Route(Route),
    Rule(Rule),
}

/// An address of the tunnel's device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Address {
    /// Index of the device.
    pub(super) device: u32,
    pub(super) ip: IpAddr,
    pub(super) prefix: u8,
}

/// A route in the tunnel's table, with our protocol number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Route {
    pub(super) to: Net,
    pub(super) metric: u32,
    pub(super) kind: Kind,
}

/// Where a route leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// Into the device of this index.
    Device(u32),
    /// Back to the rules: outside.
    Throw,
    /// Nowhere, with an error to who asked.
    Unreachable,
    /// Something that we do not make.
    Other,
}

/// A rule with our protocol number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rule {
    pub(super) ipv6: bool,
    pub(super) priority: u32,
    pub(super) leads: Leads,
}

/// What a rule is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Leads {
    /// Whatever has not our mark is looked up in the tunnel's table.
    IntoTunnel,
    /// While the gap is open: what has this address of the tunnel's is looked up in the tunnel's table.
    FromTunnel(IpAddr),
    /// UDP to this port is looked up in the main table.
    PastTunnel(SocketAddr),
    /// Something that we do not make, and the table it leads to.
    Elsewhere(u32),
}

/// What is there.
#[derive(Clone, Default, Debug)]
pub(super) struct There {
    /// Ours.
    pub(super) items: BTreeSet<Item>,
    /// Other people's routes in our table.
    pub(super) foreign: Vec<Foreign>,
}

/// Another program's route in the tunnel's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Foreign {
    pub(super) to: Net,
    pub(super) metric: u32,
    pub(super) protocol: u8,
}

impl Route {
    /// A route with the metric of ours: the best that the kernel knows (IPv6 reads 0 as 1024).
    pub(super) fn new(to: Net, kind: Kind) -> Self {
        Self { to, metric: u32::from(to.address.is_ipv6()), kind }
    }

    /// Whether the kernel keeps one of the two only.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        (self.to, self.metric) == (other.to, other.metric)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(Address { ip, prefix, .. }) => write!(f, "the address {ip}/{prefix}"),
            Self::Route(route) => write!(f, "the route {}", route.to),
            Self::Rule(Rule { ipv6, leads, .. }) => {
                let family = if *ipv6 { "IPv6" } else { "IPv4" };
                match leads {
                    Leads::PastTunnel(gateway) => write!(f, "the {family} rule for {gateway}"),
                    Leads::FromTunnel(ip) => write!(f, "the {family} rule for {ip}"),
                    Leads::IntoTunnel | Leads::Elsewhere(_) => write!(f, "the {family} rule of the tunnel"),
                }
            }
        }
    }
}
