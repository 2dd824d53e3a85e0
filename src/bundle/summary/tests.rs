use super::super::gather::Item;
use super::history::{History, Phase};
use super::*;
use crate::journal::{Kind, Reason, Renderer, Source};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::json;

const START: u64 = 1_741_835_324;

fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(START + seconds)
}

fn told(seconds: u64, text: &str) -> Entry {
    Entry::new(at(seconds), Kind::Information, Source::Agent, text)
}

/// A morning: a login, an outage, sleep, a portal, the end of a window.
fn morning() -> Vec<Entry> {
    vec![
        told(0, "State: connecting."),
        Entry::connected_to(at(10), "Acme <Berlin>"),
        Entry::reason(at(3607), Reason::Disruption),
        Entry::reconnecting_to(at(3607), "Acme <Berlin>"),
        Entry::connected_to(at(3608), "Acme <Berlin>"),
        told(
            3608,
            "The connection is back after 8.200 s (noticed after 7.000 s): a new SA in 2 round trips, 0.040 s.",
        ),
        told(7200, "State: suspended."),
        Entry::resumed(at(9000)),
        Entry::reconnecting_to(at(9000), "Acme <Berlin>"),
        told(9002, "State: waiting-for-network."),
        Entry::reason(at(9010), Reason::CaptivePortal),
        told(9010, "State: captive-portal."),
        Entry::connected_to(at(9100), "Acme <Berlin>"),
        Entry::reason(at(12_000), Reason::WindowOver),
        told(12_000, "State: auth-required."),
    ]
}

fn gathered(events: &[Entry], status: &Value) -> Gathered {
    let renderer = Renderer::with_zone(TimeZone::UTC);
    let half = events.len() / 2;
    let log = |events: &[Entry]| events.iter().map(|event| renderer.render(event)).collect::<String>();
    let item = |name: &str, text: String| Item { name: name.into(), origin: String::new(), text, cut: 0 };
    let doctor = json!({ "findings": [
        { "what": "helper", "health": "missing", "found": "no <socket>", "mend": "systemctl start x & y" },
        { "what": "tun", "health": "fine", "found": "there", "mend": null },
    ]});
    let items = vec![
        item("status.json", status.to_string()),
        item("doctor.json", doctor.to_string()),
        item("events/events.log", log(events.get(half..).unwrap_or_default())),
        item("events/events.log.1", log(events.get(..half).unwrap_or_default())),
    ];
    Gathered { items, left_out: Vec::new() }
}

fn connected() -> Value {
    json!({
        "state": "connected", "host": "Acme <Berlin>", "gateway": "192.0.2.1:4500", "reconnects": 2,
        "address4": "10.1.2.3", "error": { "code": 106, "message": "no \"answer\" & more" },
        "child": { "bytes_in": 5_000_000, "bytes_out": 700_000, "packets_in": 4000, "packets_out": 3000, "drops": 1 },
    })
}

/// The text of the page, if it is well formed.
fn read(page: &str) -> Result<String, String> {
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = true;
    let (mut text, mut depth) = (String::new(), 0_usize);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof if depth == 0 => return Ok(text),
            Event::Eof => return Err(format!("{depth} elements are not closed")),
            Event::Start(start) => {
                for attribute in start.attributes() {
                    let _ = attribute.map_err(|error| error.to_string())?;
                }
                depth += 1;
            }
            Event::End(_) => depth -= 1,
            Event::Text(part) => text += &part.html_content(),
            _ => {}
        }
    }
}

#[test]
fn a_log_becomes_phases_without_gaps() {
    let history = History::new(&morning(), at(12_060).as_millis());
    let told: Vec<(Phase, u64)> =
        history.spans.iter().map(|span| (span.phase, (span.to - span.from) / 1000)).collect();
    assert_eq!(
        told,
        [
            (Phase::Connecting, 10),
            (Phase::Connected, 3589),
            (Phase::Outage, 7),
            (Phase::Reconnecting, 1),
            (Phase::Connected, 3592),
            (Phase::Asleep, 1800),
            (Phase::Reconnecting, 2),
            (Phase::NoNetwork, 8),
            (Phase::WaitsForUser, 90),
            (Phase::Connected, 2900),
            (Phase::WaitsForUser, 60),
        ]
    );
    assert!(history.spans.windows(2).all(|pair| pair[0].to == pair[1].from));
    assert_eq!(history.reconnects.len(), 1);
    assert_eq!((history.reconnects[0].outage, history.reconnects[0].unnoticed), (8200, 7000));
}

#[test]
fn the_page_tells_all_and_loads_nothing() {
    let page = html(&gathered(&morning(), &connected()), at(12_060), &TimeZone::UTC);
    let text = read(&page).unwrap();
    for expected in [
        Reason::Disruption.text(),
        Reason::WindowOver.text(),
        "ikeep portal",
        "4.7 MiB",
        "2025-03-13 06:28:44",
        "30 min 0 s",
        "half of them within",
        "systemctl start x ",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert!(page.contains("<rect class=\"outage\""), "the outage is drawn");
    assert!(page.contains("Acme &lt;Berlin&gt;") && !page.contains("<Berlin>"));
    for loading in ["<script", "<link", "<img", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(loading), "{loading}");
    }
    let rest = page.replacen("http://www.w3.org/1999/xhtml", "", 1);
    assert!(!rest.contains("http:") && !rest.contains("https:"));
}

#[test]
fn a_page_of_nothing_says_so() {
    let page = html(&Gathered::default(), at(0), &TimeZone::UTC);
    assert!(read(&page).unwrap().contains("tells of no connection yet"));
}

#[test]
fn lengths_are_for_people() {
    for (millis, text) in
        [(0, "0 ms"), (999, "999 ms"), (1250, "1.2 s"), (65_000, "65 s"), (125_000, "2 min 5 s")]
    {
        assert_eq!(length(millis), text);
    }
    assert_eq!((length(7_260_000), length(180_000_000)), ("2 h 1 min".to_owned(), "2 days 2 h".to_owned()));
}

proptest! {
    #[test]
    fn any_log_makes_a_well_formed_page(
        texts in proptest::collection::vec(("\\PC{0,40}|State: [a-z-]{1,20}\\.|The connection is back after [0-9]{1,20}\\.[0-9]{3} s \\(noticed after [0-9]\\.[0-9]{3} s\\).*|[<>&'\"\\x00-\\x1f]{0,9}", 0..u64::MAX / 2000, 0..3_u8), 0..12),
        host in ".{0,30}", now: u32,
    ) {
        let events: Vec<Entry> = texts.iter().map(|(text, at, kind)| {
            let kind = [Kind::Information, Kind::Warning, Kind::Error][usize::from(*kind)];
            Entry::new(UnixTime::from_secs(at % 4_000_000_000), kind, Source::Agent, text)
        }).collect();
        let status = json!({ "state": host, "host": host, "error": { "message": host }, "next": { "what": host },
            "child": { "bytes_in": u64::MAX, "bytes_out": 1 } });
        let page = html(&gathered(&events, &status), UnixTime::from_secs(now.into()), &TimeZone::UTC);
        prop_assert!(read(&page).is_ok(), "{:?}: {page}", read(&page));
    }
}
