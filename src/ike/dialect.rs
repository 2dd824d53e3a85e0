//! Everything about the gateways that is not public, in one place (PROTOCOL section 3). Every key can be set per gateway in
//! the config file, under `[gateway."HOST".dialect]`.

use super::sk::LEGACY_VENDOR_ID;
use serde::Deserialize;
use std::time::Duration;

/// The value of the first IDi of an EAP-AnyConnect login (`fork`, `seen`, `seed`).
pub const ANYCONNECT_ID: &str = "*$AnyConnectClient$*";
/// ID type key-id (RFC 7296 3.5).
pub const ID_KEY_ID: u8 = 11;

/// What is assumed about one gateway. Field names are the config keys.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// ID type of the first IDi: 201 (`fork`, `seen`), or 11, key-id, as the seed's router names it.
    pub initial_id_type: u8,
    /// ID type of the reconnect's IDi: 11, key-id (`seed`, shown as hex).
    pub reconnect_id_type: u8,
    /// MODECFG attribute of the session ID (`ours`; the real number is not public).
    pub session_id_attribute: u16,
    /// MODECFG attribute of the session token (`ours`; the real number is not public).
    pub session_token_attribute: u16,
    /// Accept SHA-1 in an AUTH of method 1 (off by default).
    pub rsa_auth_sha1: bool,
    /// Vendor IDs sent, as ASCII (`fork`).
    pub vendor_ids: Vec<String>,
    /// A token shorter than this is not kept: the PSK AUTH goes out before the gateway has proved itself, so a fake one could
    /// guess offline (`ours`, RFC 7296 2.15). Octets.
    pub token_min_length: usize,
    /// Our DELETE of the old IKE SA also ends the session; then the old one is left to the gateway's DPD (`ours`).
    pub delete_ends_session: bool,
    /// MODECFG attribute of the reconnect window in seconds, where the gateway has one (number not public).
    pub window_attribute: Option<u16>,
    /// MODECFG attribute of the DPD interval in seconds, where the gateway has one (number not public).
    pub dpd_interval_attribute: Option<u16>,
    /// `<version who="vpn">`; by default our own version (`ours`).
    pub client_version: Option<String>,
    /// `platform-version`; by default the kernel release (`ours`).
    pub platform_version: Option<String>,
    /// `device-type`; by default the machine's model or `linux` (`ours`).
    pub device_type: Option<String>,
    /// A new ID or token in any CFG_REPLY replaces the old one (`ours`).
    pub token_rotation: bool,
    /// How long the gateway may think a silent client alive, seconds (`ours`; the seed: DPD 45 s, retry 2).
    pub gateway_dpd_horizon: u64,
    /// Cut large messages in the way of before RFC 7383, where the gateway knows that way and not the RFC's (off by default: one
    /// forged slice spoils a message).
    pub legacy_fragmentation: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            initial_id_type: 201,
            reconnect_id_type: ID_KEY_ID,
            session_id_attribute: 28728,
            session_token_attribute: 28729,
            rsa_auth_sha1: false,
            vendor_ids: [
                "CISCO-DELETE-REASON",
                "CISCO(COPYRIGHT)&Copyright (c) 2009 Cisco Systems, Inc.",
                "FLEXVPN-SUPPORTED",
                "CISCO-ANYCONNECT-EAP",
            ]
            .map(String::from)
            .to_vec(),
            token_min_length: 16,
            delete_ends_session: true,
            window_attribute: None,
            dpd_interval_attribute: None,
            client_version: None,
            platform_version: None,
            device_type: None,
            token_rotation: true,
            gateway_dpd_horizon: 120,
            legacy_fragmentation: false,
        }
    }
}

impl Dialect {
    /// The vendor IDs of IKE_SA_INIT.
    pub fn announced(&self) -> impl Iterator<Item = Vec<u8>> {
        let legacy = self.legacy_fragmentation.then(|| LEGACY_VENDOR_ID.to_vec());
        self.vendor_ids.iter().map(|id| id.clone().into_bytes()).chain(legacy)
    }

    /// See `gateway_dpd_horizon`.
    pub fn horizon(&self) -> Duration {
        Duration::from_secs(self.gateway_dpd_horizon)
    }
}
