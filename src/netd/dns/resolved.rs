//! systemd-resolved: servers and domains of a link, which go with the link.

use super::text::domain;
use super::{DnsError, Outcome};
use crate::plan::Dns;
use crate::sense::bus::Service;
use crate::sense::outside::{self, RESOLVED_MANAGER};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// `AF_INET` and `AF_INET6`.
const FAMILIES: (i32, i32) = (2, 10);

/// Whose settings are to be taken back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    pub(super) device: String,
    pub(super) index: u32,
}

/// Gives the link its settings, whatever they were.
///
/// # Errors
/// It refuses, or does not answer in time; the link has no settings then.
pub(super) async fn apply(service: &Service, link: &Saved, dns: &Dns) -> Result<Outcome, DnsError> {
    let mut outcome = Outcome { split: !dns.only.is_empty(), ..Outcome::default() };
    if let Err(error) = set(service, link, dns, &mut outcome.notes).await {
        let _ = revert(service, link).await;
        return Err(DnsError::Service { service: "systemd-resolved", source: error.into() });
    }
    match outside::resolved(service).await {
        Ok(networks) => outcome.outside = networks.dns_servers,
        Err(error) => outcome.notes.push(format!("the servers of the other links are not known: {error}")),
    }
    Ok(outcome)
}

async fn set(service: &Service, link: &Saved, dns: &Dns, notes: &mut Vec<String>) -> zbus::Result<()> {
    let index = i32::try_from(link.index).map_err(|_| zbus::Error::Failure("no such link".to_owned()))?;
    let every = dns.only.is_empty();
    let mut domains: Vec<(String, bool)> = Vec::new();
    for (name, only_a_route) in
        dns.search.iter().map(|name| (name, false)).chain(dns.only.iter().map(|name| (name, true)))
    {
        match domain(name) {
            // A domain that names are completed with is asked there, too.
            Some(name) if domains.iter().any(|(known, _)| *known == name) => {}
            Some(name) => domains.push((name, only_a_route)),
            None => notes.push(format!("{name:?} is no domain's name: left out")),
        }
    }
    if every {
        domains.push((".".to_owned(), true));
    }
    let servers: Vec<(i32, Vec<u8>)> = dns
        .servers
        .iter()
        .map(|server| match server {
            IpAddr::V4(ip) => (FAMILIES.0, ip.octets().to_vec()),
            IpAddr::V6(ip) => (FAMILIES.1, ip.octets().to_vec()),
        })
        .collect();
    // What may be asked comes before whom to ask: at no moment do other names go to the tunnel's servers.
    service.call(RESOLVED_MANAGER, "SetLinkDefaultRoute", &(index, every)).await?;
    service.call(RESOLVED_MANAGER, "SetLinkDomains", &(index, domains)).await?;
    service.call(RESOLVED_MANAGER, "SetLinkDNS", &(index, servers)).await?;
    // Neighbours are not asked through a tunnel. A resolved without these protocols has nothing to turn off.
    for protocol in ["SetLinkLLMNR", "SetLinkMulticastDNS"] {
        let _ = service.call(RESOLVED_MANAGER, protocol, &(index, "no")).await;
    }
    Ok(())
}

/// Takes the link's settings back. A link that is gone has taken its settings with it.
///
/// # Errors
/// It refuses, or does not answer in time.
pub(super) async fn revert(service: &Service, link: &Saved) -> Result<(), DnsError> {
    if outside::device_name(link.index).is_none_or(|name| name != link.device) {
        return Ok(());
    }
    let Ok(index) = i32::try_from(link.index) else { return Ok(()) };
    match service.call(RESOLVED_MANAGER, "RevertLink", &index).await {
        Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NoSuchLink") => Ok(()),
        other => {
            other.map_err(|source| DnsError::Service { service: "systemd-resolved", source: source.into() })
        }
    }
}
