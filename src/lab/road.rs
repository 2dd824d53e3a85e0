//! The network behind an embedded gateway that is this machine: packets enter and leave by a device of its own.

use super::LabError;
use crate::agent::pump::{Pump, Road as Way};
use crate::agent::socket::Udp;
use crate::esp::ecn::Ecn;
use crate::gateway::Gateway;
use crate::netd::net::{Device as NetDevice, Net as Machine};
use crate::plan::{Net, Network};
use crate::time::Now;
use crate::tunnel::tun::{self, Device};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The device's MTU, octets: what every suite carries through Ethernet.
const MTU: usize = crate::tunnel::MTU;

/// A device, and this machine's routes to the gateway's clients. Dropped, the device is gone and the routes with it;
/// [`Road::close`] takes the rules away too.
pub struct Road {
    pub(super) pump: Pump<SocketAddr>,
    machine: Machine,
    device: NetDevice,
    /// What the machine has been told.
    network: Network,
}

impl Road {
    /// Makes the device. `own`: this machine's addresses inside; `pools`: what is handed out.
    ///
    /// # Errors
    /// No CAP_NET_ADMIN, no TUN, or the kernel refuses a route.
    pub async fn open(own: Vec<IpAddr>, pools: &[RangeInclusive<IpAddr>]) -> Result<Self, LabError> {
        let opened = tun::open().map_err(|error| LabError::Device(error.to_string()))?;
        let device = NetDevice { name: opened.name().to_owned(), index: opened.index() };
        let (name, index, offload) = (opened.name().to_owned(), opened.index(), opened.offload());
        let end = Device::new(opened.into_fd(), name, index, offload)?;
        let mut include: Vec<Net> =
            pools.iter().flat_map(|pool| Net::cover(*pool.start(), *pool.end())).collect();
        include.sort_unstable();
        let network = Network {
            addresses: own,
            include,
            mtu: u16::try_from(MTU).unwrap_or(u16::MAX),
            ..Network::default()
        };
        let machine = Machine::open()?;
        let applied = machine.apply(&device, &network).await;
        for note in applied.map_err(|error| LabError::Device(error.to_string()))? {
            tracing::warn!("{note}");
        }
        Ok(Self { pump: Pump::new(Arc::new(end)), machine, device, network })
    }

    /// Routes to addresses of no pool, which AAA names: made where a session has one now (true), else taken away.
    pub(super) async fn follow(&mut self, changes: BTreeMap<IpAddr, bool>) {
        for (address, taken) in changes {
            let host = Net::host(address);
            self.network.include.retain(|net| *net != host);
            if taken {
                self.network.include.push(host);
            }
        }
        self.network.include.sort_unstable();
        match self.machine.apply(&self.device, &self.network).await {
            Ok(notes) => notes.iter().for_each(|note| tracing::warn!("{note}")),
            Err(error) => tracing::error!(%error, "no route to an address that AAA names"),
        }
    }

    /// The rules go; the device goes with this.
    pub async fn close(self) {
        for problem in self.machine.revert(Some(&self.device)).await {
            tracing::warn!("{problem}");
        }
    }

    /// Sends what this machine has for clients.
    pub(super) fn send(&mut self, now: Now, gateway: &mut Gateway, socket: &Udp) -> io::Result<()> {
        self.pump.run(&mut Out { now, gateway, socket }, MTU)
    }

    /// Largest packet, octets.
    pub(super) fn mtu(&self) -> usize {
        MTU
    }
}

/// The gateway's SAs and its socket, as the device's packets use them.
struct Out<'a> {
    now: Now,
    gateway: &'a mut Gateway,
    socket: &'a Udp,
}

impl Way for Out<'_> {
    type Way = SocketAddr;

    fn room(&self, destination: IpAddr, length: usize) -> Option<(usize, usize)> {
        self.gateway.room_for(destination, length)
    }

    fn seal(&mut self, destination: IpAddr, buffer: &mut [u8], length: usize) -> Option<(SocketAddr, usize)> {
        self.gateway.seal_packet(self.now, destination, buffer, length)
    }

    fn batch(&self, _: SocketAddr) -> usize {
        self.socket.batch()
    }

    fn send(&mut self, to: SocketAddr, octets: &[u8], segment: usize, ecn: Ecn) -> (usize, io::Result<()>) {
        self.socket.send_batch(octets, segment, to, ecn)
    }
}
