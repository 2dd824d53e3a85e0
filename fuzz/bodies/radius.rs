//! A RADIUS server, or somebody who answers for it, says anything: whoever has not the secret is never believed.

use ikeep::crypto::Secret;
use ikeep::crypto::legacy::md5;
use ikeep::gateway::aaa::{Answer, Question};
use ikeep::lab::radius::packet::{Bad, Request};
use std::net::{IpAddr, Ipv4Addr};

const AUTHENTICATOR: [u8; 16] = [7; 16];
const SECRET: &[u8] = b"the secret";

/// Octets of a packet before its attributes, of that attribute, and of an attribute's value at most.
const HEADER: usize = 20;
const SIGNATURE: usize = 18;
const MOST: usize = 253;

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
    // As the server itself, gone bad: signed as well.
    let Some(answer) = signed(*code, body) else { return };
    match request.read(&answer, &secret) {
        Ok((Answer::Accept(grant), _)) => {
            assert!(grant.class.iter().all(|class| class.len() <= MOST));
            assert!(grant.class.iter().map(Vec::len).sum::<usize>() <= answer.len());
        }
        Ok((Answer::Challenge { message, state }, _)) => {
            assert!(!message.chars().any(char::is_control) && state.len() <= MOST);
        }
        Ok((Answer::Reject { message }, _)) => assert!(!message.chars().any(char::is_control)),
        Ok((other, _)) => panic!("{other:?} is no server's answer"),
        // The first attribute is right: what is refused is another's length, a second signature, or the code.
        Err(error) => assert!(!matches!(error, Bad::Foreign | Bad::Forged), "{error:?}"),
    }
}

/// An answer with the right Message-Authenticator (RFC 3579 3.2) before what it says.
fn signed(code: u8, body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(HEADER + SIGNATURE + body.len()).ok()?.to_be_bytes();
    let head = [code, 9, length[0], length[1]];
    let unsigned = [&[80, 18][..], &[0; 16], body].concat();
    let signature = hmac_md5(&[&head, &AUTHENTICATOR, &unsigned]);
    let attributes = [&[80, 18][..], &signature, body].concat();
    let authenticator = md5(&[&head, &AUTHENTICATOR, &attributes, SECRET]);
    Some([&head[..], &authenticator, &attributes].concat())
}

/// RFC 2104.
fn hmac_md5(parts: &[&[u8]]) -> [u8; 16] {
    let key = |pad: u8| {
        let mut key = [pad; 64];
        key.iter_mut().zip(SECRET).for_each(|(octet, secret)| *octet ^= secret);
        key
    };
    let inner = md5(&[&[&key(0x36)[..]], parts].concat());
    md5(&[&key(0x5c), &inner])
}
