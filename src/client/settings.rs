//! What one connection needs to know, put together from profile and config by the shell.

use super::AuthKind;
use crate::crypto::Hash;
use crate::ike::cert::{OwnCertificate, Root, Trust, user_name};
use crate::ike::dialect::{ANYCONNECT_ID, Dialect};
use crate::ike::eap::{Device, EapMethod, LoginParams, TlsLogin};
use crate::ike::initiator::Credentials;
use crate::ike::message::{Identity, id_type};
use crate::ike::ppk::Ppk;
use crate::ike::proposal::{Algorithms, Wish};
use crate::profile::{
    AuthMethod, AutoReconnectBehavior, HostEntry, IpProtocolSupport, NotUsable, Profile, TrustedNetworkPolicy,
};
use crate::reconnect::{OnSuspend, OnTrusted, Resumption, Rules};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How whoever logs in proves it: the profile's AuthMethodDuringIKENegotiation, or the config file's `login`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// EAP-AnyConnect.
    AnyConnect,
    /// A method of the standards.
    Eap(EapMethod),
    /// EAP-TLS with a certificate, where one is named.
    EapTls(Option<Arc<OwnCertificate>>),
    /// A certificate, where one is named.
    Certificate(Option<Arc<OwnCertificate>>),
}

impl Way {
    /// The name of a login of this kind.
    pub fn kind(&self) -> AuthKind {
        match self {
            Self::AnyConnect => AuthKind::AnyConnect,
            Self::Eap(method) => AuthKind::Eap(*method),
            Self::EapTls(_) => AuthKind::Eap(EapMethod::Tls),
            Self::Certificate(_) => AuthKind::Certificate,
        }
    }
}

/// Who the EAP server of a login with EAP-TLS has to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EapServer {
    /// What its certificate must name; `None`: HostAddress, as the gateway's.
    pub name: Option<String>,
    /// Whom to believe about it; `None`: the roots that vouch for gateways.
    pub roots: Option<Vec<Root>>,
}

/// The settings of a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// HostName of the profile, for people.
    pub host_name: String,
    /// HostAddress of the profile: what the certificate must name and what the token is bound to.
    pub host_address: String,
    /// Addresses of the gateway, in the order to try them.
    pub addresses: Vec<IpAddr>,
    /// Of which families the gateway's address may be, and which is tried first.
    pub families: IpProtocolSupport,
    /// Port of first contact.
    pub port: u16,
    /// Port of everything after.
    pub nat_port: u16,
    /// IKE algorithms.
    pub ike: Algorithms,
    /// ESP algorithms.
    pub esp: Algorithms,
    /// Whom to believe.
    pub trust: Trust,
    /// What is assumed about the gateway.
    pub dialect: Dialect,
    /// How whoever logs in proves it.
    pub way: Way,
    /// Who the EAP server has to be, where the way is EAP-TLS.
    pub eap_server: EapServer,
    /// IDi of a login: the profile's IKEIdentity, else the usual one.
    pub identity: String,
    /// IDi of a login with a standard method or a certificate, where the config file names one.
    pub ike_identity: Option<Identity>,
    /// Mixed into the keys of logins and reconnects (RFC 8784).
    pub ppk: Option<Ppk>,
    /// What a login says about this machine.
    pub login: LoginParams,
    /// AuthenticationTimeout, for each exchange.
    pub exchange_timeout: Duration,
    /// A login that nobody answers at all, while there is a path, is over after this, where AuthenticationTimeout is longer:
    /// another gateway can be tried ([`super::Event::Unanswered`]).
    pub silence_limit: Option<Duration>,
    /// What to do when something breaks.
    pub rules: Rules,
    /// Liveness is checked after this much silence.
    pub dpd_interval: Duration,
    /// How long a token is worth trying, until the gateway says otherwise.
    pub reconnect_window: Duration,
    /// Ask for IPv4 inside.
    pub ipv4: bool,
    /// Ask for IPv6 inside.
    pub ipv6: bool,
    /// Offer MOBIKE (RFC 4555): the SA moves with us where the gateway offers it too.
    pub mobike: bool,
    /// Tickets beside the token, or in its place.
    pub resumption: Resumption,
    /// Largest IKE message where RFC 7383 is in use, octets: fits a path of 1,280 octets.
    pub fragment: usize,
    /// We rekey the IKE SA after this.
    pub ike_lifetime: Duration,
    /// We rekey the Child SA after this.
    pub child_lifetime: Duration,
    /// Tell the keys of every SA, for somebody who debugs with Wireshark: [`super::Event::IkeKeys`], [`super::Event::EspKeys`].
    pub key_log: bool,
}

impl Settings {
    /// How a login begins; `None` where it takes a certificate and none is named.
    pub fn credentials(&self) -> Option<Credentials> {
        let named = self.ike_identity.clone();
        let usual = || Identity::new(self.dialect.initial_id_type, self.identity.as_str());
        match &self.way {
            Way::AnyConnect => Some(self.without_certificate()),
            Way::EapTls(own) => own.as_ref().map(|own| Credentials::EapTls {
                identity: named.clone().unwrap_or_else(usual),
                login: Box::new(self.tls_login(own, named.as_ref())),
            }),
            Way::Eap(method) => {
                Some(Credentials::Eap { identity: named.unwrap_or_else(usual), method: *method })
            }
            Way::Certificate(own) => own.as_ref().map(|own| Credentials::Certificate {
                identity: named.unwrap_or_else(|| own.identity().clone()),
                own: Arc::clone(own),
            }),
        }
    }

