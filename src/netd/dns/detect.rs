//! Who answers names on this machine, looked at anew each time.

use super::journal::Journal;
use super::{DnsError, Places, file};
use crate::config::files::read_at_most;
use crate::sense::bus::{Bus, Service};
use crate::sense::outside::{NETWORK_MANAGER, RESOLVED};
use crate::sense::resolv_conf::{names_only_the_stub, parse};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Largest nsswitch.conf that is read, octets.
const MAX_NSSWITCH: usize = 64 << 10;

/// Who is told of the tunnel.
#[derive(Debug)]
pub(super) enum Backend {
    Resolved {
        service: Service,
        /// Some programs ask the servers in resolv.conf themselves, those of all links: why.
        beside: Option<String>,
    },
    NetworkManager(Service),
    /// The file is written.
    File {
        /// Whose file it is, in a word.
        word: &'static str,
        notes: Vec<String>,
    },
}

/// What the file says, without our settings, and where its name leads to.
struct Look {
    octets: Vec<u8>,
    leads_to: PathBuf,
}

impl Look {
    fn leads_into(&self, folder: &Path) -> bool {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
        self.leads_to.starts_with(folder)
    }

    /// Its comments say so.
    fn is_made_by(&self, program: &str) -> bool {
        let words = format!("enerated by {program}");
        let comments = self.octets.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"#"));
        comments.take(8).any(|line| String::from_utf8_lossy(line).contains(&words))
    }
}

/// # Errors
/// The file cannot be read.
pub(super) async fn detect(places: &Places, journal: &Journal) -> Result<Backend, DnsError> {
    let look =
        Look { octets: file::as_it_was(places, journal.file.as_ref())?, leads_to: target(&places.etc) };
    let bus = Bus::connect(places.bus.as_deref()).await;
    let owner = async |name| match &bus {
        Ok(bus) => bus.service(name).await.unwrap_or_default(),
        Err(_) => None,
    };
    let stub = names_only_the_stub(&parse(&look.octets));
    let resolved = stub || look.leads_into(&places.resolved);
    let by_library = asks_resolved(&places.nsswitch);
    let mut notes = Vec::new();
    if resolved || by_library {
        if let Some(service) = owner(RESOLVED).await {
            let beside = (!stub).then(|| {
                format!("programs that read {} themselves ask other servers, too", places.etc.display())
            });
            return Ok(Backend::Resolved { service, beside });
        }
        if resolved {
            notes.push(format!("systemd-resolved, which {} leads to, does not answer", places.etc.display()));
        }
    }
    if look.leads_into(&places.network_manager) || look.is_made_by("NetworkManager") {
        match owner(NETWORK_MANAGER).await {
            Some(service) => return Ok(Backend::NetworkManager(service)),
            None => {
                notes.push(format!("NetworkManager, which made {}, does not answer", places.etc.display()))
            }
        }
    }
    // resolvconf and openresolv have no interface but their program, which nothing is handed to here: what they make is
    // written over, and written over again when they have made it anew.
    let resolvconf = look.leads_into(&places.resolvconf) || look.is_made_by("resolvconf");
    if resolvconf {
        notes.push(format!("{} is made by resolvconf and written over", places.etc.display()));
    }
    Ok(Backend::File { word: if resolvconf { "resolvconf" } else { "/etc/resolv.conf" }, notes })
}

/// Whether the C library asks systemd-resolved (nss-resolve) before the servers of resolv.conf.
fn asks_resolved(nsswitch: &Path) -> bool {
    let octets = read_at_most(nsswitch, MAX_NSSWITCH).unwrap_or_default();
    let text = String::from_utf8_lossy(&octets);
    let hosts = text.lines().filter_map(|line| line.trim_start().strip_prefix("hosts:")).next_back();
    hosts.is_some_and(|hosts| {
        hosts.split_whitespace().find(|word| matches!(*word, "resolve" | "dns")) == Some("resolve")
    })
}

/// Where a name leads to, be it a place where nothing is.
fn target(path: &Path) -> PathBuf {
    if let Ok(target) = fs::canonicalize(path) {
        return target;
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut target = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let link = fs::read_link(path).unwrap_or_else(|_| path.file_name().unwrap_or_default().into());
    for part in link.components() {
        match part {
            Component::ParentDir => {
                target.pop();
            }
            other => target.push(other),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nss_resolve_counts_where_it_is_asked_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nsswitch.conf");
        for (text, asked) in [
            ("passwd: files\nhosts: files resolve [!UNAVAIL=return] dns\n", true),
            ("hosts:\tmymachines resolve\n", true),
            ("hosts: files dns resolve\n", false),
            ("#hosts: resolve\nhosts: files dns\n", false),
            ("", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(asks_resolved(&file), asked, "{text}");
        }
        assert!(!asks_resolved(&folder.path().join("none")));
    }

    #[test]
    fn a_link_leads_somewhere_although_nothing_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        let etc = folder.path().join("etc/resolv.conf");
        assert_eq!(target(&etc), real.join("etc/resolv.conf"));
        std::os::unix::fs::symlink("../run/systemd/resolve/stub-resolv.conf", &etc).unwrap();
        assert_eq!(target(&etc), real.join("run/systemd/resolve/stub-resolv.conf"));
    }
}
