//! What this machine runs: versions, and who answers its DNS questions.

use crate::config::files::read_at_most;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Most that is read of a system file, octets.
const LIMIT: usize = 64 << 10;

/// Facts for people who are asked for help.
pub(super) fn facts() -> Value {
    let kernel = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let release = read_at_most(Path::new("/etc/os-release"), LIMIT).unwrap_or_default();
    let release = String::from_utf8_lossy(&release);
    json!({
        "ikeep": env!("CARGO_PKG_VERSION"),
        "kernel": { "release": text(kernel.release()), "version": text(kernel.version()), "machine": text(kernel.machine()) },
        "os": { "name": os_release(&release, "PRETTY_NAME"), "id": os_release(&release, "ID"),
                "version": os_release(&release, "VERSION_ID") },
        "resolver": resolver(fs::read_link(RESOLV_CONF).ok().as_deref(), Path::new(RESOLV_CONF).exists()),
    })
}

/// The value of a line `NAME=VALUE` or `NAME="VALUE"` (os-release(5)).
fn os_release(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// Who writes resolv.conf, by where it leads to.
fn resolver(link: Option<&Path>, there: bool) -> String {
    let Some(link) = link.map(|link| link.to_string_lossy()) else {
        return if there { "a plain file" } else { "none" }.to_owned();
    };
    let known = [
        ("systemd/resolve/stub-resolv.conf", "systemd-resolved, its stub"),
        ("systemd/resolve/resolv.conf", "systemd-resolved, its servers"),
        ("NetworkManager", "NetworkManager"),
        ("resolvconf", "resolvconf"),
    ];
    let name = known.iter().find(|(part, _)| link.contains(part)).map(|(_, name)| *name);
    let name = name.map_or_else(|| format!("a link to {link}"), ToOwned::to_owned);
    if there { name } else { format!("{name}, which is not there") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_they_are_written() {
        let text =
            "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian 12'\nX_ID=no\n";
        assert_eq!(os_release(text, "ID").as_deref(), Some("debian"));
        assert_eq!(os_release(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(os_release(text, "PRETTY_NAME").as_deref(), Some("Debian 12"));
        assert_eq!(os_release(text, "VERSION"), None);
        assert!(facts()["kernel"]["release"].as_str().is_some_and(|release| !release.is_empty()));
    }

    #[test]
    fn the_resolver_is_told_by_its_link() {
        let link = |path: &str, there| resolver(Some(Path::new(path)), there);
        assert_eq!(link("../run/systemd/resolve/stub-resolv.conf", true), "systemd-resolved, its stub");
        assert_eq!(
            link("/run/systemd/resolve/resolv.conf", false),
            "systemd-resolved, its servers, which is not there"
        );
        assert_eq!(link("/run/NetworkManager/resolv.conf", true), "NetworkManager");
        assert_eq!(link("/mnt/wsl/resolv.conf", true), "a link to /mnt/wsl/resolv.conf");
        assert_eq!((resolver(None, true), resolver(None, false)), ("a plain file".into(), "none".into()));
    }
}
