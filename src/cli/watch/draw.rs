//! The picture on a screen of any size. What has no room is left out, the least important first; nothing is drawn that was
//! not made harmless here.

use super::facts::{Fact, facts, state};
use super::look::{Look, Tone};
use super::model::{Mode, Model};
use super::text::{self, clean, cut, moment, octets};
use crate::journal::Kind;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Style;
use unicode_width::UnicodeWidthStr as _;

/// Columns of the labels, the space behind them included.
const LABEL: u16 = 12;
/// A narrower screen has no labels.
const NARROW: u16 = 36;
/// From this height on there are lines between the parts ..
const RULES: u16 = 14;
/// .. and from this one the keys stand at the bottom.
const FOOT: u16 = 6;
/// Columns of a rate, and of the highest one.
const RATE: usize = 12;

/// Above events that may be old ones.
const HANGS: &str = "the event log does not answer: a disk that hangs?";
const KEYS: &str = "q quit  r reconnect  d disconnect  ? help  arrows: events";
const HELP: [(&str, &str); 8] = [
    ("q", "end this picture; the connection goes on"),
    ("r", "a new SA by token now, beside the one that serves"),
    ("d", "end the connection; asks once"),
    ("Up, Down", "older and newer events, a line"),
    ("PgUp, PgDn", "the same, a screen"),
    ("Home, End", "the oldest and the newest event"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "suspend; fg brings it back"),
];

/// Draws the model; how many events are on the screen.
pub(super) fn draw(model: &Model, look: Look, buffer: &mut Buffer) -> usize {
    let area = *buffer.area();
    let mut sheet = Sheet { buffer, look, area, row: area.top() };
    if area.is_empty() {
        return 0;
    }
    if model.mode == Mode::Help {
        sheet.help();
        return 0;
    }
    let rules = area.height >= RULES;
    let foot = area.height >= FOOT;
    let narrow = area.width < NARROW;
    let columns = usize::from(if narrow { area.width } else { area.width - LABEL });
    let mut facts = facts(model, columns, look.unicode);
    let rates = rates(model, columns, narrow, look);
    let told = facts.len();
    facts.extend(rates);
    let traffic = facts.len() - told;

    let lines = usize::from(rules) * (2 + usize::from(traffic > 0)) + usize::from(foot) + 1;
    let room = usize::from(area.height).saturating_sub(lines);
    let for_events = match area.height {
        0..8 => 0,
        8..RULES => 2,
        _ => room / 3,
    };
    let kept = choose(&facts, room - for_events);
    let (words, rates) = kept.split_at(kept.iter().take_while(|at| **at < told).count());

    if rules {
        sheet.rule("ikeep", &moment(model.now.wall, model.now.wall, &model.zone));
    }
    sheet.state(model);
    for (part, title) in [(words, None), (rates, Some("Traffic"))] {
        if let Some(title) = title.filter(|_| rules && !part.is_empty()) {
            sheet.rule(title, "");
        }
        part.iter().filter_map(|at| facts.get(*at)).for_each(|fact| sheet.fact(fact, narrow));
    }
    let shown = sheet.events(model, rules, u16::from(foot));
    sheet.foot(model, foot);
    shown
}

/// The places of the facts that have room, in their order.
fn choose(facts: &[Fact], room: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..facts.len()).collect();
    order.sort_by_key(|at| facts.get(*at).map(|fact| fact.rank));
    order.truncate(room);
    order.sort_unstable();
    order
}

/// The rates as two lines, each with what it was in the last minutes.
fn rates(model: &Model, columns: usize, narrow: bool, look: Look) -> Vec<Fact> {
    let Some(rates) = model.traffic.rates() else { return Vec::new() };
    let room = columns.saturating_sub(2 * RATE + 4);
    let line = |(direction, label): (usize, &'static str)| {
        let rate = format!("{}/s", octets(rates.get(direction).copied().unwrap_or(0)));
        let history = model.traffic.history(direction, room);
        let highest = history.iter().copied().max().unwrap_or(0);
        let value = match (narrow, room) {
            (true, _) => format!("{rate} {}", label.to_lowercase()),
            (false, 0..2) => rate,
            (false, _) => format!("{rate:<RATE$}{} max {}/s", look.bars(&history), octets(highest)),
        };
        Fact { label, value, tone: Tone::Plain, rank: 3 }
    };
    [(0, "In"), (1, "Out")].map(line).to_vec()
}

