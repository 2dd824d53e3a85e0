//! The scenarios. Each has its own client and gateway and fails where the handling of one trigger is taken out
//! (`tests/mutations.sh` shows it).

mod agent;
mod gateway;
mod login;
mod path;
mod sleep;
mod traffic;

use super::report::Report;
use super::stage::{Expected, Setup, Stage};
use super::{Lab, LabError};

/// A part of the whole job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scenario {
    /// A login with a wrong password, a second factor, and a clean end.
    Login,
    /// Traffic while both SAs are rekeyed.
    Traffic,
    /// The path dies silently and comes back after the gateway has given up.
    Outage,
    /// Another source address and port; the gateway stays with the old ones.
    Roam,
    /// The same, but the gateway follows the client.
    Hop,
    /// The same, but by then the token is on its way.
    Late,
    /// No network at all for a while.
    Offline,
    /// A night's sleep.
    Sleep,
    /// A short sleep.
    Nap,
    /// The gateway restarts and keeps its sessions.
    Restart,
    /// The gateway restarts and has forgotten everything.
    Refused,
    /// The gateway refuses the token twice before it takes it.
    Grudging,
    /// The gateway deletes the SA.
    Delete,
    /// The gateway deletes the Child SA.
    Child,
    /// The user wants a new SA.
    Reconnect,
    /// The agent is killed and started again.
    Crash,
}

impl Scenario {
    /// All of them, in the order of the story.
    pub const ALL: [Self; 16] = [
        Self::Login,
        Self::Traffic,
        Self::Outage,
        Self::Roam,
        Self::Hop,
        Self::Late,
        Self::Offline,
        Self::Sleep,
        Self::Nap,
        Self::Restart,
        Self::Refused,
        Self::Grudging,
        Self::Delete,
        Self::Child,
        Self::Reconnect,
        Self::Crash,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Traffic => "traffic",
            Self::Outage => "outage",
            Self::Roam => "roam",
            Self::Hop => "hop",
            Self::Late => "late",
            Self::Offline => "offline",
            Self::Sleep => "sleep",
            Self::Nap => "nap",
            Self::Restart => "restart",
            Self::Refused => "refused",
            Self::Grudging => "grudging",
            Self::Delete => "delete",
            Self::Child => "child",
            Self::Reconnect => "reconnect",
            Self::Crash => "crash",
        }
    }

    /// The scenario of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// What it shows.
    pub fn title(self) -> &'static str {
        match self {
            Self::Login => "login with a mistyped password and a second factor, then a clean disconnect",
            Self::Traffic => "traffic while the Child SA and the IKE SA are rekeyed",
            Self::Outage => "the path dies silently; the gateway gives the client up before it is back",
            Self::Roam => "another network: new source address and port, the old one is dead",
            Self::Hop => {
                "another network, and a gateway that follows the client and takes no token meanwhile"
            }
            Self::Late => "another network; the old SA is proved when the token is on its way already",
            Self::Offline => "no network for a while, then another one",
            Self::Sleep => "a sleep of 2 h 10 min; the gateway's DPD has given the client up",
            Self::Nap => "a sleep of 20 s; the gateway still holds the SA, so no new one is needed",
            Self::Restart => "the gateway restarts without a word and keeps its session databases",
            Self::Refused => "the gateway restarts and has forgotten the session: the token is refused",
            Self::Grudging => "the gateway deletes the SA and refuses the token twice before it takes it",
            Self::Delete => "the gateway deletes the SA (clear crypto session)",
            Self::Child => "the gateway deletes the Child SA (clear crypto sa)",
            Self::Reconnect => "the user asks for a new SA: make before break",
            Self::Crash => "the agent is killed and started again with the session it had stored",
        }
    }

    /// What is other than usual.
    fn setup(self, setup: &mut Setup) {
        match self {
            Self::Login => login::login_setup(setup),
            Self::Traffic => traffic::traffic_setup(setup),
            Self::Outage => path::outage_setup(setup),
            Self::Hop => path::hop_setup(setup),
            Self::Late => path::late_setup(setup),
            Self::Sleep => sleep::sleep_setup(setup),
            Self::Nap => sleep::nap_setup(setup),
            Self::Refused => gateway::refused_setup(setup),
            Self::Grudging => gateway::grudging_setup(setup),
            Self::Roam
            | Self::Child
            | Self::Offline
            | Self::Restart
            | Self::Delete
            | Self::Reconnect
            | Self::Crash => {}
        }
    }

    async fn act(self, stage: &mut Stage) -> Result<Expected, LabError> {
        match self {
            Self::Login => login::login(stage).await,
            Self::Traffic => traffic::traffic(stage).await,
            Self::Outage => path::outage(stage).await,
            Self::Roam => path::roam(stage).await,
            Self::Hop => path::hop(stage).await,
            Self::Late => path::late(stage).await,
            Self::Offline => path::offline(stage).await,
            Self::Sleep => sleep::sleep(stage).await,
            Self::Nap => sleep::nap(stage).await,
            Self::Restart => gateway::restart(stage).await,
            Self::Refused => gateway::refused(stage).await,
            Self::Grudging => gateway::grudging(stage).await,
            Self::Delete => gateway::delete(stage).await,
            Self::Child => gateway::child(stage).await,
            Self::Reconnect => agent::reconnect(stage).await,
            Self::Crash => agent::crash(stage).await,
        }
    }

    /// Plays it. What goes wrong on the stage stands in the report; an error is about the stage itself.
    pub(super) async fn play(self, lab: &Lab) -> Result<Report, LabError> {
        let mut setup = lab.setup();
        self.setup(&mut setup);
        let mut stage = Stage::set(lab, self, setup).await?;
        let ended = match self.act(&mut stage).await {
            Ok(expected) => stage.finish(expected).await,
            Err(error) => Err(error),
        };
        Ok(ended.unwrap_or_else(|error| stage.broken_off(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::from_name(scenario.name()), Some(scenario));
        }
        assert_eq!(Scenario::from_name("nothing"), None);
    }
}
