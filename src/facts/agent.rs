//! What the agent needs of this machine and this user's session.

use super::{Finding, Health};
use crate::config::profiles::{self, Found};
use crate::config::{ConfigError, paths};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;

/// A bus that takes longer is none.
const BUS: Duration = Duration::from_secs(2);
const INOTIFY: &str = "/proc/sys/fs/inotify";
/// Less than this, and other programs of a desktop have used them up.
const INSTANCES: u64 = 64;
const WATCHES: u64 = 4096;

/// Whether the config file could be read: `named`, or else the usual one.
pub(super) fn config(named: Option<&Path>, error: Option<&ConfigError>) -> Finding {
    const WHAT: &str = "config file";
    let usual = || paths::config_file().unwrap_or_else(|| PathBuf::from("config.toml"));
    let file = named.map_or_else(usual, Path::to_owned);
    match error {
        None if file.exists() => Finding::fine(WHAT, file.display().to_string()),
        None => Finding::fine(WHAT, format!("none at {}, and none is needed", file.display())),
        // It may be in a file that the config file names.
        Some(error) => Finding::wrong(
            WHAT,
            Health::Missing,
            error.to_string(),
            format!("\"${{EDITOR:-nano}}\" '{}'", error.file.display()),
        ),
    }
}

/// Looks at profiles, folders, the desktop's services and the kernel's limits. Takes 2 s at most.
pub(super) async fn agent() -> Vec<Finding> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let (secrets, logind) =
        tokio::join!(on_bus("org.freedesktop.secrets", false), on_bus("org.freedesktop.login1", true));
    vec![
        profiles(&paths::profile_folders()),
        runtime_folder(runtime.as_deref(), rustix::process::geteuid().as_raw()),
        secret_service(secrets),
        sleep(logind),
        watches(Path::new(INOTIFY)),
    ]
}

fn profiles(folders: &[PathBuf]) -> Finding {
    const WHAT: &str = "profiles";
    let all = profiles::in_folders(folders);
    let (sound, damaged): (Vec<Found>, Vec<Found>) =
        all.found.into_iter().partition(|found| found.content.is_ok());
    if let Some((first, _)) = all.unlisted.first() {
        let folders: Vec<String> =
            all.unlisted.iter().map(|(folder, error)| format!("{}: {error}", folder.display())).collect();
        let found = format!("{} sound; cannot be listed: {}", sound.len(), folders.join(", "));
        return Finding::wrong(WHAT, Health::Lacking, found, format!("ls -ld '{}'", first.display()));
    }
    if let Some(first) = damaged.first() {
        let names: Vec<String> = damaged.iter().map(|found| found.file.display().to_string()).collect();
        let found = format!("{} sound; cannot be read: {}", sound.len(), names.join(", "));
        return Finding::wrong(
            WHAT,
            Health::Lacking,
            found,
            format!("ikeep profile check '{}'", first.file.display()),
        );
    }
    if sound.is_empty() {
        let mend = "ikeep profile import YOUR-COMPANYS-PROFILE.xml; or connect with --profile FILE";
        return Finding::wrong(WHAT, Health::Lacking, "none is found", mend);
    }
    Finding::fine(
        WHAT,
        sound.iter().map(|found| found.file.display().to_string()).collect::<Vec<_>>().join(", "),
    )
}

/// `user`: who must own it.
fn runtime_folder(folder: Option<&Path>, user: u32) -> Finding {
    const WHAT: &str = "runtime folder";
    let mend =
        "log in through the desktop or `machinectl shell`, or: export XDG_RUNTIME_DIR=/run/user/$(id -u)";
    let Some(folder) = folder else {
        let found = "XDG_RUNTIME_DIR is not set; the socket is in the state folder";
        return Finding::wrong(WHAT, Health::Lacking, found, mend);
    };
    match fs::metadata(folder) {
        Err(error) => Finding::wrong(WHAT, Health::Missing, format!("{}: {error}", folder.display()), mend),
        Ok(found) if !found.is_dir() => {
            Finding::wrong(WHAT, Health::Missing, format!("{} is no folder", folder.display()), mend)
        }
        Ok(found) if found.uid() != user => Finding::wrong(
            WHAT,
            Health::Missing,
            format!("{} belongs to user {}", folder.display(), found.uid()),
            mend,
        ),
        Ok(found) if found.mode() & 0o077 != 0 => {
            let mend = format!("chmod 700 '{}'", folder.display());
            let text = format!("others may look into {}", folder.display());
            Finding::wrong(WHAT, Health::Lacking, text, mend)
        }
        Ok(_) => Finding::fine(WHAT, folder.display().to_string()),
    }
}

/// True where somebody has this name on the bus, or would be started for it.
async fn on_bus(name: &'static str, system: bool) -> Result<bool, String> {
    let asked = async {
        let bus = if system { zbus::Connection::system().await } else { zbus::Connection::session().await }?;
        let proxy = DBusProxy::new(&bus).await?;
        if proxy.name_has_owner(BusName::try_from(name)?).await? {
            return Ok(true);
        }
        let startable = proxy.list_activatable_names().await?;
        Ok::<bool, zbus::Error>(startable.iter().any(|other| other.as_str() == name))
    };
    match timeout(BUS, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the bus has not answered for {} s", BUS.as_secs())),
    }
}

