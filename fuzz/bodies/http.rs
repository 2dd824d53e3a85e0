//! What a browser or a program says to the proxy in HTTP: pieces do not matter, and a request that goes on has one Host, no
//! credentials and no second request line.

use ikeep::tunnel::http::{Head, LIMIT, Step};
use ikeep::tunnel::socks::Target;

/// Feeds `input` in pieces; what it comes to, and how many octets were taken.
fn read(input: &[u8], piece: usize) -> (Step, usize) {
    let (mut head, mut at) = (Head::new(None), 0);
    loop {
        let length = head.wanted().min(input.len() - at).min(piece);
        if length == 0 {
            return (Step::More, at);
        }
        let step = head.receive(&input[at..at + length]);
        at += length;
        assert!(at <= LIMIT);
        if step != Step::More {
            assert_eq!(head.wanted(), 0);
            return (step, at);
        }
    }
}

/// One input.
pub(crate) fn check(input: &[u8]) {
    let (whole, _) = read(input, usize::MAX);
    let (single, taken) = read(input, 1);
    match (whole, single) {
        (Step::Connect { target, tunnel, first }, Step::Connect { target: same, first: start, .. }) => {
            assert_eq!(target, same);
            let rest = &input[taken..input.len().min(LIMIT)];
            assert_eq!(first, [start.as_slice(), rest].concat());
            if let Target::Name(name, port) = &target {
                assert!(*port != 0 && name.bytes().all(|octet| octet.is_ascii_graphic()));
            }
            if !tunnel {
                let head = start.windows(4).position(|four| four == b"\r\n\r\n").expect("an end");
                assert_eq!(head + 4, start.len(), "nothing follows the head that was read octet by octet");
                let lower = start.to_ascii_lowercase();
                let count = |field: &[u8]| lower.windows(field.len()).filter(|part| *part == field).count();
                assert_eq!(count(b"\r\nhost:"), 1);
                assert_eq!(count(b"\r\nproxy-authorization:"), 0);
                assert_eq!(count(b"\r\nconnection:"), 1);
            }
        }
        (whole, single) => assert_eq!(whole, single),
    }
}
