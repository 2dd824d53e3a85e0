//! What changes while a plan is applied, and that nothing does where nothing has to.

use crate::interop::{self, PATIENCE};
use crate::world::{TUN, World, on_laptop, plan};
use anyhow::{Context as _, Result, ensure};
use ikeep::netd::net::Looks;
use ikeep::plan::Network;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressAttribute;
use rtnetlink::MulticastGroup::{Ipv4Ifaddr, Ipv4Route, Ipv4Rule, Ipv6Ifaddr, Ipv6Route, Ipv6Rule, Link};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::sys::SocketAddr;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;
use zbus::export::futures_core::Stream;

/// Longer than it takes to notice.
const WHILE: Duration = Duration::from_millis(500);

impl World<'_> {
    /// Waits until the plan has to be applied anew.
    async fn until_changed(&self, what: &str) -> Result<()> {
        timeout(PATIENCE, self.net.changed(&mut Looks::default()))
            .await
            .with_context(|| format!("{what} is not noticed"))
    }
}

/// What the kernel tells of links, addresses, routes and rules.
struct News(Pin<Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>>>);

impl News {
    fn open() -> Result<Self> {
        let groups = [Link, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route, Ipv4Rule, Ipv6Rule];
        let (connection, _, news) = rtnetlink::new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        Ok(Self(Box::pin(news)))
    }

    /// What is told until there is this address.
    async fn until(&mut self, address: IpAddr) -> Result<Vec<RouteNetlinkMessage>> {
        let mut told = Vec::new();
        loop {
            let next = poll_fn(|context| self.0.as_mut().poll_next(context));
            let (message, _) = timeout(PATIENCE, next).await?.context("news")?;
            let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
            if let RouteNetlinkMessage::NewAddress(new) = &message
                && (new.attributes.contains(&AddressAttribute::Local(address))
                    || new.attributes.contains(&AddressAttribute::Address(address)))
            {
                return Ok(told);
            }
            told.push(message);
        }
    }

    /// What is told until an address is there that is added now.
    async fn until_added(&mut self, world: &World<'_>, address: &str) -> Result<Vec<RouteNetlinkMessage>> {
        world.ip(&format!("addr add {address}/32 dev lo"))?;
        self.until(address.parse()?).await
    }
}

#[test]
fn the_same_plan_again_changes_nothing() -> Result<()> {
    if !interop::enabled("the_same_plan_again_changes_nothing") {
        return Ok(());
    }
    on_laptop(async |world| {
        let device = world.tun()?;
        let network = Network { local_lan: true, ..plan(&["0.0.0.0/0", "::/0"])? };
        let mut news = News::open()?;
        world.net.apply(&device, &network).await?;
        // The kernel finishes IPv6 addresses, and tells of them, in its own time.
        news.until(network.addresses[1]).await?;
        news.until_added(world, "127.9.9.8").await?;
        world.net.apply(&device, &network).await?;
        let told = news.until_added(world, "127.9.9.9").await?;
        // The addresses that end the news have routes of their own, told of before or after.
        let told: Vec<_> =
            told.iter().filter(|message| !format!("{message:?}").contains("127.9.9.")).collect();
        ensure!(told.is_empty(), "{told:#?}");
        // The ear is not deaf.
        world.net.apply(&device, &Network { mtu: 1380, ..network }).await?;
        ensure!(!news.until_added(world, "127.9.9.7").await?.is_empty(), "a change is heard");
        Ok(())
    })
}

#[test]
fn the_local_network_is_followed() -> Result<()> {
    if !interop::enabled("the_local_network_is_followed") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let network = Network { local_lan: true, ..plan(&["0.0.0.0/0", "::/0"])? };
        world.net.apply(&device, &network).await?;
        world.ensure_ways(&[
            ("192.168.1.9", Some("eth0")),
            ("fd01::9", Some("eth0")),
            ("192.168.7.9", Some(TUN)),
            ("1.1.1.1", Some(TUN)),
        ])?;
        // What does not matter is not told.
        world.ip("route add 10.99.0.0/16 via 192.168.1.1")?;
        ensure!(
            timeout(WHILE, world.net.changed(&mut Looks::default())).await.is_err(),
            "a route by a router is no local network"
        );
        world.ip("route del 10.99.0.0/16 via 192.168.1.1")?;

        world.ip("addr add 192.168.7.2/24 dev eth0")?;
        world.until_changed("another network").await?;
        world.net.apply(&device, &network).await?;
        world.ensure_ways(&[("192.168.7.9", Some("eth0"))])?;
        world.ip("addr del 192.168.7.2/24 dev eth0")?;
        world.until_changed("a network that is gone").await?;
        world.net.apply(&device, &network).await?;
        world.ensure_ways(&[("192.168.7.9", Some(TUN)), ("192.168.1.9", Some("eth0"))])?;
        world.end(device, &before).await
    })
}

#[test]
fn what_others_undo_is_noticed_and_mended() -> Result<()> {
    if !interop::enabled("what_others_undo_is_noticed_and_mended") {
        return Ok(());
    }
    on_laptop(async |world| {
        let before = world.snapshot()?;
        let device = world.tun()?;
        let network = plan(&["0.0.0.0/0", "::/0"])?;
        world.net.apply(&device, &network).await?;
        let whole = world.snapshot()?;
        for undone in [
            "rule del priority 20000".to_owned(),
            format!("-6 route flush table {}", ikeep::plan::TABLE),
            format!("addr flush dev {TUN}"),
            format!("link set {TUN} down"),
        ] {
            let changed = world.until_changed(&undone);
            let undo = async { world.ip(&undone) };
            let (noticed, done) = tokio::join!(changed, undo);
            done?;
            noticed?;
            world.net.apply(&device, &network).await?;
            world.ensure_as(&whole).context(undone)?;
        }
        world.end(device, &before).await
    })
}
