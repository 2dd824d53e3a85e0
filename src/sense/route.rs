//! The one question: by which way would an address of the gateway be reached now?

use super::Way;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The way that the kernel would choose towards `to`, by its routes and rules of this moment; `None` where there is none.
/// Nothing is sent.
///
/// # Errors
/// The kernel cannot be asked: no descriptor is left, or no memory.
pub fn way_to(to: SocketAddr) -> io::Result<Option<Way>> {
    let Some(from) = source_for(to)? else { return Ok(None) };
    let interface = match to {
        SocketAddr::V6(to) if to.scope_id() != 0 => to.scope_id(),
        // A way whose interface is not told is a way: a sandbox may forbid netlink.
        _ => interface_for(to, from).unwrap_or_else(|error| {
            tracing::debug!(%error, "the interface towards the gateway is not known");
            0
        }),
    };
    Ok(Some(Way { to, from, interface }))
}

fn source_for(gateway: SocketAddr) -> io::Result<Option<IpAddr>> {
    let any: IpAddr = match gateway {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Without an address family (IPv6 off) there is no way either.
    let socket = match UdpSocket::bind((any, 0)) {
        Err(error) if is_no_way(&error) => return Ok(None),
        other => other?,
    };
    // Connecting a UDP socket looks the route up and fixes the source address.
    match socket.connect(gateway) {
        Ok(()) => Ok(Some(socket.local_addr()?.ip())),
        Err(error) if is_no_way(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_no_way(error: &io::Error) -> bool {
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

/// Of linux/netlink.h and linux/rtnetlink.h.
const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_IP_PROTO: u16 = 27;
const RTA_DPORT: u16 = 29;
const UDP: u8 = 17;
/// Lengths of `nlmsghdr`, `rtmsg` and `rtattr`.
const HEADER: usize = 16;
const ROUTE: usize = 12;
const ATTRIBUTE: usize = 4;

/// The interface by which the kernel would send UDP from this address to that one: two interfaces can carry the same address,
/// and rules may send what comes from an address elsewhere.
fn interface_for(to: SocketAddr, from: IpAddr) -> io::Result<u32> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &question(to, from), SendFlags::DONTWAIT, &kernel)?;
    let mut answer = [0u8; 2048];
    // The kernel answers while it is asked.
    let (_, length) = recv(&socket, &mut answer, RecvFlags::DONTWAIT | RecvFlags::TRUNC)?;
    interface_in(answer.get(..length).unwrap_or_default())
}

fn question(to: SocketAddr, from: IpAddr) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (to_ip, from) = (octets(to.ip()), octets(from));
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let bits = |ip: &[u8]| u8::try_from(ip.len() * 8).unwrap_or(u8::MAX);

    let mut body = vec![0; ROUTE];
    body[0] = family.as_raw().to_le_bytes()[0];
    body[1] = bits(&to_ip);
    body[2] = bits(&from);
    let attributes = [
        (RTA_DST, &to_ip[..]),
        (RTA_SRC, &from[..]),
        (RTA_IP_PROTO, &[UDP][..]),
        (RTA_DPORT, &to.port().to_be_bytes()[..]),
    ];
    for (kind, value) in attributes {
        let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
        body.extend(length.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(RTM_GETROUTE.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port: this socket asks one question, and the kernel fills the port in.
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// The interface in the kernel's answer; 0 where it names none.
fn interface_in(answer: &[u8]) -> io::Result<u32> {
    let cut = || io::Error::from(io::ErrorKind::InvalidData);
    let length = usize::try_from(word(answer, 0).ok_or_else(cut)?).map_err(|_| cut())?;
    let message = answer.get(..length).ok_or_else(cut)?;
    match half(message, 4) {
        Some(RTM_NEWROUTE) => {}
        Some(NLMSG_ERROR) => {
            let code = word(message, HEADER).ok_or_else(cut)?.cast_signed();
            return Err(io::Error::from_raw_os_error(code.saturating_neg()));
        }
        _ => return Err(cut()),
    }
    let mut rest = message.get(HEADER + ROUTE..).unwrap_or_default();
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let length = usize::from(length);
        if length < ATTRIBUTE {
            return Err(cut());
        }
        if kind == RTA_OIF {
            return word(rest, ATTRIBUTE).ok_or_else(cut);
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(0)
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
    fn what_has_no_route_has_no_way() {
        // Class E is not routable on any kernel that has no route for it.
        assert_eq!(way_to("255.255.255.255:500".parse().unwrap()).unwrap(), None);
    }

    #[test]
    fn the_way_to_oneself_is_the_loopback() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let loopback = rustix::net::netdevice::name_to_index(&socket, "lo").unwrap();
        let to = "127.0.0.2:500".parse().unwrap();
        let from = "127.0.0.1".parse().unwrap();
        assert_eq!(way_to(to).unwrap(), Some(Way { to, from, interface: loopback }));
    }

    #[test]
    fn a_link_local_gateway_names_its_interface() {
        assert_eq!(
            question("[fe80::1]:500".parse().unwrap(), "fe80::2".parse().unwrap()).len(),
            16 + 12 + 20 + 20 + 8 + 8
        );
        // Refusals say why, with the kernel's own number.
        let mut refusal = 36_u32.to_ne_bytes().to_vec();
        refusal.extend(NLMSG_ERROR.to_ne_bytes());
        refusal.resize(HEADER, 0);
        refusal.extend((-101_i32).to_ne_bytes());
        refusal.resize(36, 0);
        assert_eq!(interface_in(&refusal).unwrap_err().raw_os_error(), Some(101));
        assert!(interface_in(&refusal[..35]).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(mut answer in proptest::collection::vec(any::<u8>(), 0..200), whole: bool) {
            if whole && answer.len() >= HEADER {
                let length = u32::try_from(answer.len()).unwrap();
                answer[..4].copy_from_slice(&length.to_ne_bytes());
                answer[4..6].copy_from_slice(&RTM_NEWROUTE.to_ne_bytes());
            }
            let _ = interface_in(&answer);
        }
    }
}
