//! A stand-in for the task that talks to the helper: a test sees what is wanted, and says what has been done.

use super::{Bypass, Gap, Ground, REPORTS, Report, VecDeque, Wanted, What};
use crate::ipc::helper::Guard;
use crate::plan::Network;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// The task's ends, in a test's hands.
pub(in super::super) struct Script {
    wishes: watch::Receiver<Wanted>,
    /// The kill switch that is wanted.
    pub(in super::super) guards: watch::Receiver<Guard>,
    report: mpsc::Sender<Report>,
}

impl Ground {
    /// Without a helper: whatever is wanted of the machine goes to the test.
    pub(in super::super) fn scripted() -> (Self, Script) {
        let (wanted, wishes) = watch::channel(Wanted::default());
        let (guard, guards) = watch::channel(Guard::default());
        let (report, reports) = mpsc::channel(REPORTS);
        let (ask, _) = mpsc::channel(1);
        let task = tokio::spawn(std::future::pending());
        let heard = VecDeque::new();
        (Self { wanted, guard, reports, heard, bypass: Bypass(ask), task }, Script { wishes, guards, report })
    }
}

impl Script {
    /// The next plan that is wanted, and its number. On the way there everything is put back where that is wanted.
    pub(in super::super) async fn plan(&mut self) -> (u64, Arc<Network>) {
        let (number, network, _) = self.plan_and_gap().await;
        (number, network)
    }

    /// The same, with the gap that is wanted in it.
    pub(in super::super) async fn plan_and_gap(&mut self) -> (u64, Arc<Network>, Option<Gap>) {
        loop {
            self.wishes.changed().await.expect("the ground is there");
            let Wanted { number, what } = self.wishes.borrow_and_update().clone();
            match what {
                What::Plan(network, gap) => return (number, network, gap),
                What::Released => self.say(Report::Released(number, Vec::new())).await,
                What::Nothing | What::Device | What::Gap(_) => {}
            }
        }
    }

    /// Waits until everything is wanted as before, and says that it is.
    pub(in super::super) async fn put_back(&mut self) {
        loop {
            self.wishes.changed().await.expect("the ground is there");
            let Wanted { number, what } = self.wishes.borrow_and_update().clone();
            if matches!(what, What::Released) {
                return self.say(Report::Released(number, Vec::new())).await;
            }
        }
    }

    pub(in super::super) async fn say(&self, report: Report) {
        self.report.send(report).await.expect("the ground is there");
    }
}
