//! The kill switch, as the helper is asked for it: what it refuses is asked for again, and no word of it is lost.

use super::{Ground, PATIENCE, Report};
use crate::ipc::helper::Guard;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// What was refused is asked for again after the first of these times, then after twice that, and so on up to the last.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

impl Ground {
    /// Wants this kill switch, or another one than before. [`Report::Guarded`] or [`Report::Unguarded`] follows, where it is news.
    pub(in super::super) fn raise(&self, guard: Guard) {
        self.guard.send_if_modified(|wanted| std::mem::replace(wanted, guard) != guard);
    }

    /// Wants none, whatever an agent before this one has left.
    pub(in super::super) fn forget_guard(&self) {
        self.guard.send_replace(Guard::default());
    }

    /// Takes the kill switch down and waits for that, within reason: what went wrong, for people.
    pub(in super::super) async fn lower(&mut self) -> Option<String> {
        self.guard.send_replace(Guard::default());
        let lowered = async {
            loop {
                match self.reports.recv().await {
                    Some(Report::Guarded(None)) => return None,
                    Some(Report::Unguarded(error)) => return Some(error.to_string()),
                    // What was done before this was asked for.
                    Some(_) => {}
                    None => return Some("the task that talks to the helper has ended".to_owned()),
                }
            }
        };
        let late = |_| {
            Some(
                "the kill switch is not down yet: the helper does not answer, see `journalctl -u ikeep-netd`"
                    .to_owned(),
            )
        };
        tokio::time::timeout(PATIENCE, lowered).await.unwrap_or_else(late)
    }

    /// The next report.
    pub(in super::super) async fn next(&mut self) -> Option<Report> {
        match self.heard.pop_front() {
            Some(report) => Some(report),
            None => self.reports.recv().await,
        }
    }
}

/// When what was refused is asked for again.
#[derive(Debug, Default)]
pub(super) struct Again {
    refused: u32,
    time: Option<Pin<Box<Sleep>>>,
}

impl Again {
    /// The helper has said no, or yes.
    pub(super) fn heard(&mut self, refused: bool) {
        if !refused {
            *self = Self::default();
            return;
        }
        let (first, last) = AGAIN;
        let time = first.saturating_mul(1 << self.refused.min(8)).min(last);
        self.refused += 1;
        self.time = Some(Box::pin(sleep(time)));
    }

    /// Waits for that; never, where nothing was refused. May be cancelled.
    pub(super) async fn due(&mut self) {
        match &mut self.time {
            Some(time) => time.as_mut().await,
            None => std::future::pending().await,
        }
    }
}
