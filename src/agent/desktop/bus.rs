//! Makes a desktop show the latest word. Only this task waits for the bus and for whoever shows notifications.

use super::kept::{Kept, OnScreen};
use super::note::Note;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};
use zbus::export::futures_core::Stream as _;
use zbus::zvariant::Value;
use zbus::{Connection, Error, MatchRule, Message, MessageStream, connection, message};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// Longest wait for the bus itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// A bus that is not there, or is lost, is looked for after this while there is something to show, then after twice as long each
/// time, up to the second.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Who refuses, or goes with what it shows, is asked again after the same times. Whoever comes then is asked this soon.
const NEWCOMER: Duration = FIRST_WAIT;
/// So long an agent may take to find what it has to tell, before what a killed one has left on the screen is taken back.
const LEFT: Duration = Duration::from_secs(5);

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
/// then the last is taken back, too. `bus`: its address; `None`: the session's. `kept`: a file that tells the next agent what is
/// on the screen, should this one be killed.
///
/// While there is nothing to show, nobody is asked for anything. A desktop that hangs gets one call, and the latest word once it
/// has answered that; one that comes later, or again, is told what the one before was.
pub async fn serve(bus: Option<String>, kept: Option<PathBuf>, mut notes: watch::Receiver<Option<Note>>) {
    let kept = Kept(kept);
    let mut left = kept.read().await;
    if left.is_some() {
        let _ = timeout(LEFT, notes.wait_for(Option::is_some)).await;
    }
    let mut wait = FIRST_WAIT;
    while left.is_some() || notes.wait_for(Option::is_some).await.is_ok() {
        match attend(bus.as_deref(), &kept, left.take(), &mut notes).await {
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

async fn attend(
    bus: Option<&str>,
    kept: &Kept,
    left: Option<OnScreen>,
    notes: &mut watch::Receiver<Option<Note>>,
) -> zbus::Result<Ended> {
    let late = || Error::InputOutput(Arc::new(io::ErrorKind::TimedOut.into()));
    let mut desk = timeout(PATIENCE, Desk::at(bus, kept.clone())).await.map_err(|_| late())??;
    desk.take_over(left).await;
    loop {
        let wanted = notes.borrow_and_update().clone();
        desk.agree(wanted.as_ref()).await;
        if wanted.is_none() {
            return Ok(Ended::Nothing);
        }
        tokio::select! {
            changed = notes.changed() => if changed.is_err() {
                desk.agree(None).await;
                return Ok(Ended::Agent);
            },
            change = next(&mut desk.owners) => desk.owner_changed(&change?).await,
            () = due(&mut desk.again) => (desk.again, desk.refused) = (None, None),
        }
    }
}

/// May be cancelled.
async fn next(stream: &mut MessageStream) -> zbus::Result<Message> {
    let gone = || Error::InputOutput(Arc::new(io::ErrorKind::BrokenPipe.into()));
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await.ok_or_else(gone)?
}

async fn due(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}

/// What is shown, and by whom.
struct Shown {
    /// `None`: what an agent that was killed had to tell.
    note: Option<Note>,
    id: u32,
    /// Unique name on the bus; numbers of another's are not ours.
    owner: String,
}

/// Our side of one connection to the bus. Its calls have no limit in time: whoever gave up a call would not know whether the
/// notification is there, and another would be put beside it.
struct Desk {
    connection: Connection,
    /// Changes of who shows notifications.
    owners: MessageStream,
    /// Who does, as far as `owners` was read.
    owner: Option<String>,
    kept: Kept,
    shown: Option<Shown>,
    /// Nobody took it, or it went with who did; it is told again at `again`.
    refused: Option<Note>,
    again: Option<Pin<Box<Sleep>>>,
    /// How often that was so. A notification that is taken does not end the count: it may go as the one before did.
    refusals: u32,
}

impl Desk {
    async fn at(bus: Option<&str>, kept: Kept) -> zbus::Result<Self> {
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
        let owner = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &NAME).await;
        // Nobody has it.
        let owner = owner.ok().and_then(|answer| answer.body().deserialize().ok());
        Ok(Self { connection, owners, owner, kept, shown: None, refused: None, again: None, refusals: 0 })
    }

    /// What a killed agent left is ours, if whoever it told is still there.
    async fn take_over(&mut self, left: Option<OnScreen>) {
        let Some(OnScreen { bus, owner, id }) = left else { return };
        if bus == self.connection.server_guid().as_str() && self.owner.as_ref() == Some(&owner) {
            self.shown = Some(Shown { note: None, id, owner });
        } else {
            self.kept.keep(None).await;
        }
    }

    /// Shows this, or nothing.
    async fn agree(&mut self, wanted: Option<&Note>) {
        let Some(note) = wanted else {
            (self.refused, self.again) = (None, None);
            if let Some(shown) = self.shown.take() {
                // The person may have closed it already.
                let _ = self.call("CloseNotification", &shown.id).await;
                self.kept.keep(None).await;
            }
            return;
        };
        if self.shown.as_ref().and_then(|shown| shown.note.as_ref()) == Some(note)
            || self.refused.as_ref() == Some(note)
        {
            return;
        }
        // Nought: in nobody's place.
        let before = self.shown.as_ref().map_or(0, |shown| shown.id);
        match self.notify(note, before).await {
            Ok(shown) => {
                let (bus, owner) = (self.connection.server_guid().to_string(), shown.owner.clone());
                self.kept.keep(Some(OnScreen { bus, owner, id: shown.id })).await;
                (self.shown, self.refused, self.again) = (Some(shown), None, None);
                self.check_owner().await;
            }
            Err(error) => {
                tracing::debug!(%error, "the desktop shows no notification");
                self.check_owner().await;
                self.refused(note.clone());
            }
        }
    }

    /// What somebody showed who has gone is shown no more.
    async fn check_owner(&mut self) {
        if let Some(shown) = self.shown.take_if(|shown| Some(&shown.owner) != self.owner.as_ref()) {
            self.kept.keep(None).await;
            if let Some(note) = shown.note {
                self.refused(note);
            }
        }
    }

    fn refused(&mut self, note: Note) {
        let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(self.refusals).unwrap_or(u32::MAX));
        self.refusals = self.refusals.saturating_add(1);
        self.refused = Some(note);
        self.again = Some(Box::pin(sleep(wait.min(LONGEST_WAIT))));
    }

    async fn notify(&mut self, note: &Note, replaces: u32) -> zbus::Result<Shown> {
        // Who does not say what it reads may read markup.
        let markup = match self.call("GetCapabilities", &()).await {
            Ok(answer) => {
                answer.body().deserialize::<Vec<String>>()?.iter().any(|able| able == "body-markup")
            }
            // Another call would start somebody once more.
            Err(error) if self.owner.is_none() => return Err(error),
            Err(_) => true,
        };
        let hints: BTreeMap<&str, Value<'_>> =
            [("category", Value::from("network")), ("urgency", Value::from(URGENCY))].into();
        let actions: [&str; 0] = [];
        let (summary, body) = (note.summary(), note.body(markup));
        let what =
            ("ikeep", replaces, "network-vpn", summary, body.as_str(), actions.as_slice(), hints, EXPIRE);
        let answer = self.call("Notify", &what).await?;
        let owner = answer.header().sender().map(|name| name.to_string()).unwrap_or_default();
        Ok(Shown { note: Some(note.clone()), id: answer.body().deserialize()?, owner })
    }

    /// The queue of `owners` is read meanwhile: were it full, the answer could not come either.
    async fn call(
        &mut self,
        method: &str,
        arguments: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> zbus::Result<Message> {
        let connection = self.connection.clone();
        let mut call = pin!(connection.call_method(Some(NAME), PATH, Some(NAME), method, arguments));
        loop {
            tokio::select! {
                biased;
                // What the bus said before the answer is read before it.
                change = next(&mut self.owners) => self.owner = new_owner(&change?, self.owner.take()),
                answer = &mut call => return answer,
            }
        }
    }

    /// Somebody else shows notifications now, and knows of none of ours; or nobody does.
    async fn owner_changed(&mut self, message: &Message) {
        self.owner = new_owner(message, self.owner.take());
        self.check_owner().await;
        if self.owner.is_some() && self.refused.is_some() {
            self.again = Some(Box::pin(sleep(NEWCOMER)));
        }
    }
}

/// Who has the name after this change of owner; `before`: where it tells nothing.
fn new_owner(message: &Message, before: Option<String>) -> Option<String> {
    match message.body().deserialize::<(&str, &str, &str)>() {
        Ok((_, _, owner)) => Some(owner).filter(|owner| !owner.is_empty()).map(ToOwned::to_owned),
        Err(_) => before,
    }
}
