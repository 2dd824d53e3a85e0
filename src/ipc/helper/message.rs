//! What is asked of the helper, and what it answers.

use crate::plan::Network;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where the helper listens.
pub const SOCKET: &str = "/run/ikeep/netd.sock";
/// Changes with every change that an older side would misunderstand.
pub const PROTOCOL: u32 = 1;
/// Longest message, octets.
pub const MAX_MESSAGE: usize = 128 << 10;
/// Networks in each list of a [`Network`], and addresses, servers and domains together, at most.
pub const MAX_NETS: usize = 2048;

/// Longest gap ([`Ask::Gap`]), seconds.
pub const MAX_GAP: u16 = 600;

/// Largest MTU of a tunnel's device, octets.
pub const MAX_MTU: u16 = 9000;

/// What the kill switch holds back. See [`Guard`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardMode {
    /// Nothing: there is none.
    #[default]
    Off,
    /// What the tunnel's plan takes leaves by its device only, whether that is there or not.
    TunnelPrefixes,
    /// Everything but the tunnel's device, the loopback, our own packets, DHCP and the link's neighbours.
    All,
}

/// The kill switch: what leaves this machine only by the tunnel. It says nothing of addresses or ports: those are the helper's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// What is held back.
    pub mode: GuardMode,
    /// The local networks may be reached although [`GuardMode::All`] is wanted.
    pub lan: bool,
    /// It is an always-on profile's: it stays longer when the agent is gone.
    pub always: bool,
}

/// What the agent asks. (Empty braces, since serde would take any field with a variant that has none.)
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// The first message. Answered with [`Answer::Welcome`].
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Of the agent.
        version: String,
    },
    /// The tunnel's device, the one that is held for this user or a new one. With a descriptor beside it: this is the device
    /// that a helper before this one has made; it is taken over. Answered with [`Answer::Tun`] and its descriptor.
    Tun {},
    /// A TCP socket, marked with [`crate::plan::MARK`], not bound or connected: for the page that tells of captive portals.
    /// Answered with [`Answer::Tcp`] and its descriptor.
    Tcp {
        /// For IPv6, else IPv4.
        ipv6: bool,
    },
    /// A UDP socket: marked with [`crate::plan::MARK`], with large buffers, not bound. Answered with [`Answer::Udp`] and its
    /// descriptor.
    Udp {
        /// For IPv6, else IPv4.
        ipv6: bool,
    },
    /// Makes the machine as this says, whatever was applied before. Needs a device. Answered with [`Answer::Applied`]. Asked
    /// again, be it the same, it looks at the machine anew and mends what others have changed.
    Apply {
        /// What the machine has to look like.
        network: Network,
    },
    /// Opens a gap in what is applied, for the log-in at a captive portal: for so many seconds, [`MAX_GAP`] at most, packets and
    /// names go past the tunnel, but for what has an address of the tunnel. Asked again, the time begins anew; 0 closes it. It
    /// is closed by itself at the end of the time, and with the connection that has asked for it. Where the helper is killed
    /// meanwhile, the next helper closes it with the first plan of its agent, or puts all back. Whatever plan is applied
    /// meanwhile has it, too. Answered with [`Answer::Applied`].
    Gap {
        /// How long.
        seconds: u16,
    },
    /// Puts the kill switch up, changes it, or ([`GuardMode::Off`]) takes it down. It needs no device, and outlives
    /// [`Ask::Revert`]. When the connection that has asked for it ends, it stays as long as a tunnel would, one for
    /// [`Guard::always`] longer, if no other who may use this helper wants a tunnel or a kill switch before that, and the helper
    /// is not stopped. Answered with [`Answer::Guarded`].
    Guard {
        /// What is wanted.
        guard: Guard,
    },
    /// Which kill switch stands, if any: after the end of an agent, nobody else knows. Answered with [`Answer::Standing`].
    Standing {},
    /// Everything is as before, but for the kill switch, and the device gone once its last descriptor is closed. Answered with [`Answer::Reverted`].
    Revert {},
}

/// What the helper answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// To [`Ask::Hello`].
    Welcome {
        /// [`PROTOCOL`] of the helper.
        protocol: u32,
        /// Of the helper.
        version: String,
    },
    /// To [`Ask::Tun`].
    Tun(Tun),
    /// To [`Ask::Udp`].
    Udp {},
    /// To [`Ask::Tcp`].
    Tcp {},
    /// To [`Ask::Guard`].
    Guarded {},
    /// To [`Ask::Standing`].
    Standing {
        /// What stands; off: nothing does.
        guard: Guard,
        /// It is of the user who asks.
        yours: bool,
    },
    /// To [`Ask::Apply`] and [`Ask::Gap`].
    Applied(Applied),
    /// To [`Ask::Revert`]: what could not be put back, for people; empty where all is as before.
    Reverted {
        /// For people.
        problems: Vec<String>,
    },
    /// To anything: no, and why. Nothing was changed.
    Refused(Refusal),
}

/// The device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tun {
    /// Name.
    pub name: String,
    /// Index.
    pub index: u32,
    /// It was there before, with what was applied to it.
    pub kept: bool,
    /// Packets carry `struct virtio_net_hdr` (10 octets) and may be larger than the MTU: TCP of both families, and UDP where
    /// the kernel has it. A reader that takes less says so to the device (`tunnel::tun::offload`).
    pub offload: bool,
}

/// What was done for a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Who answers names now, in words: `systemd-resolved`, `NetworkManager`, `resolvconf`, `/etc/resolv.conf`; `None` where no
    /// servers were given.
    pub resolver: Option<String>,
    /// The resolver asks the tunnel's servers only for the tunnel's domains.
    pub split_dns: bool,
    /// The servers of the networks outside, for questions that must not go through the tunnel.
    pub outside: Vec<IpAddr>,
    /// What could not be done, for people. What keeps packets in the tunnel is never among these: that is a refusal.
    pub notes: Vec<String>,
}

/// Why not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// For programs.
    pub kind: RefusalKind,
    /// For people: what, why, and what to do.
    pub message: String,
}

/// Why not, for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// This user may not.
    NotAllowed,
    /// Another user has a tunnel.
    Taken,
    /// The request makes no sense: malformed, too large, out of order, or it asks for what no tunnel needs.
    Request,
    /// The other side is of another version.
    Version,
    /// The kernel, or the resolver, refuses.
    Machine,
}
