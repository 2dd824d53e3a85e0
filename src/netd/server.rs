//! The process: where it listens, what ends it.

use super::access::Access;
use super::dns;
use super::keeper::{Keeper, Rules};
use super::machine::{Machine, Real};
use super::notify::{self, Store};
use super::record::Folder;
use super::session::{self, Clock, House};
use super::{Options, log, sandbox};
use crate::ipc::helper::{listen, watched};
use crate::time::Instant;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

/// Clients at a time, those who are still to be let in counted too. More wait in the socket's queue.
const MAX_TASKS: usize = 32;
/// Requests that may wait.
const REQUESTS: usize = 16;
/// After a client that could not be taken, for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Clients are taken no faster than one in this time.
const SPACING: Duration = Duration::from_millis(20);

/// Why the helper cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Another one runs.
    #[error("another ikeep-netd uses {}: end that one, or give this one another --runtime", .folder.display())]
    Running {
        /// The folder that both would use.
        folder: PathBuf,
    },
    /// Something that is no socket stands where the socket should be.
    #[error("{} is not a socket: take it away", .socket.display())]
    InTheWay {
        /// What stands there.
        socket: PathBuf,
    },
    /// The kernel, or the file system, refuses.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The process could not be locked in.
    #[error("the sandbox cannot be closed: {0}")]
    Sandbox(String),
}

fn cannot(what: impl Into<String>) -> impl FnOnce(io::Error) -> RunError {
    let what = what.into();
    move |source| RunError::Io { what, source }
}

/// Runs the helper until a signal, or idleness, ends it. To be called once, before anything else of this process opens a
/// file. `clock`: time that goes on while the machine sleeps.
///
/// # Errors
/// It cannot begin. What fails later is in the log.
pub fn run(options: &Options, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Result<(), RunError> {
    log::start(options.verbose);
    let inherited = notify::inherited().map_err(cannot("take what the supervisor hands over"))?;
    let folder = match Folder::lock(&options.runtime) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && options.restore => {
            tracing::info!("a helper runs: there is nothing to put back");
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(RunError::Running { folder: options.runtime.clone() });
        }
        Err(error) => return Err(cannot(format!("use the folder {}", options.runtime.display()))(error)),
    };
    sandbox::shed_privilege();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .map_err(cannot("begin"))?;
    runtime.block_on(async {
        let machine = Real::open(places(options)).map_err(cannot("talk to the kernel about routes"))?;
        let (hold, hold_always) = (options.hold, options.hold_always);
        let rules = Rules { hold, hold_always, users: PathBuf::from("/etc/passwd") };
        let store = Store::of_supervisor();
        let mut keeper = Keeper::new(machine, rules, folder, store);
        if options.restore {
            close_sandbox(options)?;
            for problem in keeper.restore().await {
                tracing::warn!(problem, "something could not be put back");
            }
            return Ok(());
        }
        let own = inherited.listener.is_none();
        let listener = match inherited.listener {
            Some(listener) => listener,
            None => bind(&options.socket())?,
        };
        let listener = watched(listener).map_err(cannot("listen"))?;
        let signals = Signals::new().map_err(cannot("listen to signals"))?;
        close_sandbox(options)?;
        keeper.begin(inherited.device).await;
        let access = Access {
            own: rustix::process::geteuid().as_raw(),
            group: options.group.clone(),
            groups: PathBuf::from("/etc/group"),
            bus: options.bus.clone(),
        };
        serve(&listener, keeper, access, Arc::new(clock), signals, options.exit_idle).await;
        if own {
            let _ = std::fs::remove_file(options.socket());
        }
        Ok(())
    })
}

/// Where the resolver's files are.
fn places(options: &Options) -> dns::Places {
    let below = |path: PathBuf| match path.strip_prefix("/") {
        Ok(path) => options.root.join(path),
        Err(_) => path,
    };
    let dns::Places { state: _, etc, nsswitch, bus: _, resolved, network_manager, resolvconf } =
        dns::Places::default();
    dns::Places {
        state: options.state.clone(),
        etc: below(etc),
        nsswitch: below(nsswitch),
        bus: options.bus.clone(),
        resolved: below(resolved),
        network_manager: below(network_manager),
        resolvconf: below(resolvconf),
    }
}

