//! What is known at a moment: the agent's last picture, its events, and what the person is doing. Knows neither terminal nor
//! clock: it is told what comes and what time it is.

use super::keys::Key;
use super::text;
use super::traffic::Traffic;
use crate::cli::status::Picture;
use crate::journal::{Entry, Kind};
use crate::time::{Instant, Now, UnixTime};
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;

/// Events that are kept, for whoever looks back.
const EVENTS: usize = 500;
/// Lines of an event that are shown, as one.
const LINES: usize = 3;
/// How long the outcome of a key stays.
const NOTE: Duration = Duration::from_secs(15);

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_L: u8 = 12;
const CTRL_Z: u8 = 26;

/// What a key asks the shell for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    Quit,
    /// As SIGINT.
    Interrupt,
    Suspend,
    /// Everything anew, whatever others have written on the screen.
    Redraw,
    Reconnect,
    Disconnect,
}

/// What is on the screen besides the picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Mode {
    #[default]
    Picture,
    /// The keys.
    Help,
    /// Is the connection to end?
    AskDisconnect,
}

/// One event, as one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Event {
    pub(super) at: UnixTime,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What came of a key, or what else the person should know for a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Note {
    pub(super) text: String,
    pub(super) failed: bool,
    until: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) zone: TimeZone,
    pub(super) now: Now,
    pub(super) mode: Mode,
    pub(super) traffic: Traffic,
    /// The agent's picture; `Null` until it has said something.
    status: Value,
    /// When that came.
    received: Now,
    /// The state, and since when it was seen here; `None` where it was there before.
    state: (String, Option<UnixTime>),
    /// Since when there is no agent, and why.
    lost: Option<(UnixTime, String)>,
    note: Option<Note>,
    events: VecDeque<Event>,
    /// The event log cannot be read now.
    log_hangs: bool,
    /// So many of the newest events are below the screen.
    below: usize,
    /// So many are on it.
    page: usize,
}

impl Model {
    pub(super) fn new(now: Now, zone: TimeZone) -> Self {
        Self {
            zone,
            now,
            mode: Mode::default(),
            traffic: Traffic::default(),
            status: Value::Null,
            received: now,
            state: (String::new(), None),
            lost: None,
            note: None,
            events: VecDeque::new(),
            log_hangs: false,
            below: 0,
            page: 1,
        }
    }

    /// Time goes by.
    pub(super) fn tick(&mut self, now: Now) {
        self.now = now;
        self.note.take_if(|note| now.at >= note.until);
    }

    /// The agent's picture.
    pub(super) fn heard(&mut self, now: Now, status: Value) {
        self.tick(now);
        self.lost = None;
        self.status = status;
        self.received = now;
        let picture = Picture(&self.status);
        let state = picture.state();
        if state != self.state.0 {
            let seen = Some(now.wall).filter(|_| !self.state.0.is_empty());
            self.state = (state, seen);
        }
        let count = |at| picture.0.pointer(at).and_then(Value::as_u64);
        match count("/child/bytes_in").zip(count("/child/bytes_out")) {
            Some((inward, outward)) => {
                let sa = picture.text("/child/spi_in").unwrap_or_default();
                self.traffic.counted(now.at, &sa, [inward, outward]);
            }
            None => self.traffic.nothing(),
        }
    }

    /// The agent has gone; why, for people.
    pub(super) fn lost(&mut self, now: Now, why: String) {
        self.tick(now);
        let since = self.lost.as_ref().map_or(now.wall, |(since, _)| *since);
        self.lost = Some((since, why));
        self.status = Value::Null;
        self.state = (String::new(), None);
        self.traffic.nothing();
    }

    /// There is an agent again, of this version and process.
    pub(super) fn found(&mut self, now: Now, version: &str, pid: u32) {
        self.lost = None;
        self.note(now, format!("an agent runs again (ikeep {version}, process {pid})"), false);
    }

    /// Something to tell the person for a moment.
    pub(super) fn note(&mut self, now: Now, text: String, failed: bool) {
        self.tick(now);
        self.note = Some(Note { text, failed, until: now.at + NOTE });
    }

