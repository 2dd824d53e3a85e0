//! Addresses, routes and rules of a tunnel, by netlink.
//!
//! Everything of the tunnel's is in a table of its own ([`TABLE`]), to which one rule a family leads whatever has not our mark
//! ([`MARK`](crate::plan::MARK)): nobody else's routes are touched or fought over, and the way to the gateway, whose packets
//! carry the mark, is the machine's own at every moment. Networks that stay outside are `throw` routes there: the look-up
//! goes on with everybody's rules. A family that is refused is `unreachable` there.
//!
//! Each time, what is there is compared with what is wanted, and only the difference is asked for: first what is added, then
//! what is removed, until there is none. What is ours is told by [`PROTOCOL`](crate::plan::PROTOCOL), not by memory.
//!
//! A socket that is bound to an interface stays on it, as DHCP clients need it: a look-up with an interface passes over the
//! device's routes. It does not pass over `unreachable`: of a refused family only the link's own traffic leaves.

mod difference;
mod error;
mod item;
mod kernel;
mod link;
mod machine;
mod message;
mod wanted;

pub use super::looks::Looks;
pub use error::NetError;

use crate::plan::{Network, TABLE};
use crate::sense::Bell;
use difference::{Step, blocked, difference};
use item::There;
use kernel::{Kernel, Request, is};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io;
use std::sync::{Mutex, PoisonError};
use wanted::{Machine, in_gap, wanted};

/// Times that the machine is looked at again after changes, at most.
const ROUNDS: usize = 5;

/// The tunnel's device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Name.
    pub name: String,
    /// Index.
    pub index: u32,
}

/// Whether the tunnel has a gap: see [`Ask::Gap`](crate::ipc::helper::Ask::Gap).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gap {
    /// What belongs into the tunnel leaves by it, or not at all.
    Closed,
    /// Only what has an address of the tunnel's does.
    Open,
}

/// Applies and reverts network plans in the network namespace in which it was opened. One at a time.
#[derive(Debug)]
pub struct Net {
    kernel: Kernel,
    /// What the machine was made to look like.
    applied: Mutex<Option<(Device, Network, Gap)>>,
}

/// A look at the machine, with a plan in mind.
struct Look {
    machine: Machine,
    there: There,
    wanted: BTreeSet<item::Item>,
    steps: Vec<Step>,
}

impl Net {
    /// Connects to the kernel. Needs a tokio runtime, and `CAP_NET_ADMIN` for what comes.
    ///
    /// # Errors
    /// No netlink here, or no descriptor is left.
    pub fn open() -> io::Result<Self> {
        Ok(Self { kernel: Kernel::open()?, applied: Mutex::new(None) })
    }

    /// Makes the machine as `network` says, whatever was applied to `device` before, and tells what people should know. Where
    /// all is as it has to be, nothing is changed. The resolver is somebody else's.
    ///
    /// # Errors
    /// The device is gone, another program is in the way, or the kernel refuses. What could be added stays, and nothing was
    /// removed in the round that failed: no packet finds a way out that it had not before.
    pub async fn apply(&self, device: &Device, network: &Network) -> Result<Vec<String>, NetError> {
        self.apply_with(device, network, Gap::Closed).await
    }

    /// The same, with or without a gap.
    ///
    /// # Errors
    /// See [`Net::apply`].
    pub async fn apply_with(
        &self,
        device: &Device,
        network: &Network,
        gap: Gap,
    ) -> Result<Vec<String>, NetError> {
        self.remember(None);
        for _ in 0..ROUNDS {
            let lacks = link::lacks(&self.kernel, device, network.mtu, machine::has_ipv6()).await?;
            let link_is_right = lacks.is_empty();
            first(self.kernel.change(lacks.first).await?.into_iter().map(|(_, error)| error))?;
            let look = self.look(device, network, gap).await?;
            let blocked = blocked(&look.there, &look.wanted);
            if link_is_right && look.steps.is_empty() && blocked.is_none() {
                self.remember(Some((device.clone(), network.clone(), gap)));
                return Ok(look.notes(network));
            }
            let (removals, additions): (Vec<Step>, Vec<Step>) =
                look.steps.iter().partition(|step| step.removes());
            let failed = self.run(&additions).await?;
            if let Some(foreign) = blocked {
                return Err(NetError::Foreign { to: foreign.to, protocol: foreign.protocol });
            }
            first(failed)?;
            first(self.kernel.change(lacks.last).await?.into_iter().map(|(_, error)| error))?;
            first(self.run(&removals).await?)?;
        }
        Err(NetError::Unsettled)
    }

