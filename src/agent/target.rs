//! What a connect means: profile, host, config file and wishes, put together.

mod certificate;
mod choose;
mod error;
mod ppk;
mod token;

use super::device::device;
use super::pkcs11::TokenKey;
use super::scan::Scanner;
use super::standing::Meaning;
use crate::client::{EapServer, Settings, Way};
use crate::config::{Config, KillSwitch, Login, Tunnel, paths};
use crate::ipc::Connect;
use crate::ipc::helper::{Guard, GuardMode, MAX_GAP};
use crate::plan::Wishes as NetworkWishes;
use crate::profile::{AutomaticVpnPolicy, ConnectFailurePolicy};
use crate::sense::portal::Probe;
use choose::Chosen;
pub use error::TargetError;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use token::PinOf;

/// A gateway with backup servers is silent after this.
const SILENCE: Duration = Duration::from_secs(10);
/// A page that takes longer says nothing about a portal.
const PORTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything about one connection that does not change while it lasts.
#[derive(Clone, Debug)]
pub struct Target {
    /// The wishes with everything filled in that the next start of the agent needs.
    pub wishes: Connect,
    /// HostName and HostAddress of the profile's entry, whichever of its gateways is meant.
    pub primary: (String, String),
    /// Its backup servers, in the order to try them.
    pub backups: Vec<String>,
    /// The profile's file.
    pub profile_file: PathBuf,
    /// What it says that counts for this host.
    pub meaning: Meaning,
    /// The settings. Their addresses are empty where DNS has to be asked.
    pub settings: Settings,
    /// The log's block of preferences.
    pub preferences: Vec<(&'static str, String)>,
    /// Trusted network detection.
    pub automatic: AutomaticVpnPolicy,
    /// The profile wants a connection as soon as the agent runs.
    pub auto_connect_on_start: bool,
    /// The kill switch; `None`: none.
    pub guard: Option<Guard>,
    /// The user may disconnect (AllowVPNDisconnect).
    pub may_disconnect: bool,
    /// How a captive portal is found; `None`: it is not looked for.
    pub portal: Option<Probe>,
    /// How long a way past the tunnel is open for a log-in at a portal; `None`: the profile forbids one.
    pub gap: Option<GapTime>,
    /// Where packets enter and leave; `None`: a device where there is a helper, else the proxy.
    pub tunnel: Option<Tunnel>,
    /// What profile and config want of the tunnel's plan.
    pub network: NetworkWishes,
    /// The helper's socket, where the config file names one.
    pub helper: Option<PathBuf>,
    /// Where the proxy listens.
    pub proxy: SocketAddr,
    /// The file with the proxy's user and password.
    pub proxy_login: Option<PathBuf>,
    /// The proxy sends everything into the tunnel.
    pub proxy_everything: bool,
    /// The config file names the gateway's addresses: DNS is not asked.
    pub fixed_address: bool,
    /// A folder for the keys of every SA, for Wireshark.
    pub key_log: Option<PathBuf>,
    /// The program for the scan of the host that a gateway may ask for, where one is named.
    pub host_scan: Option<Scanner>,
    /// The desktop shows what a person must know.
    pub notifications: bool,
    /// What went wrong on the way without being in the way.
    pub notes: Vec<String>,
    /// Where something else may be meant than what was found: whoever asked has to know.
    pub warnings: Vec<String>,
    /// No login works before the passphrase of this key is known.
    pub locked: Option<Locked>,
    /// The key of the certificate for logins, where it is on a token.
    pub token: Option<Arc<TokenKey>>,
    /// The file of that key, where one is named.
    pub key_file: Option<PathBuf>,
    /// Why there is no certificate for a gateway that asks for one, where one is named.
    pub no_certificate: Option<String>,
}

/// A key that is protected by a passphrase.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Locked {
    /// The key's file.
    pub file: PathBuf,
    /// What was answered is not its passphrase.
    pub wrong: bool,
    /// It is on a token: no file counts.
    pub pin: Option<PinOf>,
}

/// The person of the last connection has named its profile. Where nobody has kept that, one of the usual folders was found.
fn was_named(last: &Connect, folders: &[PathBuf]) -> bool {
    last.named.unwrap_or_else(|| {
        last.profile.as_ref().is_some_and(|file| !folders.iter().any(|folder| file.parent() == Some(folder)))
    })
}

/// The host and profile of the last connection are meant.
fn is_last(wishes: &Connect, last: &Connect) -> bool {
    let same_host = match (&wishes.host, &last.host) {
        (Some(now), Some(then)) => now.eq_ignore_ascii_case(then),
        (now, _) => now.is_none(),
    };
    same_host && (wishes.profile.is_none() || wishes.profile == last.profile)
}

