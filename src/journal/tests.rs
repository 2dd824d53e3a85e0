use super::*;
use crate::reconnect::{Cause, Why};
use crate::time::{Instant, UnixTime};
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// 2025-03-13 03:08:44 in the zone of [`zone`].
const RESUME: UnixTime = UnixTime::from_secs(1_741_835_324);

fn zone() -> TimeZone {
    TimeZone::fixed(Offset::constant(0))
}

fn renderer() -> Renderer {
    Renderer::with_zone(zone())
}

#[test]
fn a_block_is_the_seeds() {
    let block = renderer().render(&Entry::reason(RESUME, Reason::Resume));
    assert_eq!(
        block,
        "******************************************\n\
         \n\
         Date        : 03/13/2025\n\
         Time        : 03:08:44\n\
         Type        : Warning\n\
         Source      : ikeepagent\n\
         \n\
         Description : Session level reconnect reason code 9:\n\
         System resume from suspend mode (Sleep, Stand-by, Hibernate, etc).\n\
         Originates from session level\n\
         \n"
    );
}

#[test]
fn the_zone_moves_the_clock() {
    let east = Renderer::with_zone(TimeZone::fixed(Offset::constant(-4)));
    let block = east.render(&Entry::resumed(RESUME));
    assert!(block.contains("Date        : 03/12/2025\nTime        : 23:08:44\n"), "{block}");
}

/// The seed's blocks as its page prints them: the vendor's source names, single blanks around the colons.
#[test]
fn our_texts_are_the_seeds_texts() {
    let seed = |kind: &str, source: &str, text: &str| {
        let block = format!(
            "Date : 03/13/2025\nTime : 03:08:44\nType : {kind}\nSource : {source}\n\nDescription : {text}\n"
        );
        parse(&block, &zone()).remove(0).unwrap()
    };
    let place = Place { function: "CIPsecProtocol::initiateTunnel", file: "IPsecProtocol.cpp", line: 613 };
    let pairs = [
        (
            Entry::established(RESUME),
            seed(
                "Information",
                "acvpnagent",
                "The IPsec connection to the secure gateway has been established.",
            ),
        ),
        (
            Entry::connected_to(RESUME, "IKEv2_Gateway"),
            seed(
                "Information",
                "acvpnui",
                "Message type information sent to the user:\nConnected to IKEv2_Gateway.",
            ),
        ),
        (
            Entry::reconnecting_to(RESUME, "IKEv2_Gateway"),
            seed(
                "Information",
                "acvpnui",
                "Message type information sent to the user:\nReconnecting to IKEv2_Gateway...",
            ),
        ),
        (
            Entry::resumed(RESUME),
            seed("Information", "acvpnagent", "..Client Agent continuing from system suspend."),
        ),
        (
            Entry::reason(RESUME, Reason::Resume),
            seed(
                "Warning",
                "acvpnagent",
                "Session level reconnect reason code 9:\nSystem resume from suspend mode (Sleep, Stand-by, Hibernate, \
                 etc).\nOriginates from session level",
            ),
        ),
        (
            Entry::using_ike_id(RESUME, place, "rIUHKccDRiUtFTATwq"),
            seed(
                "Information",
                "acvpnagent",
                "Function: CIPsecProtocol::initiateTunnel\nFile: IPsecProtocol.cpp\nLine: 613\nUsing IKE ID \
                 'rIUHKccDRiUtFTATwq' for reconnect",
            ),
        ),
        (
            Entry::preferences(
                RESUME,
                &[("ServiceDisable", "false"), ("AutoReconnect", "true"), ("Empty", "")],
            ),
            seed(
                "Information",
                "acvpnagent",
                "Current Preference Settings:\nServiceDisable: false\nAutoReconnect: true\nEmpty:",
            ),
        ),
    ];
    for (ours, seeds) in pairs {
        assert_eq!(ours, seeds);
    }
}

