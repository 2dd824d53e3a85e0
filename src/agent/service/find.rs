//! The gateway that wishes mean, as the files have it now.

use super::super::target::Target;
use super::{FILES, Service};
use crate::ipc::{Connect, Failure, FailureKind};

impl Service {
    /// What was connected last, as the files have it now; `None`: nothing was. A profile that has gone meanwhile is no hindrance
    /// where another one has the host.
    pub(super) async fn find_last(&self) -> Option<Result<Target, Failure>> {
        let last = self.intent.last.as_ref()?;
        let wishes = Connect { backup: last.backup.clone(), ..Target::again(last) };
        Some(self.find(&wishes, Some(last)).await)
    }

    /// Reads the files that wishes name, on a thread of its own: a drive that does not answer holds up nobody's packets.
    pub(super) async fn find(&self, wishes: &Connect, last: Option<&Connect>) -> Result<Target, Failure> {
        let (wishes, last, id) = (wishes.clone(), last.cloned(), self.unique_id.clone());
        let found = tokio::task::spawn_blocking(move || Target::find(&wishes, last.as_ref(), &id));
        let message = match tokio::time::timeout(FILES, found).await {
            Ok(Ok(target)) => return target.map_err(Failure::from),
            Ok(Err(crash)) => format!("reading the profile failed: {crash}"),
            Err(_) => format!(
                "profile, config file or CA cannot be read within {} s: is one of them a pipe, or on a network drive?",
                FILES.as_secs()
            ),
        };
        Err(Failure { kind: FailureKind::Other, message })
    }
}