/// What is not said is as at the last time, where the same host and profile are meant. A profile that nobody has named is found
/// anew: a newer one may come first by now.
fn complete(wishes: &Connect, last: Option<&Connect>, folders: &[PathBuf]) -> Connect {
    let Some(last) = last.filter(|last| is_last(wishes, last)) else { return wishes.clone() };
    let mut whole = wishes.clone();
    whole.host = wishes.host.clone().or_else(|| last.host.clone());
    if wishes.profile.is_none() && was_named(last, folders) {
        whole.profile.clone_from(&last.profile);
        whole.named = Some(true);
    }
    whole.user = wishes.user.clone().or_else(|| last.user.clone());
    whole.group = wishes.group.clone().or_else(|| last.group.clone());
    whole.tunnel = wishes.tunnel.or(last.tunnel);
    whole.proxy = wishes.proxy.or(last.proxy);
    if whole.certificate.is_none() {
        whole.certificate.clone_from(&last.certificate);
        whole.key.clone_from(&last.key);
    }
    whole.config = wishes.config.clone().or_else(|| last.config.clone());
    whole.backups.clone_from(&last.backups);
    if whole.trust.is_empty() {
        whole.trust.clone_from(&last.trust);
    }
    whole
}

impl Target {
    /// Reads the files that `wishes` name. `last`: the wishes of the last connection. `unique_id`: of this installation.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn find(wishes: &Connect, last: Option<&Connect>, unique_id: &str) -> Result<Self, TargetError> {
        Self::find_in(&paths::profile_folders(), wishes, last, unique_id)
    }

    /// What nobody but the agent asks for: the last connection again, from the same file.
    pub fn again(last: &Connect) -> Connect {
        let named = last.profile.as_ref().map(|_| was_named(last, &paths::profile_folders()));
        Connect { profile: last.profile.clone(), named, ..Connect::default() }
    }

    /// The last connection again, where nobody logs in: it is restored by its token, or ended. A certificate for logins that
    /// cannot be read now (its card is at home) is in the way of neither.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn find_last(last: &Connect, unique_id: &str) -> Result<Self, TargetError> {
        let wishes = Connect { backup: last.backup.clone(), ..Self::again(last) };
        Self::read(&paths::profile_folders(), &wishes, Some(last), unique_id, false)
    }

    fn find_in(
        folders: &[PathBuf],
        wishes: &Connect,
        last: Option<&Connect>,
        unique_id: &str,
    ) -> Result<Self, TargetError> {
        Self::read(folders, wishes, last, unique_id, true)
    }

    /// `to_log_in`: what only a login needs has to be there.
    fn read(
        folders: &[PathBuf],
        wishes: &Connect,
        last: Option<&Connect>,
        unique_id: &str,
        to_log_in: bool,
    ) -> Result<Self, TargetError> {
        let just_named = wishes.profile.is_some() && wishes.named.is_none();
        // Whoever asks for another host does not ask for that file.
        let before = last.filter(|last| is_last(wishes, last)).and_then(|last| last.profile.as_deref());
        let named_now = wishes.certificate.is_some();
        let mut wishes = complete(wishes, last, folders);
        let config = Config::load(wishes.config.as_deref())?;
        let (mut notes, mut warnings) = (Vec::new(), Vec::new());
        let Chosen { file, mut profile, mut host, typed } =
            choose::on_disk(&wishes, just_named, before, folders, &mut notes, &mut warnings)?;
        let meaning = Meaning::of(&profile, &host.name);
        notes.extend(config.preferences.apply(&mut profile.client));
        let profile = &profile;
        let primary = (host.name.clone(), host.address.clone());
        let (backups, strange) = host.backups(&profile.client, &wishes.backups);
        notes.extend(
            strange.iter().map(|name| format!("the backup server {name} is no plain host name or address")),
        );
        wishes.backup = wishes.backup.filter(|wanted| backups.contains(wanted));
        if let Some(backup) = &wishes.backup {
            host = host.backed_by(backup, &profile.hosts);
        }
        let mut settings = Settings::from_profile(profile, &host, device(unique_id))?;
        let gateway = config.gateway(&host.address);
        let (mut trust, problems) = config.trust_for(&host);
        notes.extend(problems);
        for file in &wishes.trust {
            let roots =
                crate::config::read_roots(file).map_err(|(what, mend)| TargetError::Trust { what, mend })?;
            trust.roots.extend(roots);
        }
        settings.trust = trust;
        if gateway.login == Some(Login::EapTls) {
            settings.way = Way::EapTls(None);
        }
        let eap_ca = gateway.eap_ca.as_deref().filter(|_| matches!(settings.way, Way::EapTls(_)));
        let eap_roots = match eap_ca.map(crate::config::read_roots).transpose() {
            Err((what, _)) if !to_log_in => {
                warnings.push(format!("the next login will not work: {what}"));
                Some(Vec::new())
            }
            read => read.map_err(|(what, mend)| TargetError::Trust { what, mend })?,
        };
        settings.eap_server = EapServer { name: gateway.eap_server_name.clone(), roots: eap_roots };
        settings.port = gateway.port.get();
        settings.nat_port = gateway.nat_port.get();
        settings.dialect = gateway.dialect.clone();
        settings.mobike = gateway.mobike;
        settings.resumption = gateway.resumption;
        settings.ike_identity.clone_from(&gateway.identity);
        settings.ike.ml_kem = gateway.ml_kem;
        settings.ppk = ppk::read(&host.address, &gateway)?;
        let chosen = {
            let rules = &profile.client.certificate_match;
            let named = certificate::Named {
                wishes: &wishes,
                gateway: &gateway,
                module: config.agent.pkcs11_module.as_ref(),
                to_log_in,
                named_now,
            };
            certificate::choose(&mut settings, rules, &host, &named, &mut warnings)
        };
        let certificate::Choice { locked, token, problem } = match chosen {
            Err(problem) if !to_log_in => {
                warnings.push(format!("the next login will not work: {problem}"));
                certificate::Choice::default()
            }
            chosen => chosen?,
        };
        settings.login.scans = !gateway.host_scan.is_empty();
        wishes.passphrase = None;
        let named = match &wishes.certificate {
            Some(file) => Some(wishes.key.as_ref().unwrap_or(file)),
            None => gateway.key.as_ref().or(gateway.certificate.as_ref()),
        };
        let key_file = named.cloned();
        if !gateway.address.is_empty() {
            settings.addresses.clone_from(&gateway.address);
        }
        settings.dpd_interval = config.agent.dpd_interval;
        settings.reconnect_window = config.agent.reconnect_window;
        settings.rules.refusal_retry.clone_from(&config.agent.refusal_retry);
        settings.key_log = config.agent.key_log.is_some();
        // Whoever says where the proxy listens wants one.
        let tunnel = wishes.tunnel.or(wishes.proxy.map(|_| Tunnel::Proxy)).or(config.agent.tunnel);
        wishes.host = Some(typed);
        wishes.named = Some(just_named || wishes.named == Some(true));
        wishes.profile = Some(file.clone());
        let mut target = Self {
            primary,
            backups,
            profile_file: file,
            meaning,
            preferences: profile.preference_settings(),
            automatic: profile.client.automatic_vpn_policy.clone(),
            auto_connect_on_start: profile.client.auto_connect_on_start.value,
            portal: config
                .portal
                .probe
                .filter(|_| !profile.client.disable_captive_portal_detection.value)
                .map(|url| Probe { url, expect: config.portal.expect, timeout: PORTAL_TIMEOUT }),
            gap: gap(&profile.client.automatic_vpn_policy),
            guard: guard(
                config.tunnel.kill_switch,
                &profile.client.automatic_vpn_policy,
                profile.client.local_lan_access.value,
            ),
            may_disconnect: may_disconnect(&profile.client.automatic_vpn_policy),
            tunnel,
            network: NetworkWishes {
                local_lan: profile.client.local_lan_access.value,
                bypass: config.agent.client_bypass_protocol,
            },
            helper: config.agent.helper,
            proxy: wishes.proxy.unwrap_or(config.agent.proxy),
            proxy_login: config.agent.proxy_login,
            proxy_everything: config.agent.proxy_everything,
            key_log: config.agent.key_log,
            host_scan: Scanner::of(&gateway),
            notifications: config.agent.notifications,
            fixed_address: !gateway.address.is_empty(),
            settings,
            wishes,
            notes,
            warnings,
            locked,
            token,
            key_file,
            no_certificate: problem,
        };
        target.settings.silence_limit = target.next_backup().map(|_| SILENCE);
        Ok(target)
    }

    /// HostAddress of the profile's entry that `host` means.
    ///
    /// # Errors
    /// No profile is found, or none or several of their entries are meant.
    pub fn address_of(host: &str, profile: Option<&Path>) -> Result<String, TargetError> {
        choose::named(host, profile).map(|chosen| chosen.host.address)
    }

    /// Whom to try after this one, where it gives no answer.
    pub fn next_backup(&self) -> Option<&String> {
        let now = self.backups.iter().position(|backup| Some(backup) == self.wishes.backup.as_ref());
        self.backups.get(now.map_or(0, |at| at + 1))
    }

    /// What a running client cannot change is as in `other`.
    pub fn has_settings_of(&self, other: &Self) -> bool {
        let (a, b) = (&self.settings, &other.settings);
        a.host_address == b.host_address
            && a.trust == b.trust
            && (a.port, a.nat_port) == (b.port, b.nat_port)
            && a.dialect == b.dialect
            && a.mobike == b.mobike
            && a.resumption == b.resumption
            && a.families == b.families
            && a.rules == b.rules
            && self.automatic == other.automatic
            && self.portal == other.portal
            && self.may_disconnect == other.may_disconnect
            && self.guard == other.guard
            && self.gap == other.gap
            && self.network == other.network
            && a.login == b.login
            && a.way == b.way
            && a.eap_server == b.eap_server
            && a.ike_identity == b.ike_identity
            && a.ppk == b.ppk
            && a.ike == b.ike
            && (a.dpd_interval, a.reconnect_window) == (b.dpd_interval, b.reconnect_window)
            && self.host_scan == other.host_scan
            && self.fixed_address == other.fixed_address
            && (!self.fixed_address || a.addresses == b.addresses)
            && self.key_log == other.key_log
    }

    /// A login with this one is a login with `other`, from the same file.
    pub fn logs_in_as(&self, other: &Self) -> bool {
        self.has_settings_of(other)
            && self.profile_file == other.profile_file
            && self.meaning == other.meaning
    }

    /// The same gateway or one of its backups, reached in the same way. `file_counts`: by the same profile's file, too.
    pub fn is_same(&self, other: &Self, file_counts: bool) -> bool {
        self.primary.1 == other.primary.1
            && (!file_counts || self.profile_file == other.profile_file)
            && self.tunnel == other.tunnel
            && self.proxy == other.proxy
            && self.proxy_login == other.proxy_login
            && self.proxy_everything == other.proxy_everything
            && self.helper == other.helper
    }
}

