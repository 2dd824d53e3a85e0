//! Questions to the kernel by route netlink, one at a time: the route of a packet that would leave now, and an interface's MTU.
//!
//! It answers while it is asked, so nothing waits. No privilege is needed, but a sandbox may forbid it.

use crate::plan::MARK;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Of linux/netlink.h and linux/rtnetlink.h.
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MARK: u16 = 16;
const RTA_IP_PROTO: u16 = 27;
const RTA_DPORT: u16 = 29;
const RTAX_MTU: u16 = 2;
const IFLA_MTU: u16 = 4;
/// Types of routes that packets of ours can take: RTN_UNICAST, RTN_LOCAL, RTN_ANYCAST.
const CARRY: [u8; 3] = [1, 2, 4];
const UDP: u8 = 17;
/// Lengths of `nlmsghdr`, `rtmsg`, `ifinfomsg` and `rtattr`.
const HEADER: usize = 16;
const ROUTE: usize = 12;
const LINK: usize = 16;
const ATTRIBUTE: usize = 4;
/// Where `rtmsg` has its `rtm_type`, and `ifinfomsg` its index.
const ROUTE_TYPE: usize = HEADER + 7;
const LINK_INDEX: usize = 4;
/// Room for an answer; of a longer one the beginning is read, which holds what is asked for.
const ANSWER: usize = 16 << 10;

/// A route as the kernel tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Route {
    /// The source address that it would choose; `None` where one was given.
    pub(super) source: Option<IpAddr>,
    /// Index of the interface; 0: not told.
    pub(super) interface: u32,
    /// The MTU of the path, where it is known to be another than the interface's.
    pub(super) mtu: Option<u32>,
}

/// How UDP to `to` would leave from a socket that is marked with [`MARK`], as those of a tunnel of ours are, so that the
/// tunnel's own rules leave it alone. `from`: the socket is bound to this address; `interface`: and to this one, unless 0.
/// `None`: it would not leave.
///
/// # Errors
/// The kernel cannot be asked.
pub(super) fn route(to: SocketAddr, from: Option<IpAddr>, interface: u32) -> io::Result<Option<Route>> {
    match ask(&route_question(to, from, interface))?.and_then(|answer| route_in(&answer)) {
        Ok(route) => Ok(route),
        Err(error) if is_no_way(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The MTU of an interface, octets.
///
/// # Errors
/// The kernel cannot be asked, or has no such interface.
pub(super) fn mtu(interface: u32) -> io::Result<Option<u32>> {
    let mut body = vec![0; LINK];
    body[LINK_INDEX..LINK_INDEX + 4].copy_from_slice(&interface.to_ne_bytes());
    let answer = ask(&message(RTM_GETLINK, body))??;
    let attributes = body_of(&answer, RTM_NEWLINK, LINK)?;
    Ok(attribute(attributes, IFLA_MTU).and_then(|mtu| word(mtu, 0)))
}

/// True where the kernel, asked for a way, says that there is none.
pub(super) fn is_no_way(error: &io::Error) -> bool {
    let no_way = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::ADDRNOTAVAIL,
        Errno::AFNOSUPPORT,
        // A route of type prohibit or unreachable, or one without a source address of this family.
        Errno::ACCESS,
        Errno::PERM,
        Errno::INVAL,
    ];
    error.raw_os_error().is_some_and(|code| no_way.iter().any(|errno| errno.raw_os_error() == code))
}

/// The kernel's answer; the outer error: it cannot be asked; the inner one: its own refusal.
fn ask(question: &[u8]) -> io::Result<io::Result<Vec<u8>>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, question, SendFlags::DONTWAIT, &kernel)?;
    let mut answer = vec![0; ANSWER];
    let (length, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::DONTWAIT)?;
    answer.truncate(length);
    Ok(refusal_in(&answer).map_or(Ok(answer), Err))
}

