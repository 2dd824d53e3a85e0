//! Captive portals: when the gateway stays silent although there is a way to it, a page in the clear is asked for; who gets
//! another page has to log in to the network first.

use super::super::driver::Command;
use super::super::network::Ground;
use super::Service;
use crate::reconnect::State;
use crate::sense::portal::{self, Verdict};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Between two questions while a portal is known to be there.
const AGAIN: Duration = Duration::from_secs(5);

/// What is known of a portal in the present network.
#[derive(Debug, Default)]
pub(super) struct Portal {
    probing: Option<JoinHandle<Verdict>>,
    /// One was found, and where it sends people if it says so.
    found: Option<Option<String>>,
}

impl Drop for Portal {
    fn drop(&mut self) {
        if let Some(probing) = &self.probing {
            probing.abort();
        }
    }
}

impl Portal {
    /// One that was found, and sends people there.
    #[cfg(test)]
    pub(super) fn found_at(page: &str) -> Self {
        Self { probing: None, found: Some(Some(page.to_owned())) }
    }

    /// The answer to the question under way; never, where none is.
    pub(super) async fn verdict(&mut self) -> Verdict {
        match self.probing.as_mut() {
            Some(probing) => {
                probing.await.unwrap_or_else(|error| Verdict::Unknown { why: error.to_string() })
            }
            None => std::future::pending().await,
        }
    }

    /// Where the portal that is in the way sends people; `None`: none is in the way, `Some(None)`: it does not say.
    pub(super) fn location(&self) -> Option<Option<String>> {
        self.found.clone()
    }

    /// For people, while a portal is in the way.
    pub(super) fn text(&self) -> Option<String> {
        let location = self.found.as_ref()?;
        let at = location.as_ref().map(|location| format!(": {location}")).unwrap_or_default();
        Some(format!("this network wants a log-in in a web browser first (captive portal){at}"))
    }
}

impl Service {
    /// The gateway does not answer: is it the network?
    pub(super) fn ask_for_portal(&mut self, after: Duration) {
        let Some(connection) = self.connection.as_ref().filter(|_| self.portal.probing.is_none()) else {
            return;
        };
        let (Some(probe), Some(way)) = (connection.target.portal.clone(), connection.whereabouts.way())
        else {
            return;
        };
        // Names are asked for past the tunnel, as the gateway's is.
        let names = connection.names();
        // A kill switch lets through what is marked as ours.
        let guarded = connection.guarding.up;
        let bypass = connection.ground.as_ref().filter(|_| guarded).map(Ground::bypass);
        self.portal.probing = Some(tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let found = async {
                match probe.url.host.parse() {
                    Ok(ip) => Ok(vec![ip]),
                    Err(_) => names.look_up(probe.url.host.clone()).await,
                }
            };
            match timeout(probe.timeout, found).await {
                Ok(Ok(addresses)) => {
                    let open = |ipv6| {
                        let bypass = bypass.clone();
                        async move {
                            match bypass {
                                Some(bypass) => bypass.open_tcp(ipv6).await,
                                None => portal::plain(ipv6).await,
                            }
                        }
                    };
                    portal::probe(&probe, &addresses, way.from, way.interface, open).await
                }
                Ok(Err(why)) => Verdict::Unknown { why },
                Err(_) => Verdict::Unknown { why: format!("nobody knew {} in time", probe.url.host) },
            }
        }));
    }

    pub(super) async fn probed(&mut self, verdict: Verdict) {
        self.portal.probing = None;
        tracing::debug!(?verdict, "the page that tells of captive portals");
        match verdict {
            Verdict::Captive { location } => {
                if self.portal.found.replace(location).is_none() {
                    self.tell_portal(true).await;
                    if let Some(text) = self.portal.text() {
                        let hint = match self.portal_status()["command"].as_str() {
                            Some(command) => {
                                format!(" `{command}` opens the way there past the tunnel for a few minutes.")
                            }
                            None => String::new(),
                        };
                        self.warn(&format!("{text}. The connection goes on after that.{hint}"));
                    }
                }
                self.desktop_portal();
                // While a login is under way no state changes with it.
                self.tell_watchers().await;
                self.ask_for_portal(AGAIN);
            }
            Verdict::Open if self.portal.found.take().is_some() => {
                self.desktop_portal();
                self.close_gap("the captive portal lets everything through now").await;
                self.tell_portal(false).await;
            }
            Verdict::Unknown { .. } if self.portal.found.is_some() => self.ask_for_portal(AGAIN),
            Verdict::Open | Verdict::Unknown { .. } => {}
        }
    }

    async fn tell_portal(&self, captive: bool) {
        if let Some(connection) = &self.connection {
            connection.command(Command::Portal { captive }).await;
        }
    }

    /// What was found holds for the network and the trouble it was found in.
    pub(super) async fn forget_portal(&mut self) {
        if std::mem::take(&mut self.portal).found.is_some() {
            self.desktop_portal();
            self.close_gap("no captive portal is in the way any more").await;
            self.tell_portal(false).await;
        }
    }

    /// A state in which nobody waits for a portal to open ends the questions; why a login failed is still to be told.
    pub(super) async fn portal_in(&mut self, state: &State) {
        let failed = matches!(state, State::Disconnected { why: Some(_) });
        let waits = matches!(state, State::Connecting | State::Reconnecting(_) | State::CaptivePortal(_));
        if !waits && !failed {
            self.forget_portal().await;
        }
    }
}
