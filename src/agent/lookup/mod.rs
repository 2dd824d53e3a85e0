//! The gateway's name, looked up past a tunnel that has taken the machine's resolver over.
//!
//! While a tunnel is up the machine's resolver may ask through it, and while the tunnel is broken nobody answers there. Then
//! systemd-resolved is asked to look at one link only, or the servers of the networks outside are asked directly.

pub mod dns;
pub mod resolved;

use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A bus that takes longer is none.
const BUS: Duration = Duration::from_secs(1);

/// Addresses of one gateway that DNS may give.
const MAX_ADDRESSES: usize = 16;

/// Why a name has no address now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookUpError {
    /// It cannot be asked for.
    #[error("{name} is no name that DNS could know")]
    NoName {
        /// The name.
        name: String,
    },
    /// Nobody has this name.
    #[error("{name} is not known to the networks outside the tunnel")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The name is known, and no address belongs to it.
    #[error("{name} has no address")]
    NoAddress {
        /// The name.
        name: String,
    },
    /// Whoever could answer did not.
    #[error("{name} cannot be looked up outside the tunnel: {why}")]
    NoAnswer {
        /// The name.
        name: String,
        /// What happened instead, for people.
        why: String,
    },
}

/// The addresses of `name` as the networks outside the tunnel know them: by systemd-resolved and the link `interface` (0: not
/// known), where it is in charge, else by `servers`. `open`: see [`dns::outside`]. It can take 9 s: never wait for it in a
/// reconnect (law 4).
///
/// # Errors
/// See [`LookUpError`].
pub async fn outside<O, F>(
    name: &str,
    interface: u32,
    servers: &[IpAddr],
    open: O,
) -> Result<Vec<IpAddr>, LookUpError>
where
    O: Fn(bool) -> F,
    F: Future<Output = io::Result<UdpSocket>>,
{
    if interface != 0
        && let Ok(Ok(bus)) = timeout(BUS, zbus::Connection::system()).await
    {
        match resolved::look_up(&bus, interface, name).await {
            Ok(Some(addresses)) => return Ok(addresses),
            Ok(None) => {}
            // A link whose resolver says nothing may have others.
            Err(error @ LookUpError::NoAnswer { .. }) if !servers.is_empty() => tracing::debug!(%error),
            Err(error) => return Err(error),
        }
    }
    dns::outside(name, servers, open).await
}

/// Each once, so many at most, and none that nobody can have.
fn distinct(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in found.filter(|ip| !ip.is_unspecified() && !ip.is_multicast()) {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    addresses
}
