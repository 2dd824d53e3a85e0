//! The one table of the profile's elements: what each may hold, its defaults, and what this client does with it.
//!
//! Sources: PROTOCOL section 6, the seed, and the vendor's public description of the file. `Support::Honoured` names the
//! test that changes the setting and sees the behaviour change.

use super::value::*;

/// What this client does with an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// Holds other elements only; they have their own entries.
    Container,
    /// Obeyed, and the named test proves it.
    Honoured {
        /// The test function that changes the setting and sees the behaviour change.
        test: &'static str,
    },
    /// Read, shown, and not obeyed.
    Ignored {
        /// Why.
        why: &'static str,
    },
    /// Has a meaning on another system only.
    NotForLinux {
        /// Which.
        why: &'static str,
    },
}

/// How the text of an element is checked.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Is this (trimmed) text of the type?
    pub accepts: fn(&str) -> bool,
    /// The allowed values, for people.
    pub allowed: fn() -> String,
}

/// One element of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name, without a prefix.
    pub name: &'static str,
    /// Its text; `None` where only elements may stand inside. Text and elements together are the schema's mixed content.
    pub check: Option<Check>,
    /// The value where the element is absent.
    pub default: Option<&'static str>,
    /// Takes the attribute `UserControllable`, with this default.
    pub user_controllable: Option<bool>,
    /// Other attributes it takes.
    pub attributes: &'static [&'static str],
    /// The elements inside.
    pub children: &'static [Spec],
    /// May stand more than once.
    pub many: bool,
    /// What this client does with it.
    pub support: Support,
}

fn accepts<T: Value>(text: &str) -> bool {
    T::read(text).is_some()
}

/// An element that holds elements only.
const fn group(name: &'static str, children: &'static [Spec]) -> Spec {
    Spec {
        name,
        check: None,
        default: None,
        user_controllable: None,
        attributes: &[],
        children,
        many: false,
        support: Support::Container,
    }
}

/// An element that holds a value of type `T`.
const fn value<T: Value>(name: &'static str) -> Spec {
    let check = Check { accepts: accepts::<T>, allowed: T::allowed };
    Spec { check: Some(check), ..group(name, &[]) }.ignored("not yet: nothing in this version looks at it")
}

impl Spec {
    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
    const fn user(self, default: bool) -> Self {
        Self { user_controllable: Some(default), ..self }
    }
    const fn attributes(self, attributes: &'static [&'static str]) -> Self {
        Self { attributes, ..self }
    }
    const fn with(self, children: &'static [Spec]) -> Self {
        Self { children, ..self }
    }
    const fn many(self) -> Self {
        Self { many: true, ..self }
    }
    const fn honoured(self, test: &'static str) -> Self {
        Self { support: Support::Honoured { test }, ..self }
    }
    const fn ignored(self, why: &'static str) -> Self {
        Self { support: Support::Ignored { why }, ..self }
    }
    const fn not_for_linux(self, why: &'static str) -> Self {
        Self { support: Support::NotForLinux { why }, ..self }
    }

    /// The element `name` directly inside this one.
    pub fn child(&self, name: &str) -> Option<&'static Spec> {
        self.children.iter().find(|child| child.name == name)
    }

    /// A value outside its type refuses the profile, since the client would obey a guess; elsewhere it is a warning.
    pub(super) fn strict(&self) -> bool {
        matches!(self.support, Support::Honoured { .. } | Support::Container)
    }
}

/// What a value is outside the schema: used where the table has no such element, which a test rules out.
pub(super) static NOTHING: Spec = group("", &[]);

/// The whole schema.
pub static ROOT: Spec = group("AnyConnectProfile", &[CLIENT, SERVERS]);

const SBL: &str = "Windows: connects before the user logs on to the machine";
const NO_CERTIFICATE: &str = "certificates are those that --certificate or the config file names";
const NO_PROXY: &str = "not yet: IKE and ESP are UDP and do not pass a web proxy";
const NO_TND: &str = "not yet: only DNS tells trusted networks (always-on trusts none then)";
const NO_ALWAYS_ON: &str = "not yet: the kill switch has no exceptions but the local network";
const NO_OGS: &str = "not yet: choice of the nearest gateway";
const NO_BALANCING: &str = "not yet: choice of a gateway by its load (gateways redirect logins themselves)";
const NO_SCRIPTS: &str = "not yet: scripts from a gateway are never run";
const NO_PPP: &str = "not yet: PPP exclusion";
const NO_ENROLMENT: &str = "not yet: certificate enrolment";
const MOBILE: &str = "mobile systems only";
const WINDOWS: &str = "Windows only";
const MAC: &str = "macOS only";

