//! What the desktop is told, and what it is not: whoever waits at a terminal reads it there.

use super::{FILES, Service, Way};
use crate::agent::desktop::{About, Board, News};
use crate::config::Config;
use crate::ipc::FailureKind;
use crate::reconnect::{Pause, State, Why};
use std::path::PathBuf;
use std::pin::Pin;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// Ends when what is shown may have to change.
type Wait = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// What there is to show, and when to look again.
#[derive(Default)]
pub(super) struct Desktop {
    board: Board,
    look_again: Option<Wait>,
    /// The config file says no.
    off: bool,
}

impl Desktop {
    /// Waits until something may have to be shown that has no event of its own. May be cancelled.
    pub(super) async fn due(&mut self) {
        match self.look_again.as_mut() {
            Some(look_again) => look_again.await,
            None => std::future::pending().await,
        }
    }

    /// The config file's word.
    pub(super) fn turn(&mut self, on: bool) {
        self.off = !on;
    }
}

/// What the config file says where nothing else of the connection can be found. One that cannot be read says nothing, and who
/// does not know of the trouble cannot mend it.
pub(super) async fn wants_notifications(config: Option<PathBuf>) -> bool {
    let loaded = timeout(FILES, spawn_blocking(move || Config::load(config.as_deref()))).await;
    !matches!(loaded, Ok(Ok(Ok(config))) if !config.agent.notifications)
}

impl Service {
    /// What is told from now on is about this gateway.
    pub(super) fn begin_on_desktop(&mut self, host: &str) {
        self.desktop.board.begin(host);
        self.show_on_desktop();
    }

    pub(super) fn tell_desktop(&mut self, news: News) {
        self.desktop.board.handle(self.clock.now().at, news);
        self.show_on_desktop();
    }

    /// Makes the desktop show what the board has now. This waits for nobody.
    pub(super) fn show_on_desktop(&mut self) {
        let now = self.clock.now().at;
        let due = self.desktop.board.poll_timeout(now);
        self.desktop.look_again = due.map(|(at, _)| -> Wait { Box::pin(sleep(at.since(now))) });
        let mut note = self.desktop.board.note(now).filter(|_| !self.desktop.off);
        // Whoever waits at a terminal for what does not come sees that, until they give it up.
        if note.as_ref().is_some_and(|note| note.about == About::NoAnswer) && self.is_attended() {
            let ways: Vec<Way> = self.asker.iter().chain(&self.waiters).cloned().collect();
            self.desktop.look_again = Some(Box::pin(async move {
                for way in ways {
                    way.closed().await;
                }
            }));
            note = None;
        }
        self.around.notes.send_if_modified(|shown| {
            let changed = *shown != note;
            *shown = note;
            changed
        });
    }

    /// Somebody waits at a terminal for the connection.
    fn is_attended(&self) -> bool {
        self.asker.iter().chain(&self.waiters).any(|way| !way.is_closed())
    }

    /// Ends are told with their reason, see [`Service::desktop_ended`].
    pub(super) fn desktop_in(&mut self, state: &State) {
        let news = match state {
            State::Reconnecting(_) | State::CaptivePortal(_) => News::Trying,
            State::WaitingForNetwork { .. } | State::Suspended { pause: Pause::Sleep, .. } => News::Paused,
            State::Connected
            | State::Connecting
            | State::Suspended { pause: Pause::TrustedNetwork, .. }
            | State::Disconnecting { why: None, .. }
            | State::Disconnected { why: None } => News::Settled,
            State::AuthRequired { .. }
            | State::Disconnecting { why: Some(_), .. }
            | State::Disconnected { why: Some(_) } => return,
        };
        self.tell_desktop(news);
    }

    /// There is no connection, and none will come by itself.
    pub(super) fn desktop_ended(&mut self, why: Why, kind: FailureKind) {
        let about = match why {
            Why::TokenRefused => About::SessionEnded,
            Why::WindowOver => About::WindowOver,
            Why::LoginFailed if kind == FailureKind::Certificate => About::Untrusted,
            Why::LoginFailed | Why::NoToken | Why::NoAutoReconnect | Why::Suspend => About::LoginNeeded,
            // The company's own network, where its profile wants no tunnel.
            Why::TrustedNetwork => return self.tell_desktop(News::Settled),
        };
        self.tell_desktop(if self.is_attended() { News::Settled } else { News::Ended(about) });
    }

    /// Whoever answered as the gateway could not prove to be it.
    pub(super) fn desktop_untrusted(&mut self) {
        if !self.is_attended() {
            self.tell_desktop(News::Untrusted);
        }
    }

    /// A captive portal is in the way, still, or no more.
    pub(super) fn desktop_portal(&mut self) {
        let found = self.portal.location().is_some();
        if !found || !self.is_attended() {
            let behind_tunnel = self.portal_status()["command"].is_string();
            self.tell_desktop(News::Portal(found.then_some(behind_tunnel)));
        }
    }
}

#[cfg(test)]
mod tests;
