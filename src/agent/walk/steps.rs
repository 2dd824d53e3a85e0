//! What is said of each step, and what mends it.

use super::is_usual;
use crate::agent::probe::{Answer, Seen, Way};
use crate::agent::target::Target;
use crate::facts::{self, Finding, Health};
use crate::ike::cert::CertError;
use crate::ike::initiator::Failure;
use crate::ike::message::GatewayId;
use crate::ipc::FailureKind;
use crate::time::UnixTime;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const PROFILE: &str = "profile";
pub(super) const NAME: &str = "name";
const ROUTE: &str = "route";
const FIRST: &str = "UDP 500";
const NAT_PORT: &str = "UDP 4500";
const NAT: &str = "NAT";
const FRAGMENTS: &str = "fragments";
const CERTIFICATE: &str = "certificate";
const OFFERS: &str = "offers";
const LATER: &str = "after the login";

/// A certificate that ends sooner is told.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// What somebody who runs a network or a gateway has to hear.
const LET_THROUGH: &str = "try another network (a phone's): if it works there, whoever runs this network has to let UDP 500 \
     and 4500 out; if not, the gateway's administrator has to look: sudo tcpdump -ni any 'udp port 500 or udp port 4500'";

pub(super) fn list<T: Display>(values: &[T]) -> String {
    if values.is_empty() {
        return "none".to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn no_profile(why: &str) -> Finding {
    Finding::wrong(PROFILE, Health::Missing, why, "ikeep profile list")
}

pub(super) fn profile(target: &Target) -> Finding {
    let settings = &target.settings;
    let found =
        format!("{} in {} is {}", settings.host_name, target.profile_file.display(), settings.host_address);
    let said: Vec<&str> = target.warnings.iter().chain(&target.notes).map(String::as_str).collect();
    if said.is_empty() {
        return Finding::fine(PROFILE, found);
    }
    // Whatever it is, it may be about another file than this one.
    Finding::wrong(PROFILE, Health::Lacking, format!("{found}; {}", said.join("; ")), "ikeep profile list")
}

pub(super) fn clock(now: UnixTime) -> Finding {
    facts::clock(now)
}

pub(super) fn name(found: &[IpAddr], took: Duration, resolver: &str) -> Finding {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = found.iter().copied().partition(|ip| ip.is_ipv4());
    let text = format!("IPv4: {}; IPv6: {}; after {} ms; {resolver}", list(&v4), list(&v6), took.as_millis());
    Finding::fine(NAME, text)
}

pub(super) fn no_name(why: &str, resolver: &str) -> Finding {
    let mend = "look at it with `getent ahosts NAME`; where only this network's DNS fails, give the gateway's address in \
                the config file: [gateway.\"NAME\"] address = \"ADDRESS\"";
    Finding::wrong(NAME, Health::Missing, format!("{why}; {resolver}"), mend)
}

pub(super) fn no_family(families: &str) -> Finding {
    let found = format!("no address is of a family that the profile allows (IPProtocolSupport: {families})");
    Finding::wrong(
        NAME,
        Health::Missing,
        found,
        "ask whoever made the profile for one that allows the other family",
    )
}

pub(super) fn no_route(errors: &[String]) -> Finding {
    Finding::wrong(ROUTE, Health::Missing, errors.join("; "), "connect to a network: nmcli networking on")
}

pub(super) fn tunnelled(way: &Way) -> Finding {
    let found = format!(
        "{} is reached from {}, through the tunnel that is up: what would be seen is the way from its gateway, not from here",
        way.first.ip(),
        way.local
    );
    let mend = "while the connection works nothing is in its way (`ikeep status`); to walk: ikeep disconnect, which ends the session";
    Finding::wrong(ROUTE, Health::Unknown, found, mend)
}

pub(super) fn route(ways: &[Way], errors: &[String]) -> Finding {
    let ways: Vec<String> = ways.iter().map(|way| format!("{} from {}", way.first.ip(), way.local)).collect();
    let without = if errors.is_empty() { String::new() } else { format!("; none to {}", errors.join("; ")) };
    Finding::fine(ROUTE, format!("{}{without}", ways.join(", ")))
}

/// One address that gave no valid answer to IKE_SA_INIT.
pub(super) fn silence(way: Way, seen: &Seen, waited: Duration, on_nat_port: bool) -> String {
    let mut text = format!("{} has not answered for {} s", way.first, waited.as_secs());
    match &seen.failure {
        Some(Failure::NoAnswer { hint: Some(hint) }) => text = format!("{} answers {hint}", way.first),
        Some(Failure::NoAnswer { hint: None }) | None => {}
        Some(other) => text = format!("{}: {other}", way.first),
    }
    if let Some(kernel) = &seen.kernel {
        text += &format!(" ({kernel})");
    }
    if on_nat_port && let Some(nat) = way.nat {
        text += &format!(", though {nat} does");
    }
    text
}

pub(super) fn no_first(silent: &[String]) -> Finding {
    Finding::wrong(FIRST, Health::Missing, silent.join("; "), LET_THROUGH)
}

pub(super) fn first(way: Way, answer: &Answer) -> Finding {
    let again = match answer.restarts {
        0 => String::new(),
        times => format!(", after it wanted a cookie or another group {times} times"),
    };
    Finding::fine(FIRST, format!("{} answers after {} ms{again}", way.first, answer.after.as_millis()))
}

pub(super) fn redirect(from: SocketAddr, to: &GatewayId) -> Finding {
    Finding::fine(FIRST, format!("{from} sends logins to {to}"))
}

pub(super) fn redirects(most: usize) -> Finding {
    let found = format!("more than {most} redirects, one after the other");
    Finding::wrong(
        FIRST,
        Health::Missing,
        found,
        "ask the gateway's administrator to look at its load balancing",
    )
}

pub(super) fn no_nat_port(nat: SocketAddr, seen: &Seen) -> Finding {
    let kernel = seen.kernel.as_ref().map(|kernel| format!(" ({kernel})")).unwrap_or_default();
    Finding::wrong(NAT_PORT, Health::Missing, format!("{nat} does not answer{kernel}"), LET_THROUGH)
}

pub(super) fn nat_port(nat: SocketAddr, unheard: bool) -> Finding {
    let what = if unheard { "answers IKE_SA_INIT, but not IKE_AUTH" } else { "answers IKE_AUTH" };
    Finding::fine(NAT_PORT, format!("{nat} {what}"))
}

pub(super) fn nat(answer: &Answer) -> Finding {
    let here = match answer.nat_here {
        Some(true) => "the gateway sees this machine at another address or port (NAT, which is no hindrance)",
        Some(false) => "the gateway sees this machine at its own address",
        None => {
            return Finding::unknown(NAT, "the gateway does not say at which address it sees this machine");
        }
    };
    let there = if answer.nat_there == Some(true) { "; it says that it is behind NAT itself" } else { "" };
    Finding::fine(NAT, format!("{here}{there}"))
}

/// `large`: octets of a message of ours that was answered though no path carries it at once. `unheard`: IKE_AUTH was not. `legacy`:
/// the way of before RFC 7383 is switched on.
pub(super) fn fragments(
    large: Option<usize>,
    answer: &Answer,
    seen: &Seen,
    unheard: bool,
    legacy: bool,
) -> Finding {
    let switch = answer.legacy_fragments && !legacy;
    let knows = if answer.fragments {
        "the gateway cuts IKE messages itself (RFC 7383)"
    } else if answer.legacy_fragments {
        "the gateway cuts IKE messages in the way of before RFC 7383 only"
    } else {
        "the gateway does not cut IKE messages (no RFC 7383)"
    };
    let out = match large {
        Some(octets) => format!("a message of {octets} octets was answered"),
        None => "a message of 2,000 octets more than needed was not answered".to_owned(),
    };
    let found = format!("{out}; the largest that came was of {} octets; {knows}", seen.received);
    if unheard {
        let found = format!(
            "{found}; IKE_AUTH ({} octets at most) was not answered: its answer with the certificates may be lost on the way",
            seen.sent
        );
        let mend = if switch {
            "set `legacy_fragmentation = true` in the config file, under this gateway's `dialect`"
        } else {
            "ask the gateway's administrator for `crypto ikev2 fragmentation mtu 1280`, or whoever runs this network to let IP fragments through"
        };
        return Finding::wrong(FRAGMENTS, Health::Missing, found, mend);
    }
    if large.is_none() && !answer.fragments && !(answer.legacy_fragments && legacy) {
        let mend = if switch {
            "if the login stops later: set `legacy_fragmentation = true` in the config file, under this gateway's `dialect`"
        } else {
            "if the login stops later: ask the gateway's administrator for `crypto ikev2 fragmentation mtu 1280`"
        };
        return Finding::wrong(FRAGMENTS, Health::Lacking, found, mend);
    }
    Finding::fine(FRAGMENTS, found)
}

/// What the gateway showed of itself; the error ends the walk.
pub(super) fn certificate(
    seen: &Seen,
    host: &str,
    identity: &str,
    now: UnixTime,
) -> Result<Finding, (Finding, FailureKind)> {
    let stop = |found: String, mend: String, kind| {
        Err((Finding::wrong(CERTIFICATE, Health::Missing, found, mend), kind))
    };
    if let Some(verified) = &seen.verified {
        let until = day(verified.not_after);
        let found = format!(
            "{}, for {host}, below a trusted root, valid until {until}; the gateway's signature is right",
            verified.subject
        );
        let left = verified.not_after.since(now);
        return Ok(if left < SOON {
            let mend = "the gateway's administrator has to renew it";
            Finding::wrong(
                CERTIFICATE,
                Health::Lacking,
                format!("{found}: {} days left", left.as_secs() / 86_400),
                mend,
            )
        } else {
            Finding::fine(CERTIFICATE, found)
        });
    }
    match &seen.failure {
        Some(Failure::Certificate(error)) => stop(error.to_string(), mend(error).to_owned(), FailureKind::Certificate),
        Some(failure @ Failure::GatewayAuth) => stop(
            failure.to_string(),
            "somebody else may be answering: try another network; if it stays so, the gateway's key does not belong to its \
             certificate, and its administrator has to look"
                .into(),
            FailureKind::Certificate,
        ),
        Some(Failure::Refused { .. }) => {
            let usual = if is_usual(identity) { "" } else { " (the profile's IKEIdentity)" };
            stop(
                format!("not shown: the gateway refuses the login's first message, with the identity {identity}{usual}"),
                "ask the gateway's administrator whether an IKEv2 profile matches that identity and takes the login that the \
                 profile names; for EAP-AnyConnect: authentication remote anyconnect-eap aggregate"
                    .into(),
                FailureKind::Authentication,
            )
        }
        Some(other) => stop(
            format!("not shown: {other}"),
            "ikeep bundle, and ask the gateway's administrator for `debug crypto ikev2 error`".into(),
            FailureKind::Other,
        ),
        None => stop("not shown".into(), "try again".into(), FailureKind::NoAnswer),
    }
}

fn mend(error: &CertError) -> &'static str {
    match error {
        CertError::UnknownIssuer { .. } => "ikeep doctor HOST --trust CA.pem, with your organisation's CA",
        CertError::Expired { .. } | CertError::NotYetValid { .. } => {
            "timedatectl shows whether the clock is right; if it is, the gateway's administrator has to renew the certificate"
        }
        CertError::Name { .. } => {
            "connect to the name that the certificate carries, or ask whoever made the profile (HostAddress) or the \
             gateway's administrator (certificate) to make them agree"
        }
        CertError::Pin { .. } => "get the new profile from whoever made it",
        CertError::TestKey => {
            "ikeep doctor HOST --trust FILE, with the CA of `ikeep gateway serve --write-ca FILE`"
        }
        _ => "the gateway's administrator has to look at its certificate",
    }
}

pub(super) fn offers(answer: &Answer) -> Finding {
    let found = format!(
        "{}; notifies: {}; vendor IDs: {}",
        answer.suite,
        list(&answer.notifies),
        list(&answer.vendor_ids)
    );
    Finding::fine(OFFERS, found)
}

/// The profile wants a certificate of the user's, which the walk does not show.
pub(super) fn not_without_certificate() -> Finding {
    Finding::unknown(
        CERTIFICATE,
        "the gateway's: it is shown in answer to yours only, and that would be a login: `ikeep connect` shows it",
    )
}

/// What a gateway tells to those only who have logged in.
pub(super) fn after_login() -> Finding {
    Finding::unknown(
        LATER,
        "whether it takes the password, gives an address and a session to come back to, offers MOBIKE, and lets its later \
         messages and ESP through: `ikeep connect` shows it",
    )
}

fn day(time: UnixTime) -> String {
    let time =
        i64::try_from(time.as_secs()).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "a time beyond the calendar".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}
