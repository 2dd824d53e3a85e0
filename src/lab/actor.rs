//! The agent of one scenario and the person at it: the product's own service, told what the machine senses, and asked as the
//! command line asks it.

use super::LabError;
use super::freeze::Freezer;
use super::script::Script;
use super::tap::Tap;
use crate::agent::clock::Clock;
use crate::agent::connection::{Surroundings, Task};
use crate::agent::service::{Service, Setup};
use crate::client::{Event, Settings};
use crate::config::{Places, Tunnel};
use crate::crypto::Secret;
use crate::ipc::message::Typed;
use crate::ipc::{Answer, Call, Connect, Question, Reply, Request};
use crate::journal::Recorder;
use crate::store::Store;
use crate::time::Now;
use serde_json::Value;
use std::collections::VecDeque;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Events that may wait for the stage.
const EVENTS: usize = 1024;
/// Replies that may wait for the person.
const REPLIES: usize = 64;
/// How long the disk may take for the event log.
const WRITTEN: Duration = Duration::from_secs(5);

/// An event of the client's as the stage hears it.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) now: Now,
    pub(super) event: Event,
    /// A session was on disk at that moment.
    pub(super) stored: bool,
}

/// What the stage listens to.
pub(super) struct Ears {
    pub(super) events: mpsc::Receiver<Heard>,
    pub(super) replies: mpsc::Receiver<Reply>,
    pub(super) echoes: mpsc::Receiver<Vec<u8>>,
}

/// See the module.
pub(super) struct Actor {
    pub(super) places: Places,
    clock: Clock,
    pub(super) freezer: Freezer,
    pub(super) script: Script,
    pub(super) tap: Tap,
    around: Surroundings,
    wishes: Connect,
    answers: VecDeque<(&'static str, &'static str)>,
    calls: Option<mpsc::Sender<Call>>,
    person: mpsc::Sender<Reply>,
    task: Option<AbortHandle>,
    /// That of the agent which was started last.
    log: Option<Recorder>,
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the actor is given.
pub(super) struct Role<'a> {
    pub(super) folder: &'a Path,
    pub(super) home: IpAddr,
    pub(super) profile: &'a Path,
    pub(super) config: &'a Path,
    pub(super) ca: &'a Path,
    pub(super) adjust: Arc<dyn Fn(&mut Settings) + Send + Sync>,
    /// By input name; each answer is used once, the last one for ever.
    pub(super) answers: Vec<(&'static str, &'static str)>,
}

impl Actor {
    /// An agent that does not run yet.
    pub(super) fn new(role: Role<'_>, clock: &Clock) -> (Self, Ears) {
        let places = Places {
            state: role.folder.to_owned(),
            keys: role.folder.join("keys"),
            runtime: role.folder.join("run"),
        };
        let freezer = Freezer::default();
        let ice = freezer.clone();
        let spawn: Arc<dyn Fn(Task) -> AbortHandle + Send + Sync> =
            Arc::new(move |task| tokio::spawn(ice.guard(task)).abort_handle());
        let (tap, echoes) = Tap::new();
        let (inserted, through) = (tap.clone(), Arc::clone(&spawn));
        let (heard, events) = mpsc::channel(EVENTS);
        let sessions = places.state.join("sessions");
        let observe = move |now: Now, event: &Event| {
            let stored = fs::read_dir(&sessions).is_ok_and(|mut files| files.next().is_some());
            let heard_now = Heard { now, event: event.clone(), stored };
            if let Err(error) = heard.try_send(heard_now) {
                tracing::error!(%error, "the stage missed an event");
            }
        };
        let around = Surroundings {
            spawn: Arc::clone(&spawn),
            tap: Arc::new(move |ports| inserted.insert(ports, &*through)),
            observe: Arc::new(observe),
            adjust: role.adjust,
            ..Surroundings::default()
        };
        let wishes = Connect {
            profile: Some(role.profile.to_owned()),
            config: Some(role.config.to_owned()),
            trust: vec![role.ca.to_owned()],
            tunnel: Some(Tunnel::Proxy),
            // Any port: many agents run side by side.
            proxy: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ..Connect::default()
        };
        let (person, replies) = mpsc::channel(REPLIES);
        let actor = Self {
            places,
            clock: clock.clone(),
            freezer,
            script: Script::new(role.home),
            tap,
            around,
            wishes,
            answers: role.answers.into(),
            calls: None,
            person,
            task: None,
            log: None,
        };
        (actor, Ears { events, replies, echoes })
    }

    /// The agent's process begins.
    pub(super) async fn start(&mut self) {
        let setup = Setup {
            places: self.places.clone(),
            clock: self.clock.clone(),
            // A keyring belongs to the person who runs the lab, not to the one who is played in it.
            store: Store::in_files(&self.places),
            senses: self.script.senses(),
            around: self.around.clone(),
        };
        let service = Service::new(setup).await;
        self.log = Some(service.events());
        let (calls, called) = mpsc::channel(REPLIES);
        self.calls = Some(calls);
        self.task = Some((self.around.spawn)(Box::pin(service.run(called))));
    }

    /// As `kill -9`: what is on disk is all that is left.
    pub(super) fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.calls = None;
    }

    /// The event log as it stands in its file, all of it that this agent and those before it have told.
    pub(super) fn event_log(&self) -> String {
        if let Some(log) = &self.log
            && !log.flush(WRITTEN)
        {
            tracing::warn!("the event log is not written to its end");
        }
        fs::read_to_string(self.places.events()).unwrap_or_default()
    }

    /// What the command line sends.
    pub(super) async fn ask(&self, request: Request) -> Result<(), LabError> {
        self.call(request, self.person.clone()).await
    }

    /// `ikeep connect`.
    pub(super) async fn connect(&self) -> Result<(), LabError> {
        self.ask(Request::Connect(self.wishes.clone())).await
    }

    /// `ikeep status --json`.
    pub(super) async fn status(&self) -> Result<Value, LabError> {
        let (way, mut replies) = mpsc::channel(1);
        self.call(Request::Status, way).await?;
        match replies.recv().await {
            Some(Reply::Status { status }) => Ok(status),
            _ => Err(LabError::AgentStopped),
        }
    }

    /// Where the proxy listens, while there is a connection.
    pub(super) async fn proxy(&self) -> Result<Option<SocketAddr>, LabError> {
        let status = self.status().await?;
        Ok(status["proxy"].as_str().and_then(|at| at.parse().ok()))
    }

    /// What the person types.
    pub(super) async fn answer(&mut self, question: &Question) -> Result<(), LabError> {
        let mut answer = Answer { id: question.id, values: Default::default() };
        for input in &question.inputs {
            let Some(at) = self.answers.iter().position(|(name, _)| *name == input.name) else { continue };
            let (name, text) = self.answers[at];
            if self.answers.iter().filter(|(other, _)| *other == name).count() > 1 {
                self.answers.remove(at);
            }
            answer.values.insert(input.name.clone(), Typed(Secret::from(text.as_bytes())));
        }
        self.ask(Request::Answer(answer)).await
    }

    async fn call(&self, request: Request, replies: mpsc::Sender<Reply>) -> Result<(), LabError> {
        let calls = self.calls.as_ref().ok_or(LabError::AgentStopped)?;
        calls.send(Call { request, replies }).await.map_err(|_| LabError::AgentStopped)
    }
}
