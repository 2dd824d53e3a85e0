//! Cells as octets for a terminal: the few sequences of ECMA-48 that every terminal of the last forty years knows.

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use std::io::{self, Write};

/// Writes a frame at once.
#[derive(Debug)]
pub(super) struct Vt<W> {
    out: W,
    /// What the frame under way has so far.
    pending: String,
    size: Size,
}

impl<W: Write> Vt<W> {
    pub(super) fn new(out: W, size: Size) -> Self {
        Self { out, pending: String::new(), size }
    }

    /// The terminal has this size now.
    pub(super) fn resized(&mut self, size: Size) {
        self.size = size;
    }

    #[cfg(test)]
    pub(super) fn written(&self) -> &W {
        &self.out
    }

    fn go(&mut self, x: u16, y: u16) {
        self.pending += &format!("\x1b[{};{}H", u32::from(y) + 1, u32::from(x) + 1);
    }
}

impl<W: Write> Backend for Vt<W> {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut style = Cell::EMPTY.style();
        let mut here = None;
        self.pending += "\x1b[m";
        for (x, y, cell) in content {
            if here != Some((x, y)) {
                self.go(x, y);
            }
            if cell.style() != style {
                style = cell.style();
                self.pending += &rendition(cell);
            }
            let symbol = cell.symbol();
            // Texts are clean before they come here; what could do harm must not depend on that.
            let harmless = !symbol.chars().any(char::is_control);
            self.pending += if harmless { symbol } else { "?" };
            // Terminals differ in how wide they think the rest is: after it the place is told anew.
            let sure = symbol.len() == 1 || symbol.chars().all(|c| matches!(c, '\u{2500}'..='\u{259f}'));
            here = Some((x.saturating_add(1), y)).filter(|_| sure);
        }
        self.pending += "\x1b[m";
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.pending += "\x1b[?25l";
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.pending += "\x1b[?25h";
        Ok(())
    }

    /// Nobody sees it: it is wherever the last frame left it.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        self.go(x, y);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.pending += "\x1b[m\x1b[2J";
        Ok(())
    }

    /// Only the whole screen is ever cleared; less may be more.
    fn clear_region(&mut self, _: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(self.pending.as_bytes())?;
        self.pending.clear();
        self.out.flush()
    }
}

/// Select graphic rendition: all of it, beginning with none.
fn rendition(cell: &Cell) -> String {
    let mut codes = "\x1b[0".to_owned();
    for (modifier, code) in [(Modifier::BOLD, ";1"), (Modifier::DIM, ";2"), (Modifier::REVERSED, ";7")] {
        if cell.modifier.contains(modifier) {
            codes += code;
        }
    }
    codes += match cell.fg {
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Cyan => ";36",
        // The others are not used.
        _ => "",
    };
    codes + "m"
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::buffer::Buffer;
    use ratatui_core::layout::Rect;
    use ratatui_core::style::Style;

    fn written<'a>(cells: impl IntoIterator<Item = (u16, u16, &'a Cell)>) -> String {
        let mut vt = Vt::new(Vec::new(), Size::new(10, 2));
        vt.draw(cells.into_iter()).unwrap();
        vt.flush().unwrap();
        String::from_utf8(vt.out).unwrap()
    }

    #[test]
    fn neighbours_need_no_place_of_their_own_unless_their_width_is_in_doubt() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 2));
        buffer.set_string(0, 0, "ab─日c", Style::new());
        buffer.set_string(3, 1, "x", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD));
        let expected = "\x1b[m\x1b[1;1Hab─日\x1b[1;6Hc\x1b[2;4H\x1b[0;1;31mx\x1b[m";
        assert_eq!(written(Buffer::empty(*buffer.area()).diff(&buffer)), expected);
    }

    #[test]
    fn a_cell_with_a_control_character_is_a_question_mark() {
        let cells = ["\u{1b}c", "\u{9b}2J", "\u{7}"].map(|symbol| {
            let mut cell = Cell::EMPTY;
            cell.set_symbol(symbol);
            cell
        });
        let written = written((0..).zip(&cells).map(|(x, cell)| (x, 0, cell)));
        assert_eq!(written.replace("\x1b[m", "").replace("\x1b[1;", "("), "(1H?(2H?(3H?");
    }
}
