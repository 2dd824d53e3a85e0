//! The gap: for a while packets and names go past the tunnel, so that a person can log in at a captive portal.
//!
//! It is this helper that closes it, whatever becomes of the agent: by its own timer, or with the agent's connection. The record
//! for the next helper tells nothing of it.

use super::{AGAIN, Keeper, Machine, chain, no, refused};
use crate::ipc::helper::{Answer, Applied, MAX_GAP, RefusalKind};
use crate::netd::net::Gap;
use std::time::Duration;
use tokio::time::sleep;

impl<M: Machine> Keeper<M> {
    /// Opens it for so long from now on, or (0) closes it.
    pub(super) async fn open_gap(&mut self, client: u64, uid: u32, seconds: u16) -> Answer {
        if seconds > MAX_GAP {
            return no(&format!("a gap of {seconds} s is longer than {MAX_GAP} s"));
        }
        if self.tunnel.as_ref().is_none_or(|tunnel| tunnel.network.is_none())
            && let Some(opened) = self.open_guard(client, seconds).await
        {
            return match opened {
                Ok(()) => Answer::Applied(Applied::default()),
                Err(why) => refused(RefusalKind::Machine, why).0,
            };
        }
        if let Err(not) = self.held_by(client, uid) {
            return not;
        }
        let Some(tunnel) = &mut self.tunnel else { return no(super::NO_DEVICE) };
        let Some(network) = &tunnel.network else {
            return no("no plan is applied: there is nothing that a gap could be in");
        };
        let gap = if seconds == 0 { Gap::Closed } else { Gap::Open };
        // It began before there was a plan, perhaps.
        if let Some(guarded) = self.guard.as_mut().filter(|_| gap == Gap::Closed) {
            guarded.gap = None;
        }
        if gap == Gap::Closed && tunnel.gap.take().is_some() {
            tracing::info!("the gap is closed: its agent wants it so");
        }
        match self.machine.apply(&tunnel.held.device, network, gap).await {
            Ok(applied) => {
                if gap == Gap::Open {
                    tracing::info!(uid, seconds, "a gap is open");
                    tunnel.gap = Some(Box::pin(sleep(Duration::from_secs(seconds.into()))));
                }
                self.rewall().await;
                Answer::Applied(applied)
            }
            Err(error) => {
                let message = chain("the gap is as it was", &error);
                self.take_back().await;
                // Until it is closed in truth, also where it was opened in part.
                self.again = Some(Box::pin(sleep(AGAIN)));
                refused(RefusalKind::Machine, message).0
            }
        }
    }

    /// Closes it, where it is open.
    pub(super) async fn close_gap(&mut self, why: &str) {
        let of_tunnel = self.tunnel.as_mut().and_then(|tunnel| tunnel.gap.take());
        if self.guard.as_mut().and_then(|guarded| guarded.gap.take()).or(of_tunnel).is_some() {
            tracing::info!(why, "the gap is closed");
            self.mend().await;
        }
    }
}
