//! A gap in the tunnel: for a while a browser reaches the page of a captive portal past it (law 9).
//!
//! It is opened by a person only, while a portal is known to be in the way, and it ends with that, with the network, with sleep,
//! with the time. The helper closes it by itself where this agent does not.

use super::super::network;
use super::tunnel::Laid;
use super::{Service, Way, failed, tell};
use crate::ipc::helper::{HelperError, MAX_GAP};
use crate::ipc::{FailureKind, Reply};
use crate::journal::{Kind, Reason};
use crate::time::Instant;
use serde_json::{Value, json};
use std::fmt::Display;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A gap that is to be closed, until the helper says that it is.
#[derive(Debug)]
pub(in super::super) struct Closing {
    /// The number of the ground's wish without it.
    asked: u64,
    why: String,
    /// Whoever has asked for that.
    way: Option<Way>,
}

impl Closing {
    /// The last one that asks hears of it.
    fn tells(&mut self, way: Option<Way>) {
        if way.is_none() {
            return;
        }
        if let Some(earlier) = std::mem::replace(&mut self.way, way) {
            tell(&earlier, failed(FailureKind::Other, "another `ikeep portal --close` came after this one"));
        }
    }
}

/// A gap, from the wish on.
#[derive(Debug)]
pub(in super::super) struct Opened {
    wish: network::Gap,
    /// The number of the ground's wish that it came with.
    asked: u64,
    /// Whoever has asked for it, until it is there.
    way: Option<Way>,
    /// Its end.
    until: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Opened {
    pub(super) fn wish(&self) -> network::Gap {
        self.wish
    }

    /// Waits until it was open long enough. May be cancelled.
    pub(super) async fn over(&mut self) {
        self.timer.as_mut().await;
    }
}

impl Service {
    /// `ikeep portal`: for so many seconds, or as long as the profile says.
    pub(super) async fn open_gap(&mut self, seconds: Option<u16>, replies: Way) {
        if let Err(message) = self.may_open_gap() {
            return tell(&replies, failed(FailureKind::Other, &message));
        }
        let now = self.clock.now().at;
        let Some(connection) = self.connection.as_mut() else { return };
        let Some(allowed) = connection.target.gap else { return };
        let whole = |time: Duration| u16::try_from(time.as_secs()).unwrap_or(MAX_GAP).min(MAX_GAP);
        let seconds = seconds.unwrap_or(whole(allowed.usual)).clamp(1, whole(allowed.most));
        let time = Duration::from_secs(seconds.into());
        self.gaps += 1;
        let opened = Opened {
            wish: network::Gap { number: self.gaps, seconds },
            asked: 0,
            way: Some(replies),
            until: now + time,
            timer: Box::pin(sleep(time)),
        };
        let before = connection.laid.gap.replace(opened);
        let asked = connection.lay_gap();
        if let (Some(gap), Some(asked)) = (connection.laid.gap.as_mut(), asked) {
            gap.asked = asked;
        }
        if let Some(way) = before.and_then(|before| before.way) {
            tell(&way, failed(FailureKind::Other, "another `ikeep portal` came after this one"));
        }
    }

    /// `ikeep portal --close`.
    pub(super) async fn end_gap(&mut self, replies: Way) {
        let laid = self.connection.as_mut().map(|connection| &mut connection.laid);
        match laid {
            Some(laid) if laid.gap.is_some() => self.close_gap_for("as asked for", Some(replies)).await,
            Some(Laid { closing: Some(closing), .. }) => closing.tells(Some(replies)),
            _ => {
                tell(&replies, failed(FailureKind::Other, "no way past the tunnel is open: nothing to close"))
            }
        }
    }

    /// Why there is nothing to open.
    fn may_open_gap(&self) -> Result<(), String> {
        let Some(connection) = &self.connection else {
            return Err("nothing is connected: a browser goes past no tunnel".to_owned());
        };
        let host = &connection.target.settings.host_name;
        let Some(at) = self.portal.location() else {
            return Err(format!(
                "no captive portal is known here ({host} is {}): it is looked for while the gateway does not answer, and \
                 `ikeep status` tells of it",
                connection.state.name()
            ));
        };
        let page = at.unwrap_or_else(|| "any page that begins with http://".to_owned());
        let nothing_applied = !connection.laid.is_wanted() && !connection.holds_everything();
        if connection.ground.is_none() || nothing_applied {
            return Err(format!(
                "nothing has to be opened: browsers reach the network past {}. Log in there: {page}",
                connection.tunnel()
            ));
        }
        if connection.target.gap.is_none() {
            return Err(format!(
                "the profile keeps {host} always on and forbids a way past the tunnel (AllowCaptivePortalRemediation): ask \
                 whoever runs the gateway"
            ));
        }
        Ok(())
    }

    /// What was asked for with this number is done.
    pub(super) async fn gap_is_there(&mut self, number: u64) {
        let Some(connection) = self.connection.as_mut() else { return };
        if let Some(closing) = connection.laid.closing.take_if(|closing| closing.asked <= number) {
            self.gap_closed(closing);
            self.tell_watchers().await;
        }
        let Some(connection) = self.connection.as_mut() else { return };
        let guarded = connection.guarding.up;
        let Some(gap) = connection.laid.gap.as_mut().filter(|gap| gap.asked <= number) else { return };
        let Some(way) = gap.way.take() else { return };
        let seconds = gap.wish.seconds;
        let location = self.portal.location().flatten();
        self.explain(Reason::GapOpened);
        let what = if guarded {
            "web pages and names leave past the tunnel and the kill switch"
        } else {
            "everything that programs send leaves past the tunnel, and names are asked of this network"
        };
        self.say(Kind::Warning, &format!("For {seconds} s {what}."));
        tell(&way, Reply::Gap { seconds, location });
        self.tell_watchers().await;
    }

