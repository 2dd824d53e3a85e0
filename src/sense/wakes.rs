//! Waking from sleep without logind, without a wake-up of our own: a timer on the civil clock that is told when that clock
//! jumps, as it does in each resume.

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// Never, as far as this timer goes: the year 2514.
const NEVER: i64 = 1 << 34;

/// The timer.
#[derive(Debug)]
pub(super) struct Wakes(AsyncFd<OwnedFd>);

impl Wakes {
    /// # Errors
    /// No descriptor is left, or a sandbox forbids timers.
    pub(super) fn open() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        arm(&timer)?;
        Ok(Self(super::watched(timer)?))
    }

    /// Waits until the civil clock jumps.
    pub(super) async fn jumped(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
            let mut expirations = [0u8; 8];
            let result = rustix::io::read(self.0.get_ref(), &mut expirations);
            if matches!(result, Err(Errno::AGAIN)) {
                ready.clear_ready();
                continue;
            }
            // ECANCELED: the clock jumped. A timer that was told is armed anew.
            if let Err(error) = arm(self.0.get_ref()) {
                tracing::warn!(%error, "the timer that notices waking from sleep cannot be armed");
                return std::future::pending().await;
            }
            ready.clear_ready();
            return;
        }
    }
}

fn arm(timer: &OwnedFd) -> io::Result<()> {
    let when = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec { tv_sec: NEVER, tv_nsec: 0 },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(timer, flags, &when)?;
    Ok(())
}
