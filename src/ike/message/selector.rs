//! The bodies of TSi and TSr (RFC 7296 3.13).

use super::read::{DecodeError, Reader, count, with_length};
use crate::esp::TrafficSelector;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TS_IPV4_ADDR_RANGE: u8 = 7;
const TS_IPV6_ADDR_RANGE: u8 = 8;
/// First above last: "the port is not visible" (OPAQUE, RFC 7296 3.13.1).
const OPAQUE: (u16, u16) = (65_535, 0);

/// Selectors of other types than address ranges are left out: the answer then narrows to the others (RFC 7296 2.9).
pub(super) fn decode(mut reader: Reader<'_>) -> Result<Vec<TrafficSelector>, DecodeError> {
    let (number, _reserved) = (reader.u8()?, reader.array::<3>()?);
    let mut selectors = Vec::new();
    for _ in 0..number {
        let (kind, protocol, length) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let mut selector = reader.inner("traffic selector", length, 4)?;
        if !matches!(kind, TS_IPV4_ADDR_RANGE | TS_IPV6_ADDR_RANGE) {
            continue;
        }
        let ports = (selector.u16()?, selector.u16()?);
        let addresses: (IpAddr, IpAddr) = if kind == TS_IPV4_ADDR_RANGE {
            (selector.array::<4>()?.into(), selector.array::<4>()?.into())
        } else {
            (selector.array::<16>()?.into(), selector.array::<16>()?.into())
        };
        if (ports.0 > ports.1 && ports != OPAQUE) || addresses.0 > addresses.1 {
            return Err(selector.malformed("its range ends before it begins"));
        }
        selector.finish()?;
        selectors.push(TrafficSelector { protocol, ports, addresses });
    }
    reader.finish()?;
    Ok(selectors)
}

/// The body of a TS payload.
pub(super) fn encode(selectors: &[TrafficSelector], out: &mut Vec<u8>) {
    out.extend_from_slice(&[count(selectors.len()), 0, 0, 0]);
    for selector in selectors {
        with_length(out, 2, |out| encode_selector(selector, out));
    }
}

fn encode_selector(selector: &TrafficSelector, out: &mut Vec<u8>) {
    let head = |out: &mut Vec<u8>, kind| {
        out.extend_from_slice(&[kind, selector.protocol, 0, 0]);
        out.extend_from_slice(&selector.ports.0.to_be_bytes());
        out.extend_from_slice(&selector.ports.1.to_be_bytes());
    };
    match selector.addresses {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            head(out, TS_IPV4_ADDR_RANGE);
            out.extend_from_slice(&first.octets());
            out.extend_from_slice(&last.octets());
        }
        (first, last) => {
            let octets = |address| match address {
                IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4).octets(),
                IpAddr::V6(v6) => Ipv6Addr::octets(&v6),
            };
            head(out, TS_IPV6_ADDR_RANGE);
            out.extend_from_slice(&octets(first));
            out.extend_from_slice(&octets(last));
        }
    }
}
