//! The largest segment that TCP may send through the tunnel (MSS, RFC 9293 3.7.1), made smaller where a connection begins: hosts
//! behind this one, and hosts behind the gateway, do not know of the tunnel.

use super::checksum;
use super::ip::{self, Layout, TCP_HEADER, flag};

/// Kinds of TCP options.
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;
/// Octets of an IP header without extensions.
const IPV4: usize = 20;
const IPV6: usize = 40;
/// No segment is made smaller than this (RFC 9293: every host takes 536).
const SMALLEST: usize = 536;

/// Makes the MSS of a SYN fit packets of `mtu` octets; what is no SYN, or fits, stays as it is. True where it was changed.
pub fn clamp(packet: &mut [u8], mtu: usize) -> bool {
    let Some(layout) = Layout::of(packet).filter(|layout| layout.protocol == ip::TCP) else { return false };
    let Some(header) = layout.tcp_header(packet) else { return false };
    if packet[layout.l4 + 13] & flag::SYN == 0 {
        return false;
    }
    let ip_header = if layout.ipv4 { IPV4 } else { IPV6 };
    let largest = mtu.saturating_sub(ip_header + TCP_HEADER).max(SMALLEST);
    let Ok(largest) = u16::try_from(largest) else { return false };
    let Some(at) = mss(packet, layout.l4 + TCP_HEADER, layout.l4 + header) else { return false };
    let old = [packet[at], packet[at + 1]];
    if u16::from_be_bytes(old) <= largest {
        return false;
    }
    let new = largest.to_be_bytes();
    let sum = layout.l4 + 16;
    // RFC 1624 counts words: an option at an odd place is two halves of them.
    let (old_words, new_words) = if (at - layout.l4).is_multiple_of(2) {
        ([old, [0; 2]], [new, [0; 2]])
    } else {
        ([[0, old[0]], [old[1], 0]], [[0, new[0]], [new[1], 0]])
    };
    let mut checksum = [packet[sum], packet[sum + 1]];
    for (old, new) in old_words.into_iter().zip(new_words) {
        checksum = checksum::replace(checksum, old, new);
    }
    packet[sum..sum + 2].copy_from_slice(&checksum);
    packet[at..at + 2].copy_from_slice(&new);
    true
}

/// Where the value of the MSS option stands.
fn mss(packet: &[u8], mut at: usize, end: usize) -> Option<usize> {
    while at < end {
        match *packet.get(at)? {
            END => return None,
            NOTHING => at += 1,
            kind => {
                let length = usize::from(*packet.get(at + 1)?);
                if length < 2 || at + length > end {
                    return None;
                }
                if kind == MSS && length == 4 {
                    return Some(at + 2);
                }
                at += length;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
