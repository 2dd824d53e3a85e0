//! A laptop on a local network, a router with a gateway's address behind it, and what the laptop's kernel would do.

use crate::interop::Netns;
use anyhow::{Context as _, Result, ensure};
use ikeep::netd::net::{Device, Net};
use ikeep::plan::{self, Network};
use rustix::net::netdevice::name_to_index;
use std::net::UdpSocket;

/// The tunnel's device.
pub(crate) const TUN: &str = "ikeep0";
/// The gateway, behind the router.
pub(crate) const GATEWAY: &str = "203.0.113.1";
pub(crate) const GATEWAY6: &str = "2001:db8:1::1";

/// The laptop, seen from inside, and the router.
pub(crate) struct World<'n> {
    pub(crate) laptop: &'n Netns,
    pub(crate) router: &'n Netns,
    pub(crate) net: Net,
}

/// What is routed, ruled and addressed.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Snapshot(Vec<String>);

/// Tells a story on a laptop that has a LAN (eth0, 192.168.1.2/24, fd01::2/64) and default routes of both families. At the end
/// everything is as it was at the beginning.
pub(crate) fn on_laptop(story: impl AsyncFnOnce(&World<'_>) -> Result<()> + Send) -> Result<()> {
    let (laptop, router) = (&Netns::new("laptop")?, &Netns::new("router")?);
    // Otherwise the address that eth0 gives itself becomes another one (not tentative) while the story is told.
    laptop.command("sh").args(["-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad"]).status()?;
    laptop.link(
        ("eth0", &["192.168.1.2/24", "fd01::2/64"]),
        router,
        ("eth0", &["192.168.1.1/24", "fd01::1/64"]),
    )?;
    router.add_address("lo", &format!("{GATEWAY}/32"))?;
    router.add_address("lo", &format!("{GATEWAY6}/128"))?;
    laptop.ip(&["route", "add", "default", "via", "192.168.1.1", "metric", "100"])?;
    laptop.ip(&["-6", "route", "add", "default", "via", "fd01::1", "metric", "100"])?;
    laptop.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let world = World { laptop, router, net: Net::open()? };
            story(&world).await
        })
    })?
}

impl World<'_> {
    /// Changes something, as `ip` says it.
    pub(crate) fn ip(&self, what: &str) -> Result<String> {
        self.laptop.ip(&what.split(' ').collect::<Vec<_>>())
    }

    /// A shell's work on the laptop.
    pub(crate) fn sh(&self, script: &str) -> Result<()> {
        let status = self.laptop.command("sh").args(["-c", script]).status()?;
        ensure!(status.success(), "{script}");
        Ok(())
    }

    /// The tunnel's device, new.
    pub(crate) fn tun(&self) -> Result<Device> {
        self.ip(&format!("tuntap add dev {TUN} mode tun"))?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        Ok(Device { name: TUN.to_owned(), index: name_to_index(socket, TUN)? })
    }

    /// Where the kernel would send a packet (`to`, and what else `ip route get` takes): the interface's name, or `None` where
    /// it would not send it.
    pub(crate) fn way(&self, to: &str) -> Option<String> {
        let said = self.ip(&format!("route get {to}")).ok()?;
        let mut words = said.split_whitespace().skip_while(|word| *word != "dev");
        words.nth(1).filter(|_| !said.starts_with("unreachable")).map(str::to_owned)
    }

    /// Each of these goes there.
    pub(crate) fn ensure_ways(&self, wanted: &[(&str, Option<&str>)]) -> Result<()> {
        for (to, wanted) in wanted {
            let way = self.way(to);
            ensure!(
                way.as_deref() == *wanted,
                "{to} goes to {way:?} and not to {wanted:?}\n{:?}",
                self.snapshot()?
            );
        }
        Ok(())
    }

    /// What there is now.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let questions = ["-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule", "addr"];
        questions.into_iter().map(|question| self.ip(question)).collect::<Result<_>>().map(Snapshot)
    }

    /// Reverts, ends the device, and compares with what was there before it.
    pub(crate) async fn end(&self, device: Device, before: &Snapshot) -> Result<()> {
        let problems = self.net.revert(Some(&device)).await;
        ensure!(problems.is_empty(), "{problems:?}");
        let addresses = self.ip(&format!("addr show dev {TUN}"))?;
        ensure!(!addresses.contains("inet"), "{addresses}");
        self.ip(&format!("link del {TUN}"))?;
        self.ensure_as(before)
    }

    pub(crate) fn ensure_as(&self, before: &Snapshot) -> Result<()> {
        let after = self.snapshot()?;
        ensure!(after == *before, "before: {before:#?}\nafter: {after:#?}");
        Ok(())
    }
}

/// A network.
pub(crate) fn net(text: &str) -> Result<plan::Net> {
    let (address, prefix) = text.split_once('/').context("a prefix")?;
    plan::Net::new(address.parse()?, prefix.parse()?).context("a network")
}

/// A plan with addresses of both families.
pub(crate) fn plan(include: &[&str]) -> Result<Network> {
    Ok(Network {
        addresses: vec!["10.7.0.2".parse()?, "fd07::2".parse()?],
        include: include.iter().map(|text| net(text)).collect::<Result<_>>()?,
        gateways: vec![format!("{GATEWAY}:500").parse()?, format!("[{GATEWAY6}]:500").parse()?],
        mtu: 1390,
        ..Network::default()
    })
}

/// `ip route get` of a packet with our mark.
pub(crate) fn marked(to: &str) -> String {
    format!("{to} mark {:#x}", plan::MARK)
}
