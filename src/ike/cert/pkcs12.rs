//! The user's certificate and key from a PKCS#12 file (RFC 7292; .p12, .pfx), as OpenSSL, Windows and browsers write them: in DER,
//! with a MAC or without one, its parts in clear or protected by a passphrase (PBES2, or 3DES and RC2 of older programs).

use super::{OwnCertificateError as Error, parse};
use crate::crypto::{MacHash, OldCipher, Secret, SigningKey};
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier};
use pkcs8::der::{Decode, Encode as _, Reader, SliceReader, Tag, TagNumber, Tagged as _};
use pkcs8::pkcs5::EncryptionScheme;
use zeroize::Zeroizing;

/// Rounds that all of a file's parts may take together: seconds. OpenSSL takes 2048 for each, Windows as few.
const MAX_ROUNDS: u64 = 10_000_000;
/// Parts, of every kind, that a file may have.
const MAX_PARTS: usize = 128;
/// Longest salt, octets. OpenSSL takes 8 or 16, Windows 20.
const MAX_SALT: usize = 1024;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}
const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.1");
const LOCKED_KEY_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = oid("1.2.840.113549.1.12.10.1.3");
const X509: ObjectIdentifier = oid("1.2.840.113549.1.9.22.1");
const MACS: [(ObjectIdentifier, MacHash); 4] = [
    (oid("1.3.14.3.2.26"), MacHash::Sha1),
    (oid("2.16.840.1.101.3.4.2.1"), MacHash::Sha256),
    (oid("2.16.840.1.101.3.4.2.2"), MacHash::Sha384),
    (oid("2.16.840.1.101.3.4.2.3"), MacHash::Sha512),
];
const OLD: [(ObjectIdentifier, OldCipher); 3] = [
    (oid("1.2.840.113549.1.12.1.3"), OldCipher::TripleDes),
    (oid("1.2.840.113549.1.12.1.5"), OldCipher::Rc2Of128),
    (oid("1.2.840.113549.1.12.1.6"), OldCipher::Rc2Of40),
];

/// Whether a file is PKCS#12, by its content: a sequence that begins with the version 3.
pub(super) fn is_meant(file: &[u8]) -> bool {
    let header = match file {
        [0x30, ..=0x80, ..] => 2,
        [0x30, length @ 0x81..=0x84, ..] => 2 + usize::from(length & 0x7f),
        _ => return false,
    };
    file.get(header..).is_some_and(|rest| rest.starts_with(&[2, 1, 3]))
}

/// The certificates, DER, that of the key first and then those that issued it as far as they are there, and the key. The empty
/// passphrase is tried as well as `passphrase`: a file with none needs none.
pub(super) fn read(file: &[u8], passphrase: Option<&Secret>) -> Result<(Vec<Vec<u8>>, SigningKey), Error> {
    let pfx = Pfx::read(file)?;
    let mut rounds = MAX_ROUNDS;
    let empty = Secret::from(&b""[..]);
    let given = passphrase.filter(|given| !given.is_empty());
    for passphrase in given.into_iter().chain([&empty]) {
        let text = std::str::from_utf8(passphrase.expose()).map_err(|_| Error::Passphrase)?;
        let utf16 = text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes);
        let wide = Zeroizing::new(utf16.collect::<Vec<u8>>());
        // Some programs write none at all as nothing, not as an empty text.
        let forms: &[&[u8]] = if text.is_empty() { &[&wide, &[]] } else { &[&wide] };
        for wide in forms {
            let mut opener = Opener { text: passphrase.expose(), wide, rounds: &mut rounds };
            match pfx.open(&mut opener) {
                Err(Error::Passphrase) => {}
                found => return found.and_then(Found::choose),
            }
        }
    }
    Err(if passphrase.is_some() { Error::Passphrase } else { Error::Locked })
}

fn damaged<E>(_: E) -> Error {
    Error::Damaged(
        "the PKCS#12 file is cut off, or not in DER; openssl pkcs12 -in FILE -nodes tells more".into(),
    )
}

/// The parts of a sequence.
fn sequence(der: &[u8]) -> Result<Vec<AnyRef<'_>>, Error> {
    let outer = AnyRef::from_der(der).map_err(damaged)?;
    parts(outer, Tag::Sequence)
}

fn parts<'a>(outer: AnyRef<'a>, tag: Tag) -> Result<Vec<AnyRef<'a>>, Error> {
    if outer.tag() != tag {
        return Err(damaged(()));
    }
    let mut reader = SliceReader::new(outer.value()).map_err(damaged)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        if found.len() == MAX_PARTS {
            return Err(Error::Damaged(format!("the PKCS#12 file has more than {MAX_PARTS} parts")));
        }
        found.push(AnyRef::decode(&mut reader).map_err(damaged)?);
    }
    Ok(found)
}

