//! The tunnel's device and the machine's network, as far as this connection needs them changed.

use super::super::connection::Connection;
use super::super::driver::{Command, Output};
use super::super::network::{self, Report};
use super::gap::{Closing, Opened};
use super::{Idle, Service};
use crate::ipc::FailureKind;
use crate::ipc::helper::{Applied, HelperError, MAX_MTU};
use crate::journal::Kind;
use crate::plan::{Network, Plan, PlanNote};
use crate::reconnect::{Pause, State, Why};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// What a device must carry, octets: RFC 8200 5, RFC 791 3.2.
const SMALLEST6: u32 = 1280;
const SMALLEST4: u32 = 576;
/// What comes after a plan waits no longer than this for the machine to be as the plan wants it.
const LIMIT: Duration = Duration::from_secs(15);
/// A plan that could not be applied is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// Of what a gateway wants and does not get, so much is named.
const MAX_TOLD: usize = 12;

/// How far the machine's network is.
#[derive(Debug, Default)]
pub(in super::super) struct Laid {
    /// What was asked of it last, and the number of that wish.
    asked: Option<(u64, Network, Option<network::Gap>)>,
    /// What comes after the plan waits until this wish is fulfilled, and no longer than that.
    gate: Option<(u64, Pin<Box<Sleep>>)>,
    /// When what failed is tried again.
    again: Option<Pin<Box<Sleep>>>,
    /// What was opened for the log-in at a captive portal.
    pub(super) gap: Option<Opened>,
    /// What was opened before, and is not yet said to be closed.
    pub(super) closing: Option<Closing>,
    /// What was done.
    pub(in super::super) applied: Option<Applied>,
    /// Why it is not as it should be.
    pub(in super::super) failed: Option<String>,
    /// The device's name.
    pub(in super::super) device: Option<String>,
    /// The largest inner packet that the path carries in one piece.
    pub(in super::super) mtu: Option<u32>,
}

impl Laid {
    /// The machine is being made as the plan wants it.
    pub(in super::super) fn is_under_way(&self) -> bool {
        self.gate.is_some()
    }

    /// Nothing waits for that any more.
    pub(super) fn open_gate(&mut self) {
        self.gate = None;
    }

    /// Something is routed into the tunnel, or will be.
    pub(super) fn is_wanted(&self) -> bool {
        self.asked.is_some()
    }

    /// The device's MTU, octets.
    pub(in super::super) fn device_mtu(&self) -> Option<u16> {
        self.asked.as_ref().map(|(_, network, _)| network.mtu)
    }
}

/// See [`Connection::next_word`].
pub(super) enum Word {
    Ground(Report),
    /// The machine's network takes too long.
    Late,
    /// What failed is due again.
    Again,
    /// The gap was open long enough.
    GapOver,
    /// The machine has been awake for a while, and the network is still a trusted one.
    GuardAwake,
    /// The profile says something else than it did, or the same again.
    Profile,
    Output(Option<Output>),
}

