//! The embedded gateway alone, for clients that are other processes or other machines.

use super::console::{self, Answer};
use super::gateway::{Runner, Site};
use super::pki::{IssuedBy, Leaf, Pki};
use super::radius::Radius;
use super::road::Road;
use super::{LabError, PROFILE};
use crate::agent::clock::Clock;
use crate::gateway::aaa::Question;
use crate::gateway::{GatewayConfig, GatewayEvent, address_identity};
use crate::ike::message::Identity;
use crate::profile::Profile;
use crate::time::{Now, UnixTime};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Events that may wait to be told; more are in `show events` only.
const EVENTS: usize = 256;
/// ID_FQDN (RFC 7296 3.5).
const FQDN: u8 = 2;

/// What a gateway that runs alone tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// It listens: first contact, and everything after.
    Ports(SocketAddr, SocketAddr),
    /// The answer to a command.
    Answer(String),
    /// Something happened.
    Event(String),
}

/// The names that the gateway's certificate carries where no others are asked for: the seed's profile and this address.
///
/// # Errors
/// The seed's profile is damaged.
pub fn default_names(address: IpAddr) -> Result<Vec<String>, LabError> {
    let (profile, _) = Profile::parse(PROFILE).map_err(LabError::Profile)?;
    let host = profile.hosts.first().ok_or(LabError::NoHost)?;
    let own = (!address.is_unspecified()).then(|| address.to_string());
    Ok([host.address.clone()].into_iter().chain(own).collect())
}

/// The seed's router at `address` with a certificate for `names` (DNS names and addresses, at least one) that the lab's CA
/// issues now, and the CA's certificate, PEM.
///
/// # Errors
/// A name cannot stand in a certificate.
pub fn gateway(
    address: IpAddr,
    names: &[String],
    now: UnixTime,
) -> Result<(GatewayConfig, String), LabError> {
    let pki = Pki::new(now)?;
    let first = names.first().cloned().unwrap_or_else(|| address.to_string());
    let leaf = Leaf { names: names.to_vec(), issuer: IssuedBy::Ca, ..pki.leaf(&first) };
    let issued = pki.issue(&leaf)?;
    let mut config = GatewayConfig::seed(address, issued.chain, issued.signer);
    if address.is_unspecified() {
        config.identity = match first.parse() {
            Ok(address) => address_identity(address),
            Err(_) => Identity { kind: FQDN, data: first.into_bytes() },
        };
    }
    Ok((config, pki.ca_pem().to_owned()))
}

/// Writes a certificate for everybody to read (0644): the whole file or none.
///
/// # Errors
/// The file system refuses.
pub fn write_public(path: &Path, text: &str) -> Result<(), LabError> {
    let failed = |source| LabError::Write { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let part = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o644).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&part);
        failed(source)
    })
}

/// What is around a gateway.
#[derive(Default)]
pub struct Surroundings {
    /// The network behind it; `None`: one of its own that answers pings and the like.
    pub road: Option<Road>,
    /// Its AAA; `None`: the users of its settings.
    pub radius: Option<Radius>,
}

