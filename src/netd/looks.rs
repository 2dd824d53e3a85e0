//! How often the machine is looked at: not at each of many changes, and not never because something else keeps coming in between.

use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Changes that come together are looked at together.
const PAUSE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Default)]
pub struct Looks(Option<Pin<Box<Sleep>>>);

impl Looks {
    /// Returns no sooner than a tenth of a second after it was first asked since it last did. May be cancelled: what was waited
    /// counts.
    pub(super) async fn next(&mut self) {
        self.0.get_or_insert_with(|| Box::pin(sleep(PAUSE))).as_mut().await;
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn the_next_look_comes_whatever_interrupts_the_wait() {
        let mut looks = Looks::default();
        let step = PAUSE / 10;
        for _ in 0..10 {
            assert!(timeout(step / 2, looks.next()).await.is_err());
            sleep(step / 2).await;
        }
        assert!(timeout(Duration::from_millis(1), looks.next()).await.is_ok(), "it was waited for");
        assert!(timeout(step, looks.next()).await.is_err(), "and not twice at once");
    }
}
