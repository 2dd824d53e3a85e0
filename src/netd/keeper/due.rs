//! What the keeper does without being asked: when a time is over, and when the machine has changed.

use super::{Keeper, Machine};
use std::pin::Pin;
use tokio::time::Sleep;

/// What is to be done without being asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Due {
    /// The tunnel was kept long enough.
    Over,
    /// The kill switch was kept long enough.
    GuardOver,
    /// The machine has changed.
    Changed,
    /// The gap was open long enough.
    GapOver,
}

impl<M: Machine> Keeper<M> {
    /// Does what [`Keeper::due`] has waited for.
    pub(in super::super) async fn obey(&mut self, due: Due) {
        match due {
            Due::Over if self.orphan.is_some() => {
                self.until = None;
                self.put_back().await;
            }
            Due::Over => {
                tracing::info!("the agent has not come back: everything is put back");
                self.end().await;
            }
            Due::Changed => self.mend().await,
            Due::GuardOver => {
                if let Err(why) = self.drop_guard("the agent has not come back").await {
                    tracing::warn!(why, "it is tried again");
                }
            }
            Due::GapOver => self.close_gap("its time is over").await,
        }
    }

    /// Waits until something is to be done. May be cancelled.
    pub(in super::super) async fn due(&mut self) -> Due {
        let applied = self.tunnel.as_ref().is_some_and(|tunnel| tunnel.network.is_some());
        let over = async {
            match &mut self.until {
                Some(until) => until.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let again = async {
            match &mut self.again {
                Some(again) => again.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let guarded = self.guard.is_some();
        let (guard_gap, guard_until) = match &mut self.guard {
            Some(guarded) => (guarded.gap.as_mut(), guarded.until.as_mut()),
            None => (None, None),
        };
        let gap = either(self.tunnel.as_mut().and_then(|tunnel| tunnel.gap.as_mut()), guard_gap);
        let guard_over = either(guard_until, None);
        tokio::select! {
            () = over => Due::Over,
            () = gap => Due::GapOver,
            () = guard_over => Due::GuardOver,
            () = again, if applied || guarded => Due::Changed,
            () = self.machine.changed(), if applied || guarded => Due::Changed,
        }
    }
}

/// Waits for the first of two times; never, where there is none.
async fn either(one: Option<&mut Pin<Box<Sleep>>>, other: Option<&mut Pin<Box<Sleep>>>) {
    let elapsed = async |time: Option<&mut Pin<Box<Sleep>>>| match time {
        Some(time) => time.as_mut().await,
        None => std::future::pending().await,
    };
    tokio::select! {
        () = elapsed(one) => {}
        () = elapsed(other) => {}
    }
}