/// The profile is always on, and closed: without a tunnel nothing leaves.
fn is_closed(policy: &AutomaticVpnPolicy) -> bool {
    let always_on = &policy.always_on;
    policy.enabled.value
        && always_on.enabled.value
        && always_on.connect_failure_policy.value == ConnectFailurePolicy::Closed
}

/// What the profile forbids the config file does not allow.
fn guard(wanted: KillSwitch, policy: &AutomaticVpnPolicy, lan: bool) -> Option<Guard> {
    if is_closed(policy) {
        return Some(Guard { mode: GuardMode::All, lan, always: true });
    }
    let mode = match wanted {
        KillSwitch::Off => return None,
        KillSwitch::TunnelPrefixes => GuardMode::TunnelPrefixes,
        KillSwitch::All => GuardMode::All,
    };
    Some(Guard { mode, lan, always: false })
}

/// An always-on profile can forbid the user to disconnect.
fn may_disconnect(policy: &AutomaticVpnPolicy) -> bool {
    let always_on = &policy.always_on;
    !policy.enabled.value || !always_on.enabled.value || always_on.allow_vpn_disconnect.value
}

/// How long a way past the tunnel is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GapTime {
    /// Unless the user says.
    pub usual: Duration,
    /// Whatever the user says.
    pub most: Duration,
}

