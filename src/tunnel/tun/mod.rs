//! A TUN device of the kernel's.

mod open;

pub use open::{Offload, OpenError, TunDevice, VNET_HEADER, adopt, offload, open};
