//! The agent's side: the lock that makes it the only one, the socket, and one task for each client.

use super::line::{LineError, Reader, Writer, encode};
use super::message::{Failure, FailureKind, Hello, PROTOCOL, Reply, Request};
use super::{Call, MAX_PATH, REPLIES, hello};
use crate::config::Places;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What one client may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Clients at a time; more are told so and sent away.
    pub clients: usize,
    /// The hello must have come within this time, and the rest of a line after its beginning.
    pub line: Duration,
    /// A client that takes nothing for this long is dropped.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients: 32, line: Duration::from_secs(5), stalled: Duration::from_secs(10) }
    }
}

/// This agent cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another agent of this user runs.
    #[error(
        "an agent of yours already runs{}: `ikeep status` asks it{}",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        .pid.map(|pid| format!(", `kill {pid}` ends it")).unwrap_or_default()
    )]
    Running {
        /// Its process, as it wrote it down.
        pid: Option<u32>,
    },
    /// The path of the socket is too long.
    #[error(
        "the socket's path {} is longer than {MAX_PATH} octets: set XDG_RUNTIME_DIR to a shorter folder of yours",
        .socket.display()
    )]
    PathTooLong {
        /// The path.
        socket: PathBuf,
    },
    /// The folder belongs to somebody else.
    #[error(
        "the folder {} belongs to the user with the number {uid}: set XDG_RUNTIME_DIR, or HOME, to a folder of your own",
        .folder.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// Something that is no socket stands where the socket should be.
    #[error("{} is not a socket: take it away", .socket.display())]
    InTheWay {
        /// What stands there.
        socket: PathBuf,
    },
    /// The file system, or the kernel, refuses.
    #[error("cannot {what} {}: make room there, or set XDG_RUNTIME_DIR to a folder that you may write to", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The only agent of this user, listening. When it is dropped, the socket goes, and then the lock.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    place: Place,
}

/// What makes an agent the only one.
#[derive(Debug)]
struct Place {
    socket: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Listener {
    /// Makes the folder this user's alone, takes the lock, takes a dead agent's socket away and listens. Whoever is told
    /// [`BindError::Running`] can connect at once, unless that agent is just ending.
    ///
    /// Must be called within a tokio runtime. The lock is no longer than a moment waited for.
    ///
    /// # Errors
    /// Another agent runs, or the file system refuses.
    pub fn bind(places: &Places) -> Result<Self, BindError> {
        let (folder, socket) = (&places.runtime, places.socket());
        if socket.as_os_str().as_bytes().len() > MAX_PATH {
            return Err(BindError::PathTooLong { socket });
        }
        // Looked at before it is closed to others, which is not ours to do with a folder of somebody else's.
        match folder.metadata() {
            Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
                return Err(BindError::Foreign { folder: folder.clone(), uid: found.uid() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused("look at", folder)(error)),
        }
        Places::make_private(folder).map_err(refused("make the folder", folder))?;
        // The folder's own lock is held from before the agent's lock until the socket listens: there is no moment in which
        // an agent counts as running and cannot be called.
        let starting = File::open(folder).map_err(refused("open", folder))?;
        flock(&starting, FlockOperation::LockExclusive).map_err(refused("lock", folder))?;
        let lock = take_lock(&places.lock())?;
        match socket.symlink_metadata() {
            Ok(found) if found.file_type().is_socket() => {
                std::fs::remove_file(&socket).map_err(refused("take away the old socket", &socket))?;
            }
            Ok(_) => return Err(BindError::InTheWay { socket }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused("look at", &socket)(error)),
        }
        let listener = UnixListener::bind(&socket).map_err(refused("listen at", &socket))?;
        let place = Place { socket, _lock: lock };
        std::fs::set_permissions(&place.socket, Permissions::from_mode(0o600))
            .map_err(refused("close to others", &place.socket))?;
        Ok(Self { listener, place })
    }

    /// Serves clients until nobody takes the calls any more; then what is still to be told is told, for as long as a client
    /// may stall.
    pub async fn serve(self, calls: mpsc::Sender<Call>) {
        self.serve_within(calls, Limits::default()).await;
    }

    /// [`Listener::serve`] with other limits.
    pub async fn serve_within(self, calls: mpsc::Sender<Call>, limits: Limits) {
        let Self { listener, place } = self;
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if !is_ours(&stream) => tracing::warn!("a stranger called the agent's socket"),
                    Ok((stream, _)) if clients.len() >= limits.clients => send_away(&stream),
                    Ok((stream, _)) => {
                        clients.spawn(serve_one(stream, calls.clone(), limits));
                    }
                    // Out of descriptors: those that are there go on, and some will end.
                    Err(error) => {
                        tracing::warn!(%error, "a client could not be taken");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = clients.join_next() => {}
                () = calls.closed() => break,
            }
        }
        // Whoever calls now finds nobody. The lock is held until the last client has been told.
        drop(listener);
        place.remove_socket();
        while clients.join_next().await.is_some() {}
    }

    /// Waits until no agent holds the lock: one whose socket is not listened to any more is just ending.
    ///
    /// # Errors
    /// The file system refuses.
    pub async fn ended(places: &Places) -> io::Result<()> {
        let lock = match File::open(places.lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        // On a thread that waits: there is nothing to poll. It is left behind where this is cancelled.
        let wait = tokio::task::spawn_blocking(move || flock(&lock, FlockOperation::LockShared));
        Ok(wait.await.map_err(io::Error::other)??)
    }
}

impl Place {
    fn remove_socket(&self) {
        match std::fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the socket stays");
            }
            _ => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.remove_socket();
    }
}

fn refused<E: Into<io::Error>>(what: &'static str, path: &Path) -> impl Fn(E) -> BindError {
    move |error| BindError::Io { what, path: path.to_owned(), source: error.into() }
}

/// The agent's lock, with the number of this process in it for whoever finds it taken.
fn take_lock(path: &Path) -> Result<File, BindError> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let mut lock = options.open(path).map_err(refused("make", path))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(BindError::Running { pid });
        }
        Err(error) => return Err(refused("lock", path)(error)),
    }
    // Only a hint for people: a full disk does not stop the agent here.
    let note = format!("{}\n", std::process::id());
    if let Err(error) = lock.set_len(0).and_then(|()| lock.write_all(note.as_bytes())) {
        tracing::warn!(%error, "the lock file does not tell this process's number");
    }
    Ok(lock)
}

