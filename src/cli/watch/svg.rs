//! A screen as an SVG, for the pages of docs/.

use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::style::{Color, Modifier};
use std::fmt::Write as _;

/// A character, in pixels.
const WIDTH: u32 = 8;
const HEIGHT: u32 = 18;
/// Around the screen, and of the bar above it.
const EDGE: u32 = 14;
const BAR: u32 = 26;

const GROUND: &str = "#16181d";
const INK: &str = "#d7dae0";

/// The picture of a terminal window with this on it; `words` are for those who cannot see it.
pub(super) fn svg(buffer: &Buffer, title: &str, words: &str) -> String {
    let area = buffer.area();
    let (wide, high) =
        (u32::from(area.width) * WIDTH + 2 * EDGE, u32::from(area.height) * HEIGHT + BAR + EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" width=\"{wide}\" height=\"{high}\" role=\"img\" \
         aria-labelledby=\"t d\">\n<title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n\
         <rect width=\"{wide}\" height=\"{high}\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g fill=\"#4a4f5a\"><circle cx=\"18\" cy=\"14\" r=\"5\"/><circle cx=\"34\" cy=\"14\" r=\"5\"/><circle cx=\"50\" cy=\"14\" r=\"5\"/></g>\n\
         <g font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"13\" fill=\"{INK}\">\n",
        escaped(title),
        escaped(words)
    );
    for y in area.top()..area.bottom() {
        let mut x = area.left();
        while x < area.right() {
            let style = buffer[(x, y)].style();
            let end = (x..area.right()).find(|at| buffer[(*at, y)].style() != style).unwrap_or(area.right());
            let text: String = (x..end).map(|at| buffer[(at, y)].symbol()).collect();
            run(&mut svg, &buffer[(x, y)], u32::from(x), u32::from(y), u32::from(end - x), &text);
            x = end;
        }
    }
    svg + "</g>\n</svg>\n"
}

/// A piece of a line in one style.
fn run(svg: &mut String, cell: &Cell, x: u32, y: u32, columns: u32, text: &str) {
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    if text.trim().is_empty() && !reversed {
        return;
    }
    let colour = match cell.fg {
        Color::Red => "#ff7b72",
        Color::Green => "#7ee787",
        Color::Yellow => "#e3b341",
        Color::Cyan => "#79c0d0",
        _ => INK,
    };
    let (left, top) = (EDGE + x * WIDTH, BAR + y * HEIGHT);
    if reversed {
        let wide = columns * WIDTH;
        writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{HEIGHT}\" fill=\"{colour}\"/>"
        )
        .unwrap();
    }
    let mut attributes = String::new();
    match (reversed, colour) {
        (true, _) => attributes += &format!(" fill=\"{GROUND}\""),
        (false, INK) => {}
        (false, colour) => attributes += &format!(" fill=\"{colour}\""),
    }
    if cell.modifier.contains(Modifier::BOLD) {
        attributes += " font-weight=\"bold\"";
    }
    // The text is stretched to its columns, whatever the font.
    let (start, shown) = (text.chars().take_while(|c| *c == ' ').count(), text.trim());
    let left = left + u32::try_from(start).unwrap() * WIDTH;
    let wide = u32::try_from(shown.chars().count()).unwrap() * WIDTH;
    let base = top + 13;
    // Spaces that no viewer may take together.
    let shown = escaped(shown).replace(' ', "\u{a0}");
    writeln!(svg, "<text x=\"{left}\" y=\"{base}\" textLength=\"{wide}\" lengthAdjust=\"spacingAndGlyphs\"{attributes}>{shown}</text>")
        .unwrap();
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
