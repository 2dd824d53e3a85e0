//! The zip: one folder, a manifest, made beside its name.

use super::collect::Source;
use crate::time::UnixTime;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ring::digest::{SHA256, digest};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Most octets of one entry.
const ENTRY: usize = 4 << 20;
/// Most octets of all entries together.
const WHOLE: usize = 32 << 20;
/// An entry that could have less than this is left out.
const LEAST: usize = 64 << 10;
/// How many names are tried.
const NAMES: u32 = 1000;

/// What the manifest says of an entry.
#[derive(Serialize)]
struct Told {
    name: String,
    source: String,
    octets: usize,
    sha256: String,
    /// Octets of the source before those that are here.
    cut: u64,
}

/// What the manifest says of a file that is not here.
#[derive(Serialize)]
struct LeftOut {
    source: String,
    why: String,
}

#[derive(Serialize)]
struct Manifest {
    format: u32,
    made: String,
    ikeep: &'static str,
    masked: &'static str,
    entries: Vec<Told>,
    left_out: Vec<LeftOut>,
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
    sources: &[(String, Source)],
    forbidden: &[PathBuf],
) -> io::Result<PathBuf> {
    let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    let local = at.to_zoned(TimeZone::try_system().unwrap_or(TimeZone::UTC)).datetime();
    let stem = free_stem(folder, &format!("DARTBundle_{}", local.strftime("%Y%m%d_%H%M")));
    let path = folder.join(format!(".{stem}.{}.partial", std::process::id()));
    // Whose rest it may be, it is no more.
    let _ = fs::remove_file(&path);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let mut partial = Partial { path, named: false };
    let mut zip = Zip::new(file, &stem, local);
    zip.fill(sources, forbidden)?;
    let manifest = Manifest {
        format: 1,
        made: at.to_string(),
        ikeep: env!("CARGO_PKG_VERSION"),
        masked: "values whose names sound like passwords, keys or tokens; sessions and keys were not opened",
        entries: zip.told,
        left_out: zip.left_out,
    };
    let text = serde_json::to_string_pretty(&manifest)?;
    zip.writer.start_file(format!("{stem}/manifest.json"), zip.options)?;
    zip.writer.write_all(text.as_bytes())?;
    zip.writer.finish()?.sync_all()?;
    let named = name(&partial.path, folder, &stem)?;
    partial.named = true;
    Ok(named)
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

struct Zip<'a> {
    writer: ZipWriter<File>,
    stem: &'a str,
    options: SimpleFileOptions,
    room: usize,
    told: Vec<Told>,
    left_out: Vec<LeftOut>,
}

impl<'a> Zip<'a> {
    fn new(file: File, stem: &'a str, now: DateTime) -> Self {
        let mut options = SimpleFileOptions::default().unix_permissions(0o600);
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
        if let Ok(time) = time {
            options = options.last_modified_time(time);
        }
        Self {
            writer: ZipWriter::new(file),
            stem,
            options,
            room: WHOLE,
            told: Vec::new(),
            left_out: Vec::new(),
        }
    }

    fn fill(&mut self, sources: &[(String, Source)], forbidden: &[PathBuf]) -> io::Result<()> {
        for (name, source) in sources {
            let origin = source.origin();
            if self.room < LEAST {
                self.left_out
                    .push(LeftOut { source: origin, why: format!("the bundle has its {WHOLE} octets") });
                continue;
            }
            match source.read(ENTRY.min(self.room), forbidden) {
                Ok(read) => self.add(name.clone(), origin, &read.text, read.cut)?,
                Err(why) => {
                    let text = format!("{origin}: {why}\n");
                    self.add(format!("{name}.unreadable.txt"), origin.clone(), &text, 0)?;
                    self.left_out.push(LeftOut { source: origin, why: why.to_string() });
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, source: String, text: &str, cut: u64) -> io::Result<()> {
        self.writer.start_file(format!("{}/{name}", self.stem), self.options)?;
        self.writer.write_all(text.as_bytes())?;
        self.room = self.room.saturating_sub(text.len());
        let sha256 = digest(&SHA256, text.as_bytes());
        let sha256 = sha256.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        self.told.push(Told { name, source, octets: text.len(), sha256, cut });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
