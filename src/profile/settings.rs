//! The profile as a flat list of settings, for `profile show`, `profile check` and the event log.

use super::Position;
use super::schema::{ROOT, Spec, Support};
use super::xml::Node;

/// One setting with its place in the schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The elements from the root to it, without the root: `ClientInitialization/AutoReconnect`; a host's own settings begin
    /// with `ServerList/HostEntry[HOSTNAME]`.
    pub path: String,
    /// The element's name.
    pub name: &'static str,
    /// For a table: the name under which the settings around it are listed, `ClientInitialization` or `HostEntry HOSTNAME`.
    pub section: String,
    /// For a table: how many settings of the section it stands inside.
    pub depth: usize,
    /// For a table: its name, after those of the elements without a value between it and the setting around it.
    pub label: String,
    /// Its value as text; the default where the file does not set it.
    pub value: String,
    /// May the user override it? `None` where the element does not take the attribute.
    pub user_controllable: Option<bool>,
    /// Where the file has the element; `None` for a default.
    pub at: Option<Position>,
    /// What this client does with it.
    pub support: Support,
}

/// Every setting under `root`: what the file has, and defaults.
pub(super) fn list(root: &Node) -> Vec<Setting> {
    let mut all = Vec::new();
    for spec in ROOT.children {
        visit(spec, root.child(spec.name), &Around::default(), &mut all);
    }
    all
}

/// The elements around a place of the schema.
#[derive(Clone, Default)]
struct Around {
    path: String,
    section: String,
    depth: usize,
    label: String,
}

fn joined(before: &str, name: &str) -> String {
    if before.is_empty() { name.to_owned() } else { format!("{before}/{name}") }
}

fn visit(spec: &'static Spec, node: Option<&Node>, around: &Around, all: &mut Vec<Setting>) {
    let mut here = Around {
        path: joined(&around.path, spec.name),
        label: joined(&around.label, spec.name),
        ..around.clone()
    };
    if spec.check.is_some() && (node.is_some() || spec.default.is_some()) {
        let text = node.map(|node| node.text.as_str()).filter(|text| !text.is_empty());
        all.push(Setting {
            path: here.path.clone(),
            name: spec.name,
            section: here.section.clone(),
            depth: here.depth,
            label: std::mem::take(&mut here.label),
            value: text.or(spec.default).unwrap_or("").to_owned(),
            user_controllable: node.and_then(|node| node.user_controllable).or(spec.user_controllable),
            at: node.map(|node| node.at),
            support: spec.support,
        });
        here.depth += 1;
    }
    if let Some(name) = node.and_then(|node| node.child("HostName")) {
        here.path = format!("{}[{}]", here.path, name.text);
        here.section = format!("{} {}", spec.name, name.text);
        here.label.clear();
    } else if here.section.is_empty() {
        here.section = spec.name.to_owned();
        here.label.clear();
    }
    for child in spec.children {
        let mut found = node.map(|node| node.children.as_slice()).unwrap_or_default().iter();
        if child.many {
            found
                .filter(|node| node.spec.name == child.name)
                .for_each(|node| visit(child, Some(node), &here, all));
        } else {
            visit(child, found.find(|node| node.spec.name == child.name), &here, all);
        }
    }
}

/// The names of the log's "Current Preference Settings": the first twelve and the last four are the seed's; what it leaves
/// out between them is in the order of the schema (`ours`).
const PREFERENCES: &[&str] = &[
    "ServiceDisable",
    "CertificateStoreOverride",
    "CertificateStore",
    "ShowPreConnectMessage",
    "AutoConnectOnStart",
    "MinimizeOnConnect",
    "LocalLanAccess",
    "DisableCaptivePortalDetection",
    "AutoReconnect",
    "AutoReconnectBehavior",
    "UseStartBeforeLogon",
    "AutoUpdate",
    "RSASecurIDIntegration",
    "WindowsLogonEnforcement",
    "LinuxLogonEnforcement",
    "WindowsVPNEstablishment",
    "LinuxVPNEstablishment",
    "ProxySettings",
    "AllowLocalProxyConnections",
    "AutomaticVPNPolicy",
    "TrustedNetworkPolicy",
    "UntrustedNetworkPolicy",
    "TrustedDNSDomains",
    "TrustedDNSServers",
    "AlwaysOn",
    "ConnectFailurePolicy",
    "AllowCaptivePortalRemediation",
    "CaptivePortalRemediationTimeout",
    "ApplyLastVPNLocalResourceRules",
    "AllowVPNDisconnect",
    "PPPExclusion",
    "PPPExclusionServerIP",
    "EnableScripting",
    "TerminateScriptOnNextEvent",
    "EnablePostSBLOnConnectScript",
    "AutomaticCertSelection",
    "EnableAutomaticServerSelection",
    "AutoServerSelectionImprovement",
    "AutoServerSelectionSuspendTime",
    "RetainVpnOnLogoff",
    "UserEnforcement",
    "AuthenticationTimeout",
    "ClearSmartcardPin",
    "IPProtocolSupport",
    "AllowManualHostInput",
    "BlockUntrustedServers",
    "PublicProxyServerAddress",
];

pub(super) fn preferences(settings: &[Setting]) -> Vec<(&'static str, String)> {
    let value =
        |name| settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.clone());
    PREFERENCES.iter().map(|name| (*name, value(*name).unwrap_or_default())).collect()
}
