//! The CFG_REQUEST: what the gateway is asked to assign (PROTOCOL section 4).

use super::super::message::ConfigAttribute;
use super::InitiatorConfig;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// MODECFG attribute numbers that are asked for.
const ASKED: [u16; 13] = [2, 3, 10, 13, 15, 25, 28672, 28674, 28675, 28676, 28678, 28681, 28679];

/// The vendor's private range, in which the session's attributes lie (PROTOCOL section 3).
const PRIVATE: RangeInclusive<u16> = 28672..=28735;

/// The old addresses where there are some, everything else empty.
pub(super) fn asked(config: &InitiatorConfig) -> Vec<ConfigAttribute> {
    let mut attributes = Vec::new();
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in &config.addresses {
        match address {
            IpAddr::V4(a) => v4 = a.octets().to_vec(),
            IpAddr::V6(a) => v6 = [&a.octets()[..], &[128]].concat(),
        }
    }
    if config.ipv4 {
        attributes.push(ConfigAttribute { kind: 1, value: v4 });
    }
    if config.ipv6 {
        attributes.push(ConfigAttribute { kind: 8, value: v6 });
    }
    let dialect = &config.dialect;
    attributes.push(ConfigAttribute { kind: 7, value: Vec::new() });
    let private = [Some(dialect.session_id_attribute), Some(dialect.session_token_attribute)];
    let extra = [dialect.window_attribute, dialect.dpd_interval_attribute];
    let kinds = ASKED.into_iter().chain(private.into_iter().chain(extra).flatten());
    attributes.extend(kinds.map(ConfigAttribute::request));
    if config.learn {
        for kind in PRIVATE {
            if attributes.iter().all(|asked| asked.kind != kind) {
                attributes.push(ConfigAttribute::request(kind));
            }
        }
    }
    attributes
}
