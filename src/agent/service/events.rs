//! What the connection says, and what follows from it.

use super::super::driver::Output;
use super::super::questions::{self, Step};
use super::connect::connected;
use super::{Idle, Service, tell, text};
use crate::agent::desktop::{About, News};
use crate::agent::driver::Command;
use crate::client::{Event, Order};
use crate::ike::eap::{EapError, Notice};
use crate::ike::initiator::Failure;
use crate::ipc::{FailureKind, NoticeKind, Reply};
use crate::journal::Kind;
use crate::reconnect::{State, Why};
use crate::time::Now;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A path whose socket could not be opened is tried again after this.
const SOCKET_AGAIN: Duration = Duration::from_secs(1);

impl Service {
    pub(super) async fn output(&mut self, output: Option<Output>) {
        match output {
            Some(Output::Event(now, event)) => self.event(now, event).await,
            Some(Output::NoSocket { local, error }) => {
                self.say(Kind::Warning, &format!("No socket can be opened on {local}: {error}"));
                // The same way is told again a little later, in case it can be used then.
                if self.socket_again.as_ref().is_none_or(JoinHandle::is_finished) {
                    let gateway = self.senses.gateway.clone();
                    self.socket_again = Some(tokio::spawn(async move {
                        tokio::time::sleep(SOCKET_AGAIN).await;
                        gateway.send_modify(|_| {});
                    }));
                }
            }
            Some(Output::NoDevice(error)) => self.device_gone(&error).await,
            Some(Output::Mtu(mtu)) => {
                if let Some(connection) = self.connection.as_mut() {
                    connection.laid.mtu = Some(mtu);
                }
                self.ground_changed();
            }
            None => {
                let message = "The connection's driver has stopped unexpectedly: see the agent's log, then `ikeep connect`";
                self.say(Kind::Error, message);
                self.tell_desktop(News::Ended(About::LoginNeeded));
                self.end(Some(Idle { person_needed: true, message: message.to_owned() })).await;
            }
        }
    }

    async fn event(&mut self, now: Now, event: Event) {
        (self.around.observe)(now, &event);
        let Some(connection) = self.connection.as_mut() else { return };
        connection.note(now, &event);
        match event {
            Event::State(state) => self.state(&state).await,
            Event::Ask(form) => self.ask(&form).await,
            Event::Notice(notice) => {
                let (kind, text) = match notice {
                    Notice::Banner(text) => (NoticeKind::Banner, text),
                    Notice::Message(text) | Notice::Error(text) => (NoticeKind::Gateway, text),
                };
                self.tell_asker(Reply::Notice { kind, text });
            }
            Event::StoreSession(session) => {
                self.keep(session);
                self.ground_changed();
            }
            Event::EraseSession => self.forget(),
            Event::NoToken => {
                let text =
                    "the gateway gave neither a session token nor a ticket: a reconnect will need a login"
                        .to_owned();
                self.tell_asker(Reply::Notice { kind: NoticeKind::Warning, text });
            }
            Event::Reconnected(_) => {
                self.ground_changed();
                self.answer_connected();
                self.tell_watchers().await;
            }
            Event::Plan { notes, plan, .. } => {
                self.keep_backups(&plan).await;
                for note in &notes {
                    tracing::warn!("the gateway's configuration: {note}");
                }
                self.planned();
                self.tell_what_stays_here(&notes);
                self.tell_watchers().await;
            }
            // Where the gateway is may have changed too, with or without a move of ours.
            Event::Trouble(_) => self.look_up_again(),
            Event::Silent => self.ask_for_portal(Duration::ZERO),
            Event::LookUp(name) => connection.look_up(name),
            Event::Scan { id, scan } => connection.scan(id, scan),
            Event::Sign { id, to_sign } => connection.sign(id, to_sign),
            Event::Ended(why) => self.ended(why).await,
            Event::Failed(
                Failure::Certificate(_) | Failure::GatewayAuth | Failure::Eap(EapError::Server(_)),
            ) => self.desktop_untrusted(),
            _ => {}
        }
    }

    async fn state(&mut self, state: &State) {
        self.portal_in(state).await;
        self.desktop_in(state);
        self.guard_in(state).await;
        self.ground_in(state).await;
        match state {
            State::Connected => self.answer_connected(),
            State::Disconnected { why: None } => return self.end_for_good().await,
            state => {
                let (state, text) = (state.name().to_owned(), text::state(state));
                self.tell_asker(Reply::State { state, text });
            }
        }
        self.tell_watchers().await;
    }

