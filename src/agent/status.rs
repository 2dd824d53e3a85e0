//! The picture of a connection as one JSON object with stable keys (DESIGN section 5).

use super::driver::Picture;
use crate::client::{AuthKind, Reconnected, Settings, Status};
use crate::crypto::Kem;
use crate::ike::eap::{EapError, EapMethod};
use crate::ike::initiator::Failure;
use crate::ipc::Connect;
use crate::journal::Reason;
use crate::reconnect::{Cause, Pause, State};
use crate::time::{Instant, Now};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// What the status needs besides the driver's picture.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The connection's settings.
    pub settings: &'a Settings,
    /// Where the profile came from.
    pub profile: &'a str,
    /// `tun`, `proxy` or `none`.
    pub tunnel: &'a str,
    /// The device's name.
    pub device: Option<&'a str>,
    /// Of the device, octets.
    pub mtu: Option<usize>,
    /// Where the proxy listens.
    pub proxy: Option<SocketAddr>,
}

/// One object; keys without a value are `null`.
pub fn json(picture: &Picture, about: About<'_>) -> Value {
    let Picture { now, status, local, losses } = picture;
    let now = *now;
    let age = |at: Instant| now.at.since(at);
    let plan = status.plan.as_ref();
    let nets = |pick: fn(&crate::plan::Plan) -> &Vec<crate::plan::Net>| {
        plan.map(|plan| {
            pick(plan).iter().map(|net| format!("{}/{}", net.address, net.prefix)).collect::<Vec<_>>()
        })
    };
    json!({
        "state": status.state.name(),
        "capabilities": capabilities(status),
        "confirmed": status.confirmed,
        "interruption": interruption(&status.state, now),
        "host": about.settings.host_name,
        "gateway": status.gateway.map(|at| at.to_string()),
        "profile": about.profile,
        "profile_change": null,
        "user": status.user,
        "since": status.since.map(|at| rfc3339(now, age(at))),
        "auth": status.auth.map(auth),
        "session_id": status.session_id,
        "session_expires": status.token_until.map(|until| rfc3339_in(now, until.since(now.at))),
        "reconnects": status.reconnects,
        "last_reconnect": status.last_reconnect.map(reconnect),
        "ike": status.ike.map(|ike| json!({
            "local": local.map(|at| at.to_string()),
            "remote": status.gateway.map(|at| at.to_string()),
            "spi_i": hex(&ike.spis.0),
            "spi_r": hex(&ike.spis.1),
            "encr": format!("{:?}", ike.suite.encr),
            "prf": format!("{:?}", ike.suite.prf),
            "integ": ike.suite.integ.map(|integ| format!("{integ:?}")),
            "dh": ike.suite.group.id(),
            "additional": ike.suite.additional.map(Kem::id),
            "mobike": ike.mobike,
            "ppk": ike.ppk,
            "age_s": age(ike.since).as_secs(),
        })),
        "child": status.child.as_ref().map(|child| json!({
            "spi_in": format!("{:08x}", child.spi_in),
            "spi_out": format!("{:08x}", child.spi_out),
            "encr": format!("{:?}", child.suite.encr),
            "integ": child.suite.integ.map(|integ| format!("{integ:?}")),
            "bytes_in": child.stats.bytes_in,
            "bytes_out": child.stats.bytes_out,
            "packets_in": child.stats.packets_in,
            "packets_out": child.stats.packets_out,
            "drops": child.stats.drops + losses.inward + losses.outward,
        })),
        "address4": plan.and_then(|plan| plan.address4).map(|a| a.to_string()),
        "address6": plan.and_then(|plan| plan.address6).map(|(a, prefix)| format!("{a}/{prefix}")),
        "dns": plan.map(|plan| plan.dns.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "domains": plan.map(|plan| plan.domains.clone()),
        "routes": nets(|plan| &plan.include),
        "mtu": about.mtu.or(status.plan.is_some().then_some(crate::tunnel::MTU)),
        "tunnel": about.tunnel,
        "proxy": about.proxy.map(|at| at.to_string()),
        "device": about.device,
        "next": status.next.map(|next| json!({ "what": next.what, "in_ms": next.at.since(now.at).as_millis() })),
        "error": status.error.as_ref().map(|error| json!({ "code": code(error), "message": error.to_string() })),
    })
}

/// The same keys where nothing is connected. `message`: why not, where the user did not want it so.
pub fn idle(state: &str, message: Option<&str>, last: Option<&Connect>) -> Value {
    const KEYS: [&str; 25] = [
        "gateway",
        "user",
        "since",
        "interruption",
        "auth",
        "session_id",
        "session_expires",
        "reconnects",
        "last_reconnect",
        "capabilities",
        "ike",
        "child",
        "address4",
        "address6",
        "dns",
        "domains",
        "routes",
        "mtu",
        "tunnel",
        "proxy",
        "device",
        "next",
        "confirmed",
        "profile",
        "profile_change",
    ];
    let mut value = json!({
        "state": state,
        "host": last.and_then(|last| last.host.as_ref()),
        "error": message.map(|message| json!({ "code": null, "message": message })),
    });
    for key in KEYS {
        value[key] = Value::Null;
    }
    value["profile"] =
        last.and_then(|last| last.profile.as_ref()).map(|file| json!(file)).unwrap_or_default();
    value["confirmed"] = Value::Bool(false);
    value["reconnects"] = json!(0);
    value
}

/// The seed's letters: D dead peer detection, N NAT traversal, F fragmentation, R came back by token.
fn capabilities(status: &Status) -> Option<String> {
    let ike = status.ike?;
    let reconnected = status.auth.is_some_and(|auth| !auth.is_login());
    // DPD is always on, and after first contact everything goes through the port of NAT traversal.
    let letters = [('D', true), ('N', true), ('F', ike.fragments), ('R', reconnected)];
    Some(letters.iter().filter(|(_, on)| *on).map(|(letter, _)| letter).collect())
}

/// The journal's code for the end that this failure leads to.
fn code(failure: &Failure) -> u16 {
    let reason = match failure {
        Failure::NoAnswer { .. } => Reason::NoAnswer,
        Failure::Certificate(_) | Failure::GatewayAuth | Failure::Eap(EapError::Server(_)) => {
            Reason::CertificateRefused
        }
        Failure::Refused { what: "session token" | "ticket", .. } | Failure::Ticket => Reason::TokenRefused,
        _ => Reason::LoginFailed,
    };
    reason.code()
}

/// The name that the status gives an authentication.
pub fn auth(kind: AuthKind) -> &'static str {
    match kind {
        AuthKind::AnyConnect => "anyconnect-eap",
        AuthKind::Eap(EapMethod::Md5) => "eap-md5",
        AuthKind::Eap(EapMethod::Gtc) => "eap-gtc",
        AuthKind::Eap(EapMethod::Mschapv2) => "eap-mschapv2",
        AuthKind::Eap(EapMethod::Tls) => "eap-tls",
        AuthKind::Certificate => "certificate",
        AuthKind::Token => "psk",
        AuthKind::Ticket => "ticket",
    }
}

