//! Where files of this user and of other clients stand.

use directories::ProjectDirs;
use std::path::PathBuf;

/// Where other clients keep their profiles on Linux (PROTOCOL section 6).
pub const VENDOR_PROFILES: [&str; 2] =
    ["/opt/cisco/secureclient/vpn/profile", "/opt/cisco/anyconnect/profile"];

/// `$XDG_CONFIG_HOME/ikeep`; `None` for a user without a home.
pub fn config_folder() -> Option<PathBuf> {
    project().map(|project| project.config_dir().to_owned())
}

/// `$XDG_CONFIG_HOME/ikeep/config.toml`.
pub fn config_file() -> Option<PathBuf> {
    config_folder().map(|folder| folder.join("config.toml"))
}

/// `$XDG_STATE_HOME/ikeep`: state and logs.
pub fn state_folder() -> Option<PathBuf> {
    project().and_then(|project| project.state_dir().map(ToOwned::to_owned))
}

/// `$XDG_CONFIG_HOME/ikeep/profiles`: the user's own.
pub fn own_profiles() -> Option<PathBuf> {
    config_folder().map(|folder| folder.join("profiles"))
}

/// The folders that `ikeep profile list` looks into: the user's, then the vendor's.
pub fn profile_folders() -> Vec<PathBuf> {
    own_profiles().into_iter().chain(VENDOR_PROFILES.map(PathBuf::from)).collect()
}

fn project() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "ikeep")
}
