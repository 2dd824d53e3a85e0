//! The connections of a strongSwan peer, as the text of a `swanctl.conf`.

use super::{BEHIND_GATEWAY, GATEWAY_NAME, SESSION_ID};
use std::fmt::Write;

/// SAs of one session that may overlap.
const POOLS: usize = 6;

/// What is proposed or accepted, in strongSwan's keywords.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suite {
    /// The IKE SA.
    pub(crate) ike: &'static str,
    /// The Child SA. Without `-esn`: strongSwan's user-space ESP has no extended sequence numbers.
    pub(crate) esp: &'static str,
}

impl Suite {
    /// What the seed's router negotiates.
    pub(crate) const SEED: Self = Self { ike: "aes256-sha512-prfsha512-ecp256", esp: "aes256-sha384" };
    /// AES-GCM with group 31.
    pub(crate) const GCM: Self = Self { ike: "aes256gcm16-prfsha384-curve25519", esp: "aes256gcm16" };
    /// ChaCha20-Poly1305 (RFC 7634) with group 15.
    pub(crate) const CHACHA: Self =
        Self { ike: "chacha20poly1305-prfsha256-modp3072", esp: "chacha20poly1305" };
    /// Group 16, and ChaCha20-Poly1305 for the Child SA alone.
    pub(crate) const MODP4096: Self = Self { ike: "aes256-sha512-modp4096", esp: "chacha20poly1305" };
}

/// A gateway that honours one session: RSA on its side, PSK by key-id on the client's, as in a reconnect.
#[derive(Clone, Debug)]
pub(crate) struct GatewayConfig {
    /// What it accepts.
    pub(crate) suite: Suite,
    /// The key-id it expects as IDi.
    pub(crate) session_id: Vec<u8>,
    /// The PSK of that key-id, byte for byte.
    pub(crate) token: Vec<u8>,
    /// Idle time before it asks whether the client lives; "0s" never asks.
    pub(crate) dpd_delay: &'static str,
    /// When it rekeys the IKE SA; "0s" never.
    pub(crate) ike_rekey_time: &'static str,
    /// When it rekeys the Child SA; "0s" never.
    pub(crate) child_rekey_time: &'static str,
    /// The address it leases to the session.
    pub(crate) lease4: &'static str,
    /// The IPv6 address it leases to the session.
    pub(crate) lease6: &'static str,
    /// Whether it offers MOBIKE.
    pub(crate) mobike: bool,
}

impl GatewayConfig {
    /// A gateway that never starts anything by itself, for the session of the seed's logs and `token`.
    pub(crate) fn new(suite: Suite, token: &[u8]) -> Self {
        Self {
            suite,
            session_id: SESSION_ID.as_bytes().to_vec(),
            token: token.to_vec(),
            dpd_delay: "0s",
            ike_rekey_time: "0s",
            child_rekey_time: "0s",
            lease4: "192.168.20.5",
            lease6: "fd20::5",
            mobike: true,
        }
    }

    /// The text of its `swanctl.conf`. Certificate and key are expected as `gw.pem` in its folders.
    pub(crate) fn render(&self) -> String {
        let Suite { ike, esp } = self.suite;
        let id = key_id(&self.session_id);
        let mobike = if self.mobike { "yes" } else { "no" };
        let (mut names, mut pools) = (Vec::new(), String::new());
        // A lease that is in use is given again only to the same outer address. A client that has moved shall keep its inner
        // one while its old SA lives, so each SA finds it in a pool of its own.
        for copy in 0..POOLS {
            for (family, lease, prefix) in [("4", self.lease4, 32), ("6", self.lease6, 128)] {
                let name = format!("lease{family}-{copy}");
                let _ = writeln!(pools, "  {name} {{\n    addrs = {lease}/{prefix}\n  }}");
                names.push(name);
            }
        }
        let names = names.join(", ");
        // unique = never: a reconnect overlaps the old SA and must lease the same address.
        format!(
            "connections {{
  reconnect {{
    version = 2
    local_addrs = 10.9.0.1,fd09::1
    proposals = {ike}
    unique = never
    mobike = {mobike}
    fragmentation = yes
    dpd_delay = {}
    rekey_time = {}
    reauth_time = 0s
    pools = {names}
    local {{
      auth = pubkey
      certs = gw.pem
      id = {GATEWAY_NAME}
    }}
    remote {{
      auth = psk
      id = {id}
    }}
    children {{
      net {{
        local_ts = 0.0.0.0/0, ::/0
        esp_proposals = {esp}
        rekey_time = {}
        dpd_action = clear
      }}
    }}
  }}
}}
pools {{
{pools}}}
{}",
            self.dpd_delay,
            self.ike_rekey_time,
            self.child_rekey_time,
            secrets(&id, &self.token)
        )
    }
}

/// strongSwan as the initiator of a reconnect: the reference peer.
#[derive(Clone, Debug)]
pub(crate) struct ClientConfig {
    /// What it proposes.
    pub(crate) suite: Suite,
    /// What it sends as IDi.
    pub(crate) session_id: Vec<u8>,
    /// Its PSK.
    pub(crate) token: Vec<u8>,
    /// Its own addresses; `%any`: whichever it has, so that it can move (MOBIKE).
    pub(crate) local_addrs: &'static str,
    /// What the gateway has to call itself.
    pub(crate) gateway_id: &'static str,
    /// Idle time before it asks whether the gateway lives; "0s" never asks.
    pub(crate) dpd_delay: &'static str,
}

impl ClientConfig {
    /// One that never starts anything by itself.
    pub(crate) fn new(suite: Suite, session_id: &[u8], token: &[u8]) -> Self {
        Self {
            suite,
            session_id: session_id.to_vec(),
            token: token.to_vec(),
            local_addrs: "10.9.0.2",
            gateway_id: GATEWAY_NAME,
            dpd_delay: "0s",
        }
    }

    /// The text of its `swanctl.conf`: connection and child are both named `net`. The CA is expected in `x509ca`.
    pub(crate) fn render(&self) -> String {
        let Suite { ike, esp } = self.suite;
        let id = key_id(&self.session_id);
        format!(
            "connections {{
  net {{
    version = 2
    local_addrs = {}
    remote_addrs = 10.9.0.1
    proposals = {ike}
    vips = 0.0.0.0, ::
    encap = yes
    dpd_delay = {}
    rekey_time = 0s
    local {{
      auth = psk
      id = {id}
    }}
    remote {{
      auth = pubkey
      id = {}
    }}
    children {{
      net {{
        rekey_time = 0s
        remote_ts = {BEHIND_GATEWAY}/24, fd10::/64
        esp_proposals = {esp}
      }}
    }}
  }}
}}
{}",
            self.local_addrs,
            self.dpd_delay,
            self.gateway_id,
            secrets(&id, &self.token)
        )
    }
}

fn secrets(id: &str, token: &[u8]) -> String {
    format!("secrets {{\n  ike-1 {{\n    id = {id}\n    secret = 0x{}\n  }}\n}}\n", hex(token))
}

/// A key-id in strongSwan's notation; the quotes keep `#` from starting a comment.
fn key_id(id: &[u8]) -> String {
    format!("\"@#{}\"", hex(id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