    /// How IKE SAs are resumed: not at all with a PPK, since nothing in IKE_SESSION_RESUME would show that it is still in the keys;
    /// nor where ML-KEM is required, since a ticket does not tell whether its SA had that.
    pub fn tickets(&self) -> Resumption {
        let sure = self.ppk.is_none() && self.ike.ml_kem != Wish::Require;
        if sure { self.resumption } else { Resumption::Off }
    }

    /// Whom we trust to be this gateway, and with which algorithms of IKE: SHA-256 of it. A ticket that was given on other terms is
    /// not used, since the certificate that was good then is not looked at again.
    pub fn terms(&self) -> Vec<u8> {
        let Trust { roots, pins, idr_check } = &self.trust;
        let root = |root: &Root| Hash::Sha256.digest(&[&[u8::from(root.configured)], &root.der]);
        let mut roots: Vec<_> = roots.iter().map(root).collect();
        let mut pins = pins.clone();
        roots.sort_unstable();
        pins.sort_unstable();
        let (sha1, ike) = (self.dialect.rsa_auth_sha1, &self.ike);
        let others = format!("{} {} {idr_check:?} {sha1} {ike:?}", roots.len(), pins.len());
        Hash::Sha256.digest(&[&roots.concat(), pins.as_flattened(), others.as_bytes()])
    }

    /// The gateway has proved itself with the profile's pins before the EAP server is heard, whose certificate may be another
    /// one: they do not count for it.
    fn tls_login(&self, own: &Arc<OwnCertificate>, named: Option<&Identity>) -> TlsLogin {
        let text =
            named.filter(|id| matches!(id.kind, id_type::FQDN | id_type::RFC822_ADDR | id_type::KEY_ID));
        let text = text.and_then(|id| String::from_utf8(id.data.clone()).ok());
        let of_certificate = || own.chain().first().and_then(|leaf| user_name(leaf));
        TlsLogin {
            own: Arc::clone(own),
            name: text.or_else(of_certificate).unwrap_or_default(),
            server: self.eap_server.name.clone().unwrap_or_else(|| self.host_address.clone()),
            trust: Trust {
                roots: self.eap_server.roots.clone().unwrap_or_else(|| self.trust.roots.clone()),
                ..Trust::default()
            },
        }
    }

    /// The first message of a login that says nothing about the user: for whoever only walks to the gateway.
    pub fn without_certificate(&self) -> Credentials {
        Credentials::AnyConnect { identity: self.identity.clone(), params: self.login.clone() }
    }

    /// Defaults for a host of a profile; addresses, trust and the config file's wishes are filled in by the caller.
    ///
    /// # Errors
    /// A host that this client cannot use: it speaks SSL, or its address is not a plain
    /// name or IP address.
    pub fn from_profile(profile: &Profile, host: &HostEntry, device: Device) -> Result<Self, NotUsable> {
        let way = match host.usable()? {
            AuthMethod::EapMd5 => Way::Eap(EapMethod::Md5),
            AuthMethod::EapGtc => Way::Eap(EapMethod::Gtc),
            AuthMethod::EapMschapv2 => Way::Eap(EapMethod::Mschapv2),
            AuthMethod::IkeRsa | AuthMethod::IkeEcdsa => Way::Certificate(None),
            AuthMethod::EapAnyConnect => Way::AnyConnect,
        };
        let preferences = &profile.client;
        let rules = Rules {
            auto_reconnect: preferences.auto_reconnect.enabled.value,
            on_suspend: match preferences.auto_reconnect.behavior.value {
                AutoReconnectBehavior::DisconnectOnSuspend => OnSuspend::Disconnect,
                AutoReconnectBehavior::ReconnectAfterResume => OnSuspend::Reconnect,
            },
            on_trusted: match &preferences.automatic_vpn_policy {
                policy if !policy.enabled.value => OnTrusted::Stay,
                policy => match policy.trusted_network_policy.value {
                    TrustedNetworkPolicy::Disconnect => OnTrusted::Disconnect,
                    TrustedNetworkPolicy::Pause => OnTrusted::Pause,
                    TrustedNetworkPolicy::Connect | TrustedNetworkPolicy::DoNothing => OnTrusted::Stay,
                },
            },
            ..Rules::default()
        };
        Ok(Self {
            host_name: host.name.clone(),
            host_address: host.address.clone(),
            addresses: host.address.parse().into_iter().collect(),
            families: preferences.ip_protocol_support.value,
            port: 500,
            nat_port: 4500,
            ike: Algorithms::ike(),
            esp: Algorithms::esp(),
            trust: Trust { pins: host.pins.iter().map(|pin| pin.hash.0).collect(), ..Trust::default() },
            dialect: Dialect::default(),
            way,
            eap_server: EapServer::default(),
            identity: host.ike_identity.clone().unwrap_or_else(|| ANYCONNECT_ID.into()),
            ike_identity: None,
            ppk: None,
            login: LoginParams { device, group_access: host.user_group.clone(), own: None, scans: false },
            exchange_timeout: preferences.authentication_timeout(),
            silence_limit: None,
            rules,
            dpd_interval: Duration::from_secs(30),
            reconnect_window: Duration::from_secs(900),
            ipv4: true,
            ipv6: true,
            mobike: true,
            resumption: Resumption::Off,
            fragment: 1_200,
            ike_lifetime: Duration::from_secs(24 * 3600 - 1800),
            child_lifetime: Duration::from_secs(3600 - 300),
            key_log: false,
        })
    }
}
