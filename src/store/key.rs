//! The key that seals sessions, in a folder of its own: who copies the state (a backup, a bug report) does not have it.

use super::error::{Damage, FileError};
use super::file::Folder;
use super::seal::KEY_LENGTH;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The key's file in [`crate::config::Places::keys`].
const NAME: &str = "session.key";

/// The key.
pub(super) type Key = Zeroizing<[u8; KEY_LENGTH]>;

/// Where the key is kept.
pub(super) fn file(keys: &Path) -> PathBuf {
    keys.join(NAME)
}

/// The key, if there is one.
///
/// # Errors
/// It cannot be read, or may be known to others. One that is damaged is moved aside: nothing can be opened with it.
pub(super) fn existing(keys: &Path) -> Result<Option<Key>, FileError> {
    let Some(folder) = Folder::existing(keys)? else { return Ok(None) };
    let Some(content) = folder.read(NAME, KEY_LENGTH)? else { return Ok(None) };
    match <[u8; KEY_LENGTH]>::try_from(content.as_slice()) {
        Ok(key) => Ok(Some(Zeroizing::new(key))),
        Err(_) => {
            let (file, why) = (folder.path(NAME), Damage::Key(content.len()));
            Err(FileError::Damaged { file, why, aside: folder.move_aside(NAME) })
        }
    }
}

/// The key; a new one where there is none, or where it was damaged (which was told when it was found so).
///
/// # Errors
/// No key can be kept there, or the one that is there may be known to others.
pub(super) fn existing_or_new(keys: &Path) -> Result<Key, FileError> {
    match existing(keys) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) | Err(FileError::Damaged { aside: Some(_), .. }) => {}
        Err(error) => return Err(error),
    }
    let folder = Folder::make(keys)?;
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    SystemRandom::new()
        .fill(&mut *key)
        .map_err(|_| FileError::io(&folder.path(NAME), "made", io::Error::other("no random octets")))?;
    folder.write(NAME, &*key)?;
    Ok(key)
}
