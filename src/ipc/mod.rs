//! Messages between the command line and the agent: one JSON document a line over a Unix socket of this user's.
//!
//! Both sides say [`Hello`] first. Then the client sends [`Request`]s and the agent [`Reply`]s; what a request is answered
//! with stands at the request. A [`Call`] is the same inside one process: the agent's service knows nothing of sockets.

pub mod message;

pub use message::{
    Answer, Connect, Connected, Failure, FailureKind, Hello, Input, InputKind, NoticeKind, PROTOCOL,
    Question, Reply, Request,
};

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
