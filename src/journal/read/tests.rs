use super::super::{Entry, Journal, Kind, Renderer, Rotation, Source, Watch, parse};
use super::*;
use crate::time::UnixTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

fn log(max_bytes: u64, keep: u32) -> (TempDir, Journal, Reader) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.log");
    let renderer = Renderer::with_zone(TimeZone::UTC);
    let journal = Journal::new(file.clone(), Rotation { max_bytes, keep }, renderer);
    (folder, journal, Reader::new(file))
}

fn event(number: u64) -> Entry {
    Entry::new(UnixTime::from_secs(number), Kind::Information, Source::Agent, &format!("event {number}"))
}

fn all(reader: &mut Reader) -> String {
    let mut text = String::new();
    while let Some(more) = reader.read().unwrap() {
        text += &more;
    }
    text
}

/// The numbers of the events in a text.
fn numbers(text: &str) -> Vec<u64> {
    let events = parse(text, &TimeZone::UTC);
    events.into_iter().map(|event| event.unwrap().wall().as_secs()).collect()
}

#[test]
fn rotated_parts_come_in_their_order_and_then_what_is_new() {
    // Two blocks a part.
    let (folder, mut journal, mut reader) = log(400, 12);
    assert!(reader.read().unwrap().is_none() && !reader.found());
    (0..21).for_each(|number| journal.write(&event(number)).unwrap());
    assert!(folder.path().join("events.log.10").exists(), "ten and two sort as numbers");
    for stranger in ["events.log.old", "events.log.1.gz", "other.log.1", "events.log.damaged"] {
        fs::write(folder.path().join(stranger), "not of this log\n").unwrap();
    }
    assert_eq!(numbers(&all(&mut reader)), Vec::from_iter(0..21));
    assert!(reader.found() && reader.read().unwrap().is_none());
    journal.write(&event(21)).unwrap();
    assert_eq!(numbers(&all(&mut reader)), [21]);
    // Several rotations between two looks.
    (22..31).for_each(|number| journal.write(&event(number)).unwrap());
    assert_eq!(numbers(&all(&mut reader)), Vec::from_iter(22..31));
}

#[test]
fn a_log_that_was_emptied_removed_or_outran_us_goes_on() {
    let (folder, mut journal, mut reader) = log(300, 1);
    journal.write(&event(1)).unwrap();
    assert_eq!(numbers(&all(&mut reader)), [1]);
    fs::write(folder.path().join("events.log"), "").unwrap();
    assert_eq!(all(&mut reader), "");
    journal.write(&event(2)).unwrap();
    assert_eq!(numbers(&all(&mut reader)), [2]);
    // More than is kept: what is left counts, once.
    (3..20).for_each(|number| journal.write(&event(number)).unwrap());
    let left = numbers(&all(&mut reader));
    assert!(left.ends_with(&[19]) && left.windows(2).all(|pair| pair[0] < pair[1]), "{left:?}");
    fs::remove_file(folder.path().join("events.log")).unwrap();
    assert_eq!(all(&mut reader), "");
    fs::write(folder.path().join("events.log"), "new\n").unwrap();
    assert_eq!(all(&mut reader), "new\n");
}

/// A writer that rotates while it is read, never so far ahead that what is kept would not do.
#[test]
fn nothing_is_lost_while_it_is_written() {
    const EVENTS: u64 = 2000;
    let (_folder, mut journal, mut reader) = log(1000, 40);
    let seen = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..EVENTS {
                while number > seen.load(Ordering::Relaxed) + 50 {
                    std::thread::yield_now();
                }
                journal.write(&event(number)).unwrap();
            }
        });
        let mut blocks = Blocks::default();
        let mut found = Vec::new();
        while found.last() != Some(&(EVENTS - 1)) {
            let lines = reader.read().unwrap();
            let mut ended = lines.map(|lines| blocks.push(&lines)).unwrap_or_default();
            ended.extend(blocks.finish_whole());
            found.extend(ended.iter().flat_map(|block| numbers(block)));
            seen.store(found.last().map_or(0, |last| last + 1), Ordering::Relaxed);
        }
        assert_eq!(found, Vec::from_iter(0..EVENTS));
    });
}

