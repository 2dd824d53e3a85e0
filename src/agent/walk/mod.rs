//! The way to a gateway, walked as a login would walk it, and where it stops: `ikeep doctor HOST`.
//!
//! The product's own initiator goes as far as the gateway's proof. Before it a login tells the profile's IKEIdentity, if it has
//! one, and which roots are trusted (hashes), and so does this; nothing about the user. No secret is read.

mod steps;

use super::clock::Clock;
use super::probe::{Answer, Seen, Way, attempt};
use super::target::{Target, look_up};
use crate::facts::Finding;
use crate::ike::dialect::ANYCONNECT_ID;
use crate::ike::initiator::{Credentials, InitiatorConfig};
use crate::ike::message::GatewayId;
use crate::ike::sa::Retransmission;
use crate::ipc::{Connect, Failure, FailureKind};
use crate::sense::resolv_conf;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::time::timeout;

/// A name that takes longer has no address.
const NAME: Duration = Duration::from_secs(10);
/// A gateway that does not answer IKE_SA_INIT for so long is silent.
const FIRST: Duration = Duration::from_secs(4);
/// The same for IKE_AUTH: it has a signature to make.
const AUTH: Duration = Duration::from_secs(8);
/// Redirects that are followed (RFC 5685).
const REDIRECTS: usize = 5;
/// Octets that are added to a message so that it is larger than any path of the Internet carries at once.
const LARGE: usize = 2_000;

/// Where the walk stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// [`Finding::what`] of the last step.
    pub at: &'static str,
    /// Gives the exit code.
    pub kind: FailureKind,
}

/// What the gateway told of itself before anybody logged in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Offers {
    /// The algorithms it took for the IKE SA.
    pub suite: String,
    /// Names of the notifies in its answer to IKE_SA_INIT.
    pub notifies: Vec<String>,
    /// Its vendor IDs.
    pub vendor_ids: Vec<String>,
}

/// What was found on the way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Walk {
    /// HostName of the profile, or what was asked for.
    pub host: String,
    /// HostAddress of the profile.
    pub host_address: String,
    /// Step by step.
    pub findings: Vec<Finding>,
    /// `None`: nothing is in the way of a login.
    pub stop: Option<Stop>,
    /// What the gateway offers; `None`: it was not reached.
    pub offers: Option<Offers>,
}

impl Walk {
    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn stop(&mut self, finding: Finding, kind: FailureKind) {
        self.stop = Some(Stop { at: finding.what, kind });
        self.findings.push(finding);
    }
}

/// Walks to the gateway that `wishes` mean, as `ikeep connect` would. `inner`: the addresses that a tunnel of ours has given this
/// machine. Takes 8 s for each address that does not answer, and 10 s at most for the name.
pub async fn walk(wishes: &Connect, inner: &[IpAddr], clock: &Clock) -> Walk {
    walk_there(wishes, inner, clock).await.0
}

/// Where a walk has ended without a stop.
pub(super) struct Reached {
    pub(super) target: Target,
    pub(super) way: Way,
    /// The gateway that sent us there (RFC 5685).
    pub(super) from: Option<IpAddr>,
}

/// The same, for who goes on from there.
pub(super) async fn walk_there(wishes: &Connect, inner: &[IpAddr], clock: &Clock) -> (Walk, Option<Reached>) {
    let mut walk = Walk { host: wishes.host.clone().unwrap_or_default(), ..Walk::default() };
    let target = match Target::find(wishes, None, "00") {
        Ok(target) => target,
        Err(error) => {
            let failure = Failure::from(error);
            walk.stop(steps::no_profile(&failure.message), failure.kind);
            return (walk, None);
        }
    };
    walk.host.clone_from(&target.primary.0);
    walk.host_address.clone_from(&target.settings.host_address);
    walk.found(steps::profile(&target));
    let clock_finding = steps::clock(clock.now().wall);
    walk.found(clock_finding);
    let Some(addresses) = addresses(&mut walk, &target, clock).await else { return (walk, None) };
    let walker = Walker { target, inner, clock };
    let end = walker.go(&mut walk, addresses).await.filter(|_| walk.stop.is_none());
    let reached = end.map(|(way, from)| Reached { target: walker.target, way, from });
    (walk, reached)
}

