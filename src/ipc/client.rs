//! The side of the command line.

use super::line::{LineError, Reader, Writer};
use super::message::{Hello, PROTOCOL, Reply, Request};
use super::{MAX_PATH, hello};
use crate::config::Places;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// An agent that runs says hello within this time.
const HELLO: Duration = Duration::from_secs(5);

/// The agent cannot be talked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens: no socket, or one that a dead agent left.
    #[error("no agent of yours runs ({} is not listened to): `ikeep connect` starts one", .socket.display())]
    NotRunning {
        /// Where it would listen.
        socket: PathBuf,
    },
    /// It ended, or closed the line, before it had said everything.
    #[error(
        "the agent has gone: `ikeep connect` starts another one, which takes up the session; why it ended is in its log \
         (`journalctl --user -u ikeep`, or log/ in the state folder)"
    )]
    Gone,
    /// The path of the socket is too long.
    #[error(
        "the socket's path {} is longer than {MAX_PATH} octets: set XDG_RUNTIME_DIR to a shorter folder of yours",
        .socket.display()
    )]
    PathTooLong {
        /// The path.
        socket: PathBuf,
    },
    /// It belongs to somebody else: nothing was told to it.
    #[error(
        "the agent at {} belongs to the user with the number {uid}, not to you: run ikeep as that user, or with \
         XDG_RUNTIME_DIR and HOME of your own", .socket.display()
    )]
    Foreign {
        /// Where it listens.
        socket: PathBuf,
        /// Who runs it.
        uid: u32,
    },
    /// It speaks another version of the protocol.
    #[error(
        "the agent that runs (ikeep {}, process {}, protocol {}) is {} than this command (ikeep {}, protocol {PROTOCOL}): \
         end it with `systemctl --user restart ikeep`, or with `kill {}` and connect again (it keeps its session){}",
        .theirs.version, .theirs.pid, .theirs.protocol,
        if .theirs.protocol < PROTOCOL { "older" } else { "newer" },
        env!("CARGO_PKG_VERSION"), .theirs.pid,
        if .theirs.protocol < PROTOCOL { "" } else { "; or use the newer ikeep" }
    )]
    Protocol {
        /// What it said.
        theirs: Hello,
    },
    /// It listens, but says nothing.
    #[error(
        "the agent at {} does not answer{}: end that process and connect again (its session is kept)",
        .socket.display(), .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Silent {
        /// Where it listens.
        socket: PathBuf,
        /// Which process.
        pid: Option<i32>,
    },
    /// It says what is not understood.
    #[error("the agent sent {0}: use the ikeep that the agent was started from, or restart it")]
    Line(LineError),
    /// A request cannot be put into a line.
    #[error("the agent cannot be asked this: {0}")]
    Request(LineError),
    /// The socket.
    #[error("cannot talk to the agent at {}", .socket.display())]
    Io {
        /// Where it listens.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A line to the agent of this user.
pub struct Client {
    reader: Reader<OwnedReadHalf>,
    writer: Writer<OwnedWriteHalf>,
    socket: PathBuf,
    /// What the agent said of itself.
    pub agent: Hello,
}

impl Client {
    /// Calls the agent and says hello.
    ///
    /// # Errors
    /// No agent runs, it is not this user's, it speaks another protocol, or it does not answer within 5 s.
    pub async fn connect(places: &Places) -> Result<Self, ClientError> {
        let socket = places.socket();
        if socket.as_os_str().as_bytes().len() > MAX_PATH {
            return Err(ClientError::PathTooLong { socket });
        }
        let stream = UnixStream::connect(&socket).await.map_err(|source| match source.kind() {
            // Reset: it died between the call and its answer.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                ClientError::NotRunning { socket: socket.clone() }
            }
            _ => io_error(&socket)(source),
        })?;
        let peer = stream.peer_cred().map_err(io_error(&socket))?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(ClientError::Foreign { socket, uid: peer.uid() });
        }
        match tokio::time::timeout(HELLO, Self::greet(stream, socket.clone())).await {
            Ok(greeted) => greeted,
            Err(_) => Err(ClientError::Silent { socket, pid: peer.pid() }),
        }
    }

    async fn greet(stream: UnixStream, socket: PathBuf) -> Result<Self, ClientError> {
        let (read, write) = stream.into_split();
        let (mut reader, mut writer) = (Reader::new(read, HELLO), Writer::new(write));
        writer.queue(&hello()).map_err(ClientError::Request)?;
        // It may have closed already, with its reason behind its hello.
        writer.flush().await.or_else(unless_gone).map_err(io_error(&socket))?;
        let agent: Hello = reader.next().await.map_err(line_error(&socket))?.ok_or(ClientError::Gone)?;
        if agent.protocol != PROTOCOL {
            return Err(ClientError::Protocol { theirs: agent });
        }
        Ok(Self { reader, writer, socket, agent })
    }

    /// Sends a request. Where the agent has gone, [`Client::recv`] says so, after what the agent said last.
    ///
    /// # Errors
    /// The request is longer than [`MAX_LINE`](super::MAX_LINE), or the socket fails.
    pub async fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        self.writer.queue(request).map_err(ClientError::Request)?;
        self.writer.flush().await.or_else(unless_gone).map_err(io_error(&self.socket))
    }

    /// The next reply. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// The agent has gone, or says what is not understood.
    pub async fn recv(&mut self) -> Result<Reply, ClientError> {
        self.reader.next().await.map_err(line_error(&self.socket))?.ok_or(ClientError::Gone)
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn unless_gone(error: io::Error) -> io::Result<()> {
    if is_gone(&error) { Ok(()) } else { Err(error) }
}

fn io_error(socket: &Path) -> impl Fn(io::Error) -> ClientError {
    move |source| ClientError::Io { socket: socket.to_owned(), source }
}

fn line_error(socket: &Path) -> impl Fn(LineError) -> ClientError {
    move |error| match error {
        LineError::Torn => ClientError::Gone,
        LineError::Io(error) if is_gone(&error) => ClientError::Gone,
        LineError::Io(source) => io_error(socket)(source),
        error => ClientError::Line(error),
    }
}
