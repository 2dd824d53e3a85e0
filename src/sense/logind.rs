//! Sleep as logind announces it: a signal on the system bus, before and after, and a lock that holds sleep back for a moment.
//!
//! Connecting, waiting and coming back happen in a task of their own: an agent starts as fast without a bus as with one.

use super::hold::Lock;
use super::{Hold, Lacks};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, timeout};
use zbus::export::futures_core::Stream as _;
use zbus::zvariant;
use zbus::{Connection, Message, MessageStream, connection};

/// What is missing without logind.
const SOURCE: &str = "sleep before it begins";

const BUS: &str = "org.freedesktop.DBus";
const LOGIND: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// What the task listens to on the bus.
const RULES: [&str; 2] = [
    "type='signal',sender='org.freedesktop.login1',path='/org/freedesktop/login1',\
     interface='org.freedesktop.login1.Manager',member='PrepareForSleep'",
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
     member='NameOwnerChanged',arg0='org.freedesktop.login1'",
];

/// Longest wait for the bus, and for each answer on it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sleep is never held back longer, whatever logind would allow; its own limit is 5 s where nobody has changed it.
const LONGEST_HOLD: Duration = Duration::from_secs(4);

/// A bus that is lost is looked for after this, then after twice as long each time, up to the second; one that was never there
/// after the second only: a machine without a bus is not woken for one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What logind says.
#[derive(Debug)]
pub(super) enum Word {
    /// Sleep is near.
    Near(Hold),
    /// It is over, or was called off.
    Over,
    /// logind is gone; what it has announced it may never end.
    Lost,
}

/// Why nothing is heard any more.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the system bus: {0}")]
    Bus(#[from] zbus::Error),
    #[error("the system bus does not answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("the system bus has closed the connection")]
    Closed,
}

/// Listens until nobody wants the words any more. `bus`: its address; `None`: the machine's.
pub(super) async fn listen(bus: Option<String>, words: mpsc::Sender<Word>, lacks: Lacks) {
    tokio::select! {
        () = words.closed() => {}
        () = again_and_again(bus.as_deref(), &words, &lacks) => {}
    }
}

