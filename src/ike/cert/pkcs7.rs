//! PKCS#7 with certificates and nothing else (RFC 2315 9, "certs-only"): how EAP-AnyConnect carries a chain.

use super::{CertError, MAX_CERTIFICATES};

/// 1.2.840.113549.1.7.2, encoded with tag and length.
const SIGNED_DATA: [u8; 11] = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.7.1, encoded with tag and length: what is signed, which is nothing.
const DATA: [u8; 11] = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]` and `[1]`, constructed.
const FIRST: u8 = 0xa0;
const SECOND: u8 = 0xa1;

/// The chain as PKCS#7 DER, in the order given: the user's own first.
pub fn encode(chain: &[Vec<u8>]) -> Vec<u8> {
    let certificates = element(FIRST, &chain.concat());
    let version = [INTEGER, 1, 1];
    let empty = [SET, 0];
    let signed = [&version[..], &empty, &element(SEQUENCE, &DATA), &certificates, &empty].concat();
    let content = element(FIRST, &element(SEQUENCE, &signed));
    element(SEQUENCE, &[&SIGNED_DATA[..], &content].concat())
}

/// The certificates (DER) in their order, at most [`MAX_CERTIFICATES`]. What they say is not looked at.
///
/// # Errors
/// [`CertError::Malformed`], [`CertError::TooMany`], [`CertError::Missing`].
pub fn decode(der: &[u8]) -> Result<Vec<Vec<u8>>, CertError> {
    let mut rest =
        certificates(der).ok_or_else(|| CertError::Malformed("it is no chain in PKCS#7".into()))?;
    let mut chain = Vec::new();
    while !rest.is_empty() {
        let Some((_, after)) = take(rest, SEQUENCE) else {
            return Err(CertError::Malformed("something in its PKCS#7 is no certificate".into()));
        };
        if chain.len() == MAX_CERTIFICATES {
            return Err(CertError::TooMany(chain.len() + 1));
        }
        let (certificate, after) = rest.split_at(rest.len() - after.len());
        chain.push(certificate.to_vec());
        rest = after;
    }
    if chain.is_empty() { Err(CertError::Missing) } else { Ok(chain) }
}

/// The certificates one after the other. Lists of revoked ones and signatures may be there, and are not looked at.
fn certificates(der: &[u8]) -> Option<&[u8]> {
    let (info, []) = take(der, SEQUENCE)? else { return None };
    let (content, []) = take(info.strip_prefix(&SIGNED_DATA)?, FIRST)? else { return None };
    let (signed, []) = take(content, SEQUENCE)? else { return None };
    let (_version, rest) = take(signed, INTEGER)?;
    let (_digests, rest) = take(rest, SET)?;
    let (_signed, rest) = take(rest, SEQUENCE)?;
    let (certificates, rest) = take(rest, FIRST)?;
    let rest = take(rest, SECOND).map_or(rest, |(_revoked, rest)| rest);
    let (_signatures, []) = take(rest, SET)? else { return None };
    Some(certificates)
}

/// The content of the element with this tag at the beginning of `der`, and what follows. Lengths have the one form that DER
/// allows, of four octets at most.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(o, _)| o.len() <= 4)?;
    let length = octets.iter().fold(0_usize, |length, octet| length << 8 | usize::from(*octet));
    let shortest = length >= 0x80 && octets.first() != Some(&0);
    rest.split_at_checked(length).filter(|_| shortest)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|octet| **octet == 0).count();
            let octets = length.get(zeros..).unwrap_or_default();
            out.push(0x80 | octets.len() as u8);
            out.extend(octets);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_chain_is_refused() {
        let one = element(SEQUENCE, b"certificate");
        assert_eq!(decode(&encode(std::slice::from_ref(&one))), Ok(vec![one.clone()]));
        assert_eq!(decode(&encode(&[])), Err(CertError::Missing));
        assert_eq!(
            decode(&encode(&vec![one.clone(); MAX_CERTIFICATES])).map(|c| c.len()),
            Ok(MAX_CERTIFICATES)
        );
        let many = encode(&vec![one.clone(); MAX_CERTIFICATES + 1]);
        assert_eq!(decode(&many), Err(CertError::TooMany(MAX_CERTIFICATES + 1)));
        for wrong in [
            Vec::new(),
            one.clone(),
            [&encode(std::slice::from_ref(&one))[..], &[0]].concat(),
            encode(&[element(FIRST, b"an attribute certificate")]),
            // A length in more octets than it needs, and one of no end.
            [&[SEQUENCE, 0x81, 3][..], b"abc"].concat(),
            vec![SEQUENCE, 0x80, 0, 0],
            [&[SEQUENCE, 0x88][..], &[0xff; 8]].concat(),
        ] {
            assert!(matches!(decode(&wrong), Err(CertError::Malformed(_))), "{wrong:x?}");
        }
    }

    proptest! {
        #[test]
        fn chains_come_back_as_they_were(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..8)) {
            let chain: Vec<Vec<u8>> = contents.iter().map(|content| element(SEQUENCE, content)).collect();
            prop_assert_eq!(decode(&encode(&chain)), Ok(chain));
        }

        #[test]
        fn nothing_makes_it_panic_and_what_it_takes_it_would_write(mut octets in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..120, cut in 0_usize..120) {
            let _ = decode(&octets);
            octets = encode(&[element(SEQUENCE, &octets)]);
            let flipped = at % octets.len();
            octets[flipped] ^= 1 << (cut % 8);
            octets.truncate(octets.len() - cut % octets.len().min(3));
            if let Ok(chain) = decode(&octets) {
                prop_assert!(chain.iter().map(Vec::len).sum::<usize>() < octets.len());
            }
        }
    }
}