fn close_sandbox(options: &Options) -> Result<(), RunError> {
    if options.no_sandbox {
        tracing::warn!("no filter of system calls");
        return Ok(());
    }
    sandbox::close().map_err(RunError::Sandbox)
}

/// Serves until it is told to end.
async fn serve<M: Machine>(
    listener: &AsyncFd<OwnedFd>,
    mut keeper: Keeper<M>,
    access: Access,
    clock: Clock,
    mut signals: Signals,
    exit_idle: Option<Duration>,
) {
    let (asks, mut requests) = mpsc::channel(REQUESTS);
    let house = House::new(access, asks, clock);
    let mut clients = JoinSet::new();
    let mut client = 0;
    let mut idle: Option<Pin<Box<Sleep>>> = None;
    let (mut spacing, mut open) = (Box::pin(sleep(Duration::ZERO)), true);
    keeper.ready();
    tracing::info!("listens");
    let put_back = loop {
        house.set_holders(keeper.holders());
        let nothing = clients.is_empty() && keeper.is_idle();
        idle = exit_idle.filter(|_| nothing).map(|time| idle.take().unwrap_or_else(|| Box::pin(sleep(time))));
        tokio::select! {
            // Whoever knocks without end leaves time for everything else: what is waited for below begins anew with each.
            () = spacing.as_mut(), if !open => open = true,
            accepted = accept(listener), if open && clients.len() < MAX_TASKS => match accepted {
                Ok(socket) => {
                    client += 1;
                    open = false;
                    spacing = Box::pin(sleep(SPACING));
                    clients.spawn(session::serve(house.clone(), client, socket));
                }
                // Out of descriptors, or the client has gone: those that are there go on.
                Err(error) => {
                    tracing::warn!(%error, "a client could not be taken");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = clients.join_next() => {}
            Some(request) = requests.recv() => keeper.serve(request).await,
            due = keeper.due() => keeper.obey(due).await,
            put_back = signals.next() => break put_back,
            () = elapsed(&mut idle) => {
                tracing::info!("nobody is there and nothing held: it ends");
                break true;
            }
        }
    };
    keeper.stopping();
    // Nobody is told anything any more: an agent whose helper is gone comes back.
    clients.shutdown().await;
    if put_back {
        keeper.end().await;
        if let Err(why) = keeper.drop_guard("the helper is stopped").await {
            tracing::warn!(why, "something could not be put back");
        }
    } else {
        tracing::info!("ends without putting anything back: the next helper goes on");
    }
}

async fn elapsed(time: &mut Option<Pin<Box<Sleep>>>) {
    match time {
        Some(time) => time.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn accept(listener: &AsyncFd<OwnedFd>) -> io::Result<OwnedFd> {
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::accept_with(listener.get_ref(), flags) {
            Ok(socket) => return Ok(socket),
            Err(Errno::AGAIN) => listener.readable().await?.clear_ready(),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Listens at a path of its own, in place of a dead helper (the runtime folder's lock says that it is dead).
fn bind(socket: &Path) -> Result<OwnedFd, RunError> {
    match socket.symlink_metadata() {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(socket).map_err(cannot(format!("take away {}", socket.display())))?;
        }
        Ok(_) => return Err(RunError::InTheWay { socket: socket.to_owned() }),
        Err(_) => {}
    }
    let listener = listen(socket).map_err(cannot(format!("listen at {}", socket.display())))?;
    // Whoever may connect is let in or not by name; a user's own helper is nobody else's.
    let mode = if rustix::process::geteuid().is_root() { 0o666 } else { 0o600 };
    std::fs::set_permissions(socket, Permissions::from_mode(mode))
        .map_err(cannot(format!("open {} to clients", socket.display())))?;
    Ok(listener)
}

/// What ends it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hand_over: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hand_over: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for one; whether everything is to be put back then.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            _ = self.hand_over.recv() => false,
        }
    }
}