#[test]
fn reason_codes_are_unique_in_their_class_and_ours_begin_at_100() {
    let mut seen = BTreeSet::new();
    for reason in Reason::ALL {
        assert!(seen.insert((reason.class(), reason.code())), "{reason:?}");
        assert!(!reason.text().is_empty() && reason.text().ends_with('.'), "{reason:?}");
    }
    let vendors: Vec<_> = Reason::ALL.iter().filter(|reason| reason.code() < 100).collect();
    assert_eq!(vendors, [&Reason::Disruption, &Reason::Resume, &Reason::NewMtu, &Reason::Shutdown]);
    let codes: Vec<_> = vendors.iter().map(|reason| (reason.class().as_str(), reason.code())).collect();
    assert_eq!(
        codes,
        [("Low level reconnect", 6), ("Session level reconnect", 9), ("Reconfigure", 16), ("Termination", 9)]
    );
    assert_eq!(Reason::from(Cause::Outage), Reason::Disruption);
    assert_eq!(Reason::from(Cause::Resume), Reason::Resume);
    assert_eq!(Reason::from(Why::WindowOver).class(), Class::Termination);
}

#[test]
fn a_gateway_cannot_forge_a_block_or_move_the_cursor() {
    let forged = "Welcome\n******************************************\n\nDate        : 01/01/2020\nTime        : 00:00:00\n\
                  Type        : Error\nSource      : ikeepagent\n\nDescription : forged \u{1b}[2J\u{202e}\r\n   ***  \n";
    let entry = Entry::banner(RESUME, forged);
    let log = renderer().render(&entry) + &renderer().render(&Entry::established(RESUME));
    let read: Vec<_> = parse(&log, &zone()).into_iter().map(Result::unwrap).collect();
    assert_eq!(read, [entry.clone(), Entry::established(RESUME)]);
    let lines: Vec<_> = entry.description().lines().collect();
    assert_eq!(lines[2], "\\******************************************");
    assert_eq!(lines.last(), Some(&"\\   ***"));
    assert!(entry.description().contains("forged \\u{1b}[2J\\u{202e}"), "{}", entry.description());
    let host = Entry::connected_to(RESUME, "a\n***\nb");
    assert_eq!(host.description().lines().count(), 2, "a name stays on its line");
}

#[test]
fn a_long_text_is_cut_and_a_cut_bares_nothing() {
    let long = format!("{}\n{}x", "y".repeat(MAX_DESCRIPTION - 11), "*".repeat(10));
    let entry = Entry::banner(RESUME, &long);
    assert!(entry.description().ends_with(" more characters left out)"), "{}", entry.description().len());
    assert!(entry.description().chars().count() < MAX_DESCRIPTION + 100);
    let read = parse(&renderer().render(&entry), &zone());
    assert_eq!(read, [Ok(entry)]);
}

#[test]
fn damaged_blocks_say_where_and_the_others_are_read() {
    let good = renderer().render(&Entry::established(RESUME));
    let log = format!("{good}{}{good}", good.replace("03/13/2025", "13/03/2025"));
    let read = parse(&log, &zone());
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    let error = read[1].clone().unwrap_err();
    assert_eq!(error.to_string(), "line 11: expected Date MM/DD/YYYY and Time HH:MM:SS");
    for (from, to, what) in [
        ("Type        : Information\n", "", "is missing"),
        ("Information", "Disaster", "expected Type"),
        ("ikeepagent", "nobody", "Source is unknown"),
        ("Description :", "Depiction :", "expected Date, Time"),
        ("Time        :", "Date        :", "Date stands twice"),
        ("Time        : 03:08:44", "nonsense", "NAME : VALUE"),
        ("2025", "1969", "after 1970"),
    ] {
        let read = parse(&good.replace(from, to), &zone());
        let error = read[0].clone().expect_err(to);
        assert!(error.to_string().contains(what), "{to}: {error}");
    }
    assert_eq!(parse("", &zone()), []);
    assert_eq!(parse("***\n\n***\n", &zone()), []);
}