impl Connection {
    /// The next word of the driver or of the machine's network. What comes after "keep this session" (`keeps`), or after the
    /// plan while the machine is being made so, waits: Connected is not announced before.
    pub(super) async fn next_word(&mut self, keeps: bool) -> Word {
        let waits = keeps || self.laid.is_under_way();
        let Self { ground, outputs, laid, standing, guarding, .. } = self;
        let report = async {
            match ground {
                Some(ground) => ground.next().await,
                None => None,
            }
        };
        let late = async {
            match &mut laid.gate {
                Some((_, limit)) => limit.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let again = async {
            match &mut laid.again {
                Some(time) => time.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let gap_over = async {
            match &mut laid.gap {
                Some(gap) => gap.over().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(report) = report => Word::Ground(report),
            () = gap_over => Word::GapOver,
            () = guarding.look_again() => Word::GuardAwake,
            () = late => Word::Late,
            () = again => Word::Again,
            Ok(()) = standing.changed() => Word::Profile,
            output = outputs.recv(), if !waits => Word::Output(output),
        }
    }

    /// What the machine has to look like now.
    fn network(&self, plan: &Plan) -> Network {
        let smallest = if plan.address6.is_some() { SMALLEST6 } else { SMALLEST4 };
        let usual = u32::try_from(crate::tunnel::MTU).unwrap_or(SMALLEST6);
        let mtu = self.laid.mtu.unwrap_or(usual).max(smallest);
        let settings = &self.target.settings;
        let ports = [settings.port, settings.nat_port];
        let at = |ip| ports.map(|port| SocketAddr::new(ip, port));
        let gateways: Vec<SocketAddr> = self.whereabouts.gateways().into_iter().flat_map(at).collect();
        let mtu = u16::try_from(mtu).unwrap_or(MAX_MTU).min(MAX_MTU);
        Network::new(plan, self.target.network, &gateways, mtu)
    }

    /// Asks for what is open, in the plan or, where none is applied, in the kill switch. The number of the wish.
    pub(super) fn lay_gap(&mut self) -> Option<u64> {
        if self.laid.is_wanted() {
            return self.lay_ground();
        }
        let gap = self.laid.gap.as_ref().map(Opened::wish);
        // What was opened is closed in any case: a wish that waits for the helper would be heard by the next one.
        self.ground.as_ref().filter(|_| self.guarding.up || gap.is_none()).map(|ground| ground.open(gap))
    }

    /// Asks for the machine to be as the plan wants it now, where that is something else than before. The number of the wish.
    pub(super) fn lay_ground(&mut self) -> Option<u64> {
        let network = self.network(&self.plan()?);
        let gap = self.laid.gap.as_ref().map(Opened::wish);
        let same =
            |(_, asked, with): &(u64, Network, Option<network::Gap>)| *asked == network && *with == gap;
        let news = !self.laid.asked.as_ref().is_some_and(same);
        let ground = self.ground.as_ref().filter(|_| news)?;
        let number = ground.apply(network.clone(), gap);
        self.laid.asked = Some((number, network, gap));
        self.laid.again = None;
        Some(number)
    }

    /// The same, and what the driver says waits for it.
    fn lay_ground_first(&mut self) {
        if let Some(number) = self.lay_ground() {
            self.laid.gate = Some((number, Box::pin(sleep(LIMIT))));
        }
    }
}

impl Service {
    /// One line about what the gateway wants in its tunnel and does not get.
    pub(super) fn tell_what_stays_here(&mut self, notes: &[PlanNote]) {
        let here = notes.iter().filter_map(|note| match note {
            PlanNote::Here { net, what } => Some(format!("{net} {what}")),
            _ => None,
        });
        let mut here: Vec<String> = here.collect();
        let more = here.len().saturating_sub(MAX_TOLD);
        here.truncate(MAX_TOLD);
        if more > 0 {
            here.push(format!("{more} more"));
        }
        if !here.is_empty() {
            let list = here.join(", ");
            self.say(
                Kind::Warning,
                &format!("The gateway wants {list}. That is of this machine, of its links or the gateway itself, and is left out."),
            );
        }
    }

    /// The gateway has assigned something: the machine is made so before anybody hears of it.
    pub(super) fn planned(&mut self) {
        if let Some(connection) = self.connection.as_mut() {
            connection.lay_ground_first();
        }
    }

    /// There is another network around the tunnel: whoever manages it may have changed what was made, so it is looked at anew.
    pub(super) fn check_ground(&mut self) {
        if let Some(connection) = self.connection.as_mut()
            && connection.laid.asked.take().is_some()
        {
            connection.lay_ground();
        }
    }

    /// Something that the network depends on has changed: the path's MTU, the gateway's addresses.
    pub(super) fn ground_changed(&mut self) {
        if let Some(connection) = self.connection.as_mut().filter(|there| there.laid.asked.is_some()) {
            connection.lay_ground();
        }
    }

    /// Leaves or regains the ground, as the state wants it: what belongs into the tunnel leaves by it or not at all (law 9).
    pub(super) async fn ground_in(&mut self, state: &State) {
        match state {
            State::AuthRequired { .. }
            | State::Disconnected { .. }
            | State::Suspended { pause: Pause::TrustedNetwork, .. } => self.leave_ground().await,
            State::Connected | State::Reconnecting(_) | State::WaitingForNetwork { .. } => {
                if let Some(connection) = self.connection.as_mut().filter(|there| there.laid.asked.is_none())
                {
                    connection.lay_ground_first();
                }
            }
            _ => {}
        }
    }

    pub(super) async fn ground(&mut self, report: Report) {
        let Some(connection) = self.connection.as_mut() else { return };
        match report {
            Report::Device(device) => {
                connection.laid.device = Some(device.name().to_owned());
                connection.command(Command::Device(Some(device))).await;
            }
            Report::Applied(number, applied) => {
                self.applied(number, applied);
                self.gap_is_there(number).await;
            }
            Report::Failed(number, error) => self.ground_failed(Some(number), &error).await,
            Report::Released(..) => {}
            Report::Opened(number) => self.gap_is_there(number).await,
            Report::Guarded(guard) => self.guarded(guard).await,
            Report::Unguarded(error) => self.unguarded(&error).await,
            Report::Back => {
                self.say(Kind::Information, "The helper is there again, and the tunnel goes on.");
            }
            Report::Gone(error) => {
                let text = format!("{error}. What it made stays; the helper is looked for again.");
                self.say(Kind::Warning, &text);
                self.guard_unknown(&error);
                self.close_gap("the helper has ended").await;
                self.gap_not_closed(&error);
            }
        }
    }

    /// The helper does not say that it is done.
    pub(super) async fn ground_late(&mut self) {
        self.ground_failed(None, &HelperError::Late).await;
    }

    /// What has failed is tried again.
    pub(super) fn ground_again(&mut self) {
        if let Some(connection) = self.connection.as_mut() {
            connection.laid.again = None;
            connection.laid.asked = None;
            connection.lay_ground();
        }
    }

    async fn ground_failed(&mut self, number: Option<u64>, error: &HelperError) {
        let Some(connection) = self.connection.as_mut() else { return };
        let latest = connection.laid.asked.as_ref().map(|(number, ..)| *number);
        if number.is_some() && number != latest {
            return; // of a wish that another one has replaced
        }
        connection.laid.open_gate();
        self.gap_not_closed(error);
        if let Some(number) = number
            && self.gap_failed(number, error).await
        {
            return; // the machine is as it was
        }
        let Some(connection) = self.connection.as_mut() else { return };
        let text = format!("The machine's network cannot be set up for the tunnel: {error}");
        if connection.laid.applied.is_none() {
            // Before those who wait are answered: nobody else needs to be told on the desktop.
            self.desktop_ended(Why::LoginFailed, FailureKind::Other);
            self.refuse(FailureKind::Other, text.clone());
            self.want(false).await;
            return self.end(Some(Idle { person_needed: false, message: text })).await;
        }
        connection.laid.again = Some(Box::pin(sleep(AGAIN)));
        let news = connection.laid.failed.replace(text.clone()) != Some(text.clone());
        if news {
            self.say(Kind::Warning, &text);
        }
    }

    fn applied(&mut self, number: u64, applied: Applied) {
        let Some(connection) = self.connection.as_mut() else { return };
        let laid = &mut connection.laid;
        if laid.gate.as_ref().is_some_and(|(awaited, _)| *awaited <= number) {
            laid.open_gate();
        }
        laid.failed = None;
        let news = laid.applied.as_ref() != Some(&applied);
        laid.applied = Some(applied.clone());
        if !news {
            return;
        }
        for note in &applied.notes {
            self.say(Kind::Warning, note);
        }
        if let Some(resolver) = &applied.resolver {
            let what = if applied.split_dns { "the tunnel's names" } else { "names" };
            self.say(Kind::Information, &format!("{resolver} asks the tunnel's servers for {what}."));
        }
    }

    /// The device is gone, by somebody else's hand: another one is made.
    pub(super) async fn device_gone(&mut self, error: &std::io::Error) {
        self.gap_ended("the tunnel's device is gone");
        let Some(connection) = self.connection.as_mut() else { return };
        let name = connection.laid.device.take().unwrap_or_default();
        if let Some(ground) = connection.ground.as_mut() {
            ground.release().await;
        }
        connection.laid = Laid { mtu: connection.laid.mtu, ..Laid::default() };
        connection.lay_ground_first();
        self.say(Kind::Warning, &format!("The tunnel's device {name} is gone ({error}): a new one is made."));
    }

    /// Everything as before: there is no tunnel, and none comes back by itself (law 9).
    pub(super) async fn leave_ground(&mut self) {
        self.gap_ended("the tunnel is taken down");
        let Some(connection) = self.connection.as_mut().filter(|there| there.ground.is_some()) else {
            return;
        };
        // The device is gone with its last descriptor.
        connection.command(Command::Device(None)).await;
        let problems = match connection.ground.as_mut() {
            Some(ground) => ground.release().await,
            None => Vec::new(),
        };
        connection.laid = Laid { mtu: connection.laid.mtu, ..Laid::default() };
        for problem in problems {
            self.say(Kind::Warning, &problem);
        }
    }
}

#[cfg(test)]
mod tests;