/// The addresses to try, in the order in which a login tries them.
async fn addresses(walk: &mut Walk, target: &Target, clock: &Clock) -> Option<Vec<IpAddr>> {
    let settings = &target.settings;
    let mut known = settings.addresses.clone();
    if target.fixed_address {
        walk.found(Finding::fine(
            steps::NAME,
            format!("not asked: the config file has {}", steps::list(&known)),
        ));
    } else if !known.is_empty() {
        walk.found(Finding::fine(
            steps::NAME,
            format!("not asked: the host is an address, {}", steps::list(&known)),
        ));
    } else {
        let start = clock.now().at;
        let asked = timeout(NAME, look_up(settings.host_address.clone())).await;
        let took = clock.now().at.since(start);
        let resolver = resolver();
        match asked {
            Ok(Ok(found)) => {
                walk.found(steps::name(&found, took, &resolver));
                known = found;
            }
            Ok(Err(why)) => {
                walk.stop(steps::no_name(&why, &resolver), FailureKind::NoAnswer);
                return None;
            }
            Err(_) => {
                let why = format!("nobody has answered for {} s", NAME.as_secs());
                walk.stop(steps::no_name(&why, &resolver), FailureKind::NoAnswer);
                return None;
            }
        }
    }
    let families = settings.families;
    known.retain(|ip| families.allows(*ip));
    known.sort_by_key(|ip| families.rank(*ip));
    if known.is_empty() {
        walk.stop(steps::no_family(&format!("{families:?}")), FailureKind::NoAnswer);
        return None;
    }
    Some(known)
}

/// The servers that this machine's programs ask, for people.
fn resolver() -> String {
    let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    let servers = resolv_conf::parse(&text).dns_servers;
    if servers.is_empty() {
        "no server is in /etc/resolv.conf".into()
    } else {
        format!("asked: {}", steps::list(&servers))
    }
}

/// This machine's address on the way to the gateway. Nothing is sent.
fn source(to: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

struct Walker<'a> {
    target: Target,
    inner: &'a [IpAddr],
    clock: &'a Clock,
}