/// CaptivePortalRemediationTimeout, as far as the helper goes along. An always-on profile that is closed has to allow it, and then
/// its time is a limit.
fn gap(policy: &AutomaticVpnPolicy) -> Option<GapTime> {
    let always_on = &policy.always_on;
    let closed = is_closed(policy);
    let seconds = 60 * u64::from(always_on.captive_portal_remediation_timeout.value.get());
    let allowed = !closed || always_on.allow_captive_portal_remediation.value;
    let longest = Duration::from_secs(MAX_GAP.into());
    let usual = Duration::from_secs(seconds).clamp(Duration::from_secs(60), longest);
    allowed.then_some(GapTime { usual, most: if closed { usual } else { longest } })
}

/// Addresses of one gateway that DNS may give.
const MAX_ADDRESSES: usize = 16;

/// The gateway's addresses by the machine's resolver. It can take long: never wait for it in a reconnect (law 4).
///
/// # Errors
/// For people: the name is not known, or nobody answered.
pub async fn look_up(host_address: String) -> Result<Vec<IpAddr>, String> {
    match tokio::net::lookup_host((host_address.as_str(), 0)).await {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.take(MAX_ADDRESSES) {
                if !addresses.contains(&address.ip()) {
                    addresses.push(address.ip());
                }
            }
            if addresses.is_empty() { Err(format!("{host_address} has no address")) } else { Ok(addresses) }
        }
        Err(error) => Err(format!("{host_address} cannot be looked up: {error}")),
    }
}

#[cfg(test)]
mod tests;