/// What stands in `[0]`.
fn inside<'a>(outer: AnyRef<'a>) -> Result<AnyRef<'a>, Error> {
    let tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let [inner] = parts(outer, tag)?[..] else { return Err(damaged(())) };
    Ok(inner)
}

fn octets<'a>(part: AnyRef<'a>) -> Result<&'a [u8], Error> {
    if part.tag() == Tag::OctetString { Ok(part.value()) } else { Err(damaged(())) }
}

fn name(part: AnyRef<'_>) -> Result<ObjectIdentifier, Error> {
    part.decode_as().map_err(damaged)
}

/// Salt and rounds.
fn work<'a>(salt: AnyRef<'a>, rounds: Option<AnyRef<'_>>) -> Result<(&'a [u8], u32), Error> {
    let salt = octets(salt)?;
    let rounds = rounds.map_or(Ok(1), |rounds| rounds.decode_as::<u32>()).map_err(|_| TOO_MUCH)?;
    if salt.len() > MAX_SALT || rounds == 0 {
        return Err(TOO_MUCH);
    }
    Ok((salt, rounds))
}

const TOO_MUCH: Error = Error::Protection("its passphrase takes too much work");

/// A file, nothing of it verified.
struct Pfx<'a> {
    content: &'a [u8],
    mac: Option<Mac<'a>>,
}

struct Mac<'a> {
    hash: MacHash,
    mac: &'a [u8],
    salt: &'a [u8],
    rounds: u32,
}

impl<'a> Pfx<'a> {
    fn read(file: &'a [u8]) -> Result<Self, Error> {
        let outer = sequence(file)?;
        let (content, mac) = match outer[..] {
            [_, content] => (content, None),
            [_, content, mac] => (content, Some(Mac::read(mac)?)),
            _ => return Err(damaged(())),
        };
        let [kind, content] = parts(content, Tag::Sequence)?[..] else { return Err(damaged(())) };
        if name(kind)? != DATA {
            return Err(Error::Protection("signed, not with a passphrase"));
        }
        Ok(Self { content: octets(inside(content)?)?, mac })
    }

    /// [`Error::Passphrase`]: it is another one.
    fn open(&self, opener: &mut Opener<'_>) -> Result<Found, Error> {
        if let Some(Mac { hash, mac, salt, rounds }) = &self.mac {
            opener.charge(*rounds, 1)?;
            if !hash.verifies(opener.wide, salt, *rounds, self.content, mac) {
                return Err(Error::Passphrase);
            }
        }
        let mut found = Found::default();
        for content in sequence(self.content)? {
            let [kind, content] = parts(content, Tag::Sequence)?[..] else { return Err(damaged(())) };
            let content = inside(content)?;
            match name(kind)? {
                DATA => found.take(octets(content)?, opener)?,
                ENCRYPTED_DATA => {
                    let [_version, content, ..] = parts(content, Tag::Sequence)?[..] else {
                        return Err(damaged(()));
                    };
                    let [_kind, algorithm, text] = parts(content, Tag::Sequence)?[..] else {
                        return Err(damaged(()));
                    };
                    found.take(&opener.open(algorithm, text.value())?, opener)?;
                }
                _ => return Err(Error::Protection("with a public key, not with a passphrase")),
            }
        }
        Ok(found)
    }
}

impl<'a> Mac<'a> {
    fn read(mac: AnyRef<'a>) -> Result<Self, Error> {
        let (info, salt, rounds) = match parts(mac, Tag::Sequence)?[..] {
            [info, salt] => (info, salt, None),
            [info, salt, rounds] => (info, salt, Some(rounds)),
            _ => return Err(damaged(())),
        };
        let [algorithm, mac] = parts(info, Tag::Sequence)?[..] else { return Err(damaged(())) };
        let algorithm = parts(algorithm, Tag::Sequence)?;
        let algorithm = name(*algorithm.first().ok_or_else(|| damaged(()))?)?;
        let known = MACS.iter().find(|(oid, _)| *oid == algorithm);
        let hash = known.ok_or(Error::Protection("a MAC that is not known"))?.1;
        let (salt, rounds) = work(salt, rounds)?;
        Ok(Self { hash, mac: octets(mac)?, salt, rounds })
    }
}

/// A passphrase, and the work that is left for it.
struct Opener<'a> {
    text: &'a [u8],
    /// As the MAC and the older ciphers take it.
    wide: &'a [u8],
    rounds: &'a mut u64,
}

