//! Sessions in the secret service of the desktop (GNOME Keyring, KWallet, KeePassXC).
//!
//! It is a courtesy, never a need: whatever it does, the answer is there within [`LIMIT`], nobody is asked to unlock anything,
//! and what it claims to have kept is read back before it is believed.

use super::error::{Note, ServiceError};
use super::files::session_with;
use crate::crypto::Secret;
use crate::session::Session;
use secret_service::{Collection, EncryptionType, Error, Item, SecretService};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Builder;
use zeroize::Zeroizing;

/// For a whole operation, connecting included.
pub(super) const LIMIT: Duration = Duration::from_millis(300);
/// Saves that leave a service alone after it was too slow once: a reconnect must not wait for it each time.
const SPARED: u8 = 16;

/// How often one that should be there is asked, and the pause between; together well below [`LIMIT`].
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(25);

const APPLICATION: (&str, &str) = ("application", "ikeep");
const CONTENT_TYPE: &str = "application/json";

/// The way to the secret service. Everything here blocks for at most [`LIMIT`].
#[derive(Debug, Default)]
pub(super) struct Service {
    spared: u8,
}

impl Service {
    /// Keeps the session of this host in place of an earlier one.
    pub(super) fn save(&mut self, host: &str, label: &str, encoded: &Secret) -> Result<(), ServiceError> {
        if self.spared > 0 {
            self.spared -= 1;
            return Err(slow());
        }
        let saved = ask(async |service| {
            let collection = open_default(service).await?;
            let secret = encoded.expose();
            let item = collection
                .create_item(label, attributes(host).into(), secret, true, CONTENT_TYPE)
                .await
                .map_err(failed)?;
            match item.get_secret().await.map(Secret::new) {
                Ok(back) if back == *encoded => Ok(()),
                _ => {
                    let _ = item.delete().await;
                    Err(ServiceError::Lied)
                }
            }
        });
        if matches!(saved, Err(ServiceError::Slow(_))) {
            self.spared = SPARED;
        }
        saved
    }

    /// The sessions it has of this host, and what is wrong with the others. Where one is `expected`, a service that is not there
    /// is asked again while there is time: agent and keyring start side by side when a person logs in to their desktop.
    pub(super) fn load(
        &mut self,
        host: &str,
        expected: bool,
    ) -> Result<(Vec<Session>, Vec<Note>), ServiceError> {
        let tries = if expected { TRIES } else { 1 };
        ask_often(tries, async |service| {
            open_default(service).await?;
            let found = service.search_items(attributes(host).into()).await.map_err(failed)?;
            let (mut sessions, mut wrong) = (Vec::new(), Vec::new());
            for item in &found.unlocked {
                match read(item, host).await {
                    Ok(session) => sessions.push(session),
                    Err(error) => wrong.push(Note::Service(error)),
                }
            }
            Ok((sessions, wrong))
        })
    }

    /// Erases what it has of this host.
    pub(super) fn erase(&mut self, host: &str) -> Result<(), ServiceError> {
        ask(async |service| {
            open_default(service).await?;
            let found = service.search_items(attributes(host).into()).await.map_err(failed)?;
            for item in &found.unlocked {
                item.delete().await.map_err(failed)?;
            }
            if found.locked.is_empty() { Ok(()) } else { Err(ServiceError::Locked) }
        })
    }
}

pub(super) fn ask<T>(
    work: impl AsyncFn(&SecretService<'_>) -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    ask_often(1, work)
}

/// Connects and does `work`, again while nobody is there, in a runtime of its own: whatever it leaves behind ends with it.
fn ask_often<T>(
    tries: u32,
    work: impl AsyncFn(&SecretService<'_>) -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    if !bus_is_there() {
        return Err(ServiceError::NotThere);
    }
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ServiceError::Failed(error.to_string()))?;
    let once = async || {
        // Encrypted on the way, since whoever watches the bus sees what passes.
        let service = SecretService::connect(EncryptionType::Dh).await.map_err(failed)?;
        work(&service).await
    };
    let whole = async {
        for _ in 1..tries {
            match once().await {
                Err(ServiceError::NotThere) => tokio::time::sleep(PAUSE).await,
                done => return done,
            }
        }
        once().await
    };
    let done =
        runtime.block_on(async { tokio::time::timeout(LIMIT, whole).await.unwrap_or_else(|_| Err(slow())) });
    runtime.shutdown_background();
    done
}

/// Whether there is a session bus to ask: without one, the D-Bus library would try to start things.
fn bus_is_there() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("DBUS_SESSION_BUS_ADDRESS").is_some()
        || set("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists())
}

/// The collection that survives a reboot, if it is open: a locked one would ask the person for a password. It comes before any
/// search, because a keyring that has just started finds nothing until it has been asked for this.
pub(super) async fn open_default<'a>(service: &'a SecretService<'_>) -> Result<Collection<'a>, ServiceError> {
    let collection = service.get_default_collection().await.map_err(failed)?;
    if collection.is_locked().await.map_err(failed)? {
        return Err(ServiceError::Locked);
    }
    Ok(collection)
}

async fn read(item: &Item<'_>, host: &str) -> Result<Session, ServiceError> {
    let content = Zeroizing::new(item.get_secret().await.map_err(failed)?);
    session_with(host, &content).map_err(ServiceError::Garbage)
}

/// What an item of ours is found by.
fn attributes(host: &str) -> [(&str, &str); 2] {
    [APPLICATION, ("host", host)]
}

fn slow() -> ServiceError {
    ServiceError::Slow(u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn failed(error: Error) -> ServiceError {
    match error {
        Error::Locked | Error::Prompt | Error::PromptDisconnected => ServiceError::Locked,
        Error::NoResult | Error::Unavailable => ServiceError::NotThere,
        other => {
            // The bus names its errors; nobody who owns the name, and nobody who could be started, is the usual case.
            let text = other.to_string();
            let nobody =
                ["Error.ServiceUnknown", "Error.NameHasNoOwner"].iter().any(|name| text.contains(name));
            if nobody { ServiceError::NotThere } else { ServiceError::Failed(printable(&text)) }
        }
    }
}

/// Words of another program: nothing in them moves a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
