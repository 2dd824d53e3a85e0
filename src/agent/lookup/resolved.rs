//! systemd-resolved, asked by D-Bus for what one link knows.

use super::{LookUpError, distinct};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::time::timeout;
use zbus::proxy::{Builder, CacheProperties, MethodFlags};
use zbus::{Connection, Proxy};

const SERVICE: &str = "org.freedesktop.resolve1";
const PATH: &str = "/org/freedesktop/resolve1";
const MANAGER: &str = "org.freedesktop.resolve1.Manager";
/// Errors about the name itself.
const UNKNOWN: &str = "org.freedesktop.resolve1.DnsError.NXDOMAIN";
const NO_ADDRESS: &str = "org.freedesktop.resolve1.NoSuchRR";
/// Errors of the bus about a service that is not there, or another one under its name.
const NOT_THERE: [&str; 4] = [
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.UnknownObject",
    "org.freedesktop.DBus.Error.UnknownInterface",
];

/// AF_UNSPEC: both families.
const ANY_FAMILY: i32 = 0;
/// Longest wait for its answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `ResolveHostname` answers: interface, family and octets of each address, the canonical name, flags.
type Answer = (Vec<(i32, i32, Vec<u8>)>, String, u64);

/// The addresses of a name as systemd-resolved finds them through this interface alone, with the servers of that link.
/// `Ok(None)`: it is not in charge here (not running, or not on this bus). `bus`: the system bus.
///
/// # Errors
/// See [`LookUpError`].
pub async fn look_up(
    bus: &Connection,
    interface: u32,
    name: &str,
) -> Result<Option<Vec<IpAddr>>, LookUpError> {
    let no_answer = |why: String| LookUpError::NoAnswer { name: name.to_owned(), why };
    let asked = async {
        let proxy: Proxy<'_> = Builder::new(bus)
            .destination(SERVICE)?
            .path(PATH)?
            .interface(MANAGER)?
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let interface = i32::try_from(interface).unwrap_or_default();
        let question = (interface, name, ANY_FAMILY, 0_u64);
        // A resolver that is not in charge is not started for this.
        proxy
            .call_with_flags::<_, _, Answer>("ResolveHostname", MethodFlags::NoAutoStart.into(), &question)
            .await
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(Some((addresses, ..)))) => {
            let addresses = distinct(addresses.iter().filter_map(|(_, _, octets)| address(octets)));
            if addresses.is_empty() {
                return Err(LookUpError::NoAddress { name: name.to_owned() });
            }
            Ok(Some(addresses))
        }
        Ok(Ok(None)) => Err(no_answer("systemd-resolved gave no answer".into())),
        Ok(Err(zbus::Error::MethodError(error, text, _))) => match error.as_str() {
            error if NOT_THERE.contains(&error) => Ok(None),
            UNKNOWN => Err(LookUpError::Unknown { name: name.to_owned() }),
            NO_ADDRESS => Err(LookUpError::NoAddress { name: name.to_owned() }),
            other => Err(no_answer(text.unwrap_or_else(|| other.to_owned()))),
        },
        Ok(Err(error)) => Err(no_answer(format!("the system bus: {error}"))),
        Err(_) => Err(no_answer(format!("systemd-resolved took more than {} s", PATIENCE.as_secs()))),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => octets.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        16 => octets.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}
