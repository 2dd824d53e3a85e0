//! A connection begins: by a wish, or by what an earlier agent left.

use super::super::connection::Connection;
use super::super::driver::Command;
use super::super::report::Reporter;
use super::super::target::Target;
use super::desktop::wants_notifications;
use super::{Idle, Service, Way, failed, tell, text};
use crate::agent::desktop::{About, News};
use crate::client::Order;
use crate::ipc::{Connect, Connected, FailureKind, Reply};
use crate::journal::Kind;
use crate::reconnect::State;
use crate::session::Session;
use tokio::sync::mpsc;

impl Service {
    pub(super) async fn connect(&mut self, wishes: &Connect, replies: Way) {
        let target = match self.find(wishes, self.intent.last.as_ref()).await {
            Ok(target) => target,
            Err(failure) if self.goes_on_for(wishes) => {
                return self.connect_as_it_is(&failure, replies).await;
            }
            Err(failure) => return tell(&replies, Reply::Failed(failure)),
        };
        self.desktop.turn(target.notifications);
        if let Some(locked) = target.locked.as_ref().filter(|_| self.may_log_in()) {
            return self.ask_passphrase(locked, &target, wishes, replies);
        }
        let Some(connection) = self.connection.as_mut() else {
            self.asker = Some(replies);
            let stored = self.stored(&target).await;
            // A token's key has its PIN itself.
            let passphrase = wishes.passphrase.clone().filter(|_| target.token.is_none());
            if let Err(message) = self.start(target, stored).await {
                self.refuse(FailureKind::Other, message);
            } else if let Some(connection) = self.connection.as_mut() {
                connection.passphrase = passphrase;
            }
            return;
        };
        if connection.ending {
            if let Some((_, way)) = self.next.replace((wishes.clone(), replies)) {
                tell(&way, failed(FailureKind::Other, "another `ikeep connect` came after this one"));
            }
            return;
        }
        if !connection.target.is_same(&target, wishes.profile.is_some()) {
            if let State::AuthRequired { .. } = connection.state {
                let message = "another connection was asked for".to_owned();
                self.keep_guard();
                self.end(Some(Idle { person_needed: false, message })).await;
                return Box::pin(self.connect(wishes, replies)).await;
            }
            let there = &connection.target.settings.host_name;
            let text = format!(
                "{} is {} ({}): `ikeep disconnect` first",
                there,
                connection.state.name(),
                connection.tunnel()
            );
            return tell(&replies, failed(FailureKind::Other, &text));
        }
        match connection.state {
            State::Connected if other_user(&connection.target.wishes, wishes) => {
                let text = "connected for another user: `ikeep disconnect` first";
                tell(&replies, failed(FailureKind::Other, text));
            }
            State::Connected => self.already_connected(&target, &replies),
            State::Disconnected { .. } | State::Connecting if self.asker.is_some() => {
                let text =
                    "a login is under way already: answer it where it was begun, or `ikeep disconnect`";
                tell(&replies, failed(FailureKind::Other, text));
            }
            // Another profile, CA, port or dialect: the login needs a client that knows of it.
            State::AuthRequired { .. } if !connection.target.logs_in_as(&target) => {
                let message = "the settings have changed".to_owned();
                self.keep_guard();
                self.end(Some(Idle { person_needed: false, message })).await;
                return Box::pin(self.connect(wishes, replies)).await;
            }
            State::AuthRequired { .. } => {
                connection.target.wishes = target.wishes.clone();
                connection.target.token.clone_from(&target.token);
                connection.target.key_file.clone_from(&target.key_file);
                connection.target.no_certificate.clone_from(&target.no_certificate);
                connection.passphrase = wishes.passphrase.clone().filter(|_| target.token.is_none());
                connection.command(Command::Order(Order::Connect)).await;
                self.asker = Some(replies);
                for text in &target.warnings {
                    self.warn(text);
                }
                self.intent.last = Some(target.wishes);
                self.want(true).await;
            }
            State::Suspended { .. } => self.wake(replies).await,
            // It is on its way: whoever asks hears of it.
            _ => {
                let (state, text) = (connection.state.name().to_owned(), text::state(&connection.state));
                tell(&replies, Reply::State { state, text });
                self.wait_too(replies);
            }
        }
    }

