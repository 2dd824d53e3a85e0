//! Sessions as files: sealed where a key can be kept elsewhere, else plain.

use super::Kept;
use super::error::{Damage, FileError, Note};
use super::file::{Folder, damaged_name};
use super::seal::{self, NotOpened};
use super::{key, plain_host};
use crate::config::Places;
use crate::crypto::Secret;
use crate::session::{MAX_ENCODED, Session, SessionError};
use ring::aead::NONCE_LEN;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::io;
use std::path::PathBuf;

/// What is known here of the copy in the secret service. Without a file that says so, such a copy is believed if it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InService {
    /// Nothing was ever put there, or it was erased.
    Unknown,
    /// The last save went there.
    Kept,
    /// A later save went into a file: times alone would not tell, since the clock may have been set back.
    Outdated,
    /// It was to be erased, but the service could not be reached, or was locked.
    Erased,
}

impl InService {
    const WRITTEN: [(Self, &str); 3] =
        [(Self::Kept, "kept\n"), (Self::Outdated, "outdated\n"), (Self::Erased, "erased\n")];
}

/// The names of one gateway's files: they do not tell whose they are.
struct Names {
    sealed: String,
    plain: String,
    service: String,
}

impl Names {
    fn of(host: &str) -> Self {
        let hash = digest(&SHA256, &[b"ikeep session\0", host.as_bytes()].concat());
        let stem: String = hash.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect();
        Self {
            sealed: format!("{stem}.sealed"),
            plain: format!("{stem}.plain"),
            service: format!("{stem}.service"),
        }
    }
}

/// The folders. Every host given here is a [`plain_host`].
#[derive(Debug)]
pub(super) struct Files {
    state: PathBuf,
    sessions: PathBuf,
    keys: PathBuf,
}

impl Files {
    pub(super) fn new(places: &Places) -> Self {
        Self { state: places.state.clone(), sessions: places.sessions(), keys: places.keys.clone() }
    }

    fn make(&self) -> Result<Folder, FileError> {
        Folder::make(&self.state)?;
        Folder::make(&self.sessions)
    }

    /// Keeps the session; copies in the other kind of file are removed once it is safe.
    pub(super) fn save(&self, host: &str, encoded: &Secret) -> Result<(Kept, Vec<Note>), FileError> {
        let folder = self.make()?;
        let names = Names::of(host);
        let (kept, other, mut notes) = match key::existing_or_new(&self.keys) {
            Ok(key) => {
                let mut nonce = [0; NONCE_LEN];
                let random = SystemRandom::new().fill(&mut nonce);
                random.map_err(|_| {
                    FileError::io(
                        &folder.path(&names.sealed),
                        "written",
                        io::Error::other("no random octets"),
                    )
                })?;
                folder.write(&names.sealed, &seal::seal(&key, host, nonce, encoded.expose()))?;
                (Kept::Sealed, &names.plain, Vec::new())
            }
            Err(why) => {
                folder.write(&names.plain, encoded.expose())?;
                let file = folder.path(&names.plain);
                (Kept::Plain, &names.sealed, vec![Note::Unsealed { file, why }])
            }
        };
        if let Err(error) = folder.remove(other) {
            notes.push(Note::File(error));
        }
        Ok((kept, notes))
    }

    /// The sessions with this gateway, and what is wrong with the files. What makes no sense is moved aside.
    pub(super) fn load(&self, host: &str) -> (Vec<Session>, Vec<Note>) {
        let (mut found, mut notes) = (Vec::new(), Vec::new());
        let folder = match Folder::existing(&self.sessions) {
            Ok(Some(folder)) => folder,
            Ok(None) => return (found, notes),
            Err(error) => return (found, vec![Note::File(error)]),
        };
        let names = Names::of(host);
        for read in [self.read_sealed(&folder, &names.sealed, host), read_plain(&folder, &names.plain, host)]
        {
            match read {
                Ok(session) => found.extend(session),
                Err(error) => notes.push(Note::File(error)),
            }
        }
        (found, notes)
    }

    fn read_sealed(&self, folder: &Folder, name: &str, host: &str) -> Result<Option<Session>, FileError> {
        let Some(sealed) = folder.read(name, MAX_ENCODED + seal::OVERHEAD)? else { return Ok(None) };
        let Some(key) = key::existing(&self.keys)? else {
            return Err(FileError::NoKey { file: folder.path(name), key: key::file(&self.keys) });
        };
        match seal::open(&key, host, &sealed) {
            Ok(content) => decode(folder, name, host, &content).map(Some),
            Err(NotOpened::Newer(found)) => Err(FileError::Newer { file: folder.path(name), found }),
            Err(NotOpened::Damaged) => Err(damaged(folder, name, Damage::Seal)),
        }
    }

    /// Removes every file of this gateway, also those moved aside and those that killed writers left; what could not be
    /// removed.
    pub(super) fn erase(&self, host: &str) -> Vec<Note> {
        let folder = match Folder::existing(&self.sessions) {
            Ok(Some(folder)) => folder,
            Ok(None) => return Vec::new(),
            Err(error) => return vec![Note::File(error)],
        };
        folder.clean();
        let Names { sealed, plain, .. } = Names::of(host);
        let names = [damaged_name(&sealed), damaged_name(&plain), sealed, plain];
        names.iter().filter_map(|name| folder.remove(name).err()).map(Note::File).collect()
    }

    /// What is known of the copy in the secret service.
    pub(super) fn in_service(&self, host: &str) -> InService {
        let text = Folder::existing(&self.sessions)
            .and_then(|folder| folder.map_or(Ok(None), |folder| folder.read(&Names::of(host).service, 16)));
        let known = InService::WRITTEN
            .iter()
            .find(|(_, written)| matches!(&text, Ok(Some(text)) if text.as_slice() == written.as_bytes()));
        known.map_or(InService::Unknown, |(known, _)| *known)
    }

    /// Notes what is known of the copy in the secret service.
    pub(super) fn set_in_service(&self, host: &str, known: InService) -> Result<(), FileError> {
        if self.in_service(host) == known {
            return Ok(());
        }
        let name = Names::of(host).service;
        match InService::WRITTEN.iter().find(|(written, _)| *written == known) {
            Some((_, text)) => self.make()?.write(&name, text.as_bytes()),
            None => self.make()?.remove(&name).map(drop),
        }
    }
}

fn read_plain(folder: &Folder, name: &str, host: &str) -> Result<Option<Session>, FileError> {
    let content = folder.read(name, MAX_ENCODED)?;
    content.map(|content| decode(folder, name, host, &content)).transpose()
}

fn decode(folder: &Folder, name: &str, host: &str, content: &[u8]) -> Result<Session, FileError> {
    match session_with(host, content) {
        Ok(session) => Ok(session),
        Err(Damage::Session(SessionError::Newer { found })) => {
            Err(FileError::Newer { file: folder.path(name), found })
        }
        Err(why) => Err(damaged(folder, name, why)),
    }
}

/// Reads a session, and takes it only if it is one with this gateway (law 5).
pub(super) fn session_with(host: &str, content: &[u8]) -> Result<Session, Damage> {
    let session = Session::decode(content)?;
    if plain_host(&session.host_address) == host { Ok(session) } else { Err(Damage::OtherHost) }
}

fn damaged(folder: &Folder, name: &str, why: Damage) -> FileError {
    FileError::Damaged { file: folder.path(name), why, aside: folder.move_aside(name) }
}
