//! The router's `show` commands, line by line in the seed's form.

use super::event::Counters;
use crate::crypto::{Encr, Integ};
use crate::esp::{SaStats, TrafficSelector};
use crate::ike::message::Spi;
use crate::ike::proposal::{EspSuite, IkeSuite};
use crate::ike::sk::Fragmentation;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What the router calls a session: one IKE SA and its Child SA.
#[derive(Clone, Debug)]
pub(super) struct SessionView {
    /// `Virtual-Access` interface number.
    pub(super) interface: u64,
    /// IKEv2 profile.
    pub(super) profile: String,
    /// Since the IKE SA is up.
    pub(super) uptime: Duration,
    /// Gateway side.
    pub(super) local: SocketAddr,
    /// Client side.
    pub(super) peer: SocketAddr,
    /// IDr.
    pub(super) local_id: String,
    /// IDi: the AnyConnect ID as text, a session ID as hex.
    pub(super) remote_id: String,
    /// The user, where this IKE SA was made by EAP.
    pub(super) eap_user: Option<String>,
    /// `Session ID` and `Session-id`.
    pub(super) number: u64,
    /// `CE id`.
    pub(super) ce_id: u64,
    /// `connid` and `Tunnel-id`.
    pub(super) connid: u64,
    /// NAT detected.
    pub(super) nat: bool,
    /// How large messages are cut.
    pub(super) fragmentation: Fragmentation,
    /// IKE suite.
    pub(super) ike: IkeSuite,
    /// Our SPI, the client's SPI.
    pub(super) spis: (Spi, Spi),
    /// IKE lifetime.
    pub(super) lifetime: Duration,
    /// Message IDs: our next request, the client's next request.
    pub(super) message_ids: (u32, u32),
    /// DPD interval and retry.
    pub(super) dpd: (Duration, Duration),
    /// First inner address.
    pub(super) address: IpAddr,
    /// The Child SA, where there is one.
    pub(super) child: Option<ChildView>,
}

/// A Child SA.
#[derive(Clone, Debug)]
pub(super) struct ChildView {
    /// Our side.
    pub(super) local: Vec<TrafficSelector>,
    /// The client's side.
    pub(super) remote: Vec<TrafficSelector>,
    /// Inbound and outbound SPI.
    pub(super) spis: (u32, u32),
    /// Suite.
    pub(super) esp: EspSuite,
    /// Counters of the session's Child SAs.
    pub(super) stats: SaStats,
    /// Octets of this pair: in, out.
    pub(super) octets: (u64, u64),
    /// Volume lifetime, KB of 1024 octets.
    pub(super) volume_kb: u64,
    /// What is left of its lifetime.
    pub(super) left: Duration,
}

const LEGEND: &str = "Crypto session current status
Code: C - IKE Configuration mode, D - Dead Peer Detection
K - Keepalives, N - NAT-traversal, T - cTCP encapsulation
X - IKE Extended Authentication, F - IKE Fragmentation
R - IKE Auto Reconnect
";

/// `show crypto session detail`.
pub(super) fn session_detail(sessions: &[SessionView]) -> String {
    let mut out = LEGEND.to_owned();
    for session in sessions {
        session.write_detail(&mut out);
    }
    out
}

/// `show crypto ikev2 session detailed`.
pub(super) fn ikev2_session_detailed(sessions: &[SessionView]) -> String {
    let mut out = String::new();
    for (title, v4) in [("IPv4 Crypto IKEv2 Session\n", true), ("IPv6 Crypto IKEv2 Session\n", false)] {
        let mut family = sessions.iter().filter(|s| s.peer.is_ipv4() == v4).peekable();
        if family.peek().is_some() {
            out.push_str(title);
        }
        for session in family {
            session.write_ikev2(&mut out);
        }
    }
    out
}

/// `show crypto ikev2 stats reconnect`.
pub(super) fn stats_reconnect(counters: &Counters) -> String {
    format!(
        "Total incoming reconnect connection: {}\n\
         Success reconnect connection: {}\n\
         Failed reconnect connection: {}\n\
         Reconnect capable active session count: {}\n\
         Reconnect capable inactive session count: {}\n",
        counters.reconnects,
        counters.reconnects_ok,
        counters.reconnects_failed,
        counters.active,
        counters.inactive
    )
}

