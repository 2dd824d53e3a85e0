//! The agent's side.

use super::channel::{Channel, ChannelError};
use super::message::{Answer, Applied, Ask, Guard, PROTOCOL, Refusal, RefusalKind, Tun};
use crate::plan::Network;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// Longest wait for the helper: to be let in, and for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the helper does not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// Nobody listens.
    #[error(
        "no helper listens at {}: start it (`sudo systemctl enable --now ikeep-netd.socket`), or do without (`--tunnel proxy`)",
        .path.display()
    )]
    Absent {
        /// Where it should.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The one who listens is neither root nor this user.
    #[error(
        "the socket {} belongs to the user with the number {uid}, not to the helper: see who made it, and start the helper \
         (`sudo systemctl restart ikeep-netd.socket`)",
        .path.display()
    )]
    Impostor {
        /// Where it listens.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// The helper says no, and why.
    #[error("the helper refuses: {0}")]
    Refused(Refusal),
    /// It has ended the connection; it may be starting anew.
    #[error("the helper has ended the connection: connect again (`journalctl -u ikeep-netd` tells why)")]
    Gone,
    /// It takes too long.
    #[error("the helper does not answer within {} s: see `systemctl status ikeep-netd`", PATIENCE.as_secs())]
    Late,
    /// What it sends is not of this protocol.
    #[error("the helper's answer makes no sense ({what}): use the same version of both programs")]
    Garbage {
        /// What is wrong.
        what: String,
    },
    /// What was asked is too much for one message.
    #[error("the network plan is too long for the helper: let the gateway send fewer networks")]
    TooLong,
    /// The kernel refuses.
    #[error("the helper's socket failed")]
    Io(#[source] io::Error),
}

impl HelperError {
    /// The helper's own word on it, for programs.
    pub fn refusal(&self) -> Option<RefusalKind> {
        match self {
            Self::Refused(refusal) => Some(refusal.kind),
            _ => None,
        }
    }
}

impl From<ChannelError> for HelperError {
    fn from(error: ChannelError) -> Self {
        match error {
            ChannelError::Closed => Self::Gone,
            ChannelError::Io(error) => Self::Io(error),
            error => Self::Garbage { what: error.to_string() },
        }
    }
}

/// The helper, as one agent has it. Dropped, what it holds is kept by the helper for a while, then reverted.
///
/// A request that is cancelled may have been obeyed all the same; its answer is thrown away when the next one is made.
#[derive(Debug)]
pub struct Helper {
    channel: Channel,
    /// Answers to requests that were cancelled.
    owed: usize,
    version: String,
}

impl Helper {
    /// Connects to the helper that listens at `path` and sees who that is.
    ///
    /// # Errors
    /// Nobody listens, it is not the helper, it is of another version, or it refuses this user.
    pub async fn connect(path: &Path) -> Result<Self, HelperError> {
        within(Self::greet(path)).await
    }

    async fn greet(path: &Path) -> Result<Self, HelperError> {
        let channel = Channel::connect(path)
            .await
            .map_err(|source| HelperError::Absent { path: path.to_owned(), source })?;
        let uid = channel.peer().map_err(HelperError::Io)?.uid;
        if uid != 0 && uid != rustix::process::geteuid().as_raw() {
            return Err(HelperError::Impostor { path: path.to_owned(), uid });
        }
        let mut helper = Self { channel, owed: 0, version: String::new() };
        let hello = Ask::Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        match helper.exchange(&hello, None).await? {
            (Answer::Welcome { protocol: PROTOCOL, version }, None) => helper.version = version,
            (Answer::Welcome { protocol, version }, _) => {
                return Err(HelperError::Garbage {
                    what: format!("ikeep-netd {version} speaks protocol {protocol}, this is {PROTOCOL}"),
                });
            }
            (other, _) => return Err(unexpected(&other)),
        }
        Ok(helper)
    }

    /// The helper's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The tunnel's device: the one that the helper keeps for this user, or a new one. `device`: the one that a helper before
    /// this one has made; it is taken over.
    ///
    /// # Errors
    /// Refused (another user has a tunnel), or the helper fails.
    pub async fn tun(&mut self, device: Option<BorrowedFd<'_>>) -> Result<(Tun, OwnedFd), HelperError> {
        match self.ask(&Ask::Tun {}, device).await? {
            (Answer::Tun(tun), Some(fd)) => Ok((tun, fd)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// A UDP socket whose packets stay outside the tunnel; not bound, and not non-blocking.
    ///
    /// # Errors
    /// The helper fails.
    pub async fn udp(&mut self, ipv6: bool) -> Result<OwnedFd, HelperError> {
        match self.ask(&Ask::Udp { ipv6 }, None).await? {
            (Answer::Udp {}, Some(fd)) => Ok(fd),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// A TCP socket whose packets stay outside the tunnel; not bound, and not non-blocking.
    ///
    /// # Errors
    /// The helper fails.
    pub async fn tcp(&mut self, ipv6: bool) -> Result<OwnedFd, HelperError> {
        match self.ask(&Ask::Tcp { ipv6 }, None).await? {
            (Answer::Tcp {}, Some(fd)) => Ok(fd),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Puts the kill switch up, or takes it down ([`Ask::Guard`]).
    ///
    /// # Errors
    /// Refused: then it is as it was before.
    pub async fn guard(&mut self, guard: Guard) -> Result<(), HelperError> {
        match self.ask(&Ask::Guard { guard }, None).await? {
            (Answer::Guarded {}, None) => Ok(()),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// The kill switch that stands, and whether it is this user's ([`Ask::Standing`]).
    ///
    /// # Errors
    /// An older helper ends the conversation.
    pub async fn standing(&mut self) -> Result<(Guard, bool), HelperError> {
        match self.ask(&Ask::Standing {}, None).await? {
            (Answer::Standing { guard, yours }, None) => Ok((guard, yours)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Makes the machine as `network` says; needs a device ([`Helper::tun`]).
    ///
    /// # Errors
    /// Refused: then the machine is as it was before.
    pub async fn apply(&mut self, network: &Network) -> Result<Applied, HelperError> {
        match self.ask(&Ask::Apply { network: network.clone() }, None).await? {
            (Answer::Applied(applied), None) => Ok(applied),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Lets packets and names past the tunnel for so many seconds; 0: no more ([`Ask::Gap`]).
    ///
    /// # Errors
    /// Refused: then the machine is as it was before.
    pub async fn gap(&mut self, seconds: u16) -> Result<Applied, HelperError> {
        match self.ask(&Ask::Gap { seconds }, None).await? {
            (Answer::Applied(applied), None) => Ok(applied),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Puts everything back and lets the device go, which ends once its last descriptor is closed. Returns what could not be
    /// put back, for people.
    ///
    /// # Errors
    /// The helper fails.
    pub async fn revert(&mut self) -> Result<Vec<String>, HelperError> {
        match self.ask(&Ask::Revert {}, None).await? {
            (Answer::Reverted { problems }, None) => Ok(problems),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Waits until the helper is gone. May be cancelled.
    pub async fn closed(&self) {
        self.channel.closed().await;
    }

    async fn ask(
        &mut self,
        ask: &Ask,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<(Answer, Option<OwnedFd>), HelperError> {
        within(self.exchange(ask, beside)).await
    }

    async fn exchange(
        &mut self,
        ask: &Ask,
        beside: Option<BorrowedFd<'_>>,
    ) -> Result<(Answer, Option<OwnedFd>), HelperError> {
        while self.owed > 0 {
            let _: (Answer, _) = self.channel.receive().await?;
            self.owed -= 1;
        }
        match self.channel.send(ask, beside).await {
            Ok(()) => {}
            Err(ChannelError::TooLong) => return Err(HelperError::TooLong),
            // Whoever sends us away says why first.
            Err(ChannelError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        self.owed += 1;
        let (answer, fd) = self.channel.receive().await?;
        self.owed -= 1;
        match answer {
            Answer::Refused(refusal) => Err(HelperError::Refused(refusal)),
            answer => Ok((answer, fd)),
        }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, HelperError>>) -> Result<T, HelperError> {
    timeout(PATIENCE, work).await.unwrap_or(Err(HelperError::Late))
}

fn unexpected(answer: &Answer) -> HelperError {
    let what = match answer {
        Answer::Welcome { .. } => "a welcome out of order",
        Answer::Tun(_) => "a device that was not asked for, or none",
        Answer::Udp {} => "a socket that was not asked for, or none",
        Answer::Tcp {} => "a TCP socket that was not asked for, or none",
        Answer::Guarded {} => "an answer to another request: guarded",
        Answer::Standing { .. } => "a kill switch out of order",
        Answer::Applied(_) => "an answer to another request: applied",
        Answer::Reverted { .. } => "an answer to another request: reverted",
        Answer::Refused(_) => "a refusal out of order",
    };
    HelperError::Garbage { what: what.to_owned() }
}

#[cfg(test)]
mod tests;
