//! CFG_REPLY: only what was asked for (RFC 7296 3.15, PROTOCOL section 4).

use super::GatewayConfig;
use super::sessions::Session;
use crate::ike::message::{ConfigAttribute, Configuration, cfg_kind};
use crate::plan::{Plan, attribute};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The addresses a CFG_REQUEST asks for; an all-zero or empty value means any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct AddressRequest {
    /// IPv4 was asked for; a certain address.
    pub(super) v4: Option<Option<Ipv4Addr>>,
    /// IPv6 was asked for; a certain address.
    pub(super) v6: Option<Option<Ipv6Addr>>,
}

impl AddressRequest {
    /// Reads a CFG_REQUEST.
    pub(super) fn of(request: &Configuration) -> Self {
        let v4 =
            request.find(attribute::IP4_ADDRESS).map(|v| v.first_chunk::<4>().map(|a| Ipv4Addr::from(*a)));
        let v6 =
            request.find(attribute::IP6_ADDRESS).map(|v| v.first_chunk::<16>().map(|a| Ipv6Addr::from(*a)));
        Self {
            v4: v4.map(|a| a.filter(|a| !a.is_unspecified())),
            v6: v6.map(|a| a.filter(|a| !a.is_unspecified())),
        }
    }
}

/// The answer for this session: the attributes whose number the request names.
pub(super) fn reply(config: &GatewayConfig, request: &Configuration, session: &Session) -> Configuration {
    let plan = Plan {
        address4: Some(session.address4),
        prefix4: Some(32),
        address6: session.address6.map(|address| (address, 128)),
        dns: config.dns.clone(),
        domains: config.domain.iter().cloned().collect(),
        include: config.include.clone(),
        exclude: config.exclude.clone(),
        banner: config.banner.clone(),
        backup_servers: config.backup_servers.clone(),
        gateway_version: Some(concat!("ikeep gateway ", env!("CARGO_PKG_VERSION")).into()),
        ..Plan::default()
    };
    let dialect = &config.dialect;
    let mut all = plan.to_attributes();
    if let Some(credentials) = &session.credentials {
        all.push((dialect.session_id_attribute, credentials.id.clone().into_bytes()));
        all.push((dialect.session_token_attribute, credentials.token.expose().to_vec()));
    }
    let times = [
        (dialect.window_attribute, config.reconnect_timeout),
        (dialect.dpd_interval_attribute, Some(config.dpd.interval)),
    ];
    for (kind, time) in times {
        let seconds = time.map(|t| u32::try_from(t.as_secs()).unwrap_or(u32::MAX));
        all.extend(kind.zip(seconds).map(|(kind, seconds)| (kind, seconds.to_be_bytes().to_vec())));
    }
    let attributes = all.into_iter().filter(|(kind, _)| request.find(*kind).is_some());
    let attributes = attributes.map(|(kind, value)| ConfigAttribute { kind, value }).collect();
    Configuration { kind: cfg_kind::REPLY, attributes }
}

#[cfg(test)]
mod tests;
