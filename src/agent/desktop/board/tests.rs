//! Stories in virtual time: what happens when, and what a desktop shows after it.

use super::*;
use About::*;
use News::*;

fn at(seconds: f64) -> Instant {
    Instant::from_boot(Duration::from_secs(1000) + Duration::from_secs_f64(seconds))
}

/// A second, what happens then (`None`: nothing), and what is shown after it.
type Line = (f64, Option<News>, Option<About>);

fn tell(story: &str, lines: &[Line]) {
    let mut board = Board::default();
    board.begin("Office");
    for (second, news, shown) in lines {
        let now = at(*second);
        // Whoever sleeps until it is time misses nothing: between two lines only a deadline changes what is shown.
        if let Some(news) = news {
            board.handle(now, *news);
        }
        let note = board.note(now);
        assert_eq!(note.as_ref().map(|note| note.about), *shown, "{story}, at {second} s");
        assert!(note.is_none_or(|note| note.body(true).contains("Office")), "{story}, at {second} s");
        if let Some((due, why)) = board.poll_timeout(now) {
            assert!(due > now && !why.is_empty(), "{story}, at {second} s: due {due:?}");
            let before = Instant::from_boot(due.since_boot() - Duration::from_nanos(1));
            assert_eq!(board.note(before), board.note(now), "{story}: between {second} s and {due:?}");
            assert_ne!(board.note(due), None, "{story}: {why}");
        } else {
            assert_eq!(board.note(at(1e6)), board.note(now), "{story}: after {second} s");
        }
    }
}

const PORTAL: About = About::Portal { behind_tunnel: true };

#[test]
fn what_mends_itself_is_not_told() {
    tell("a roam", &[(0., Some(Settled), None), (1., Some(Trying), None), (1.1, Some(Settled), None)]);
    tell("an outage", &[(0., Some(Trying), None), (59., Some(Settled), None), (300., None, None)]);
    let lines = [(0., Some(Trying), None), (50., Some(Paused), None), (5000., None, None)];
    tell("no network", &lines);
    let night = [
        (0., Some(Trying), None),
        (50., Some(Paused), None),
        (30_000., Some(Slept), None),
        (30_000., Some(Trying), None),
        (30_030., Some(Settled), None),
    ];
    tell("a night", &night);
    // The clock has jumped; whoever wakes hears of the sleep first.
    let mut board = Board::default();
    for (second, news) in [(0., Trying), (9000., Slept), (9001., Settled)] {
        board.handle(at(second), news);
        assert_eq!(board.note(at(second)), None, "a sleep that nobody announced, at {second} s");
    }
    let one_liar = [(0., Some(Trying), None), (1., Some(News::Untrusted), None), (2., Some(Settled), None)];
    tell("a certificate refused once", &one_liar);
    for other in [Moved, Slept, Paused] {
        let lines = [
            (0., Some(Trying), None),
            (1., Some(News::Untrusted), None),
            (2., Some(other), None),
            (2., Some(Trying), None),
            (3., Some(News::Untrusted), None),
            (4., Some(Settled), None),
        ];
        tell("a certificate refused once in each of two networks", &lines);
    }
}

#[test]
fn no_connection_for_long_is_told_and_taken_back() {
    let lines = [
        (0., Some(Trying), None),
        (30., Some(Paused), None),
        (500., Some(Trying), None),
        (501., Some(Trying), None),
        (529.9, None, None),
        (530., None, Some(NoAnswer)),
        (600., Some(Paused), Some(NoAnswer)),
        (700., Some(Trying), Some(NoAnswer)),
        (701., Some(Settled), None),
        (702., Some(Trying), None),
        (761., None, None),
        (762., None, Some(NoAnswer)),
        (9000., Some(Slept), None),
        (9060., None, Some(NoAnswer)),
    ];
    tell("a network that leads nowhere", &lines);
}

#[test]
fn an_end_is_told_once_and_after_a_moment() {
    for about in [LoginNeeded, SessionEnded, WindowOver] {
        let lines = [
            (0., Some(Trying), None),
            (10., Some(Ended(about)), None),
            (12.9, None, None),
            (13., None, Some(about)),
            // The token is tried once in another network, and refused again.
            (100., Some(Trying), Some(about)),
            (101., Some(Ended(about)), Some(about)),
            // The person logs in.
            (200., Some(Settled), None),
            (9000., None, None),
        ];
        tell("an end", &lines);
    }
    let at_it = [(0., Some(Ended(LoginNeeded)), None), (0.2, Some(Settled), None), (60., None, None)];
    tell("`ikeep connect` starts the agent", &at_it);
    let another = [
        (0., Some(Ended(SessionEnded)), None),
        (3., None, Some(SessionEnded)),
        (9., Some(Ended(LoginNeeded)), None),
        (12., None, Some(LoginNeeded)),
    ];
    tell("another end", &another);
}

#[test]
fn of_several_things_the_first_to_be_mended_is_shown() {
    let lines = [
        (0., Some(Trying), None),
        (5., Some(News::Untrusted), None),
        (9., Some(News::Untrusted), Some(About::Untrusted)),
        (20., Some(News::Portal(Some(true))), Some(PORTAL)),
        (25., Some(News::Portal(Some(true))), Some(PORTAL)),
        (30., Some(News::Portal(Some(false))), Some(About::Portal { behind_tunnel: false })),
        (40., Some(News::Portal(None)), Some(About::Untrusted)),
        (80., None, Some(About::Untrusted)),
        // Another network.
        (90., Some(Paused), Some(NoAnswer)),
        (91., Some(Trying), Some(NoAnswer)),
        (92., Some(Ended(WindowOver)), Some(NoAnswer)),
        (95., None, Some(WindowOver)),
        (96., Some(News::Portal(Some(false))), Some(WindowOver)),
        (97., Some(Settled), None),
    ];
    tell("a bad day", &lines);
}

#[test]
fn another_gateway_begins_with_nothing() {
    let mut board = Board::default();
    board.begin("Office");
    board.handle(at(0.), Ended(LoginNeeded));
    assert!(board.note(at(5.)).is_some());
    board.begin("Other");
    assert_eq!((board.note(at(5.)), board.poll_timeout(at(5.))), (None, None));
    board.handle(at(6.), Ended(SessionEnded));
    assert_eq!(board.note(at(9.)), Some(Note::new(SessionEnded, "Other")));
}
