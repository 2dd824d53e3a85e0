//! Which gateway is meant, and in which profile.

use super::TargetError;
use crate::config::paths;
use crate::config::profiles::{self, Entry, Gateways, Profiles};
use crate::ipc::Connect;
use crate::profile::{HostEntry, Profile};
use std::path::{Path, PathBuf};

/// A gateway, and the profile that says how to reach it.
pub(super) struct Chosen {
    /// The profile's file.
    pub(super) file: PathBuf,
    /// The profile.
    pub(super) profile: Profile,
    /// The gateway.
    pub(super) host: HostEntry,
    /// What names it at the next time.
    pub(super) typed: String,
}

impl Chosen {
    /// It stands in no file.
    fn is_manual(&self) -> bool {
        self.host.at.line == 0
    }

    fn new(entry: Entry<'_>, typed: &str) -> Self {
        let Entry { file, profile, host } = entry;
        Self { file: file.to_owned(), profile: profile.clone(), host: host.clone(), typed: typed.to_owned() }
    }
}

/// Reads the profiles and chooses. `just_named`: the person has named the profile just now; else it is that of the last time, and
/// where it has gone another one will do that has its host. `before`: the profile of the last time, whoever chose it.
pub(super) fn on_disk(
    wishes: &Connect,
    just_named: bool,
    before: Option<&Path>,
    folders: &[PathBuf],
    notes: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<Chosen, TargetError> {
    let wanted = wishes.host.as_deref();
    let Some(file) = &wishes.profile else {
        if let Some(file) = before.filter(|file| has_gone(file)) {
            return instead_of(file, wanted, folders, notes, warnings);
        }
        let profiles = found(folders)?;
        let broken = told(&profiles, notes);
        let gateways = profiles.gateways();
        let chosen = choose(&gateways, wanted, &broken)?;
        warnings.extend(doubts(&chosen, &gateways, &broken));
        return Ok(chosen);
    };
    match profiles::read(file) {
        Ok((profile, _)) => {
            let gateways = Gateways::new([(file.as_path(), &profile)]);
            let chosen = choose(&gateways, wanted, &[])?;
            warnings.extend(doubts(&chosen, &gateways, &[]));
            Ok(chosen)
        }
        Err(error) if just_named || !error.is_missing() => Err(error.into()),
        Err(_) => instead_of(file, wanted, folders, notes, warnings),
    }
}

fn has_gone(file: &Path) -> bool {
    std::fs::metadata(file).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Another profile that has the host of `file`, which has gone.
fn instead_of(
    file: &Path,
    wanted: Option<&str>,
    folders: &[PathBuf],
    notes: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<Chosen, TargetError> {
    let profiles = profiles::in_folders(folders);
    let errors = told(&profiles, notes);
    let host = wanted.unwrap_or_default();
    let chosen = match choose(&profiles.gateways(), wanted, &errors) {
        Ok(chosen) if !chosen.is_manual() => chosen,
        Err(error @ TargetError::Ambiguous { .. }) => return Err(error),
        _ => {
            let broken = errors.into_iter().chain(unlisted(&profiles)).collect();
            return Err(TargetError::Vanished { file: file.to_owned(), host: host.to_owned(), broken });
        }
    };
    let (there, instead) = (file.display(), chosen.file.display());
    warnings
        .push(format!("the profile {there} is not there any more: {instead} is used, which has {host} too"));
    Ok(chosen)
}

/// Whether a host that stands in no profile is what was meant: a single word may be a HostName with a mistake in it, and any
/// may be in a profile that cannot be used.
fn doubts(chosen: &Chosen, gateways: &Gateways<'_>, broken: &[String]) -> Vec<String> {
    let typed = &chosen.typed;
    if !chosen.is_manual() || (broken.is_empty() && typed.contains(['.', ':'])) {
        return Vec::new();
    }
    let names: Vec<&str> = gateways.choices().iter().map(|choice| choice.typed).collect();
    let there = if names.is_empty() { String::new() } else { format!(" (there are: {})", names.join(", ")) };
    let text = format!("no profile has a host {typed}{there}: it is taken for the gateway's own name");
    let more = broken.iter().map(|error| format!("a profile that may have {typed} cannot be used: {error}"));
    std::iter::once(text).chain(more).collect()
}

/// The gateway that `host` means, in this profile or in those of the usual folders.
pub(super) fn named(host: &str, profile: Option<&Path>) -> Result<Chosen, TargetError> {
    let Some(file) = profile else {
        let profiles = found(&paths::profile_folders())?;
        let broken = told(&profiles, &mut Vec::new());
        return choose(&profiles.gateways(), Some(host), &broken);
    };
    let (profile, _) = profiles::read(file)?;
    choose(&Gateways::new([(file, &profile)]), Some(host), &[])
}

/// The profiles of these folders.
///
/// # Errors
/// Not one of them can be used.
fn found(folders: &[PathBuf]) -> Result<Profiles, TargetError> {
    let mut profiles = profiles::in_folders(folders);
    if profiles.found.iter().any(|found| found.content.is_ok()) {
        return Ok(profiles);
    }
    let first = profiles.found.drain(..).find_map(|found| found.content.err());
    match first {
        Some(error) => Err(error.into()),
        None => Err(TargetError::NoProfile {
            own: paths::own_profiles().unwrap_or_default(),
            others: paths::VENDOR_PROFILES.join(" and "),
            unlisted: unlisted(&profiles).collect(),
        }),
    }
}

/// What is wrong with folders.
fn unlisted(profiles: &Profiles) -> impl Iterator<Item = String> {
    profiles.unlisted.iter().map(|(folder, error)| format!("cannot list {}: {error}", folder.display()))
}

/// What is wrong with profiles and folders goes to the notes; the profiles' errors come back.
fn told(profiles: &Profiles, notes: &mut Vec<String>) -> Vec<String> {
    notes.extend(unlisted(profiles));
    let broken: Vec<String> = profiles.errors().map(ToString::to_string).collect();
    notes.extend(broken.iter().cloned());
    broken
}

/// The host that is meant: by name, by address, by hand where a profile allows that, or the only one. `broken`: what is wrong
/// with profiles that are not among these.
fn choose(gateways: &Gateways<'_>, wanted: Option<&str>, broken: &[String]) -> Result<Chosen, TargetError> {
    let choices = gateways.choices();
    let names = || choices.iter().map(|choice| choice.typed.to_owned()).collect::<Vec<_>>();
    let Some(wanted) = wanted.map(str::trim) else {
        return match (choices.as_slice(), gateways.entries().first()) {
            ([only], _) => Ok(Chosen::new(only.entry, only.typed)),
            // Told with the reason why it is not usable.
            ([], Some(first)) => Ok(Chosen::new(*first, &first.host.name)),
            ([], None) => Err(match gateways.files().first() {
                Some((file, _)) => TargetError::NoHost { file: file.to_path_buf() },
                None => TargetError::WhichHost { names: Vec::new() },
            }),
            _ => Err(TargetError::WhichHost { names: names() }),
        };
    };
    match gateways.called(wanted) {
        [only] => return Ok(Chosen::new(*only, &only.host.name)),
        [] => {}
        several => return Err(ambiguous(wanted, several)),
    }
    if let Some(entry) = gateways.at(wanted) {
        // Its name would not name it again, where others have it too.
        let alone = gateways.called(&entry.host.name).len() == 1;
        return Ok(Chosen::new(entry, if alone { &entry.host.name } else { &entry.host.address }));
    }
    let manual = gateways.files().iter().find(|(_, profile)| profile.client.allow_manual_host_input.value);
    // A name with a blank in it is meant to be a HostName.
    match manual.filter(|_| !wanted.contains(char::is_whitespace)) {
        Some((file, profile)) => {
            let host = HostEntry::manual(wanted, &profile.client);
            Ok(Chosen::new(Entry { file, profile, host: &host }, wanted))
        }
        None => {
            Err(TargetError::UnknownHost { host: wanted.to_owned(), names: names(), broken: broken.to_vec() })
        }
    }
}

/// Lists the gateways of one name, and says how to choose.
fn ambiguous(wanted: &str, several: &[Entry<'_>]) -> TargetError {
    let there =
        several.iter().map(|entry| format!("{} in {}", entry.host.address, entry.file.display())).collect();
    let file_is_enough =
        several.iter().all(|entry| several.iter().filter(|other| other.file == entry.file).count() == 1);
    let by_address =
        several.first().map(|entry| format!("by its address, as in `ikeep connect {}`", entry.host.address));
    let by_file = file_is_enough.then(|| "by its profile, with --profile FILE".to_owned());
    let ways: Vec<String> = by_address.into_iter().chain(by_file).collect();
    let choose = format!("choose one {}", ways.join(", or "));
    TargetError::Ambiguous { host: wanted.to_owned(), there, choose }
}