fn journal(folder: &std::path::Path, max_bytes: u64, keep: u32) -> Journal {
    Journal::new(folder.join("state/events.log"), Rotation { max_bytes, keep }, renderer())
}

fn told(file: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let entries = parse(&text, &zone());
    entries.into_iter().map(|entry| entry.unwrap().description().to_owned()).collect()
}

#[test]
fn the_file_is_private_rotated_and_of_whole_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |number: u32| {
        let text = format!("{number}{}", "x".repeat(50));
        Entry::new(RESUME, Kind::Warning, Source::Agent, &text)
    };
    let block = renderer().render(&entry(0)).len() as u64;
    let mut journal = journal(folder.path(), block * 2, 2);
    let file = journal.file().to_owned();
    for number in 0..7 {
        journal.write(&entry(number)).unwrap();
    }
    let first =
        |file: &std::path::Path| told(file).iter().map(|text| text[..1].to_owned()).collect::<String>();
    let aside = |number: u32| file.with_extension(format!("log.{number}"));
    assert_eq!((first(&file), first(&aside(1)), first(&aside(2))), ("6".into(), "45".into(), "23".into()));
    assert!(!aside(3).exists(), "the oldest is gone");
    for file in [&file, &aside(1)] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn an_old_file_is_appended_to_and_made_private() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = journal(folder.path(), 1 << 20, 1);
    first.write(&Entry::resumed(RESUME)).unwrap();
    let file = first.file().to_owned();
    drop(first);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    journal(folder.path(), 1 << 20, 1).write(&Entry::established(RESUME)).unwrap();
    assert_eq!(told(&file).len(), 2);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn write_errors_are_told_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let blocker = folder.path().join("state");
    std::fs::write(&blocker, "a file where the folder should be").unwrap();
    let mut journal = journal(folder.path(), 1 << 20, 1);
    let error = journal.write(&Entry::resumed(RESUME)).unwrap_err();
    assert!(error.to_string().contains("events.log cannot be written"), "{error}");
    journal.write(&Entry::resumed(RESUME)).unwrap();
    assert_eq!(journal.lost(), 2);
    std::fs::remove_file(&blocker).unwrap();
    journal.write(&Entry::established(RESUME)).unwrap();
    assert_eq!(journal.lost(), 0);
    let told = told(journal.file());
    assert_eq!(told[0], "2 events could not be written to this log.");
    assert_eq!(told[1], Entry::established(RESUME).description());
    journal.miss(RESUME, 1).unwrap();
    assert_eq!(self::told(journal.file())[2..], ["1 event could not be written to this log."]);
}

#[test]
fn what_a_power_cut_has_torn_costs_no_other_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = journal(folder.path(), 1 << 20, 1);
    let file = first.file().to_owned();
    for _ in 0..2 {
        first.write(&Entry::established(RESUME)).unwrap();
    }
    first.sync().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let block = whole.len() / 2;
    // Cut anywhere in the second block, with and without the zeros that some file systems leave.
    for (cut, zeros) in (block..whole.len()).flat_map(|cut| [(cut, 0), (cut, 7)]) {
        let mut torn = whole[..cut].to_vec();
        torn.resize(cut + zeros, 0);
        std::fs::write(&file, &torn).unwrap();
        journal(folder.path(), 1 << 20, 1).write(&Entry::resumed(RESUME)).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let read: Vec<Entry> = parse(&text, &zone()).into_iter().flatten().collect();
        // Zeros right behind a block become a part of it.
        let first = read.first().map(Entry::description).unwrap_or_default();
        assert!(first.starts_with(Entry::established(RESUME).description()), "cut at {cut}: {first}");
        assert_eq!(read.last(), Some(&Entry::resumed(RESUME)), "cut at {cut}, {zeros} zeros: {text}");
    }
}

