//! The zip: one folder, a manifest, made beside its name.

use super::gather::Gathered;
use crate::time::UnixTime;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ring::digest::{SHA256, digest};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::{self, Cursor, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Logs repeat themselves: a harder look saves a little room and takes seconds.
const LEVEL: i64 = 3;
/// How many names are tried.
const NAMES: u32 = 1000;

/// What the manifest says of an entry.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    source: &'a str,
    octets: usize,
    sha256: String,
    /// Octets of the source before those that are here.
    cut: u64,
}

/// What the manifest says of a file that is not here.
#[derive(Serialize)]
struct Missing<'a> {
    source: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct Manifest<'a> {
    format: u32,
    made: String,
    ikeep: &'static str,
    masked: &'static str,
    anonymized: bool,
    entries: Vec<Told<'a>>,
    left_out: Vec<Missing<'a>>,
}

/// A file that is removed unless it gets its name.
struct Partial {
    path: PathBuf,
    named: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.named {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes the bundle; where it is.
pub(super) fn write(
    folder: &Path,
    now: UnixTime,
    gathered: &Gathered,
    anonymized: bool,
) -> io::Result<PathBuf> {
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    let local = at.to_zoned(TimeZone::try_system().unwrap_or(TimeZone::UTC)).datetime();
    let stem = free_stem(folder, &format!("DARTBundle_{}", local.strftime("%Y%m%d_%H%M")));
    let octets = pack(&stem, at, local, gathered, anonymized)?;
    let path = folder.join(format!(".{stem}.{}.partial", std::process::id()));
    // Whose rest it may be, it is no more.
    let _ = fs::remove_file(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let mut partial = Partial { path, named: false };
    file.write_all(&octets)?;
    file.sync_all()?;
    let named = name(&partial.path, folder, &stem)?;
    partial.named = true;
    Ok(named)
}

/// The zip, whole: what is in it has a limit, so it fits in memory, and a disk that fills up meets one write only.
fn pack(
    stem: &str,
    at: Timestamp,
    local: DateTime,
    gathered: &Gathered,
    anonymized: bool,
) -> io::Result<Vec<u8>> {
    let options = options(local);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, text: &str| {
        writer.start_file(format!("{stem}/{name}"), options)?;
        writer.write_all(text.as_bytes())
    };
    let mut entries = Vec::new();
    for item in &gathered.items {
        add(&item.name, &item.text)?;
        let sha256 = digest(&SHA256, item.text.as_bytes());
        let sha256 = sha256.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        let (name, source, octets) = (&item.name, &item.origin, item.text.len());
        entries.push(Told { name, source, octets, sha256, cut: item.cut });
    }
    let left_out = gathered.left_out.iter();
    let manifest = Manifest {
        format: 1,
        made: at.to_string(),
        ikeep: env!("CARGO_PKG_VERSION"),
        masked: "values whose names sound like passwords, keys or tokens; sessions and keys were not opened",
        anonymized,
        entries,
        left_out: left_out.map(|left| Missing { source: &left.origin, why: &left.why }).collect(),
    };
    add("manifest.json", &serde_json::to_string_pretty(&manifest)?)?;
    Ok(writer.finish()?.into_inner())
}

/// How entries are packed.
fn options(now: DateTime) -> SimpleFileOptions {
    let options = SimpleFileOptions::default().unix_permissions(0o600).compression_level(Some(LEVEL));
    let part = |part: i8| u8::try_from(part).unwrap_or_default();
    let year = u16::try_from(now.year()).unwrap_or_default();
    let time = zip::DateTime::from_date_and_time(
        year,
        part(now.month()),
        part(now.day()),
        part(now.hour()),
        part(now.minute()),
        part(now.second()),
    );
    // Years that the format does not know are left out.
    time.map_or(options, |time| options.last_modified_time(time))
}

/// The first of `STEM`, `STEM_2`, .. that no bundle has.
fn free_stem(folder: &Path, stem: &str) -> String {
    let taken = |stem: &String| folder.join(format!("{stem}.zip")).symlink_metadata().is_ok();
    let mut numbers = 2..NAMES;
    let mut free = stem.to_owned();
    while taken(&free)
        && let Some(number) = numbers.next()
    {
        free = format!("{stem}_{number}");
    }
    free
}

/// Gives the file its name, unless another has it meanwhile.
fn name(partial: &Path, folder: &Path, stem: &str) -> io::Result<PathBuf> {
    let path = folder.join(format!("{stem}.zip"));
    match renameat_with(CWD, partial, CWD, &path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(path),
        // Some file systems cannot look and rename at once.
        Err(Errno::INVAL | Errno::NOSYS) if path.symlink_metadata().is_err() => {
            fs::rename(partial, &path).map(|()| path)
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