/// The screen, filled from above.
struct Sheet<'b> {
    buffer: &'b mut Buffer,
    look: Look,
    area: Rect,
    /// The next line that is free.
    row: u16,
}

impl Sheet<'_> {
    /// Writes at a column, as far as the line reaches; the column behind it.
    fn put(&mut self, column: u16, text: &str, style: Style) -> u16 {
        let room = self.area.right().saturating_sub(column);
        if self.row >= self.area.bottom() || room == 0 {
            return self.area.right();
        }
        let text = cut(&clean(text, self.look.unicode), room.into(), self.look.unicode);
        self.buffer.set_stringn(column, self.row, text, room.into(), style).0
    }

    /// Writes a line of its own.
    fn line(&mut self, text: &str, tone: Tone) {
        self.put(self.area.left(), text, self.look.style(tone));
        self.row += 1;
    }

    /// A line across the screen, with a title at its left and something at its right.
    fn rule(&mut self, title: &str, right: &str) {
        let (dash, end) = if self.look.unicode { ("─", "──") } else { ("-", "--") };
        let right = if right.is_empty() { String::new() } else { format!(" {right} {end}") };
        let left = format!("{end} {title} ");
        let between = usize::from(self.area.width).saturating_sub(left.width() + right.width());
        self.line(&format!("{left}{}{right}", dash.repeat(between)), Tone::Quiet);
    }

    fn state(&mut self, model: &Model) {
        let (state, tone, rest) = state(model);
        let next = self.put(self.area.left(), &format!(" {} ", state.to_uppercase()), self.look.block(tone));
        self.put(next.saturating_add(1), &rest, Style::new());
        self.row += 1;
    }

    fn fact(&mut self, fact: &Fact, narrow: bool) {
        if narrow {
            return self.line(&fact.value, fact.tone);
        }
        self.put(self.area.left(), fact.label, self.look.style(Tone::Quiet));
        self.put(self.area.left() + LABEL, &fact.value, self.look.style(fact.tone));
        self.row += 1;
    }

    /// The events, down to so many lines above the end; how many there are.
    fn events(&mut self, model: &Model, rule: bool, below: u16) -> usize {
        let end = self.area.bottom().saturating_sub(below);
        let room = |row: u16| usize::from(end.saturating_sub(row));
        let hangs = model.is_log_hanging();
        // Without a rule the warning takes a line of its own, where there is more than that.
        let alone = hangs && !rule && room(self.row) > 1;
        let lines = room(self.row + u16::from(rule || alone));
        let (events, newer) = model.events(lines);
        if rule && room(self.row) > 0 {
            let right = match (hangs, newer) {
                (true, _) => HANGS.to_owned(),
                (false, 0) => String::new(),
                (false, newer) => format!("{newer} newer below"),
            };
            self.rule("Events", &right);
        } else if alone {
            self.line(HANGS, Tone::Warning);
        }
        for event in events {
            let at = moment(event.at, model.now.wall, &model.zone);
            let (mark, tone) = match event.kind {
                Kind::Information => (' ', Tone::Plain),
                Kind::Warning => ('!', Tone::Warning),
                Kind::Error => ('X', Tone::Bad),
            };
            let next = self.put(self.area.left(), &format!("{at} "), self.look.style(Tone::Quiet));
            self.put(next, &format!("{mark} {}", event.text), self.look.style(tone));
            self.row += 1;
        }
        lines
    }

    /// The keys at the bottom, or a question.
    fn foot(&mut self, model: &Model, keys: bool) {
        self.row = self.area.bottom().saturating_sub(1);
        if model.mode == Mode::AskDisconnect {
            let question = "Disconnect? y: yes, any other key: no";
            // Whatever stood there.
            let blank = " ".repeat(self.area.width.into());
            self.put(self.area.left(), &blank, Style::reset());
            self.put(self.area.left(), question, self.look.block(Tone::Warning));
        } else if keys {
            self.put(self.area.left(), KEYS, self.look.style(Tone::Quiet));
        }
    }

    fn help(&mut self) {
        let title = format!("ikeep {}", env!("CARGO_PKG_VERSION"));
        self.rule(&title, "");
        for (key, what) in HELP {
            self.put(self.area.left(), key, self.look.style(Tone::Quiet));
            self.put(self.area.left() + LABEL, what, Style::new());
            self.row += 1;
        }
        let more =
            "Error and Portal say what is to be done. Times are those of this machine. Any key goes back.";
        for line in text::wrap(more, self.area.width.into()) {
            self.line(&line, Tone::Plain);
        }
    }
}
