//! Profiles on disk: one file, or all those of the usual folders, and which gateway a name means among them.

use super::files;
use crate::profile::{HostEntry, MAX_SIZE, Profile, ProfileError, Warning};
use std::collections::btree_map::Entry::Vacant;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that is no profile to work with. Both texts say what to do, or name the file that cannot be read and why.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read the profile {}: {why}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why; told in the text above, so not a source.
        why: io::Error,
    },
    /// It is damaged.
    #[error(
        "{}:{}:{}: found {}, expected {}; mend the file there, or ask whoever made it for a sound copy",
        .file.display(), .error.at.line, .error.at.column, .error.found, .error.expected
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong; told in the text above, so not a source.
        error: Box<ProfileError>,
    },
}

impl FileError {
    /// True where there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Read { why, .. } if why.kind() == io::ErrorKind::NotFound)
    }
}

/// A profile, and what is strange in it without being in the way.
pub type Sound = (Profile, Vec<Warning>);

/// Reads one file. What is larger than [`MAX_SIZE`] is damaged.
///
/// # Errors
/// See [`FileError`].
pub fn read(file: &Path) -> Result<Sound, FileError> {
    let octets =
        files::read_at_most(file, MAX_SIZE).map_err(|why| FileError::Read { file: file.to_owned(), why })?;
    parse(file, &octets)
}

/// The same for what was read already; `file` is what an error calls it.
///
/// # Errors
/// It is damaged.
pub fn parse(file: &Path, octets: &[u8]) -> Result<Sound, FileError> {
    Profile::parse(octets)
        .map_err(|error| FileError::Damaged { file: file.to_owned(), error: Box::new(error) })
}

/// A file of the folders.
#[derive(Debug)]
pub struct Found {
    /// Its path.
    pub file: PathBuf,
    /// What it holds. One that is broken hides none of the others.
    pub content: Result<Sound, FileError>,
}

/// What folders hold.
#[derive(Debug, Default)]
pub struct Profiles {
    /// Their profiles, in the order of the folders and of the names in them. A file with several names (a link, or a folder
    /// that leads to another one) is there once.
    pub found: Vec<Found>,
    /// Folders that are there and cannot be listed.
    pub unlisted: Vec<(PathBuf, io::Error)>,
}

/// Reads every `*.xml` of these folders; one that is not there holds nothing.
pub fn in_folders(folders: &[PathBuf]) -> Profiles {
    let mut profiles = Profiles::default();
    let mut seen = Vec::new();
    for folder in folders {
        let files = match files::in_folder(folder, "xml") {
            Ok(files) => files,
            Err(error) => {
                profiles.unlisted.push((folder.clone(), error));
                continue;
            }
        };
        for file in files {
            let real = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if !seen.contains(&real) {
                seen.push(real);
                profiles.found.push(Found { content: read(&file), file });
            }
        }
    }
    profiles
}

impl Profiles {
    /// The gateways of all sound profiles.
    pub fn gateways(&self) -> Gateways<'_> {
        let sound = self.found.iter().filter_map(|found| Some((&found.file, found.content.as_ref().ok()?)));
        Gateways::new(sound.map(|(file, (profile, _))| (file.as_path(), profile)))
    }

    /// What is wrong with the others.
    pub fn errors(&self) -> impl Iterator<Item = &FileError> {
        self.found.iter().filter_map(|found| found.content.as_ref().err())
    }
}

/// A gateway, and the profile that has it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'p> {
    /// The profile's file.
    pub file: &'p Path,
    /// The profile.
    pub profile: &'p Profile,
    /// The gateway.
    pub host: &'p HostEntry,
}

/// Which gateway a name means, among those of some profiles.
///
/// The same HostName with the same HostAddress twice (a copy of a profile) is one gateway, and its first entry counts. The same
/// HostName with several addresses is several. An entry that this client cannot use counts only where it can use none of that
/// name.
#[derive(Debug, Default)]
pub struct Gateways<'p> {
    files: Vec<(&'p Path, &'p Profile)>,
    entries: Vec<Entry<'p>>,
    /// The entries that count, in order.
    distinct: Vec<Entry<'p>>,
    by_name: BTreeMap<String, Vec<Entry<'p>>>,
    by_both: BTreeMap<(String, String), Entry<'p>>,
}

