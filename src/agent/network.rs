//! The machine's network as the tunnel needs it: device, addresses, routes, resolver and sockets, all through `ikeep-netd`.
//!
//! One task talks to the helper. It holds on to what was asked for: a helper that ends and starts anew is given the device back
//! and asked for the same plan.

use super::driver::Sockets;
use super::helpers::Helpers;
use crate::ipc::helper::{Applied, Helper, HelperError};
use crate::plan::Network;
use crate::tunnel::tun::Device;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Sockets of each family that are ready before they are needed: a roam and the next one.
const READY: usize = 2;
/// Reports that may wait.
const REPORTS: usize = 8;
/// A helper that is gone is looked for again after this time, by its supervisor started anew.
const AGAIN: Duration = Duration::from_millis(250);
/// What the helper may take to put everything back.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has been done.
#[derive(Debug)]
pub(super) enum Report {
    /// Packets enter and leave here from now on.
    Device(Arc<Device>),
    /// The machine is as the plan wants it.
    Applied(Applied),
    /// It could not be made so.
    Failed(HelperError),
    /// The helper is gone; what it made stays as long as this agent has the device.
    Gone(HelperError),
    /// A helper is there again and has the device; and what it has done for the plan, if there is one.
    Back(Option<Applied>),
    /// Everything is as before, but for what is told here.
    Released(Vec<String>),
}

/// Asks for a socket that bypasses the tunnel.
#[derive(Clone, Debug)]
pub(super) struct Bypass(mpsc::Sender<Asked>);

/// A socket of this family (true: IPv6), please.
type Asked = (bool, oneshot::Sender<OwnedFd>);

impl Bypass {
    /// A UDP socket, not bound.
    ///
    /// # Errors
    /// There is no helper now, or it refuses.
    pub(super) async fn open(&self, ipv6: bool) -> io::Result<UdpSocket> {
        let gone = || io::Error::other("the helper makes no socket now");
        let (answer, answered) = oneshot::channel();
        self.0.send((ipv6, answer)).await.map_err(|_| gone())?;
        let socket = std::net::UdpSocket::from(answered.await.map_err(|_| gone())?);
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    }
}

/// What is wanted of the machine.
#[derive(Clone, PartialEq, Debug, Default)]
enum Wanted {
    /// Nothing yet; a device that is kept for this user is left alone.
    #[default]
    Nothing,
    /// The device, with whatever was applied to it before.
    Device,
    /// Made as this says. The number makes the same plan be looked at anew.
    Plan(Arc<Network>, u64),
    /// Everything as before.
    Released,
}

/// The owner's ends.
#[derive(Debug)]
pub(super) struct Ground {
    wanted: watch::Sender<Wanted>,
    /// What has been done, in order.
    pub(super) reports: mpsc::Receiver<Report>,
    bypass: Bypass,
    /// Ends with this.
    task: JoinHandle<()>,
    asked: u64,
}

impl Ground {
    /// Takes over the connection to a helper; also the sockets that it makes.
    pub(super) fn new(helper: Helper, helpers: Helpers) -> (Self, Sockets) {
        let (wanted, wishes) = watch::channel(Wanted::Nothing);
        let (report, reports) = mpsc::channel(REPORTS);
        let (ipv4, ipv4_out) = mpsc::channel(READY);
        let (ipv6, ipv6_out) = mpsc::channel(READY);
        let (ask, asks) = mpsc::channel(REPORTS);
        let keeper = Keeper { helpers, wishes, report, ipv4, ipv6, asks, device: None, no_ipv6: false };
        let task = tokio::spawn(keeper.run(helper));
        (
            Self { wanted, reports, bypass: Bypass(ask), task, asked: 0 },
            Sockets::Made { ipv4: ipv4_out, ipv6: ipv6_out },
        )
    }

    /// For questions that must not go through the tunnel.
    pub(super) fn bypass(&self) -> Bypass {
        self.bypass.clone()
    }

    /// The device is held on to before there is a plan: an agent before this one had it, and packets must not leak.
    pub(super) fn hold(&self) {
        self.wanted.send_if_modified(|wanted| {
            let first = *wanted == Wanted::Nothing;
            if first {
                *wanted = Wanted::Device;
            }
            first
        });
    }

    /// Makes the machine as `network` says; [`Report::Applied`] or [`Report::Failed`] follows, the device before it. The same
    /// again is looked at anew.
    pub(super) fn apply(&mut self, network: Network) {
        self.asked += 1;
        self.wanted.send_replace(Wanted::Plan(Arc::new(network), self.asked));
    }

