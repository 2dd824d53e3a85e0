//! Messages between the command line and the agent: one JSON document a line over a Unix socket of this user's.
//!
//! Both sides say [`Hello`] first. Then the client sends [`Request`]s and the agent [`Reply`]s; what a request is answered
//! with stands at the request. A [`Call`] is the same inside one process: the agent's service knows nothing of sockets.

mod client;
pub mod helper;
mod line;
pub mod message;
mod server;
pub mod supervisor;

pub use client::{Client, ClientError};
pub use line::{LineError, decode, encode};
pub use message::{
    Answer, Connect, Connected, Failure, FailureKind, Hello, Input, InputKind, MAX_LINE, NoticeKind,
    PROTOCOL, Question, Reply, Request, Typed,
};
pub use server::{BindError, Limits, Listener};

use tokio::sync::mpsc;

/// Replies that may wait for one client. A client that takes none loses what comes then, and hears of nothing else.
pub const REPLIES: usize = 64;

/// A request with the way back. All requests of one client share one way; when its receiver is dropped, the client is gone.
#[derive(Debug)]
pub struct Call {
    /// What is wanted.
    pub request: Request,
    /// Where the replies go.
    pub replies: mpsc::Sender<Reply>,
}

/// The longest path that a socket address can hold (`sockaddr_un`), octets.
const MAX_PATH: usize = 107;

/// The first line of this side.
fn hello() -> Hello {
    Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() }
}