// Writing into a String cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{ let _ = writeln!($out, $($arg)*); }};
}

impl SessionView {
    fn capabilities(&self) -> String {
        let letters = [
            ('D', true),
            ('N', self.nat),
            ('F', self.fragmentation != Fragmentation::Off),
            ('R', self.eap_user.is_none()),
        ];
        letters.iter().filter(|(_, on)| *on).map(|(letter, _)| letter).collect()
    }

    fn write_detail(&self, out: &mut String) {
        let left = clock(self.lifetime.saturating_sub(self.uptime));
        line!(out, "Interface: Virtual-Access{}", self.interface);
        line!(out, "Profile: {}", self.profile);
        line!(out, "Uptime: {}", clock(self.uptime));
        line!(out, "Session status: UP-ACTIVE");
        line!(out, "Peer: {} port {} fvrf: (none) ivrf: (none)", self.peer.ip(), self.peer.port());
        line!(out, "Phase1_id: {}", self.remote_id);
        line!(out, "Desc: (none)");
        line!(out, "Session ID: {}", self.number);
        line!(out, "IKEv2 SA: local {} remote {} Active", endpoint(self.local), endpoint(self.peer));
        line!(out, "Capabilities:{} connid:{} lifetime:{left}", self.capabilities(), self.connid);
        let Some(child) = &self.child else { return };
        for local in &child.local {
            for remote in
                child.remote.iter().filter(|r| r.addresses.0.is_ipv4() == local.addresses.0.is_ipv4())
            {
                let ip = if local.addresses.0.is_ipv4() { "ip" } else { "ipv6" };
                line!(out, "IPSEC FLOW: permit {ip} {} {}", flow(local), flow(remote));
            }
        }
        let kb = |octets: u64| child.volume_kb.saturating_sub(octets / 1024);
        let (stats, left) = (&child.stats, child.left.as_secs());
        line!(out, "Active SAs: 2, origin: crypto map");
        let (inbound, outbound) = (kb(child.octets.0), kb(child.octets.1));
        line!(
            out,
            "Inbound: #pkts dec'ed {} drop {} life (KB/Sec) {inbound}/{left}",
            stats.packets_in,
            stats.drops
        );
        line!(out, "Outbound: #pkts enc'ed {} drop 0 life (KB/Sec) {outbound}/{left}", stats.packets_out);
    }