const BACKUPS: &[Spec] = &[value::<Host>("HostAddress").many().honoured("honours_backup_server_list")];
const BALANCING: &[Spec] = &[value::<Host>("HostAddress").many().ignored(NO_BALANCING)];
const PIN: &[Spec] = &[value::<PinHash>("Pin")
    .many()
    .attributes(&["Subject", "Issuer"])
    .honoured("honours_certificate_pinning")];
const PINNING: Spec = group("CertificatePinning", &[group("CertificatePinList", PIN).many()]);

const CLIENT: Spec = group(
    "ClientInitialization",
    &[
        value::<bool>("ServiceDisable")
            .default("false")
            .ignored("not yet: the service is stopped by systemd, not by a profile"),
        value::<bool>("UseStartBeforeLogon").default("false").user(true).not_for_linux(SBL),
        value::<bool>("AutomaticCertSelection").default("true").user(true).ignored(NO_CERTIFICATE),
        value::<bool>("ShowPreConnectMessage").default("false").ignored("not yet: pre-connect message"),
        value::<CertificateStore>("CertificateStore").default("All").not_for_linux(WINDOWS),
        value::<String>("CertificateStoreMac").not_for_linux(MAC),
        value::<String>("CertificateStoreLinux").ignored(NO_CERTIFICATE),
        value::<bool>("CertificateStoreOverride").default("false").not_for_linux(WINDOWS),
        value::<ProxySettings>("ProxySettings")
            .default("Native")
            .with(&[value::<String>("PublicProxyServerAddress").user(true).ignored(NO_PROXY)])
            .ignored(NO_PROXY),
        value::<bool>("AllowLocalProxyConnections").default("true").not_for_linux(WINDOWS),
        value::<Bounded<10, 120>>("AuthenticationTimeout")
            .default("30")
            .honoured("honours_authentication_timeout"),
        value::<bool>("AutoConnectOnStart")
            .default("false")
            .user(true)
            .honoured("honours_auto_connect_on_start"),
        value::<bool>("MinimizeOnConnect")
            .default("true")
            .user(true)
            .ignored("there is no window to minimise"),
        value::<bool>("LocalLanAccess").default("false").user(true).honoured("honours_local_lan_access"),
        value::<bool>("DisableCaptivePortalDetection")
            .default("false")
            .user(true)
            .honoured("honours_disable_captive_portal_detection"),
        value::<bool>("ClearSmartcardPin").default("true").user(true).ignored(NO_CERTIFICATE),
        value::<IpProtocolSupport>("IPProtocolSupport")
            .default("IPv4,IPv6")
            .honoured("honours_ip_protocol_support"),
        value::<bool>("AutoReconnect")
            .default("true")
            .user(false)
            .with(&[value::<AutoReconnectBehavior>("AutoReconnectBehavior")
                .default("DisconnectOnSuspend")
                .user(false)
                .honoured("honours_auto_reconnect_behavior")])
            .honoured("honours_auto_reconnect"),
        value::<bool>("SuspendOnConnectedStandby").default("false").user(false).not_for_linux(WINDOWS),
        value::<bool>("AutoUpdate")
            .default("true")
            .user(false)
            .ignored("updates come from the distribution, never from a gateway"),
        value::<SecurId>("RSASecurIDIntegration").default("Automatic").user(false).not_for_linux(WINDOWS),
        value::<LogonEnforcement>("WindowsLogonEnforcement")
            .default("SingleLocalLogon")
            .not_for_linux(WINDOWS),
        value::<LogonEnforcement>("LinuxLogonEnforcement")
            .default("SingleLocalLogon")
            .ignored("not yet: one plan at a time, whoever is logged on"),
        value::<Establishment>("WindowsVPNEstablishment").default("LocalUsersOnly").not_for_linux(WINDOWS),
        value::<Establishment>("LinuxVPNEstablishment")
            .default("LocalUsersOnly")
            .ignored("not yet: who may start a VPN is the machine's policy"),
        value::<bool>("AutomaticVPNPolicy")
            .default("false")
            .with(TND)
            .honoured("honours_automatic_vpn_policy"),
        value::<PppExclusionMode>("PPPExclusion")
            .default("Disable")
            .user(false)
            .with(&[value::<String>("PPPExclusionServerIP").user(false).ignored(NO_PPP)])
            .ignored(NO_PPP),
        value::<bool>("EnableScripting")
            .default("false")
            .user(false)
            .with(&[
                value::<bool>("TerminateScriptOnNextEvent").default("false").ignored(NO_SCRIPTS),
                value::<bool>("EnablePostSBLOnConnectScript").default("true").not_for_linux(SBL),
            ])
            .ignored(NO_SCRIPTS),
        value::<bool>("EnableAutomaticServerSelection")
            .default("false")
            .user(false)
            .with(&[
                value::<Bounded<0, 100>>("AutoServerSelectionImprovement").default("20").ignored(NO_OGS),
                value::<Bounded<0, 1000>>("AutoServerSelectionSuspendTime").default("4").ignored(NO_OGS),
            ])
            .ignored(NO_OGS),
        value::<bool>("RetainVpnOnLogoff")
            .default("false")
            .with(&[value::<UserEnforcement>("UserEnforcement")
                .default("SameUserOnly")
                .not_for_linux(WINDOWS)])
            .not_for_linux(WINDOWS),
        value::<bool>("CaptivePortalRemediationBrowserFailover")
            .default("false")
            .user(false)
            .ignored("not yet: captive portals"),
        value::<bool>("AllowManualHostInput").default("true").ignored("not yet: hosts come from a profile"),
        value::<bool>("BlockUntrustedServers")
            .default("true")
            .user(true)
            .ignored("always true: a gateway that is not trusted is refused"),
        group("BackupServerList", BACKUPS),
        group("CertificateMatch", MATCH),
        group("CertificateEnrollment", ENROLMENT),
        PINNING,
        group(
            "MobilePolicy",
            &[value::<bool>("DeviceLockRequired")
                .attributes(&["MaximumTimeoutMinutes", "MinimumPasswordLength", "PasswordComplexity"])
                .not_for_linux(MOBILE)],
        ),
    ],
);

