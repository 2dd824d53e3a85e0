//! How names and addresses are written where some characters mean something else: in XML, and in URLs.

use super::form::LONGEST_IPV6;
use std::borrow::Cow;

/// The beginning of a text with its `%3A` undone, and how long each of its octets was before.
pub(super) struct Colons {
    /// With colons.
    pub(super) plain: Vec<u8>,
    lengths: Vec<usize>,
}

impl Colons {
    /// `None` where there is nothing to undo, as nearly everywhere.
    pub(super) fn of(octets: &[u8]) -> Option<Self> {
        let is_colon = |octets: &[u8]| matches!(octets, [b'%', b'3', b'A' | b'a', ..]);
        let fits = |octet: &u8| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'.' | b'-' | b'%');
        let run = octets.iter().take(3 * LONGEST_IPV6).take_while(|octet| fits(octet)).count();
        let run = octets.get(..run).filter(|run| run.contains(&b'%'))?;
        if !run.windows(3).any(is_colon) {
            return None;
        }
        let (mut plain, mut lengths, mut rest) = (Vec::new(), Vec::new(), octets);
        while plain.len() <= LONGEST_IPV6
            && let Some((first, after)) = rest.split_first()
        {
            let colon = is_colon(rest);
            plain.push(if colon { b':' } else { *first });
            lengths.push(if colon { 3 } else { 1 });
            rest = if colon { rest.get(3..).unwrap_or_default() } else { after };
        }
        Some(Self { plain, lengths })
    }

    /// How many octets the first `length` ones were.
    pub(super) fn raw(&self, length: usize) -> usize {
        self.lengths.iter().take(length).sum()
    }
}

/// What stands before this place: the character that `%XX` stands for, where it is one; a space at the beginning.
pub(super) fn before(octets: &[u8], at: usize) -> u8 {
    match octets.get(..at) {
        Some([.., b'%', high, low]) => hex(*high).zip(hex(*low)).map_or(*low, |(high, low)| high << 4 | low),
        Some([.., last]) => *last,
        _ => b' ',
    }
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The forms in which a text may stand in XML, beside its own: quotes are written as they are, or in one of two ways.
pub(super) fn written_otherwise(text: &str) -> Vec<String> {
    let marks = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let quotes = |single| marks.replace('"', "&quot;").replace('\'', single);
    let forms = [quotes("&#39;"), quotes("&apos;"), marks.clone()];
    forms.into_iter().filter(|form| form != text).collect()
}

/// With XML's own entities and numbers undone; what is none stays.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('&') {
        out += plain;
        let entity = after.split_once(';').and_then(|(name, after)| Some((entity(name)?, after)));
        (out, rest) = match entity {
            Some((c, after)) => (out + c.encode_utf8(&mut [0; 4]), after),
            None => (out + "&", after),
        };
    }
    (out + rest).into()
}

/// The character of a name between `&` and `;`.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16).ok());
            char::from_u32(hex.unwrap_or_else(|| number.parse().ok())?)
        }
    }
}