fn reconnect(r: Reconnected) -> Value {
    let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    json!({
        "cause": cause(r.cause),
        "code": Reason::from(r.cause).code(),
        "outage_ms": ms(r.outage),
        "detect_ms": ms(r.detect),
        "handshake_ms": ms(r.handshake),
        "round_trips": r.round_trips,
        "at": stamp(r.at.as_millis()),
    })
}

/// Why the connection has to come back, or rests, while it does.
fn interruption(state: &State, now: Now) -> Value {
    let back = |why: Cause| (cause(why), Some(Reason::from(why).code()));
    let ((cause, code), since, attempts) = match state {
        State::Reconnecting(r) | State::CaptivePortal(r) => (back(r.cause), r.since, r.attempts),
        State::WaitingForNetwork { cause, since } => (back(*cause), *since, 0),
        State::Suspended { since, pause: Pause::Sleep } => (("sleep", None), *since, 0),
        State::Suspended { since, pause: Pause::TrustedNetwork } => (("trusted-network", None), *since, 0),
        _ => return Value::Null,
    };
    json!({ "cause": cause, "code": code, "since": rfc3339(now, now.at.since(since)), "attempts": attempts })
}

/// The name that the status gives a cause.
pub fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::NetworkChange => "network-change",
        Cause::Resume => "resume",
        Cause::Outage => "outage",
        Cause::GatewayDelete => "gateway-delete",
        Cause::ChildDelete => "child-delete",
        Cause::User => "user",
        Cause::Renewal => "renewal",
        Cause::AgentStart => "agent-start",
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn rfc3339(now: Now, ago: Duration) -> String {
    stamp(now.wall.as_millis().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
}

fn rfc3339_in(now: Now, left: Duration) -> String {
    stamp((now.wall + left).as_millis())
}

fn stamp(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixTime;

    #[test]
    fn an_interruption_has_a_cause_and_a_beginning() {
        let at = |seconds| Instant::from_boot(Duration::from_secs(seconds));
        let now = Now { at: at(100), wall: UnixTime::from_secs(1_767_355_200) };
        let waiting = State::WaitingForNetwork { cause: Cause::NetworkChange, since: at(40) };
        let code = Reason::from(Cause::NetworkChange).code();
        assert_eq!(
            interruption(&waiting, now),
            json!({ "cause": "network-change", "code": code, "since": "2026-01-02T11:59:00Z", "attempts": 0 })
        );
        let resting = State::Suspended { since: at(100), pause: Pause::TrustedNetwork };
        assert_eq!(interruption(&resting, now)["cause"], "trusted-network");
        assert_eq!(interruption(&State::Connected, now), Value::Null);
        assert_eq!(idle("disconnected", None, None)["interruption"], Value::Null);
    }
}
