//! A post-quantum preshared key, from its file.

use super::certificate::read;
use crate::ike::ppk::Ppk;
use std::path::Path;

/// Reads the PPK called `id`: see [`Ppk::new`] for what `file` holds.
///
/// # Errors
/// For people: what is wrong with which file, and how to mend it. A file that others can read is refused.
pub fn read_ppk(id: &str, file: &Path, required: bool) -> Result<Ppk, String> {
    let (text, mode) = read(file)?;
    let name = file.display();
    if mode & 0o077 != 0 {
        return Err(format!("{name} is open to others on this machine: chmod 600 {name}"));
    }
    Ppk::new(id, &text, required).map_err(|error| format!("{name}: {error}"))
}
