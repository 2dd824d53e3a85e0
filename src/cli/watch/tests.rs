//! Pictures of every state at many sizes, kept under `screens/`; the pictures of docs/ are made of the same.
//!
//! `IKEEP_DOCS=write cargo test --lib watch::` writes them anew.

use super::draw::draw;
use super::keys::Key;
use super::look::Look;
use super::model::Model;
use super::svg::svg;
use super::vt::Vt;
use crate::journal::{Entry, Kind, Reason, Source};
use crate::time::{Instant, Now, UnixTime};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use ratatui_core::backend::{Backend as _, TestBackend};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::Color;
use ratatui_core::terminal::Terminal;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const COLOUR: Look = Look { colour: true, unicode: true };
const PLAIN: Look = Look { colour: false, unicode: true };
const ASCII: Look = Look { colour: false, unicode: false };

/// 2026-01-02, so many seconds after noon.
fn now(seconds: u64) -> Now {
    Now {
        at: Instant::from_boot(Duration::from_secs(100_000 + seconds)),
        wall: UnixTime::from_secs(1_767_355_200 + seconds),
    }
}

fn connected() -> Value {
    json!({
        "state": "connected", "confirmed": true, "host": "Acme Berlin", "gateway": "192.0.2.1:4500", "user": "jane",
        "since": "2026-01-02T09:11:20Z", "auth": "psk", "session_id": "4f1b", "session_expires": "2026-01-02T21:11:20Z",
        "interruption": null, "reconnects": 3,
        "last_reconnect": {"cause": "network-change", "code": 100, "outage_ms": 27.4, "round_trips": 2, "at": "2026-01-02T11:52:04Z"},
        "child": {"spi_in": "c0ffee01", "bytes_in": 0, "bytes_out": 0},
        "address4": "192.168.20.5", "address6": null, "tunnel": "tun", "device": "ikeep0",
        "next": {"what": "answer to the liveness check", "in_ms": 36_900}, "error": null, "portal": null,
    })
}

/// The picture while the connection is away.
fn away(state: &str, cause: &str, attempts: u32) -> Value {
    let mut status = connected();
    status["state"] = state.into();
    status["confirmed"] = false.into();
    status["interruption"] =
        json!({"cause": cause, "code": 100, "since": "2026-01-02T11:59:40Z", "attempts": attempts});
    status["next"] = json!({"what": "next reconnect attempt", "in_ms": 2_300});
    status
}

/// As the agent without a connection.
fn idle(state: &str, message: Option<&str>) -> Value {
    let error = message.map(|message| json!({"code": null, "message": message}));
    json!({"state": state, "confirmed": false, "host": "Acme Berlin", "reconnects": 0, "error": error})
}

/// Two minutes of somebody who works: at noon they are over.
fn model(status: Value) -> Model {
    let mut model = Model::new(now(0), TimeZone::UTC);
    let began = 120;
    let mut counts = [0, 0];
    let mut busy = connected();
    for second in 0..began {
        let wave = (second * second * 7919) % 97;
        counts = [counts[0] + wave * 13_000 + 800, counts[1] + wave % 13 * 2_100 + 300];
        busy["child"]["bytes_in"] = counts[0].into();
        busy["child"]["bytes_out"] = counts[1].into();
        let at = now(second);
        model.heard(Now { at: at.at - Duration::from_secs(began), wall: at.wall }, busy.clone());
    }
    let mut status = status;
    if status["state"] == "connected" {
        status["child"]["bytes_in"] = (counts[0] + 640_000).into();
        status["child"]["bytes_out"] = (counts[1] + 21_000).into();
    }
    model.heard(now(0), status);
    for number in 0..40 {
        let at = UnixTime::from_secs(now(0).wall.as_secs() - 40 * (40 - number));
        let say = |kind, text: &str| Entry::new(at, kind, Source::Agent, text);
        let entry = match number % 5 {
            0 => Entry::reason(at, Reason::NetworkChanged),
            1 => Entry::reconnecting_to(at, "Acme Berlin"),
            2 if number == 37 => {
                say(Kind::Error, "A connection attempt failed: no answer from 192.0.2.1:4500")
            }
            2 => Entry::established(at),
            3 => say(
                Kind::Information,
                "The connection is back after 0.027 s (noticed after 0.003 s): a new SA in 2 round trips, 0.021 s.",
            ),
            _ => Entry::connected_to(at, "Acme Berlin"),
        };
        model.event(&entry);
    }
    model
}

