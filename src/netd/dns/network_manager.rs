//! NetworkManager, where it makes resolv.conf: its global DNS configuration.
//!
//! That is what it offers to somebody whose device is not its own: the settings of a device of ours could be given only by
//! letting it manage the device, and then it would set addresses and routes, too. The global configuration stands in for what
//! every connection was told, so what was there is brought back, and NetworkManager keeps it over a restart: a helper that
//! finds it in its journal after a reboot takes it back.

use super::disk::Disk;
use super::journal::Journal;
use super::text::domain;
use super::{DnsError, Outcome, Places};
use crate::plan::Dns;
use crate::sense::bus::{At, Service};
use crate::sense::outside::{self, NETWORK_MANAGER_MANAGER as MANAGER};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use zbus::zvariant::{Dict, OwnedValue, Signature, Value};

const PROPERTY: &str = "GlobalDnsConfiguration";
const DNS_MANAGER: At<'static> = At {
    path: "/org/freedesktop/NetworkManager/DnsManager",
    interface: "org.freedesktop.NetworkManager.DnsManager",
};

/// Every name that no other entry covers.
const EVERY: &str = "*";

/// What has to be known to bring the configuration back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    before: Global,
    /// What we wrote, or were about to write, and how it reads back; the last one last.
    wrote: Vec<Global>,
}

/// Configurations of ours that are remembered.
const MAX_TEXTS: usize = 4;

/// The global DNS configuration; empty: there is none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Global {
    searches: Vec<String>,
    options: Vec<String>,
    domains: BTreeMap<String, Domain>,
}

/// Who is asked for the names under a domain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    servers: Vec<String>,
    options: Vec<String>,
}

/// # Errors
/// It refuses, as it does where its own files have such a configuration, or does not answer in time; nothing is changed then.
pub(super) async fn apply(
    service: &Service,
    places: &Places,
    disk: &dyn Disk,
    journal: &mut Journal,
    dns: &Dns,
) -> Result<Outcome, DnsError> {
    let now = Global::read(service).await?;
    let saved = journal.network_manager.clone();
    let before = match &saved {
        Some(saved) if saved.wrote.contains(&now) => saved.before.clone(),
        // Somebody has set another: that is the one to come back.
        _ => now.clone(),
    };
    let networks = outside::network_manager(service).await.map_err(error)?;
    let mut outcome = Outcome { outside: networks.dns_servers.clone(), ..Outcome::default() };
    if let Some(every) = before.domains.get(EVERY) {
        outcome.outside = every.servers.iter().filter_map(|server| server.parse().ok()).collect();
    }
    let mode: String = service.get(DNS_MANAGER, "Mode").await.unwrap_or_default();
    outcome.split = !dns.only.is_empty()
        && matches!(&*mode, "dnsmasq" | "systemd-resolved")
        && !outcome.outside.is_empty();
    if !outcome.split && !dns.only.is_empty() {
        outcome.notes.push(format!(
            "NetworkManager asks one list of servers (its dns plugin is {mode:?}, not dnsmasq): those of the tunnel are asked \
             every name, not only those under {}",
            dns.only.join(", ")
        ));
    }
    let wanted = Global::wanted(&before, dns, &networks.domains, &mut outcome);
    if now == wanted && saved.is_some() {
        return Ok(outcome);
    }
    let was = journal.clone();
    let mut wrote = saved.map(|saved| saved.wrote).unwrap_or_default();
    wrote.push(wanted.clone());
    let surplus = wrote.len().saturating_sub(MAX_TEXTS);
    wrote.drain(..surplus);
    journal.network_manager = Some(Saved { before: before.clone(), wrote: wrote.clone() });
    journal.save(&places.state, disk)?;
    if let Err(error) = wanted.write(service).await {
        // An answer that came too late may still be a yes.
        if Global::read(service).await.is_ok_and(|read| read == now) {
            *journal = was;
            journal.save(&places.state, disk)?;
        }
        return Err(error);
    }
    let read = Global::read(service).await?;
    if read != wanted {
        wrote.push(read);
        journal.network_manager = Some(Saved { before, wrote });
        journal.save(&places.state, disk)?;
    }
    Ok(outcome)
}

/// Brings back what was there, unless somebody has set another since.
///
/// # Errors
/// It refuses, or does not answer in time.
pub(super) async fn revert(service: &Service, saved: &Saved) -> Result<(), DnsError> {
    let now = Global::read(service).await?;
    if saved.wrote.contains(&now) { saved.before.write(service).await } else { Ok(()) }
}

