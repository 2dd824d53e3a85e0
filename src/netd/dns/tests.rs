use super::*;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

/// A disk that fails as it is told.
#[derive(Debug, Default)]
struct Bad(Mutex<Fault>);

#[derive(Debug, Default)]
struct Fault {
    /// Steps that are still done; then nothing is, as if the process had been killed.
    left: Option<usize>,
    /// Files that cannot grow past this many octets.
    full: Option<(PathBuf, usize)>,
    /// The inode of that file.
    inode: u64,
}

impl Bad {
    fn killed_after(steps: usize) -> Box<Self> {
        Box::new(Self(Mutex::new(Fault { left: Some(steps), ..Fault::default() })))
    }

    fn full(path: &Path, octets: usize) -> Box<Self> {
        Box::new(Self(Mutex::new(Fault { full: Some((path.to_path_buf(), octets)), ..Fault::default() })))
    }

    fn step(&self) -> io::Result<()> {
        match &mut self.0.lock().unwrap().left {
            Some(0) => Err(io::Error::other("killed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Disk for Bad {
    fn open(&self, path: &Path, create: Option<u32>) -> io::Result<File> {
        self.step()?;
        let file = Machine.open(path, create)?;
        let mut fault = self.0.lock().unwrap();
        if fault.full.as_ref().is_some_and(|(full, _)| full == path) {
            fault.inode = file.metadata()?.ino();
        }
        Ok(file)
    }

    /// Half of it at a time.
    fn write(&self, file: &File, octets: &[u8], at: u64) -> io::Result<usize> {
        self.step()?;
        let mut some = octets.len().div_ceil(2);
        let fault = self.0.lock().unwrap();
        if let Some((_, full)) = fault.full.as_ref().filter(|_| file.metadata().unwrap().ino() == fault.inode)
        {
            some = some.min(full.saturating_sub(usize::try_from(at).unwrap()));
            if some == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Machine.write(file, &octets[..some], at)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        self.step()?;
        Machine.truncate(file, length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // Of no effect that a process could see.
        let _ = file;
        self.step()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Machine.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Machine.remove(path)
    }
}

/// A machine without services: an `etc/resolv.conf` and our folder.
struct Plain {
    folder: TempDir,
}

impl Plain {
    fn new(before: Option<&[u8]>) -> Self {
        let plain = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(plain.path("etc")).unwrap();
        if let Some(before) = before {
            fs::write(plain.etc(), before).unwrap();
        }
        plain
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn etc(&self) -> PathBuf {
        self.path("etc/resolv.conf")
    }

    fn places(&self) -> Places {
        Places {
            state: self.path("state"),
            etc: self.etc(),
            nsswitch: self.path("etc/nsswitch.conf"),
            bus: Some(format!("unix:path={}", self.path("no-bus").display())),
            resolved: self.path("run/systemd/resolve"),
            network_manager: self.path("run/NetworkManager"),
            resolvconf: self.path("run/resolvconf"),
        }
    }

    fn resolver(&self) -> Resolver {
        Resolver::new(self.places())
    }

    fn with(&self, disk: Box<dyn Disk>) -> Resolver {
        Resolver { disk, ..self.resolver() }
    }

    fn now(&self) -> Option<Vec<u8>> {
        fs::read(self.etc()).ok()
    }

    fn text(&self) -> String {
        String::from_utf8(self.now().unwrap()).unwrap()
    }

    /// Nothing of ours is left.
    fn assert_clean(&self, before: Option<&[u8]>, when: &str) {
        assert_eq!(
            self.now().map(|octets| String::from_utf8_lossy(&octets).into_owned()),
            before.map(|octets| String::from_utf8_lossy(octets).into_owned()),
            "{when}"
        );
        let left: Vec<_> = fs::read_dir(self.path("state"))
            .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "{when}: {left:?}");
    }
}

fn device() -> Device {
    Device { name: "ikeep0".to_owned(), index: 7 }
}

fn dns(server: &str) -> Dns {
    Dns { servers: vec![server.parse().unwrap()], search: vec!["corp.example".to_owned()], only: Vec::new() }
}

const BEFORE: &[u8] = b"# mine\nnameserver 10.0.0.1\nsearch home.example\noptions edns0";
const THEIRS: &[u8] = b"# by dhclient\nnameserver 10.2.0.1\n";

#[tokio::test]
async fn the_file_is_written_in_place_and_comes_back_as_it_was() {
    let plain = Plain::new(Some(BEFORE));
    fs::set_permissions(plain.etc(), fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(plain.etc()).unwrap().ino();
    let mut resolver = plain.resolver();
    let applied = resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    assert_eq!(applied.resolver.as_deref(), Some("/etc/resolv.conf"));
    assert_eq!(applied.outside, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert!(!applied.split && applied.notes.is_empty(), "{applied:?}");
    assert!(
        plain.text().contains("\nnameserver 10.1.1.1\nsearch corp.example home.example\noptions edns0\n")
    );
    let state = fs::metadata(plain.path("state")).unwrap().mode() & 0o777;
    let journal = fs::metadata(plain.path("state/dns.json")).unwrap();
    assert_eq!((state, journal.mode() & 0o777), (0o700, 0o600));
    // Again: nothing is written. Other settings: over ours.
    let written = (fs::metadata(plain.etc()).unwrap().mtime_nsec(), journal.ino());
    assert_eq!(resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap(), applied);
    let journal = fs::metadata(plain.path("state/dns.json")).unwrap();
    assert_eq!((fs::metadata(plain.etc()).unwrap().mtime_nsec(), journal.ino()), written);
    assert_eq!(resolver.apply(&device(), &dns("10.1.1.2")).await.unwrap().outside, applied.outside);
    assert!(plain.text().contains("10.1.1.2") && !plain.text().contains("10.1.1.1"), "{}", plain.text());
    assert_eq!(resolver.revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(BEFORE), "reverted");
    let metadata = fs::metadata(plain.etc()).unwrap();
    assert_eq!((metadata.ino(), metadata.mode() & 0o777), (inode, 0o640));
    assert_eq!(resolver.revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(BEFORE), "reverted again");
}

#[tokio::test]
async fn without_servers_the_resolver_is_as_it_was() {
    let plain = Plain::new(Some(BEFORE));
    let mut resolver = plain.resolver();
    resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    let none = Dns { servers: Vec::new(), ..dns("10.1.1.1") };
    let applied = resolver.apply(&device(), &none).await.unwrap();
    assert_eq!((applied.resolver, applied.outside.len()), (None, 1));
    plain.assert_clean(Some(BEFORE), "no servers");
}

#[tokio::test]
async fn what_somebody_else_writes_is_kept_and_written_over_only_when_asked() {
    let plain = Plain::new(Some(BEFORE));
    let mut resolver = plain.resolver();
    resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    fs::write(plain.etc(), THEIRS).unwrap();
    // Theirs stays at the end ..
    assert_eq!(resolver.revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(THEIRS), "theirs");
    // .. also if the tunnel's settings went over it.
    resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    fs::write(plain.etc(), BEFORE).unwrap();
    let applied = resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    assert_eq!(applied.outside, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert!(plain.text().contains("10.1.1.1"));
    assert_eq!(resolver.revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(BEFORE), "the new one");
    // Removed by somebody: it stays away.
    resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    fs::remove_file(plain.etc()).unwrap();
    assert_eq!(resolver.revert().await, [] as [&str; 0]);
    plain.assert_clean(None, "removed");
}

#[tokio::test]
async fn lines_that_somebody_adds_stay_and_ours_go() {
    let plain = Plain::new(Some(BEFORE));
    let mut resolver = plain.resolver();
    resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    fs::write(plain.etc(), format!("{}options rotate\n", plain.text())).unwrap();
    // Applied over it, the added line is part of what comes back.
    resolver.apply(&device(), &dns("10.1.1.2")).await.unwrap();
    let back = "nameserver 10.0.0.1\nsearch home.example\noptions edns0\noptions rotate\n";
    assert!(plain.text().contains("\noptions edns0\noptions rotate\n"), "{}", plain.text());
    assert_eq!(resolver.revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(back.as_bytes()), "added");
    resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap();
    fs::write(plain.etc(), plain.text().replace("10.1.1.1", "9.9.9.9")).unwrap();
    let problems = resolver.revert().await;
    assert!(problems.len() == 1 && problems[0].contains("changed by somebody"), "{problems:?}");
    plain.assert_clean(Some(back.as_bytes()), "edited");
}

#[tokio::test]
async fn a_journal_or_a_backup_that_is_lost_is_made_up_for() {
    let back = b"nameserver 10.0.0.1\nsearch home.example\noptions edns0\n";
    for (lost, says) in [("dns.json", "left by nobody"), ("resolv.conf.before", "changed by somebody")] {
        let plain = Plain::new(Some(BEFORE));
        plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap();
        fs::remove_file(plain.path("state").join(lost)).unwrap();
        let problems = plain.resolver().revert().await;
        assert!(problems.len() == 1 && problems[0].contains(says), "{lost}: {problems:?}");
        assert_eq!(plain.now().unwrap(), back, "{lost}");
        assert_eq!(plain.resolver().revert().await, [] as [&str; 0]);
    }
    let plain = Plain::new(Some(BEFORE));
    plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap();
    fs::write(plain.path("state/dns.json"), "{").unwrap();
    let problems = plain.resolver().revert().await;
    assert!(problems[0].contains("dns.json.bad"), "{problems:?}");
    assert_eq!(plain.now().unwrap(), back);
}

/// What happens to the file in one life of the helper.
#[derive(Clone, Copy, Debug)]
enum Step {
    Apply(&'static str),
    /// Somebody else writes it.
    Theirs,
    Revert,
}

#[tokio::test]
async fn killed_at_any_moment_it_leaves_enough_to_go_back() {
    let large = [BEFORE, "\n# fill".repeat(3000).as_bytes()].concat();
    let mut moments = 0;
    for before in [None, Some(BEFORE), Some(&b""[..]), Some(THEIRS), Some(&large)] {
        let stories = [
            &[Step::Apply("10.1.1.1")][..],
            &[Step::Apply("10.1.1.1"), Step::Apply("10.1.1.2")],
            &[Step::Apply("10.1.1.1"), Step::Apply("10.1.1.22"), Step::Apply("10.1.1.1")],
            &[Step::Apply("10.1.1.1"), Step::Theirs, Step::Apply("10.1.1.2")],
            &[Step::Apply("10.1.1.1"), Step::Theirs, Step::Revert],
            &[Step::Apply("10.1.1.1"), Step::Revert, Step::Apply("10.1.1.1")],
            &[Step::Apply("10.1.1.1"), Step::Revert],
        ];
        for story in stories {
            for steps in 0.. {
                let plain = Plain::new(before);
                let mut resolver = plain.with(Bad::killed_after(steps));
                let (mut expected, mut lived) = (before, true);
                for step in story {
                    lived &= match step {
                        Step::Apply(server) => resolver.apply(&device(), &dns(server)).await.is_ok(),
                        Step::Theirs => {
                            fs::write(plain.etc(), b"nameserver 10.3.0.1\n").unwrap();
                            expected = Some(b"nameserver 10.3.0.1\n");
                            true
                        }
                        Step::Revert => resolver.revert().await.is_empty(),
                    };
                    if !lived {
                        break;
                    }
                }
                let when = format!("{story:?} killed after {steps} steps");
                // The next one is killed on its way back, too.
                for steps in (0..12).step_by(5) {
                    let _ = plain.with(Bad::killed_after(steps)).revert().await;
                }
                assert_eq!(plain.with(Box::<Bad>::default()).revert().await, [] as [&str; 0], "{when}");
                plain.assert_clean(expected, &when);
                moments += 1;
                if lived && resolver.disk_is_unused() {
                    break;
                }
            }
        }
    }
    assert!(moments > 500, "{moments}");
}

impl Resolver {
    /// It was not killed: there were steps left.
    fn disk_is_unused(&self) -> bool {
        self.disk.sync(&File::open("/dev/null").unwrap()).is_ok()
    }
}

#[tokio::test]
async fn a_full_disk_leaves_the_file_as_it_was() {
    for before in [Some(BEFORE), None] {
        for room in [0, 1, 40, 70, 100] {
            let plain = Plain::new(before);
            let room = room.max(before.map_or(0, <[u8]>::len));
            let mut resolver = plain.with(Bad::full(&plain.etc(), room));
            let error = resolver.apply(&device(), &dns("10.1.1.1")).await.unwrap_err();
            assert!(error.to_string().ends_with("make room"), "{error}");
            plain.assert_clean(before, "full");
        }
    }
    // Settings of ours that cannot be replaced stay, and can still be taken back.
    let plain = Plain::new(Some(BEFORE));
    plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap();
    let ours = plain.text();
    let mut resolver = plain.with(Bad::full(&plain.etc(), ours.len()));
    let longer = Dns { search: vec!["x".repeat(60)], ..dns("10.1.1.1") };
    resolver.apply(&device(), &longer).await.unwrap_err();
    assert_eq!(plain.text(), ours);
    assert_eq!(plain.resolver().revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(BEFORE), "full");
}

#[tokio::test]
async fn links_and_files_that_are_not_there() {
    // A link is followed, and stays one.
    let plain = Plain::new(None);
    fs::create_dir_all(plain.path("run/resolvconf")).unwrap();
    fs::write(plain.path("run/resolvconf/resolv.conf"), BEFORE).unwrap();
    symlink("../run/resolvconf/resolv.conf", plain.etc()).unwrap();
    let applied = plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap();
    assert_eq!(applied.resolver.as_deref(), Some("resolvconf"));
    assert!(applied.notes[0].contains("made by resolvconf"), "{applied:?}");
    assert!(plain.text().contains("10.1.1.1"));
    assert_eq!(plain.resolver().revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(BEFORE), "link");
    assert!(plain.etc().is_symlink());
    // One that leads nowhere: the file is made, and is gone in the end.
    fs::remove_file(plain.path("run/resolvconf/resolv.conf")).unwrap();
    plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap();
    assert!(plain.text().contains("10.1.1.1"));
    assert_eq!(plain.resolver().revert().await, [] as [&str; 0]);
    plain.assert_clean(None, "dangling");
    assert!(plain.etc().is_symlink());
    // One whose folder is missing.
    fs::remove_dir(plain.path("run/resolvconf")).unwrap();
    let error = plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap_err();
    assert!(matches!(error, DnsError::Dangling { .. }), "{error}");
    assert!(error.to_string().contains("../run/resolvconf/resolv.conf, which is not there"), "{error}");
    plain.assert_clean(None, "no folder");
}

#[tokio::test]
async fn files_that_are_none_or_too_large() {
    let large = "# a megabyte\n".repeat(80 << 10).into_bytes();
    let plain = Plain::new(Some(&large));
    plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap();
    assert!(plain.text().len() < 300);
    assert_eq!(plain.resolver().revert().await, [] as [&str; 0]);
    plain.assert_clean(Some(&large), "large");
    let huge = vec![b'#'; file::MAX_SIZE + 1];
    fs::write(plain.etc(), &huge).unwrap();
    let error = plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap_err();
    assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
    fs::remove_file(plain.etc()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, plain.etc(), 0o600.into()).unwrap();
    let error = plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap_err();
    assert!(error.to_string().contains("not a file"), "{error}");
}

#[tokio::test]
async fn services_that_the_file_belongs_to_but_that_are_gone_are_told_of() {
    for (text, note) in [
        (&b"nameserver 127.0.0.53\n"[..], "systemd-resolved"),
        (b"# Generated by NetworkManager\nnameserver 10.0.0.1\n", "NetworkManager"),
        (b"# Generated by resolvconf\nnameserver 10.0.0.1\n", "resolvconf"),
    ] {
        let plain = Plain::new(Some(text));
        // Our own settings do not hide whose file it is.
        for _ in 0..2 {
            let applied = plain.resolver().apply(&device(), &dns("10.1.1.1")).await.unwrap();
            assert!(applied.notes[0].contains(note), "{applied:?}");
        }
        assert_eq!(plain.resolver().revert().await, [] as [&str; 0]);
        plain.assert_clean(Some(text), note);
    }
}
