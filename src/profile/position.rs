//! Where something stands in a text file, as editors count it.

use serde::Serialize;
use std::fmt;

/// A place in a file: line and column, both counted from 1, the column in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Turns octet offsets into positions: one pass over the text, then a binary search for each question.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Indexes `text`. A line ends with a line feed.
    pub fn new(text: &'t str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at + 1));
        Self { text, starts }
    }

    /// The position of the octet at `offset`; an offset past the end is the place after the last character, one inside a
    /// character is that character.
    pub fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..).unwrap_or("").char_indices();
        let column = before.take_while(|(at, c)| start + at + c.len_utf8() <= offset).count();
        Position { line: saturate(line), column: saturate(column + 1) }
    }
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(line: u32, column: u32) -> Position {
        Position { line, column }
    }

    #[test]
    fn counts_lines_and_characters_from_one() {
        let lines = Lines::new("ab\nçd\n");
        assert_eq!(lines.position(0), at(1, 1));
        assert_eq!(lines.position(2), at(1, 3));
        assert_eq!(lines.position(3), at(2, 1));
        assert_eq!(lines.position(5), at(2, 2), "a two-octet character is one column");
        assert_eq!(lines.position(7), at(3, 1));
        assert_eq!(lines.position(99), at(3, 1));
        assert_eq!(Lines::new("").position(0), at(1, 1));
    }

    proptest! {
        #[test]
        fn positions_rise_with_the_offset(text in "[a\nç]{0,40}") {
            let lines = Lines::new(&text);
            let mut last = at(1, 1);
            for offset in 0..text.len() + 2 {
                let next = lines.position(offset);
                prop_assert!(next >= last);
                last = next;
            }
            prop_assert_eq!(last.line as usize, text.matches('\n').count() + 1);
        }
    }
}