fn error(source: impl Into<zbus::Error>) -> DnsError {
    DnsError::Service { service: "NetworkManager", source: Box::new(source.into()) }
}

impl Global {
    /// `names`: the search domains of the networks outside.
    fn wanted(before: &Self, dns: &Dns, names: &[String], outcome: &mut Outcome) -> Self {
        let texts = |servers: &[IpAddr]| Domain {
            servers: servers.iter().map(ToString::to_string).collect(),
            options: Vec::new(),
        };
        let mut wanted = Self { options: before.options.clone(), ..Self::default() };
        let every = if outcome.split { texts(&outcome.outside) } else { texts(&dns.servers) };
        wanted.domains.insert(EVERY.to_owned(), every);
        let mut good = |name: &String| {
            let found = domain(name);
            if found.is_none() {
                outcome.notes.push(format!("{name:?} is no domain's name: left out"));
            }
            found
        };
        let search: Vec<String> = dns.search.iter().filter_map(&mut good).collect();
        let only: Vec<String> = dns.only.iter().filter_map(&mut good).collect();
        for name in search.iter().chain(&before.searches).chain(names) {
            if !wanted.searches.contains(name) {
                wanted.searches.push(name.clone());
            }
        }
        if outcome.split {
            let tunnel = texts(&dns.servers);
            wanted.domains.extend(only.into_iter().chain(search).map(|name| (name, tunnel.clone())));
        }
        wanted
    }

    async fn read(service: &Service) -> Result<Self, DnsError> {
        let value: OwnedValue = service.get(MANAGER, PROPERTY).await.map_err(error)?;
        let mut global = Self::default();
        let Value::Dict(entries) = &*value else { return Ok(global) };
        for (key, value) in entries.iter() {
            match (text(key).unwrap_or_default(), plain(value)) {
                ("searches", value) => global.searches = texts(value),
                ("options", value) => global.options = texts(value),
                ("domains", Value::Dict(domains)) => {
                    let domains = domains.iter().filter_map(|(name, value)| {
                        let Value::Dict(entries) = plain(value) else { return None };
                        let mut domain = Domain::default();
                        for (key, value) in entries.iter() {
                            match text(key) {
                                Some("servers") => domain.servers = texts(plain(value)),
                                Some("options") => domain.options = texts(plain(value)),
                                _ => {}
                            }
                        }
                        Some((text(name)?.to_owned(), domain))
                    });
                    global.domains = domains.collect();
                }
                _ => {}
            }
        }
        Ok(global)
    }

    async fn write(&self, service: &Service) -> Result<(), DnsError> {
        let value = self.value().map_err(error)?;
        service.set(MANAGER, PROPERTY, value).await.map_err(error)
    }

    fn value(&self) -> zbus::zvariant::Result<Value<'static>> {
        let mut domains = dictionary();
        for (name, domain) in &self.domains {
            let mut entries = dictionary();
            add(&mut entries, "servers", domain.servers.clone().into())?;
            if !domain.options.is_empty() {
                add(&mut entries, "options", domain.options.clone().into())?;
            }
            add(&mut domains, name, entries.into())?;
        }
        let mut all = dictionary();
        for (key, list) in [("searches", &self.searches), ("options", &self.options)] {
            if !list.is_empty() {
                add(&mut all, key, list.clone().into())?;
            }
        }
        if !self.domains.is_empty() {
            add(&mut all, "domains", domains.into())?;
        }
        Ok(all.into())
    }
}

/// `a{sv}`.
fn dictionary() -> Dict<'static, 'static> {
    Dict::new(&Signature::Str, &Signature::Variant)
}

fn add(
    dictionary: &mut Dict<'static, 'static>,
    key: &str,
    value: Value<'static>,
) -> zbus::zvariant::Result<()> {
    dictionary.append(key.to_owned().into(), Value::Value(Box::new(value)))
}

fn plain<'a>(value: &'a Value<'a>) -> &'a Value<'a> {
    match value {
        Value::Value(inner) => inner,
        other => other,
    }
}

fn text<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    match value {
        Value::Str(text) => Some(text.as_str()),
        _ => None,
    }
}

fn texts(value: &Value<'_>) -> Vec<String> {
    let Value::Array(array) = value else { return Vec::new() };
    array.iter().filter_map(|value| text(value).map(str::to_owned)).collect()
}
