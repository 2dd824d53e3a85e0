//! The watchdog: the supervisor hears that the service's loop goes round, and ends an agent that it does not hear of.
//!
//! The loop itself feeds it, between two things that it does. A timer of its own would go on while the loop is stuck.

use crate::ipc::supervisor::Supervisor;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Beats of this often within the supervisor's patience: one may come late.
const BEATS: u32 = 3;

/// Says that the loop goes round, where somebody wants to know; see the module.
#[derive(Debug, Default)]
pub struct Heart(Option<(Supervisor, Interval)>);

impl Heart {
    /// For this supervisor. Has to be made inside a runtime.
    pub fn new(supervisor: Supervisor) -> Self {
        let every = supervisor.watchdog().map(|patience| patience / BEATS).filter(|every| !every.is_zero());
        Self(every.map(|every| {
            let mut every = interval(every);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            (supervisor, every)
        }))
    }

    /// Returns when it is time to [`beat`](Self::beat); never where nobody asks. Can be cancelled.
    pub async fn due(&mut self) {
        match &mut self.0 {
            Some((_, every)) => {
                every.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Says it.
    pub fn beat(&self) {
        if let Some((supervisor, _)) = &self.0 {
            supervisor.alive();
        }
    }
}
