//! What is typed, from the octets that a terminal sends for it.

/// A key that means something here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    /// A character, or a control character as it is.
    Char(u8),
    Escape,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Reads the sequences of xterm and its kin, also where a slow line tears them apart.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    /// Digits of the sequence under way.
    parameter: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Ground,
    /// Behind an escape that more may follow.
    Escape,
    /// Behind one that was told as a key.
    Told,
    /// Behind `ESC [`.
    Sequence,
    /// Behind `ESC O`: one more octet.
    Application,
    /// In what was pasted, with so many octets of [`PASTED`] behind each other.
    Pasted(usize),
}

const ESC: u8 = 0x1b;
const CTRL_C: u8 = 3;
/// The parameter that begins what was pasted, and the sequence that ends it.
const PASTE: u16 = 200;
const PASTED: &[u8] = b"\x1b[201~";

impl Keys {
    /// The keys in what was read at once. An escape at its end may be the key, or the begin of more: it is told as the key, and
    /// what follows is still taken as a part of it. What was pasted is no key; a Ctrl-C that comes alone always is one, also
    /// where the end of a paste was lost.
    pub(super) fn read(&mut self, octets: &[u8]) -> Vec<Key> {
        if octets == [CTRL_C] {
            self.state = State::Ground;
        }
        let mut keys: Vec<Key> = octets.iter().filter_map(|octet| self.octet(*octet)).collect();
        if self.state == State::Escape {
            self.state = State::Told;
            keys.push(Key::Escape);
        }
        keys
    }

    fn octet(&mut self, octet: u8) -> Option<Key> {
        let state = std::mem::take(&mut self.state);
        match (state, octet) {
            (State::Ground | State::Escape | State::Told, ESC) => self.state = State::Escape,
            (State::Escape | State::Told, b'[') => (self.state, self.parameter) = (State::Sequence, 0),
            (State::Escape | State::Told, b'O') => self.state = State::Application,
            (State::Ground | State::Told, octet) => return Some(Key::Char(octet)),
            // Alt with a key: not one of ours.
            (State::Escape, _) => {}
            (State::Sequence, b'0'..=b'9') => {
                self.parameter = self.parameter.saturating_mul(10).saturating_add((octet - b'0').into());
                self.state = State::Sequence;
            }
            // Modifiers do not matter; other parameters neither.
            (State::Sequence, 0x20..=0x3f) => self.state = State::Sequence,
            (State::Pasted(matched), octet) => {
                let goes_on = PASTED.get(matched) == Some(&octet);
                // Only its first octet can begin it anew.
                let matched = if goes_on { matched + 1 } else { usize::from(octet == ESC) };
                if matched < PASTED.len() {
                    self.state = State::Pasted(matched);
                }
            }
            (State::Sequence, b'~') => {
                return match self.parameter {
                    PASTE => {
                        self.state = State::Pasted(0);
                        None
                    }
                    1 | 7 => Some(Key::Home),
                    4 | 8 => Some(Key::End),
                    5 => Some(Key::PageUp),
                    6 => Some(Key::PageDown),
                    _ => None,
                };
            }
            (State::Sequence | State::Application, octet) => return arrow(octet),
        }
        None
    }
}

fn arrow(octet: u8) -> Option<Key> {
    match octet {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'H' => Some(Key::Home),
        b'F' => Some(Key::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_whole_or_in_pieces() {
        let mut keys = Keys::default();
        assert_eq!(keys.read(b"q?\x03"), [Key::Char(b'q'), Key::Char(b'?'), Key::Char(3)]);
        assert_eq!(
            keys.read(b"\x1b[A\x1bOB\x1b[5~\x1b[6~"),
            [Key::Up, Key::Down, Key::PageUp, Key::PageDown]
        );
        assert_eq!(keys.read(b"\x1b[H\x1b[F\x1b[1~\x1b[8~"), [Key::Home, Key::End, Key::Home, Key::End]);
        assert_eq!(keys.read(b"\x1b"), [Key::Escape]);
        // The rest of an arrow that was torn apart is no text.
        assert_eq!(keys.read(b"["), []);
        assert_eq!(keys.read(b"Aq"), [Key::Up, Key::Char(b'q')]);
        assert_eq!(keys.read(b"\x1b"), [Key::Escape]);
        assert_eq!(keys.read(b"q"), [Key::Char(b'q')]);
    }

    #[test]
    fn what_is_pasted_is_no_key() {
        let mut keys = Keys::default();
        let pasted = b"j\x1b[200~dy\x03q\x1b[A\x1b[20\x1b\x1b[201~k";
        assert_eq!(keys.read(pasted), [Key::Char(b'j'), Key::Char(b'k')]);
        // Torn apart anywhere.
        for at in 1..pasted.len() {
            let (begin, end) = pasted.split_at(at);
            let mut told = [keys.read(begin), keys.read(end)].concat();
            // A key it may have been.
            told.retain(|key| *key != Key::Escape);
            assert_eq!(told, [Key::Char(b'j'), Key::Char(b'k')], "{at}");
        }
        // Its end never comes: a person still gets away.
        assert_eq!(keys.read(b"\x1b[200~dy"), []);
        assert_eq!(keys.read(b"q"), []);
        assert_eq!(keys.read(b"\x03"), [Key::Char(3)]);
        assert_eq!(keys.read(b"q"), [Key::Char(b'q')]);
    }

    #[test]
    fn what_is_unknown_is_no_command() {
        let mut keys = Keys::default();
        // F5, Alt-q, Ctrl-Up, the keypad's 1, a mouse, a number without end.
        assert_eq!(keys.read(b"\x1b[15~\x1bq\x1b[1;5A\x1bOq\x1b[<0;1;1M"), [Key::Up]);
        assert_eq!(keys.read(&[b"\x1b[".as_slice(), &[b'9'; 100], b"~"].concat()), []);
        assert_eq!(keys.read("\u{1f600}".as_bytes()).len(), 4);
    }
}