#[test]
fn torn_lines_and_wild_octets_are_shown() {
    let (folder, _, mut reader) = log(300, 1);
    fs::write(folder.path().join("events.log.1"), "killed in the mid").unwrap();
    let mut file =
        OpenOptions::new().create(true).append(true).open(folder.path().join("events.log")).unwrap();
    file.write_all(b"next\nhalf").unwrap();
    assert_eq!(all(&mut reader), "killed in the mid\nnext\n");
    assert_eq!(all(&mut reader), "", "half a line waits");
    file.write_all(b" a line\n\xff\n").unwrap();
    assert_eq!(all(&mut reader), "half a line\n\u{fffd}\n");
    file.write_all(b"the end").unwrap();
    assert_eq!(all(&mut reader), "");
    assert_eq!(reader.finish().as_deref(), Some("the end\n"));
    assert_eq!(reader.finish(), None);
    // A line without an end does not fill the memory.
    file.write_all(&vec![b'x'; 3 * LONGEST]).unwrap();
    assert_eq!(reader.read().unwrap().unwrap().len(), LONGEST + CHUNK);
}

#[test]
fn blocks_end_where_the_next_begins() {
    let text: String =
        (1..4).map(|number| Renderer::with_zone(TimeZone::UTC).render(&event(number))).collect();
    let mut blocks = Blocks::default();
    assert_eq!(blocks.push(&text).len(), 2);
    let last = blocks.finish_whole().unwrap();
    assert!(last.contains("event 3") && blocks.finish().is_none());
    // A block that is being written.
    assert_eq!(blocks.push("***\n\nDate : 03"), [] as [String; 0]);
    assert_eq!(blocks.finish_whole(), None);
    assert_eq!(blocks.finish().unwrap(), "\nDate : 03");
    let many = "no block at all\n".repeat(LONGEST / 8);
    assert!(blocks.push(&many).iter().all(|piece| piece.len() <= LONGEST + 16));
}

#[tokio::test]
async fn growth_and_rotation_are_seen_without_asking() {
    let (folder, mut journal, mut reader) = log(300, 3);
    let mut watch = Watch::new(&folder.path().join("events.log")).unwrap();
    let patience = Duration::from_secs(20);
    for number in 0..9 {
        journal.write(&event(number)).unwrap();
        tokio::time::timeout(patience, watch.changed()).await.unwrap().unwrap();
        let mut seen = all(&mut reader);
        // A rotation is more than one event of the watch, and the first may come before the block.
        while seen.is_empty() {
            tokio::time::timeout(patience, watch.changed()).await.unwrap().unwrap();
            seen = all(&mut reader);
        }
        assert_eq!(numbers(&seen), [number]);
    }
}

proptest! {
    /// However a log is cut into writes, its blocks are those of the whole.
    #[test]
    fn pieces_give_the_blocks_of_the_whole(
        text in "([*]{3}|[a-z]|\n|Date : x\n){0,60}", cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let (folder, _, mut reader) = log(300, 1);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let mut file = OpenOptions::new().create(true).append(true).open(folder.path().join("events.log")).unwrap();
        let (mut blocks, mut pieces) = (Blocks::default(), Vec::new());
        for cut in cuts.windows(2) {
            file.write_all(&text.as_bytes()[cut[0]..cut[1]]).unwrap();
            while let Some(lines) = reader.read().unwrap() {
                pieces.extend(blocks.push(&lines));
            }
        }
        pieces.extend(reader.finish().into_iter().flat_map(|rest| blocks.push(&rest)));
        pieces.extend(blocks.finish());
        let mut whole = Blocks::default();
        let ended = if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" };
        let mut expected = whole.push(&ended);
        expected.extend(whole.finish());
        prop_assert_eq!(pieces, expected);
    }
}
