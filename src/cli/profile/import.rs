//! `ikeep profile import`.

use super::super::output::{argument, print, printable, quoted, table};
use super::super::{Error, Exit, help};
use super::{counts, list, usable, warn};
use crate::config::profiles::{self, Entry, FileError};
use crate::config::{NoHome, files, paths};
use crate::profile::{MAX_SIZE, Profile};
use clap::ValueHint;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Longest name of a profile, octets: with what is around it while it is written, a file system takes it.
const LONGEST: usize = 200;

/// What `ikeep profile import` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::PROFILE_IMPORT)]
pub(in crate::cli) struct Command {
    /// The profile; `-` is standard input
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// What to call it there; without it, as the file is called, or after its first host
    #[arg(long, value_parser = plain_name)]
    name: Option<String>,
    /// Put it in the place of another profile of that name
    #[arg(long)]
    replace: bool,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Done {
    Imported,
    Replaced,
    /// The same profile was there already.
    Nothing,
}

impl Command {
    pub(in crate::cli) fn run(&self) -> Result<Exit, Error> {
        let standard_input = self.file.as_os_str() == "-";
        let source = if standard_input { Path::new("standard input") } else { &self.file };
        let octets = if standard_input { read_input(source)? } else { read_file(source)? };
        let (profile, warnings) = profiles::parse(source, &octets)?;
        let not_all = usable(source, &profile)?;
        let folder = paths::own_profiles().ok_or(NoHome)?;
        let (target, done) = self.keep(&folder, &octets, &profile)?;
        warn(source, &warnings);
        if let Some(why) = not_all {
            eprintln!("{}: warning: {}", source.display(), printable(&why.to_string()));
        }
        tell(&target, done)?;
        Ok(Exit::Done)
    }

    /// Puts the profile into the folder; where it is then.
    fn keep(&self, folder: &Path, octets: &[u8], profile: &Profile) -> Result<(PathBuf, Done), Error> {
        let name = self.name.clone().or_else(|| own_name(&self.file)).or_else(|| first_host(profile));
        let target = folder.join(format!("{}.xml", name.as_deref().unwrap_or("profile")));
        // Under another name too, unless this very one is asked for.
        let others = if self.name.is_none() && !self.replace {
            files::in_folder(folder, "xml").unwrap_or_default()
        } else {
            Vec::new()
        };
        let is_same = |file: &PathBuf| files::read_at_most(file, MAX_SIZE).is_ok_and(|there| there == octets);
        if let Some(same) = [target.clone()].into_iter().chain(others).find(is_same) {
            return Ok((same, Done::Nothing));
        }
        let failed = |source| Error::Import { file: target.clone(), source };
        let there = fs::symlink_metadata(&target).is_ok();
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        match place(folder, &target, octets, self.replace).map_err(failed)? {
            Placed::Exists => return Err(Error::Exists { file: target }),
            Placed::Whole => {}
        }
        // It is there already, so this is no failure.
        if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
            let folder = folder.display();
            eprintln!(
                "{folder}: warning: a power cut may undo the import, as the folder cannot be written out: {error}"
            );
        }
        Ok((target, if there { Done::Replaced } else { Done::Imported }))
    }
}

fn read_file(file: &Path) -> Result<Vec<u8>, Error> {
    let read = files::read_at_most(file, MAX_SIZE);
    Ok(read.map_err(|why| FileError::Read { file: file.to_owned(), why })?)
}

fn read_input(source: &Path) -> Result<Vec<u8>, Error> {
    let most = u64::try_from(MAX_SIZE).unwrap_or(u64::MAX).saturating_add(1);
    let mut octets = Vec::new();
    let read = io::stdin().lock().take(most).read_to_end(&mut octets);
    read.map_err(|why| FileError::Read { file: source.to_owned(), why })?;
    Ok(octets)
}

/// A name of the user's: the name of a file in the folder, with or without `.xml`.
fn plain_name(text: &str) -> Result<String, &'static str> {
    let name = text.strip_suffix(".xml").unwrap_or(text);
    if name.is_empty() || name.len() > LONGEST {
        return Err("a name has 1 to 200 octets");
    }
    if name.starts_with('.') || name.contains('/') || name.chars().any(char::is_control) {
        return Err("a name is no path: no slash, no control character, and no dot at its beginning");
    }
    Ok(name.to_owned())
}

/// The name of a file; `None` for a pipe, whose name says nothing.
fn own_name(file: &Path) -> Option<String> {
    let is_file = fs::metadata(file).is_ok_and(|found| found.is_file());
    is_file.then(|| tidy(&file.file_stem()?.to_string_lossy())).flatten()
}

fn first_host(profile: &Profile) -> Option<String> {
    profile.hosts.first().and_then(|host| tidy(&host.name))
}

/// A text as a name that is easily typed: letters, digits and a few signs; what is between them becomes one hyphen.
fn tidy(text: &str) -> Option<String> {
    let mut tidy = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || "_.@+".contains(c) {
            tidy.push(c);
        } else if !tidy.ends_with('-') {
            tidy.push('-');
        }
    }
    while tidy.len() > LONGEST {
        tidy.pop();
    }
    let tidy = tidy.trim_matches(['-', '.']);
    (!tidy.is_empty()).then(|| tidy.to_owned())
}

/// What has become of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Placed {
    Whole,
    /// Another one is there, and stays.
    Exists,
}

