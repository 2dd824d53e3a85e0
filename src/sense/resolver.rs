//! What the present networks say about themselves, as the machine's resolver was told: its files, and word of their changes.

use super::bus::Bus;
use super::outside::{self, NETWORK_MANAGER, RESOLVED};
use super::{FileWatch, Lacks, Networks, resolv_conf};
use crate::config::files::read_at_most;
use std::fs;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// What is missing where the files cannot be read or watched.
const SOURCE: &str = "which networks it is in";

/// After word of a change. Whoever writes a file may make it first and fill it then.
const SETTLE: Duration = Duration::from_millis(100);

/// The files of the machine's resolver.
#[derive(Clone, Debug)]
pub struct Files {
    /// `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// What systemd-resolved asks where the file above names only its stub.
    pub behind_the_stub: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            behind_the_stub: "/run/systemd/resolve/resolv.conf".into(),
        }
    }
}

/// Reads the files, when they are others.
#[derive(Debug)]
pub(super) struct Resolver {
    files: Files,
    /// Where the services are that mix what they were told of our own tunnel into these files.
    bus: Option<String>,
    lacks: Lacks,
    watch: Option<FileWatch>,
    told: Option<Networks>,
    /// Until the next look.
    settle: Option<Pin<Box<Sleep>>>,
    /// A look has begun, but not told yet what it found.
    looking: bool,
}

/// Whose word counts more than the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Author {
    Resolved,
    NetworkManager,
}

impl Resolver {
    /// `bus`: as that of [`Sources`](super::Sources).
    pub(super) fn new(files: Files, bus: Option<String>, lacks: Lacks) -> Self {
        Self { files, bus, lacks, watch: None, told: None, settle: None, looking: false }
    }

    /// There may be news that no watch tells of: a mount over the file.
    pub(super) fn look_again(&mut self) {
        self.settle.get_or_insert_with(|| Box::pin(sleep(SETTLE)));
    }

    /// Waits for other words of the networks; the first are there at once. Dropped early, it loses nothing.
    pub(super) async fn changed(&mut self) -> Networks {
        loop {
            if self.told.is_some() && !self.looking {
                match (&mut self.settle, &self.watch) {
                    (Some(settle), _) => {
                        settle.as_mut().await;
                        self.settle = None;
                    }
                    (None, Some(watch)) => {
                        watch.changed().await;
                        self.look_again();
                        continue;
                    }
                    (None, None) => pending().await,
                }
            }
            self.looking = true;
            let (mut networks, author) = self.look();
            if let Some(said) = self.ask(author).await {
                networks = said;
            }
            self.looking = false;
            if self.told.as_ref() != Some(&networks) {
                self.told = Some(networks.clone());
                return networks;
            }
        }
    }

    /// What the author of the file says of the networks outside our own tunnel, if it has something to say.
    async fn ask(&self, author: Option<Author>) -> Option<Networks> {
        let name = match author? {
            Author::Resolved => RESOLVED,
            Author::NetworkManager => NETWORK_MANAGER,
        };
        let bus = Bus::connect(self.bus.as_deref()).await.ok()?;
        let service = bus.service(name).await.ok()??;
        let said = match author? {
            Author::Resolved => outside::resolved(&service).await,
            Author::NetworkManager if !outside::is_overruled(&service).await => return None,
            Author::NetworkManager => outside::network_manager(&service).await,
        };
        said.map_err(|error| tracing::debug!(%error, name, "what the networks say is not known")).ok()
    }

    fn look(&mut self) -> (Networks, Option<Author>) {
        // A new watch each time, and before the look: files that were replaced leave nothing behind, and no change is missed.
        let watch = FileWatch::new(&[&self.files.resolv_conf, &self.files.behind_the_stub]);
        let networks = read(&self.files);
        let problem = match (&watch, &networks) {
            (_, Err(error)) => Some(format!("{} cannot be read: {error}", self.files.resolv_conf.display())),
            (Err(error), _) => Some(format!("the resolver's files cannot be watched: {error}")),
            _ => None,
        };
        self.lacks.say(SOURCE, problem);
        self.watch = watch.ok();
        networks.unwrap_or_default()
    }
}

/// # Errors
/// The first file cannot be read. Where the second cannot, the first has the word.
fn read(files: &Files) -> io::Result<(Networks, Option<Author>)> {
    let octets = read_file(&files.resolv_conf)?;
    let networks = resolv_conf::parse(&octets);
    if resolv_conf::names_only_the_stub(&networks) {
        let behind = read_file(&files.behind_the_stub).map(|octets| resolv_conf::parse(&octets));
        return Ok((behind.unwrap_or(networks), Some(Author::Resolved)));
    }
    let generated = octets.starts_with(b"# Generated by NetworkManager");
    Ok((networks, generated.then_some(Author::NetworkManager)))
}

fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    // A pipe would be waited for.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    read_at_most(file, resolv_conf::MAX_SIZE)
}

#[cfg(test)]
mod tests;
