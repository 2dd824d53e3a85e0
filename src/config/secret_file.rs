//! Files with a secret that this user alone can read.

use super::certificate::read;
use crate::crypto::Secret;
use std::path::Path;

/// What is in a file.
///
/// # Errors
/// For people: what is wrong with which file, and how to mend it. A file that others can read is refused.
pub fn read_secret(file: &Path) -> Result<Secret, String> {
    let (text, mode) = read(file)?;
    let name = file.display();
    if mode & 0o077 != 0 {
        return Err(format!("{name} is open to others on this machine: chmod 600 {name}"));
    }
    Ok(text)
}