fn drawn(model: &mut Model, look: Look, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut shown = 0;
    terminal.draw(|frame| shown = draw(model, look, frame.buffer_mut())).unwrap();
    model.shows(shown);
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area();
    let line = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..area.height).map(|y| line(y).trim_end().to_owned()).collect()
}

/// What is kept in this file of the source, or writes it.
#[track_caller]
fn is_kept(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var("IKEEP_DOCS").is_ok_and(|value| value == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{file} is not what the code draws now (IKEEP_DOCS=write writes it):\n{text}");
}

#[track_caller]
fn screen(name: &str, model: &mut Model, look: Look, size: (u16, u16)) {
    let text = lines(&drawn(model, look, size)).join("\n") + "\n";
    is_kept(&format!("src/cli/watch/screens/{name}.txt"), &text);
}

/// Every state of DESIGN section 4, and what else can be on the screen.
fn states() -> Vec<(&'static str, Model)> {
    let mut portal = away("captive-portal", "network-change", 2);
    portal["portal"] = json!({"message": "this network wants a log-in in a web browser first (captive portal): \
        http://login.hotel.example/welcome?from=192.0.2.77"});
    let mut waiting = away("waiting-for-network", "network-change", 0);
    waiting["next"] = json!({"what": "end of the reconnect window", "in_ms": 815_000});
    let mut auth = away("auth-required", "outage", 0);
    auth["interruption"] = Value::Null;
    auth["next"] = json!({"what": "end of the reconnect window", "in_ms": 600_000});
    auth["child"] = Value::Null;
    auth["error"] = json!({"code": 22, "message": "the gateway refused the session token: log in again with `ikeep connect`"});
    let mut unconfirmed = connected();
    unconfirmed["confirmed"] = false.into();
    let mut suspended = away("suspended", "sleep", 0);
    suspended["next"] = Value::Null;
    suspended["interruption"]["code"] = Value::Null;
    let mut help = model(connected());
    help.key(Key::Char(b'?'));
    let mut asks = model(connected());
    asks.key(Key::Char(b'd'));
    let mut lost = model(connected());
    lost.lost(now(3), "no agent of yours runs (/run/user/1000/ikeep/agent.sock is not listened to): `ikeep connect` starts one".into());
    let mut noted = model(connected());
    noted.note(now(1), "Connected by token to Acme Berlin: 192.168.20.5; device ikeep0".into(), false);
    let mut hangs = model(connected());
    hangs.log_hangs();
    vec![
        ("log-hangs", hangs),
        ("disconnected", model(idle("disconnected", Some("the reconnect window is over: `ikeep connect`")))),
        ("connecting", model(idle("connecting", None))),
        ("connected", model(connected())),
        ("unconfirmed", model(unconfirmed)),
        ("reconnecting", model(away("reconnecting", "outage", 3))),
        ("waiting-for-network", model(waiting)),
        ("suspended", model(suspended)),
        ("captive-portal", model(portal)),
        ("auth-required", model(auth)),
        ("disconnecting", model(idle("disconnecting", None))),
        ("no-agent", lost),
        ("reconnected", noted),
        ("help", help),
        ("disconnect", asks),
        ("first-moment", Model::new(now(0), TimeZone::UTC)),
    ]
}

#[test]
fn every_state_has_its_picture() {
    for (name, mut model) in states() {
        screen(name, &mut model, COLOUR, (80, 24));
    }
}

#[test]
fn the_picture_shrinks_and_grows_with_the_screen() {
    for size in [(40, 12), (10, 3), (200, 60)] {
        screen(&format!("connected-{}x{}", size.0, size.1), &mut model(connected()), COLOUR, size);
    }
    screen("captive-portal-40x12", &mut states().remove(8).1, COLOUR, (40, 12));
}

#[test]
fn without_utf8_everything_is_ascii() {
    let mut status = connected();
    status["host"] = "Zürich 日本".into();
    let mut model = model(status);
    model.key(Key::Up);
    screen("ascii", &mut model, ASCII, (80, 24));
    let buffer = drawn(&mut model, ASCII, (80, 24));
    assert!(lines(&buffer).iter().all(|line| line.is_ascii()));
}

#[test]
fn without_colours_there_are_none_and_the_state_still_stands_out() {
    for (name, mut model) in states() {
        let buffer = drawn(&mut model, PLAIN, (80, 24));
        assert!(
            buffer.content().iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)),
            "{name}"
        );
        assert_eq!(lines(&buffer), lines(&drawn(&mut model, COLOUR, (80, 24))), "{name}");
    }
    let buffer = drawn(&mut model(connected()), PLAIN, (80, 24));
    assert!(buffer[(2, 1)].modifier.contains(ratatui_core::style::Modifier::REVERSED));
}

