//! Where a session is kept: the secret service, else a sealed file, else a plain one. Beside it what the user wants.
//!
//! | place | who can read it | when |
//! |---|---|---|
//! | secret service | this user's programs while the keyring is open | it is there, open, and answers within 300 ms |
//! | sealed file | who has both the state folder and the key folder | a key can be kept elsewhere |
//! | plain file (0600) | this user, root, who has the disk | otherwise; the person is told |
//!
//! Every write is atomic and on the disk when it is announced (law 10). A copy in another place is removed only after the new
//! one is safe, so at each moment there is one to come back with; of several the newest counts. A session of another gateway
//! than asked for is never given out (law 5).

mod device;
mod error;
mod file;
mod files;
mod intent;
mod key;
pub mod password;
mod seal;
mod service;

pub use device::device_id;
pub use error::{Damage, FileError, Note, Refused, ServiceError, StoreError};
pub use intent::Intent;

use crate::config::Places;
use crate::session::Session;
use files::{Files, InService};
use service::Service;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Where a session was kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// In the secret service.
    SecretService,
    /// In a file, sealed with a key that is kept elsewhere.
    Sealed,
    /// In a file, readable by this user.
    Plain,
}

/// A session was kept, and will survive the agent.
#[derive(Debug)]
pub struct Saved {
    /// Where.
    pub kept: Kept,
    /// This is not where the last one went, or it is the first of this [`Store`]: worth telling a person where `kept` is
    /// [`Kept::Plain`].
    pub changed: bool,
    /// Why it is not in a stronger place, and what could not be cleaned up; empty where there is nothing to say.
    pub notes: Vec<Note>,
}

/// What was found.
#[derive(Debug)]
pub struct Loaded {
    /// The newest session with the gateway that was asked for. Whether it is still worth trying is the caller's to judge.
    pub session: Option<Session>,
    /// What is wrong with places that may have held one.
    pub notes: Vec<Note>,
}

/// The session store of one user. Its work is done on a thread of its own, in the order of the calls; a call that was begun
/// is finished even where its future is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    files: Files,
    /// `None`: it is never asked.
    service: Option<Service>,
    last: Option<Kept>,
}

impl Store {
    /// The store in `places` and in the secret service. Nothing is touched yet.
    pub fn new(places: &Places) -> Self {
        Self::with(places, Some(Service::default()))
    }

    /// A store that never asks the secret service: the lab's sessions have no business among a person's passwords.
    pub fn in_files(places: &Places) -> Self {
        Self::with(places, None)
    }

    fn with(places: &Places, service: Option<Service>) -> Self {
        let inner = Inner { files: Files::new(places), service, last: None };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Keeps a session in place of an earlier one with the same gateway.
    ///
    /// # Errors
    /// It is nowhere: the connection may go on, but the person is to be told. An earlier one is still where it was.
    pub async fn save(&mut self, session: &Session) -> Result<Saved, StoreError> {
        let session = session.clone();
        self.work(move |inner| inner.save(&session)).await?
    }

    /// The newest session with this gateway (letter case and a final dot of its name do not count).
    pub async fn load(&mut self, host_address: &str) -> Loaded {
        let host = plain_host(host_address);
        let nothing = |error| {
            tracing::error!(%error, "no session was loaded");
            Loaded { session: None, notes: Vec::new() }
        };
        self.work(move |inner| inner.load(&host)).await.unwrap_or_else(nothing)
    }

    /// Forgets the session with this gateway, in every place.
    ///
    /// # Errors
    /// Copies are left. One in the secret service is not used any more all the same.
    pub async fn erase(&mut self, host_address: &str) -> Result<(), StoreError> {
        let host = plain_host(host_address);
        self.work(move |inner| inner.erase(&host)).await?
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        // The turn goes along to the thread: it is over when the work is, not when the caller stops to wait.
        let mut turn = Arc::clone(&self.inner).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || work(&mut turn));
        done.await.map_err(|_| StoreError::Stopped)
    }
}

