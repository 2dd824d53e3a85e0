//! Backup servers: who is asked for a login where the host gives no answer at all.
//!
//! Each is a gateway of its own, with its own name to prove and its own sessions (law 5); only a login moves on, and the next
//! one begins with the host itself again. Who refuses or cannot prove to be who it is has answered.

use super::Service;
use crate::ipc::Failure;
use crate::plan::Plan;
use crate::reconnect::Why;

impl Service {
    /// Tries the next backup server, if that is what the end of this login calls for. False: it is the end.
    pub(super) async fn try_backup(&mut self, why: Why) -> bool {
        let Some(connection) = self.connection.as_ref() else { return false };
        // Behind a portal nobody answers, and somebody else's answers no better.
        let silent = why == Why::LoginFailed && connection.unanswered && self.portal.text().is_none();
        let Some(backup) = connection.target.next_backup().filter(|_| silent && !connection.ending).cloned()
        else {
            return false;
        };
        let host = connection.target.settings.host_name.clone();
        let mut wishes = connection.target.wishes.clone();
        self.warn(&format!("{host} gives no answer: its backup server {backup} is tried."));
        wishes.backup = Some(backup);
        self.let_go().await;
        let started = match self.find(&wishes, None).await {
            Ok(target) => {
                // Its own session, if it has one, ends with this login.
                let started = self.start(target, None).await;
                started.map_err(|message| Failure::new(crate::ipc::FailureKind::Other, message))
            }
            Err(failure) => Err(failure),
        };
        if let Err(Failure { kind, message, .. }) = started {
            self.refuse(kind, message);
            self.want(false).await;
            self.end(None).await;
        }
        true
    }

    /// The backup servers that the gateway has named are known to the next login.
    pub(super) async fn keep_backups(&mut self, plan: &Plan) {
        let Some(last) = self.intent.last.as_mut() else { return };
        if plan.backup_servers.is_empty() || last.backups == plan.backup_servers {
            return;
        }
        last.backups.clone_from(&plan.backup_servers);
        if let Some(connection) = self.connection.as_mut() {
            connection.target.wishes.backups.clone_from(&plan.backup_servers);
        }
        self.want(self.intent.wanted).await;
    }
}