#[test]
fn the_pages_show_what_the_code_draws() {
    let words = "A terminal with ikeep watch: connected to Acme Berlin, what it waits for, addresses, reconnects, rates and events";
    for (file, look) in [("docs/watch.svg", COLOUR), ("docs/watch-plain.svg", PLAIN)] {
        is_kept(file, &svg(&drawn(&mut model(connected()), look, (80, 24)), "ikeep watch", words));
    }
}

/// The octets that a terminal gets for a picture.
fn octets(model: &mut Model, look: Look, size: (u16, u16)) -> String {
    let buffer = drawn(model, look, size);
    let mut vt = Vt::new(Vec::new(), buffer.area().as_size());
    vt.draw(Buffer::empty(*buffer.area()).diff(&buffer).into_iter()).unwrap();
    vt.flush().unwrap();
    String::from_utf8(vt.written().clone()).unwrap()
}

/// Nothing but our own sequences: places, renditions.
fn is_harmless(octets: &str) -> bool {
    octets.split('\x1b').enumerate().all(|(at, piece)| {
        let text = if at == 0 {
            Some(piece)
        } else {
            piece.strip_prefix('[').and_then(|piece| {
                let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
                rest.strip_prefix(['H', 'm'])
            })
        };
        text.is_some_and(|text| !text.chars().any(char::is_control))
    })
}

#[test]
fn hostile_texts_reach_the_terminal_as_text() {
    let evil = "a\u{1b}]0;owned\u{7}\u{9b}2J\u{1b}[31m\r\u{8}\u{202e}gpj\u{200d}\u{301}\u{301}\u{301}\u{301}";
    let mut status = connected();
    for key in ["host", "gateway", "user", "auth", "address4", "device", "session_expires"] {
        status[key] = evil.into();
    }
    status["next"]["what"] = evil.into();
    status["error"] = json!({"code": 1, "message": evil});
    status["portal"] = json!({"message": evil});
    let mut model = model(status);
    model.event(&Entry::new(now(0).wall, Kind::Error, Source::Agent, evil));
    model.note(now(0), evil.into(), true);
    for look in [COLOUR, PLAIN, ASCII] {
        let octets = octets(&mut model, look, (100, 40));
        assert!(octets.contains("owned") && is_harmless(&octets), "{octets:?}");
        for harm in ['\u{7}', '\u{8}', '\r', '\u{9b}', '\u{202e}', '\u{200d}'] {
            assert!(!octets.contains(harm), "{harm:?} in {octets:?}");
        }
        assert!(!octets.contains("\u{301}\u{301}\u{301}"));
    }
    assert!(
        !is_harmless("\x1b]0;x") && !is_harmless("a\u{7}") && !is_harmless("\x1b[2J"),
        "else this proves nothing"
    );
}

