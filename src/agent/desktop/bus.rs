//! Makes a desktop show the latest word. Only this task waits for the bus and for whoever shows notifications.

use super::note::Note;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use zbus::export::futures_core::Stream as _;
use zbus::zvariant::Value;
use zbus::{Connection, Error, MatchRule, Message, MessageStream, connection, message};

const BUS: &str = "org.freedesktop.DBus";
const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// Longest wait for the bus itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// A bus that is not there, or is lost, is looked for after this while there is something to show, then after twice as long each
/// time, up to the second.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Somebody who refuses is asked again so often, after times that double from the first; then only another.
const RETRIES: u32 = 5;

/// Changes of who shows notifications that may wait for us.
const OWNERS: usize = 16;
/// In milliseconds; the desktop's own time.
const EXPIRE: i32 = -1;
/// Normal.
const URGENCY: u8 = 1;

/// Why nothing is to be done on the bus any more.
enum Ended {
    /// Nothing is shown, and nothing is to be.
    Nothing,
    /// The agent ends.
    Agent,
}

/// Shows what `notes` says, in the place of what it said before, and takes back what it says no more; until its sender is gone,
/// then the last is taken back, too. `bus`: its address; `None`: the session's.
///
/// While there is nothing to show, nobody is asked for anything. A desktop that hangs gets one call, and the latest word once it
/// has answered that; one that comes later, or again, is told what the one before was.
pub async fn serve(bus: Option<String>, mut notes: watch::Receiver<Option<Note>>) {
    let mut wait = FIRST_WAIT;
    while notes.wait_for(Option::is_some).await.is_ok() {
        match attend(bus.as_deref(), &mut notes).await {
            Ok(Ended::Agent) => return,
            Ok(Ended::Nothing) => wait = FIRST_WAIT,
            Err(error) => {
                tracing::debug!(%error, "no session bus, so nothing is shown on the desktop");
                if let Ok(Err(_)) = timeout(wait, notes.changed()).await {
                    return;
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

async fn attend(bus: Option<&str>, notes: &mut watch::Receiver<Option<Note>>) -> zbus::Result<Ended> {
    let late = || Error::InputOutput(Arc::new(io::ErrorKind::TimedOut.into()));
    let (connection, mut owners) = timeout(PATIENCE, connect(bus)).await.map_err(|_| late())??;
    let mut desk = Desk { connection, shown: None, refused: None, refusals: 0 };
    loop {
        let wanted = notes.borrow_and_update().clone();
        desk.agree(wanted.as_ref()).await;
        if wanted.is_none() {
            return Ok(Ended::Nothing);
        }
        let again = desk.asks_again_after();
        tokio::select! {
            changed = notes.changed() => if changed.is_err() {
                desk.agree(None).await;
                return Ok(Ended::Agent);
            },
            change = next(&mut owners) => desk.owner_changed(&change?),
            () = sleep(again.unwrap_or_default()), if again.is_some() => desk.refused = None,
        }
    }
}

/// May be cancelled.
async fn next(stream: &mut MessageStream) -> zbus::Result<Message> {
    let gone = || Error::InputOutput(Arc::new(io::ErrorKind::BrokenPipe.into()));
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await.ok_or_else(gone)?
}

/// A connection, and who shows notifications there from now on.
async fn connect(bus: Option<&str>) -> zbus::Result<(Connection, MessageStream)> {
    let builder = match bus {
        Some(address) => connection::Builder::address(address)?,
        None => connection::Builder::session()?,
    };
    let connection = builder.build().await?;
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(BUS)?
        .interface(BUS)?
        .member("NameOwnerChanged")?
        .add_arg(NAME)?
        .build();
    let owners = MessageStream::for_match_rule(rule, &connection, Some(OWNERS)).await?;
    Ok((connection, owners))
}

/// What is shown, and by whom.
struct Shown {
    note: Note,
    id: u32,
    /// Unique name on the bus; numbers of another's are not ours.
    owner: Option<String>,
}

/// Our side of one connection to the bus. Its calls have no limit in time: whoever gave up a call would not know whether the
/// notification is there, and another would be put beside it.
struct Desk {
    connection: Connection,
    shown: Option<Shown>,
    /// Nobody took it.
    refused: Option<Note>,
    /// In a row.
    refusals: u32,
}

impl Desk {
    /// Shows this, or nothing.
    async fn agree(&mut self, wanted: Option<&Note>) {
        let Some(note) = wanted else {
            self.refused = None;
            if let Some(shown) = self.shown.take() {
                // The person may have closed it already.
                let _ = self.call("CloseNotification", &shown.id).await;
            }
            return;
        };
        let is = |other: Option<&Note>| other == Some(note);
        if is(self.shown.as_ref().map(|shown| &shown.note)) || is(self.refused.as_ref()) {
            return;
        }
        // Nought: in nobody's place.
        let before = self.shown.as_ref().map_or(0, |shown| shown.id);
        match self.notify(note, before).await {
            Ok(shown) => (self.shown, self.refused, self.refusals) = (Some(shown), None, 0),
            Err(error) => {
                tracing::debug!(%error, "the desktop shows no notification");
                self.refused = Some(note.clone());
                self.refusals = self.refusals.saturating_add(1);
            }
        }
    }

    fn asks_again_after(&self) -> Option<Duration> {
        self.refused.as_ref()?;
        (1..=RETRIES).contains(&self.refusals).then(|| FIRST_WAIT * (1 << (self.refusals - 1)))
    }

    async fn notify(&self, note: &Note, replaces: u32) -> zbus::Result<Shown> {
        // Who does not say what it reads may read markup.
        let markup = match self.call("GetCapabilities", &()).await {
            Ok(answer) => {
                answer.body().deserialize::<Vec<String>>()?.iter().any(|able| able == "body-markup")
            }
            Err(_) => true,
        };
        let hints: BTreeMap<&str, Value<'_>> =
            [("category", Value::from("network")), ("urgency", Value::from(URGENCY))].into();
        let actions: [&str; 0] = [];
        let (summary, body) = (note.summary(), note.body(markup));
        let what =
            ("ikeep", replaces, "network-vpn", summary, body.as_str(), actions.as_slice(), hints, EXPIRE);
        let answer = self.call("Notify", &what).await?;
        let owner = answer.header().sender().map(|name| name.as_str().to_owned());
        Ok(Shown { note: note.clone(), id: answer.body().deserialize()?, owner })
    }

    async fn call(
        &self,
        method: &str,
        arguments: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> zbus::Result<Message> {
        self.connection.call_method(Some(NAME), PATH, Some(NAME), method, arguments).await
    }

    /// Somebody else shows notifications now, and knows of none of ours; or nobody does, and nobody is started for it.
    fn owner_changed(&mut self, message: &Message) {
        let body = message.body();
        let Ok((_, _, owner)) = body.deserialize::<(&str, &str, &str)>() else { return };
        if owner.is_empty() {
            let shown = self.shown.take().map(|shown| shown.note);
            (self.refused, self.refusals) = (self.refused.take().or(shown), u32::MAX);
        } else if self.shown.as_ref().is_none_or(|shown| shown.owner.as_deref() != Some(owner)) {
            (self.shown, self.refused, self.refusals) = (None, None, 0);
        }
    }
}