/// A gateway that this client can use.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'p> {
    /// What names it and no other one: its HostName; its HostAddress where others share the HostName.
    pub typed: &'p str,
    /// The other one of the two.
    pub also: &'p str,
    /// The entry that counts.
    pub entry: Entry<'p>,
}

impl<'p> Gateways<'p> {
    /// Those of these files, in their order.
    pub fn new(profiles: impl IntoIterator<Item = (&'p Path, &'p Profile)>) -> Self {
        let files: Vec<(&Path, &Profile)> = profiles.into_iter().collect();
        let of = |(file, profile): &(&'p Path, &'p Profile)| {
            let (file, profile) = (*file, *profile);
            profile.hosts.iter().map(move |host| Entry { file, profile, host })
        };
        let entries: Vec<Entry<'p>> = files.iter().flat_map(of).collect();
        let usable: BTreeSet<String> =
            entries.iter().filter(|entry| is_usable(entry)).map(|entry| plain(&entry.host.name)).collect();
        let (mut distinct, mut by_both) = (Vec::new(), BTreeMap::new());
        let mut by_name = BTreeMap::<String, Vec<Entry<'p>>>::new();
        for entry in &entries {
            let name = plain(&entry.host.name);
            if usable.contains(&name) && !is_usable(entry) {
                continue;
            }
            if let Vacant(place) = by_both.entry((name.clone(), address(&entry.host.address))) {
                place.insert(*entry);
                distinct.push(*entry);
                by_name.entry(name).or_default().push(*entry);
            }
        }
        Self { files, entries, distinct, by_name, by_both }
    }

    /// The profiles, those without a host too.
    pub fn files(&self) -> &[(&'p Path, &'p Profile)] {
        &self.files
    }

    /// Every entry, in order.
    pub fn entries(&self) -> &[Entry<'p>] {
        &self.entries
    }

    /// The gateways of this HostName (letter case does not count).
    pub fn called(&self, name: &str) -> &[Entry<'p>] {
        self.by_name.get(&plain(name)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The gateway of this HostAddress (neither letter case nor a final dot count): the first entry that has it, a usable one
    /// before others.
    pub fn at(&self, wanted: &str) -> Option<Entry<'p>> {
        let wanted = address(wanted);
        let at = || self.entries.iter().filter(|entry| address(&entry.host.address) == wanted);
        at().find(|entry| is_usable(entry)).or_else(|| at().next()).copied()
    }

    /// The entry that counts instead of this one: the same gateway by the same name, in a file that comes first.
    pub fn before(&self, entry: &Entry<'_>) -> Option<Entry<'p>> {
        let counts = self.by_both.get(&(plain(&entry.host.name), address(&entry.host.address)))?;
        (!std::ptr::eq(counts.host, entry.host)).then_some(*counts)
    }

    /// Every gateway that can be chosen, in order.
    pub fn choices(&self) -> Vec<Choice<'p>> {
        let choice = |entry: &Entry<'p>| {
            let HostEntry { name, address, .. } = entry.host;
            let alone = self.called(name).len() == 1;
            let (typed, also) = if alone { (name, address) } else { (address, name) };
            Choice { typed, also, entry: *entry }
        };
        self.distinct.iter().filter(|entry| is_usable(entry)).map(choice).collect()
    }
}

fn is_usable(entry: &Entry<'_>) -> bool {
    entry.host.usable().is_ok()
}

fn plain(name: &str) -> String {
    name.trim().to_ascii_lowercase()
}

fn address(name: &str) -> String {
    plain(name.trim().strip_suffix('.').unwrap_or(name))
}

#[cfg(test)]
mod tests;
