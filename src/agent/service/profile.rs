//! The profile's file while a connection lasts that was made with it.

use super::super::connection::Connection;
use super::super::target::Target;
use super::connect::connected;
use super::{Service, Way, tell, text};
use crate::ipc::{Connect, Failure, NoticeKind, Reply};
use crate::journal::Kind;
use crate::reconnect::State;
use serde_json::{Value, json};

impl Connection {
    /// For the status; null: it says what it said at the login.
    pub(super) fn profile_change(&self) -> Value {
        let standing = self.standing.borrow();
        let message = standing.text(&self.target.profile_file);
        message.map_or(Value::Null, |message| json!({ "what": standing.name(), "message": message }))
    }

    /// What whoever asks for this connection again has to know: profile or config file say something else by now. `target`: what
    /// they say.
    fn news(&self, target: &Target) -> Option<String> {
        let file = &self.target.profile_file;
        if target.profile_file != *file {
            // What has become of the file itself is known from looking at it.
            return self.standing.borrow().text(file).or_else(|| {
                Some(format!(
                    "the next login takes the profile {}, which comes before {} by now: this connection and its reconnects go on \
                     with what that said at the login",
                    target.profile_file.display(),
                    file.display()
                ))
            });
        }
        let standing = target.meaning.since(&self.target.meaning);
        // A backup server has settings of its own.
        // A key that is still locked has not shown its certificate.
        let comparable =
            self.target.wishes.backup.is_none() && target.locked.is_none() && target.token.is_none();
        let other_settings = comparable && !self.target.has_settings_of(target);
        standing.text(file).or_else(|| {
            let text = "the config file, or a CA, says something else than at the login: this connection and its reconnects go \
                        on as they are; what it says now counts from the next login on: `ikeep disconnect`, then `ikeep connect`";
            other_settings.then(|| text.to_owned())
        })
    }

    /// It is up, or comes back by itself: nothing of profile and config file is needed for it.
    fn goes_on(&self) -> bool {
        !self.ending
            && !matches!(
                self.state,
                State::Disconnected { .. }
                    | State::Connecting
                    | State::AuthRequired { .. }
                    | State::Disconnecting { .. }
            )
    }

    /// Nothing that `wishes` say is otherwise than at the login.
    fn is_meant_by(&self, wishes: &Connect) -> bool {
        let (name, address) = &self.target.primary;
        let then = &self.target.wishes;
        wishes
            .host
            .as_ref()
            .is_none_or(|host| host.eq_ignore_ascii_case(name) || host.eq_ignore_ascii_case(address))
            && wishes.profile.as_ref().is_none_or(|file| *file == self.target.profile_file)
            && wishes.config.as_ref().is_none_or(|_| wishes.config == then.config)
            && wishes.user.as_ref().is_none_or(|_| wishes.user == then.user)
            && wishes.group.as_ref().is_none_or(|_| wishes.group == then.group)
            && wishes.tunnel.is_none_or(|_| wishes.tunnel == then.tunnel)
            && wishes.proxy.is_none_or(|_| wishes.proxy == then.proxy)
            && (wishes.trust.is_empty() || wishes.trust == then.trust)
    }
}

impl Service {
    /// The file of the connection's profile says something else than it did, or the same again.
    pub(super) async fn profile_changed(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        let standing = connection.standing.borrow_and_update().clone();
        let file = &connection.target.profile_file;
        match standing.text(file) {
            Some(text) => self.say(Kind::Warning, &sentence(&text)),
            None => {
                let text = format!("The profile {} says again what it said at the login.", file.display());
                self.say(Kind::Information, &text);
            }
        }
        self.tell_watchers().await;
    }

    /// `ikeep connect` for what is there: the person learns what has changed since.
    pub(super) fn already_connected(&self, target: &Target, replies: &Way) {
        let Some(connection) = &self.connection else { return };
        if let Some(text) = connection.news(target) {
            tell(replies, Reply::Notice { kind: NoticeKind::Warning, text });
        }
        tell(replies, Reply::Connected(connected(connection, true)));
    }

    /// There is a connection that goes on, and these wishes mean it.
    pub(super) fn goes_on_for(&self, wishes: &Connect) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.goes_on() && connection.is_meant_by(wishes))
    }

    /// `ikeep connect` for a connection that goes on although what it was made with cannot be read any more.
    pub(super) async fn connect_as_it_is(&mut self, problem: &Failure, replies: Way) {
        let Some(connection) = &self.connection else { return };
        let text =
            format!("the connection goes on as it was made, but the next login will not work: {problem}");
        tell(&replies, Reply::Notice { kind: NoticeKind::Warning, text });
        match &connection.state {
            State::Connected => return tell(&replies, Reply::Connected(connected(connection, true))),
            State::Suspended { .. } => return self.wake(replies).await,
            state => {
                tell(&replies, Reply::State { state: state.name().to_owned(), text: text::state(state) });
            }
        }
        self.wait_too(replies);
    }
}

/// For the log.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests;