    /// Everything as before; waits for that, within reason: what could not be put back, for people. What is not done then the
    /// helper does when it hears no more of us.
    pub(super) async fn release(&mut self) -> Vec<String> {
        self.wanted.send_replace(Wanted::Released);
        let released = async {
            loop {
                match self.reports.recv().await {
                    Some(Report::Released(problems)) => return problems,
                    // What was done before this was asked for.
                    Some(_) => {}
                    None => return vec!["the task that talks to the helper has ended".to_owned()],
                }
            }
        };
        let late = |_| vec!["the helper takes long to put the machine's network back".to_owned()];
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
    report: mpsc::Sender<Report>,
    ipv4: mpsc::Sender<OwnedFd>,
    ipv6: mpsc::Sender<OwnedFd>,
    asks: mpsc::Receiver<Asked>,
    device: Option<Arc<Device>>,
    /// The kernel makes no IPv6 sockets.
    no_ipv6: bool,
}

/// What ended a wait.
enum Wake<'a> {
    Wanted(bool),
    Socket(bool, mpsc::Permit<'a, OwnedFd>),
    Asked(Asked),
    Gone,
}

impl Keeper {
    async fn run(mut self, mut helper: Helper) {
        loop {
            match self.serve(&mut helper).await {
                Ok(()) => return,
                Err(error) => drop(self.report.send(Report::Gone(error)).await),
            }
            helper = match self.find_again().await {
                Some(helper) => helper,
                None => return,
            };
        }
    }

    /// Serves until the owner is done; an error where the helper is gone.
    async fn serve(&mut self, helper: &mut Helper) -> Result<(), HelperError> {
        loop {
            let (ipv4, ipv6) = (self.ipv4.clone(), self.ipv6.clone());
            let wake = tokio::select! {
                biased;
                changed = self.wishes.changed() => Wake::Wanted(changed.is_ok()),
                () = helper.closed() => Wake::Gone,
                Some(asked) = self.asks.recv() => Wake::Asked(asked),
                Ok(permit) = ipv4.reserve() => Wake::Socket(false, permit),
                Ok(permit) = ipv6.reserve(), if !self.no_ipv6 => Wake::Socket(true, permit),
            };
            match wake {
                Wake::Wanted(false) => return Ok(()),
                Wake::Gone => return Err(HelperError::Gone),
                Wake::Asked((ipv6, answer)) => match helper.udp(ipv6).await {
                    // Whoever asked may have gone.
                    Ok(socket) => drop(answer.send(socket)),
                    Err(error) if error.refusal().is_some() => {}
                    Err(error) => return Err(error),
                },
                Wake::Socket(ipv6, permit) => match helper.udp(ipv6).await {
                    Ok(socket) => permit.send(socket),
                    Err(error) if error.refusal().is_some() && ipv6 => self.no_ipv6 = true,
                    Err(error) => return Err(error),
                },
                Wake::Wanted(true) => {
                    let wanted = self.wishes.borrow_and_update().clone();
                    if let Some(report) = self.fulfil(helper, wanted).await? {
                        // An owner that is not interested any more will say so by a wish, or by its end.
                        drop(self.report.send(report).await);
                    }
                }
            }
        }
    }

    /// Does what is wanted. What the helper refuses is a report, what ends the conversation an error.
    async fn fulfil(&mut self, helper: &mut Helper, wanted: Wanted) -> Result<Option<Report>, HelperError> {
        match wanted {
            Wanted::Nothing => return Ok(None),
            Wanted::Released => {
                self.device = None;
                return helper.revert().await.map(|problems| Some(Report::Released(problems)));
            }
            Wanted::Device | Wanted::Plan(..) => {}
        }
        if let Err(error) = self.ensure_device(helper).await {
            return if error.refusal().is_some() { Ok(Some(Report::Failed(error))) } else { Err(error) };
        }
        let Wanted::Plan(network, _) = wanted else { return Ok(None) };
        match helper.apply(&network).await {
            Ok(applied) => Ok(Some(Report::Applied(applied))),
            Err(error) if error.refusal().is_some() => Ok(Some(Report::Failed(error))),
            Err(error) => Err(error),
        }
    }

    async fn ensure_device(&mut self, helper: &mut Helper) -> Result<(), HelperError> {
        if self.device.is_some() {
            return Ok(());
        }
        let (tun, fd) = helper.tun(None).await?;
        let device = Device::new(fd, tun.name, tun.index, tun.offload).map(Arc::new);
        let device = device.map_err(HelperError::Io)?;
        self.device = Some(Arc::clone(&device));
        drop(self.report.send(Report::Device(device)).await);
        Ok(())
    }

    /// The helper after the one that is gone, with our device and our plan.
    async fn find_again(&mut self) -> Option<Helper> {
        loop {
            match self.helpers.reach().await {
                Ok(mut helper) => match self.hand_over(&mut helper).await {
                    Ok(applied) => {
                        drop(self.report.send(Report::Back(applied)).await);
                        return Some(helper);
                    }
                    Err(error) => tracing::debug!(%error, "the helper does not take the tunnel over"),
                },
                Err(error) => tracing::debug!(%error, "no helper yet"),
            }
            if self.wishes.has_changed().is_err() {
                return None;
            }
            // A helper that is gone has let go, or will when it is back.
            if *self.wishes.borrow() == Wanted::Released {
                drop(self.report.send(Report::Released(Vec::new())).await);
                self.device = None;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn hand_over(&mut self, helper: &mut Helper) -> Result<Option<Applied>, HelperError> {
        if let Some(device) = &self.device {
            helper.tun(Some(device.descriptor().as_fd())).await?;
        }
        let wanted = self.wishes.borrow().clone();
        match wanted {
            Wanted::Plan(network, _) if self.device.is_some() => helper.apply(&network).await.map(Some),
            Wanted::Released => helper.revert().await.map(|_| None),
            _ => Ok(None),
        }
    }
}
