//! One connection while it lasts: client, driver and tunnel, from the order to the last word.

use super::clock::{Clock, OsRandom};
use super::desktop::Note;
use super::driver::{Command, Driver, Ends, Local, Output, Picture, Sockets};
use super::helpers::Helpers;
use super::keylog::KeyLog;
use super::network::Ground;
use super::pkcs11::SigningNow;
use super::report::Reporter;
use super::scan::Scanning;
use super::service::{Guarding, Laid, Whereabouts};
use super::standing::{self, Standing};
use super::target::Target;
use super::variables;
use crate::client::{AuthKind, Client, Event, Order, Settings};
use crate::config::Tunnel;
use crate::crypto::Secret;
use crate::facts::privilege::has_tun;
use crate::ike::initiator::Failure;
use crate::ipc::helper::{GuardMode, HelperError, RefusalKind};
use crate::plan::Plan;
use crate::reconnect::{State, Why};
use crate::session::Session;
use crate::time::Now;
use crate::tunnel::{self, Ports, proxy};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

/// How often, and after what time, a helper is asked again that fails.
const RETRIES: u32 = 10;
const RETRY: std::time::Duration = std::time::Duration::from_millis(500);

/// A task of the agent's.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Hears events.
pub type Observer = Arc<dyn Fn(Now, &Event) + Send + Sync>;

