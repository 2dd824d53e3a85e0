//! What the agent says, also across its restarts, and what is asked of it. Each talk is a task of its own, so that the picture
//! waits for nobody.

use crate::cli::dialogue::told;
use crate::config::Places;
use crate::ipc::{Client, ClientError, Failure, Hello, Reply, Request};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two looks at the counters; changes come by themselves.
const LOOK: Duration = Duration::from_secs(1);
/// So many looks that bring nothing: whatever the agent said before need not be so any more.
const UNANSWERED: u32 = 4;
/// Between two calls of an agent that is not there.
const AGAIN: Duration = Duration::from_millis(500);

/// What is heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The agent's picture.
    Status(Value),
    /// The agent has gone, or cannot be talked to; why.
    Lost(String),
    /// There is one again.
    Found(Hello),
    /// It does not want to be watched.
    Refused(Failure),
    /// What came of a request; `failed`: nothing.
    Note {
        /// For people.
        text: String,
        /// It did not work.
        failed: bool,
    },
}

/// Follows the agent for as long as somebody listens, calling it again when it has gone.
pub(super) async fn follow(places: Places, mut client: Client, heard: mpsc::Sender<Heard>) {
    loop {
        let why = match watch(&places, &mut client, &heard).await {
            Ended::Gone(why) => why,
            Ended::Refused(failure) => {
                let _ = heard.send(Heard::Refused(failure)).await;
                return;
            }
            Ended::Unheard => return,
        };
        if heard.send(Heard::Lost(whole(&why))).await.is_err() {
            return;
        }
        client = loop {
            tokio::time::sleep(AGAIN).await;
            match Client::connect(&places).await {
                Ok(client) => break client,
                Err(error) if heard.send(Heard::Lost(whole(&error))).await.is_err() => return,
                Err(_) => {}
            }
        };
        if heard.send(Heard::Found(client.agent.clone())).await.is_err() {
            return;
        }
    }
}

/// Why there is no more to hear from an agent.
enum Ended {
    Gone(ClientError),
    Refused(Failure),
    /// Nobody listens.
    Unheard,
}

async fn watch(places: &Places, client: &mut Client, heard: &mpsc::Sender<Heard>) -> Ended {
    let mut request = Request::Watch;
    let mut unanswered = 0;
    loop {
        if unanswered == UNANSWERED {
            let pid = i32::try_from(client.agent.pid).ok();
            return Ended::Gone(ClientError::Silent { socket: places.socket(), pid });
        }
        unanswered += 1;
        if let Err(error) = client.send(&request).await {
            return Ended::Gone(error);
        }
        request = Request::Status;
        let look = tokio::time::sleep(LOOK);
        tokio::pin!(look);
        loop {
            let status = tokio::select! {
                reply = client.recv() => match reply {
                    Ok(Reply::Status { status }) => status,
                    Ok(Reply::Failed(failure)) => return Ended::Refused(failure),
                    Ok(_) => continue,
                    Err(error) => return Ended::Gone(error),
                },
                () = &mut look => break,
            };
            unanswered = 0;
            if heard.send(Heard::Status(status)).await.is_err() {
                return Ended::Unheard;
            }
        }
    }
}

/// An error with its causes, on a line.
fn whole(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Asks the agent for something else, on a line of its own, and tells what comes of it.
pub(super) async fn ask(places: Places, request: Request, heard: mpsc::Sender<Heard>) {
    let (text, failed) = match answer(&places, &request, &heard).await {
        Ok(text) => (text, false),
        Err(text) => (text, true),
    };
    let _ = heard.send(Heard::Note { text, failed }).await;
}

async fn answer(places: &Places, request: &Request, heard: &mpsc::Sender<Heard>) -> Result<String, String> {
    let said = |error: ClientError| whole(&error);
    let mut client = Client::connect(places).await.map_err(said)?;
    client.send(request).await.map_err(said)?;
    loop {
        match client.recv().await.map_err(said)? {
            Reply::Connected(connected) => return Ok(told(&connected).trim_end().to_owned()),
            Reply::Done => return Ok("Disconnected".into()),
            Reply::Failed(failure) => return Err(failure.message),
            // Whoever asks has to answer, and there is no form here. The agent hears that nobody does.
            Reply::Ask(_) => return Err("the gateway asks for a login: `ikeep connect`".into()),
            Reply::State { text, .. } | Reply::Notice { text, .. } => {
                let _ = heard.send(Heard::Note { text, failed: false }).await;
            }
            _ => {}
        }
    }
}
