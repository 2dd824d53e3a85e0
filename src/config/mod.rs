//! The config file, `$XDG_CONFIG_HOME/ikeep/config.toml` (DESIGN section 5).
//!
//! Unknown keys are errors with line and a suggestion; durations are written "30s". Every error says the
//! file, the line, what is wrong and how to mend it.

mod certificate;
mod duration;
mod error;
pub mod files;
mod keys;
mod load;
pub mod paths;
mod places;
mod portal;
mod ppk;
mod preferences;
pub mod profiles;
mod secret_file;

pub use certificate::{Unusable, certificate_files, read_certificate, read_chain};
pub use duration::parse as parse_duration;
pub use error::ConfigError;
pub use keys::{Section, keys};
pub use load::read_roots;
pub use places::{NoHome, Places};
pub use portal::{MAX_EXPECT, Portal, ProbeUrl, ProbeUrlError};
pub use ppk::read_ppk;
pub use preferences::Preferences;
pub use secret_file::read_secret;

use crate::ike::cert::{IdrCheck, Root, Trust};
use crate::ike::dialect::Dialect;
use crate::ike::message::Identity;
use crate::ike::proposal::Wish;
use crate::profile::{HostEntry, PinHash};
use crate::reconnect::Resumption;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

/// Largest config file that is read, bytes.
pub const MAX_SIZE: usize = 64 << 10;
/// Largest file of roots that is read, bytes.
pub const MAX_ROOTS_SIZE: usize = 1 << 20;

/// Everything the config file says, defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// `[agent]`.
    pub agent: Agent,
    /// `[tunnel]`.
    pub tunnel: TunnelConfig,
    /// `[portal]`.
    pub portal: Portal,
    /// `[preferences]`.
    pub preferences: Preferences,
    /// `[trust]`.
    pub trust: TrustConfig,
    /// `[gateway."HOST"]`, by the profile's HostAddress; see [`Config::gateway`].
    pub gateways: BTreeMap<String, Gateway>,
}

/// Where packets enter and leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// A TUN device; needs the privileged helper.
    Tun,
    /// A local proxy; needs no privilege.
    Proxy,
    /// The IKE SA alone.
    None,
}

/// What leaves this machine by the tunnel or not at all, while a connection is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KillSwitch {
    /// Whatever the routes of the moment say.
    #[default]
    Off,
    /// What the tunnel takes leaves by the tunnel.
    TunnelPrefixes,
    /// Everything does.
    All,
}

/// `[tunnel]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TunnelConfig {
    /// What leaves by the tunnel or not at all. A profile that is always on and closed has [`KillSwitch::All`], whatever is said here.
    pub kill_switch: KillSwitch,
}

/// `[agent]`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// Where packets enter and leave; `None`: a device where there is a helper, else the proxy.
    pub tunnel: Option<Tunnel>,
    /// The local proxy's address and port.
    pub proxy: SocketAddr,
    /// A file with `USER:PASSWORD`, without which nobody uses the proxy; `None`: whoever reaches its port does.
    pub proxy_login: Option<PathBuf>,
    /// The proxy sends into the tunnel also what the gateway's routes do not lead there.
    pub proxy_everything: bool,
    /// The socket of the privileged helper, instead of the usual one.
    pub helper: Option<PathBuf>,
    /// With a full tunnel that has no address of one family: packets of that family go past the tunnel, instead of nowhere.
    pub client_bypass_protocol: bool,
    /// Between liveness requests on an idle IKE SA; 5 s to 1 h.
    #[serde(deserialize_with = "duration::one::<5_000, 3_600_000, _>")]
    pub dpd_interval: Duration,
    /// How long the gateway is thought to keep a lost session, until it says so itself; 1 s to 86400 s.
    #[serde(deserialize_with = "duration::one::<1_000, 86_400_000, _>")]
    pub reconnect_window: Duration,
    /// A folder into which the keys of every SA are written, for Wireshark. Whoever reads it reads the traffic: off unless set.
    pub key_log: Option<PathBuf>,
    /// The PKCS#11 module of URIs that name none; `None`: p11-kit's.
    pub pkcs11_module: Option<PathBuf>,
    /// The program that is asked for passwords where there is no terminal, and its arguments; empty: none.
    #[serde(deserialize_with = "load::program")]
    pub askpass: Vec<String>,
    /// The desktop shows what a person must know.
    pub notifications: bool,
    /// The waits before a refused token is tried again (law 5); at most 16, each 100 ms to 1 h.
    #[serde(deserialize_with = "duration::list::<100, 3_600_000, 16, _>")]
    pub refusal_retry: Vec<Duration>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            tunnel: None,
            helper: None,
            client_bypass_protocol: false,
            proxy: SocketAddr::from(([127, 0, 0, 1], 1080)),
            proxy_login: None,
            proxy_everything: false,
            dpd_interval: Duration::from_secs(30),
            reconnect_window: Duration::from_secs(900),
            key_log: None,
            pkcs11_module: None,
            askpass: Vec::new(),
            notifications: true,
            refusal_retry: [1, 3, 8, 20, 40, 60].map(Duration::from_secs).to_vec(),
        }
    }
}