/// What differs between the product and the lab.
#[derive(Clone)]
pub struct Surroundings {
    /// Starts a task. The lab can stop its tasks as sleep does.
    pub spawn: Arc<dyn Fn(Task) -> AbortHandle + Send + Sync>,
    /// Stands between ESP and the tunnel. The lab pings there.
    pub tap: Arc<dyn Fn(Ports) -> Ports + Send + Sync>,
    /// Hears every event of the client's, first.
    pub observe: Observer,
    /// Changes what neither profile nor config file can say. The lab shortens lifetimes.
    pub adjust: Arc<dyn Fn(&mut Settings) + Send + Sync>,
    /// What a person must know, for their desktop. The lab shows it nobody.
    pub notes: watch::Sender<Option<Note>>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            spawn: Arc::new(|task| tokio::spawn(task).abort_handle()),
            tap: Arc::new(|ports| ports),
            observe: Arc::new(|_, _| {}),
            adjust: Arc::new(|_| {}),
            notes: watch::Sender::new(None),
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

/// A running connection. Dropped, its tasks are ended.
pub(super) struct Connection {
    pub(super) target: Target,
    pub(super) reporter: Reporter,
    pub(super) key_log: Option<KeyLog>,
    /// The state told last.
    pub(super) state: State,
    /// How the present SA was authenticated.
    pub(super) auth: Option<AuthKind>,
    /// The last failure, until an SA comes up.
    pub(super) failure: Option<Failure>,
    /// The last login got no answer at all.
    pub(super) unanswered: bool,
    /// Why there is no connection any more.
    pub(super) ended: Option<Why>,
    /// The user has said disconnect.
    pub(super) ending: bool,
    /// It has taken over a stored session.
    pub(super) restored: bool,
    /// Given once the first word about the path is there.
    pub(super) waiting_order: Option<Order>,
    /// It is in a network that the profile trusts; `None` until the networks are known.
    pub(super) trusted: Option<bool>,
    /// Where the gateway is, and the ways there.
    pub(super) whereabouts: Whereabouts,
    pub(super) outputs: mpsc::Receiver<Output>,
    /// The machine's network, where the tunnel is a device.
    pub(super) ground: Option<Ground>,
    /// How far that is.
    pub(super) laid: Laid,
    /// How far the kill switch is.
    pub(super) guarding: Guarding,
    /// DNS servers of the machine.
    pub(super) servers: Vec<IpAddr>,
    /// How the profile's file stands to what the login was made with.
    pub(super) standing: watch::Receiver<Standing>,
    /// What has to be said about the choice of the tunnel.
    pub(super) about_tunnel: Option<String>,
    pub(super) commands: mpsc::Sender<Command>,
    plan: watch::Sender<Option<Plan>>,
    proxy: Option<SocketAddr>,
    pub(super) tasks: Vec<AbortHandle>,
    pub(super) scanning: Scanning,
    pub(super) signing: SigningNow,
    /// The passphrase of the key's file, as it was answered for this login: a backup server gets it too. Gone with its end.
    pub(super) passphrase: Option<Secret>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Connection {
    /// Starts driver and tunnel. Nothing is sent before [`Connection::paths`] and an order.
    ///
    /// # Errors
    /// For people: the proxy's port cannot be opened, or the folder of the key log.
    pub(super) async fn start(
        mut target: Target,
        session: Option<Session>,
        reporter: Reporter,
        clock: &Clock,
        around: &Surroundings,
        folder: &Path,
    ) -> Result<Self, String> {
        let Choice { listener, ground, sockets, mut about } =
            choose(&target, folder, session.is_some()).await?;
        if let Some(guard) = target.guard.filter(|_| ground.is_none()) {
            let why =
                about.take().unwrap_or_else(|| "the tunnel is none with a device (`--tunnel`)".to_owned());
            if !guard.always {
                return Err(format!(
                    "a kill switch is wanted ([tunnel] kill_switch), and there is none without a device and its helper: {why}"
                ));
            }
            about = Some(format!("The profile is always on, but nothing holds other traffic back: {why}"));
        }
        let key_log = match &target.key_log {
            Some(folder) => Some(KeyLog::open(folder).await.map_err(|error| error.to_string())?),
            None => None,
        };
        (around.adjust)(&mut target.settings);
        let now = clock.now();
        let last = session.as_ref().map(|session| session.peer);
        let whereabouts = Whereabouts::new(last, target.settings.addresses.clone());
        let mut client = Client::new(now, target.settings.clone(), Box::new(OsRandom::new()));
        let restored = session.is_some_and(|session| client.restore(now, session));
        if let Some(ground) = ground.as_ref().filter(|_| restored) {
            ground.hold();
        }
        let (driver, Ends { commands, outputs, outward, inward }) =
            Driver::new(client, clock.clone(), sockets);
        let (plan, plans) = watch::channel(None);
        let ports = (around.tap)(Ports { outward, inward, plan: plans });
        let run = async move {
            let (_, losses) = driver.run().await;
            tracing::debug!(?losses, "the driver has ended");
        };
        let mut tasks = vec![(around.spawn)(Box::pin(run))];
        let (said, standing) = watch::channel(Standing::AsAtLogin);
        let (file, host) = (target.profile_file.clone(), target.primary.0.clone());
        tasks.push((around.spawn)(Box::pin(standing::follow(file, host, target.meaning.clone(), said))));
        let proxy = match listener {
            Some(proxy) => {
                let at = proxy.local_addr();
                let clock = clock.clone();
                tasks.push((around.spawn)(Box::pin(proxy.run(
                    ports,
                    move || clock.now().at,
                    OsRandom::new(),
                ))));
                Some(at)
            }
            None => {
                tasks.push((around.spawn)(Box::pin(tunnel::none(ports))));
                None
            }
        };
        Ok(Self {
            target,
            reporter,
            key_log,
            state: State::Disconnected { why: None },
            auth: None,
            failure: None,
            unanswered: false,
            ended: None,
            ending: false,
            restored,
            waiting_order: None,
            trusted: None,
            whereabouts,
            outputs,
            ground,
            laid: Laid::default(),
            guarding: Guarding::default(),
            servers: Vec::new(),
            standing,
            about_tunnel: about,
            commands,
            plan,
            proxy,
            tasks,
            scanning: Scanning::default(),
            signing: SigningNow::default(),
            passphrase: None,
        })
    }

    /// A kill switch is wanted that holds back other programs' questions and pages, too.
    pub(super) fn holds_everything(&self) -> bool {
        self.ground.is_some() && self.target.guard.is_some_and(|guard| guard.mode == GuardMode::All)
    }

    /// For people: where packets enter.
    pub(super) fn tunnel(&self) -> String {
        match (self.proxy, &self.ground, &self.laid.device) {
            (Some(proxy), ..) => format!("SOCKS5 and HTTP proxy at {proxy}"),
            (None, Some(_), Some(device)) => format!("device {device}, for all programs"),
            (None, Some(_), None) => "a device, for all programs".to_owned(),
            (None, None, _) => "no tunnel, the IKE SA alone".to_owned(),
        }
    }

    /// For programs: `tun`, `proxy` or `none`.
    pub(super) fn tunnel_kind(&self) -> &'static str {
        match (self.proxy, &self.ground) {
            (Some(_), _) => "proxy",
            (None, Some(_)) => "tun",
            (None, None) => "none",
        }
    }

    /// What the gateway assigned.
    pub(super) fn plan(&self) -> Option<Plan> {
        self.plan.borrow().clone()
    }

    /// Where the proxy listens.
    pub(super) fn proxy(&self) -> Option<SocketAddr> {
        self.proxy
    }

    /// Inner addresses, while there is a plan.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.plan.borrow().as_ref().map(Plan::addresses).unwrap_or_default()
    }

    /// For a task that has a command to give later.
    pub(super) fn commands(&self) -> mpsc::WeakSender<Command> {
        self.commands.downgrade()
    }

