//! The machine's network as the tunnel needs it: device, addresses, routes, resolver and sockets, all through `ikeep-netd`.
//!
//! One task talks to the helper. It holds on to what was asked for: a helper that ends and starts anew is given the device back
//! and asked for the same plan.

mod bypass;
mod guard;

pub(super) use bypass::Bypass;

use super::driver::Sockets;
use super::helpers::Helpers;
use crate::ipc::helper::{Applied, Guard, Helper, HelperError};
use crate::plan::Network;
use crate::tunnel::tun::Device;
use bypass::{Asked, Transport};
use guard::Again;
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Sockets of each family that are ready before they are needed: for a roam and the next ones.
const READY: usize = 4;
/// Reports that may wait.
const REPORTS: usize = 8;
/// A helper that is gone is looked for again after this time, by its supervisor started anew.
const AGAIN: Duration = Duration::from_millis(250);
/// What the helper may take to put everything back.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has been done. Numbers are those of the wish that it belongs to.
#[derive(Debug)]
pub(super) enum Report {
    /// Packets enter and leave here from now on.
    Device(Arc<Device>),
    /// The machine is as the plan wants it.
    Applied(u64, Applied),
    /// It could not be made so.
    Failed(u64, HelperError),
    /// The helper is gone; what it made stays as long as this agent has the device.
    Gone(HelperError),
    /// A helper is there again and has the device; what was wanted is asked of it anew.
    Back,
    /// What was wanted in place of a plan was opened or closed.
    Opened(u64),
    /// The kill switch is as it was wanted; `None`: it is down.
    Guarded(Option<Guard>),
    /// It is not.
    Unguarded(HelperError),
    /// Everything is as before, but for what is told here.
    Released(u64, Vec<String>),
}

/// What is wanted of the machine.
#[derive(Clone, Debug, Default)]
enum What {
    /// Nothing yet; a device that is kept for this user is left alone.
    #[default]
    Nothing,
    /// The device, with whatever was applied to it before.
    Device,
    /// Made as this says, with or without a gap.
    Plan(Arc<Network>, Option<Gap>),
    /// No plan, but with a kill switch a gap in that, or none.
    Gap(Option<Gap>),
    /// Everything as before.
    Released,
}

/// A gap in the tunnel. One that has the same number is the same gap: it is opened once, and never again by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gap {
    pub(super) number: u64,
    /// How long it is open, seconds: 1 or more.
    pub(super) seconds: u16,
}

/// A wish, and its number: the same again is looked at anew.
#[derive(Clone, Debug, Default)]
struct Wanted {
    number: u64,
    what: What,
}

/// The owner's ends.
#[derive(Debug)]
pub(super) struct Ground {
    wanted: watch::Sender<Wanted>,
    /// The kill switch that is wanted; off: none.
    guard: watch::Sender<Guard>,
    /// What has been done, in order.
    reports: mpsc::Receiver<Report>,
    /// What came about the kill switch while something else was waited for.
    heard: VecDeque<Report>,
    bypass: Bypass,
    /// Ends with this.
    task: JoinHandle<()>,
}

impl Ground {
    /// Takes over the conversation with a helper; also the sockets that it makes, the first of which are ready.
    ///
    /// # Errors
    /// The helper makes no socket.
    pub(super) async fn new(mut helper: Helper, helpers: Helpers) -> Result<(Self, Sockets), HelperError> {
        let (wanted, wishes) = watch::channel(Wanted::default());
        let (guard, guards) = watch::channel(Guard::default());
        let (report, reports) = mpsc::channel(REPORTS);
        let (ipv4, ipv4_out) = mpsc::channel(READY);
        let (ipv6, ipv6_out) = mpsc::channel(READY);
        let (ask, asks) = mpsc::channel(REPORTS);
        // The first path is there before the task runs. The queue is empty, so this does not fail.
        let _ = ipv4.try_send(helper.udp(false).await?);
        let mut no_ipv6 = false;
        match helper.udp(true).await {
            Ok(socket) => drop(ipv6.try_send(socket)),
            Err(error) if error.refusal().is_some() => no_ipv6 = true,
            Err(error) => return Err(error),
        }
        let keeper = Keeper {
            helpers,
            wishes,
            guards,
            report,
            ipv4,
            ipv6,
            asks,
            device: None,
            no_ipv6,
            gap: None,
            open: false,
            unheard: false,
            again: Again::default(),
        };
        let task = tokio::spawn(keeper.run(helper));
        let heard = VecDeque::new();
        let ground = Self { wanted, guard, reports, heard, bypass: Bypass(ask), task };
        Ok((ground, Sockets::Made { ipv4: ipv4_out, ipv6: ipv6_out }))
    }

    /// For questions that must not go through the tunnel.
    pub(super) fn bypass(&self) -> Bypass {
        self.bypass.clone()
    }

    /// The device is held on to before there is a plan: an agent before this one had it, and packets must not leak.
    pub(super) fn hold(&self) {
        self.want(What::Device);
    }