#[test]
fn repeated_events_are_held_back_and_counted() {
    let at = |seconds: u64| Instant::from_boot(Duration::from_secs(seconds));
    let mut limiter = Limiter::new(2, Duration::from_secs(10));
    let verdicts: Vec<_> = (0..5).map(|second| limiter.check(at(second), &"replay")).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, Verdict::Held, Verdict::Held, Verdict::Held]);
    assert_eq!(limiter.check(at(4), &"other"), Verdict::Pass, "keys are apart");
    assert_eq!(limiter.poll_timeout().map(|(at, _)| at), Some(at(10)));
    assert_eq!(limiter.due(at(9)), []);
    assert_eq!(limiter.due(at(10)), [("replay", 3)]);
    assert_eq!(limiter.due(at(10)), []);
    assert_eq!(limiter.poll_timeout(), None);
    assert_eq!(limiter.check(at(11), &"replay"), Verdict::Pass);
    let line = Entry::repeated(RESUME, Source::Agent, "replayed message", 3);
    assert_eq!(line.description(), "replayed message (3 more times, not told one by one)");
}

#[test]
fn the_limiters_memory_is_bounded() {
    let at = |seconds: u64| Instant::from_boot(Duration::from_secs(seconds));
    let mut limiter = Limiter::new(1, Duration::from_secs(10));
    let passed = (0..10_000u32).filter(|key| limiter.check(at(0), key) == Verdict::Pass).count();
    assert_eq!(passed, 256);
    assert_eq!(limiter.take_crowded_out(), 10_000 - 256);
    assert_eq!(limiter.take_crowded_out(), 0);
    assert_eq!(limiter.check(at(10), &10_000), Verdict::Pass, "places become free");
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Information), Just(Kind::Warning), Just(Kind::Error)]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        seconds in 0u64..253_402_207_200, kind in kinds(), ui in any::<bool>(),
        text in "(\\PC|[*\n\r\t :]|\\*\\*\\*\n|\u{1b}|\u{85}|\u{2028}){0,60}", hours in -12i8..=12,
    ) {
        let source = if ui { Source::Ui } else { Source::Agent };
        let zone = TimeZone::fixed(Offset::constant(hours));
        let wall = UnixTime::from_secs(seconds + 86_400);
        let entry = Entry::new(wall, kind, source, &text);
        let block = Renderer::with_zone(zone.clone()).render(&entry);
        prop_assert!(block.chars().all(|c| c == '\n' || !c.is_control()));
        prop_assert_eq!(parse(&format!("{block}{block}"), &zone), [Ok(entry.clone()), Ok(entry)]);
    }

    #[test]
    fn any_text_is_parsed_without_panic_and_reads_back(text in "(\\PC|\n|\\*\\*\n|Date : |01/02/2003|Time : 04:05:06\n|Type : Error\nSource : ikeepui\nDescription : ){0,40}") {
        for entry in parse(&text, &zone()).into_iter().flatten() {
            prop_assert_eq!(parse(&renderer().render(&entry), &zone()), [Ok(entry)]);
        }
    }

    #[test]
    fn times_of_any_size_render(millis in any::<u64>(), hours in -12i8..=12) {
        let renderer = Renderer::with_zone(TimeZone::fixed(Offset::constant(hours)));
        prop_assert!(renderer.render(&Entry::resumed(UnixTime::from_millis(millis))).contains("Date        : "));
    }

    #[test]
    fn no_event_is_lost_by_the_limiter(
        most in 1u32..5, events in proptest::collection::vec((0u64..30, 0u8..3), 0..200),
    ) {
        let mut limiter = Limiter::new(most, Duration::from_secs(7));
        let (mut now, mut passed, mut told) = (0, 0u64, 0u64);
        for (wait, key) in &events {
            now += wait / 10;
            let now = Instant::from_boot(Duration::from_secs(now));
            told += limiter.due(now).iter().map(|(_, count)| count).sum::<u64>();
            passed += u64::from(limiter.check(now, key) == Verdict::Pass);
        }
        let end = Instant::from_boot(Duration::from_secs(now + 7));
        told += limiter.due(end).iter().map(|(_, count)| count).sum::<u64>();
        prop_assert_eq!(passed + told, events.len() as u64);
    }
}
