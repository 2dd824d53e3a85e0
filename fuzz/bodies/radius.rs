//! A RADIUS server, or somebody who answers for it, says anything: whoever has not the secret is never believed.

use ikeep::crypto::Secret;
use ikeep::crypto::legacy::md5;
use ikeep::gateway::aaa::Question;
use ikeep::lab::radius::packet::Request;
use std::net::{IpAddr, Ipv4Addr};

const AUTHENTICATOR: [u8; 16] = [7; 16];
const SECRET: &[u8] = b"the secret";

/// One input.
pub(crate) fn check(data: &[u8]) {
    let local = IpAddr::from(Ipv4Addr::LOCALHOST);
    let (user, password) = ("alice".to_owned(), Secret::from(&b"wonderland"[..]));
    let question = Question { id: 1, user, password, state: None, peer: local };
    let secret = Secret::from(SECRET);
    let request = Request::new(&question, local, &secret, (9, AUTHENTICATOR)).expect("a request");
    assert!(request.read(data, &secret).is_err());
    // As somebody who can make MD5 collide: the Response Authenticator is right, the attributes are read.
    let (Some(code), Some(body)) = (data.first(), data.get(1..)) else { return };
    let Ok(length) = u16::try_from(20 + body.len()) else { return };
    let mut answer = vec![*code, 9];
    answer.extend(length.to_be_bytes());
    answer.extend(md5(&[&answer, &AUTHENTICATOR, body, SECRET]));
    answer.extend_from_slice(body);
    assert!(request.read(&answer, &secret).is_err());
}
