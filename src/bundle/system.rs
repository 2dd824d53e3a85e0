//! What this machine runs: versions, and who answers its DNS questions.

use super::anonymize::Known;
use crate::config::files::read_at_most;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

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
        "resolv_conf_says": first_comment(&file(RESOLV_CONF)),
        "hosts_are_looked_up_by": words_after(&file("/etc/nsswitch.conf"), "hosts:"),
        "running": running(),
        "settings": settings(),
        "modules": modules(&file("/proc/modules")),
        "command_line_of_kernel": file("/proc/cmdline").trim(),
        "memory": first_lines(&file("/proc/meminfo"), 3),
        "up_seconds": file("/proc/uptime").split(' ').next().and_then(|text| text.parse::<f64>().ok()),
        "core_dumps": core_dumps(Path::new("/var/lib/systemd/coredump")),
    })
}

/// What this user and this machine are called.
pub(super) fn known() -> Known {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = file("/etc/passwd");
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid));
    let fields: Vec<&str> = line.map(|line| line.split(':').collect()).unwrap_or_default();
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let real_name = fields.get(4).and_then(|real| real.split(',').next());
    let mut users: Vec<String> =
        fields.first().into_iter().copied().chain(real_name).map(str::to_owned).collect();
    users.extend(fields.get(5).map(|home| last(home)));
    users.extend(std::env::var("HOME").ok().map(|home| last(&home)));
    users.extend(["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = host.split('.').next().unwrap_or_default().to_owned();
    Known { users, hosts: vec![host, short] }
}

/// The files that say how names are looked up, those that are there.
pub(super) fn dns_files() -> Vec<PathBuf> {
    let known = [
        RESOLV_CONF,
        "/etc/nsswitch.conf",
        "/run/systemd/resolve/resolv.conf",
        "/run/systemd/resolve/stub-resolv.conf",
        "/run/NetworkManager/resolv.conf",
    ];
    known.into_iter().map(PathBuf::from).filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// The text of a system file; empty where it cannot be read.
fn file(path: &str) -> String {
    String::from_utf8_lossy(&read_at_most(Path::new(path), LIMIT).unwrap_or_default()).into_owned()
}

fn first_lines(text: &str, count: usize) -> Vec<&str> {
    text.lines().take(count).collect()
}

/// Who wrote resolv.conf, as it says itself.
fn first_comment(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix(['#', ';']).map(str::trim)
}

fn words_after<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    Some(text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().collect())
}

/// Which services of those that the tunnel has to do with are there, and in what the machine lives.
fn running() -> Value {
    let there = |path: &str| Path::new(path).symlink_metadata().is_ok();
    json!({
        "systemd": there("/run/systemd/system"),
        "systemd_resolved": there("/run/systemd/resolve"),
        "systemd_networkd": there("/run/systemd/netif"),
        "network_manager": there("/run/NetworkManager"),
        "container": there("/run/systemd/container") || there("/.dockerenv") || there("/run/.containerenv"),
        "tun_device": there("/dev/net/tun"),
    })
}

/// What the kernel was told about packets.
fn settings() -> Value {
    let known = [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/rp_filter",
        "net/ipv4/conf/default/rp_filter",
        "net/ipv4/conf/all/src_valid_mark",
        "net/ipv6/conf/all/disable_ipv6",
        "net/ipv6/conf/default/disable_ipv6",
        "net/core/rmem_max",
        "net/core/wmem_max",
    ];
    let value = |name: &str| {
        let text = file(&format!("/proc/sys/{name}"));
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    known.into_iter().map(|name| (name.replace('/', "."), json!(value(name)))).collect()
}

/// Loaded modules that packets may meet.
fn modules(text: &str) -> Vec<&str> {
    let known = ["tun", "nf_", "nft_", "xfrm", "esp", "ip_tables", "ip6_tables", "wireguard", "udp_tunnel"];
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| known.iter().any(|begin| name.starts_with(begin))).collect()
}

/// Names of the core dumps that systemd keeps of us. They hold memory, so none is opened.
fn core_dumps(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("core.ikeep")).collect();
    names.sort();
    names
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
    fn what_files_say_is_found() {
        assert_eq!(
            first_comment("# Generated by NetworkManager\nnameserver ::1\n"),
            Some("Generated by NetworkManager")
        );
        assert_eq!(first_comment("nameserver ::1\n# x\n"), None);
        assert_eq!(words_after("passwd: files\nhosts:  files dns\n", "hosts:"), Some(vec!["files", "dns"]));
        assert_eq!(modules("tun 1 0 - Live\nnfs 1\nnf_tables 2 0\n"), ["tun", "nf_tables"]);
        let folder = tempfile::tempdir().unwrap();
        for name in ["core.ikeep.1000.x.zst", "core.other.1.zst"] {
            fs::write(folder.path().join(name), "memory").unwrap();
        }
        assert_eq!(core_dumps(folder.path()), ["core.ikeep.1000.x.zst"]);
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
