//! `ikeep gateway serve` as a person and a test see it: ports, the CA's certificate, the console, the end.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Gateway {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// The line with the ports.
    ports: String,
}

impl Gateway {
    fn new(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ikeep"));
        command
            .args(["gateway", "serve", "--port", "0", "--nat-port", "0"])
            .args(arguments)
            .current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut gateway = Self { child, stdin, stdout, ports: String::new() };
        gateway.ports = gateway.line();
        gateway
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// What the console says up to the answer of a command that says one line.
    fn asks(&mut self, command: &str) -> String {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{command}\nfault cookie off\n").as_bytes()).unwrap();
        let mut said = String::new();
        loop {
            match self.line().as_str() {
                "cookies as usual\n" => return said,
                "" => panic!("the gateway has gone after {said:?}"),
                line => said += line,
            }
        }
    }

    /// Its exit code and what it said on stderr.
    fn ends(mut self) -> (Option<i32>, String) {
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), err)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_tells_its_ports_answers_its_console_and_ends_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::new(folder.path(), &["--write-ca", "ca.pem"]);
    let (ike, nat) =
        gateway.ports.trim().strip_prefix("listening: IKE at ").unwrap().split_once(", ").unwrap();
    let nat = nat.strip_prefix("NAT-T and ESP at ").unwrap();
    for port in [ike, nat] {
        let error = UdpSocket::bind(port).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{port}");
    }
    let pem = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    let mode = std::fs::metadata(folder.path().join("ca.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "no half-written file is left");

    assert!(gateway.asks("show session").starts_with("Crypto session current status\nCode: C - "));
    assert!(gateway.asks("show crypto session detail").contains("R - IKE Auto Reconnect\n"));
    assert!(gateway.asks("show stats reconnect").starts_with("Total incoming reconnect connection: 0\n"));
    assert_eq!(gateway.asks("show ikev2"), "");
    assert_eq!(gateway.asks("show events"), "");
    assert_eq!(gateway.asks("clear session"), "every IKE SA is deleted\n");
    assert_eq!(gateway.asks("clear sa"), "every Child SA is deleted\n");
    assert_eq!(gateway.asks("restart forget"), "restarted, the sessions are lost\n");
    assert_eq!(gateway.asks("fault refuse 2"), "the next 2 reconnects are refused\n");
    assert_eq!(gateway.asks("fault silent on"), "silent\n");
    let faults = gateway.asks("show faults");
    assert!(faults.contains("silent: true") && faults.contains("Next(2)"), "{faults}");
    assert_eq!(gateway.asks(""), "");
    assert!(gateway.asks("help").contains("show stats reconnect"));
    for wrong in ["sing", "fault refuse much", "fault silent perhaps", "restart twice", "\u{1b}[2Jx"] {
        let said = gateway.asks(wrong);
        assert!(said.starts_with("unknown command: ") && said.contains("fault silent on|off"), "{said}");
        assert!(!said.contains('\u{1b}'));
    }

    let pid = Pid::from_child(&gateway.child);
    kill_process(pid, Signal::TERM).unwrap();
    let (code, err) = gateway.ends();
    assert_eq!(code, Some(0));
    for part in ["PUBLIC TEST KEYS", "password cisco", "ca.pem", "flexvpn-c8kv.example.com, 127.0.0.1"] {
        assert!(err.contains(part), "{part:?} is missing in\n{err}");
    }
}

#[test]
fn it_goes_on_at_the_end_of_its_input_and_quits_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::new(folder.path(), &[]);
    gateway.stdin.as_mut().unwrap().write_all(b"quit\n").unwrap();
    assert_eq!(gateway.ends().0, Some(0));

    let mut gateway = Gateway::new(folder.path(), &["--listen", "::1"]);
    assert!(gateway.ports.contains("[::1]:"), "{}", gateway.ports);
    drop(gateway.stdin.take());
    // Still there: only a signal ends it.
    assert!(gateway.child.try_wait().unwrap().is_none());
    kill_process(Pid::from_child(&gateway.child), Signal::INT).unwrap();
    assert_eq!(gateway.ends().0, Some(0));
}

#[test]
fn users_have_the_passwords_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("passwords"), "one\ntwo\n").unwrap();
    let users = ["--user", "a", "--user", "b", "--passwords-file", "passwords"];
    let mut gateway = Gateway::new(folder.path(), &users);
    gateway.stdin.as_mut().unwrap().write_all(b"quit\n").unwrap();
    let (code, err) = gateway.ends();
    assert_eq!(code, Some(0));
    assert!(!err.contains("cisco"), "{err}");

    let fails = |arguments: &[&str]| {
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_ikeep"))
            .args(["gateway", "serve", "--port", "0", "--nat-port", "0"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = fails(&[&users[..], &["--user", "c"]].concat());
    assert!(code == Some(2) && err.contains("has 2 lines") && err.contains("3 users"), "{err}");
    let (code, err) = fails(&["--user", "a"]);
    assert!(code == Some(2) && err.contains("--passwords-file"), "{err}");
    for (flag, value) in [
        ("--pool", "10.0.0.9-10.0.0.1"),
        ("--pool6", "10.0.0.1-10.0.0.2"),
        ("--include", "10.0.0.0/33"),
        ("--exclude", "fd10::/64"),
    ] {
        let (code, err) = fails(&[flag, value]);
        assert!(code == Some(2) && err.contains(flag), "{err}");
    }
    let (code, err) = fails(&["--name", "g\u{e4}teway"]);
    assert!(code == Some(1) && err.contains("certificate"), "{err}");
    let (code, err) = fails(&["--write-ca", "none/ca.pem"]);
    assert!(code == Some(1) && err.contains("none/ca.pem"), "{err}");
    let (code, err) = fails(&["--listen", "192.0.2.77"]);
    assert!(code == Some(1) && err.contains("192.0.2.77") && err.contains("--nat-port"), "{err}");
}