    fn answer_connected(&mut self) {
        let Some(connection) = self.connection.as_ref().filter(|c| matches!(c.state, State::Connected))
        else {
            return;
        };
        let news = connected(connection, false);
        for way in self.asker.take().into_iter().chain(self.waiters.drain(..)) {
            tell(&way, Reply::Connected(news.clone()));
        }
        self.asked = None;
    }

    async fn ask(&mut self, form: &crate::ike::eap::Form) {
        let Some(connection) = &self.connection else { return };
        if self.asker.is_none() {
            // Nobody is there to answer.
            return self.give_up_login().await;
        }
        self.questions += 1;
        match questions::ask(self.questions, form, &connection.target.wishes) {
            Step::Answer(answers) => connection.command(Command::Order(Order::Answer(answers))).await,
            Step::Ask(asked, mut question) => {
                question.gateway.clone_from(&connection.target.primary.1);
                self.asked = Some(asked);
                self.tell_asker(Reply::Ask(*question));
            }
        }
    }

    /// There is no connection, and none will come by itself.
    async fn ended(&mut self, why: Why) {
        if self.try_backup(why).await {
            return self.tell_watchers().await;
        }
        let Some(connection) = self.connection.as_mut() else { return };
        connection.passphrase = None;
        let mut failure = text::failure(why, connection);
        if let (FailureKind::NoAnswer, Some(portal)) = (failure.kind, self.portal.text()) {
            failure.message =
                format!("{}: {portal}; then `ikeep connect`", connection.target.settings.host_name);
        }
        let person_needed = matches!(connection.state, State::AuthRequired { .. });
        if why == Why::TrustedNetwork {
            self.ended_in_trust = Some(connection.target.clone());
        }
        self.desktop_ended(why, failure.kind);
        for way in self.asker.take().into_iter().chain(self.waiters.drain(..)) {
            tell(&way, Reply::Failed(failure.clone()));
        }
        self.asked = None;
        // Proxy and address stay while a person is waited for: nothing leaks, and a transfer goes on after the login.
        if !person_needed {
            self.want(false).await;
            self.end(Some(Idle { person_needed: false, message: failure.message })).await;
        }
        self.tell_watchers().await;
    }

    /// The connection is over, and so is the session: nothing is left to come back with (law 1).
    pub(super) async fn end_for_good(&mut self) {
        if let Some(connection) = &self.connection {
            let host = connection.target.settings.host_address.clone();
            if let Err(error) = self.store.erase(&host).await {
                self.warn(&error.to_string());
            }
        }
        self.end(None).await;
    }

    /// The connection is over; who waits for one may get another.
    pub(super) async fn let_go(&mut self) {
        self.senses.gateway.send_replace(Vec::new());
        self.stop_looking_up();
        self.hold = None;
        self.forget_portal().await;
        self.asked = None;
        self.leave_ground().await;
        self.guard_over().await;
        self.connection = None;
    }

    /// The connection is over.
    pub(super) async fn end(&mut self, idle: Option<Idle>) {
        if idle.is_some() {
            self.idle = idle;
        }
        self.let_go().await;
        let message = self.idle.as_ref().map(|idle| idle.message.clone());
        let message = message.unwrap_or_else(|| "the connection was ended by `ikeep disconnect`".to_owned());
        for way in self.asker.take().into_iter().chain(self.waiters.drain(..)) {
            tell(&way, super::failed(crate::ipc::FailureKind::Other, &message));
        }
        for leaver in self.leavers.drain(..) {
            tell(&leaver, Reply::Done);
        }
        self.tell_watchers().await;
        if let Some((wishes, way)) = self.next.take() {
            Box::pin(self.connect(&wishes, way)).await;
        }
    }

    /// For whoever waits for the connection; questions go to the asker alone.
    fn tell_asker(&self, reply: Reply) {
        let everybody = !matches!(reply, Reply::Ask(_));
        for way in self.asker.iter().chain(self.waiters.iter().filter(|_| everybody)) {
            tell(way, reply.clone());
        }
    }

    pub(super) async fn tell_watchers(&mut self) {
        self.watchers.retain(|watcher| !watcher.is_closed());
        if self.watchers.is_empty() {
            return;
        }
        let status = self.status().await;
        for watcher in &self.watchers {
            tell(watcher, Reply::Status { status: status.clone() });
        }
    }
}
