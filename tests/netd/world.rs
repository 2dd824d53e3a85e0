//! A helper in a network namespace of its own, and clients of any user.

use crate::interop::{Netns, PATIENCE};
use anyhow::{Context as _, Result, bail, ensure};
use ikeep::ipc::helper::{Answer, Channel, Helper, Refusal, decode};
use ikeep::plan::{Dns, Net, Network};
use rustix::net::{RecvFlags, SendFlags, sockopt};
use rustix::process::{Gid, Uid};
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use tempfile::TempDir;

/// A user without rights: nobody.
pub(crate) const STRANGER: u32 = 65_534;

/// Whether the tests run: see [`crate::interop::enabled`]; they need no strongSwan.
pub(crate) fn enabled(test: &str) -> bool {
    if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        let why = "needs root and network namespaces; `tests/run` runs it";
        let _ = writeln!(std::io::stderr(), "left out: {test} ({why})");
        return false;
    }
    assert!(rustix::process::geteuid().is_root(), "IKEEP_INTEROP=1 needs root for network namespaces");
    true
}

/// Lines of a process, as they come.
pub(crate) struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    pub(crate) fn of(stream: impl std::io::Read + Send + 'static) -> Self {
        let (lines, coming) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self { coming, seen: Vec::new() }
    }

    /// Waits for a line that holds all of these, from here on.
    pub(crate) fn wait(&mut self, words: &[&str]) -> Result<String> {
        loop {
            match self.coming.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if words.iter().all(|word| line.contains(word)) {
                        return Ok(line);
                    }
                }
                Err(error) => {
                    let why = match error {
                        RecvTimeoutError::Timeout => "in time",
                        RecvTimeoutError::Disconnected => "before its end",
                    };
                    bail!("no line with {words:?} came {why}, but:\n{}", self.seen.join("\n"));
                }
            }
        }
    }

    /// How many lines have come that hold all of these, up to now.
    pub(crate) fn count(&mut self, words: &[&str]) -> usize {
        self.seen.extend(self.coming.try_iter());
        self.seen.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

/// A process that ends with its value.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder for a helper's files, and a namespace.
pub(crate) struct Place {
    pub(crate) netns: Netns,
    _beyond: Netns,
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new(label: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-netd-")?;
        // Clients of other users get to the socket.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        std::fs::create_dir_all(folder.path().join("root/etc"))?;
        std::fs::write(folder.path().join("root/etc/resolv.conf"), "nameserver 192.0.2.53\n")?;
        let netns = Netns::new(label)?;
        let beyond = Netns::new(&format!("{label}-far"))?;
        netns.link(("uplink", &["198.51.100.10/24"]), &beyond, ("far", &["198.51.100.1/24"]))?;
        // What the kernel gives a link by itself comes when it likes; the pictures are to hold still.
        netns.ip(&["link", "set", "uplink", "addrgenmode", "none"])?;
        netns.ip(&["-6", "addr", "flush", "dev", "uplink"])?;
        netns.ip(&["route", "add", "default", "via", "198.51.100.1"])?;
        Ok(Self { netns, _beyond: beyond, folder })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("netd.sock")
    }

    /// The helper's command line, but for its socket.
    pub(crate) fn arguments(&self, more: &[&str]) -> Vec<String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut arguments = vec![
            format!("--runtime={}", path("run")),
            format!("--state={}", path("state")),
            format!("--root={}", path("root")),
            "--verbose".to_owned(),
        ];
        if !more.iter().any(|argument| argument.starts_with("--bus")) {
            arguments.push(format!("--bus=unix:path={}", path("no-bus")));
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        arguments
    }

    /// What can be seen of the network's configuration: everything that a tunnel might change.
    pub(crate) fn picture(&self) -> Result<String> {
        let mut picture = String::new();
        for family in ["-4", "-6"] {
            for what in [&["rule"][..], &["route", "show", "table", "all"], &["-o", "addr"]] {
                picture += &self.netns.ip(&[&[family], what].concat())?;
            }
        }
        picture += &std::fs::read_to_string(self.folder.path().join("root/etc/resolv.conf"))?;
        Ok(picture)
    }

    /// Whether there is a device of a tunnel.
    pub(crate) fn has_device(&self) -> Result<bool> {
        Ok(self.netns.ip(&["-o", "link"])?.contains(": ikeep"))
    }

    /// What lies in the resolver's file.
    pub(crate) fn resolv_conf(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("root/etc/resolv.conf"))?)
    }
}