    /// Gives a command. The driver takes it as long as it lives, and it lives as long as this.
    pub(super) async fn command(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::error!("the driver has stopped");
        }
    }

    /// The ways to the gateway now, and the order that waited for them.
    pub(super) async fn paths(&mut self, locals: Vec<Local>) {
        self.command(Command::Paths(locals)).await;
        if let Some(order) = self.waiting_order.take() {
            self.command(Command::Order(order)).await;
        }
    }

    /// The machine has slept, and timers of the runtime with it: the tunnel is made to look at the clock.
    pub(super) fn wake_tunnel(&self) {
        self.plan.send_modify(|_| {});
    }

    /// A picture; `None` where the driver is gone.
    pub(super) async fn picture(&self) -> Option<Picture> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Status(answer)).await;
        answered.await.ok()
    }

    /// The session as it is now.
    pub(super) async fn session(&self) -> Option<Session> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Session(answer)).await;
        answered.await.ok().flatten()
    }

    /// Notes what an event says about the connection as a whole.
    pub(super) fn note(&mut self, now: Now, event: &Event) {
        self.reporter.event(now, event);
        match event {
            Event::State(state) => {
                self.unanswered &= *state != State::Connecting;
                self.state = state.clone();
            }
            Event::Unanswered => self.unanswered = true,
            Event::Plan { plan, .. } => {
                self.plan.send_replace(Some((**plan).clone()));
            }
            Event::Established { auth, .. } => {
                self.auth = Some(*auth);
                self.failure = None;
                self.ended = None;
                self.passphrase = None;
            }
            Event::StoreSession(session) => self.whereabouts.served_by(session.peer.ip()),
            Event::Failed(failure) => {
                self.failure = Some(failure.clone());
                self.scanning.stop();
                self.signing.stop();
            }
            Event::Ended(why) => {
                self.ended = Some(*why);
                self.scanning.stop();
                self.signing.stop();
            }
            Event::IkeKeys(keys) => self.key_log.iter().for_each(|log| log.ike(keys)),
            Event::EspKeys(keys) => self.key_log.iter().for_each(|log| log.esp(keys)),
            _ => {}
        }
    }
}

/// Where packets will enter and leave.
struct Choice {
    listener: Option<proxy::Proxy>,
    ground: Option<Ground>,
    sockets: Sockets,
    about: Option<String>,
}

/// A device where that is wanted, or where nothing is said and there is a helper; else the proxy. `again`: a session comes back,
/// perhaps one whose device is kept.
async fn choose(target: &Target, folder: &Path, again: bool) -> Result<Choice, String> {
    let mut choice = Choice { listener: None, ground: None, sockets: Sockets::Own, about: None };
    let mut tunnel = target.tunnel;
    let proxy_since = |why: &str| {
        let at = target.proxy;
        Some(format!(
            "The tunnel is a SOCKS5 and HTTP proxy at {at}, for programs that are told of it: {why}"
        ))
    };
    if tunnel.is_none() && !has_tun() {
        choice.about = proxy_since("there are no TUN devices here (`ikeep doctor`)");
        tunnel = Some(Tunnel::Proxy);
    }
    if matches!(tunnel, None | Some(Tunnel::Tun)) {
        let helpers = Helpers::new(target.helper.clone(), folder);
        match ground(&helpers, again).await {
            Ok((ground, sockets)) => (choice.ground, choice.sockets) = (Some(ground), sockets),
            Err(error) if tunnel.is_some() => {
                return Err(format!("a tunnel device needs the helper: {error}"));
            }
            // What was in a device before must not come back outside of it. Whoever may have none had none.
            Err(error)
                if again
                    && !matches!(error, HelperError::Absent { .. })
                    && error.refusal() != Some(RefusalKind::NotAllowed) =>
            {
                return Err(format!("the tunnel's device cannot be had back: {error}"));
            }
            Err(error) => {
                choice.about = proxy_since(&error.to_string());
                tunnel = Some(Tunnel::Proxy);
            }
        }
    }
    if tunnel == Some(Tunnel::Proxy) {
        let access = target.proxy_login.as_deref().map(variables::access).transpose()?;
        let admission = proxy::Admission { access, everything: target.proxy_everything };
        let proxy = proxy::Proxy::bind(target.proxy).await.map_err(|error| error.to_string())?;
        choice.listener = Some(proxy.with(admission));
    }
    Ok(choice)
}

/// The helper, asked a few times where a session comes back: it may be starting anew itself.
async fn ground(helpers: &Helpers, again: bool) -> Result<(Ground, Sockets), HelperError> {
    let mut tries = if again { RETRIES } else { 0 };
    loop {
        let reached = async { Ground::new(helpers.reach().await?, helpers.clone()).await };
        match reached.await {
            Ok((mut ground, sockets)) => {
                if !again {
                    // What an agent before this one may have left belongs to a session that is over.
                    ground.release().await;
                }
                return Ok((ground, sockets));
            }
            Err(error) if tries == 0 || matches!(error, HelperError::Absent { .. }) => return Err(error),
            Err(error) => tracing::debug!(%error, "the helper is asked again"),
        }
        tries -= 1;
        tokio::time::sleep(RETRY).await;
    }
}