#[test]
fn wide_characters_stay_within_the_screen() {
    let mut status = connected();
    status["host"] = "日本語".repeat(40).into();
    for width in 1..90 {
        let buffer = drawn(&mut model(status.clone()), COLOUR, (width, 24));
        for line in 0..24 {
            // It would need a cell more than there is.
            let last = buffer[(width - 1, line)].symbol();
            assert!(!["日", "本", "語"].contains(&last), "{width} columns, line {line}");
        }
    }
}

/// Documents like the agent's, with anything in them.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,200}".prop_map(Value::from),
        Just("2026-01-02T11:59:40Z".into()),
        Just("-009999-01-01T00:00:00Z".into()),
    ];
    let leaf = leaf.boxed();
    let of = move |keys: &'static [&'static str]| {
        proptest::collection::vec(leaf.clone(), keys.len()).prop_map(move |values| {
            Value::from(serde_json::Map::from_iter(keys.iter().map(|key| (*key).to_owned()).zip(values)))
        })
    };
    (
        of(&[
            "state",
            "confirmed",
            "host",
            "gateway",
            "user",
            "since",
            "auth",
            "session_expires",
            "reconnects",
            "address4",
            "tunnel",
        ]),
        of(&["cause", "code", "since", "attempts"]),
        of(&["cause", "outage_ms", "round_trips", "at"]),
        of(&["spi_in", "bytes_in", "bytes_out"]),
        of(&["what", "in_ms"]),
        of(&["code", "message"]),
    )
        .prop_map(|(mut status, interruption, last, child, next, error)| {
            status["interruption"] = interruption;
            status["last_reconnect"] = last;
            status["child"] = child;
            status["next"] = next;
            status["portal"] = error.clone();
            status["error"] = error;
            status
        })
}

fn anybody() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<u8>().prop_map(Key::Char),
        Just(Key::Escape),
        Just(Key::Up),
        Just(Key::Down),
        Just(Key::PageUp),
        Just(Key::PageDown),
        Just(Key::Home),
        Just(Key::End),
    ]
}

/// What can happen to a picture.
#[derive(Clone, Debug)]
enum Step {
    Status(Value),
    Event(String),
    Key(Key),
    Lost(String),
    Note(String),
    Time(u64),
    Size(u16, u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        anything().prop_map(Step::Status),
        ".{0,300}".prop_map(Step::Event),
        anybody().prop_map(Step::Key),
        ".{0,300}".prop_map(Step::Lost),
        ".{0,300}".prop_map(Step::Note),
        any::<u64>().prop_map(Step::Time),
        (0..120_u16, 0..50_u16).prop_map(|(width, height)| Step::Size(width, height)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics_at_any_size_and_nothing_raw_is_written(
        steps in proptest::collection::vec(step(), 1..30), colour: bool, unicode: bool
    ) {
        let look = Look { colour, unicode };
        let mut model = Model::new(now(0), TimeZone::UTC);
        let mut size = (80, 24);
        let mut time = now(0);
        for step in steps {
            match step {
                Step::Status(status) => model.heard(time, status),
                Step::Event(text) => model.event(&Entry::new(time.wall, Kind::Warning, Source::Ui, &text)),
                Step::Key(key) => drop(model.key(key)),
                Step::Lost(why) => model.lost(time, why),
                Step::Note(text) => model.note(time, text, false),
                // Civil time jumps anywhere, the other one goes on.
                Step::Time(at) => time = Now { at: time.at + Duration::from_millis(at % 20_000), wall: UnixTime::from_millis(at) },
                Step::Size(width, height) => size = (width, height),
            }
            model.tick(time);
            let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
            let shown = draw(&model, look, &mut buffer);
            model.shows(shown);
            let octets = octets(&mut model, look, size);
            prop_assert!(is_harmless(&octets), "{octets:?}");
            prop_assert!(unicode || octets.is_ascii());
        }
    }
}
