//! Backup servers: who is asked for a login where the host gives no answer at all.
//!
//! Each is a gateway of its own, with its own name to prove and its own sessions (law 5); only a login moves on, and the next
//! one begins with the host itself again. Who refuses or cannot prove to be who it is has answered.

use super::super::connection::Connection;
use super::super::pkcs11::TokenKey;
use super::super::target::Target;
use super::{Service, failed, tell};
use crate::crypto::Secret;
use crate::ipc::{Connect, Failure, FailureKind};
use crate::plan::Plan;
use crate::reconnect::Why;
use std::path::PathBuf;
use std::sync::Arc;

/// What the person has given for a login's key.
struct Given {
    token: Option<Arc<TokenKey>>,
    key_file: Option<PathBuf>,
    passphrase: Option<Secret>,
}

impl Given {
    fn take(from: &mut Connection) -> Self {
        let target = &mut from.target;
        Self {
            token: target.token.take(),
            key_file: target.key_file.take(),
            passphrase: from.passphrase.take(),
        }
    }
}

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
        wishes.backup = Some(backup.clone());
        let given = self.connection.as_mut().map(Given::take);
        self.keep_guard();
        self.let_go().await;
        let started = match self.find_with(&mut wishes, given).await {
            Ok(target) if target.locked.is_some() => return self.ask_for_backup(&target, wishes).await,
            Ok(target) => {
                // Its own session, if it has one, ends with this login.
                let started = self.start(target, None).await;
                if let Some(connection) = self.connection.as_mut() {
                    connection.passphrase = wishes.passphrase.take();
                }
                started.map_err(|message| Failure::new(FailureKind::Other, message))
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

    /// The backup's target, with what was given for the same key before. For another key nothing of that is tried.
    async fn find_with(&self, wishes: &mut Connect, given: Option<Given>) -> Result<Target, Failure> {
        // As what is remembered: it was good enough for the host, or did not count there.
        let mut asked = Connect { certificate: None, key: None, ..wishes.clone() };
        let mut target = self.find(&asked, Some(wishes)).await?;
        let Some(Given { token, key_file, passphrase }) = given.filter(|_| target.locked.is_some()) else {
            return Ok(target);
        };
        match (&target.token, token) {
            // It has its PIN, or the word that the token refuses it: none goes there again.
            (Some(wanted), Some(token)) if wanted.is_same(&token) && token.was_unlocked() => {
                target.token = Some(token);
                target.locked = None;
            }
            (None, None) if target.key_file == key_file && passphrase.is_some() => {
                asked.passphrase.clone_from(&passphrase);
                let found = self.find(&asked, Some(wishes)).await;
                wishes.passphrase = passphrase;
                return found;
            }
            _ => {}
        }
        Ok(target)
    }

    /// The backup's login is made with another key, whose PIN or passphrase nobody has asked for yet.
    async fn ask_for_backup(&mut self, target: &Target, wishes: Connect) -> bool {
        let name = &target.settings.host_address;
        for waiter in self.waiters.drain(..) {
            let text =
                format!("the login goes on at {name} with another key: wait for it with `ikeep connect`");
            tell(&waiter, failed(FailureKind::Other, &text));
        }
        match (self.asker.take(), &target.locked) {
            (Some(asker), Some(locked)) => self.ask_passphrase(locked, target, &wishes, asker),
            _ => {
                let text =
                    format!("{name} takes another key, and nobody is there to unlock it: `ikeep connect`");
                self.refuse(FailureKind::Authentication, text);
                self.want(false).await;
                self.end(None).await;
            }
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
