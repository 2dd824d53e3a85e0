//! `/etc/resolv.conf` itself, where no service can be asked for it.
//!
//! It is written in place: in containers and for hardened services it is a file mounted from elsewhere, which nothing can be
//! renamed over, and a link to a file of resolvconf or NetworkManager stays a link. So there is a moment in which the file is
//! half ours; the journal knows both halves.

use super::disk::{self, Disk, state_error};
use super::journal::{Journal, make_folder};
use super::{DnsError, Places, text};
use crate::config::files::read_at_most;
use crate::plan::Dns;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Largest resolv.conf that is kept and brought back, octets.
pub(super) const MAX_SIZE: usize = 4 << 20;

/// Texts of ours that are remembered: the one that is there, and the one that is about to be.
const MAX_TEXTS: usize = 4;

/// What the backup is called in our folder, in turn.
const BACKUPS: [&str; 2] = ["resolv.conf.before", "resolv.conf.before.2"];
/// A file that is about to be written over although the journal could not tell that it is ours: half of one text, half of
/// another.
const TORN: &str = "resolv.conf.torn";

/// What has to be known to bring the file back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// The file as it was; `None`: there was none.
    pub(super) before: Option<Before>,
    /// Where its name led to, if it was a link: for people.
    leads_to: Option<PathBuf>,
    /// What we wrote, or were about to write; the last one last.
    wrote: Vec<String>,
}

/// A file as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    /// Its content is in this file of our own folder.
    pub(super) backup: String,
    /// Its mode, for people: writing in place leaves it alone.
    mode: u32,
}

/// What is there now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Missing,
    File { octets: Vec<u8>, mode: u32 },
}

impl Found {
    pub(super) fn octets(&self) -> &[u8] {
        match self {
            Self::Missing => &[],
            Self::File { octets, .. } => octets,
        }
    }
}

/// Whose the file is.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    /// As we wrote it, or half of it.
    Ours,
    /// As it was before.
    Before,
    /// Ours, and somebody has changed it since.
    Edited,
    /// Somebody has replaced it, or removed it.
    Theirs,
}

/// # Errors
/// It is no file, is too large, or cannot be read.
pub(super) fn read(path: &Path) -> Result<Found, DnsError> {
    let error = |source| DnsError::Read { path: path.to_path_buf(), source };
    // A pipe is not waited for.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(found) if found.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        other => other.map_err(error)?,
    };
    let metadata = file.metadata().map_err(error)?;
    if !metadata.is_file() {
        return Err(error(io::Error::other("it is not a file")));
    }
    let mut octets = Vec::new();
    file.take(MAX_SIZE as u64 + 1).read_to_end(&mut octets).map_err(error)?;
    if octets.len() > MAX_SIZE {
        return Err(error(io::Error::other(format!("it is larger than {} MiB", MAX_SIZE >> 20))));
    }
    Ok(Found::File { octets, mode: metadata.mode() & 0o7777 })
}

/// The file as it is without our settings, as far as that is known.
pub(super) fn as_it_was(places: &Places, saved: Option<&Saved>) -> Result<Vec<u8>, DnsError> {
    let found = read(&places.etc)?;
    let octets = found.octets();
    let Some(saved) = saved else { return Ok(text::unmarked(octets)) };
    let (whose, before) = look(places, saved, &found)?;
    Ok(match whose {
        Whose::Ours | Whose::Before => before.unwrap_or_default(),
        Whose::Edited => text::unmarked(octets),
        Whose::Theirs => octets.to_vec(),
    })
}

/// Writes the tunnel's settings over whatever is there now, which is kept. Done again, it changes nothing, unless somebody
/// has written the file anew: then that is what comes back in the end.
///
/// # Errors
/// Nothing is changed then.
pub(super) fn apply(
    places: &Places,
    disk: &dyn Disk,
    journal: &mut Journal,
    dns: &Dns,
) -> Result<Vec<String>, DnsError> {
    let found = read(&places.etc)?;
    let (mut saved, before) = keep(places, disk, journal.file.as_ref(), &found)?;
    let path = saved.before.as_ref().map(|before| places.state.join(&before.backup));
    let (text, notes) = text::compose(before.as_deref().unwrap_or_default(), dns, path.as_deref());
    let was = journal.clone();
    if found.octets() == text.as_bytes() && was.file.as_ref().is_some_and(|file| file.before == saved.before)
    {
        return Ok(notes);
    }
    saved.wrote.retain(|wrote| *wrote != text);
    saved.wrote.push(text.clone());
    let surplus = saved.wrote.len().saturating_sub(MAX_TEXTS);
    saved.wrote.drain(..surplus);
    journal.file = Some(saved);
    if let Err(error) = journal.save(&places.state, disk) {
        *journal = was;
        return Err(error);
    }
    if let Err(error) = write(places, disk, &journal.file, &found, text.as_bytes()) {
        // As it was before this; where that has failed too, the journal has to know more than it should.
        if read(&places.etc).is_ok_and(|now| now == found) {
            *journal = was;
            // One that still tells of the change does no harm.
            let _ = journal.save(&places.state, disk);
            drop_backups(places, disk, journal);
        }
        return Err(error);
    }
    drop_backups(places, disk, journal);
    Ok(notes)
}

