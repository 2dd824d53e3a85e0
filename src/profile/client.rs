//! `ClientInitialization`: what holds for every host. Names and defaults are the schema's.

use super::value::*;
use super::{At, Pin, host};
use std::time::Duration;

/// The settings that hold for every host.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    missing_docs,
    reason = "each field is the element of the same name; what it means stands in the schema"
)]
pub struct ClientInitialization {
    pub service_disable: Preference<bool>,
    pub use_start_before_logon: Preference<bool>,
    pub automatic_cert_selection: Preference<bool>,
    pub show_pre_connect_message: Preference<bool>,
    pub certificate_store: Preference<CertificateStore>,
    pub certificate_store_mac: Preference<String>,
    pub certificate_store_linux: Preference<String>,
    pub certificate_store_override: Preference<bool>,
    pub proxy_settings: Preference<ProxySettings>,
    pub public_proxy_server_address: Preference<String>,
    pub allow_local_proxy_connections: Preference<bool>,
    /// Seconds, 10 to 120; see [`ClientInitialization::authentication_timeout`].
    pub authentication_timeout: Preference<Bounded<10, 120>>,
    pub auto_connect_on_start: Preference<bool>,
    pub minimize_on_connect: Preference<bool>,
    pub local_lan_access: Preference<bool>,
    pub disable_captive_portal_detection: Preference<bool>,
    pub clear_smartcard_pin: Preference<bool>,
    pub ip_protocol_support: Preference<IpProtocolSupport>,
    pub auto_reconnect: AutoReconnect,
    pub suspend_on_connected_standby: Preference<bool>,
    pub auto_update: Preference<bool>,
    pub rsa_securid_integration: Preference<SecurId>,
    pub windows_logon_enforcement: Preference<LogonEnforcement>,
    pub linux_logon_enforcement: Preference<LogonEnforcement>,
    pub windows_vpn_establishment: Preference<Establishment>,
    pub linux_vpn_establishment: Preference<Establishment>,
    pub automatic_vpn_policy: AutomaticVpnPolicy,
    pub ppp_exclusion: PppExclusion,
    pub scripting: Scripting,
    pub automatic_server_selection: AutomaticServerSelection,
    pub retain_vpn_on_logoff: RetainVpnOnLogoff,
    pub captive_portal_browser_failover: Preference<bool>,
    pub allow_manual_host_input: Preference<bool>,
    pub block_untrusted_servers: Preference<bool>,
    /// For every host.
    pub backup_servers: Vec<String>,
    pub certificate_match: CertificateMatch,
    pub certificate_enrolment: CertificateEnrolment,
    /// For every host; see [`super::HostEntry::pins`].
    pub pins: Vec<Pin>,
    pub device_lock_required: Preference<bool>,
}

/// `AutoReconnect`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AutoReconnect {
    /// Does a lost tunnel come back by itself?
    pub enabled: Preference<bool>,
    /// What happens when the machine sleeps.
    pub behavior: Preference<AutoReconnectBehavior>,
}

/// `AutomaticVPNPolicy`: trusted network detection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is the element of the same name")]
pub struct AutomaticVpnPolicy {
    pub enabled: Preference<bool>,
    pub trusted_dns_domains: Preference<List>,
    pub trusted_dns_servers: Preference<List>,
    pub trusted_https_servers: Vec<TrustedHttpsServer>,
    pub trusted_network_policy: Preference<TrustedNetworkPolicy>,
    pub untrusted_network_policy: Preference<UntrustedNetworkPolicy>,
    pub bypass_connect_upon_session_timeout: Preference<bool>,
    pub always_on: AlwaysOn,
}

/// `TrustedHttpsServer`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is the element of the same name")]
pub struct TrustedHttpsServer {
    pub address: String,
    pub port: u32,
    pub certificate_hash: String,
}

/// `AlwaysOn`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is the element of the same name")]
pub struct AlwaysOn {
    pub enabled: Preference<bool>,
    pub connect_failure_policy: Preference<ConnectFailurePolicy>,
    pub allow_captive_portal_remediation: Preference<bool>,
    /// Minutes.
    pub captive_portal_remediation_timeout: Preference<Bounded<0, 1440>>,
    pub apply_last_local_resource_rules: Preference<bool>,
    pub allow_vpn_disconnect: Preference<bool>,
    pub allowed_hosts: Preference<List>,
}

/// `PPPExclusion`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PppExclusion {
    /// How the server is found.
    pub mode: Preference<PppExclusionMode>,
    /// The server, for `Override`.
    pub server: Preference<String>,
}

/// `EnableScripting`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is the element of the same name")]
pub struct Scripting {
    pub enabled: Preference<bool>,
    pub terminate_script_on_next_event: Preference<bool>,
    pub enable_post_sbl_on_connect_script: Preference<bool>,
}

