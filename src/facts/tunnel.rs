//! What a tunnel device needs of this machine.

use super::privilege::{helper_program, may_change_network};
use super::{Finding, Health};
use crate::ipc::helper::{Helper, HelperError, RefusalKind, SOCKET};
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// Where the files of one machine are: the real ones, or a test's.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// Looks at everything. `helper`: the socket that the config file names, if it does.
pub(super) async fn tunnel(helper: Option<&Path>) -> Vec<Finding> {
    let files = Files { root: PathBuf::from("/") };
    let socket = helper.unwrap_or(Path::new(SOCKET));
    let answered = Helper::connect(socket).await.map(|helper| helper.version().to_owned());
    vec![
        device(&files),
        helper_of(answered, socket, helper.is_none() && may_change_network() && helper_program().is_some()),
        ipv6(&files),
        resolver(&files),
    ]
}

fn device(files: &Files) -> Finding {
    const WHAT: &str = "TUN devices";
    match fs::metadata(files.at("/dev/net/tun")) {
        Ok(found) if found.file_type().is_char_device() => Finding::fine(WHAT, "/dev/net/tun"),
        Ok(_) => Finding::wrong(
            WHAT,
            Health::Missing,
            "/dev/net/tun is not a device",
            "sudo rm /dev/net/tun && sudo modprobe tun",
        ),
        Err(error) => {
            Finding::wrong(WHAT, Health::Missing, format!("/dev/net/tun: {error}"), "sudo modprobe tun")
        }
    }
}

fn helper_of(answered: Result<String, HelperError>, socket: &Path, own: bool) -> Finding {
    const WHAT: &str = "the helper that changes the network";
    let error = match answered {
        Ok(version) => {
            let found = format!("ikeep-netd {version} at {}, and this user may use it", socket.display());
            return Finding::fine(WHAT, found);
        }
        Err(error) => error,
    };
    if own && matches!(error, HelperError::Absent { .. }) {
        return Finding::fine(WHAT, "none runs; this user has CAP_NET_ADMIN, so the agent starts its own");
    }
    let mend = match error.refusal() {
        Some(RefusalKind::NotAllowed) => "sudo usermod --append --groups ikeep \"$USER\", and log in again",
        Some(RefusalKind::Version) => "sudo systemctl restart ikeep-netd.service",
        Some(_) => "journalctl -u ikeep-netd",
        None if matches!(error, HelperError::Absent { .. }) && helper_program().is_none() => {
            "install ikeep-netd (it comes with the packages), or use --tunnel proxy"
        }
        None if matches!(error, HelperError::Absent { .. }) => {
            "sudo systemctl enable --now ikeep-netd.socket; without it --tunnel proxy works"
        }
        None => "sudo systemctl restart ikeep-netd.socket",
    };
    Finding::wrong(WHAT, Health::Missing, error.to_string(), mend)
}

fn ipv6(files: &Files) -> Finding {
    const WHAT: &str = "IPv6";
    let off = |path| fs::read_to_string(files.at(path)).is_ok_and(|text| text.trim() == "1");
    if !files.at("/proc/sys/net/ipv6").exists() {
        let mend = "boot without ipv6.disable=1; with IPv4 alone all else works";
        return Finding::wrong(WHAT, Health::Lacking, "the kernel has none", mend);
    }
    if off("/proc/sys/net/ipv6/conf/default/disable_ipv6") {
        let mend = "sudo sysctl net.ipv6.conf.default.disable_ipv6=0; with IPv4 alone all else works";
        return Finding::wrong(WHAT, Health::Lacking, "switched off for new devices", mend);
    }
    Finding::fine(WHAT, "on")
}

fn resolver(files: &Files) -> Finding {
    const WHAT: &str = "the resolver's file";
    let path = files.at("/etc/resolv.conf");
    let leads = fs::read_link(&path).ok();
    match (fs::read_to_string(&path), leads) {
        (Ok(_), Some(target)) => {
            Finding::fine(WHAT, format!("/etc/resolv.conf leads to {}", target.display()))
        }
        (Ok(_), None) => Finding::fine(WHAT, "/etc/resolv.conf is a plain file"),
        (Err(error), Some(target)) => Finding::wrong(
            WHAT,
            Health::Lacking,
            format!("/etc/resolv.conf leads to {}: {error}", target.display()),
            "start the service that writes it (systemd-resolved or NetworkManager), or make it a plain file",
        ),
        (Err(error), None) => {
            let mend = "make the file, with a line `nameserver ADDRESS`";
            Finding::wrong(WHAT, Health::Lacking, format!("/etc/resolv.conf: {error}"), mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::helper::Refusal;

    fn machine(make: impl FnOnce(&Path)) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        let files = Files { root: folder.path().to_owned() };
        (folder, files)
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_machine_without_anything_is_told_what_mends_it() {
        let (_folder, files) = machine(|_| {});
        for finding in [device(&files), ipv6(&files), resolver(&files)] {
            assert_ne!(finding.health, Health::Fine, "{finding:?}");
            assert!(finding.mend.is_some_and(|mend| !mend.is_empty()));
        }
    }

    #[test]
    fn what_is_there_is_fine() {
        let (_folder, files) = machine(|root| {
            write(root, "proc/sys/net/ipv6/conf/default/disable_ipv6", "0\n");
            write(root, "run/stub-resolv.conf", "nameserver 127.0.0.53\n");
            fs::create_dir_all(root.join("etc")).unwrap();
            std::os::unix::fs::symlink("../run/stub-resolv.conf", root.join("etc/resolv.conf")).unwrap();
        });
        assert_eq!(ipv6(&files).health, Health::Fine);
        let resolver = resolver(&files);
        assert_eq!((resolver.health, resolver.mend), (Health::Fine, None));
        assert!(resolver.found.ends_with("leads to ../run/stub-resolv.conf"), "{}", resolver.found);
        write(&files.root, "proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n");
        assert_eq!(ipv6(&files).health, Health::Lacking);
    }

    #[test]
    fn a_refusal_says_how_to_be_let_in() {
        let socket = Path::new(SOCKET);
        let refusal = Refusal { kind: RefusalKind::NotAllowed, message: "uid 1000 may not".to_owned() };
        let finding = helper_of(Err(HelperError::Refused(refusal)), socket, false);
        assert!(finding.mend.is_some_and(|mend| mend.contains("usermod")));
        let absent =
            || HelperError::Absent { path: socket.to_owned(), source: std::io::ErrorKind::NotFound.into() };
        assert_eq!(helper_of(Err(absent()), socket, false).health, Health::Missing);
        assert_eq!(helper_of(Err(absent()), socket, true).health, Health::Fine);
        assert_eq!(helper_of(Ok("0.1.0".to_owned()), socket, false).health, Health::Fine);
    }
}