/// `[trust]`, its files read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustConfig {
    /// The system's roots count too.
    pub system: bool,
    /// The certificates of the files in `roots`.
    pub roots: Vec<Root>,
}

impl Default for TrustConfig {
    fn default() -> Self {
        Self { system: true, roots: Vec::new() }
    }
}

/// A login that no profile can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// EAP-TLS.
    EapTls,
}

/// `[gateway."HOST"]`: what is special about one gateway.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Instead of asking DNS: one address, or a list in the order to try them; at most 16.
    #[serde(deserialize_with = "load::addresses")]
    pub address: Vec<IpAddr>,
    /// UDP port of IKE.
    pub port: NonZeroU16,
    /// UDP port of IKE and ESP behind a NAT, which is the one this client always uses.
    pub nat_port: NonZeroU16,
    /// Offer MOBIKE (RFC 4555); without it every change of address makes a new SA.
    pub mobike: bool,
    /// Tickets (RFC 5723) beside the token, or in its place.
    pub resumption: Resumption,
    /// SHA-512 of the public keys of which one must be in the gateway's chain, beside the profile's.
    #[serde(deserialize_with = "load::pins")]
    pub pins: Vec<PinHash>,
    /// How IDr is checked.
    pub idr_check: IdrCheck,
    /// The user's certificate, and those between it and its root: a PEM file.
    pub certificate: Option<PathBuf>,
    /// Its private key, a PEM file; absent: it is in the certificate's.
    pub key: Option<PathBuf>,
    /// More certificates, of which the profile's CertificateMatch chooses: PEM files with certificate and key, or folders of such.
    #[serde(deserialize_with = "load::certificates")]
    pub certificates: Vec<PathBuf>,
    /// The program that scans this machine where the gateway asks for that in a login, and its arguments; empty: none.
    #[serde(deserialize_with = "load::program")]
    pub host_scan: Vec<String>,
    /// How long that program may take; 1 s to 120 s.
    #[serde(deserialize_with = "duration::one::<1_000, 120_000, _>")]
    pub host_scan_timeout: Duration,
    /// How to log in, instead of what the profile says: the vendor's schema has no word for it.
    pub login: Option<Login>,
    /// What the certificate of the EAP server must name (EAP-TLS); `None`: HostAddress, as the gateway's.
    pub eap_server_name: Option<String>,
    /// A PEM file: the CAs that vouch for the EAP server, instead of those that do for gateways.
    pub eap_ca: Option<PathBuf>,
    /// IDi of a login with a standard method or a certificate, instead of the profile's IKEIdentity or the certificate's
    /// subject; see [`Identity::from_text`].
    #[serde(deserialize_with = "load::identity")]
    pub identity: Option<Identity>,
    /// The name of a preshared key that goes into the keys of every IKE SA (RFC 8784).
    pub ppk_id: Option<String>,
    /// The file with that key; see [`read_ppk`].
    pub ppk_file: Option<PathBuf>,
    /// No IKE SA without it.
    pub ppk_required: bool,
    /// ML-KEM-768 as an additional key exchange (RFC 9370).
    pub ml_kem: Wish,
    /// What is not public about these gateways.
    pub dialect: Dialect,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            address: Vec::new(),
            port: NonZeroU16::MIN.saturating_add(499),
            nat_port: NonZeroU16::MIN.saturating_add(4499),
            mobike: true,
            resumption: Resumption::Off,
            pins: Vec::new(),
            idr_check: IdrCheck::default(),
            certificate: None,
            key: None,
            certificates: Vec::new(),
            host_scan: Vec::new(),
            host_scan_timeout: Duration::from_secs(20),
            login: None,
            eap_server_name: None,
            eap_ca: None,
            identity: None,
            ppk_id: None,
            ppk_file: None,
            ppk_required: false,
            ml_kem: Wish::No,
            dialect: Dialect::default(),
        }
    }
}

impl Config {
    /// What holds for the gateway of this HostAddress (letter case and a final dot do not count); the defaults where the file
    /// says nothing.
    pub fn gateway(&self, host_address: &str) -> Gateway {
        let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wanted = plain(host_address);
        let entry = self.gateways.iter().find(|(name, _)| plain(name) == wanted);
        entry.map(|(_, gateway)| gateway.clone()).unwrap_or_default()
    }

    /// Whom to trust as the gateway of `host`: configured roots, the system's (read from disk now, where they count), the
    /// pins of profile and config. Beside it what went wrong while the system's roots were read, for the log.
    pub fn trust_for(&self, host: &HostEntry) -> (Trust, Vec<String>) {
        let gateway = self.gateway(&host.address);
        let mut roots = self.trust.roots.clone();
        let mut notes = Vec::new();
        if self.trust.system {
            let loaded = rustls_native_certs::load_native_certs();
            notes.extend(loaded.errors.iter().map(|error| format!("a system root was not read: {error}")));
            let system = loaded.certs.into_iter().map(|cert| Root { der: cert.to_vec(), configured: false });
            roots.extend(system);
        }
        let pins =
            host.pins.iter().map(|pin| pin.hash).chain(gateway.pins).map(|PinHash(hash)| hash).collect();
        (Trust { roots, pins, idr_check: gateway.idr_check }, notes)
    }
}

#[cfg(test)]
mod tests;