/// `EnableAutomaticServerSelection`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AutomaticServerSelection {
    /// Is the nearest gateway chosen?
    pub enabled: Preference<bool>,
    /// Percent by which another gateway must be better.
    pub improvement: Preference<Bounded<0, 100>>,
    /// Hours.
    pub suspend_time: Preference<Bounded<0, 1000>>,
}

/// `RetainVpnOnLogoff`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetainVpnOnLogoff {
    /// Does the VPN survive a log-off?
    pub enabled: Preference<bool>,
    /// For whom.
    pub user_enforcement: Preference<UserEnforcement>,
}

/// `CertificateMatch`: which client certificate is offered.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each field is the element of the same name")]
pub struct CertificateMatch {
    pub only_with_key_usage: Preference<bool>,
    pub only_with_extended_key_usage: Preference<bool>,
    pub key_usage: Vec<String>,
    pub extended_key_usage: Vec<String>,
    pub custom_extended_key_usage: Vec<String>,
    pub distinguished_names: Vec<DistinguishedName>,
}

/// `DistinguishedNameDefinition`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DistinguishedName {
    /// The name's part: CN, ISSUER-O, ..
    pub name: String,
    /// What it must hold.
    pub pattern: String,
    /// `Operator`, `Wildcard`, `MatchCase` as written.
    pub attributes: Vec<(&'static str, String)>,
}

/// `CertificateEnrollment`, shown by `profile show` in full, typed where it could matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateEnrolment {
    /// Days before the end of a certificate at which the user is told.
    pub expiration_threshold: Option<u32>,
    /// The host that enrols by SCEP.
    pub automatic_scep_host: Option<String>,
    /// The certification authority.
    pub ca_url: Option<String>,
}

impl ClientInitialization {
    /// The longest time that one exchange with the gateway may take; the person's typing does not count.
    pub fn authentication_timeout(&self) -> Duration {
        Duration::from_secs(self.authentication_timeout.value.get().into())
    }

    pub(super) fn new(at: At<'_>) -> Self {
        let proxy = at.child("ProxySettings");
        Self {
            service_disable: at.child("ServiceDisable").preference(),
            use_start_before_logon: at.child("UseStartBeforeLogon").preference(),
            automatic_cert_selection: at.child("AutomaticCertSelection").preference(),
            show_pre_connect_message: at.child("ShowPreConnectMessage").preference(),
            certificate_store: at.child("CertificateStore").preference(),
            certificate_store_mac: at.child("CertificateStoreMac").preference(),
            certificate_store_linux: at.child("CertificateStoreLinux").preference(),
            certificate_store_override: at.child("CertificateStoreOverride").preference(),
            proxy_settings: proxy.preference(),
            public_proxy_server_address: proxy.child("PublicProxyServerAddress").preference(),
            allow_local_proxy_connections: at.child("AllowLocalProxyConnections").preference(),
            authentication_timeout: at.child("AuthenticationTimeout").preference(),
            auto_connect_on_start: at.child("AutoConnectOnStart").preference(),
            minimize_on_connect: at.child("MinimizeOnConnect").preference(),
            local_lan_access: at.child("LocalLanAccess").preference(),
            disable_captive_portal_detection: at.child("DisableCaptivePortalDetection").preference(),
            clear_smartcard_pin: at.child("ClearSmartcardPin").preference(),
            ip_protocol_support: at.child("IPProtocolSupport").preference(),
            auto_reconnect: AutoReconnect::new(at.child("AutoReconnect")),
            suspend_on_connected_standby: at.child("SuspendOnConnectedStandby").preference(),
            auto_update: at.child("AutoUpdate").preference(),
            rsa_securid_integration: at.child("RSASecurIDIntegration").preference(),
            windows_logon_enforcement: at.child("WindowsLogonEnforcement").preference(),
            linux_logon_enforcement: at.child("LinuxLogonEnforcement").preference(),
            windows_vpn_establishment: at.child("WindowsVPNEstablishment").preference(),
            linux_vpn_establishment: at.child("LinuxVPNEstablishment").preference(),
            automatic_vpn_policy: AutomaticVpnPolicy::new(at.child("AutomaticVPNPolicy")),
            ppp_exclusion: PppExclusion::new(at.child("PPPExclusion")),
            scripting: Scripting::new(at.child("EnableScripting")),
            automatic_server_selection: AutomaticServerSelection::new(
                at.child("EnableAutomaticServerSelection"),
            ),
            retain_vpn_on_logoff: RetainVpnOnLogoff::new(at.child("RetainVpnOnLogoff")),
            captive_portal_browser_failover: at.child("CaptivePortalRemediationBrowserFailover").preference(),
            allow_manual_host_input: at.child("AllowManualHostInput").preference(),
            block_untrusted_servers: at.child("BlockUntrustedServers").preference(),
            backup_servers: at.child("BackupServerList").texts("HostAddress"),
            certificate_match: CertificateMatch::new(at.child("CertificateMatch")),
            certificate_enrolment: CertificateEnrolment::new(at.child("CertificateEnrollment")),
            pins: host::pins(at.child("CertificatePinning")),
            device_lock_required: at.child("MobilePolicy").child("DeviceLockRequired").preference(),
        }
    }
}