fn is_ours(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// Says hello and why not. What the socket does not take at once is not said.
fn send_away(stream: &UnixStream) {
    let why = failed(
        FailureKind::Other,
        "the agent has too many clients: end some of them (`ikeep watch`) and try again",
    );
    if let (Ok(hello), Ok(why)) = (encode(&hello()), encode(&why)) {
        let _ = stream.try_write(&[&**hello, &**why].concat());
    }
}

fn failed(kind: FailureKind, message: impl Into<String>) -> Reply {
    Reply::Failed(Failure::new(kind, message))
}

/// Why no more requests come.
enum End {
    /// The client has gone.
    Gone,
    /// It is told this, and then nothing more.
    Told(Reply),
    /// Nobody takes calls any more.
    AgentEnds,
}

type Lines = (Reader<OwnedReadHalf>, Writer<OwnedWriteHalf>);

async fn serve_one(stream: UnixStream, calls: mpsc::Sender<Call>, limits: Limits) {
    let (read, write) = stream.into_split();
    let (mut reader, mut writer): Lines = (Reader::new(read, limits.line), Writer::new(write));
    let (replies_in, mut replies) = mpsc::channel(REPLIES);
    // Two halves side by side, so that neither waits for the other: a client that asks much is still told much.
    let greeting = writer.queue(&hello());
    let end = tokio::select! {
        end = requests(&mut reader, calls, replies_in, limits) => end,
        () = tell(&mut writer, &mut replies, limits) => return,
    };
    match end {
        _ if greeting.is_err() => {}
        End::Gone => {}
        End::Told(last) => {
            let told = async {
                writer.flush().await?;
                writer.queue(&last)?;
                Ok::<_, LineError>(writer.flush().await?)
            };
            let _ = tokio::time::timeout(limits.stalled, told).await;
        }
        End::AgentEnds => {
            let _ = tokio::time::timeout(limits.stalled, tell(&mut writer, &mut replies, limits)).await;
        }
    }
}

/// Hands requests on until there are no more.
async fn requests(
    reader: &mut Reader<OwnedReadHalf>,
    calls: mpsc::Sender<Call>,
    replies: mpsc::Sender<Reply>,
    limits: Limits,
) -> End {
    let closed = calls.clone();
    let all = async {
        match tokio::time::timeout(limits.line, reader.next::<Hello>()).await {
            Ok(Ok(Some(Hello { protocol: PROTOCOL, .. }))) => {}
            Ok(Ok(Some(theirs))) => {
                let ours = hello();
                return End::Told(failed(
                    FailureKind::Usage,
                    format!(
                        "this agent (ikeep {}, process {}) speaks protocol {PROTOCOL}, you (ikeep {}) protocol {}: \
                         restart the older of the two",
                        ours.version, ours.pid, theirs.version, theirs.protocol
                    ),
                ));
            }
            Ok(Ok(None)) => return End::Gone,
            Ok(Err(error)) => return refusal(&error),
            Err(_) => return refusal(&LineError::Slow),
        }
        loop {
            let request: Request = match reader.next().await {
                Ok(Some(request)) => request,
                Ok(None) => return End::Gone,
                Err(error) => return refusal(&error),
            };
            if calls.send(Call { request, replies: replies.clone() }).await.is_err() {
                return End::AgentEnds;
            }
        }
    };
    // What `all` holds of `replies` goes with it, so that the telling ends once the service's clones are gone too.
    tokio::select! {
        biased;
        end = all => end,
        () = closed.closed() => End::AgentEnds,
    }
}

fn refusal(error: &LineError) -> End {
    match error {
        LineError::Torn | LineError::Io(_) => End::Gone,
        error => {
            let version = env!("CARGO_PKG_VERSION");
            let message =
                format!("the agent (ikeep {version}) was sent {error}; use the same version for both");
            End::Told(failed(FailureKind::Usage, message))
        }
    }
}

/// Writes replies until there are no more, or the client takes none.
async fn tell(writer: &mut Writer<OwnedWriteHalf>, replies: &mut mpsc::Receiver<Reply>, limits: Limits) {
    loop {
        match tokio::time::timeout(limits.stalled, writer.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return tracing::warn!("a client that takes no replies is dropped"),
        }
        let Some(reply) = replies.recv().await else { return };
        if let Err(error) = writer.queue(&reply) {
            tracing::error!(%error, "a reply cannot be sent");
            let _ = writer.queue(&failed(FailureKind::Other, "the agent's answer is too long to be sent"));
        }
    }
}
