//! `HostEntry`: one gateway.

use super::error::{ErrorKind, ProfileError, Warning, WarningKind};
use super::value::*;
use super::xml::Node;
use super::{At, ClientInitialization, Position};

/// Backup servers of one host that are tried.
const MAX_BACKUPS: usize = 16;

/// A gateway of the profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostEntry {
    /// HostName: what people call it.
    pub name: String,
    /// HostAddress: a DNS name or an IP address; the HostName where the file has none.
    pub address: String,
    /// UserGroup.
    pub user_group: Option<String>,
    /// PrimaryProtocol.
    pub primary_protocol: PrimaryProtocol,
    /// StandardAuthenticationOnly; `None` where the file does not say.
    pub standard_authentication_only: Option<bool>,
    /// AuthMethodDuringIKENegotiation as written; [`HostEntry::auth_method`] is what counts.
    pub written_auth_method: Option<AuthMethod>,
    /// IKEIdentity: replaces the value of the first IDi.
    pub ike_identity: Option<String>,
    /// BackupServerList, the host's own.
    pub backup_servers: Vec<String>,
    /// LoadBalancingServerList.
    pub load_balancing_servers: Vec<String>,
    /// The pins that hold for this host: its own and the profile's. Where not empty, one must match.
    pub pins: Vec<Pin>,
    /// Where the entry begins.
    pub at: Position,
}

/// A pinned public key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// SHA-512 of the SubjectPublicKeyInfo.
    pub hash: PinHash,
    /// The certificate's subject, for people.
    pub subject: Option<String>,
    /// Its issuer, for people.
    pub issuer: Option<String>,
}

/// Why a host of a sound profile cannot be used by this client. Exit code 7.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotUsable {
    /// PrimaryProtocol SSL.
    #[error(
        "host {host} speaks SSL (PrimaryProtocol), and this client speaks IKEv2 only: use openconnect or the vendor's \
         client, or ask for a profile with <PrimaryProtocol>IPsec"
    )]
    Ssl {
        /// HostName.
        host: String,
    },
    /// The address carries a port or a path.
    #[error(
        "host {host} has the address {address}, and IKEv2 needs a host name or an IP address without port and path: put a \
         group into <UserGroup>, and ports into the config file under [gateway.\"..\"]"
    )]
    Address {
        /// HostName.
        host: String,
        /// HostAddress.
        address: String,
    },
}

impl HostEntry {
    /// How the user proves themselves: EAP-AnyConnect where StandardAuthenticationOnly is absent or false, else the method
    /// of the file, by default EAP-GTC. `None` for a host that speaks SSL.
    pub fn auth_method(&self) -> Option<AuthMethod> {
        match (self.primary_protocol, self.standard_authentication_only) {
            (PrimaryProtocol::Ssl, _) => None,
            (PrimaryProtocol::Ipsec, Some(true)) => Some(self.written_auth_method.unwrap_or_default()),
            (PrimaryProtocol::Ipsec, _) => Some(AuthMethod::EapAnyConnect),
        }
    }

    /// A host that stands in no file: the user named it, and the profile allows that (AllowManualHostInput). `name` is both
    /// HostName and HostAddress; the rest is as the defaults have it, but IPsec, since this client speaks nothing else.
    pub fn manual(name: &str, client: &ClientInitialization) -> Self {
        Self {
            name: name.to_owned(),
            address: name.to_owned(),
            user_group: None,
            primary_protocol: PrimaryProtocol::Ipsec,
            standard_authentication_only: None,
            written_auth_method: None,
            ike_identity: None,
            backup_servers: Vec::new(),
            load_balancing_servers: Vec::new(),
            pins: client.pins.clone(),
            at: Position { line: 0, column: 0 },
        }
    }

    /// The gateways to try where this one gives no answer, in their order: its own list, or else the profile's, then those of
    /// `told` (by the gateway, in an earlier session). Each once, and 16 at most; the second list: what can be no gateway of
    /// this client's, since it is no plain name or address.
    pub fn backups(&self, client: &ClientInitialization, told: &[String]) -> (Vec<String>, Vec<String>) {
        let own = if self.backup_servers.is_empty() { &client.backup_servers } else { &self.backup_servers };
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for name in own.iter().chain(told) {
            let known = |other: &String| other.eq_ignore_ascii_case(name);
            if known(&self.address) || good.iter().chain(&bad).any(known) || good.len() >= MAX_BACKUPS {
                continue;
            }
            if is_plain(name) { good.push(name.clone()) } else { bad.push(name.clone()) }
        }
        (good, bad)
    }

