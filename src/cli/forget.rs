//! `ikeep forget`.

use super::complete::hosts;
use super::disconnect::ENDING;
use super::{Error, Exit, help, output, remember, runtime};
use crate::agent::target::{Target, TargetError};
use crate::config::Places;
use crate::ipc::{Client, ClientError, Failure, FailureKind, Listener, Reply, Request};
use crate::store::{Intent, ServiceError, Store, password};
use clap_complete::ArgValueCandidates;
use std::time::Duration;

/// What `ikeep forget` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::FORGET)]
pub(super) struct Command {
    /// HostName or HostAddress of a profile; without it, what was connected last
    #[arg(add = ArgValueCandidates::new(hosts))]
    host: Option<String>,
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        let last = Intent::load(&places).0.last.unwrap_or_default();
        let named = self.host.is_some();
        let host = match self.host.or_else(|| last.host.clone()) {
            Some(host) => host,
            None => the_only_one_remembered()?.ok_or_else(|| {
                refused(FailureKind::Usage, "nothing was ever connected: name the HOST to forget".to_owned())
            })?,
        };
        // The profile that told the address may be gone: what is kept is found by the address itself too.
        let profile = last.profile.as_deref().filter(|_| last.host.as_deref() == Some(&host));
        let (found, unclear) = match Target::address_of(&host, profile) {
            Err(problem) => (Target::address_of(&host, None), Some(problem)),
            found => (found, None),
        };
        let address = match found {
            Ok(address) => address,
            Err(error @ TargetError::Ambiguous { .. }) => return Err(Error::Refused(error.into())),
            Err(_) => host.clone(),
        };
        let (address, (forgotten, left)) = runtime::block_on(async {
            // Another profile may mean another gateway by the same name, and nobody has named one.
            let unclear = unclear.filter(|_| !named && profile.is_some());
            let mut address = address;
            if let Some(problem) = unclear
                && !(has_gone(&problem) && Store::new(&places).load(&address).await.session.is_some())
            {
                let only = match has_gone(&problem) {
                    true => tokio::task::spawn_blocking(the_only_one_remembered).await.unwrap_or(Ok(None))?,
                    false => None,
                };
                address = only.ok_or_else(|| {
                    let host = output::printable(&host);
                    let text =
                        format!("which gateway {host} was is not clear: {problem}: name the HOST to forget");
                    refused(FailureKind::Usage, text)
                })?;
            }
            let busy = wanted_now(&places, ENDING).await?;
            // The agent tells the entry's name; the host may have been given by its address.
            let busy_at =
                busy.as_deref().and_then(|name| Target::address_of(name, last.profile.as_deref()).ok());
            if busy
                .iter()
                .chain(&busy_at)
                .any(|name| name.eq_ignore_ascii_case(&host) || name.eq_ignore_ascii_case(&address))
            {
                let text = format!("{host} is connected, or waits for a login: `ikeep disconnect` first");
                return Err(refused(FailureKind::Other, text));
            }
            let done = forget(&places, &address).await;
            Ok((address, done))
        })?;
        let name = output::printable(&address);
        match forgotten.as_slice() {
            [] if left.is_empty() => output::print(&format!("Nothing was kept of {name}.\n"))?,
            [] => {}
            what => {
                output::print(&format!("Forgotten of {name}: {}.\n", output::printable(&what.join(", "))))?
            }
        }
        if left.is_empty() {
            return Ok(Exit::Done);
        }
        Err(refused(
            FailureKind::Other,
            format!("not everything of {name} is forgotten: {}", left.join("; ")),
        ))
    }
}

/// The gateway whose password is remembered, where it is the only one: with no session and no connection it is what there is to
/// forget. `None`: nothing is remembered, or there is no keyring. Blocks for at most 300 ms.
fn the_only_one_remembered() -> Result<Option<String>, Error> {
    let mut gateways = match password::gateways() {
        Ok(gateways) => gateways,
        Err(ServiceError::NotThere) => return Ok(None),
        Err(error) => {
            let text = format!(
                "whose passwords are remembered is not known: {}: name the HOST to forget",
                remember::told(&error)
            );
            return Err(refused(FailureKind::Other, text));
        }
    };
    if gateways.len() > 1 {
        let text = format!(
            "passwords are remembered for {}: name the HOST to forget",
            output::printable(&gateways.join(", "))
        );
        return Err(refused(FailureKind::Usage, text));
    }
    Ok(gateways.pop())
}

fn has_gone(problem: &TargetError) -> bool {
    matches!(problem, TargetError::File(error) if error.is_missing())
}

fn refused(kind: FailureKind, message: String) -> Error {
    Error::Refused(Failure::new(kind, message))
}

/// The host that a running agent keeps a connection with, or wants to.
async fn wanted_now(places: &Places, patience: Duration) -> Result<Option<String>, Error> {
    let mut status = status_now(places).await;
    if let Err(Error::Agent(ClientError::Gone)) = status {
        // It was just ending: what it keeps at its end is forgotten after that.
        let ended = tokio::time::timeout(patience, Listener::ended(places)).await;
        if !matches!(ended, Ok(Ok(()))) {
            let text = "the agent does not end: `ikeep disconnect` first, then forget".to_owned();
            return Err(refused(FailureKind::Other, text));
        }
        // Another one may run by now.
        status = status_now(places).await;
    }
    match status {
        Err(Error::Agent(ClientError::NotRunning { .. })) => Ok(None),
        other => other,
    }
}

async fn status_now(places: &Places) -> Result<Option<String>, Error> {
    let mut client = Client::connect(places).await?;
    client.send(&Request::Status).await?;
    loop {
        match client.recv().await? {
            Reply::Status { status } => {
                let idle = status["state"] == "disconnected";
                return Ok(status["host"].as_str().filter(|_| !idle).map(str::to_owned));
            }
            Reply::Failed(failure) => return Err(Error::Refused(failure)),
            _ => {}
        }
    }
}

/// What was there, and what is left of it.
async fn forget(places: &Places, address: &str) -> (Vec<String>, Vec<String>) {
    let (mut forgotten, mut left) = (Vec::new(), Vec::new());
    let mut store = Store::new(places);
    let loaded = store.load(address).await;
    match store.erase(address).await {
        Ok(()) => forgotten.extend(loaded.session.map(|session| {
            let id = String::from_utf8_lossy(&session.id).into_owned();
            format!("the session {id} of {} with its token", session.user)
        })),
        Err(error) => left.push(error.to_string()),
    }
    let gateway = address.to_owned();
    match tokio::task::spawn_blocking(move || password::forget(&gateway, None)).await {
        Ok(Ok(passwords)) => {
            forgotten.extend(passwords.users.iter().map(|user| format!("the password of {user}")));
        }
        Ok(Err(ServiceError::NotThere)) => {}
        Ok(Err(error)) => {
            left.push(format!("a password may be in the keyring still: {}", remember::told(&error)));
        }
        Err(error) => left.push(error.to_string()),
    }
    (forgotten, left)
}

#[cfg(test)]
mod tests;
