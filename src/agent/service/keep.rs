//! What the store is asked to do, in the order of the events that ask for it.

use super::{KeepingDone, Service};
use crate::journal::Kind;
use crate::sense::Hold;
use crate::session::Session;
use crate::store::Kept;

impl Service {
    pub(super) async fn erase_last(&mut self) {
        let Some(target) = self.find_last().await else { return };
        let last = self.intent.last.as_ref().and_then(|last| last.profile.as_ref());
        let problem = match &target {
            Ok(target) if target.wishes.profile.as_ref() == last => None,
            // Another profile may mean another gateway by the same name.
            Ok(_) => Some("its profile is not there any more".to_owned()),
            Err(failure) => Some(failure.to_string()),
        };
        let (Ok(target), None) = (target, &problem) else {
            let why = problem.unwrap_or_default();
            let text = format!("A session that an earlier agent may have left stays where it is: {why}");
            return self.say(Kind::Warning, &text);
        };
        if let Err(error) = self.store.erase(&target.settings.host_address).await {
            self.say(Kind::Warning, &error.to_string());
        }
    }

    pub(super) fn keep(&mut self, session: Box<Session>) {
        let mut store = self.store.clone();
        self.keeping = Some(tokio::spawn(async move { KeepingDone::Saved(store.save(&session).await) }));
    }

    /// The same, and sleep waits for it; in its turn after what is being kept now.
    pub(super) async fn keep_before_sleep(&mut self, session: Session, hold: Hold) {
        if let Some(keeping) = self.keeping.take() {
            let kept = keeping.await.ok();
            self.kept(kept);
        }
        let mut store = self.store.clone();
        self.keeping = Some(tokio::spawn(async move {
            let saved = store.save(&session).await;
            drop(hold);
            KeepingDone::Saved(saved)
        }));
    }

    pub(super) fn forget(&mut self) {
        let Some(connection) = &self.connection else { return };
        let mut store = self.store.clone();
        let host = connection.target.settings.host_address.clone();
        self.keeping = Some(tokio::spawn(async move { KeepingDone::Erased(store.erase(&host).await) }));
    }

    pub(super) fn kept(&mut self, kept: Option<KeepingDone>) {
        self.keeping = None;
        match kept {
            Some(KeepingDone::Saved(Ok(saved))) => {
                // A session is kept again and again; what is wrong with a place is told when another one is taken.
                for note in saved.notes.iter().filter(|_| saved.changed) {
                    self.say(Kind::Warning, &note.to_string());
                }
                if saved.changed && saved.kept == Kept::Plain {
                    let text = "the session is kept in a file that only its permissions protect, for want of a better place";
                    self.warn(text);
                }
            }
            Some(KeepingDone::Saved(Err(error)) | KeepingDone::Erased(Err(error))) => {
                self.warn(&error.to_string())
            }
            Some(KeepingDone::Erased(Ok(()))) => {}
            None => tracing::error!("the store's task has crashed"),
        }
    }
}
