//! A laptop with two uplinks, a router behind each, and the gateway's host.

use crate::interop::{BEHIND_GATEWAY, Netns};
use anyhow::Result;

/// Where the gateway listens.
pub(crate) const GATEWAY: &str = "10.9.0.1";
/// Its other address; without a route to it at first.
pub(crate) const GATEWAY6: &str = "fd09::1";
/// The NAT's outer address.
pub(crate) const OUTSIDE: &str = "10.8.0.2";
/// The laptop's address at home.
pub(crate) const AT_HOME: &str = "10.1.0.2";
/// The same for IPv6, as it stands before a port.
pub(crate) const AT_HOME6: &str = "[fd01::2]";
/// The laptop's address in the office.
pub(crate) const IN_OFFICE: &str = "10.2.0.2";
/// The laptop's address in another VPN.
pub(crate) const IN_VPN: &str = "10.3.0.2";

/// What the gateway's links carry: a download never ends and never has more under way than some hundred kilobytes, so when it
/// goes on, the tunnel does.
pub(crate) const RATE: &str = "3mbit";

/// One of the laptop's two ways out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Uplink {
    /// `wifi0`, 10.1.0.2, behind a NAT.
    Home,
    /// `eth0`, 10.2.0.2, routed.
    Office,
}

impl Uplink {
    /// Its device.
    pub(crate) fn device(self) -> &'static str {
        match self {
            Self::Home => "wifi0",
            Self::Office => "eth0",
        }
    }

    /// The laptop's address there.
    pub(crate) fn address(self) -> &'static str {
        match self {
            Self::Home => AT_HOME,
            Self::Office => IN_OFFICE,
        }
    }

    fn router(self) -> &'static str {
        match self {
            Self::Home => "10.1.0.1",
            Self::Office => "10.2.0.1",
        }
    }
}

/// The hosts. At first the laptop is at home and the office's cable is plugged in, but nothing is routed there.
pub(crate) struct Net {
    /// `wifi0` and `eth0`.
    pub(crate) laptop: Netns,
    /// Hides the laptop behind its address on `wan`, 10.8.0.2.
    pub(crate) home: Netns,
    /// Routes, without a NAT.
    pub(crate) office: Netns,
    /// [`GATEWAY`] and [`BEHIND_GATEWAY`] on its loopback, `wan0` and `wan1` to the routers.
    pub(crate) gateway: Netns,
}

impl Net {
    /// # Errors
    /// As [`Netns::new`].
    pub(crate) fn new() -> Result<Self> {
        let net = Self {
            laptop: Netns::new("laptop")?,
            home: Netns::new("home")?,
            office: Netns::new("office")?,
            gateway: Netns::new("gw")?,
        };
        for host in [&net.home, &net.office, &net.gateway] {
            host.accept_any_way()?;
        }
        net.laptop.link(
            ("wifi0", &["10.1.0.2/24", "fd01::2/64"]),
            &net.home,
            ("lan", &["10.1.0.1/24", "fd01::1/64"]),
        )?;
        net.laptop.link(("eth0", &["10.2.0.2/24"]), &net.office, ("lan", &["10.2.0.1/24"]))?;
        net.home.link(
            ("wan", &["10.8.0.2/24", "fd08::2/64"]),
            &net.gateway,
            ("wan0", &["10.8.0.1/24", "fd08::1/64"]),
        )?;
        net.office.link(("wan", &["10.7.0.2/24"]), &net.gateway, ("wan1", &["10.7.0.1/24"]))?;
        for (router, next) in [(&net.home, "10.8.0.1"), (&net.office, "10.7.0.1")] {
            router.forward()?;
            router.ip(&["route", "add", "default", "via", next])?;
        }
        net.home.ip(&["-6", "route", "add", "default", "via", "fd08::1"])?;
        net.home.nft("add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }")?;
        net.map_ports("20000-20999")?;
        let own = [format!("{GATEWAY}/32"), format!("{GATEWAY6}/128"), format!("{BEHIND_GATEWAY}/24")];
        for address in own.iter().map(String::as_str).chain(["fd10::1/64"]) {
            net.gateway.add_address("lo", address)?;
        }
        net.gateway.ip(&["route", "add", "10.2.0.0/24", "via", "10.7.0.2"])?;
        net.gateway.ip(&["-6", "route", "add", "fd01::/64", "via", "fd08::2"])?;
        for device in ["wan0", "wan1"] {
            net.gateway.slow_down(device, RATE)?;
        }
        net.go(Uplink::Home)?;
        Ok(net)
    }

    /// The NAT takes its ports from this range, for flows that are new to it.
    pub(crate) fn map_ports(&self, range: &str) -> Result<()> {
        self.home.nft(&format!(
            "flush chain ip nat out; add rule ip nat out oifname \"wan\" meta l4proto udp masquerade to :{range}"
        ))
    }

    /// The NAT forgets every flow, as the kernel does when its outer address goes away. The gateway notices nothing: a link of
    /// its own that goes down is another story.
    pub(crate) fn forget_mappings(&self, before: &str, after: &str) -> Result<()> {
        self.home.ip(&["addr", "del", &format!("{before}/24"), "dev", "wan"])?;
        self.home.add_address("wan", &format!("{after}/24"))?;
        self.home.ip(&["route", "replace", "default", "via", "10.8.0.1"]).map(drop)
    }

    /// The laptop's default route leads through this uplink from now on.
    pub(crate) fn go(&self, uplink: Uplink) -> Result<()> {
        let (router, device) = (uplink.router(), uplink.device());
        self.laptop.ip(&["route", "replace", "default", "via", router, "dev", device]).map(drop)
    }

    /// Of everything that the routers forward, either way, what `rule` says: `drop`, or a share of it. It ends with the guard.
    pub(crate) fn spoil(&self, rule: &str) -> Result<Spoiled<'_>> {
        let spoiled = Spoiled(self);
        for router in [&self.home, &self.office] {
            router.nft(&format!(
                "add table inet spoil; add chain inet spoil path {{ type filter hook forward priority 0; }}; \
                 add rule inet spoil path {rule}"
            ))?;
        }
        Ok(spoiled)
    }
}

/// See [`Net::spoil`].
pub(crate) struct Spoiled<'a>(&'a Net);

impl Drop for Spoiled<'_> {
    fn drop(&mut self) {
        for router in [&self.0.home, &self.0.office] {
            let _ = router.nft("delete table inet spoil");
        }
    }
}
