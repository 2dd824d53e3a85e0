//! What somebody on the path can read of a datagram: the model reads no more, and nothing by the product's code.

/// The cleartext of an IKE header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ike {
    pub(crate) spi_i: [u8; 8],
    pub(crate) spi_r: [u8; 8],
    pub(crate) exchange: u8,
    pub(crate) response: bool,
    pub(crate) id: u32,
    /// Number of a fragment (RFC 7383) and how many there are; 1 of 1 for what is no fragment.
    pub(crate) part: (u16, u16),
}

/// The exchanges that attempts begin with.
pub(crate) const IKE_SA_INIT: u8 = 34;
pub(crate) const IKE_SESSION_RESUME: u8 = 38;
/// The payload that a fragment is.
const SKF: u8 = 53;
/// The one that a fragment of before RFC 7383 is.
const LEGACY_FRAGMENT: u8 = 132;

impl Ike {
    /// A request, or an answer, that an attempt begins with.
    pub(crate) fn begins(self) -> bool {
        matches!(self.exchange, IKE_SA_INIT | IKE_SESSION_RESUME)
    }
}

/// A datagram as its outside shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Keepalive,
    Ike(Ike),
    Esp(u32),
    Nonsense,
}

/// Reads a datagram to or from the gateway's `port`.
pub(crate) fn read(port: u16, payload: &[u8]) -> Seen {
    match payload {
        _ if port == 500 => ike(payload),
        [0xff] => Seen::Keepalive,
        [0, 0, 0, 0, message @ ..] => ike(message),
        [a, b, c, d, rest @ ..] if rest.len() > 16 => Seen::Esp(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Seen::Nonsense,
    }
}

fn ike(message: &[u8]) -> Seen {
    let (Some((spi_i, rest)), true) = (message.split_first_chunk(), message.len() >= 28) else {
        return Seen::Nonsense;
    };
    let mut spi_r = [0; 8];
    spi_r.copy_from_slice(&rest[..8]);
    let id = u32::from_be_bytes([message[20], message[21], message[22], message[23]]);
    let part = match message {
        message if !matches!(message[16], SKF | LEGACY_FRAGMENT) => (1, 1),
        message if message.len() < 36 => return Seen::Nonsense,
        // How many there are is told by the last one only.
        message if message[16] == LEGACY_FRAGMENT => (u16::from(message[34]), u16::from(u8::MAX)),
        _ => {
            let number = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
            (number(32), number(34))
        }
    };
    let response = message[19] & 0x20 != 0;
    Seen::Ike(Ike { spi_i: *spi_i, spi_r, exchange: message[18], response, id, part })
}

/// The beginning of an attempt?
pub(crate) fn is_init(port: u16, payload: &[u8]) -> bool {
    matches!(read(port, payload), Seen::Ike(ike) if ike.begins() && !ike.response)
}
