//! What the machine says, and what follows from it: ways, sleep, trusted networks.

use super::super::driver::Command;
use super::super::target::Target;
use super::Service;
use crate::agent::desktop::News;
use crate::journal::Kind;
use crate::profile::UntrustedNetworkPolicy;
use crate::reconnect::State;
use crate::sense::{Hold, Networks, Signal};

impl Service {
    pub(super) async fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Ways(ways) => self.ways(ways).await,
            Signal::Suspend(hold) => self.suspend(hold).await,
            Signal::Resume => {
                self.hold = None;
                self.tell_desktop(News::Slept);
                // Of a sleep that nobody announced it did not hear.
                self.close_gap("the machine has slept").await;
                self.raise_guard_awake();
                if let Some(connection) = &self.connection {
                    connection.command(Command::Resume).await;
                    connection.wake_tunnel();
                }
            }
            Signal::Networks(networks) => {
                if let Some(connection) = self.connection.as_mut() {
                    connection.servers.clone_from(&networks.dns_servers);
                }
                self.networks = Some(networks);
                // Of a connection that a person has just asked for, this only tells where it is.
                let by_itself = self.connection.as_ref().is_some_and(|connection| connection.restored);
                self.check_trust(by_itself).await;
                self.guard_awake().await;
                self.check_left_trust();
            }
        }
    }

    /// Sleep is near: it waits until the session is kept, or until the gateway knows of its end.
    async fn suspend(&mut self, hold: Hold) {
        self.close_gap("the machine goes to sleep").await;
        let Some(connection) = &self.connection else { return };
        connection.command(Command::Suspend).await;
        // Answered after the driver has acted on it, in order.
        let picture = connection.picture().await;
        if picture.is_some_and(|picture| matches!(picture.status.state, State::Disconnecting { .. })) {
            self.hold = Some(hold);
            return;
        }
        if let Some(session) = connection.session().await {
            self.keep_before_sleep(session, hold).await;
        }
    }

    /// Is this one of the company's own networks? `by_itself`: the connection was not asked for by a person just now, who
    /// may want it here all the same.
    pub(super) async fn check_trust(&mut self, by_itself: bool) {
        let (Some(connection), Some(networks)) = (self.connection.as_mut(), &self.networks) else { return };
        let trusted = is_trusted(&connection.target, networks);
        let before = connection.trusted.replace(trusted);
        let news = match before {
            Some(before) => before != trusted,
            None => trusted && by_itself,
        };
        if news {
            let text = if trusted {
                "This network is trusted by the profile (DNS servers and domains)."
            } else {
                "This network is not trusted by the profile any more."
            };
            connection.command(Command::Trusted(trusted)).await;
            self.say(Kind::Information, text);
        }
    }

    /// A session that ended in a trusted network, and the machine has left that.
    fn check_left_trust(&mut self) {
        let Some(networks) = &self.networks else { return };
        let Some(target) = self.ended_in_trust.take_if(|target| !is_trusted(target, networks)) else {
            return;
        };
        if self.connection.is_none()
            && target.automatic.untrusted_network_policy.value == UntrustedNetworkPolicy::Connect
        {
            let host = &target.settings.host_name;
            let message = format!(
                "This network is not trusted, and the profile wants a connection to {host} here: log in with `ikeep connect`"
            );
            self.need_person(host, message);
        }
    }
}

fn is_trusted(target: &Target, networks: &Networks) -> bool {
    target.automatic.is_trusted(&networks.dns_servers, &networks.domains)
}
