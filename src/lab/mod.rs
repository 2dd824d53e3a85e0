//! The whole job on this machine: our client against our gateway on real UDP sockets, no root needed.
//!
//! Every fault enters through what production sees: datagrams that do not arrive, the signals of the machine, and the
//! suspend-aware clock. The client is never told what a scenario does.

mod actor;
pub mod console;
mod download;
pub mod echo;
pub mod folder;
pub mod freeze;
pub mod gateway;
pub mod inside;
pub mod line;
pub mod pki;
pub mod radius;
pub mod report;
pub mod road;
mod scenario;
mod script;
mod seen;
pub mod serve;
mod stage;
mod tap;

pub use scenario::Scenario;

use crate::agent::clock::Clock;
use crate::gateway::GatewayConfig;
use crate::profile::{NotUsable, Profile, ProfileError};
use folder::{Folder, FolderError};
use pki::{Pki, PkiError};
use report::{LabReport, NOTE, Report};
use stage::{DELAY, HOME, Setup};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// The seed's own profile.
const PROFILE: &[u8] = include_bytes!("../../profiles/flexvpn-c8kv.xml");
const PROFILE_NAME: &str = "flexvpn-c8kv.xml";
const CA_NAME: &str = "ca.pem";
/// Scenarios are spread over so many threads; each has its own event loop.
const THREADS: usize = 2;

/// The lab cannot go on. A broken promise is not an error: it stands in the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The seed's profile does not parse.
    #[error("the profile of the lab is damaged: {0:?}")]
    Profile(ProfileError),
    /// The seed's profile has no host.
    #[error("the profile of the lab names no host")]
    NoHost,
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The folder for the files.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The host of the profile cannot be used.
    #[error(transparent)]
    Host(#[from] NotUsable),
    /// A thread, an event loop or a socket of the gateway.
    #[error("the machine refuses a socket, thread or event loop: {0}")]
    Io(#[from] io::Error),
    /// The RADIUS server has no address.
    #[error(
        "the RADIUS server {server} cannot be found: {source}; name one that this machine can look up, or its address"
    )]
    Radius {
        /// As it was named.
        server: String,
        /// Why not; told in the text above.
        source: io::Error,
    },
    /// The gateway's ports cannot be opened.
    #[error(
        "cannot listen at {address}, UDP ports {} and {}: {source}; ports below 1024 need root: try --port 15000 --nat-port \
         15001, or 0 for any", .ports.0, .ports.1
    )]
    Listen {
        /// Where.
        address: IpAddr,
        /// First contact, and everything after.
        ports: (u16, u16),
        /// Why not; told in the text above.
        source: io::Error,
    },
    /// `--tun`.
    #[error("the gateway's device cannot be made: {0}")]
    Device(String),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// Why not; told in the text above.
        source: io::Error,
    },
    /// The first login failed: the rest shows nothing.
    #[error("the login failed")]
    NoLogin,
    /// The embedded gateway ended.
    #[error(transparent)]
    Gateway(#[from] gateway::Stopped),
    /// The agent ended.
    #[error("the agent has stopped")]
    AgentStopped,
    /// A scenario panicked.
    #[error("a scenario crashed: {0}")]
    Crash(String),
}

/// What the scenarios share.
struct Lab {
    host_name: String,
    host_address: String,
    gateway: GatewayConfig,
    folder: Folder,
}

impl Lab {
    /// Writes what a user would have: the profile and the CA to trust.
    fn new(folder: Folder, clock: &Clock) -> Result<Self, LabError> {
        let (profile, _) = Profile::parse(PROFILE).map_err(LabError::Profile)?;
        let host = profile.hosts.first().ok_or(LabError::NoHost)?;
        let pki = Pki::new(clock.now().wall)?;
        let identity = pki.gateway(&host.address)?;
        let mut gateway = GatewayConfig::seed(HOME, identity.chain, identity.signer);
        gateway.ports = (0, 0);
        folder.write(PROFILE_NAME, &String::from_utf8_lossy(PROFILE))?;
        folder.write(CA_NAME, pki.ca_pem())?;
        Ok(Self { host_name: host.name.clone(), host_address: host.address.clone(), gateway, folder })
    }

