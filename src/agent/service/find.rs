//! The gateway that wishes mean, as the files have it now.

use super::super::target::{Target, TargetError};
use super::{FILES, Service};
use crate::ipc::{Connect, Failure, FailureKind};

impl Service {
    /// What was connected last, as the files have it now, to go on or to end it; `None`: nothing was. A profile that has gone
    /// meanwhile is no hindrance where another one has the host.
    pub(super) async fn find_last(&self) -> Option<Result<Target, Failure>> {
        let (last, id) = (self.intent.last.clone()?, self.unique_id.clone());
        Some(read(move || Target::find_last(&last, &id)).await)
    }

    /// Reads the files that wishes name.
    pub(super) async fn find(&self, wishes: &Connect, last: Option<&Connect>) -> Result<Target, Failure> {
        let (wishes, last, id) = (wishes.clone(), last.cloned(), self.unique_id.clone());
        read(move || Target::find(&wishes, last.as_ref(), &id)).await
    }
}

/// On a thread of its own: a drive that does not answer holds up nobody's packets.
async fn read(
    find: impl FnOnce() -> Result<Target, TargetError> + Send + 'static,
) -> Result<Target, Failure> {
    let message = match tokio::time::timeout(FILES, tokio::task::spawn_blocking(find)).await {
        Ok(Ok(target)) => return target.map_err(Failure::from),
        Ok(Err(crash)) => format!("reading the profile failed: {crash}"),
        Err(_) => format!(
            "profile, config file or CA cannot be read within {} s: is one of them a pipe, or on a network drive?",
            FILES.as_secs()
        ),
    };
    Err(Failure::new(FailureKind::Other, message))
}
