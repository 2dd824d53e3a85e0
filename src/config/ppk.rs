//! A post-quantum preshared key, from its file.

use super::read_secret;
use crate::ike::ppk::Ppk;
use std::path::Path;

/// Reads the PPK called `id`: see [`Ppk::new`] for what `file` holds.
///
/// # Errors
/// For people: what is wrong with which file, and how to mend it. A file that others can read is refused.
pub fn read_ppk(id: &str, file: &Path, required: bool) -> Result<Ppk, String> {
    let text = read_secret(file)?;
    Ppk::new(id, &text, required).map_err(|error| format!("{}: {error}", file.display()))
}