impl Opener<'_> {
    fn charge(&mut self, rounds: u32, times: u64) -> Result<(), Error> {
        let rest = self.rounds.checked_sub(u64::from(rounds) * times);
        *self.rounds = rest.ok_or(TOO_MUCH)?;
        Ok(())
    }

    fn open(&mut self, algorithm: AnyRef<'_>, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let described = parts(algorithm, Tag::Sequence)?;
        let kind = name(*described.first().ok_or_else(|| damaged(()))?)?;
        if let Some((_, cipher)) = OLD.iter().find(|(oid, _)| *oid == kind) {
            let [_, parameters] = described[..] else { return Err(damaged(())) };
            let [salt, rounds] = parts(parameters, Tag::Sequence)?[..] else { return Err(damaged(())) };
            let (salt, rounds) = work(salt, Some(rounds))?;
            self.charge(rounds, 3)?;
            return cipher.decrypt(self.wide, salt, rounds, text).ok_or(Error::Passphrase);
        }
        let der = algorithm.to_der().map_err(damaged)?;
        let unknown = Error::Protection("not PBES2, 3DES or RC2");
        let Ok(EncryptionScheme::Pbes2(parameters)) = EncryptionScheme::from_der(&der) else {
            return Err(unknown);
        };
        let pbkdf2 = parameters.kdf.pbkdf2().ok_or(Error::Protection("scrypt"))?;
        self.charge(pbkdf2.iteration_count, 2)?;
        parameters.decrypt(self.text, text).map(Zeroizing::new).map_err(|error| match error {
            pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. } => {
                Error::Protection("PBES2 with 3DES, DES or SHA-1")
            }
            _ => Error::Passphrase,
        })
    }
}

/// What a file has.
#[derive(Default)]
struct Found {
    certificates: Vec<Vec<u8>>,
    keys: Vec<Zeroizing<Vec<u8>>>,
}

impl Found {
    fn take(&mut self, contents: &[u8], opener: &mut Opener<'_>) -> Result<(), Error> {
        for bag in sequence(contents)? {
            let bag = parts(bag, Tag::Sequence)?;
            let [kind, content, ..] = bag[..] else { return Err(damaged(())) };
            let content = inside(content)?;
            match name(kind)? {
                KEY_BAG => self.keys.push(Zeroizing::new(content.to_der().map_err(damaged)?)),
                LOCKED_KEY_BAG => {
                    let [algorithm, text] = parts(content, Tag::Sequence)?[..] else {
                        return Err(damaged(()));
                    };
                    self.keys.push(opener.open(algorithm, octets(text)?)?);
                }
                CERTIFICATE_BAG => {
                    let [kind, content] = parts(content, Tag::Sequence)?[..] else { return Err(damaged(())) };
                    if name(kind)? == X509 {
                        self.certificates.push(octets(inside(content)?)?.to_vec());
                    }
                }
                // Revocation lists, other secrets.
                _ => {}
            }
            if self.certificates.len() + self.keys.len() > MAX_PARTS {
                return Err(Error::Damaged(format!("the PKCS#12 file has more than {MAX_PARTS} parts")));
            }
        }
        Ok(())
    }

    /// The first key that has a certificate, with it and those that issued it.
    fn choose(self) -> Result<(Vec<Vec<u8>>, SigningKey), Error> {
        let keys: Vec<SigningKey> =
            self.keys.iter().filter_map(|key| SigningKey::from_pkcs8(key).ok()).collect();
        if keys.is_empty() {
            return Err(Error::NoKey);
        }
        let first = self.certificates.first().ok_or(Error::NoCertificateInside)?;
        let first = parse(first).map_err(|error| Error::Damaged(error.to_string()))?;
        let of = |key: &SigningKey| {
            let is = |der: &Vec<u8>| parse(der).is_ok_and(|cert| key.belongs_to(cert.public_key().raw));
            self.certificates.iter().find(|der| is(der))
        };
        let pair = keys.into_iter().find_map(|key| Some((of(&key)?.clone(), key)));
        let (leaf, key) = pair.ok_or_else(|| Error::Mismatch(super::show_name(first.subject())))?;
        let mut chain = vec![leaf];
        while let Some(next) = self.issuer(&chain) {
            if chain.len() == super::MAX_CERTIFICATES {
                return Err(Error::TooMany);
            }
            chain.push(next);
        }
        Ok((chain, key))
    }

    /// Whoever issued the last one, unless it stands in the chain.
    fn issuer(&self, chain: &[Vec<u8>]) -> Option<Vec<u8>> {
        let last = parse(chain.last()?).ok()?;
        let is = |der: &&Vec<u8>| {
            !chain.contains(der) && parse(der).is_ok_and(|cert| cert.subject() == last.issuer())
        };
        self.certificates.iter().find(is).cloned()
    }
}

#[cfg(test)]
mod tests;
