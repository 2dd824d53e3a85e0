//! The resolver's settings of a tunnel: given to whoever answers names here, and taken back, also after a crash.
//!
//! Who that is is looked at anew each time: systemd-resolved, NetworkManager, or `/etc/resolv.conf` itself. What has to be
//! known to go back is on the disk before anything is changed.

mod detect;
mod disk;
mod file;
mod journal;
mod network_manager;
mod resolved;
mod text;

use crate::netd::net::Device;
use crate::plan::Dns;
use crate::sense::bus::{Bus, Service};
use crate::sense::outside::{self, NETWORK_MANAGER, RESOLVED};
use crate::sense::resolv_conf;
use detect::{Backend, detect};
use disk::{Disk, Machine};
use journal::Journal;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the journal and the backup, made where it is missing, readable for root only.
    pub state: PathBuf,
    /// `/etc/resolv.conf`.
    pub etc: PathBuf,
    /// `/etc/nsswitch.conf`.
    pub nsswitch: PathBuf,
    /// D-Bus address of the bus; `None`: the system bus.
    pub bus: Option<String>,
    /// Where systemd-resolved has its files.
    pub resolved: PathBuf,
    /// Where NetworkManager has its files.
    pub network_manager: PathBuf,
    /// Where resolvconf and openresolv have their files.
    pub resolvconf: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            state: "/var/lib/ikeep-netd".into(),
            etc: "/etc/resolv.conf".into(),
            nsswitch: "/etc/nsswitch.conf".into(),
            bus: None,
            resolved: "/run/systemd/resolve".into(),
            network_manager: "/run/NetworkManager".into(),
            resolvconf: "/run/resolvconf".into(),
        }
    }
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Who answers names now: `systemd-resolved`, `NetworkManager`, `resolvconf`, `/etc/resolv.conf`; `None` where no servers
    /// were given.
    pub resolver: Option<String>,
    /// The tunnel's servers are asked only for its domains.
    pub split: bool,
    /// The servers of the networks outside.
    pub outside: Vec<IpAddr>,
    /// What could not be done, for people.
    pub notes: Vec<String>,
}

/// What a service has made of the wishes.
#[derive(Debug, Default)]
struct Outcome {
    split: bool,
    outside: Vec<IpAddr>,
    notes: Vec<String>,
}

/// Why the resolver is not told of the tunnel, or not that it is gone.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The file cannot be written. It is as it was.
    #[error("{} cannot be written: {source}{}", path.display(), advice(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The name leads to a file that is not there and cannot be made.
    #[error(
        "{} leads to {}, which is not there and cannot be made ({source}): start the service that makes it, or put a file \
         in the link's place", path.display(), target.display()
    )]
    Dangling {
        /// The name.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// Why it cannot be made.
        source: io::Error,
    },
    /// The file cannot be written, and what was there could not be put back whole.
    #[error(
        "{} cannot be written ({source}) and is damaged{}: what was there is in {}", path.display(), advice(source),
        state.display()
    )]
    Torn {
        /// The file.
        path: PathBuf,
        /// Where the backup is.
        state: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// What has to be known to go back cannot be kept, or read.
    #[error("{}, which keeps the resolver's settings: {source}{}", path.display(), advice(source))]
    State {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// A service refuses, or does not answer in time.
    #[error("{service} does not take the resolver's settings: {source}")]
    Service {
        /// Its name.
        service: &'static str,
        /// What it says.
        source: Box<zbus::Error>,
    },
    /// A service whose settings have to be taken back is not there.
    #[error("{service} is not there: its settings are taken back when it is")]
    Gone {
        /// Its name.
        service: &'static str,
    },
}

/// What to do, as the end of a sentence.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            ": make it writable for ikeep-netd (ReadWritePaths of its unit), or mount it so"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": make room",
        io::ErrorKind::PermissionDenied => {
            ": it may be immutable (see lsattr; `chattr -i` makes it writable), or the unit of ikeep-netd forbids it"
        }
        _ => "",
    }
}

/// Gives the resolver the settings of one tunnel, and takes them back.
#[derive(Debug)]
pub struct Resolver {
    places: Places,
    disk: Box<dyn Disk>,
}

impl Resolver {
    /// Nothing is looked at or changed yet.
    pub fn new(places: Places) -> Self {
        Self { places, disk: Box::new(Machine) }
    }