/// What to remember of the file that is there, and its content without our settings. A new backup is on the disk then.
fn keep(
    places: &Places,
    disk: &dyn Disk,
    saved: Option<&Saved>,
    found: &Found,
) -> Result<(Saved, Option<Vec<u8>>), DnsError> {
    let leads_to = fs::read_link(&places.etc).ok();
    let wrote = saved.map(|saved| saved.wrote.clone()).unwrap_or_default();
    if let Some(saved) = saved {
        let (whose, before) = look(places, saved, found)?;
        if matches!(whose, Whose::Ours | Whose::Before) {
            return Ok((Saved { before: saved.before.clone(), leads_to, wrote }, before));
        }
    }
    let Found::File { octets, mode } = found else {
        return Ok((Saved { before: None, leads_to, wrote: Vec::new() }, None));
    };
    let octets = if text::is_marked(octets) { text::unmarked(octets) } else { octets.clone() };
    // Another name than the one before, which has to stay until the journal knows of this.
    let last = saved.and_then(|saved| saved.before.as_ref()).map(|before| before.backup.as_str());
    let [first, second] = BACKUPS;
    let name = if last == Some(first) { second } else { first };
    let path = places.state.join(name);
    make_folder(&places.state).and_then(|()| disk.replace(&path, &octets)).map_err(state_error(&path))?;
    let before = Before { backup: name.to_owned(), mode: *mode };
    Ok((Saved { before: Some(before), leads_to, wrote }, Some(octets)))
}

/// Brings the file back. What it says is a problem for people; the journal is without the file then.
///
/// # Errors
/// The file is not as it was: it can be tried again.
pub(super) fn revert(
    places: &Places,
    disk: &dyn Disk,
    journal: &mut Journal,
) -> Result<Option<String>, DnsError> {
    let found = read(&places.etc)?;
    let whose = match &journal.file {
        Some(saved) => look(places, saved, &found)?,
        None if text::is_marked(found.octets()) => (Whose::Edited, None),
        None => {
            drop_backups(places, disk, journal);
            return Ok(None);
        }
    };
    let mut problem = None;
    match whose {
        (Whose::Ours, Some(before)) => write(places, disk, &journal.file, &found, &before)?,
        (Whose::Ours, None) => {
            let path = fs::canonicalize(&places.etc).unwrap_or_else(|_| places.etc.clone());
            let error = |source| DnsError::Write { path: path.clone(), source };
            disk.forget(&path).map_err(error)?;
        }
        (Whose::Edited, _) => {
            let how = if journal.file.is_some() {
                "was changed by somebody"
            } else {
                "was left by nobody knows whom"
            };
            problem = Some(format!(
                "{} had settings of ikeep in it and {how}: they are gone, and so are comments, and what was written among them",
                places.etc.display()
            ));
            let (saved, before) = keep(places, disk, journal.file.as_ref(), &found)?;
            journal.file = Some(saved);
            journal.save(&places.state, disk)?;
            write(places, disk, &journal.file, &found, &before.unwrap_or_default())?;
        }
        (Whose::Before | Whose::Theirs, _) => {}
    }
    journal.file = None;
    journal.save(&places.state, disk)?;
    drop_backups(places, disk, journal);
    Ok(problem)
}

