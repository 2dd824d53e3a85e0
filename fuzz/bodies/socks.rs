//! The proxy's handshake: it takes no more than it asks for, pieces do not matter, and a request ends it.

use ikeep::tunnel::socks::{Datagram, Handshake, Step, Target};

/// The longest message: a request with a name of 255 octets.
const LONGEST: usize = 262;

/// Feeds `input` in pieces; what it comes to, and how many octets were taken.
fn read(input: &[u8], piece: usize) -> (Vec<Step>, usize) {
    let (mut handshake, mut steps, mut at) = (Handshake::new(None), Vec::new(), 0);
    loop {
        let wanted = handshake.wanted();
        assert!(wanted <= LONGEST);
        let length = wanted.min(input.len() - at).min(piece);
        if length == 0 {
            return (steps, at);
        }
        let step = handshake.receive(&input[at..at + length]);
        at += length;
        let over = matches!(step, Step::Connect(_) | Step::Associate(_) | Step::Refuse(_));
        if step != Step::More {
            steps.push(step);
        }
        assert_eq!(handshake.wanted() == 0, over, "a handshake ends with a request or a refusal");
    }
}

/// One input.
pub(crate) fn check(input: &[u8]) {
    if let Some(datagram) = Datagram::parse(input) {
        assert!(input.ends_with(datagram.payload));
        if let Target::Address(to) = datagram.target {
            let again = [Datagram::head(to), datagram.payload.to_vec()].concat();
            assert_eq!(Datagram::parse(&again), Some(datagram));
        }
    }
    let (whole, taken) = read(input, usize::MAX);
    let (single, taken_singly) = read(input, 1);
    assert_eq!(whole, single);
    assert!(whole.len() <= 2);
    match whole.last() {
        Some(Step::Connect(target)) => {
            assert_eq!(taken, taken_singly);
            assert_eq!(whole[0], Step::Send(vec![5, 0]));
            if let Target::Name(name, _) = target {
                assert!(
                    (1..=255).contains(&name.len()) && name.bytes().all(|octet| octet.is_ascii_graphic())
                );
            }
        }
        Some(Step::Refuse(answer)) => {
            assert!(answer[0] == 5 && answer[1] != 0);
            assert!(taken_singly <= taken, "a refusal does not come later in pieces");
        }
        _ => {}
    }
}