    /// Gives the settings to whoever answers names now. Asked again, it mends what others have changed since; another
    /// resolver than the last time is told after the settings of that one are taken back. Without servers it only takes back.
    ///
    /// `device`: the tunnel's. Takes some seconds at most.
    ///
    /// # Errors
    /// The resolver is as it was before this.
    pub async fn apply(&mut self, device: &Device, dns: &Dns) -> Result<Applied, DnsError> {
        let (mut journal, problem) = Journal::load(&self.places.state, &*self.disk);
        let mut applied = Applied { notes: problem.into_iter().collect(), ..Applied::default() };
        let backend = detect(&self.places, &journal).await?;
        let link = resolved::Saved { device: device.name.clone(), index: device.index };
        let stays = |backend: &Backend| (!dns.servers.is_empty()).then(|| backend.word());
        applied.notes.extend(self.take_back(&mut journal, stays(&backend), Some(&link)).await);
        if dns.servers.is_empty() {
            applied.outside = self.outside(&backend).await;
            return Ok(applied);
        }
        let word = backend.word();
        let outcome = match backend {
            Backend::Resolved { service, beside } => {
                let was = journal.clone();
                journal.resolved = Some(link.clone());
                if journal != was {
                    journal.save(&self.places.state, &*self.disk)?;
                }
                let mut outcome = resolved::apply(&service, &link, dns).await?;
                outcome.split &= beside.is_none() || dns.only.is_empty();
                outcome.notes.extend(beside);
                outcome
            }
            Backend::NetworkManager(service) => {
                network_manager::apply(&service, &self.places, &*self.disk, &mut journal, dns).await?
            }
            Backend::File { mut notes, .. } => {
                notes.extend(file::apply(&self.places, &*self.disk, &mut journal, dns)?);
                let octets = file::as_it_was(&self.places, journal.file.as_ref())?;
                let outside = resolv_conf::parse(&octets).dns_servers;
                Outcome { split: false, outside, notes }
            }
        };
        applied.resolver = Some(word.to_owned());
        applied.split = outcome.split;
        applied.outside = outcome.outside;
        applied.notes.extend(outcome.notes);
        Ok(applied)
    }

    /// Takes everything back that this or a dead predecessor has changed, and tells what could not be. Done again, it changes
    /// nothing; what could not be taken back is tried again.
    pub async fn revert(&mut self) -> Vec<String> {
        let (mut journal, problem) = Journal::load(&self.places.state, &*self.disk);
        let mut problems: Vec<String> = problem.into_iter().collect();
        problems.extend(self.take_back(&mut journal, None, None).await);
        problems
    }

    /// Takes back what the journal tells of, but for the resolver that stays (by its word), as far as that is the same link.
    async fn take_back(
        &self,
        journal: &mut Journal,
        stays: Option<&str>,
        link: Option<&resolved::Saved>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(saved) =
            journal.resolved.clone().filter(|saved| stays != Some(RESOLVED_WORD) || link != Some(saved))
        {
            // A service that is gone has left nothing that outlives the link.
            let done = match self.service(RESOLVED).await {
                Some(service) => resolved::revert(&service, &saved).await,
                None => Ok(()),
            };
            if done.map_err(|error| problems.push(error.to_string())).is_ok() {
                journal.resolved = None;
                problems.extend(self.save(journal));
            }
        }
        if let Some(saved) = journal.network_manager.clone().filter(|_| stays != Some(NETWORK_MANAGER_WORD)) {
            let done = match self.service(NETWORK_MANAGER).await {
                Some(service) => network_manager::revert(&service, &saved).await,
                None => Err(DnsError::Gone { service: "NetworkManager" }),
            };
            if done.map_err(|error| problems.push(error.to_string())).is_ok() {
                journal.network_manager = None;
                problems.extend(self.save(journal));
            }
        }
        if !stays.is_some_and(|word| word != RESOLVED_WORD && word != NETWORK_MANAGER_WORD) {
            match file::revert(&self.places, &*self.disk, journal) {
                Ok(problem) => problems.extend(problem),
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems
    }

    fn save(&self, journal: &Journal) -> Option<String> {
        journal.save(&self.places.state, &*self.disk).err().map(|error| error.to_string())
    }

    async fn service(&self, name: &str) -> Option<Service> {
        let bus = Bus::connect(self.places.bus.as_deref()).await.ok()?;
        bus.service(name).await.ok()?
    }

    /// Who is asked now, without settings of ours.
    async fn outside(&self, backend: &Backend) -> Vec<IpAddr> {
        if let Backend::Resolved { service, .. } = backend
            && let Ok(networks) = outside::resolved(service).await
        {
            return networks.dns_servers;
        }
        let octets = file::as_it_was(&self.places, None).unwrap_or_default();
        resolv_conf::parse(&octets).dns_servers
    }
}

const RESOLVED_WORD: &str = "systemd-resolved";
const NETWORK_MANAGER_WORD: &str = "NetworkManager";

impl Backend {
    fn word(&self) -> &'static str {
        match self {
            Self::Resolved { .. } => RESOLVED_WORD,
            Self::NetworkManager(_) => NETWORK_MANAGER_WORD,
            Self::File { word, .. } => word,
        }
    }
}

#[cfg(test)]
mod tests;
