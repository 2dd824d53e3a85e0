//! The agent's one task: takes calls of the command line, signals of the machine and events of the connection, in turn.
//!
//! It knows nothing of sockets and processes; `agent::run` puts it into one, the lab onto a stage.

mod backup;
mod connect;
mod desktop;
mod events;
mod find;
mod gap;
mod guard;
mod keep;
mod machine;
mod passphrase;
mod picture;
mod portal;
mod profile;
#[cfg(test)]
mod stage;
mod text;
mod tunnel;
mod ways;

use crate::sense::portal::Verdict;
use desktop::Desktop;
pub(super) use guard::Guarding;
use passphrase::Waiting;
use portal::Portal;
pub(super) use tunnel::Laid;
use tunnel::Word;
pub(super) use ways::Whereabouts;
use ways::{Found, LookUps};

use super::clock::{Clock, OsRandom};
use super::connection::{Connection, Surroundings};
use super::desktop::News;
use super::driver::{Command, Output};
use super::heart::Heart;
use super::network::Report;
use super::questions::Asked;
use super::report::Reporter;
use super::target::Target;
use crate::client::Order;
use crate::config::Places;
use crate::ipc::{Answer, Call, Connect, Failure, FailureKind, NoticeKind, Reply, Request};
use crate::journal::{Kind, Recorder};
use crate::reconnect::State;
use crate::sense::{Hold, Missing, Networks, Senses, Signal};
use crate::store::{self, Intent, Saved, Store, StoreError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Clients that may watch at once; more are told so.
const WATCHERS: usize = 16;

/// Files that take longer are not waited for.
pub(super) const FILES: Duration = Duration::from_secs(10);
/// How long an agent that ends waits for the disk to take its last events.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// What the service is made of.
#[derive(Debug)]
pub struct Setup {
    /// Where things are kept.
    pub places: Places,
    /// Time.
    pub clock: Clock,
    /// Where sessions are kept.
    pub store: Store,
    /// What the machine says.
    pub senses: Senses,
    /// What differs in the lab.
    pub around: Surroundings,
}

/// Where replies go.
type Way = mpsc::Sender<Reply>;
/// Something the store does while the events that come after it wait.
type Keeping = JoinHandle<KeepingDone>;

/// What the store did.
enum KeepingDone {
    Saved(Result<Saved, StoreError>),
    Erased(Result<(), StoreError>),
}

/// Why nothing is connected, where the user did not want it so.
#[derive(Clone, Debug)]
struct Idle {
    /// Only a person can go on.
    person_needed: bool,
    message: String,
}

/// See the module.
pub struct Service {
    places: Places,
    /// The event log.
    events: Recorder,
    clock: Clock,
    store: Store,
    keeping: Option<Keeping>,
    senses: Senses,
    around: Surroundings,
    unique_id: String,
    intent: Intent,
    connection: Option<Connection>,
    idle: Option<Idle>,
    look_ups: LookUps,
    /// Asks for the ways again, after a socket could not be opened.
    socket_again: Option<JoinHandle<()>>,
    /// Whose login it is; questions go there.
    asker: Option<Way>,
    /// Who else waits for the connection.
    waiters: Vec<Way>,
    asked: Option<Asked>,
    /// A wish that waits for the passphrase of its key.
    waiting: Option<Waiting>,
    questions: u64,
    /// Gaps that were ever asked for.
    gaps: u64,
    /// Whether a kill switch is up without a connection.
    guard_left: guard::Left,
    /// What keeps that one up.
    guard_kept: Option<guard::Kept>,
    /// A wish that waits for the end of the connection before it.
    next: Option<(Connect, Way)>,
    /// Who waits for the end of the connection.
    leavers: Vec<Way>,
    watchers: Vec<Way>,
    /// What this agent cannot notice, as far as it was said.
    said_missing: Vec<Missing>,
    /// What the networks say about themselves, once it is known.
    networks: Option<Networks>,
    /// The target of a session that ended because its network was trusted.
    ended_in_trust: Option<Target>,
    /// Delays sleep until the gateway knows that the session ends.
    hold: Option<Hold>,
    portal: Portal,
    desktop: Desktop,
    heart: Heart,
}

/// What ended a wait.
enum Wake {
    Call(Option<Call>),
    Signal(Option<Signal>),
    Output(Option<Output>),
    Kept(Option<KeepingDone>),
    Ground(Report),
    GroundLate,
    GroundAgain,
    GapOver,
    GuardAwake,
    Profile,
    LookedUp(Result<Found, String>),
    Probed(Verdict),
    Missing,
    DesktopDue,
    AskerGone,
    Beat,
}

impl Service {
    /// Reads what was wanted last; a session that is worth trying is tried at once (laws 1 and 10).
    pub async fn new(setup: Setup) -> Self {
        let Setup { places, clock, store, senses, around } = setup;
        let (intent, notes) = Intent::load(&places);
        let guard_left = guard::Left::Maybe;
        let (unique_id, more) = store::device_id(&places, &mut OsRandom::new());
        let mut service = Self {
            events: Recorder::in_file(places.events()),
            places,
            clock,
            store,
            keeping: None,
            senses,
            around,
            unique_id,
            intent,
            connection: None,
            idle: None,
            look_ups: LookUps::default(),
            socket_again: None,
            asker: None,
            waiters: Vec::new(),
            asked: None,
            waiting: None,
            questions: 0,
            gaps: 0,
            guard_left,
            guard_kept: None,
            next: None,
            leavers: Vec::new(),
            watchers: Vec::new(),
            said_missing: Vec::new(),
            networks: None,
            ended_in_trust: None,
            hold: None,
            portal: Portal::default(),
            desktop: Desktop::default(),
            heart: Heart::default(),
        };
        for note in notes.iter().chain(&more) {
            service.say(Kind::Warning, &note.to_string());
        }
        service.warn_of_missing();
        if service.intent.wanted {
            service.go_on().await;
        } else {
            service.connect_on_start().await;
        }
        service.find_left_guard().await;
        service
    }

    /// With a supervisor that hears of every round of the loop, at its own pace.
    pub fn watched(mut self, heart: Heart) -> Self {
        self.heart = heart;
        self
    }

    /// The event log, for whoever has to know when all is in its file.
    pub fn events(&self) -> Recorder {
        self.events.clone()
    }

    /// Runs until a [`Request::Stop`], or until nobody can call any more.
    pub async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        loop {
            match self.wait(&mut calls).await {
                Wake::Call(Some(call)) => {
                    if let Request::Stop = call.request {
                        self.stop().await;
                        tell(&call.replies, Reply::Done);
                        return;
                    }
                    self.call(call).await;
                }
                Wake::Call(None) => return self.stop().await,
                Wake::Signal(Some(signal)) => self.signal(signal).await,
                Wake::Signal(None) => {
                    tracing::error!("the machine's signals have ended");
                    return self.stop().await;
                }
                Wake::Output(output) => self.output(output).await,
                Wake::Kept(kept) => self.kept(kept),
                Wake::Ground(report) => self.ground(report).await,
                Wake::GroundLate => self.ground_late().await,
                Wake::GroundAgain => self.ground_again(),
                Wake::GapOver => self.close_gap("its time is over").await,
                Wake::GuardAwake => self.guard_awake().await,
                Wake::Profile => self.profile_changed().await,
                Wake::LookedUp(result) => self.looked_up(result).await,
                Wake::Probed(verdict) => self.probed(verdict).await,
                Wake::Missing => self.warn_of_missing(),
                Wake::DesktopDue => self.show_on_desktop(),
                Wake::AskerGone => self.asker_gone().await,
                Wake::Beat => self.heart.beat(),
            }
        }
    }

    async fn wait(&mut self, calls: &mut mpsc::Receiver<Call>) -> Wake {
        let Self { senses, connection, keeping, look_ups, asker, portal, desktop, heart, .. } = self;
        let keeps = keeping.is_some();
        tokio::select! {
            biased;
            // However much there is to do.
            () = heart.due() => Wake::Beat,
            signal = senses.signals.recv() => Wake::Signal(signal),
            kept = async { keeping.as_mut()?.await.ok() }, if keeps => Wake::Kept(kept),
            said = async {
                match connection {
                    Some(connection) => connection.next_word(keeps).await,
                    None => std::future::pending().await,
                }
            } => match said {
                Word::Ground(report) => Wake::Ground(report),
                Word::Late => Wake::GroundLate,
                Word::Again => Wake::GroundAgain,
                Word::GapOver => Wake::GapOver,
                Word::GuardAwake => Wake::GuardAwake,
                Word::Profile => Wake::Profile,
                Word::Output(output) => Wake::Output(output),
            },
            // Before calls: whoever asks next must not be told that somebody who has left is in the way.
            () = async {
                match asker {
                    Some(asker) => asker.closed().await,
                    None => std::future::pending().await,
                }
            } => Wake::AskerGone,
            call = calls.recv() => Wake::Call(call),
            found = look_ups.found() => Wake::LookedUp(found),
            verdict = portal.verdict() => Wake::Probed(verdict),
            Ok(()) = senses.missing.changed() => Wake::Missing,
            () = desktop.due() => Wake::DesktopDue,
        }
    }

    async fn call(&mut self, Call { request, replies }: Call) {
        match request {
            Request::Connect(wishes) => self.connect(&wishes, replies).await,
            Request::Answer(answer) => self.answer(&answer, &replies).await,
            Request::Disconnect => {
                self.guard_given_up(false);
                self.disconnect(replies).await;
            }
            Request::Reconnect => self.reconnect(replies).await,
            Request::OpenGap { seconds } => self.open_gap(seconds, replies).await,
            Request::CloseGap => self.end_gap(replies).await,
            Request::Status => {
                let status = self.status().await;
                tell(&replies, Reply::Status { status });
            }
            Request::Watch => self.watch(replies).await,
            // Taken by the caller.
            Request::Stop => {}
        }
    }

    /// Says what this agent cannot notice, each thing once.
    fn warn_of_missing(&mut self) {
        let missing = self.senses.missing.borrow_and_update().clone();
        for missing in &missing {
            if !self.said_missing.contains(missing) {
                self.say(Kind::Warning, &format!("This agent cannot notice {missing}."));
            }
        }
        self.said_missing = missing;
    }

    /// Only the client who was asked can answer.
    async fn answer(&mut self, answer: &Answer, from: &Way) {
        if let Some((wishes, way)) = self.take_passphrase(answer, from) {
            return self.connect(&wishes, way).await;
        }
        let asker = self.asker.as_ref().is_some_and(|asker| asker.same_channel(from));
        let answers = self.asked.as_mut().filter(|_| asker).and_then(|asked| asked.take(answer));
        let (Some(answers), Some(connection)) = (answers, &self.connection) else { return };
        self.asked = None;
        connection.command(Command::Order(Order::Answer(answers))).await;
    }

    async fn disconnect(&mut self, replies: Way) {
        self.give_up_passphrase("`ikeep disconnect` came after this `ikeep connect`");
        // What is not up may always be given up.
        let up = self.connection.as_ref().filter(|connection| {
            !matches!(
                connection.state,
                State::Connecting | State::Disconnected { .. } | State::AuthRequired { .. }
            )
        });
        if let Some(connection) = up.filter(|connection| !connection.target.may_disconnect) {
            let host = &connection.target.settings.host_name;
            let text = format!(
                "the profile keeps {host} always on (AlwaysOn, AllowVPNDisconnect): ask whoever runs the gateway if you have \
                 to be without it"
            );
            return tell(&replies, failed(FailureKind::Profile, &text));
        }
        self.want(false).await;
        self.close_gap("`ikeep disconnect`").await;
        self.idle = None;
        self.tell_desktop(News::Settled);
        self.stop_looking_up();
        let Some(connection) = self.connection.as_mut() else {
            // The session that an earlier agent left behind ends too.
            self.erase_last().await;
            let reply = match self.drop_left_guard().await {
                Ok(()) => Reply::Done,
                Err(why) => failed(FailureKind::Other, &why),
            };
            return tell(&replies, reply);
        };
        self.leavers.push(replies);
        if let Some((_, way)) = self.next.take() {
            tell(&way, failed(FailureKind::Other, "the connection was ended by `ikeep disconnect`"));
        }
        match connection.state {
            // It has not even begun.
            State::Disconnected { .. } => {
                connection.ending = true;
                self.end_for_good().await;
            }
            _ => {
                connection.ending = true;
                connection.laid.open_gate();
                connection.command(Command::Order(Order::Disconnect)).await;
            }
        }
    }

    async fn reconnect(&mut self, replies: Way) {
        let Some(connection) = &self.connection else {
            return tell(&replies, failed(FailureKind::Other, "nothing is connected: `ikeep connect` first"));
        };
        if matches!(
            connection.state,
            State::Disconnected { .. } | State::Connecting | State::Disconnecting { .. }
        ) {
            let text = "a login is under way, or a disconnect: wait for its end";
            return tell(&replies, failed(FailureKind::Other, text));
        }
        let picture = connection.picture().await;
        let token = picture.and_then(|picture| Some(picture.status.token_until? > picture.now.at));
        if token != Some(true) {
            let text =
                "there is no session token to reconnect with: `ikeep disconnect`, then `ikeep connect`";
            return tell(&replies, failed(FailureKind::Authentication, text));
        }
        connection.command(Command::Order(Order::Reconnect)).await;
        self.wait_too(replies);
    }

    /// One more who waits for the connection.
    fn wait_too(&mut self, replies: Way) {
        self.waiters.retain(|waiter| !waiter.is_closed());
        if self.waiters.len() == WATCHERS {
            return tell(&replies, failed(FailureKind::Other, "too many wait for this connection already"));
        }
        self.waiters.push(replies);
        self.show_on_desktop();
    }

    async fn watch(&mut self, replies: Way) {
        self.watchers.retain(|watcher| !watcher.is_closed());
        if self.watchers.len() == WATCHERS {
            let text = format!("{WATCHERS} others watch already: end one of them");
            return tell(&replies, failed(FailureKind::Other, &text));
        }
        let status = self.status().await;
        tell(&replies, Reply::Status { status });
        self.watchers.push(replies);
    }

    /// The agent ends, the connection stays as it is: the next agent goes on by token.
    async fn stop(&mut self) {
        // What was begun is finished in its turn; the store keeps the order.
        let session = match &self.connection {
            Some(connection) => connection.session().await,
            None => None,
        };
        if let Some(session) = session
            && let Err(error) = self.store.save(&session).await
        {
            self.say(Kind::Warning, &error.to_string());
        }
        let keys = self.connection.take().and_then(|connection| connection.key_log.clone());
        let keys = tokio::task::spawn_blocking(move || keys.is_none_or(|keys| keys.flush(LAST_EVENTS)));
        let events = self.events.clone();
        let written = tokio::task::spawn_blocking(move || events.flush(LAST_EVENTS)).await;
        if !matches!(keys.await, Ok(true)) {
            tracing::warn!("the disk did not take the last keys of the key log");
        }
        if !matches!(written, Ok(true)) {
            tracing::warn!("the disk did not take the last events within {} s", LAST_EVENTS.as_secs());
        }
    }

    /// Keeps what the user wants. A disk that refuses is told, and the connection goes on.
    async fn want(&mut self, wanted: bool) {
        self.intent.wanted = wanted;
        if let Err(error) = self.intent.save(&self.places).await {
            self.warn(&error.to_string());
        }
    }

    /// A line for the log, also where there is no connection.
    fn say(&mut self, kind: Kind, text: &str) {
        let now = self.clock.now();
        match self.connection.as_mut() {
            Some(connection) => connection.reporter.say(now, kind, text),
            None => Reporter::new(self.events.clone(), "").say(now, kind, text),
        }
    }

    /// A warning for the log and for whoever waits.
    fn warn(&mut self, text: &str) {
        self.say(Kind::Warning, text);
        if let Some(asker) = &self.asker {
            tell(asker, Reply::Notice { kind: NoticeKind::Warning, text: text.to_owned() });
        }
    }
}

/// A client that does not read its replies misses some; the service waits for nobody.
fn tell(way: &Way, reply: Reply) {
    if way.try_send(reply).is_err() {
        tracing::debug!("a reply found no reader");
    }
}

fn failed(kind: FailureKind, message: &str) -> Reply {
    Reply::Failed(Failure::new(kind, message))
}