/// Runs a gateway until `stop`, or until it is told to quit. `commands` are lines of its console; it may end before.
///
/// # Errors
/// A port cannot be opened.
pub async fn run(
    mut config: GatewayConfig,
    address: IpAddr,
    around: Surroundings,
    mut commands: mpsc::Receiver<String>,
    stop: impl Future<Output = ()>,
    mut tell: impl FnMut(Told),
) -> Result<(), LabError> {
    let ports = config.ports;
    config.aaa_outside = around.radius.is_some();
    let waiting = config.half_open_limit.max(1);
    let (runner, handle) = Runner::new(config, address, Clock::system())
        .map_err(|source| LabError::Listen { address, ports, source })?;
    let (heard, mut events) = mpsc::channel(EVENTS);
    let running = tokio::spawn(runner.with_road(around.road).run());
    let mut start = None;
    let watch = move |now: Now, event: &GatewayEvent| {
        if let Some(text) = event_text(event) {
            let since = now.at.since(*start.get_or_insert(now.at));
            // Full: nobody reads that fast, and the event log has it.
            let _ = heard.try_send(format!("{:10.3} s  {text}", since.as_secs_f64()));
        }
    };
    let (asked, mut questions) = mpsc::channel::<Question>(waiting);
    let ask = move |question| asked.try_send(question).is_ok();
    handle
        .ask(move |site: &mut Site| {
            site.watcher = Some(Box::new(watch));
            site.asker = Some(Box::new(ask));
        })
        .await?;
    let mut asking = JoinSet::new();
    tell(Told::Ports(handle.ports.0, handle.ports.1));
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(event) = events.recv() => tell(Told::Event(event)),
            Some(question) = questions.recv() => {
                if let Some(radius) = around.radius.clone() {
                    asking.spawn(async move { (question.id, radius.ask(&question).await) });
                }
            }
            Some(Ok((id, answer))) = asking.join_next() => {
                handle.ask(move |site: &mut Site| site.gateway.handle_aaa(site.now(), id, answer)).await?;
            }
            Some(line) = commands.recv() => {
                match handle.ask(move |site: &mut Site| console::command(site, &line)).await? {
                    Answer::Text(text) => tell(Told::Answer(text)),
                    Answer::Quit => break,
                }
            }
        }
    }
    drop(handle);
    running.await.map_err(|error| LabError::Crash(error.to_string()))
}

fn listed(addresses: &[IpAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

/// A line for people; `None` for what nobody waits for.
fn event_text(event: &GatewayEvent) -> Option<String> {
    let token = |yes: bool| if yes { "by token or ticket" } else { "by password" };
    Some(match event {
        GatewayEvent::Login { user, group, aaa_requests } => {
            let group = group.as_ref().map(|group| format!(" to group {group}")).unwrap_or_default();
            format!("login of {user}{group}; AAA was asked {aaa_requests} times so far")
        }
        GatewayEvent::Reconnect { id, user, peer, replaced } => {
            let replaced = if *replaced { ", in place of an SA that was thought alive" } else { "" };
            format!("{user} came back by token from {peer}, session {id}{replaced}")
        }
        GatewayEvent::Resumed { user, peer, replaced, .. } => {
            let replaced = if *replaced { ", in place of an SA that was thought alive" } else { "" };
            format!("{user} came back by ticket from {peer}{replaced}")
        }
        GatewayEvent::SaUp { number, user, peer, addresses, reconnect, .. } => {
            format!("session {number} up {}: {user} at {peer} has {}", token(*reconnect), listed(addresses))
        }
        GatewayEvent::SaDown { number, why, kept, .. } => {
            let rest = if *kept { "waits to be taken up again" } else { "is not kept" };
            format!("session {number} down ({why:?}), {rest}")
        }
        GatewayEvent::SessionReplaced { user, addresses, number, by, .. } => {
            let which = match number {
                Some(number) => format!("session {number} of {user}"),
                None => format!("a session of {user} that waited to be taken up again"),
            };
            format!("{which} is replaced by session {by}: AAA names its address ({})", listed(addresses))
        }
        GatewayEvent::AddressTaken { user, address, owner } => {
            format!("no session for {user}: AAA names {address}, which a session of {owner} has")
        }
        GatewayEvent::OutsideTaken { address } => {
            format!(
                "{address}, which is of no pool, is a session's now: what is behind the gateway needs a route to it"
            )
        }
        GatewayEvent::OutsideFreed { address } => format!("{address}, which is of no pool, is free again"),
        GatewayEvent::Expired { id } => format!("session {id} was not taken up in time"),
        GatewayEvent::Moved { number, peer } => format!("session {number} is now at {peer}"),
        GatewayEvent::Refused { peer, why } => format!("refused {peer}: {why}"),
        _ => return None,
    })
}