/// A helper that runs.
pub(crate) struct World {
    // First: it ends before its place goes.
    pub(crate) process: Process,
    pub(crate) log: Lines,
    pub(crate) place: Place,
}

impl World {
    /// Starts one and waits until it listens.
    pub(crate) fn new(label: &str, more: &[&str]) -> Result<Self> {
        Self::at(Place::new(label)?, more)
    }

    pub(crate) fn at(place: Place, more: &[&str]) -> Result<Self> {
        let mut command = place.netns.command(env!("CARGO_BIN_EXE_ikeep-netd"));
        command.arg(format!("--socket={}", place.socket().display())).args(place.arguments(more));
        let mut child = command.stderr(Stdio::piped()).spawn().context("starting ikeep-netd")?;
        let stderr = child.stderr.take().context("no stderr")?;
        let mut world = Self { process: Process(child), log: Lines::of(stderr), place };
        world.log.wait(&["listens"])?;
        Ok(world)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        Ok(rustix::process::kill_process(rustix::process::Pid::from_child(&self.process.0), signal)?)
    }

    pub(crate) async fn client(&self) -> Result<Helper> {
        Ok(Helper::connect(&self.place.socket()).await?)
    }

    /// A connection of root's that says what it likes. Waits at most [`PATIENCE`] for an answer.
    pub(crate) fn raw(&self) -> Result<Raw> {
        Raw::connect(&self.place.socket())
    }
}

/// A client without manners.
pub(crate) struct Raw(pub(crate) OwnedFd);

impl Raw {
    fn connect(path: &std::path::Path) -> Result<Self> {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
        let kind = (AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, None)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    pub(crate) fn say(&self, octets: &[u8]) -> Result<()> {
        rustix::net::send(&self.0, octets, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    pub(crate) fn hello(&self) -> Result<()> {
        self.say(br#"{"ask":"hello","protocol":1,"version":"test"}"#)?;
        let answer = self.hear()?.context("no welcome")?;
        ensure!(matches!(answer, Answer::Welcome { .. }), "{answer:?}");
        Ok(())
    }

    /// The next answer; `None`: the connection has ended.
    pub(crate) fn hear(&self) -> Result<Option<Answer>> {
        let mut octets = vec![0; 1 << 17];
        let received = match rustix::net::recv(&self.0, &mut octets[..], RecvFlags::empty()) {
            // Said once where the helper did not read all; what it sent is still there.
            Err(rustix::io::Errno::CONNRESET) => {
                rustix::net::recv(&self.0, &mut octets[..], RecvFlags::empty())
            }
            other => other,
        };
        match received {
            Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => Ok(None),
            Ok((length, _)) => Ok(Some(decode(&octets[..length])?)),
            Err(error) => Err(error.into()),
        }
    }

    /// A refusal, and then the end.
    pub(crate) fn dropped(&self) -> Result<Refusal> {
        let answer = self.hear()?;
        let Some(Answer::Refused(refusal)) = answer else { bail!("not refused: {answer:?}") };
        let end = self.hear()?;
        ensure!(end.is_none(), "not dropped: {end:?}");
        Ok(refusal)
    }
}

/// Runs `work` as another user, on a thread of its own.
pub(crate) fn as_user<T: Send, F: Future<Output = T>>(
    uid: u32,
    groups: &[u32],
    work: impl FnOnce() -> F + Send,
) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
            rustix::thread::set_thread_groups(&groups)?;
            let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            rustix::thread::set_thread_res_gid(group, group, group)?;
            rustix::thread::set_thread_res_uid(user, user, user)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(work()))
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A full tunnel.
pub(crate) fn plan() -> Network {
    Network {
        addresses: vec!["192.168.20.5".parse().expect("an address")],
        include: vec![Net { address: "0.0.0.0".parse().expect("an address"), prefix: 0 }],
        gateways: vec!["203.0.113.1:4500".parse().expect("an address")],
        dns: Dns {
            servers: vec!["10.1.1.1".parse().expect("an address")],
            search: vec!["corp.example".to_owned()],
            only: Vec::new(),
        },
        mtu: 1400,
        ..Network::default()
    }
}

/// A channel without the client's manners, in a runtime.
pub(crate) async fn channel_to(world: &World) -> Result<Channel> {
    Ok(Channel::connect(&world.place.socket()).await?)
}

/// Debian's Python.
pub(crate) fn python() -> Command {
    Command::new("/usr/bin/python3")
}
