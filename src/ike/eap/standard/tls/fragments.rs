//! What an EAP-TLS packet holds after its type (RFC 5216 3.1): flags, the length of the TLS message, and a piece of it.

use super::super::super::EapError;

/// Largest TLS message, or set of messages sent together, octets: a chain of sixteen certificates fits.
pub const MAX_MESSAGE: usize = 64 << 10;
/// Largest EAP packet that we make: every lower layer of the gateway's carries it (RFC 3748 3.1).
pub(super) const MAX_PACKET: usize = 1_020;
/// EAP header, type, and flags.
const HEAD: usize = 6;

const LENGTH: u8 = 0x80;
const MORE: u8 = 0x40;
const START: u8 = 0x20;

/// One packet of the server's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece<'a> {
    /// It begins the method.
    pub(super) start: bool,
    /// The message goes on in another packet.
    pub(super) more: bool,
    /// Octets of the whole message.
    pub(super) total: Option<usize>,
    /// This part of it.
    pub(super) data: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Reads what follows the type. The reserved flags mean nothing.
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, EapError> {
        let (flags, rest) = data.split_first().ok_or_else(|| wrong("without flags"))?;
        let (total, data) = match rest.split_first_chunk::<4>() {
            _ if flags & LENGTH == 0 => (None, rest),
            Some((length, data)) => {
                let total = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                (Some(total), data)
            }
            None => return Err(wrong("without the length that its flags announce")),
        };
        Ok(Self { start: flags & START != 0, more: flags & MORE != 0, total, data })
    }

    /// Asks for the next piece of ours.
    pub(super) fn is_acknowledgement(&self) -> bool {
        !self.start && !self.more && self.data.is_empty()
    }
}

/// A message that comes in pieces.
#[derive(Default)]
pub(super) struct Inbound {
    /// What its first piece has said.
    total: Option<usize>,
    octets: Vec<u8>,
    begun: bool,
}

impl Inbound {
    /// Takes the next piece; the message, once it is whole.
    ///
    /// # Errors
    /// More than [`MAX_MESSAGE`] or than the message's own length, less than it, a piece that brings nothing.
    pub(super) fn take(&mut self, piece: Piece<'_>) -> Result<Option<Vec<u8>>, EapError> {
        match (piece.total, self.total) {
            (Some(total), _) if total > MAX_MESSAGE => {
                return Err(wrong(&format!(
                    "that announces {total} octets, of which {MAX_MESSAGE} are taken"
                )));
            }
            (Some(total), _) if !self.begun => self.total = Some(total),
            (Some(total), Some(known)) if total == known => {}
            (Some(_), _) => return Err(wrong("with another length than its message")),
            (None, _) if !self.begun && piece.more => return Err(wrong("of several without their length")),
            (None, _) => {}
        }
        let length = self.octets.len() + piece.data.len();
        if length > self.total.unwrap_or(MAX_MESSAGE) {
            return Err(wrong("that is longer than its message"));
        }
        let is_whole = self.total.is_none_or(|total| total == length);
        if piece.more && (piece.data.is_empty() || is_whole) {
            return Err(wrong("after which nothing can follow, though it says so"));
        }
        if !piece.more && !is_whole {
            return Err(wrong("that ends its message too early"));
        }
        self.begun = true;
        self.octets.extend_from_slice(piece.data);
        if piece.more {
            return Ok(None);
        }
        Ok(Some(std::mem::take(self).octets))
    }
}

/// A message of ours that leaves in pieces.
#[derive(Default)]
pub(super) struct Outbound {
    octets: Vec<u8>,
    sent: usize,
}

impl Outbound {
    /// A message; an empty one is one empty piece.
    pub(super) fn new(octets: Vec<u8>) -> Self {
        Self { octets, sent: 0 }
    }

    /// True once the last piece has been made.
    pub(super) fn is_over(&self) -> bool {
        self.sent == self.octets.len()
    }

