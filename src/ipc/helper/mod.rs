//! Messages between the agent and `ikeep-netd`, the small helper with the privilege to change the network: a closed set of typed
//! requests, one JSON document a message over a `SOCK_SEQPACKET` Unix socket, descriptors beside them.
//!
//! The agent asks and waits for the answer, one request at a time. Its connection is its hold on what it asked for: when it
//! ends, the helper keeps the tunnel for a while, for the agent that comes back.

mod channel;
mod client;
mod message;
mod peer;

pub use channel::{Channel, ChannelError, decode, encode, listen, watched};
pub use client::{Helper, HelperError};
pub use message::{
    Answer, Applied, Ask, Guard, GuardMode, MAX_GAP, MAX_MESSAGE, MAX_MTU, MAX_NETS, PROTOCOL, Refusal,
    RefusalKind, SOCKET, Tun,
};
pub use peer::Peer;
