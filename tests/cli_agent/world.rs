//! A user with folders of their own, and a stand-in for the agent.

use ikeep::config::Places;
use ikeep::ipc::{Call, Connected, Input, InputKind, Listener, Question, Reply, Request};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Nothing here takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A user.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn places(&self) -> Places {
        let inside = |name: &str| self.path().join(name).join("ikeep");
        Places { state: inside("state"), keys: inside("data"), runtime: inside("run") }
    }

    /// A program with this user's folders and without a terminal.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program).stdin(Stdio::null());
        self.dress(&mut command);
        command
    }

    pub(crate) fn dress(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).current_dir(self.path());
        for (name, folder) in [
            ("HOME", "home"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
        ] {
            command.env(name, self.path().join(folder));
        }
    }

    /// `ikeep` to its end.
    pub(crate) fn ikeep(&self, arguments: &[&str]) -> Run {
        self.ikeep_with(arguments, "")
    }

    /// The same with something on standard input.
    pub(crate) fn ikeep_with(&self, arguments: &[&str], input: &str) -> Run {
        Run::of(
            assert_cmd::Command::from_std({
                let mut command = self.command(ikeep());
                command.args(arguments);
                command
            })
            .write_stdin(input)
            .timeout(PATIENCE),
        )
    }
}

/// The program under test.
pub(crate) fn ikeep() -> &'static str {
    env!("CARGO_BIN_EXE_ikeep")
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(command: &mut assert_cmd::Command) -> Self {
        let output = command.output().unwrap();
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It failed with this code, one line on stderr that holds `parts`, and nothing on stdout.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert!(self.err.starts_with("ikeep: ") && self.err.lines().count() == 1, "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is missing in {self:?}");
        }
    }
}

/// A stand-in for the agent, on a thread of its own; it is over when `service` is.
pub(crate) struct Agent<T>(JoinHandle<T>);

impl<T: Send + 'static> Agent<T> {
    /// Listens when this returns.
    pub(crate) fn new<F: Future<Output = T>>(
        home: &Home,
        service: impl FnOnce(mpsc::Receiver<Call>) -> F + Send + 'static,
    ) -> Self {
        let places = home.places();
        let (listens, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = Listener::bind(&places).unwrap();
                let (calls_in, calls) = mpsc::channel(8);
                let server = tokio::spawn(listener.serve(calls_in));
                listens.send(()).unwrap();
                let result = tokio::time::timeout(PATIENCE, service(calls)).await.expect("the agent hangs");
                server.await.unwrap();
                result
            })
        });
        ready.recv().unwrap();
        Self(thread)
    }

    /// What the service found out.
    pub(crate) fn end(self) -> T {
        self.0.join().unwrap()
    }
}

/// Takes one request.
pub(crate) async fn call(calls: &mut mpsc::Receiver<Call>) -> Call {
    calls.recv().await.expect("a request")
}

/// Asks, and what was answered, as texts.
pub(crate) async fn ask(
    calls: &mut mpsc::Receiver<Call>,
    replies: &mpsc::Sender<Reply>,
    question: Question,
) -> Vec<(String, String)> {
    let id = question.id;
    replies.send(Reply::Ask(question)).await.unwrap();
    let Request::Answer(answer) = call(calls).await.request else { panic!("no answer") };
    assert_eq!(answer.id, id);
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    answer.values.into_iter().map(|(name, typed)| (name, text(typed.0.expose()))).collect()
}

pub(crate) fn question(id: u64, inputs: Vec<Input>) -> Question {
    Question {
        id,
        title: String::new(),
        message: String::new(),
        error: String::new(),
        inputs,
        gateway: "vpn.example.com".into(),
        user: String::new(),
        form: "main".into(),
    }
}

pub(crate) fn input(name: &str, label: &str, kind: InputKind) -> Input {
    Input { name: name.into(), label: label.into(), kind, value: String::new(), options: Vec::new() }
}

pub(crate) fn password() -> Input {
    input("password", "Password:", InputKind::Secret)
}

pub(crate) fn connected() -> Reply {
    Reply::Connected(Connected {
        host: "Gateway".into(),
        already: false,
        by_token: false,
        addresses: vec!["192.168.20.5".into()],
        tunnel: "SOCKS5 and HTTP proxy at 127.0.0.1:1080".into(),
        proxy: Some(([127, 0, 0, 1], 1080).into()),
        proxy_login: None,
    })
}

pub(crate) fn state(name: &str, text: &str) -> Reply {
    Reply::State { state: name.into(), text: text.into() }
}

pub(crate) fn pairs(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