fn route_question(to: SocketAddr, from: Option<IpAddr>, interface: u32) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (to_ip, from) = (octets(to.ip()), from.map(octets));
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bits = |ip: &[u8]| u8::try_from(ip.len() * 8).unwrap_or(u8::MAX);

    let mut body = vec![0; ROUTE];
    body[0] = family.as_raw().to_le_bytes()[0];
    body[1] = bits(&to_ip);
    body[2] = from.as_deref().map_or(0, bits);
    let (mark, interface_octets) = (MARK.to_ne_bytes(), interface.to_ne_bytes());
    let attributes = [
        (RTA_DST, Some(&to_ip[..])),
        (RTA_SRC, from.as_deref()),
        (RTA_OIF, (interface != 0).then_some(&interface_octets[..])),
        (RTA_MARK, Some(&mark[..])),
        (RTA_IP_PROTO, Some(&[UDP][..])),
        (RTA_DPORT, Some(&to.port().to_be_bytes()[..])),
    ];
    for (kind, value) in attributes {
        let Some(value) = value else { continue };
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
        body.extend(length.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    message(RTM_GETROUTE, body)
}

fn message(kind: u16, body: Vec<u8>) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port: this socket asks one question, and the kernel fills the port in.
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn refusal_in(answer: &[u8]) -> Option<io::Error> {
    if half(answer, 4) != Some(NLMSG_ERROR) {
        return None;
    }
    Some(match word(answer, HEADER) {
        Some(code) => io::Error::from_raw_os_error(code.cast_signed().saturating_neg()),
        None => io::ErrorKind::InvalidData.into(),
    })
}

/// The attributes of an answer of this kind, behind `fixed` octets.
fn body_of(answer: &[u8], kind: u16, fixed: usize) -> io::Result<&[u8]> {
    match half(answer, 4) {
        Some(found) if found == kind => Ok(answer.get(HEADER + fixed..).unwrap_or_default()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The route in the kernel's answer; `None` where it is one that carries nothing.
fn route_in(answer: &[u8]) -> io::Result<Option<Route>> {
    let attributes = body_of(answer, RTM_NEWROUTE, ROUTE)?;
    if !answer.get(ROUTE_TYPE).is_some_and(|kind| CARRY.contains(kind)) {
        return Ok(None);
    }
    let address = |octets: &[u8]| match octets.len() {
        4 => octets.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        16 => octets.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    };
    let number = |octets: &[u8]| word(octets, 0);
    let metrics = attribute(attributes, RTA_METRICS).unwrap_or_default();
    Ok(Some(Route {
        source: attribute(attributes, RTA_PREFSRC).and_then(address),
        interface: attribute(attributes, RTA_OIF).and_then(number).unwrap_or_default(),
        mtu: attribute(metrics, RTAX_MTU).and_then(number).filter(|mtu| *mtu > 0),
    }))
}

/// The first attribute of this kind; of what is cut off or makes no sense nothing is read.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let length = usize::from(length);
        let value = rest.get(ATTRIBUTE..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*octets.get(at..)?.first_chunk()?))
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*octets.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_says_all_that_rules_may_ask_for() {
        let to = "[fe80::1]:500".parse().unwrap();
        let bare = route_question(to, None, 0);
        assert_eq!(bare.len(), 16 + 12 + 20 + 8 + 8 + 8);
        assert!(bare.windows(4).any(|octets| octets == MARK.to_ne_bytes()), "the mark");
        let bound = route_question(to, Some("fe80::2".parse().unwrap()), 7);
        assert_eq!(
            bound.len(),
            bare.len() + 20 + 8,
            "and the source and the interface, where they are fixed"
        );
    }

    #[test]
    fn refusals_say_why_with_the_kernels_own_number() {
        let mut refusal = 36_u32.to_ne_bytes().to_vec();
        refusal.extend(NLMSG_ERROR.to_ne_bytes());
        refusal.resize(HEADER, 0);
        assert_eq!(refusal_in(&refusal).unwrap().kind(), io::ErrorKind::InvalidData);
        refusal.extend((-101_i32).to_ne_bytes());
        let error = refusal_in(&refusal).unwrap();
        assert_eq!(error.raw_os_error(), Some(101));
        assert!(is_no_way(&error));
    }

    #[test]
    fn the_kernel_knows_the_loopback() {
        let to: SocketAddr = "127.0.0.2:500".parse().unwrap();
        let found = route(to, None, 0).unwrap().unwrap();
        assert_eq!(found.source, Some("127.0.0.1".parse().unwrap()));
        assert!(mtu(found.interface).unwrap().is_some_and(|mtu| mtu > 1280));
        assert!(mtu(u32::MAX >> 1).is_err(), "no such interface");
        assert_eq!(route("255.255.255.255:500".parse().unwrap(), None, 0).unwrap(), None, "broadcast");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(mut answer in proptest::collection::vec(any::<u8>(), 0..200), whole: bool) {
            if whole && answer.len() > ROUTE_TYPE {
                answer[4..6].copy_from_slice(&RTM_NEWROUTE.to_ne_bytes());
                answer[ROUTE_TYPE] = 1;
                prop_assert!(route_in(&answer).unwrap().is_some());
            }
            let _ = (route_in(&answer), refusal_in(&answer), body_of(&answer, RTM_NEWLINK, LINK));
        }
    }
}
