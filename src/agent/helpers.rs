//! Where a helper is found, and when one is started: an agent that may itself change the network (CAP_NET_ADMIN) starts its own.

use crate::facts::privilege::{helper_program, may_change_network};
use crate::ipc::helper::{Helper, HelperError, SOCKET};
use crate::ipc::supervisor::ENVIRONMENT;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A helper that was started listens within this time, asked in these steps.
const START: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(10);
/// A helper of ours ends when it has nothing to do for so many seconds.
const IDLE: &str = "5";

/// How a helper is reached.
#[derive(Clone, Debug)]
pub(super) struct Helpers {
    /// The config file names its socket: no other is looked for.
    configured: Option<PathBuf>,
    /// Where one of our own keeps its things.
    folder: PathBuf,
}

impl Helpers {
    /// `configured`: the socket that the config file names. `state`: the agent's own folder, which outlives a reboot.
    pub(super) fn new(configured: Option<PathBuf>, state: &Path) -> Self {
        Self { configured, folder: state.join("netd") }
    }

    /// A conversation with the helper; one is started where this process has the right to.
    ///
    /// # Errors
    /// There is none, or it refuses this user.
    pub(super) async fn reach(&self) -> Result<Helper, HelperError> {
        if let Some(socket) = &self.configured {
            return Helper::connect(socket).await;
        }
        let absent = match Helper::connect(Path::new(SOCKET)).await {
            Err(error @ HelperError::Absent { .. }) => error,
            other => return other,
        };
        let Some(program) = helper_program().filter(|_| may_change_network()) else { return Err(absent) };
        let socket = self.folder.join("netd.sock");
        match Helper::connect(&socket).await {
            Err(HelperError::Absent { .. }) => {}
            other => return other,
        }
        self.start(&program, &socket).map_err(HelperError::Io)?;
        for _ in 0..START.as_millis() / STEP.as_millis() {
            tokio::time::sleep(STEP).await;
            match Helper::connect(&socket).await {
                Err(HelperError::Absent { .. }) => {}
                other => return other,
            }
        }
        Err(absent)
    }

    /// A conversation with a helper that runs; none is started.
    ///
    /// # Errors
    /// None does, or it refuses this user.
    pub(super) async fn reach_running(&self) -> Result<Helper, HelperError> {
        if let Some(socket) = &self.configured {
            return Helper::connect(socket).await;
        }
        match Helper::connect(Path::new(SOCKET)).await {
            Err(HelperError::Absent { .. }) => Helper::connect(&self.folder.join("netd.sock")).await,
            other => other,
        }
    }

    /// The helper outlives this agent for as long as it keeps the tunnel.
    fn start(&self, program: &Path, socket: &Path) -> io::Result<()> {
        crate::config::Places::make_private(&self.folder)?;
        let mut command = Command::new(program);
        command.arg("--socket").arg(socket).args(["--exit-idle", IDLE]);
        command.arg("--state").arg(&self.folder).arg("--runtime").arg(&self.folder);
        // What a terminal sends to this agent is not meant for the helper.
        command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/").process_group(0);
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        let child = command.spawn()?;
        // Somebody has to take its last word, or it stays a zombie until this agent ends.
        std::thread::spawn(move || {
            let mut child = child;
            let _ = child.wait();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_helper_that_is_named_and_not_there_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("none.sock");
        let helpers = Helpers::new(Some(socket.clone()), folder.path());
        let error = helpers.reach().await.unwrap_err();
        assert!(error.to_string().contains(&socket.display().to_string()), "{error}");
    }
}