/// Writes a file of this user's alone: at each moment the old one is there or the new one, never a part. Another one is
/// replaced with `replace` only.
fn place(folder: &Path, target: &Path, octets: &[u8], replace: bool) -> io::Result<Placed> {
    let mut random = [0; 8];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| io::Error::other("no random octets from the system"))?;
    // Without `.xml` at its end nobody takes it for a profile, should it be left by a crash.
    let temporary = folder.join(format!(".import-{:016x}.tmp", u64::from_ne_bytes(random)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let placed = (|| {
        file.write_all(octets)?;
        file.sync_all()?;
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, &temporary, CWD, target, flags) {
            // A file system that cannot promise it (some over the network): nobody else writes here at the same moment.
            Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(target).is_err() => {
                fs::rename(&temporary, target)?
            }
            Err(Errno::INVAL | Errno::NOSYS) => return Ok(Placed::Exists),
            Err(Errno::EXIST) if !replace => return Ok(Placed::Exists),
            other => other?,
        }
        Ok(Placed::Whole)
    })();
    if !matches!(placed, Ok(Placed::Whole)) {
        let _ = fs::remove_file(&temporary);
    }
    placed
}

/// What was found in it, as it lies among the others now, and what to type next.
fn tell(target: &Path, done: Done) -> Result<(), Error> {
    let all = profiles::in_folders(&paths::profile_folders());
    let gateways = all.gateways();
    let Some(Ok((profile, warnings))) =
        all.found.iter().find(|found| found.file == target).map(|found| found.content.as_ref())
    else {
        // Somebody else was quicker with another one.
        return print(&format!("Imported as {}.\n", target.display()));
    };
    let what = match done {
        Done::Imported => "Imported as",
        Done::Replaced => "Replaced",
        Done::Nothing => "Nothing to do, this profile is there already:",
    };
    let mut text = format!("{what} {}\n\n", target.display());
    if !profile.hosts.is_empty() {
        text += &table(&list::HEAD, &list::hosts(target, profile, &gateways, warnings.len()));
        text += "\n";
    }
    let set = profile.settings().iter().filter(|setting| setting.at.is_some());
    let file = quoted(&target.display().to_string());
    text += &format!("Its settings: {}; each of them: ikeep profile check {file}\n", counts(set));
    if done == Done::Replaced {
        text += "A connection that was made with the old one keeps to it until `ikeep disconnect` and the next login.\n";
    }
    match next(target, profile, &gateways) {
        Some(command) => text += &format!("Connect with: {command}\n"),
        None => text += "It has no host to connect to: ask for a profile with a ServerList.\n",
    }
    print(&text)
}

/// What to type to connect to the first host that can be used.
fn next(target: &Path, profile: &Profile, gateways: &profiles::Gateways<'_>) -> Option<String> {
    let entry = |host| Entry { file: target, profile, host };
    let usable = || profile.hosts.iter().filter(|host| host.usable().is_ok()).map(entry);
    let Some(first) = usable().find(|entry| gateways.before(entry).is_none()).or_else(|| usable().next())
    else {
        let by_hand = profile.hosts.is_empty() && profile.client.allow_manual_host_input.value;
        return by_hand.then(|| "ikeep connect GATEWAY, with your gateway's name".to_owned());
    };
    let alone = gateways.called(&first.host.name).len() == 1;
    let typed = argument(if alone { &first.host.name } else { &first.host.address });
    // Another file has the same gateway and comes first.
    let of = gateways.before(&first).filter(|before| before.file != target);
    let profile =
        of.map(|_| format!(" --profile {}", quoted(&target.display().to_string()))).unwrap_or_default();
    Some(format!("ikeep connect{profile} {typed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_files_of_the_folder() {
        for (text, expected) in
            [("work", "work"), ("work.xml", "work"), ("head office", "head office"), ("a.b", "a.b")]
        {
            assert_eq!(plain_name(text).as_deref(), Ok(expected));
        }
        for text in ["", ".xml", ".hidden", "..", "a/b", "/etc/x", "a\nb", &"x".repeat(201)] {
            assert!(plain_name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_file_or_host_is_called_becomes_a_name_that_is_easily_typed() {
        for (text, expected) in [
            ("company", Some("company")),
            ("Company profile (2)", Some("Company-profile-2")),
            ("../..", None),
            (".hidden", Some("hidden")),
            ("München \u{1f600}\u{1b}[1m", Some("München-1m")),
            ("a'; rm -rf $HOME", Some("a-rm-rf-HOME")),
            ("", None),
        ] {
            assert_eq!(tidy(text).as_deref(), expected, "{text}");
        }
        assert_eq!(tidy(&"é".repeat(300)).map(|name| name.len()), Some(LONGEST));
    }

    #[test]
    fn a_file_is_placed_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.xml");
        // What a crash has left under this process's number is neither in the way nor its to remove.
        let left = folder.path().join(format!(".import-{}.tmp", std::process::id()));
        fs::write(&left, "left").unwrap();
        assert_eq!(place(folder.path(), &target, b"one", false).unwrap(), Placed::Whole);
        assert_eq!(fs::read(&left).unwrap(), b"left");
        fs::remove_file(&left).unwrap();
        assert_eq!(place(folder.path(), &target, b"two", false).unwrap(), Placed::Exists);
        assert_eq!(fs::read(&target).unwrap(), b"one");
        place(folder.path(), &target, b"two", true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
        assert!(place(&folder.path().join("none"), &target, b"three", true).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"two");
    }
}