    /// The event log was read; what is new in it.
    pub(super) fn read(&mut self, entries: &[Entry]) {
        self.log_hangs = false;
        entries.iter().for_each(|entry| self.event(entry));
    }

    /// The event log does not let itself be read: the events that are shown need not be the last ones.
    pub(super) fn log_hangs(&mut self) {
        self.log_hangs = true;
    }

    /// One more line of the event log. Whoever looks back goes on seeing the same.
    pub(super) fn event(&mut self, entry: &Entry) {
        self.add(Event { at: entry.wall(), kind: entry.kind(), text: one_line(entry.description()) });
    }

    fn add(&mut self, event: Event) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
        if self.below > 0 {
            self.below += 1;
            self.scroll(0);
        }
    }

    /// What the key that was pressed asks for.
    pub(super) fn key(&mut self, key: Key) -> Option<Wish> {
        let before = std::mem::take(&mut self.mode);
        match (before, key) {
            (_, Key::Char(CTRL_C)) => return Some(Wish::Interrupt),
            (_, Key::Char(CTRL_Z)) => return Some(Wish::Suspend),
            (_, Key::Char(CTRL_L)) => {
                self.mode = before;
                return Some(Wish::Redraw);
            }
            (Mode::AskDisconnect, Key::Char(b'y' | b'Y')) => return Some(Wish::Disconnect),
            // Any other key means no, and nothing else.
            (Mode::AskDisconnect, _) => {}
            (_, Key::Char(b'q' | b'Q' | CTRL_D)) => return Some(Wish::Quit),
            (Mode::Help, _) => {}
            (Mode::Picture, Key::Char(b'?' | b'h')) => self.mode = Mode::Help,
            (Mode::Picture, Key::Char(b'r')) => return Some(Wish::Reconnect),
            (Mode::Picture, Key::Char(b'd')) => self.mode = Mode::AskDisconnect,
            (Mode::Picture, Key::Up | Key::Char(b'k')) => self.scroll(1),
            (Mode::Picture, Key::Down | Key::Char(b'j')) => self.scroll(-1),
            (Mode::Picture, Key::PageUp) => self.scroll(self.a_page()),
            (Mode::Picture, Key::PageDown | Key::Char(b' ')) => self.scroll(-self.a_page()),
            (Mode::Picture, Key::Home) => self.scroll(isize::MAX),
            (Mode::Picture, Key::End) => self.scroll(isize::MIN),
            (Mode::Picture, Key::Escape | Key::Char(_)) => {}
        }
        None
    }

    /// So many events are on the screen now.
    pub(super) fn shows(&mut self, events: usize) {
        self.page = events;
        self.scroll(0);
    }

    fn a_page(&self) -> isize {
        // One line stays, to go on reading from.
        isize::try_from(self.page).unwrap_or(1).saturating_sub(1).max(1)
    }

    /// To older events, or with a negative number to newer ones.
    fn scroll(&mut self, lines: isize) {
        let most = self.events.len().saturating_sub(self.page.max(1));
        self.below = self.below.saturating_add_signed(lines).min(most);
    }

    /// What the agent says, where it has said something and is there.
    pub(super) fn picture(&self) -> Option<Picture<'_>> {
        Some(Picture(&self.status)).filter(|picture| !picture.0.is_null())
    }

    pub(super) fn is_lost(&self) -> Option<(UnixTime, &str)> {
        self.lost.as_ref().map(|(since, why)| (*since, why.as_str()))
    }

    /// Whether the events may be old ones.
    pub(super) fn is_log_hanging(&self) -> bool {
        self.log_hangs
    }

    pub(super) fn noted(&self) -> Option<&Note> {
        self.note.as_ref()
    }

    /// So many events as fit into these lines, the oldest first, and how many newer ones are below.
    pub(super) fn events(&self, lines: usize) -> (impl Iterator<Item = &Event>, usize) {
        let below = self.below.min(self.events.len().saturating_sub(lines));
        let end = self.events.len().saturating_sub(below);
        (self.events.range(end.saturating_sub(lines)..end), below)
    }

    /// Since when the state is what it is, as far as that is known.
    pub(super) fn since(&self) -> Option<UnixTime> {
        let picture = self.picture()?;
        let told = |at| picture.text(at).and_then(|text| text::read_time(&text));
        let connected = || told("/last_reconnect/at").max(told("/since"));
        let of_state = match picture.0.pointer("/state").and_then(Value::as_str) {
            Some("connected") if picture.is_confirmed() => connected(),
            Some("connected") => None,
            _ => told("/interruption/since"),
        };
        of_state.or(self.state.1)
    }

    /// What the agent waits for, until when in civil time, and how long that still is; zero when it is due.
    pub(super) fn next(&self) -> Option<(String, Option<(UnixTime, Duration)>)> {
        let picture = self.picture()?;
        let what = picture.text("/next/what")?;
        let within = picture.0.pointer("/next/in_ms").and_then(Value::as_u64).map(|within| {
            let within = Duration::from_millis(within);
            let left = (self.received.at + within).since(self.now.at);
            (self.received.wall + within, left)
        });
        Some((what, within))
    }
}