    /// This host with a backup server in its place: another machine, which must show a certificate of its own name. An entry of
    /// the profile's with that address says what it is called and what is pinned there.
    pub fn backed_by(&self, backup: &str, others: &[Self]) -> Self {
        let entry = others.iter().find(|other| other.address.eq_ignore_ascii_case(backup));
        Self {
            name: entry.map_or(backup, |entry| &entry.name).to_owned(),
            address: backup.to_owned(),
            pins: entry.map_or(&self.pins, |entry| &entry.pins).clone(),
            ..self.clone()
        }
    }

    /// Can this client use the host, and with which method?
    ///
    /// # Errors
    /// A host that speaks SSL, or whose address is not a plain name or IP address.
    pub fn usable(&self) -> Result<AuthMethod, NotUsable> {
        let method = self.auth_method().ok_or_else(|| NotUsable::Ssl { host: self.name.clone() })?;
        if !is_plain(&self.address) {
            return Err(NotUsable::Address { host: self.name.clone(), address: self.address.clone() });
        }
        Ok(method)
    }
}

/// Letters, digits, hyphens and underscores between dots; no limit on what a resolver does with it.
/// A name or an address, without port and path.
fn is_plain(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok() || is_dns_name(address)
}

fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label)
}

pub(super) fn pins(pinning: At<'_>) -> Vec<Pin> {
    let lists = pinning.children("CertificatePinList").flat_map(|list| list.children.iter());
    lists.filter_map(pin).collect()
}

fn pin(node: &Node) -> Option<Pin> {
    let attribute =
        |name| node.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let hash = PinHash::read(&node.text)?;
    Some(Pin { hash, subject: attribute("Subject"), issuer: attribute("Issuer") })
}

pub(super) fn read_all(
    list: At<'_>,
    client: &ClientInitialization,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<HostEntry>, ProfileError> {
    let mut hosts: Vec<HostEntry> = Vec::new();
    let mut first = std::collections::BTreeMap::new();
    for node in list.children("HostEntry") {
        let host = read(At { spec: node.spec, node: Some(node) }, node.at, client, warnings)?;
        match first.get(&host.name.to_ascii_lowercase()) {
            Some(first) => {
                let kind = WarningKind::SameHost { name: host.name.clone(), first: *first };
                warnings.push(Warning { at: host.at, kind });
            }
            None => {
                first.insert(host.name.to_ascii_lowercase(), host.at);
            }
        }
        hosts.push(host);
    }
    Ok(hosts)
}

fn read(
    at: At<'_>,
    position: Position,
    client: &ClientInitialization,
    warnings: &mut Vec<Warning>,
) -> Result<HostEntry, ProfileError> {
    let Label(name) = at.child("HostName").set_value().ok_or_else(|| {
        let (found, expected) =
            ("a <HostEntry> without a <HostName>", "<HostName> with the host's name inside it");
        ProfileError::new(position, ErrorKind::Missing, found, expected)
    })?;
    let address = at.child("HostAddress").set_value().map_or_else(|| name.clone(), |Host(address)| address);
    let protocol = at.child("PrimaryProtocol");
    let standard = protocol.child("StandardAuthenticationOnly");
    let method = standard.child("AuthMethodDuringIKENegotiation").preference();
    let standard_only = standard.set_value();
    if let (Some(at), false) = (method.set, standard_only.unwrap_or(false))
        && method.value != AuthMethod::EapAnyConnect
    {
        warnings.push(Warning { at, kind: WarningKind::MethodWithoutStandard });
    }
    let own = pins(at.child("CertificatePinning"));
    Ok(HostEntry {
        name,
        address,
        user_group: at.child("UserGroup").set_value().map(|Label(group)| group),
        primary_protocol: protocol.value(),
        standard_authentication_only: standard_only,
        written_auth_method: method.set.map(|_| method.value),
        ike_identity: standard.child("IKEIdentity").set_value().map(|Label(identity)| identity),
        backup_servers: at.child("BackupServerList").texts("HostAddress"),
        load_balancing_servers: at.child("LoadBalancingServerList").texts("HostAddress"),
        pins: own.into_iter().chain(client.pins.iter().cloned()).collect(),
        at: position,
    })
}
