//! What an authenticated peer may put inside SK: any chain, any first payload. The first octet is the type of the first
//! payload; the second one picks suite and fragment size.

use super::common::{CBC, GCM, HEAD, Zeroes, opener, sealer};
use ikeep::ike::message::{Header, decode_payloads};
use ikeep::ike::sk::{MAX_FRAGMENTS, Opened, SkError};

/// One input.
pub(crate) fn check(data: &[u8]) {
    let [first, choice, chain @ ..] = data else { return };
    let suite = if choice & 1 == 0 { CBC } else { GCM };
    let fragment = (choice & 2 != 0).then_some(100 + 5 * usize::from(choice >> 2));
    let datagrams = sealer(suite).seal_chain(&HEAD, *first, chain, fragment, &mut Zeroes);
    let (mut opener, expected) = (opener(suite), decode_payloads(*first, chain));
    let Some((last, others)) = datagrams.split_last() else { return };
    if datagrams.len() > usize::from(MAX_FRAGMENTS) {
        let header = Header::decode(last).expect("our own header");
        assert!(matches!(opener.open(&header, last), Err(SkError::Fragment { .. })));
        return;
    }
    for datagram in others {
        let header = Header::decode(datagram).expect("our own header");
        assert_eq!(opener.open(&header, datagram), Ok(Opened::Fragment));
    }
    match (opener.open(&Header::decode(last).expect("our own header"), last), expected) {
        (Ok(Opened::Message(opened)), Ok(expected)) => assert_eq!(opened, expected),
        (Err(SkError::Content(_) | SkError::Critical(_)), Err(_)) => {}
        (opened, expected) => panic!("{opened:?} where {expected:?} was sent"),
    }
}
