//! The end of a tunnel that is a network device of the machine: super-packets cut on the way out and joined on the way in, as
//! network cards do, so that the kernel's work is done once for many packets.
//!
//! A device lives as long as a descriptor of it: routes, addresses and per-link DNS settings go with the last one.

mod checksum;
mod clamp;
mod device;
mod header;
mod ip;
mod merge;
mod open;
mod split;
#[cfg(test)]
mod testing;

pub use clamp::clamp;
pub use device::{Device, LARGEST};
pub use merge::{Joined, Merge};
pub use open::{Offload, OpenError, TunDevice, VNET_HEADER, adopt, offload, open};
pub use split::{Senseless, Split};
