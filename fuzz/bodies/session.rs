//! A session as the store keeps it, after somebody has changed the file: what is read is a way back, and reads the same again.

use ikeep::session::{MAX_ENCODED, Session};

/// One input.
pub(crate) fn check(octets: &[u8]) {
    let Ok(session) = Session::decode(octets) else { return };
    assert!(octets.len() <= MAX_ENCODED);
    assert!(session.has_way_back());
    assert_eq!(session.has_token(), !session.id.is_empty());
    let encoded = session.encode();
    if encoded.expose().len() <= MAX_ENCODED {
        assert_eq!(Session::decode(encoded.expose()), Ok(session));
    }
}