impl AutoReconnect {
    fn new(at: At<'_>) -> Self {
        Self { enabled: at.preference(), behavior: at.child("AutoReconnectBehavior").preference() }
    }
}

impl AutomaticVpnPolicy {
    fn new(at: At<'_>) -> Self {
        let server = |node: &super::Node| {
            let at = At { spec: node.spec, node: Some(node) };
            TrustedHttpsServer {
                address: at.child("Address").value(),
                port: at.child("Port").value::<Bounded<1, 65535>>().get(),
                certificate_hash: at.child("CertificateHash").value(),
            }
        };
        Self {
            enabled: at.preference(),
            trusted_dns_domains: at.child("TrustedDNSDomains").preference(),
            trusted_dns_servers: at.child("TrustedDNSServers").preference(),
            trusted_https_servers: at
                .child("TrustedHttpsServerList")
                .children("TrustedHttpsServer")
                .map(server)
                .collect(),
            trusted_network_policy: at.child("TrustedNetworkPolicy").preference(),
            untrusted_network_policy: at.child("UntrustedNetworkPolicy").preference(),
            bypass_connect_upon_session_timeout: at.child("BypassConnectUponSessionTimeout").preference(),
            always_on: AlwaysOn::new(at.child("AlwaysOn")),
        }
    }
}

impl AlwaysOn {
    fn new(at: At<'_>) -> Self {
        let failure = at.child("ConnectFailurePolicy");
        let portal = failure.child("AllowCaptivePortalRemediation");
        Self {
            enabled: at.preference(),
            connect_failure_policy: failure.preference(),
            allow_captive_portal_remediation: portal.preference(),
            captive_portal_remediation_timeout: portal.child("CaptivePortalRemediationTimeout").preference(),
            apply_last_local_resource_rules: failure.child("ApplyLastVPNLocalResourceRules").preference(),
            allow_vpn_disconnect: at.child("AllowVPNDisconnect").preference(),
            allowed_hosts: at.child("AllowedHosts").preference(),
        }
    }
}

impl PppExclusion {
    fn new(at: At<'_>) -> Self {
        Self { mode: at.preference(), server: at.child("PPPExclusionServerIP").preference() }
    }
}

impl Scripting {
    fn new(at: At<'_>) -> Self {
        Self {
            enabled: at.preference(),
            terminate_script_on_next_event: at.child("TerminateScriptOnNextEvent").preference(),
            enable_post_sbl_on_connect_script: at.child("EnablePostSBLOnConnectScript").preference(),
        }
    }
}

impl AutomaticServerSelection {
    fn new(at: At<'_>) -> Self {
        Self {
            enabled: at.preference(),
            improvement: at.child("AutoServerSelectionImprovement").preference(),
            suspend_time: at.child("AutoServerSelectionSuspendTime").preference(),
        }
    }
}

impl RetainVpnOnLogoff {
    fn new(at: At<'_>) -> Self {
        Self { enabled: at.preference(), user_enforcement: at.child("UserEnforcement").preference() }
    }
}

impl CertificateMatch {
    fn new(at: At<'_>) -> Self {
        let extended = at.child("ExtendedKeyUsage");
        let definition = |node: &super::Node| {
            let at = At { spec: node.spec, node: Some(node) };
            DistinguishedName {
                name: at.child("Name").value(),
                pattern: at.child("Pattern").value(),
                attributes: node.attributes.clone(),
            }
        };
        Self {
            only_with_key_usage: at.child("MatchOnlyCertsWithKU").preference(),
            only_with_extended_key_usage: at.child("MatchOnlyCertsWithEKU").preference(),
            key_usage: at.child("KeyUsage").texts("MatchKey"),
            extended_key_usage: extended.texts("ExtendedMatchKey"),
            custom_extended_key_usage: extended.texts("CustomExtendedMatchKey"),
            distinguished_names: at
                .child("DistinguishedName")
                .children("DistinguishedNameDefinition")
                .map(definition)
                .collect(),
        }
    }
}

impl CertificateEnrolment {
    fn new(at: At<'_>) -> Self {
        let threshold = at.child("CertificateExpirationThreshold").set_value::<Bounded<0, 3650>>();
        Self {
            expiration_threshold: threshold.map(Bounded::get),
            automatic_scep_host: at.child("AutomaticSCEPHost").set_value(),
            ca_url: at.child("CAURL").set_value(),
        }
    }
}
