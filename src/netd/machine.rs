//! What the helper does to the machine, as one interface: the real one, or one that tests watch.

use super::dns::{self, DnsError};
use super::net::{Device, Gap, Looks, Net, NetError};
use super::wall::{self, Builder, Held as HeldBack, Wall};
use crate::ipc::helper::{Applied, Guard, GuardMode};
use crate::plan::{Dns, MARK, Network};
use crate::tunnel::tun::{self, OpenError, TunDevice};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;

/// Buffers of the sockets that are handed out, octets: what arrives in a few milliseconds at full rate.
const SOCKET_BUFFER: usize = 4 << 20;

/// A device that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) device: Device,
    pub(super) offload: bool,
    pub(super) fd: OwnedFd,
}

impl From<TunDevice> for Held {
    fn from(tun: TunDevice) -> Self {
        let device = Device { name: tun.name().to_owned(), index: tun.index() };
        Self { device, offload: tun.offload(), fd: tun.into_fd() }
    }
}

/// Why a plan was not applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum MachineError {
    #[error("the network was not changed: {0}")]
    Net(#[from] NetError),
    #[error("the resolver was not changed: {0}")]
    Dns(#[from] DnsError),
}

/// What the kill switch stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub(super) guard: Guard,
    /// The tunnel's, while there is one.
    pub(super) device: Option<Device>,
    /// What was applied last.
    pub(super) network: Option<Network>,
    /// Pages and names may leave.
    pub(super) open: bool,
}

/// The machine.
pub(super) trait Machine {
    /// A new device.
    fn open(&mut self) -> Result<Held, OpenError>;
    /// A device that another helper made.
    fn adopt(&mut self, fd: OwnedFd) -> Result<Held, OpenError>;
    /// Lets a device go: it ends with its last descriptor.
    fn close(&mut self, held: Held);
    /// A UDP socket whose packets stay outside.
    fn udp(&mut self, ipv6: bool) -> io::Result<OwnedFd>;
    /// A TCP socket whose packets stay outside.
    fn tcp(&mut self, ipv6: bool) -> io::Result<OwnedFd>;
    /// Puts the kill switch up in the place of the one that stands; `None`: takes it down.
    async fn guard(&mut self, standing: Option<&Standing>) -> Result<(), MachineError>;
    /// Makes it as `network` says.
    async fn apply(&mut self, device: &Device, network: &Network, gap: Gap) -> Result<Applied, MachineError>;
    /// Puts everything back that is ours: what could not be.
    async fn revert(&mut self, device: Option<&Device>) -> Vec<String>;
    /// Waits until others have changed what a plan is about.
    async fn changed(&mut self);
}

/// The one that this process runs on.
#[derive(Debug)]
pub(super) struct Real {
    net: Net,
    resolver: dns::Resolver,
    wall: Builder,
    /// What the kill switch stands for, and how.
    stands: Option<(Standing, Wall)>,
    /// How often the two are looked at.
    looks: (Looks, Looks),
}

impl Real {
    pub(super) fn open(places: dns::Places) -> io::Result<Self> {
        Ok(Self {
            net: Net::open()?,
            resolver: dns::Resolver::new(places),
            wall: Builder::default(),
            stands: None,
            looks: <(Looks, Looks)>::default(),
        })
    }
}

/// Local networks that are let through at most.
const MAX_LANS: usize = 64;

/// What the kill switch has to say.
async fn wall_for(net: &Net, standing: &Standing) -> Result<Wall, NetError> {
    let Standing { guard, device, network, open } = standing;
    let mut lans = match guard.lan && guard.mode == GuardMode::All {
        true => net.lans(device.as_ref()).await?,
        false => Vec::new(),
    };
    // Routers announce them.
    lans.truncate(MAX_LANS);
    let taken = match network {
        Some(network) => wall::held(&net.taken(device.as_ref(), network).await?),
        // The tunnel takes nothing yet.
        None => Vec::new(),
    };
    // Whoever gives out addresses here does not draw out what the tunnel takes, be it down at the moment.
    let lan =
        wall::both(&wall::held(&lans.into_iter().map(|net| (net, true)).collect()), &wall::others(&taken));
    let held = match guard.mode {
        GuardMode::All => HeldBack::All,
        _ => HeldBack::Only(taken),
    };
    Ok(Wall { device: device.as_ref().map(|device| device.index), held, lan, open: *open })
}

impl Machine for Real {
    fn open(&mut self) -> Result<Held, OpenError> {
        tun::open().map(Held::from)
    }

    fn adopt(&mut self, fd: OwnedFd) -> Result<Held, OpenError> {
        tun::adopt(fd).map(Held::from)
    }

    fn close(&mut self, held: Held) {
        // Whoever has a descriptor may have asked for a device that stays.
        if let Err(error) = tun::adopt(held.fd).map(|device| device.not_persistent()) {
            tracing::debug!(%error, "the device has gone before");
        }
    }

    fn udp(&mut self, ipv6: bool) -> io::Result<OwnedFd> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if ipv6 {
            socket.set_only_v6(true)?;
        }
        socket.set_mark(MARK)?;
        sockopt::set_socket_recv_buffer_size_force(&socket, SOCKET_BUFFER)?;
        sockopt::set_socket_send_buffer_size_force(&socket, SOCKET_BUFFER)?;
        Ok(socket.into())
    }

    fn tcp(&mut self, ipv6: bool) -> io::Result<OwnedFd> {
        let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_mark(MARK)?;
        Ok(socket.into())
    }

    async fn guard(&mut self, standing: Option<&Standing>) -> Result<(), MachineError> {
        let Some(standing) = standing else {
            self.stands = None;
            return Ok(self.wall.take()?);
        };
        let wall = wall_for(&self.net, standing).await?;
        self.wall.put(&wall)?;
        self.stands = Some((standing.clone(), wall));
        Ok(())
    }

    async fn apply(&mut self, device: &Device, network: &Network, gap: Gap) -> Result<Applied, MachineError> {
        let mut notes = self.net.apply_with(device, network, gap).await?;
        let resolver = match gap {
            Gap::Closed => self.resolver.apply(device, &network.dns).await?,
            // A portal's name is known to its own network's servers only.
            Gap::Open => self.resolver.apply(device, &Dns::default()).await?,
        };
        notes.extend(resolver.notes);
        Ok(Applied {
            resolver: resolver.resolver,
            split_dns: resolver.split,
            outside: resolver.outside,
            notes,
        })
    }

    async fn revert(&mut self, device: Option<&Device>) -> Vec<String> {
        // First the names: while routes still lead into the tunnel nothing is asked past it.
        let mut problems = self.resolver.revert().await;
        problems.extend(self.net.revert(device).await);
        problems
    }

    async fn changed(&mut self) {
        let Self { net, wall: builder, stands, looks: (of_net, of_wall), .. } = self;
        let wall = async {
            let Some((standing, wall)) = stands else { return pending().await };
            let differs = async || wall_for(net, standing).await.is_ok_and(|now| now != *wall);
            tokio::select! {
                () = builder.changed() => {
                    tracing::warn!("another program has changed the kill switch or taken it down: it is put up again");
                }
                () = wall::until(of_wall, differs) => {}
            }
        };
        tokio::select! {
            () = net.changed(of_net) => {}
            () = wall => {}
        }
    }
}
