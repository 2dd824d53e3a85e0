//! What the agent says, also across its restarts.

use crate::cli::status::Picture;
use crate::config::Places;
use crate::ipc::{Client, ClientError, Reply, Request};
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Changes come by themselves; an agent that says nothing for so long is asked.
const QUIET: Duration = Duration::from_secs(30);
/// An agent that was asked answers within this time.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two calls of an agent that is not there.
const AGAIN: Duration = Duration::from_secs(1);

/// What is known of the agent.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Heard {
    /// Nothing yet.
    Nothing,
    /// Its picture.
    Status(Value),
    /// No agent runs.
    NoAgent,
    /// There is one, but it cannot be talked to; why.
    Trouble(String),
}

/// Follows the agent for as long as somebody listens, calling it again when it has gone.
pub(super) async fn follow(places: Places, heard: watch::Sender<Heard>) {
    while !heard.is_closed() {
        let Err(ended) = watch(&places, &heard).await;
        let now = match ended {
            Ended::Error(ClientError::NotRunning { .. } | ClientError::Gone) => Heard::NoAgent,
            Ended::Error(error) => Heard::Trouble(error.to_string()),
            Ended::Refused(message) => Heard::Trouble(message),
        };
        tell(&heard, now);
        sleep(AGAIN).await;
    }
}

/// Why there is no more to hear from an agent.
enum Ended {
    Error(ClientError),
    Refused(String),
}

impl From<ClientError> for Ended {
    fn from(error: ClientError) -> Self {
        Self::Error(error)
    }
}

/// Until there is no more to hear.
async fn watch(places: &Places, heard: &watch::Sender<Heard>) -> Result<Infallible, Ended> {
    let mut client = Client::connect(places).await?;
    client.send(&Request::Watch).await?;
    let mut asked = true;
    loop {
        let patience = if asked { ANSWER } else { QUIET };
        match timeout(patience, client.recv()).await {
            Ok(Ok(Reply::Status { status })) => {
                asked = false;
                tell(heard, Heard::Status(status));
            }
            Ok(Ok(Reply::Failed(failure))) => return Err(Ended::Refused(failure.message)),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if asked => {
                let pid = i32::try_from(client.agent.pid).ok();
                return Err(ClientError::Silent { socket: places.socket(), pid }.into());
            }
            Err(_) => {
                client.send(&Request::Status).await?;
                asked = true;
            }
        }
    }
}

fn tell(heard: &watch::Sender<Heard>, now: Heard) {
    heard.send_if_modified(|before| {
        let changed = *before != now;
        *before = now;
        changed
    });
}

impl Heard {
    /// Nothing is connected: a person may want to.
    pub(super) fn offers_hosts(&self) -> bool {
        match self {
            Self::NoAgent => true,
            Self::Status(status) => status["state"] == "disconnected",
            Self::Nothing | Self::Trouble(_) => false,
        }
    }

    /// The picture, where there is one.
    pub(super) fn picture(&self) -> Option<Picture<'_>> {
        match self {
            Self::Status(status) => Some(Picture(status)),
            _ => None,
        }
    }
}