    fn write_ikev2(&self, out: &mut String) {
        let verify = if self.eap_user.is_some() { "AnyConnect-EAP" } else { "PSK" };
        let children = usize::from(self.child.is_some());
        line!(out, "Session-id:{}, Status:UP-ACTIVE, IKE count:1, CHILD count:{children}", self.number);
        line!(out, "Tunnel-id Local Remote fvrf/ivrf Status");
        line!(out, "{} {} {} none/none READY", self.connid, endpoint(self.local), endpoint(self.peer));
        line!(
            out,
            "Encr: {}, PRF: SHA{}, Hash: {}, DH Grp:{}, Auth sign: RSA, Auth verify: {verify}",
            encryption(self.ike.encr),
            self.ike.prf.len() * 8,
            integrity(self.ike.integ),
            self.ike.group.id()
        );
        line!(out, "Life/Active Time: {}/{} sec", self.lifetime.as_secs(), self.uptime.as_secs());
        line!(out, "CE id: {}, Session-id: {}", self.ce_id, self.number);
        line!(out, "Status Description: Negotiation done");
        line!(out, "Local spi: {} Remote spi: {}", hex(&self.spis.0), hex(&self.spis.1));
        line!(out, "Local id: {}", self.local_id);
        line!(out, "Remote id: {}", self.remote_id);
        if let Some(user) = &self.eap_user {
            line!(out, "Remote EAP id: {user}");
        }
        let (ours, theirs) = self.message_ids;
        line!(out, "Local req msg id: {ours} Remote req msg id: {theirs}");
        line!(out, "Local next msg id: {ours} Remote next msg id: {theirs}");
        line!(out, "Local req queued: {ours} Remote req queued: {theirs}");
        line!(out, "Local window: 5 Remote window: 1");
        line!(out, "DPD configured for {} seconds, retry {}", self.dpd.0.as_secs(), self.dpd.1.as_secs());
        match self.fragmentation {
            Fragmentation::Off => line!(out, "Fragmentation not configured."),
            Fragmentation::Standard(size) => line!(
                out,
                "IETF Std Fragmentation enabled.\nIETF Std Fragmentation MTU in use: {size} bytes."
            ),
            Fragmentation::Legacy(size) => {
                line!(out, "Pre-standard fragmentation enabled.\nMTU in use: {size} bytes.");
            }
        }
        line!(out, "Extended Authentication not configured.");
        line!(out, "NAT-T is {}", if self.nat { "detected outside" } else { "not detected" });
        line!(out, "Cisco Trust Security SGT is disabled");
        line!(out, "Assigned host addr: {}", self.address);
        line!(out, "Initiator of SA : No");
        if self.eap_user.is_some() {
            line!(out, "PEER TYPE: AnyConnect");
        }
        let Some(child) = &self.child else { return };
        for (n, local) in child.local.iter().enumerate() {
            line!(out, "{}local selector {}", if n == 0 { "Child sa: " } else { "" }, range(local));
        }
        for remote in &child.remote {
            line!(out, "remote selector {}", range(remote));
        }
        line!(out, "ESP spi in/out: 0x{:X}/0x{:X}", child.spis.0, child.spis.1);
        line!(out, "AH spi in/out: 0x0/0x0");
        line!(out, "CPI in/out: 0x0/0x0");
        line!(out, "Encr: {}, esp_hmac: {}", encryption(child.esp.encr), integrity(child.esp.integ));
        line!(out, "ah_hmac: None, comp: IPCOMP_NONE, mode tunnel");
    }
}

fn clock(duration: Duration) -> String {
    let secs = duration.as_secs();
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

fn endpoint(at: SocketAddr) -> String {
    format!("{}/{}", at.ip(), at.port())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|b| format!("{b:02X}")).collect()
}

fn encryption(encr: Encr) -> String {
    let name = match encr {
        Encr::AesCbc128 | Encr::AesCbc256 => "AES-CBC",
        Encr::AesGcm128 | Encr::AesGcm256 => "AES-GCM",
        Encr::ChaCha20Poly1305 => "CHACHA20-POLY1305",
    };
    format!("{name}, keysize: {}", encr.key_bits().unwrap_or(256))
}

fn integrity(integ: Option<Integ>) -> &'static str {
    match integ {
        None => "None",
        Some(Integ::HmacSha256_128) => "SHA256",
        Some(Integ::HmacSha384_192) => "SHA384",
        Some(Integ::HmacSha512_256) => "SHA512",
    }
}

fn range(selector: &TrafficSelector) -> String {
    let ((first, last), (low, high)) = (selector.addresses, selector.ports);
    format!("{first}/{low} - {last}/{high}")
}

fn flow(selector: &TrafficSelector) -> String {
    let (first, last) = selector.addresses;
    if first == last {
        format!("host {first}")
    } else if selector.addresses == TrafficSelector::any_v4().addresses {
        "0.0.0.0/0.0.0.0".into()
    } else if selector.addresses == TrafficSelector::any_v6().addresses {
        "::/0".into()
    } else {
        format!("{first}-{last}")
    }
}

/// IDs of text types as text, session IDs (key-id) as the router prints them: hex.
pub(super) fn identity_text(kind: u8, data: &[u8]) -> String {
    let anyconnect = data == crate::ike::dialect::ANYCONNECT_ID.as_bytes();
    match (kind, <[u8; 4]>::try_from(data), <[u8; 16]>::try_from(data)) {
        (1, Ok(octets), _) => IpAddr::from(octets).to_string(),
        (5, _, Ok(octets)) => IpAddr::from(octets).to_string(),
        (2 | 3, ..) => String::from_utf8_lossy(data).chars().filter(|c| !c.is_control()).collect(),
        _ if anyconnect => crate::ike::dialect::ANYCONNECT_ID.into(),
        _ => hex(data),
    }
}

#[cfg(test)]
mod tests;