fn secret_service(there: Result<bool, String>) -> Finding {
    const WHAT: &str = "secret service";
    let mend = "sudo apt install gnome-keyring (or your desktop's own), then log in again";
    match there {
        Ok(true) => Finding::fine(WHAT, "on the session bus"),
        Ok(false) => {
            let found = "nobody offers one; the session is kept in a sealed file instead";
            Finding::wrong(WHAT, Health::Lacking, found, mend)
        }
        Err(error) => {
            let found = format!("no session bus ({error}); the session is kept in a sealed file instead");
            Finding::wrong(WHAT, Health::Lacking, found, mend)
        }
    }
}

fn sleep(there: Result<bool, String>) -> Finding {
    const WHAT: &str = "sleep (logind)";
    let mend = "sudo systemctl start systemd-logind dbus";
    match there {
        Ok(true) => Finding::fine(WHAT, "logind is on the system bus"),
        Ok(false) => {
            let found = "no logind: the agent hears of sleep only when the machine has woken up";
            Finding::wrong(WHAT, Health::Lacking, found, mend)
        }
        Err(error) => {
            let found = format!(
                "no system bus ({error}): the agent hears of sleep only when the machine has woken up"
            );
            Finding::wrong(WHAT, Health::Lacking, found, mend)
        }
    }
}

fn watches(folder: &Path) -> Finding {
    const WHAT: &str = "file watches (inotify)";
    let limit =
        |name: &str| -> Option<u64> { fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok() };
    let (Some(instances), Some(watches)) = (limit("max_user_instances"), limit("max_user_watches")) else {
        return Finding::unknown(WHAT, format!("{} cannot be read", folder.display()));
    };
    let found = format!("{instances} instances, {watches} watches a user");
    if instances < INSTANCES || watches < WATCHES {
        let mend = "sudo sysctl fs.inotify.max_user_instances=128 fs.inotify.max_user_watches=65536";
        return Finding::wrong(WHAT, Health::Lacking, found, mend);
    }
    Finding::fine(WHAT, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_runtime_folder_is_this_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        let me = fs::metadata(folder.path()).unwrap().uid();
        let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o700);
        assert_eq!(runtime_folder(Some(folder.path()), me).health, Health::Fine);
        assert_eq!(runtime_folder(Some(folder.path()), me + 1).health, Health::Missing);
        set(0o755);
        assert!(
            runtime_folder(Some(folder.path()), me).mend.is_some_and(|mend| mend.starts_with("chmod 700"))
        );
        assert_eq!(runtime_folder(Some(&folder.path().join("none")), me).health, Health::Missing);
        assert_eq!(runtime_folder(None, me).health, Health::Lacking);
    }

    #[test]
    fn the_config_file_that_was_named_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("lab.toml");
        assert!(config(Some(&named), None).found.contains("lab.toml, and none is needed"));
        fs::write(&named, "[agent]\ntunel = \"tun\"\n").unwrap();
        assert_eq!(config(Some(&named), None).found, named.display().to_string());
        let error = crate::config::Config::load(Some(&named)).unwrap_err();
        let finding = config(Some(&named), Some(&error));
        assert!(
            finding.mend.is_some_and(|mend| mend.contains("lab.toml'"))
                && finding.found.contains("lab.toml:2:")
        );
        assert!(config(None, None).found.contains("config.toml"));
    }

    #[test]
    fn profiles_are_found_missed_and_told_where_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        assert!(profiles(&folders).mend.is_some_and(|mend| mend.contains("import YOUR")));
        fs::write(folder.path().join("a.xml"), include_bytes!("../../profiles/flexvpn-c8kv.xml")).unwrap();
        assert_eq!(profiles(&folders).health, Health::Fine);
        fs::write(folder.path().join("b.xml"), "<AnyConnectProfile>").unwrap();
        let damaged = profiles(&folders);
        assert!(damaged.found.starts_with("1 sound; ") && damaged.found.contains("b.xml"), "{damaged:?}");
        // A file in the place of a folder, for root too.
        let unlisted = profiles(&[folder.path().to_owned(), folder.path().join("a.xml")]);
        assert!(unlisted.found.contains("1 sound; cannot be listed: "), "{unlisted:?}");
    }

    #[test]
    fn small_limits_are_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(watches(folder.path()).health, Health::Unknown);
        fs::write(folder.path().join("max_user_instances"), "128\n").unwrap();
        fs::write(folder.path().join("max_user_watches"), "8\n").unwrap();
        assert!(watches(folder.path()).mend.is_some_and(|mend| mend.contains("max_user_watches=65536")));
        fs::write(folder.path().join("max_user_watches"), "65536\n").unwrap();
        assert_eq!(watches(folder.path()).health, Health::Fine);
    }

    #[test]
    fn a_missing_service_is_no_hindrance() {
        for there in [Ok(false), Err("no such file".to_owned())] {
            for finding in [secret_service(there.clone()), sleep(there)] {
                assert!(finding.health == Health::Lacking && finding.mend.is_some());
            }
        }
    }
}