    /// What was asked for with this number cannot be done: whether that was a gap.
    pub(super) async fn gap_failed(&mut self, number: u64, error: &HelperError) -> bool {
        let Some(connection) = self.connection.as_mut() else { return false };
        let failed_one = connection.laid.gap.take_if(|gap| gap.asked == number && gap.way.is_some());
        let Some(way) = failed_one.and_then(|gap| gap.way) else { return false };
        // Whatever came of it, it is not wanted any more.
        connection.lay_gap();
        let text = format!("no way past the tunnel could be opened: {error}");
        self.say(Kind::Warning, &text);
        tell(&way, failed(FailureKind::Other, &text));
        true
    }

    /// It cannot be closed now: whoever waits for that hears why. It is told as closed when it is.
    pub(super) fn gap_not_closed(&mut self, error: &dyn Display) {
        let closing = self.connection.as_mut().and_then(|connection| connection.laid.closing.as_mut());
        let Some(way) = closing.and_then(|closing| closing.way.take()) else { return };
        let text = format!(
            "the way past the tunnel is not closed yet: {error}. It is tried again, and ends by itself in time; \
             `ikeep disconnect` takes everything back"
        );
        tell(&way, failed(FailureKind::Other, &text));
    }

    /// Closes it, where there is one.
    pub(super) async fn close_gap(&mut self, why: &str) {
        self.close_gap_for(why, None).await;
    }

    async fn close_gap_for(&mut self, why: &str, way: Option<Way>) {
        let Some(connection) = self.connection.as_mut() else { return };
        let Some(gap) = connection.laid.gap.take() else { return };
        let asked = connection.lay_gap();
        let was_open = not_opened(gap, why);
        let mut closing = Closing { asked: asked.unwrap_or_default(), why: why.to_owned(), way: None };
        // Where an earlier one is not closed yet, whoever waits for that waits for this one.
        closing.tells(connection.laid.closing.take().and_then(|earlier| earlier.way));
        closing.tells(way);
        match asked {
            Some(_) if was_open || closing.way.is_some() => connection.laid.closing = Some(closing),
            _ if was_open => self.gap_closed(closing),
            _ => {
                if let Some(way) = closing.way {
                    tell(&way, Reply::Done);
                }
            }
        }
        self.tell_watchers().await;
    }

    /// It is not there any more, or is taken away with the rest.
    pub(super) fn gap_ended(&mut self, why: &str) {
        let Some(connection) = self.connection.as_mut() else { return };
        let (closing, gap) = (connection.laid.closing.take(), connection.laid.gap.take());
        if let Some(closing) = closing {
            self.gap_closed(closing);
        }
        if gap.is_some_and(|gap| not_opened(gap, why)) {
            self.gap_closed(Closing { asked: 0, why: why.to_owned(), way: None });
        }
    }

    fn gap_closed(&mut self, closing: Closing) {
        self.explain(Reason::GapClosed);
        self.say(Kind::Information, &format!("The way past the tunnel is closed: {}.", closing.why));
        if let Some(way) = closing.way {
            tell(&way, Reply::Done);
        }
    }

    /// A reason for the log, about the connection that is there.
    pub(super) fn explain(&mut self, reason: Reason) {
        let now = self.clock.now();
        if let Some(connection) = self.connection.as_mut() {
            connection.reporter.explain(now, reason);
        }
    }

    /// The portal in the way, for `status --json`; `null`: none is known.
    pub(super) fn portal_status(&self) -> Value {
        let (Some(connection), Some(location), Some(text)) =
            (&self.connection, self.portal.location(), self.portal.text())
        else {
            return Value::Null;
        };
        let now = self.clock.now().at;
        let open = connection.laid.gap.as_ref().filter(|gap| gap.way.is_none());
        let closing = connection.laid.closing.as_ref().map(|_| 0);
        let left = open.map(|gap| gap.until.since(now).as_secs()).or(closing);
        let command = self.may_open_gap().is_ok().then_some(COMMAND);
        let hint = match (left, command) {
            (Some(0), _) => "; the way there is being closed".to_owned(),
            (Some(left), _) => format!("; the way there is open for {left} s"),
            (None, Some(command)) => format!("; `{command}` opens the way there past the tunnel"),
            (None, None) => String::new(),
        };
        json!({ "message": text + &hint, "location": location, "command": command, "gap_s": left })
    }
}

/// Whoever waits for this gap hears that it does not come. Otherwise it was there: `true`.
fn not_opened(gap: Opened, why: &str) -> bool {
    if let Some(way) = &gap.way {
        tell(way, failed(FailureKind::Other, &format!("the way past the tunnel was not opened: {why}")));
    }
    gap.way.is_none()
}

/// What a person types.
pub(super) const COMMAND: &str = "ikeep portal";

#[cfg(test)]
mod tests;