/// Whose the file is, and what it was before. A backup that is lost is made up for by what our own lines remember.
fn look(places: &Places, saved: &Saved, found: &Found) -> Result<(Whose, Option<Vec<u8>>), DnsError> {
    match backup(places, saved) {
        Ok(before) => {
            let torn = read_at_most(&places.state.join(TORN), MAX_SIZE).ok();
            Ok((whose(found, saved, before.as_deref(), torn.as_deref()), before))
        }
        Err(_) if text::is_marked(found.octets()) => Ok((Whose::Edited, None)),
        Err(DnsError::State { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok((Whose::Theirs, None))
        }
        Err(error) => Err(error),
    }
}

/// Whose the file that was found is.
fn whose(found: &Found, saved: &Saved, before: Option<&[u8]>, torn: Option<&[u8]>) -> Whose {
    let Found::File { octets, .. } = found else {
        return if saved.before.is_none() { Whose::Before } else { Whose::Theirs };
    };
    if before.is_some_and(|before| before == octets) {
        return Whose::Before;
    }
    let ours = saved.wrote.iter().map(String::as_bytes);
    let known: Vec<&[u8]> = ours.chain(before).collect();
    // One that was made by us was empty first.
    let old = known.iter().copied().chain(torn).chain(saved.before.is_none().then_some(&b""[..]));
    if old.clone().any(|old| known.iter().any(|new| is_between(octets, old, new))) {
        Whose::Ours
    } else if text::is_marked(octets) {
        Whose::Edited
    } else {
        Whose::Theirs
    }
}

/// Whether a file holds `new`, or what is there while `new` is written over `old`: the beginning of the one, then the rest of
/// the other.
fn is_between(octets: &[u8], old: &[u8], new: &[u8]) -> bool {
    if octets == new || octets == old {
        return true;
    }
    let common = octets.iter().zip(new).take_while(|(a, b)| a == b).count();
    if octets.len() > old.len() {
        return common == octets.len();
    }
    octets.len() == old.len() && octets.get(common..) == old.get(common..)
}

/// Writes in place; where that fails, what was found is put back. The journal on the disk knows of it.
fn write(
    places: &Places,
    disk: &dyn Disk,
    saved: &Option<Saved>,
    found: &Found,
    octets: &[u8],
) -> Result<(), DnsError> {
    let path = &places.etc;
    if let (Found::File { octets: now, .. }, Some(saved)) = (found, saved) {
        let before = backup(places, saved)?;
        let known = saved.wrote.iter().any(|wrote| wrote.as_bytes() == now);
        if !known && before.as_ref() != Some(now) {
            let torn = places.state.join(TORN);
            disk.replace(&torn, now).map_err(state_error(&torn))?;
        }
    }
    let error = |source: io::Error| match (found, fs::read_link(path)) {
        (Found::Missing, Ok(target)) => DnsError::Dangling { path: path.clone(), target, source },
        _ => DnsError::Write { path: path.clone(), source },
    };
    let create = (*found == Found::Missing).then_some(0o644);
    let file = disk.open(path, create).map_err(error)?;
    let Err(source) = disk.overwrite(&file, octets) else { return Ok(()) };
    let back = match found {
        Found::File { octets, .. } => disk.overwrite(&file, octets),
        Found::Missing => disk.remove(&fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
    };
    match back {
        Ok(()) => Err(error(source)),
        Err(_) => Err(DnsError::Torn { path: path.clone(), state: places.state.clone(), source }),
    }
}

/// The content of the backup; `None` where there was no file.
fn backup(places: &Places, saved: &Saved) -> Result<Option<Vec<u8>>, DnsError> {
    let Some(before) = &saved.before else { return Ok(None) };
    // The journal is read from a file: it names nothing but what is written here.
    let name = BACKUPS.into_iter().find(|name| *name == before.backup).unwrap_or(BACKUPS[0]);
    let path = places.state.join(name);
    read_at_most(&path, MAX_SIZE).map(Some).map_err(state_error(&path))
}

/// Backups that the journal does not name, and what was never finished.
fn drop_backups(places: &Places, disk: &dyn Disk, journal: &Journal) {
    let kept = journal.file.as_ref().and_then(|saved| saved.before.as_ref()).map(|before| &before.backup);
    for name in BACKUPS.into_iter().filter(|name| kept.is_none_or(|kept| kept != name)) {
        let _ = disk.forget(&places.state.join(name));
    }
    let _ = disk.forget(&places.state.join(TORN));
    for name in BACKUPS.into_iter().chain([TORN]) {
        let _ = disk.forget(&places.state.join(name).with_added_extension(disk::UNFINISHED));
    }
    let _ = disk.forget(&Journal::path(&places.state).with_added_extension(disk::UNFINISHED));
}
