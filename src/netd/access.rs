//! Who may use the helper: root, the user it runs as, the members of one group, and whoever sits at this machine (an active
//! local session of logind). Anything that cannot be found out counts as no. Whose tunnel or kill switch stands is let in without being
//! looked at again: they were before, and have to be able to end it.

use super::accounts;
use crate::ipc::helper::Peer;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};
use zbus::{Connection, connection};

/// Longest wait for logind.
const PATIENCE: Duration = Duration::from_secs(1);
/// Sessions of one user that are looked at.
const MAX_SESSIONS: usize = 16;

const LOGIND: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The rules of one helper.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// The user it runs as.
    pub(super) own: u32,
    /// The group whose members may.
    pub(super) group: String,
    /// `/etc/group`.
    pub(super) groups: PathBuf,
    /// Where logind is; `None`: the system bus.
    pub(super) bus: Option<String>,
}

/// Why somebody may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Because {
    Root,
    SameUser,
    Group,
    Session,
    /// A tunnel or a kill switch of theirs stands.
    Holder,
}

impl Access {
    /// Why this peer, with these further groups, may; or why not, in words.
    pub(super) async fn check(&self, peer: Peer, groups: &[u32]) -> Result<Because, String> {
        if peer.uid == 0 {
            return Ok(Because::Root);
        }
        if peer.uid == self.own {
            return Ok(Because::SameUser);
        }
        let group = accounts::group_id(&self.groups, &self.group);
        if group.is_some_and(|gid| peer.gid == gid || groups.contains(&gid)) {
            return Ok(Because::Group);
        }
        let session = match timeout(PATIENCE, self.has_session(peer.uid)).await {
            Ok(Ok(true)) => return Ok(Because::Session),
            Ok(Ok(false)) => "no active session at this machine".to_owned(),
            Ok(Err(error)) => format!("logind does not say whether there is a session: {error}"),
            Err(_) => "logind does not answer".to_owned(),
        };
        Err(format!("not a member of the group {}, and {session}", self.group))
    }

    async fn has_session(&self, uid: u32) -> zbus::Result<bool> {
        let bus = match &self.bus {
            Some(address) => connection::Builder::address(address.as_str())?,
            None => connection::Builder::system()?,
        };
        let bus = bus.build().await?;
        let answer = bus.call_method(Some(LOGIND), PATH, Some(MANAGER), "ListSessions", &()).await?;
        let sessions: Vec<(String, u32, String, String, OwnedObjectPath)> = answer.body().deserialize()?;
        let own = sessions.into_iter().filter(|(_, user, ..)| *user == uid).take(MAX_SESSIONS);
        for (.., session) in own {
            // A session that ends while it is asked about is none.
            let active = property(&bus, &session, "Active").await.unwrap_or(false);
            if active && !property(&bus, &session, "Remote").await.unwrap_or(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

async fn property(bus: &Connection, session: &OwnedObjectPath, name: &str) -> zbus::Result<bool> {
    let what = (SESSION, name);
    let answer = bus.call_method(Some(LOGIND), session, Some(PROPERTIES), "Get", &what).await?;
    let value: OwnedValue = answer.body().deserialize()?;
    bool::try_from(value).map_err(zbus::Error::from)
}
