//! The tunnel's device and the machine's network, as far as this connection needs them changed.

use super::super::connection::Connection;
use super::super::driver::{Command, Output};
use super::super::network::Report;
use super::{Idle, Service};
use crate::ipc::FailureKind;
use crate::ipc::helper::Applied;
use crate::journal::Kind;
use crate::plan::{Network, Plan};
use crate::reconnect::{Pause, State};
use std::net::SocketAddr;

/// What a device must carry, octets: RFC 8200 5, RFC 791 3.2.
const SMALLEST6: u32 = 1280;
const SMALLEST4: u32 = 576;

/// See [`Connection::next_word`].
pub(super) enum Word {
    Ground(Report),
    Output(Option<Output>),
}

impl Connection {
    /// The next word of the driver or of the machine's network. What comes after "keep this session" (`keeps`), or after the
    /// plan while the machine is being made so, waits: Connected is not announced before.
    pub(super) async fn next_word(&mut self, keeps: bool) -> Word {
        let waits = keeps || self.laying;
        let Self { ground, outputs, .. } = self;
        let report = async {
            match ground {
                Some(ground) => ground.reports.recv().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            Some(report) = report => Word::Ground(report),
            output = outputs.recv(), if !waits => Word::Output(output),
            else => std::future::pending().await,
        }
    }

    /// What the machine has to look like now.
    fn network(&self, plan: &Plan) -> Network {
        let settings = &self.target.settings;
        let smallest = if plan.address6.is_some() { SMALLEST6 } else { SMALLEST4 };
        let usual = u32::try_from(crate::tunnel::MTU).unwrap_or(SMALLEST6);
        let mtu = self.mtu.unwrap_or(usual).max(smallest);
        let ports = [settings.port, settings.nat_port];
        let at = |ip| ports.map(|port| SocketAddr::new(ip, port));
        let gateways: Vec<SocketAddr> = self.whereabouts.gateways().into_iter().flat_map(at).collect();
        Network::new(plan, self.target.network, &gateways, u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    /// Asks for the machine to be as the plan wants it now, where that is something else than before. True where it was asked.
    fn lay_ground(&mut self) -> bool {
        let Some(network) = self.plan().map(|plan| self.network(&plan)) else { return false };
        let Some(ground) = self.ground.as_mut().filter(|_| self.network_asked.as_ref() != Some(&network))
        else {
            return false;
        };
        ground.apply(network.clone());
        self.network_asked = Some(network);
        true
    }
}

impl Service {
    /// The gateway has assigned something: the machine is made so before anybody hears of it.
    pub(super) fn planned(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        if connection.lay_ground() {
            connection.laying = true;
        }
    }

    /// There is another network around the tunnel: whoever manages it may have changed what was made, so it is looked at anew.
    pub(super) fn check_ground(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        if connection.network_asked.take().is_some() {
            connection.lay_ground();
        }
    }

    /// The connection is on its way again after a state without a tunnel: what belongs into the tunnel leaves by it or not at
    /// all (law 9).
    fn regain_ground(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        if connection.network_asked.is_none() && connection.lay_ground() {
            connection.laying = true;
        }
    }

    /// Leaves or regains the ground, as the state wants it.
    pub(super) async fn ground_in(&mut self, state: &State) {
        match state {
            State::AuthRequired { .. }
            | State::Disconnected { .. }
            | State::Suspended { pause: Pause::TrustedNetwork, .. } => self.leave_ground().await,
            State::Connected | State::Reconnecting(_) | State::WaitingForNetwork { .. } => {
                self.regain_ground()
            }
            _ => {}
        }
    }

    /// Something that the network depends on has changed: the path's MTU, the gateway's addresses.
    pub(super) fn ground_changed(&mut self) {
        if let Some(connection) =
            self.connection.as_mut().filter(|connection| connection.network_asked.is_some())
        {
            connection.lay_ground();
        }
    }

    pub(super) async fn ground(&mut self, report: Report) {
        let Some(connection) = self.connection.as_mut() else { return };
        match report {
            Report::Device(device) => {
                connection.device = Some(device.name().to_owned());
                connection.command(Command::Device(Some(device))).await;
            }
            Report::Applied(applied) => self.applied(applied),
            Report::Back(applied) => {
                self.say(Kind::Information, "The helper is there again, and the tunnel goes on.");
                match applied {
                    Some(applied) => self.applied(applied),
                    None => self.ground_changed(),
                }
            }
            Report::Released(_) => {}
            Report::Gone(error) => {
                self.say(
                    Kind::Warning,
                    &format!("{error}. The tunnel stays; the helper is looked for again."),
                );
            }
            Report::Failed(error) => {
                let first = connection.applied.is_none();
                connection.laying = false;
                let text = format!("The machine's network cannot be set up for the tunnel: {error}");
                if !first {
                    return self.say(Kind::Warning, &text);
                }
                self.refuse(FailureKind::Other, text.clone());
                self.want(false).await;
                self.end(Some(Idle { person_needed: false, message: text })).await;
            }
        }
    }

    fn applied(&mut self, applied: Applied) {
        let Some(connection) = self.connection.as_mut() else { return };
        connection.laying = false;
        let news = connection.applied.as_ref() != Some(&applied);
        connection.applied = Some(applied.clone());
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
        let Some(connection) = self.connection.as_mut() else { return };
        let name = connection.device.take().unwrap_or_default();
        connection.network_asked = None;
        if let Some(ground) = connection.ground.as_mut() {
            ground.release().await;
        }
        if connection.lay_ground() {
            connection.laying = true;
        }
        self.say(Kind::Warning, &format!("The tunnel's device {name} is gone ({error}): a new one is made."));
    }

    /// Everything as before: there is no tunnel, and none comes back by itself (law 9).
    pub(super) async fn leave_ground(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        if connection.ground.is_none() {
            return;
        }
        // The device is gone with its last descriptor.
        connection.command(Command::Device(None)).await;
        let Some(ground) = connection.ground.as_mut() else { return };
        let problems = ground.release().await;
        (connection.laying, connection.network_asked, connection.applied) = (false, None, None);
        connection.device = None;
        for problem in problems {
            self.say(Kind::Warning, &problem);
        }
    }
}
