//! Explicit congestion notification through a tunnel (RFC 6040, normal mode; RFC 7296 2.24, RFC 4301 5.1.2).
//!
//! A router between the two ends marks the outer packet instead of dropping it; the mark has to reach the receiver of the inner
//! one, whose sender then slows down.

/// The two ECN bits of an IP header (RFC 3168 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ecn {
    /// The sender does not understand marks: routers drop.
    NotEct = 0b00,
    /// It does.
    Ect1 = 0b01,
    /// It does, as most say it.
    Ect0 = 0b10,
    /// A router was congested.
    Ce = 0b11,
}

impl Ecn {
    /// The low two bits of a TOS or traffic class octet.
    pub fn of_class(class: u8) -> Self {
        match class & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// Of an IP packet of either family; what is none has none.
    pub fn of_packet(packet: &[u8]) -> Self {
        match *packet {
            [first, second, ..] if first >> 4 == 4 => Self::of_class(second),
            [first, second, ..] if first >> 4 == 6 => Self::of_class(second >> 4),
            _ => Self::NotEct,
        }
    }
}

/// What the outer header says when a packet is wrapped: the same (RFC 6040 4.1).
pub fn encapsulate(inner: &[u8]) -> Ecn {
    Ecn::of_packet(inner)
}

/// What the inner header says when a packet was unwrapped (RFC 6040 4.2, figure 4). `None`: the packet is to be dropped, since a
/// router was congested and the sender understands no other sign.
pub fn combine(outer: Ecn, inner: Ecn) -> Option<Ecn> {
    match (inner, outer) {
        (Ecn::NotEct, Ecn::Ce) => None,
        (Ecn::NotEct, _) => Some(Ecn::NotEct),
        (Ecn::Ce, _) | (_, Ecn::Ce) => Some(Ecn::Ce),
        (Ecn::Ect0, Ecn::Ect1) => Some(Ecn::Ect1),
        (inner, _) => Some(inner),
    }
}

/// Writes what [`combine`] says into an unwrapped IP packet, with the checksum of IPv4. False: the packet is to be dropped.
#[must_use]
pub fn decapsulate(outer: Ecn, packet: &mut [u8]) -> bool {
    if outer == Ecn::NotEct {
        return true;
    }
    let inner = Ecn::of_packet(packet);
    let Some(combined) = combine(outer, inner) else { return false };
    if combined != inner {
        set(packet, combined);
    }
    true
}

fn set(packet: &mut [u8], ecn: Ecn) {
    let [first, second, rest @ ..] = packet else { return };
    if *first >> 4 == 6 {
        *second = *second & !(0b11 << 4) | (ecn as u8) << 4;
        return;
    }
    let before = u16::from_be_bytes([*first, *second]);
    *second = *second & !0b11 | ecn as u8;
    let after = u16::from_be_bytes([*first, *second]);
    // The checksum is 10 octets into the header.
    if let Some(checksum) = rest.get_mut(8..).and_then(|rest| rest.first_chunk_mut::<2>()) {
        *checksum = repaired(u16::from_be_bytes(*checksum), before, after).to_be_bytes();
    }
}

/// An Internet checksum after one word of what it covers has changed (RFC 1624 3, equation 3).
fn repaired(checksum: u16, before: u16, after: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!before) + u32::from(after);
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests;
