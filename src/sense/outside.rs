//! What the networks outside our own tunnel say about themselves, where a service mixes both into one file and knows better.

use super::Networks;
use super::bus::{At, Service};
use super::resolv_conf::{MAX_DOMAINS, MAX_SERVERS, domain};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use std::net::IpAddr;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

/// What the names of our devices begin with.
pub const DEVICE: &str = "ikeep";

/// systemd-resolved on the bus.
pub const RESOLVED: &str = "org.freedesktop.resolve1";
/// Where it is asked.
pub const RESOLVED_MANAGER: At<'static> =
    At { path: "/org/freedesktop/resolve1", interface: "org.freedesktop.resolve1.Manager" };

/// NetworkManager on the bus.
pub const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";
/// Where it is asked.
pub const NETWORK_MANAGER_MANAGER: At<'static> =
    At { path: "/org/freedesktop/NetworkManager", interface: NETWORK_MANAGER };

/// Devices that NetworkManager is asked about.
const MAX_DEVICES: usize = 32;
/// `NM_DEVICE_STATE_ACTIVATED`.
const ACTIVATED: u32 = 100;

/// What systemd-resolved knows of the links but our own, and of none.
///
/// # Errors
/// It does not answer, or not in time.
pub async fn resolved(service: &Service) -> zbus::Result<Networks> {
    let servers: Vec<(i32, i32, Vec<u8>)> = service.get(RESOLVED_MANAGER, "DNS").await?;
    let domains: Vec<(i32, String, bool)> = service.get(RESOLVED_MANAGER, "Domains").await?;
    let mut networks = Networks::default();
    for (link, _family, octets) in servers {
        networks.add_server(address(&octets).filter(|_| !is_ours(link)));
    }
    for (link, name, only_a_route) in domains {
        networks.add_domain(Some(name).filter(|_| !only_a_route && !is_ours(link)));
    }
    Ok(networks)
}

/// Whether settings for everything, as those of our own tunnel, stand in for what NetworkManager was told by the networks.
pub async fn is_overruled(service: &Service) -> bool {
    let settings: zbus::Result<OwnedValue> =
        service.get(NETWORK_MANAGER_MANAGER, "GlobalDnsConfiguration").await;
    settings
        .is_ok_and(|settings| matches!(&*settings, Value::Dict(settings) if settings.iter().next().is_some()))
}

/// What NetworkManager's devices but our own were told, whatever global settings say.
///
/// # Errors
/// It does not answer, or not in time.
pub async fn network_manager(service: &Service) -> zbus::Result<Networks> {
    let mut networks = Networks::default();
    let devices: Vec<OwnedObjectPath> = service.get(NETWORK_MANAGER_MANAGER, "Devices").await?;
    for device in devices.iter().take(MAX_DEVICES) {
        let at = At { path: device.as_str(), interface: "org.freedesktop.NetworkManager.Device" };
        let name: String = service.get(at, "Interface").await?;
        let state: u32 = service.get(at, "State").await?;
        if name.starts_with(DEVICE) || state != ACTIVATED {
            continue;
        }
        for family in ["4", "6"] {
            let config: OwnedObjectPath = service.get(at, &format!("Ip{family}Config")).await?;
            if config.as_str() == "/" {
                continue;
            }
            let interface = format!("org.freedesktop.NetworkManager.IP{family}Config");
            let at = At { path: config.as_str(), interface: &interface };
            if family == "4" {
                let servers: Vec<OwnedValue> = service.get(at, "NameserverData").await?;
                for server in &servers {
                    networks.add_server(entry(server, "address").and_then(|text| text.parse().ok()));
                }
            } else {
                let servers: Vec<Vec<u8>> = service.get(at, "Nameservers").await?;
                for server in servers {
                    networks.add_server(address(&server));
                }
            }
            // A connection's own search list stands in for the domains that the network gave.
            let mut names: Vec<String> = service.get(at, "Searches").await?;
            if names.is_empty() {
                names = service.get(at, "Domains").await?;
            }
            for name in names {
                networks.add_domain(Some(name));
            }
        }
    }
    Ok(networks)
}

impl Networks {
    fn add_server(&mut self, server: Option<IpAddr>) {
        let known = |server: &IpAddr| self.dns_servers.contains(server);
        if let Some(server) = server.filter(|server| !known(server))
            && self.dns_servers.len() < MAX_SERVERS
        {
            self.dns_servers.push(server);
        }
    }

    fn add_domain(&mut self, name: Option<String>) {
        let known = |name: &String| self.domains.contains(name);
        if let Some(name) = name.and_then(|name| domain(&name)).filter(|name| !known(name))
            && self.domains.len() < MAX_DOMAINS
        {
            self.domains.push(name);
        }
    }
}

/// The device of this index (of this network namespace) is one of ours. Without one, as global settings, it is not.
fn is_ours(index: i32) -> bool {
    let name = u32::try_from(index).ok().filter(|index| *index > 0).and_then(device_name);
    name.is_some_and(|name| name.starts_with(DEVICE))
}

/// The name of the device with this index in this network namespace; `None`: there is none.
pub fn device_name(index: u32) -> Option<String> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    netdevice::index_to_name(socket, index).ok()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(octets).ok().map(IpAddr::from))
}

/// An entry of a dictionary, if it is a text.
fn entry(dictionary: &OwnedValue, wanted: &str) -> Option<String> {
    let Value::Dict(dictionary) = &**dictionary else { return None };
    dictionary.get::<_, String>(&wanted).ok().flatten()
}