/// What stands above the words of an event: where in the program it arose, and that a person was told.
const ABOVE: [&str; 4] = ["Function:", "File:", "Line:", "Message type information sent to the user:"];

/// The words of an event.
fn one_line(description: &str) -> String {
    let is_above = |line: &&str| ABOVE.iter().any(|begin| line.starts_with(begin));
    let mut lines = description.lines().skip_while(is_above).map(str::trim).filter(|line| !line.is_empty());
    let mut text = lines.by_ref().take(LINES).collect::<Vec<_>>().join(" ");
    let more = lines.count();
    if more > 0 {
        text += &format!(" (and {more} more lines)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Source;
    use serde_json::json;

    fn now(seconds: u64) -> Now {
        Now {
            at: Instant::from_boot(Duration::from_secs(seconds)),
            wall: UnixTime::from_secs(1_767_355_200 + seconds),
        }
    }

    fn model() -> Model {
        Model::new(now(0), TimeZone::UTC)
    }

    fn event(model: &mut Model, number: u64) {
        model.event(&Entry::new(
            now(number).wall,
            Kind::Information,
            Source::Agent,
            &format!("event {number}"),
        ));
    }

    fn shown(model: &Model, lines: usize) -> Vec<String> {
        model.events(lines).0.map(|event| event.text.clone()).collect()
    }

    #[test]
    fn a_deadline_counts_down_and_does_not_go_below_zero() {
        let mut model = model();
        model.heard(now(10), json!({"state": "connecting", "next": {"what": "an answer", "in_ms": 4000}}));
        model.tick(now(11));
        let at = now(14).wall;
        assert_eq!(model.next(), Some(("an answer".into(), Some((at, Duration::from_secs(3))))));
        model.tick(now(60));
        assert_eq!(model.next(), Some(("an answer".into(), Some((at, Duration::ZERO)))));
    }

    #[test]
    fn a_state_is_dated_by_the_agent_else_by_what_was_seen() {
        let mut model = model();
        model.heard(now(1), json!({"state": "connecting"}));
        assert_eq!(model.since(), None, "it was so before");
        model.heard(now(5), json!({"state": "disconnecting"}));
        assert_eq!(model.since(), Some(now(5).wall));
        let times = json!({"at": "2026-01-02T12:00:02Z"});
        let mut status = json!({"state": "connected", "confirmed": true, "since": "2026-01-02T11:00:00Z", "last_reconnect": times});
        model.heard(now(7), status.clone());
        assert_eq!(model.since(), Some(now(2).wall));
        status["confirmed"] = false.into();
        model.heard(now(8), status);
        assert_eq!(model.since(), Some(now(8).wall), "not since it was connected");
        model.heard(
            now(9),
            json!({"state": "reconnecting", "interruption": {"since": "2026-01-02T12:00:06Z"}}),
        );
        assert_eq!(model.since(), Some(now(6).wall));
    }

    #[test]
    fn an_agent_that_has_gone_takes_its_picture_along() {
        let mut model = model();
        model.heard(now(1), json!({"state": "connected", "child": {"bytes_in": 1, "bytes_out": 1}}));
        model.heard(now(2), json!({"state": "connected", "child": {"bytes_in": 9, "bytes_out": 1}}));
        assert_eq!(model.traffic.rates(), Some([8, 0]));
        model.lost(now(3), "it was killed".into());
        model.lost(now(9), "nobody listens".into());
        assert_eq!(model.is_lost(), Some((now(3).wall, "nobody listens")));
        assert!(model.picture().is_none() && model.traffic.rates().is_none() && model.since().is_none());
        model.found(now(10), "0.1.0", 4711);
        assert!(model.noted().is_some_and(|note| note.text.contains("process 4711")));
        model.heard(now(10), json!({"state": "connected"}));
        assert!(model.is_lost().is_none() && model.picture().is_some());
        model.tick(now(60));
        assert_eq!(model.noted(), None);
    }

    #[test]
    fn disconnect_asks_once_and_only_y_means_yes() {
        let mut model = model();
        assert_eq!(model.key(Key::Char(b'r')), Some(Wish::Reconnect));
        for no in [Key::Char(b'n'), Key::Char(b'd'), Key::Char(b'q'), Key::Escape, Key::Up] {
            assert_eq!(model.key(Key::Char(b'd')), None);
            assert_eq!(model.mode, Mode::AskDisconnect);
            assert_eq!((model.key(no), model.mode), (None, Mode::Picture), "{no:?}");
        }
        assert_eq!(model.key(Key::Char(b'y')), None, "nobody has asked");
        model.key(Key::Char(b'd'));
        assert_eq!(model.key(Key::Char(b'y')), Some(Wish::Disconnect));
        model.key(Key::Char(b'd'));
        assert_eq!(model.key(Key::Char(3)), Some(Wish::Interrupt));
    }

    #[test]
    fn help_hides_the_commands_but_not_the_way_out() {
        let mut model = model();
        model.key(Key::Char(b'?'));
        assert_eq!(model.mode, Mode::Help);
        assert_eq!((model.key(Key::Char(b'r')), model.mode), (None, Mode::Picture));
        model.key(Key::Char(b'?'));
        assert_eq!(model.key(Key::Char(b'q')), Some(Wish::Quit));
    }

    #[test]
    fn who_looks_back_keeps_his_place() {
        let mut model = model();
        (0..10).for_each(|number| event(&mut model, number));
        model.shows(3);
        assert_eq!(shown(&model, 3), ["event 7", "event 8", "event 9"]);
        model.key(Key::PageUp);
        assert_eq!(
            (shown(&model, 3), model.events(3).1),
            (vec!["event 5".into(), "event 6".into(), "event 7".into()], 2)
        );
        event(&mut model, 10);
        assert_eq!(shown(&model, 3), ["event 5", "event 6", "event 7"]);
        model.key(Key::Home);
        assert_eq!(shown(&model, 3), ["event 0", "event 1", "event 2"]);
        // A larger screen shows more, not the same with nothing above it.
        model.shows(20);
        assert_eq!(shown(&model, 20).len(), 11);
        model.shows(3);
        model.key(Key::Up);
        model.key(Key::End);
        event(&mut model, 11);
        assert_eq!(shown(&model, 1), ["event 11"]);
    }

    #[test]
    fn what_is_kept_of_the_log_has_an_end() {
        let mut model = model();
        model.shows(3);
        (0..100).for_each(|number| event(&mut model, number));
        model.key(Key::Home);
        (100..2000).for_each(|number| event(&mut model, number));
        assert_eq!(shown(&model, usize::MAX).len(), EVENTS);
        assert_eq!(shown(&model, 1), ["event 1502"], "the oldest that there are");
        model.shows(0);
        assert_eq!(shown(&model, 0), [""; 0]);
    }

    #[test]
    fn an_event_is_one_line_of_words() {
        let text = "Function: Machine::go\nFile: a.rs\nLine: 7\nUsing IKE ID 'x' for reconnect";
        assert_eq!(one_line(text), "Using IKE ID 'x' for reconnect");
        assert_eq!(
            one_line("Message type information sent to the user:\nConnected to X."),
            "Connected to X."
        );
        assert_eq!(one_line("a:\nb\n\nc\nd\ne"), "a: b c (and 2 more lines)");
        assert_eq!(one_line(""), "");
    }
}
