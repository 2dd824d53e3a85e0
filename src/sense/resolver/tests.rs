use super::*;
use std::os::unix::fs::symlink;
use tempfile::TempDir;
use tokio::sync::watch;

struct Machine {
    folder: TempDir,
    resolver: Resolver,
    missing: watch::Receiver<Vec<crate::sense::Missing>>,
}

impl Machine {
    /// With `etc/resolv.conf` to come, and `run/resolv.conf` behind the stub.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etc", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let at = |name| folder.path().join(name);
        let files = Files { resolv_conf: at("etc/resolv.conf"), behind_the_stub: at("run/resolv.conf") };
        let lacks = Lacks(watch::Sender::default());
        let missing = lacks.0.subscribe();
        let no_bus = format!("unix:path={}", at("no-bus").display());
        Self { folder, resolver: Resolver::new(files, Some(no_bus), lacks), missing }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// As those who do it well: written beside, then renamed.
    fn replace(&self, name: &str, text: &str) {
        self.write("beside", text);
        fs::rename(self.path("beside"), self.path(name)).unwrap();
    }

    async fn servers(&mut self) -> Vec<String> {
        self.resolver.changed().await.dns_servers.iter().map(ToString::to_string).collect()
    }

    fn lacks(&self) -> String {
        self.missing.borrow().iter().map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn every_way_to_change_the_file_is_noticed() {
    let mut machine = Machine::new();
    machine.write("etc/resolv.conf", "nameserver 10.0.0.1\n");
    assert_eq!(machine.servers().await, ["10.0.0.1"]);
    assert_eq!(machine.lacks(), "");
    machine.write("etc/resolv.conf", "nameserver 10.0.0.2\n");
    assert_eq!(machine.servers().await, ["10.0.0.2"]);
    for server in ["10.0.0.3", "10.0.0.4"] {
        machine.replace("etc/resolv.conf", &format!("nameserver {server}\n"));
        assert_eq!(machine.servers().await, [server]);
    }
    fs::remove_file(machine.path("etc/resolv.conf")).unwrap();
    assert_eq!(machine.servers().await, [] as [&str; 0]);
    assert!(machine.lacks().contains("etc/resolv.conf cannot be read"), "{}", machine.lacks());
    machine.write("etc/resolv.conf", "nameserver 10.0.0.5\n");
    assert_eq!(machine.servers().await, ["10.0.0.5"]);
    assert_eq!(machine.lacks(), "");
}

#[tokio::test]
async fn a_link_is_followed_and_what_it_leads_to_is_watched() {
    let mut machine = Machine::new();
    fs::create_dir(machine.path("nm")).unwrap();
    machine.write("nm/no-stub.conf", "nameserver 10.0.0.1\n");
    symlink("../nm/no-stub.conf", machine.path("etc/resolv.conf")).unwrap();
    assert_eq!(machine.servers().await, ["10.0.0.1"]);
    machine.replace("nm/no-stub.conf", "nameserver 10.0.0.2\n");
    assert_eq!(machine.servers().await, ["10.0.0.2"]);
    machine.write("nm/no-stub.conf", "nameserver 10.0.0.3\n");
    assert_eq!(machine.servers().await, ["10.0.0.3"]);
    // A file that has another name elsewhere, as one that is mounted: it is written there.
    machine.write("other", "nameserver 10.0.0.4\n");
    fs::remove_file(machine.path("etc/resolv.conf")).unwrap();
    fs::hard_link(machine.path("other"), machine.path("etc/resolv.conf")).unwrap();
    assert_eq!(machine.servers().await, ["10.0.0.4"]);
    machine.write("other", "nameserver 10.0.0.5\n");
    assert_eq!(machine.servers().await, ["10.0.0.5"]);
}

#[tokio::test]
async fn behind_the_stub_are_the_real_servers() {
    let mut machine = Machine::new();
    machine.write("etc/resolv.conf", "nameserver 127.0.0.53\nsearch stub.example\n");
    // resolved has not written its file yet: the stub is all there is.
    assert_eq!(machine.servers().await, ["127.0.0.53"]);
    machine.replace("run/resolv.conf", "nameserver 10.0.0.1\nsearch corp.example\n");
    let networks = machine.resolver.changed().await;
    assert_eq!(networks.domains, ["corp.example"]);
    assert_eq!(networks.dns_servers, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
}

#[tokio::test]
async fn nothing_is_told_twice_and_a_second_look_finds_what_no_watch_tells() {
    let mut machine = Machine::new();
    machine.write("etc/resolv.conf", "nameserver 10.0.0.1\n");
    assert_eq!(machine.servers().await, ["10.0.0.1"]);
    // The watch is taken away, as by a mount over the folder: only a second look finds the change.
    machine.resolver.watch = None;
    machine.write("etc/resolv.conf", "nameserver 10.0.0.1\n# the same\n");
    machine.resolver.look_again();
    let nothing = tokio::select! {
        biased;
        networks = machine.resolver.changed() => panic!("{networks:?}"),
        () = sleep(3 * SETTLE) => true,
    };
    assert!(nothing);
    machine.resolver.watch = None;
    machine.write("etc/resolv.conf", "nameserver 10.0.0.2\n");
    machine.resolver.look_again();
    assert_eq!(machine.servers().await, ["10.0.0.2"]);
}

#[tokio::test]
async fn a_look_that_is_cut_short_is_taken_again() {
    let mut machine = Machine::new();
    machine.write("etc/resolv.conf", "nameserver 127.0.0.53\n");
    assert_eq!(machine.servers().await, ["127.0.0.53"]);
    machine.replace("run/resolv.conf", "nameserver 10.0.0.1\n");
    machine.resolver.look_again();
    sleep(2 * SETTLE).await;
    // Something else comes while the service is asked, which takes its time.
    let slow = std::os::unix::net::UnixListener::bind(machine.path("no-bus")).unwrap();
    tokio::select! {
        biased;
        networks = machine.resolver.changed() => panic!("{networks:?}"),
        () = std::future::ready(()) => {}
    }
    assert!(machine.resolver.looking);
    drop(slow);
    assert_eq!(machine.servers().await, ["10.0.0.1"]);
}

#[tokio::test]
async fn the_settings_of_our_own_tunnel_are_not_the_networks() {
    let mut machine = Machine::new();
    machine.write("etc/resolv.conf", "nameserver 10.0.0.1\nsearch home.example\n");
    let before = machine.resolver.changed().await;
    let (begin, end, kept) = (resolv_conf::BEGIN, resolv_conf::END, resolv_conf::BEFORE);
    let ours = format!(
        "{begin}\n{kept}nameserver 10.0.0.1\n{kept}search home.example\nnameserver 10.1.1.1\nsearch corp.example\n{end}\n"
    );
    machine.write("etc/resolv.conf", &ours);
    machine.resolver.look_again();
    tokio::select! {
        biased;
        networks = machine.resolver.changed() => panic!("{networks:?}"),
        () = sleep(3 * SETTLE) => {}
    }
    assert_eq!(machine.resolver.told, Some(before));
}

#[tokio::test]
async fn a_pipe_in_its_place_is_not_waited_for() {
    let mut machine = Machine::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, machine.path("etc/resolv.conf"), 0o600.into()).unwrap();
    assert_eq!(machine.servers().await, [] as [&str; 0]);
    assert!(machine.lacks().contains("not a file"), "{}", machine.lacks());
}