    /// Takes away everything that is ours, also what another process has left: rules first, so that packets go as before at
    /// once, then routes and addresses. `device`: the tunnel's, where it is still there. What could not be taken away, for
    /// people; empty: nothing of ours is left.
    pub async fn revert(&self, device: Option<&Device>) -> Vec<String> {
        self.remember(None);
        let mut problems = Vec::new();
        for _ in 0..ROUNDS {
            let steps = match machine::there(&self.kernel, device).await {
                Ok(there) => difference(&there, &BTreeSet::new()),
                Err(error) => return vec![error.to_string()],
            };
            if steps.is_empty() {
                return Vec::new();
            }
            problems = match self.run(&steps).await {
                Ok(failed) => failed.iter().map(ToString::to_string).collect(),
                Err(error) => return vec![error.to_string()],
            };
        }
        if problems.is_empty() {
            problems.push(NetError::Unsettled.to_string());
        }
        problems
    }

    /// Resolves when [`Net::apply`], asked the same again, would change something: an interface has come to another network,
    /// or somebody has undone a part. Before the first plan, and where the kernel tells nothing of changes, never. It takes a
    /// tenth of a second at least since it last looked. May be cancelled, also again and again.
    pub async fn changed(&self, looks: &mut Looks) {
        let (mut bell, mute) = Bell::hang();
        if let Some(error) = mute {
            tracing::warn!(%error, "changes of the network are not noticed");
            return pending().await;
        }
        loop {
            looks.next().await;
            if self.differs().await {
                return;
            }
            bell.rings().await;
        }
    }

    /// The networks that other interfaces are attached to, as far as they can be believed to be local ones.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub async fn lans(&self, device: Option<&Device>) -> Result<Vec<crate::plan::Net>, NetError> {
        let mut lans = machine::on_link(&self.kernel, device, machine::has_ipv6()).await?;
        lans.retain(wanted::is_lan);
        Ok(lans)
    }

    /// What a plan takes into the tunnel (`true`, also what is refused) and what stays outside within that.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub async fn taken(
        &self,
        device: Option<&Device>,
        network: &Network,
    ) -> Result<BTreeMap<crate::plan::Net, bool>, NetError> {
        let nobody = Device { name: String::new(), index: 0 };
        let machine = machine::look(&self.kernel, device.unwrap_or(&nobody), network).await?;
        Ok(wanted::taken(network, &machine))
    }

    async fn differs(&self) -> bool {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((device, network, gap)) = applied else { return false };
        let lacks = link::lacks(&self.kernel, &device, network.mtu, machine::has_ipv6()).await;
        match (lacks, self.look(&device, &network, gap).await) {
            (Ok(lacks), Ok(look)) => !lacks.is_empty() || !look.steps.is_empty(),
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(%error, "the machine cannot be looked at");
                // Whoever applies it again learns what is wrong.
                matches!(error, NetError::NoDevice { .. })
            }
        }
    }

    async fn look(&self, device: &Device, network: &Network, gap: Gap) -> Result<Look, NetError> {
        let machine = machine::look(&self.kernel, device, network).await?;
        let there = machine::there(&self.kernel, Some(device)).await?;
        let wanted = match gap {
            Gap::Closed => wanted(network, &machine),
            Gap::Open => in_gap(wanted(network, &machine)),
        };
        let steps = difference(&there, &wanted);
        Ok(Look { machine, there, wanted, steps })
    }

    /// Asks for all steps, whatever comes of one, and tells what failed. What is already there, or already gone, has not.
    async fn run(&self, steps: &[Step]) -> Result<Vec<NetError>, NetError> {
        let requests: Vec<Request> = steps.iter().map(Step::request).collect();
        let refused = self.kernel.change(requests).await?;
        let failed = refused.into_iter().filter(|(at, error)| {
            let NetError::Refused { why, .. } = error else { return true };
            let removes = steps.get(*at).is_some_and(Step::removes);
            // The next look tells what is true then.
            let raced: &[Errno] = if removes {
                &[Errno::SRCH, Errno::NOENT, Errno::ADDRNOTAVAIL, Errno::NODEV, Errno::NXIO]
            } else {
                &[Errno::EXIST, Errno::NOENT]
            };
            !is(why, raced)
        });
        Ok(failed.map(|(_, error)| error).collect())
    }

    fn remember(&self, applied: Option<(Device, Network, Gap)>) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
    }
}

/// The first of these errors, where there is one.
fn first(errors: impl IntoIterator<Item = NetError>) -> Result<(), NetError> {
    errors.into_iter().next().map_or(Ok(()), Err)
}

impl Look {
    fn notes(&self, network: &Network) -> Vec<String> {
        let mut notes = wanted::notes(network, &self.machine);
        let foreign = &self.there.foreign;
        if let Some(first) = foreign.first() {
            notes.push(format!(
                "another program has routes in table {TABLE}, which is the tunnel's ({}, protocol {}; {} in all): they are \
                 left alone",
                first.to,
                first.protocol,
                foreign.len()
            ));
        }
        notes
    }
}
