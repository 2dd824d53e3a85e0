//! A DNS responder for a short list of names (RFC 1035): what it knows it answers, the rest does not exist.

use crate::esp::inner::{parse_udp, udp};
use std::net::IpAddr;

const PORT: u16 = 53;
const HEADER: usize = 12;
const A: [u8; 2] = [0, 1];
const AAAA: [u8; 2] = [0, 28];
const INTERNET: [u8; 2] = [0, 1];
/// Seconds that an answer may be kept.
const TTL: [u8; 4] = [0, 0, 0, 60];
/// A pointer to the question's name.
const SAME_NAME: [u8; 2] = [0xc0, 12];
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;

/// Where `packet` is a query: the packet that answers it. `None` for anything else, and for what cannot be read: a responder
/// that answers rubbish can be made to talk to another one.
pub(super) fn answer(names: &[(String, IpAddr)], packet: &[u8]) -> Option<Vec<u8>> {
    let query = parse_udp(packet).filter(|query| query.destination_port == PORT && query.source_port != 0)?;
    let message = answer_message(names, query.payload)?;
    Some(udp(query.destination, PORT, query.source, query.source_port, &message))
}

fn answer_message(names: &[(String, IpAddr)], query: &[u8]) -> Option<Vec<u8>> {
    let (&[id0, id1, flags, _, questions0, questions1, ..], after) = query.split_first_chunk::<HEADER>()?;
    let is_plain_query = flags & 0xf8 == 0 && [questions0, questions1] == [0, 1];
    if !is_plain_query {
        return None;
    }
    let (name, length) = read_name(after)?;
    let (question, kind) = (after.get(..length + 4)?, after.get(length..length + 2)?);
    if after.get(length + 2..length + 4)? != INTERNET {
        return None;
    }
    let known: Vec<IpAddr> = names.iter().filter(|(own, _)| *own == name).map(|(_, ip)| *ip).collect();
    let records: Vec<(&[u8; 2], Vec<u8>)> = known
        .iter()
        .map(|ip| match ip {
            IpAddr::V4(ip) => (&A, ip.octets().to_vec()),
            IpAddr::V6(ip) => (&AAAA, ip.octets().to_vec()),
        })
        .filter(|(own, _)| *own == kind)
        .collect();
    // Response, authoritative, recursion desired as asked; NXDOMAIN where the name is not known at all.
    let code = if known.is_empty() { 3 } else { 0 };
    let count = u8::try_from(records.len()).ok()?;
    let mut answer = vec![id0, id1, 0x84 | flags & 1, code, 0, 1, 0, count, 0, 0, 0, 0];
    answer.extend(question);
    for (kind, address) in records {
        answer.extend(SAME_NAME);
        answer.extend(kind);
        answer.extend(INTERNET);
        answer.extend(TTL);
        answer.extend([0, u8::try_from(address.len()).ok()?]);
        answer.extend(address);
    }
    Some(answer)
}

/// A name without compression, in lower case, and the octets it takes.
fn read_name(message: &[u8]) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = 0;
    loop {
        let length = usize::from(*message.get(at)?);
        let label = message.get(at + 1..at + 1 + length)?;
        at += 1 + length;
        if length > LONGEST_LABEL || at > LONGEST_NAME {
            return None;
        }
        if length == 0 {
            return Some((name, at));
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|octet| char::from(octet.to_ascii_lowercase())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names() -> Vec<(String, IpAddr)> {
        vec![
            ("www.inside.example.com".into(), "192.168.10.1".parse().unwrap()),
            ("www.inside.example.com".into(), "192.168.10.2".parse().unwrap()),
            ("six.inside.example.com".into(), "2001:db8::1".parse().unwrap()),
        ]
    }

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, kind, 0, 1]);
        query
    }

    /// Response code and answers.
    fn ask(name: &str, kind: u8) -> (u8, u8) {
        let answer = answer_message(&names(), &query(name, kind)).unwrap();
        assert_eq!(answer[..3], [0xab, 0xcd, 0x85]);
        (answer[3], answer[7])
    }

    #[test]
    fn known_names_have_their_addresses_and_others_do_not_exist() {
        assert_eq!(ask("www.inside.example.com", 1), (0, 2));
        assert_eq!(ask("WWW.inside.Example.com", 1), (0, 2));
        assert_eq!(ask("www.inside.example.com", 28), (0, 0), "the name has no address of this family");
        assert_eq!(ask("six.inside.example.com", 28), (0, 1));
        assert_eq!(ask("inside.example.com", 1), (3, 0));
        let one = answer_message(&names()[..1], &query("www.inside.example.com", 1)).unwrap();
        assert!(one.ends_with(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 168, 10, 1]));
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        let response = answer_message(&names(), &query("www.inside.example.com", 1)).unwrap();
        assert_eq!(answer_message(&names(), &response), None, "a response");
        let good = query("www.inside.example.com", 1);
        for length in 0..good.len() {
            assert_eq!(answer_message(&names(), &good[..length]), None, "cut to {length}");
        }
        let to: IpAddr = "192.168.10.53".parse().unwrap();
        let from: IpAddr = "192.168.20.5".parse().unwrap();
        assert!(answer(&names(), &udp(from, 999, to, 53, &good)).is_some());
        assert_eq!(answer(&names(), &udp(from, 999, to, 54, &good)), None);
        assert_eq!(answer(&names(), &udp(from, 0, to, 53, &good)), None);
    }

    proptest! {
        #[test]
        fn rubbish_is_survived(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            let answered = answer_message(&names(), &message);
            prop_assert!(answered.is_none_or(|answer| answer.len() <= message.len() + 64));
        }
    }
}