    fn profile_file(&self) -> PathBuf {
        self.folder.path().join(PROFILE_NAME)
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join(CA_NAME)
    }

    /// The config file of one scenario; `agent`: lines for `[agent]`.
    fn config(&self, ports: (SocketAddr, SocketAddr), agent: &[String]) -> String {
        format!(
            "[agent]\n{}\n[portal]\nprobe = \"off\"\n[trust]\nsystem = false\n[gateway.\"{}\"]\naddress = \"{}\"\nport = {}\nnat_port = {}\n",
            agent.join("\n"),
            self.host_address,
            ports.0.ip(),
            ports.0.port(),
            ports.1.port()
        )
    }

    /// The seed's router, and a person who knows the password.
    fn setup(&self) -> Setup {
        Setup {
            gateway: self.gateway.clone(),
            config: Vec::new(),
            adjust: |_| {},
            delay: DELAY,
            answers: vec![("username", "test"), ("password", "cisco")],
            shortened: Vec::new(),
        }
    }
}

/// Plays `scenarios` side by side and leaves the files in `folder` (a new one where `None`). `progress` hears of each
/// scenario that is over.
///
/// # Errors
/// The lab cannot be built; what goes wrong in a scenario stands in its report.
pub fn run(
    scenarios: &[Scenario],
    folder: Option<&Path>,
    mut progress: impl FnMut(&Report),
) -> Result<LabReport, LabError> {
    let clock = Clock::system();
    let begun = clock.now();
    let folder = match folder {
        Some(path) => Folder::at(path.to_path_buf())?,
        None => Folder::create(begun.wall)?,
    };
    let log = folder.file("lab.log")?;
    let (log, _flushed_at_the_end) = tracing_appender::non_blocking(log);
    let subscriber: tracing::Dispatch = tracing_subscriber::fmt()
        .with_writer(log)
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .finish()
        .into();
    let lab = Arc::new(Lab::new(folder.clone(), &clock)?);
    let (done, finished) = mpsc::channel();
    let mut threads = Vec::new();
    for thread in 0..THREADS.min(scenarios.len()) {
        let own: Vec<Scenario> = scenarios.iter().copied().skip(thread).step_by(THREADS).collect();
        let (lab, done, subscriber) = (Arc::clone(&lab), done.clone(), subscriber.clone());
        let play = move || tracing::dispatcher::with_default(&subscriber, || play(&lab, &own, &done));
        threads.push(std::thread::Builder::new().name(format!("lab-{thread}")).spawn(play)?);
    }
    drop(done);
    let mut reports = Vec::new();
    for report in finished {
        progress(&report);
        reports.push(report);
    }
    for thread in threads {
        thread.join().map_err(|_| LabError::Crash("a thread of the lab panicked".into()))??;
    }
    reports.sort_by_key(|report| scenarios.iter().position(|scenario| scenario.name() == report.scenario));
    let report = LabReport {
        kept: reports.len() == scenarios.len() && reports.iter().all(|report| report.kept),
        seconds: clock.now().at.since(begun.at).as_secs_f64(),
        note: NOTE,
        folder: folder.path().to_path_buf(),
        scenarios: reports,
    };
    folder.write("summary.txt", &format!("{report}\n"))?;
    Ok(report)
}

/// One thread: its scenarios run at the same time on one event loop.
fn play(lab: &Arc<Lab>, scenarios: &[Scenario], done: &mpsc::Sender<Report>) -> Result<(), LabError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for scenario in scenarios.iter().copied() {
            let lab = Arc::clone(lab);
            let span = tracing::info_span!("", scenario = scenario.name());
            running.spawn(async move { scenario.play(&lab).await }.instrument(span));
        }
        while let Some(ended) = running.join_next().await {
            let report = ended.map_err(|crash| LabError::Crash(crash.to_string()))??;
            // Where nobody listens any more, nobody wants to know.
            let _ = done.send(report);
        }
        Ok(())
    })
}