async fn again_and_again(bus: Option<&str>, words: &mpsc::Sender<Word>, lacks: &Lacks) {
    let mut wait = LONGEST_WAIT;
    loop {
        let mut attentive = false;
        let Err(lost) = attend(bus, words, lacks, &mut attentive).await;
        tracing::debug!(%lost, "logind is not heard");
        lacks.say(SOURCE, Some(lost.to_string()));
        if words.send(Word::Lost).await.is_err() {
            return;
        }
        if attentive {
            wait = FIRST_WAIT;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Listens for as long as the bus lives. `attentive` says whether it came that far.
async fn attend(
    bus: Option<&str>,
    words: &mpsc::Sender<Word>,
    lacks: &Lacks,
    attentive: &mut bool,
) -> Result<Infallible, Lost> {
    let bus = match bus {
        Some(address) => connection::Builder::address(address)?,
        None => connection::Builder::system()?,
    };
    let connecting = bus.method_timeout(PATIENCE).build();
    let connection = timeout(PATIENCE, connecting).await.map_err(|_| Lost::Late)??;
    // Before the rules, so that no signal is missed; one stream, so that their order is kept.
    let mut stream = MessageStream::from(&connection);
    for rule in RULES {
        connection.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "AddMatch", &rule).await?;
    }
    *attentive = true;
    let mut guard = Guard::new(connection, lacks.clone());
    guard.take_lock().await;
    loop {
        tokio::select! {
            message = poll_fn(|context| Pin::new(&mut stream).poll_next(context)) => {
                let message = message.ok_or(Lost::Closed)??;
                if let Some(word) = guard.hear(&message).await {
                    let over = matches!(word, Word::Over);
                    // Nobody listens: the task is about to be ended.
                    let _ = words.send(word).await;
                    if over {
                        guard.take_lock().await;
                    }
                }
            }
            () = guard.limit() => guard.let_go(),
        }
    }
}

/// Our side of one connection to the bus.
struct Guard {
    connection: Connection,
    lacks: Lacks,
    /// logind's unique name on the bus. Signals of anybody else are nobody's.
    owner: Option<String>,
    /// For the next sleep.
    lock: Option<OwnedFd>,
    /// How long the lock may be held, once sleep is near.
    longest: Duration,
    /// The lock that holds back the sleep that is near.
    held: Option<(Lock, Pin<Box<Sleep>>)>,
}

impl Guard {
    fn new(connection: Connection, lacks: Lacks) -> Self {
        Self { connection, lacks, owner: None, lock: None, longest: LONGEST_HOLD, held: None }
    }

    /// Takes the lock for the next sleep.
    async fn take_lock(&mut self) {
        let taken = self.inhibit().await;
        // Asking may have started it.
        self.owner = self.owner_of_logind().await;
        let why = match (&taken, &self.owner) {
            (Ok(_), _) => None,
            (Err(_), None) => Some("there is no logind on the system bus".to_owned()),
            (Err(error), Some(_)) => Some(format!("logind gives no time for it: {error}")),
        };
        self.lacks.say(SOURCE, why);
        self.lock = taken.ok();
    }

    async fn inhibit(&mut self) -> zbus::Result<OwnedFd> {
        let what = ("sleep", "ikeep", "The VPN session is kept so that it can be restored at once", "delay");
        let answer = self.connection.call_method(Some(LOGIND), PATH, Some(MANAGER), "Inhibit", &what).await?;
        let lock: zvariant::OwnedFd = answer.body().deserialize()?;
        let ours = self.delay_limit().await.map_or(LONGEST_HOLD, |theirs| theirs / 5 * 4);
        self.longest = ours.min(LONGEST_HOLD);
        Ok(lock.into())
    }

    /// How long logind waits for locks.
    async fn delay_limit(&self) -> Option<Duration> {
        let property = (MANAGER, "InhibitDelayMaxUSec");
        let properties = Some("org.freedesktop.DBus.Properties");
        let answer =
            self.connection.call_method(Some(LOGIND), PATH, properties, "Get", &property).await.ok()?;
        let value: zvariant::OwnedValue = answer.body().deserialize().ok()?;
        u64::try_from(value).ok().map(Duration::from_micros)
    }

    async fn owner_of_logind(&self) -> Option<String> {
        let answer = self
            .connection
            .call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "GetNameOwner", &LOGIND)
            .await
            .ok()?;
        answer.body().deserialize().ok()
    }

    /// What a message means. Anybody on the bus may send us a signal, so it counts only from whom it should come.
    async fn hear(&mut self, message: &Message) -> Option<Word> {
        let header = message.header();
        let member = header.member()?.as_str();
        let sender = header.sender()?.as_str();
        if message.message_type() != zbus::message::Type::Signal {
            return None;
        }
        let body = message.body();
        match member {
            "PrepareForSleep" if Some(sender) == self.owner.as_deref() => {
                let near: bool = body.deserialize().ok()?;
                // What held the sleep before this one back has no business any more.
                self.let_go();
                Some(if near { Word::Near(self.hold()) } else { Word::Over })
            }
            "NameOwnerChanged" if sender == BUS => {
                let (name, _, owner): (&str, &str, &str) = body.deserialize().ok()?;
                let gone = name == LOGIND && Some(owner) != self.owner.as_deref();
                if gone {
                    self.let_go();
                    self.take_lock_of(owner).await;
                }
                gone.then_some(Word::Lost)
            }
            _ => None,
        }
    }

    async fn take_lock_of(&mut self, owner: &str) {
        if owner.is_empty() {
            (self.owner, self.lock) = (None, None);
            self.lacks.say(SOURCE, Some("logind has gone from the system bus".to_owned()));
        } else {
            self.take_lock().await;
        }
    }

    /// The lock, as the policy gets it.
    fn hold(&mut self) -> Hold {
        let Some(lock) = self.lock.take() else { return Hold::none() };
        let hold = Hold::of(lock);
        self.held = Some((hold.lock(), Box::pin(sleep(self.longest))));
        hold
    }

    /// The time to let go, whoever still holds.
    async fn limit(&mut self) {
        match &mut self.held {
            Some((_, limit)) => limit.as_mut().await,
            None => pending().await,
        }
    }

    fn let_go(&mut self) {
        if let Some((lock, _)) = self.held.take() {
            lock.release();
        }
    }
}
