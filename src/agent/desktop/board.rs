//! Decides what a desktop has to show. What mends itself soon, and what a person has just done or reads at a terminal, is not told.

use super::note::{About, Note};
use crate::time::Instant;
use std::time::Duration;

/// An end is told after this: who has just sat down, and whose `ikeep connect` has started the agent, is at it already.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// Trying for so long, while there is a network, is no reconnect that works.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// One who cannot prove to be the gateway may be gone at the next attempt.
const UNTRUSTED: u32 = 2;

/// What has happened, as far as a person may have to know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// The connection serves, or a person is at it, or nobody wants one.
    Settled,
    /// It is being brought back.
    Trying,
    /// There is no network, or the machine goes to sleep: nothing is tried.
    Paused,
    /// The machine has slept: what was tried before does not count.
    Slept,
    /// It is tried from another place, perhaps another network, without a pause between.
    Moved,
    /// Whoever answered as the gateway could not prove to be it.
    Untrusted,
    /// A captive portal is in the way, and whether a tunnel is in the way to it; `None`: there is none any more.
    Portal(Option<bool>),
    /// The connection does not come back by itself.
    Ended(About),
}

/// See the module. The default has nothing to show.
#[derive(Debug, Default)]
pub struct Board {
    host: String,
    ended: Option<(About, Instant)>,
    portal: Option<bool>,
    /// Answers in a row, in this network, that proved nothing.
    untrusted: u32,
    /// How long it was tried before `trying`.
    tried: Duration,
    trying: Option<Instant>,
}

impl Board {
    /// From here on it is about the gateway with this HostName, of which nothing has been told.
    pub fn begin(&mut self, host: &str) {
        *self = Self { host: host.to_owned(), ..Self::default() };
    }

    /// Takes in what has happened. The same again changes nothing, but for [`News::Untrusted`].
    pub fn handle(&mut self, now: Instant, news: News) {
        match news {
            News::Settled => *self = Self { host: std::mem::take(&mut self.host), ..Self::default() },
            News::Trying => {
                self.trying.get_or_insert(now);
            }
            News::Paused => {
                self.stop_trying(now);
                (self.portal, self.untrusted) = (None, 0);
            }
            News::Slept => {
                self.tried = Duration::ZERO;
                self.trying = self.trying.map(|_| now);
                self.untrusted = 0;
            }
            News::Moved => self.untrusted = 0,
            News::Untrusted => self.untrusted = self.untrusted.saturating_add(1),
            News::Portal(portal) => self.portal = portal,
            News::Ended(about) => {
                self.stop_trying(now);
                if self.ended.is_none_or(|(before, _)| before != about) {
                    self.ended = Some((about, now));
                }
            }
        }
    }

    fn stop_trying(&mut self, now: Instant) {
        self.tried += self.trying.take().map(|since| now.since(since)).unwrap_or_default();
    }

    fn has_tried(&self, now: Instant) -> Duration {
        self.tried + self.trying.map(|since| now.since(since)).unwrap_or_default()
    }

    /// What has to be shown now: of several things the one that a person has to mend first.
    pub fn note(&self, now: Instant) -> Option<Note> {
        let ended = self.ended.filter(|(_, since)| now.since(*since) >= GRACE).map(|(about, _)| about);
        let portal = || self.portal.map(|behind_tunnel| About::Portal { behind_tunnel });
        // Behind a portal anybody may answer.
        let untrusted = || (self.untrusted >= UNTRUSTED).then_some(About::Untrusted);
        let no_answer = || (self.has_tried(now) >= LONG).then_some(About::NoAnswer);
        let about = ended.or_else(portal).or_else(untrusted).or_else(no_answer)?;
        Some(Note::new(about, &self.host))
    }

    /// When [`Board::note`] may change by itself, and why; `None`: not before the next news.
    pub fn poll_timeout(&self, now: Instant) -> Option<(Instant, &'static str)> {
        let ended = self.ended.map(|(_, since)| (since + GRACE, "an end is told"));
        let left = LONG.saturating_sub(self.tried);
        let long = self.trying.map(|since| (since + left, "no connection for long is told"));
        [ended, long].into_iter().flatten().filter(|(at, _)| *at > now).min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests;