    /// The next piece: what follows the type.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let rest = self.octets.get(self.sent..).unwrap_or_default();
        let (mut flags, mut head) = (0, Vec::new());
        if self.sent == 0 && HEAD + rest.len() > MAX_PACKET {
            flags |= LENGTH;
            head.extend(u32::try_from(rest.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        let room = MAX_PACKET - HEAD - head.len();
        if rest.len() > room {
            flags |= MORE;
        }
        let piece = rest.get(..room).unwrap_or(rest);
        self.sent += piece.len();
        [&[flags], &head[..], piece].concat()
    }
}

fn wrong(what: &str) -> EapError {
    EapError::Malformed(format!("an EAP-TLS packet {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(data: &[u8]) -> Piece<'_> {
        Piece::parse(data).expect("a piece")
    }

    #[test]
    fn flags_and_lengths() {
        assert_eq!(piece(b"\x20"), Piece { start: true, more: false, total: None, data: b"" });
        let first = Piece { start: false, more: true, total: Some(700), data: b"ab" };
        assert_eq!(piece(b"\xc0\0\0\x02\xbcab"), first);
        assert!(piece(b"\x00").is_acknowledgement() && piece(b"\x1f").is_acknowledgement());
        assert!(!piece(b"\x00a").is_acknowledgement() && !piece(b"\x20").is_acknowledgement());
        for data in [&b""[..], b"\x80", b"\x80\0\0\0", b"\xe0\0\0"] {
            assert!(Piece::parse(data).is_err(), "{data:?}");
        }
    }

    #[test]
    fn messages_that_lie_about_their_length_are_refused() {
        let refused: [&[&[u8]]; 10] = [
            &[b"\x80\0\x01\0\x01a"],
            &[b"\xff\xff\xff\xff\xff"],
            &[b"\x40abc"],
            &[b"\x80\0\0\0\x02abc"],
            &[b"\x80\0\0\0\x04abc"],
            &[b"\xc0\0\0\0\x03abc"],
            &[b"\xc0\0\0\0\x03"],
            &[b"\xc0\0\0\0\x03a", b"\x40bc"],
            &[b"\xc0\0\0\0\x03a", b"\x80\0\0\0\x04bc"],
            &[b"\xc0\0\0\0\x03a", b"\x00bcd"],
        ];
        for pieces in refused {
            let mut inbound = Inbound::default();
            let (last, before) = pieces.split_last().expect("one");
            assert!(before.iter().all(|data| matches!(inbound.take(piece(data)), Ok(None))), "{pieces:?}");
            assert!(inbound.take(piece(last)).is_err(), "{pieces:?}");
        }
        let mut inbound = Inbound::default();
        assert_eq!(
            inbound.take(piece(b"\x80\0\0\0\x03abc")),
            Ok(Some(b"abc".to_vec())),
            "one with its length"
        );
        assert_eq!(inbound.take(piece(b"\xc0\0\0\0\x03a")), Ok(None));
        assert_eq!(inbound.take(piece(b"\xc0\0\0\0\x03b")), Ok(None), "the length again");
        assert_eq!(inbound.take(piece(b"\x00c")), Ok(Some(b"abc".to_vec())));
    }

    proptest! {
        /// What we cut is put together again, in packets of the size that every gateway carries.
        #[test]
        fn what_is_cut_is_put_together(message in proptest::collection::vec(any::<u8>(), 0..=5_000), long in any::<bool>()) {
            let message = if long { message.repeat(12) } else { message };
            let (mut out, mut inbound, mut whole) = (Outbound::new(message.clone()), Inbound::default(), None);
            for count in 0.. {
                let data = out.next();
                prop_assert!(data.len() + HEAD - 1 <= MAX_PACKET);
                prop_assert!(count <= message.len() / 1_000, "more packets than are needed");
                whole = inbound.take(piece(&data)).expect("a good piece");
                prop_assert_eq!(whole.is_some(), out.is_over());
                if out.is_over() {
                    break;
                }
            }
            prop_assert_eq!(whole, Some(message));
        }

        /// Whatever comes: never more than the limit is kept, and a message is what its pieces brought.
        #[test]
        fn whatever_comes(pieces in proptest::collection::vec(
            (0u8..=255, prop_oneof![0u32..300, any::<u32>()], proptest::collection::vec(any::<u8>(), 0..3_000)), 1..80,
        )) {
            let (mut inbound, mut brought) = (Inbound::default(), Vec::new());
            for (flags, total, data) in &pieces {
                let length = total.to_be_bytes();
                let length = if flags & LENGTH == 0 { &[][..] } else { &length };
                let packet = [&[*flags][..], length, data].concat();
                brought.extend_from_slice(data);
                match inbound.take(piece(&packet)) {
                    Ok(Some(whole)) => {
                        prop_assert!(whole.len() <= MAX_MESSAGE);
                        prop_assert_eq!(&whole, &brought);
                        prop_assert!(inbound.octets.is_empty() && !inbound.begun);
                        brought.clear();
                    }
                    Ok(None) => prop_assert!(inbound.octets.len() < MAX_MESSAGE),
                    Err(_) => break,
                }
            }
        }
    }
}
