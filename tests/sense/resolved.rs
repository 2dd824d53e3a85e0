//! systemd-resolved, asked for what one link knows: on a bus of the test's own, played by the test.

#![expect(clippy::disallowed_types, reason = "what zbus makes of an interface names it")]

use crate::bus::{self, Bus};
use anyhow::{Result, ensure};
use ikeep::agent::lookup::{LookUpError, resolved};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zbus::{Connection, DBusError, connection, interface};

const SERVICE: &str = "org.freedesktop.resolve1";
const PATH: &str = "/org/freedesktop/resolve1";
/// The link that knows the name.
const LINK: i32 = 7;

type Answer = (Vec<(i32, i32, Vec<u8>)>, String, u64);

#[derive(Debug, DBusError)]
#[zbus(prefix = "org.freedesktop.resolve1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    #[zbus(name = "DnsError.NXDOMAIN")]
    Unknown(String),
    NoSuchRR(String),
    NoNameServers(String),
}

struct Manager;

#[interface(name = "org.freedesktop.resolve1.Manager")]
impl Manager {
    #[zbus(name = "ResolveHostname")]
    fn resolve(&self, link: i32, name: &str, family: i32, flags: u64) -> Result<Answer, Refusal> {
        match name {
            _ if (family, flags) != (0, 0) => Err(Refusal::Unknown("asked for something else".into())),
            _ if link != LINK => Err(Refusal::NoNameServers("no servers on this link".into())),
            "vpn.example.com" => {
                let addresses = vec![
                    (link, 10, Ipv6Addr::LOCALHOST.octets().to_vec()),
                    (link, 2, vec![192, 0, 2, 1]),
                    (link, 2, vec![192, 0, 2]),
                    (link, 2, vec![192, 0, 2, 1]),
                ];
                Ok((addresses, name.to_owned(), 1))
            }
            "empty.example.com" => Err(Refusal::NoSuchRR("no address".into())),
            _ => Err(Refusal::Unknown("no such name".into())),
        }
    }
}

async fn client(bus: &Bus) -> Result<Connection> {
    Ok(connection::Builder::address(bus.address().as_str())?.build().await?)
}

#[tokio::test]
async fn the_link_that_is_asked_answers() -> Result<()> {
    if !bus::enabled("the_link_that_is_asked_answers") {
        return Ok(());
    }
    let bus = Bus::new()?;
    let service = connection::Builder::address(bus.address().as_str())?;
    let _resolved = service.name(SERVICE)?.serve_at(PATH, Manager)?.build().await?;
    let client = client(&bus).await?;
    let found = resolved::look_up(&client, 7, "vpn.example.com").await?;
    let wanted: [IpAddr; 2] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(192, 0, 2, 1).into()];
    ensure!(found.as_deref() == Some(&wanted[..]), "{found:?}");
    let unknown = resolved::look_up(&client, 7, "other.example.com").await;
    ensure!(matches!(unknown, Err(LookUpError::Unknown { .. })), "{unknown:?}");
    let empty = resolved::look_up(&client, 7, "empty.example.com").await;
    ensure!(matches!(empty, Err(LookUpError::NoAddress { .. })), "{empty:?}");
    match resolved::look_up(&client, 8, "vpn.example.com").await {
        Err(LookUpError::NoAnswer { why, .. }) => ensure!(why.contains("no servers on this link"), "{why}"),
        other => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn where_it_is_not_in_charge_others_are_asked() -> Result<()> {
    if !bus::enabled("where_it_is_not_in_charge_others_are_asked") {
        return Ok(());
    }
    let bus = Bus::new()?;
    let found = resolved::look_up(&client(&bus).await?, 7, "vpn.example.com").await;
    ensure!(matches!(found, Ok(None)), "{found:?}");
    Ok(())
}