    /// Makes the machine as `network` says, with this gap; [`Report::Applied`] or [`Report::Failed`] with the number that is returned follows,
    /// the device before it. The same again is looked at anew.
    pub(super) fn apply(&self, network: Network, gap: Option<Gap>) -> u64 {
        self.want(What::Plan(Arc::new(network), gap))
    }

    /// No plan, but this gap in the kill switch; [`Report::Opened`] or [`Report::Failed`] follows.
    pub(super) fn open(&self, gap: Option<Gap>) -> u64 {
        self.want(What::Gap(gap))
    }

    fn want(&self, what: What) -> u64 {
        let number = self.wanted.borrow().number + 1;
        self.wanted.send_replace(Wanted { number, what });
        number
    }

    /// Everything as before; waits for that, within reason: what could not be put back, for people. What is not done then the
    /// helper does when it hears no more of us.
    pub(super) async fn release(&mut self) -> Vec<String> {
        let wanted = self.want(What::Released);
        let released = async {
            loop {
                match self.reports.recv().await {
                    Some(Report::Released(number, problems)) if number == wanted => return problems,
                    // It has nothing to do with the tunnel.
                    Some(report @ (Report::Guarded(_) | Report::Unguarded(_))) => {
                        self.heard.push_back(report)
                    }
                    // What was done before this was asked for.
                    Some(_) => {}
                    None => return vec!["the task that talks to the helper has ended".to_owned()],
                }
            }
        };
        let late = |_| {
            vec!["the machine's network is not put back yet: the helper does not answer, see `journalctl -u ikeep-netd`".to_owned()]
        };
        tokio::time::timeout(PATIENCE, released).await.unwrap_or_else(late)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task.
struct Keeper {
    helpers: Helpers,
    wishes: watch::Receiver<Wanted>,
    guards: watch::Receiver<Guard>,
    report: mpsc::Sender<Report>,
    ipv4: mpsc::Sender<OwnedFd>,
    ipv6: mpsc::Sender<OwnedFd>,
    asks: mpsc::Receiver<Asked>,
    device: Option<Arc<Device>>,
    /// The kernel makes no IPv6 sockets.
    no_ipv6: bool,
    /// The last gap that a helper was asked for.
    gap: Option<Gap>,
    /// The helper may still have it open.
    open: bool,
    /// The last wish about the kill switch has no answer yet.
    unheard: bool,
    /// When it is said again, where the answer was no.
    again: Again,
}

/// What ended a wait.
enum Wake<'a> {
    Wanted(bool),
    Guard(Guard),
    Socket(bool, mpsc::Permit<'a, OwnedFd>),
    Asked(Asked),
    Gone,
}

impl Keeper {
    async fn run(mut self, mut helper: Helper) {
        loop {
            let Err(error) = self.serve(&mut helper).await else { return };
            tracing::debug!(%error, "the helper is gone");
            self.open = false; // with its helper
            if self.report.send(Report::Gone(error)).await.is_err() {
                return;
            }
            helper = match self.find_again().await {
                Some(helper) => helper,
                None => return,
            };
            if self.report.send(Report::Back).await.is_err() {
                return;
            }
            // Whatever was done of it before: a helper that is new knows nothing.
            self.wishes.mark_changed();
            if self.unheard || *self.guards.borrow() != Guard::default() {
                self.guards.mark_changed();
            }
        }
    }

    /// Serves until the owner is done; an error where the helper is gone.
    async fn serve(&mut self, helper: &mut Helper) -> Result<(), HelperError> {
        loop {
            let (ipv4, ipv6) = (self.ipv4.clone(), self.ipv6.clone());
            let wake = tokio::select! {
                biased;
                Ok(()) = self.guards.changed() => Wake::Guard(*self.guards.borrow_and_update()),
                () = self.again.due() => Wake::Guard(*self.guards.borrow()),
                changed = self.wishes.changed() => Wake::Wanted(changed.is_ok()),
                () = helper.closed() => Wake::Gone,
                Some(asked) = self.asks.recv() => Wake::Asked(asked),
                Ok(permit) = ipv4.reserve() => Wake::Socket(false, permit),
                Ok(permit) = ipv6.reserve(), if !self.no_ipv6 => Wake::Socket(true, permit),
            };
            match wake {
                Wake::Wanted(false) => return Ok(()),
                Wake::Gone => return Err(HelperError::Gone),
                Wake::Guard(guard) => {
                    self.unheard = true;
                    let report = match helper.guard(guard).await {
                        Ok(()) => Report::Guarded(Some(guard).filter(|guard| *guard != Guard::default())),
                        Err(error) if error.refusal().is_some() => Report::Unguarded(error),
                        Err(error) => return Err(error),
                    };
                    self.unheard = false;
                    self.again.heard(matches!(report, Report::Unguarded(_)));
                    drop(self.report.send(report).await);
                }
                Wake::Asked((Transport::Tcp, ipv6, answer)) => match helper.tcp(ipv6).await {
                    Ok(socket) => drop(answer.send(socket)),
                    Err(error) if error.refusal().is_some() => {}
                    Err(error) => return Err(error),
                },
                Wake::Asked((Transport::Udp, ipv6, answer)) => match helper.udp(ipv6).await {
                    // Whoever asked may have gone.
                    Ok(socket) => drop(answer.send(socket)),
                    Err(error) if error.refusal().is_some() => {}
                    Err(error) => return Err(error),
                },
                Wake::Socket(ipv6, permit) => match helper.udp(ipv6).await {
                    Ok(socket) => permit.send(socket),
                    Err(error) if error.refusal().is_some() && ipv6 => self.no_ipv6 = true,
                    Err(error) if error.refusal().is_some() => {
                        tracing::warn!(%error, "no socket for the next path");
                        drop(permit);
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(error) => return Err(error),
                },
                Wake::Wanted(true) => {
                    let wanted = self.wishes.borrow_and_update().clone();
                    if let Some(report) = self.fulfil(helper, wanted).await? {
                        // An owner that is not interested any more says so by its end.
                        drop(self.report.send(report).await);
                    }
                }
            }
        }
    }

    /// Does what is wanted. What the helper refuses is a report, what ends the conversation an error.
    async fn fulfil(&mut self, helper: &mut Helper, wanted: Wanted) -> Result<Option<Report>, HelperError> {
        let Wanted { number, what } = wanted;
        let refused = |error: HelperError| match error.refusal() {
            Some(_) => Ok(Some(Report::Failed(number, error))),
            None => Err(error),
        };
        match what {
            What::Nothing => return Ok(None),
            What::Released => {
                self.device = None;
                self.open = false;
                return helper.revert().await.map(|problems| Some(Report::Released(number, problems)));
            }
            What::Gap(gap) => {
                return match self.open(helper, gap).await {
                    Ok(()) => Ok(Some(Report::Opened(number))),
                    Err(error) => refused(error),
                };
            }
            What::Device | What::Plan(..) => {}
        }
        if self.device.is_none()
            && let Err(error) = self.take_device(helper).await
        {
            return refused(error);
        }
        let What::Plan(network, gap) = what else { return Ok(None) };
        match self.make(helper, &network, gap).await {
            Ok(applied) => Ok(Some(Report::Applied(number, applied))),
            Err(error) => refused(error),
        }
    }

    /// The same without a plan.
    async fn open(&mut self, helper: &mut Helper, gap: Option<Gap>) -> Result<(), HelperError> {
        if gap.is_none() && self.open {
            helper.gap(0).await?;
            self.open = false;
        }
        if let Some(wanted) = gap.filter(|_| gap != self.gap) {
            self.gap = gap;
            self.open = true;
            if let Err(error) = helper.gap(wanted.seconds).await {
                if error.refusal().is_some() {
                    self.gap = None;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// A gap that is not wanted any more is closed before anything else, a new one is opened last.
    async fn make(
        &mut self,
        helper: &mut Helper,
        network: &Network,
        gap: Option<Gap>,
    ) -> Result<Applied, HelperError> {
        if gap.is_none() && self.open {
            helper.gap(0).await?;
            self.open = false;
        }
        let mut applied = helper.apply(network).await?;
        if let Some(wanted) = gap.filter(|_| gap != self.gap) {
            self.gap = gap;
            self.open = true;
            applied = match helper.gap(wanted.seconds).await {
                Err(error) if error.refusal().is_some() => {
                    // Nothing is open, whatever is asked for next.
                    self.gap = None;
                    return Err(error);
                }
                other => other?,
            };
        }
        Ok(applied)
    }

    /// The helper's device; ours, where it takes that over.
    async fn take_device(&mut self, helper: &mut Helper) -> Result<(), HelperError> {
        let own = self.device.clone();
        let (tun, fd) = helper.tun(own.as_ref().map(|device| device.descriptor().as_fd())).await?;
        if own.is_some_and(|device| device.index() == tun.index) {
            return Ok(());
        }
        let device = Device::new(fd, tun.name, tun.index, tun.offload).map(Arc::new);
        let device = device.map_err(HelperError::Io)?;
        self.device = Some(Arc::clone(&device));
        drop(self.report.send(Report::Device(device)).await);
        Ok(())
    }

    /// The helper after the one that is gone, with our device. Nothing where the owner is done.
    async fn find_again(&mut self) -> Option<Helper> {
        loop {
            match self.helpers.reach().await {
                Ok(helper) if self.device.is_none() => return Some(helper),
                Ok(mut helper) => match self.take_device(&mut helper).await {
                    Ok(()) => return Some(helper),
                    Err(error) => tracing::warn!(%error, "the helper does not take the tunnel over"),
                },
                Err(error) => tracing::debug!(%error, "no helper yet"),
            }
            if self.wishes.has_changed().is_err() {
                return None;
            }
            if matches!(self.wishes.borrow().what, What::Released) {
                self.device = None;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

#[cfg(test)]
pub(super) mod script;
#[cfg(test)]
mod tests;
