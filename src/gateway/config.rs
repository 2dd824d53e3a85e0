//! What the embedded gateway is told: who it is, whom it lets in, what it hands out.

use crate::crypto::{Secret, Signer};
use crate::ike::dialect::Dialect;
use crate::ike::message::{GatewayId, Identity};
use crate::ike::ppk::Ppk;
use crate::ike::proposal::Algorithms;
use crate::plan::Net;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// A user of the gateway's own AAA.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The password.
    pub password: Secret,
    /// The answer to a second form, where there is a second factor.
    pub second_factor: Option<Secret>,
    /// The groups this user may log in to; empty means all of them.
    pub groups: Vec<String>,
}

impl User {
    /// A user with a password only.
    pub fn with_password(password: &str) -> Self {
        Self { password: Secret::from(password.as_bytes()), second_factor: None, groups: Vec::new() }
    }
}

/// Where logins are sent (RFC 5685).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    /// The other gateway.
    pub to: GatewayId,
    /// At the end of IKE_AUTH, once the user has logged in; else in the answer to IKE_SA_INIT.
    pub after_login: bool,
}

/// When the gateway asks whether a client is alive (`seed`: `DPD configured for 45 seconds, retry 2`, on demand).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dpd {
    /// The gateway asks after this long without a sign of the client. On demand: only once the client has sent a DPD itself.
    pub interval: Duration,
    /// First interval between repetitions of an unanswered request; it doubles up to four times as much.
    pub retry: Duration,
    /// Transmissions before the client counts as dead.
    pub tries: u32,
}

impl Default for Dpd {
    fn default() -> Self {
        Self { interval: Duration::from_secs(45), retry: Duration::from_secs(2), tries: 5 }
    }
}

/// Everything about one gateway. [`GatewayConfig::seed`] gives the seed's router; change the fields from there.
#[derive(Clone)]
pub struct GatewayConfig {
    /// The outer address: NAT detection, and what `show` prints as local.
    pub address: IpAddr,
    /// The ports behind [`Port::Ike`](super::Port::Ike) and [`Port::Nat`](super::Port::Nat) as clients see them.
    pub ports: (u16, u16),
    /// IDr (`seed`: an address, as its router has no `identity local`).
    pub identity: Identity,
    /// The certificate chain, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The key of the leaf.
    pub signer: Arc<dyn Signer>,
    /// The name of the IKEv2 profile, as `show` prints it.
    pub profile: String,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// AAA is outside: [`super::Gateway::poll_aaa`] asks it, `users` are nobody.
    pub aaa_outside: bool,
    /// Logins show a certificate that one of these roots (DER) vouches for; none: no certificate is asked for.
    pub client_roots: Vec<Vec<u8>>,
    /// The certificate is enough: no password is asked for, and its common name is who logs in.
    pub certificate_only: bool,
    /// Logins are asked for a scan of the host, which has to give this token.
    pub host_scan: Option<String>,
    /// Groups offered; more than one adds a `group_list` to the form.
    pub groups: Vec<String>,
    /// First and last address of the IPv4 pool.
    pub pool4: (Ipv4Addr, Ipv4Addr),
    /// First and last address of the IPv6 pool (handed out as /128), where there is one.
    pub pool6: Option<(Ipv6Addr, Ipv6Addr)>,
    /// Networks that go into the tunnel; empty means everything.
    pub include: Vec<Net>,
    /// IPv4 networks that stay outside it; 0.0.0.0/32 stands for the client's local networks.
    pub exclude: Vec<Net>,
    /// DNS servers handed out.
    pub dns: Vec<IpAddr>,
    /// Default domain handed out.
    pub domain: Option<String>,
    /// Banner, in EAP-AnyConnect's `complete` and as attribute 28672.
    pub banner: Option<String>,
    /// Backup servers handed out (28681).
    pub backup_servers: Vec<String>,
    /// How long a lost session waits in the inactive database; `None`: `reconnect` is not configured, no session ID or token
    /// is handed out.
    pub reconnect_timeout: Option<Duration>,
    /// A reconnect may replace an IKE SA that is still thought alive; else only inactive sessions are found.
    pub lenient: bool,
    /// Liveness.
    pub dpd: Dpd,
    /// The numbers that are not public, and whether a DELETE ends the session (`delete_ends_session`).
    pub dialect: Dialect,
    /// IKE SA algorithms.
    pub ike: Algorithms,
    /// Child SA algorithms.
    pub esp: Algorithms,
    /// Lifetime of an IKE SA (`seed`: 86400 s).
    pub ike_lifetime: Duration,
    /// Every client is told to authenticate anew within this time (AUTH_LIFETIME, RFC 4478), or its IKE SA is deleted then.
    pub auth_lifetime: Option<Duration>,
    /// Lifetime of a Child SA (`seed`: 3600 s).
    pub child_lifetime: Duration,
    /// Volume lifetime of a Child SA, KB of 1024 octets (`seed`: 4,608,000).
    pub child_volume_kb: u64,
    /// Answer SIGNATURE_HASH_ALGORITHMS and sign with AUTH method 14 where the client announced it (RFC 7427); else method 1
    /// with the PRF's hash.
    pub signature_hashes: bool,
    /// Announce RFC 7383 (`seed`: `Fragmentation not configured`).
    pub fragmentation: bool,
    /// Answer USE_PPK, and mix it into the keys of clients that have it (RFC 8784).
    pub ppk: Option<Ppk>,
    /// Answer MOBIKE_SUPPORTED with the same (RFC 4555): a client that offers it moves by UPDATE_SA_ADDRESSES, and only by that
    /// (the seed's router says nothing of it: off).
    pub mobike: bool,
    /// Give tickets that are good for so long (RFC 5723), and take them; `None`: neither.
    pub tickets: Option<Duration>,
    /// Logins of clients that know RFC 5685 are sent to another gateway. No reconnect by token is.
    pub redirect: Option<Elsewhere>,
    /// A half-open login is forgotten after this long.
    pub auth_timeout: Duration,
    /// From this many half-open logins on, IKE_SA_INIT is answered with a COOKIE.
    pub cookie_threshold: usize,
    /// At most so many half-open logins; more are not answered.
    pub half_open_limit: usize,
    /// Networks behind the gateway whose addresses all answer ping and UDP echo (port 7).
    pub inside: Vec<Net>,
}