impl Inner {
    fn save(&mut self, session: &Session) -> Result<Saved, StoreError> {
        let host = plain_host(&session.host_address);
        let encoded = session.encode();
        let mut notes = Vec::new();
        let kept = match self.save_in_service(&host, session, &encoded) {
            Ok(()) => {
                notes.extend(self.files.erase(&host));
                Kept::SecretService
            }
            Err(why) => {
                if why != ServiceError::NotThere {
                    notes.push(Note::Service(why));
                }
                let (kept, more) = self.files.save(&host, &encoded).map_err(StoreError::NotKept)?;
                notes.extend(more);
                if self.files.in_service(&host) == InService::Kept {
                    let noted = self.files.set_in_service(&host, InService::Outdated);
                    notes.extend(noted.err().map(Note::File));
                }
                kept
            }
        };
        let changed = self.last.replace(kept) != Some(kept);
        Ok(Saved { kept, changed, notes })
    }

    fn save_in_service(
        &mut self,
        host: &str,
        session: &Session,
        encoded: &crate::crypto::Secret,
    ) -> Result<(), ServiceError> {
        let service = self.service.as_mut().ok_or(ServiceError::NotThere)?;
        let label = format!("ikeep: VPN session with {}", session.host_name);
        service.save(host, &label, encoded)?;
        // A note that the service's copy is no good must be gone, or this one would not be believed.
        let was = self.files.in_service(host);
        match self.files.set_in_service(host, InService::Kept) {
            Err(error) if was != InService::Unknown => Err(ServiceError::Failed(error.to_string())),
            _ => Ok(()),
        }
    }

    fn load(&mut self, host: &str) -> Loaded {
        let (mut found, mut notes) = self.files.load(host);
        match (self.files.in_service(host), self.service.as_mut()) {
            (_, None) | (InService::Outdated, _) => {}
            (InService::Erased, Some(service)) => match service.erase(host) {
                Ok(()) => notes.extend(self.forget_service(host).err()),
                Err(ServiceError::NotThere) => {}
                Err(error) => notes.push(Note::NotErased(error)),
            },
            (known @ (InService::Unknown | InService::Kept), Some(service)) => {
                match service.load(host, known == InService::Kept) {
                    Ok((sessions, more)) => {
                        found.extend(sessions);
                        notes.extend(more);
                    }
                    // Nothing that is known of is missed.
                    Err(ServiceError::NotThere | ServiceError::Locked) if known == InService::Unknown => {}
                    Err(error) => notes.push(Note::Service(error)),
                }
            }
        }
        let session = found.into_iter().max_by_key(|session| (session.last_contact, session.issued));
        Loaded { session, notes }
    }

    fn erase(&mut self, host: &str) -> Result<(), StoreError> {
        // First the note, then the deed: an agent killed in between erases it when it loads.
        let known = self.files.in_service(host);
        let mut left = Vec::new();
        if let Some(service) = self.service.as_mut() {
            if known != InService::Unknown {
                left.extend(self.files.set_in_service(host, InService::Erased).err().map(Note::File));
            }
            match service.erase(host) {
                Ok(()) => left.extend(self.forget_service(host).err()),
                // Nothing was ever put there.
                Err(_) if known == InService::Unknown => {}
                Err(error) => left.push(Note::NotErased(error)),
            }
        }
        left.extend(self.files.erase(host));
        if left.is_empty() { Ok(()) } else { Err(StoreError::NotErased(left)) }
    }

    fn forget_service(&self, host: &str) -> Result<(), Note> {
        self.files.set_in_service(host, InService::Unknown).map_err(Note::File)
    }
}

/// A gateway's name as it is compared and filed.
fn plain_host(host_address: &str) -> String {
    host_address.strip_suffix('.').unwrap_or(host_address).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