    /// A wish would be a login, as far as it can be known.
    fn may_log_in(&self) -> bool {
        let Some(connection) = &self.connection else { return true };
        !connection.ending && matches!(connection.state, State::AuthRequired { .. })
    }

    /// A person asks for the connection that rests: in a trusted network they get it, and after a sleep whose end was missed they
    /// are the sign that the machine is awake. Where the token has gone meanwhile, a login follows, and its questions are theirs.
    pub(super) async fn wake(&mut self, replies: Way) {
        let Some(connection) = &self.connection else { return };
        connection.command(Command::Order(Order::Connect)).await;
        if self.asker.is_some() {
            return self.wait_too(replies);
        }
        self.asker = Some(replies);
    }

    /// An agent starts, and a connection was wanted.
    pub(super) async fn go_on(&mut self) {
        let Some(target) = self.find_last().await else { return };
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                let last = self.intent.last.clone().unwrap_or_default();
                self.desktop.turn(wants_notifications(last.config).await);
                let host = last.host.unwrap_or_default();
                return self.need_person(&host, format!("The connection cannot be restored: {error}"));
            }
        };
        self.desktop.turn(target.notifications);
        let host = target.settings.host_name.clone();
        match self.stored(&target).await {
            Some(session) => {
                let started = self.start(target, Some(session)).await;
                let restored = self.connection.as_ref().is_some_and(|connection| connection.restored);
                if let Err(message) = started {
                    let message = format!("The connection to {host} cannot be restored: {message}");
                    self.need_person(&host, message);
                } else if !restored {
                    // Without the session this would be a login, and nobody is there.
                    self.guard_over().await;
                    self.connection = None;
                    let message =
                        format!("The session with {host} cannot be used. Log in again: `ikeep connect`");
                    self.need_person(&host, message);
                }
            }
            None => {
                let message = format!(
                    "No session with {host} is left that could be restored. Log in again: `ikeep connect`"
                );
                self.need_person(&host, message);
            }
        }
    }

    /// An agent starts, and nothing was wanted last: the profile may want it all the same. A login needs the person.
    pub(super) async fn connect_on_start(&mut self) {
        let Ok(target) = self.find(&Connect::default(), self.intent.last.as_ref()).await else { return };
        self.desktop.turn(target.notifications);
        if target.auto_connect_on_start {
            let host = &target.settings.host_name;
            let message = format!(
                "The profile wants a connection to {host} from the start (AutoConnectOnStart): log in with `ikeep connect`"
            );
            self.need_person(host, message);
        }
    }

    /// `host`: its name for people, as far as it is known.
    pub(super) fn need_person(&mut self, host: &str, message: String) {
        self.say(Kind::Warning, &message);
        self.begin_on_desktop(host);
        self.tell_desktop(News::Ended(About::LoginNeeded));
        self.idle = Some(Idle { person_needed: true, message });
    }

    /// A stored session that is still worth trying.
    async fn stored(&mut self, target: &Target) -> Option<Session> {
        let settings = &target.settings;
        let loaded = self.store.load(&settings.host_address).await;
        for note in &loaded.notes {
            self.warn(&note.to_string());
        }
        let wall = self.clock.now().wall;
        let session = loaded.session?;
        if session.usable_at(wall, target.settings.dialect.horizon()) {
            return Some(session);
        }
        // Its window is over, so nobody may keep it any longer (law 5).
        if let Err(error) = self.store.erase(&target.settings.host_address).await {
            self.warn(&error.to_string());
        }
        None
    }

    /// Starts driver and tunnel; the order follows the first word about the path.
    pub(super) async fn start(&mut self, target: Target, session: Option<Session>) -> Result<(), String> {
        self.idle = None;
        // A helper has two places for a user. It keeps what stands until this connection says more.
        self.guard_kept = None;
        self.begin_on_desktop(&target.settings.host_name);
        for note in &target.notes {
            tracing::warn!("{note}");
        }
        for text in &target.warnings {
            self.warn(text);
        }
        let mut reporter = Reporter::new(self.events.clone(), &target.settings.host_name);
        reporter.preferences(self.clock.now(), &target.preferences);
        if let Some(folder) = &target.key_log {
            let text = format!(
                "KEY LOG IS ON: the keys of this connection are written to {}. Whoever reads them reads its traffic. \
                 Take `key_log` out of the config file when you are done.",
                folder.display()
            );
            tracing::warn!("{text}");
            reporter.say(self.clock.now(), Kind::Warning, &text);
            if let Some(asker) = &self.asker {
                tell(asker, Reply::Notice { kind: crate::ipc::NoticeKind::Warning, text });
            }
        }
        let wishes = target.wishes.clone();
        let folder = self.places.state.clone();
        let begun = Connection::start(target, session, reporter, &self.clock, &self.around, &folder).await;
        let mut connection = match begun {
            Ok(connection) => connection,
            Err(why) => {
                self.hold_left_guard().await;
                return Err(why);
            }
        };
        if let Some(about) = connection.about_tunnel.take() {
            tracing::warn!("{about}");
            connection.reporter.say(self.clock.now(), Kind::Warning, &about);
            if let Some(asker) = &self.asker {
                tell(asker, Reply::Notice { kind: crate::ipc::NoticeKind::Warning, text: about });
            }
        }
        if let Some(networks) = &self.networks {
            connection.servers.clone_from(&networks.dns_servers);
        }
        connection.waiting_order = Some(Order::Connect);
        self.connection = Some(connection);
        self.take_guard_over();
        self.ended_in_trust = None;
        // A person who asks for it in a trusted network gets it; what comes back by itself does not.
        let by_itself = self.asker.is_none();
        self.check_trust(by_itself).await;
        self.intent.last = Some(wishes);
        self.want(true).await;
        self.raise_guard();
        self.look_up_again();
        self.watch_ways();
        Ok(())
    }

    /// The client that waited for the connection is gone. Nobody is there to answer questions: a login ends.
    pub(super) async fn asker_gone(&mut self) {
        self.asker = None;
        let Some(connection) = &self.connection else { return };
        let login = match connection.state {
            State::Connecting => true,
            State::Disconnected { .. } => connection.waiting_order.is_some(),
            _ => false,
        };
        if login {
            self.give_up_login().await;
        }
    }

    pub(super) async fn give_up_login(&mut self) {
        self.say(Kind::Information, "The login was given up: whoever asked for it has gone.");
        self.guard_given_up(true);
        let (nobody, _) = mpsc::channel(1);
        self.disconnect(nobody).await;
    }

    /// The wish cannot be granted.
    pub(super) fn refuse(&mut self, kind: FailureKind, message: String) {
        self.say(Kind::Error, &message);
        self.idle = Some(Idle { person_needed: false, message: message.clone() });
        if let Some(asker) = self.asker.take() {
            tell(&asker, failed(kind, &message));
        }
    }
}

/// Both name a user, and not the same one.
fn other_user(there: &Connect, wanted: &Connect) -> bool {
    matches!((&there.user, &wanted.user), (Some(there), Some(wanted)) if there != wanted)
}

pub(super) fn connected(connection: &Connection, already: bool) -> Connected {
    Connected {
        host: connection.target.settings.host_name.clone(),
        already,
        by_token: connection.auth.is_some_and(|auth| !auth.is_login()),
        addresses: connection.addresses().iter().map(ToString::to_string).collect(),
        tunnel: connection.tunnel(),
        proxy: connection.proxy(),
        proxy_login: connection.target.proxy_login.clone(),
    }
}