impl Walker<'_> {
    /// The way to the gateway at the end of all redirects, if it was reached, and who sent us there.
    async fn go(&self, walk: &mut Walk, mut addresses: Vec<IpAddr>) -> Option<(Way, Option<IpAddr>)> {
        let mut from = None;
        for _ in 0..=REDIRECTS {
            let (way, seen) = self.first(walk, &addresses, from).await?;
            let Some(to) = &seen.redirect else {
                self.beyond(walk, way, seen, from).await;
                return Some((way, from));
            };
            walk.found(steps::redirect(way.first, to));
            from = Some(way.first.ip());
            addresses = match to {
                GatewayId::Address(ip) => vec![*ip],
                GatewayId::Name(name) => match timeout(NAME, look_up(name.clone())).await {
                    Ok(Ok(found)) => found,
                    _ => {
                        let finding = steps::no_name(&format!("{name} has no address"), &resolver());
                        walk.stop(finding, FailureKind::NoAnswer);
                        return None;
                    }
                },
            };
        }
        walk.stop(steps::redirects(REDIRECTS), FailureKind::NoAnswer);
        None
    }

    /// The first address that a way leads to and that answers, with what was seen of it.
    async fn first(
        &self,
        walk: &mut Walk,
        addresses: &[IpAddr],
        from: Option<IpAddr>,
    ) -> Option<(Way, Seen)> {
        let settings = &self.target.settings;
        let mut routed = Vec::new();
        let mut errors = Vec::new();
        for ip in addresses {
            let first = SocketAddr::new(*ip, settings.port);
            match source(first) {
                Ok(local) => routed.push(Way {
                    local,
                    first,
                    marker: false,
                    nat: Some(SocketAddr::new(*ip, settings.nat_port)),
                }),
                Err(error) => errors.push(format!("{ip}: {error}")),
            }
        }
        if routed.is_empty() {
            walk.stop(steps::no_route(&errors), FailureKind::NoAnswer);
            return None;
        }
        if let Some(way) = routed.iter().find(|way| self.inner.contains(&way.local)) {
            walk.stop(steps::tunnelled(way), FailureKind::Other);
            return None;
        }
        walk.found(steps::route(&routed, &errors));
        let mut silent = Vec::new();
        for way in routed {
            let seen = match attempt(self.config(from, None), way, self.clock).await {
                Ok(seen) => seen,
                Err(error) => {
                    silent.push(format!("{}: {error}", way.first));
                    continue;
                }
            };
            if seen.answer.is_some() || seen.redirect.is_some() {
                return Some((way, seen));
            }
            let other = self.on_nat_port(way, from).await;
            silent.push(steps::silence(way, &seen, FIRST, other.is_some_and(|seen| seen.answer.is_some())));
        }
        walk.stop(steps::no_first(&silent), FailureKind::NoAnswer);
        None
    }

    /// What lies behind a valid answer to IKE_SA_INIT.
    async fn beyond(&self, walk: &mut Walk, way: Way, seen: Seen, from: Option<IpAddr>) {
        let Some(answer) = seen.answer.clone() else { return };
        let Some(nat) = way.nat else { return };
        walk.found(steps::first(way, &answer));
        let unheard = matches!(seen.failure, Some(crate::ike::initiator::Failure::NoAnswer { .. }));
        if unheard && self.on_nat_port(way, from).await.is_none_or(|seen| seen.answer.is_none()) {
            walk.stop(steps::no_nat_port(nat, &seen), FailureKind::NoAnswer);
            return self.told(walk, &answer);
        }
        walk.found(steps::nat_port(nat, unheard));
        walk.found(steps::nat(&answer));
        let large = attempt(self.config(from, Some(LARGE)), Way { nat: None, ..way }, self.clock).await;
        let large = large.ok().filter(|seen| seen.answer.is_some()).map(|seen| seen.sent);
        let legacy = self.target.settings.dialect.legacy_fragmentation;
        let fragments = steps::fragments(large, &answer, &seen, unheard, legacy);
        match unheard {
            true => walk.stop(fragments, FailureKind::NoAnswer),
            false => {
                walk.found(fragments);
                let settings = &self.target.settings;
                let identity = &settings.identity;
                match steps::certificate(&seen, &settings.host_address, identity, self.clock.now().wall) {
                    Ok(finding) => walk.found(finding),
                    // Such a gateway proves itself to nobody who shows no certificate.
                    Err(_)
                        if matches!(
                            (&settings.way, &seen.failure),
                            (
                                crate::client::Way::Certificate(_),
                                Some(crate::ike::initiator::Failure::Refused { .. })
                            )
                        ) =>
                    {
                        walk.found(steps::not_without_certificate());
                    }
                    Err((finding, kind)) => walk.stop(finding, kind),
                }
            }
        }
        self.told(walk, &answer);
    }

    fn told(&self, walk: &mut Walk, answer: &Answer) {
        walk.found(steps::offers(answer));
        walk.found(steps::after_login());
        walk.offers = Some(Offers {
            suite: answer.suite.clone(),
            notifies: answer.notifies.clone(),
            vendor_ids: answer.vendor_ids.clone(),
        });
    }

    /// IKE_SA_INIT where everything after goes.
    async fn on_nat_port(&self, way: Way, from: Option<IpAddr>) -> Option<Seen> {
        let way = Way { first: way.nat?, marker: true, nat: None, ..way };
        attempt(self.config(from, None), way, self.clock).await.ok()
    }

    /// `large`: octets by which IKE_SA_INIT is longer than it has to be.
    fn config(&self, redirected_from: Option<IpAddr>, large: Option<usize>) -> InitiatorConfig {
        let mut config = login(&self.target, redirected_from);
        config.dialect.vendor_ids.extend(large.map(|octets| "x".repeat(octets)));
        if let Credentials::Certificate { .. } = &config.credentials {
            config.credentials = self.target.settings.without_certificate(); // showing it would be a login
        }
        if let Credentials::AnyConnect { params, .. } = &mut config.credentials {
            params.group_access = None;
        }
        InitiatorConfig {
            redirect: true,
            proof_only: true,
            exchange_timeout: AUTH,
            init_timeout: Some(FIRST),
            ..config
        }
    }
}

/// An attempt to log in, as a connection of the agent's would begin it.
pub(super) fn login(target: &Target, redirected_from: Option<IpAddr>) -> InitiatorConfig {
    let settings = &target.settings;
    InitiatorConfig {
        ike: settings.ike.clone(),
        esp: settings.esp.clone(),
        first_group: None,
        trust: settings.trust.clone(),
        host: settings.host_address.clone(),
        last_root: None,
        dialect: settings.dialect.clone(),
        credentials: settings.credentials().unwrap_or_else(|| settings.without_certificate()),
        ppk: settings.ppk.clone(),
        addresses: Vec::new(),
        ipv4: settings.ipv4,
        ipv6: settings.ipv6,
        mobike: settings.mobike,
        ticket: false,
        redirect: false,
        redirected_from,
        proof_only: false,
        learn: false,
        fragment: settings.fragment,
        retransmission: Retransmission { tries: u32::MAX, ..Retransmission::default() },
        exchange_timeout: settings.exchange_timeout,
        init_timeout: None,
    }
}

/// The usual identity of a login, where the profile names no other.
fn is_usual(identity: &str) -> bool {
    identity == ANYCONNECT_ID
}
