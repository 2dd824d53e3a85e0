//! Whether a profile still says what the login was made with. A connection and its reconnects keep to what it said then; this
//! is how the person learns that the file says something else by now.

use crate::config::profiles::{self, FileError};
use crate::profile::Profile;
use crate::profile::schema::Support;
use crate::sense::FileWatch;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;

/// After word of a change: whoever writes a file may make it first and fill it then, or remove it before.
const SETTLE: Duration = Duration::from_millis(500);
/// A file that cannot be watched (its folder has gone, or no watch is left) is looked at so often.
const AGAIN: Duration = Duration::from_secs(60);
/// Settings that are named one by one.
const NAMED: usize = 5;
/// Where a host's own settings begin.
const HOSTS: &str = "ServerList/HostEntry[";

/// What of a profile counts for one host: the settings that this client honours, defaults included, wherever they stand in
/// the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meaning(BTreeMap<String, Vec<String>>);

impl Meaning {
    /// For the host of this HostName; for one that is in no profile, what holds for every host.
    pub fn of(profile: &Profile, host: &str) -> Self {
        let own = format!("{HOSTS}{host}]/");
        let counts = |path: &str| !path.starts_with(HOSTS) || path.starts_with(&own);
        let mut settings = BTreeMap::<String, Vec<String>>::new();
        for setting in profile.settings() {
            if matches!(setting.support, Support::Honoured { .. }) && counts(&setting.path) {
                let value = format!("{} {:?}", setting.value, setting.user_controllable);
                settings.entry(setting.path.clone()).or_default().push(value);
            }
        }
        Self(settings)
    }

    fn has_host(&self) -> bool {
        self.0.keys().any(|path| path.starts_with(HOSTS))
    }

    /// How this is another one than at the login.
    pub fn since(&self, login: &Self) -> Standing {
        if login.has_host() && !self.has_host() {
            return Standing::Changed("it does not name this host any more".to_owned());
        }
        let paths: BTreeSet<&String> = self.0.keys().chain(login.0.keys()).collect();
        let others = paths.into_iter().filter(|path| self.0.get(*path) != login.0.get(*path));
        let mut names: Vec<&str> = Vec::new();
        for name in others.filter_map(|path| path.rsplit('/').next()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        match (names.is_empty(), more) {
            (true, _) => Standing::AsAtLogin,
            (false, 0) => Standing::Changed(names.join(", ")),
            (false, more) => Standing::Changed(format!("{} and {more} more", names.join(", "))),
        }
    }
}

/// How a profile's file stands to the connection that was made with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It says the same.
    AsAtLogin,
    /// What it says otherwise.
    Changed(String),
    /// It is not there any more.
    Gone,
    /// It is no sound profile any more, and why.
    Unusable(String),
}

impl Standing {
    /// Its name in the status; `None`: as at the login.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::AsAtLogin => None,
            Self::Changed(_) => Some("changed"),
            Self::Gone => Some("gone"),
            Self::Unusable(_) => Some("unusable"),
        }
    }

    /// For people: what is the matter with `file`, and what follows from it; `None`: nothing is.
    pub fn text(&self, file: &Path) -> Option<String> {
        let file = file.display();
        let goes_on = "this connection and its reconnects go on with what it said at the login";
        match self {
            Self::AsAtLogin => None,
            Self::Changed(what) => Some(format!(
                "the profile {file} has changed since the login ({what}): {goes_on}; what it says now counts from the next \
                 login on: `ikeep disconnect`, then `ikeep connect`"
            )),
            Self::Gone => Some(format!(
                "the profile {file} is not there any more: {goes_on}; put it back, or import another one before the next login: \
                 `ikeep profile import FILE`"
            )),
            Self::Unusable(why) => Some(format!(
                "the profile cannot be used any more ({why}): {goes_on}, but the next login needs a sound one"
            )),
        }
    }
}

impl From<FileError> for Standing {
    fn from(error: FileError) -> Self {
        if error.is_missing() { Self::Gone } else { Self::Unusable(error.to_string()) }
    }
}

/// Looks at the file now and after each change, and says how it stands. Never returns; made to be dropped.
pub(super) async fn follow(file: PathBuf, host: String, login: Meaning, said: watch::Sender<Standing>) {
    loop {
        let (place, name, login) = (file.clone(), host.clone(), login.clone());
        // On a thread of its own: a drive that does not answer holds up nobody's packets.
        let looked = tokio::task::spawn_blocking(move || {
            // A new watch each time, and before the look: no change is missed, and a link may lead elsewhere by now.
            let watch = FileWatch::new(&[&place]);
            (watch, look(&place, &name, &login))
        });
        let (watch, standing) = match looked.await {
            Ok((watch, standing)) => (watch.ok(), standing),
            Err(error) => return tracing::error!(%error, "the profile is not watched any more"),
        };
        said.send_if_modified(|last| {
            let news = *last != standing;
            *last = standing;
            news
        });
        match watch {
            Some(watch) => watch.changed().await,
            None => tokio::time::sleep(AGAIN).await,
        }
        tokio::time::sleep(SETTLE).await;
    }
}

/// How the file stands now.
fn look(file: &Path, host: &str, login: &Meaning) -> Standing {
    // A pipe would be waited for.
    let kind = match fs::metadata(file) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(io::Error::other("it is not a file")),
        Err(error) => Err(error),
    };
    let read = kind.map_err(|why| FileError::Read { file: file.to_owned(), why });
    match read.and_then(|()| profiles::read(file)) {
        Ok((profile, _)) => Meaning::of(&profile, host).since(login),
        Err(error) => error.into(),
    }
}

#[cfg(test)]
mod tests;
