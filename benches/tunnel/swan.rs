//! strongSwan with user-space ESP, as gateway and as client.

use crate::bed::{Bed, Tunnel};
use crate::interop::agent::TOKEN;
use crate::interop::{BEHIND_GATEWAY, Charon, CharonOptions, ClientConfig, GatewayConfig, Pki, SESSION_ID};
use crate::suite::Cipher;
use anyhow::Result;

fn options() -> CharonOptions {
    CharonOptions { ike_log_level: 1, ..CharonOptions::default() }
}

/// A gateway that honours the session of [`crate::interop::agent`]; its host has [`BEHIND_GATEWAY`].
pub(crate) fn gateway(bed: &Bed, cipher: Cipher, pki: &Pki) -> Result<Charon> {
    let host = &bed.gateway.netns;
    host.add_address("lo", &format!("{BEHIND_GATEWAY}/24"))?;
    host.add_address("lo", "fd10::1/64")?;
    let config = GatewayConfig::new(cipher.suite(), TOKEN).render();
    // The hosts of this bench have IPv4 alone.
    let config = config.replace("10.9.0.1,fd09::1", &bed.back.to_string());
    Charon::start(host, options(), pki, true, &config)
}

/// Both sides.
pub(crate) fn to_strongswan(bed: &Bed, cipher: Cipher, pki: &Pki) -> Result<Tunnel> {
    let gateway = gateway(bed, cipher, pki)?;
    let config = ClientConfig::new(cipher.suite(), SESSION_ID.as_bytes(), TOKEN);
    let client = Charon::start(&bed.laptop.netns, options(), pki, false, &config.render())?;
    client.initiate("net")?;
    Ok(Tunnel {
        target: BEHIND_GATEWAY.parse()?,
        agent: client.pid(),
        gateway: gateway.pid(),
        proxy: None,
        _parts: Box::new((client, gateway)),
    })
}