impl GatewayConfig {
    /// The seed's router: pool 192.168.20.5 to 192.168.20.10, split list 192.168.10.0/24, domain example.com,
    /// `reconnect timeout 900`, DPD 45 s, no fragmentation, one user `test` with the password `cisco`. It takes every
    /// algorithm we have, the seed's suites first.
    pub fn seed(address: IpAddr, chain: Vec<Vec<u8>>, signer: Arc<dyn Signer>) -> Self {
        Self {
            address,
            ports: (500, 4500),
            identity: address_identity(address),
            chain,
            signer,
            profile: "AnyConnect-EAP".into(),
            users: BTreeMap::from([("test".to_owned(), User::with_password("cisco"))]),
            aaa_outside: false,
            client_roots: Vec::new(),
            certificate_only: false,
            host_scan: None,
            groups: Vec::new(),
            pool4: (Ipv4Addr::new(192, 168, 20, 5), Ipv4Addr::new(192, 168, 20, 10)),
            pool6: None,
            include: vec![Net { address: Ipv4Addr::new(192, 168, 10, 0).into(), prefix: 24 }],
            exclude: Vec::new(),
            dns: vec![Ipv4Addr::new(192, 168, 10, 53).into()],
            domain: Some("example.com".into()),
            banner: None,
            backup_servers: Vec::new(),
            reconnect_timeout: Some(Duration::from_secs(900)),
            lenient: true,
            dpd: Dpd::default(),
            dialect: Dialect::default(),
            ike: Algorithms::ike(),
            esp: Algorithms::esp(),
            ike_lifetime: Duration::from_secs(86_400),
            auth_lifetime: None,
            child_lifetime: Duration::from_secs(3600),
            child_volume_kb: 4_608_000,
            signature_hashes: true,
            fragmentation: false,
            ppk: None,
            mobike: false,
            tickets: None,
            redirect: None,
            auth_timeout: Duration::from_secs(30),
            cookie_threshold: 64,
            half_open_limit: 512,
            inside: vec![Net { address: Ipv4Addr::new(192, 168, 10, 0).into(), prefix: 24 }],
        }
    }
}

/// ID_IPV4_ADDR or ID_IPV6_ADDR (RFC 7296 3.5).
pub fn address_identity(address: IpAddr) -> Identity {
    match address {
        IpAddr::V4(a) => Identity { kind: 1, data: a.octets().to_vec() },
        IpAddr::V6(a) => Identity { kind: 5, data: a.octets().to_vec() },
    }
}
