//! The machine before, during and after.

use crate::interop::BEHIND_GATEWAY;
use crate::world::{BEHIND_GATEWAY6, Kind, Options, Peer, TUN, World, against};
use anyhow::{Result, ensure};

#[test]
fn everything_is_as_before_after_a_disconnect() -> Result<()> {
    let test = "everything_is_as_before_after_a_disconnect";
    against(&[Kind::Embedded, Kind::StrongSwan], test, Options::default(), |world| {
        let before = world.picture()?;
        let status = world.connect()?;
        ensure!(status["tunnel"] == "tun" && status["device"] == TUN, "{status:#}");
        let during = world.picture()?;
        works(world)?;
        let mtu = status["mtu"].to_string();
        for wanted in [
            "lookup 26987",
            "dev ikeep0 table 26987",
            "192.168.20.5/32",
            "fd20::5/128",
            &format!("mtu {mtu}"),
        ] {
            ensure!(during.contains(wanted), "no {wanted:?} in\n{during}");
        }
        world.disconnect()?;
        let after = world.picture()?;
        ensure!(after == before, "before:\n{before}\nafter:\n{after}");
        if let Peer::Embedded(_) = world.peer {
            ensure!(during.contains("nameserver 192.168.10.53"), "{during}");
            println!("BEFORE\n{before}\nDURING\n{during}\nAFTER `ikeep disconnect`\n{after}");
        }
        Ok(())
    })
}

/// Ordinary programs reach what lies behind the gateway.
fn works(world: &World) -> Result<()> {
    for to in [BEHIND_GATEWAY, BEHIND_GATEWAY6] {
        world.ping(to, 56)?;
    }
    let downloads = world.downloads()?;
    downloads.into_iter().try_for_each(|mut download| download.goes_on())
}