const TND: &[Spec] = &[
    value::<List>("TrustedDNSDomains").honoured("honours_trusted_dns_domains"),
    value::<List>("TrustedDNSServers").honoured("honours_trusted_dns_servers"),
    group(
        "TrustedHttpsServerList",
        &[group(
            "TrustedHttpsServer",
            &[
                value::<String>("Address").ignored(NO_TND),
                value::<Bounded<1, 65535>>("Port").default("443").ignored(NO_TND),
                value::<String>("CertificateHash").ignored(NO_TND),
            ],
        )
        .many()],
    ),
    value::<TrustedNetworkPolicy>("TrustedNetworkPolicy")
        .default("Disconnect")
        .honoured("honours_trusted_network_policy"),
    value::<UntrustedNetworkPolicy>("UntrustedNetworkPolicy")
        .default("Connect")
        .honoured("honours_untrusted_network_policy"),
    value::<bool>("BypassConnectUponSessionTimeout").default("false").ignored(NO_TND),
    value::<bool>("AlwaysOn")
        .default("false")
        .with(&[
            value::<ConnectFailurePolicy>("ConnectFailurePolicy")
                .default("Closed")
                .with(&[
                    value::<bool>("AllowCaptivePortalRemediation")
                        .default("false")
                        .with(&[value::<Bounded<0, 1440>>("CaptivePortalRemediationTimeout")
                            .default("5")
                            .honoured("honours_captive_portal_remediation_timeout")])
                        .honoured("honours_allow_captive_portal_remediation"),
                    value::<bool>("ApplyLastVPNLocalResourceRules").default("false").ignored(NO_ALWAYS_ON),
                ])
                .honoured("honours_connect_failure_policy"),
            value::<bool>("AllowVPNDisconnect").default("true").honoured("honours_allow_vpn_disconnect"),
            value::<List>("AllowedHosts").ignored(NO_ALWAYS_ON),
        ])
        .honoured("honours_always_on"),
];

const MATCH: &[Spec] = &[
    value::<bool>("MatchOnlyCertsWithKU").default("true").honoured("honours_certificate_key_usage"),
    value::<bool>("MatchOnlyCertsWithEKU").default("true").honoured("honours_certificate_extended_key_usage"),
    group("KeyUsage", &[value::<String>("MatchKey").many().honoured("honours_certificate_key_usage")]),
    group(
        "ExtendedKeyUsage",
        &[
            value::<String>("ExtendedMatchKey").many().honoured("honours_certificate_extended_key_usage"),
            value::<String>("CustomExtendedMatchKey")
                .many()
                .honoured("honours_certificate_extended_key_usage"),
        ],
    ),
    group(
        "DistinguishedName",
        &[group(
            "DistinguishedNameDefinition",
            &[
                value::<String>("Name").honoured("honours_certificate_distinguished_name"),
                value::<String>("Pattern").honoured("honours_certificate_distinguished_name"),
            ],
        )
        .attributes(&["Operator", "Wildcard", "MatchCase"])
        .many()],
    ),
];

const ENROLMENT: &[Spec] = &[
    value::<Bounded<0, 3650>>("CertificateExpirationThreshold").ignored(NO_ENROLMENT),
    value::<String>("CertificateImportStore").ignored(NO_ENROLMENT),
    value::<String>("AutomaticSCEPHost").ignored(NO_ENROLMENT),
    value::<String>("CAURL").attributes(&["PromptForChallengePW", "Thumbprint"]).ignored(NO_ENROLMENT),
    group(
        "CertificateSCEP",
        &[
            value::<String>("CADomain").ignored(NO_ENROLMENT),
            value::<String>("Name_CN").ignored(NO_ENROLMENT),
            value::<String>("Department_OU").ignored(NO_ENROLMENT),
            value::<String>("Company_O").ignored(NO_ENROLMENT),
            value::<String>("State_ST").ignored(NO_ENROLMENT),
            value::<String>("Country_C").ignored(NO_ENROLMENT),
            value::<String>("Email_EA").ignored(NO_ENROLMENT),
            value::<String>("Domain_DC").ignored(NO_ENROLMENT),
            value::<bool>("DisplayGetCertButton").ignored(NO_ENROLMENT),
        ],
    ),
];

const SERVERS: Spec = group("ServerList", &[HOST]);

const HOST: Spec = group(
    "HostEntry",
    &[
        value::<Label>("HostName").honoured("honours_host_name"),
        value::<Host>("HostAddress").honoured("honours_host_address"),
        value::<Label>("UserGroup").honoured("honours_user_group"),
        group("BackupServerList", BACKUPS),
        group("LoadBalancingServerList", BALANCING),
        value::<String>("AutomaticSCEPHost").ignored(NO_ENROLMENT),
        value::<String>("CAURL").attributes(&["PromptForChallengePW", "Thumbprint"]).ignored(NO_ENROLMENT),
        group(
            "MobileHostEntryInfo",
            &[
                value::<bool>("NetworkRoaming").not_for_linux(MOBILE),
                value::<String>("CertificatePolicy").not_for_linux(MOBILE),
                value::<bool>("ConnectOnDemand").not_for_linux(MOBILE),
                value::<bool>("ActivateOnImport").not_for_linux(MOBILE),
            ],
        ),
        value::<PrimaryProtocol>("PrimaryProtocol")
            .default("SSL")
            .with(&[value::<bool>("StandardAuthenticationOnly")
                .default("false")
                .with(&[
                    value::<AuthMethod>("AuthMethodDuringIKENegotiation")
                        .default("EAP-GTC")
                        .honoured("honours_auth_method"),
                    value::<Label>("IKEIdentity").honoured("honours_ike_identity"),
                ])
                .honoured("honours_standard_authentication_only")])
            .honoured("honours_primary_protocol"),
        PINNING,
    ],
)
.many();

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(spec: &'static Spec, visit: &mut dyn FnMut(&'static Spec)) {
        visit(spec);
        spec.children.iter().for_each(|child| walk(child, visit));
    }

    #[test]
    fn every_default_is_of_its_own_type_and_no_name_stands_twice() {
        let mut seen = 0;
        walk(&ROOT, &mut |spec| {
            seen += 1;
            if let Some(default) = spec.default {
                let check = spec.check.expect("only values have defaults");
                assert!((check.accepts)(default), "{}: {default}", spec.name);
            }
            for child in spec.children {
                let same = spec.children.iter().filter(|other| other.name == child.name).count();
                assert_eq!(same, 1, "{} in {}", child.name, spec.name);
            }
            match spec.support {
                Support::Container => assert!(spec.check.is_none(), "{} holds a value", spec.name),
                Support::Honoured { test } => assert!(test.starts_with("honours_"), "{test}"),
                Support::Ignored { why } | Support::NotForLinux { why } => assert!(!why.is_empty()),
            }
        });
        assert!(seen > 90, "{seen}");
    }
}
