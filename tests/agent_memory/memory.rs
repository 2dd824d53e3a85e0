//! All that a process has in its memory, searched for octets that should not be there.

use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

/// So much of a mapping is read at a time; octets.
const PIECE: usize = 1 << 20;
/// So much of what stands around a finding is shown; octets each side.
const AROUND: usize = 48;
/// Octets that are not found by chance.
const SHORTEST: usize = 8;
/// So many octets of what has been freed belong to the allocator.
const FREED: usize = 16;
/// More copies than this of one secret are not told one by one.
const SHOWN: usize = 12;

/// What is searched for, each in every form in which it would still be a secret.
#[derive(Default)]
pub(crate) struct Wanted {
    needles: Vec<(String, Vec<u8>)>,
}

impl Wanted {
    /// A secret of at least eight octets: shorter ones are found by chance.
    pub(crate) fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= SHORTEST, "{name} is too short to be searched for");
        let hex: String = secret.iter().map(|octet| format!("{octet:02x}")).collect();
        let wide: Vec<u8> = secret.iter().flat_map(|octet| [*octet, 0]).collect();
        // An allocator writes its list over the first octets of what is freed.
        let rest = secret.get(FREED..).unwrap_or_default().to_vec();
        let (second, third) = (base64_at(1, secret), base64_at(2, secret));
        let forms = [
            ("as it is", secret.to_vec()),
            ("hex", hex.clone().into_bytes()),
            ("HEX", hex.to_uppercase().into_bytes()),
            ("base64", base64(secret).into_bytes()),
            ("UTF-16", wide),
            ("all but its first 16 octets", rest),
            ("base64, in a longer text", base64_at(0, secret)),
            ("base64, after an octet", second),
            ("base64, after two octets", third),
        ];
        for (form, octets) in forms.into_iter().filter(|(_, octets)| octets.len() >= SHORTEST) {
            if !self.needles.iter().any(|(_, known)| *known == octets) {
                self.needles.push((format!("{name} ({form})"), octets));
            }
        }
    }

    /// Which of them stand in a text.
    pub(crate) fn of(&self, text: &[u8]) -> Vec<&str> {
        let stands = |needle: &[u8]| text.windows(needle.len()).any(|part| part == needle);
        self.needles.iter().filter(|(_, needle)| stands(needle)).map(|(name, _)| name.as_str()).collect()
    }

    /// Where they are in the memory of this process: each finding with what stands around it.
    pub(crate) fn search(&self, process: i32) -> Result<Findings> {
        // The first two octets tell almost every place apart at once.
        let mut begins = vec![false; 1 << 16];
        for (_, needle) in &self.needles {
            begins[pair(needle, 0)] = true;
        }
        let longest = self.needles.iter().map(|(_, needle)| needle.len()).max().unwrap_or_default();
        let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let memory = File::open(format!("/proc/{process}/mem"))
            .with_context(|| format!("the memory of process {process}"))?;
        let mut found = Findings::default();
        for line in maps.lines() {
            let (range, rest) = line.split_once(' ').context("a mapping")?;
            // What the kernel lends has nothing of the process, and some of it cannot be read.
            if !rest.starts_with('r') || rest.contains("[v") {
                continue;
            }
            let (from, to) = range.split_once('-').context("a range")?;
            let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
            let place = rest.split_whitespace().nth(4).unwrap_or("anonymous");
            let mut at = from;
            while at < to {
                let wanted = usize::try_from((to - at).min(u64::try_from(PIECE + longest)?))?;
                let mut piece = vec![0; wanted];
                // A mapping beyond the end of its file.
                if memory.read_exact_at(&mut piece, at).is_err() {
                    break;
                }
                found.octets += u64::try_from(piece.len().min(PIECE))?;
                self.search_piece(&piece, &begins, (at, place), &mut found);
                at += u64::try_from(PIECE)?;
            }
        }
        ensure!(found.octets > 1 << 20, "only {} octets of memory were read", found.octets);
        Ok(found)
    }

    fn search_piece(&self, piece: &[u8], begins: &[bool], (start, place): (u64, &str), found: &mut Findings) {
        let last = piece.len().saturating_sub(1).min(PIECE);
        let mut at = 0;
        while at < last {
            if begins[pair(piece, at)] {
                for (name, needle) in &self.needles {
                    if piece[at..].starts_with(needle) {
                        found.names.insert(name.clone());
                        let around =
                            &piece[at.saturating_sub(AROUND)..(at + needle.len() + AROUND).min(piece.len())];
                        let count = found.copies.iter().filter(|(known, _)| known == name).count();
                        if count < SHOWN {
                            let text = format!("{place} at {:x}: {}", start + at as u64, readable(around));
                            found.copies.push((name.clone(), text));
                        }
                    }
                }
            }
            at += 1;
        }
    }
}

/// What a search gave.
#[derive(Default)]
pub(crate) struct Findings {
    /// Octets of memory that were looked at.
    pub(crate) octets: u64,
    names: BTreeSet<String>,
    copies: Vec<(String, String)>,
}

impl Findings {
    /// Whether a secret of this name is there, in whatever form.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|found| found.starts_with(name))
    }

    /// All that was found but these, with what stands around it; empty where there is nothing.
    pub(crate) fn beside(&self, allowed: &[&str]) -> String {
        let others =
            self.copies.iter().filter(|(name, _)| !allowed.iter().any(|known| name.starts_with(known)));
        others.map(|(name, text)| format!("{name} in {text}\n")).collect()
    }
}

fn pair(octets: &[u8], at: usize) -> usize {
    usize::from(octets[at]) << 8 | usize::from(octets[at + 1])
}

fn readable(octets: &[u8]) -> String {
    let shown = |octet: &u8| if (0x20..0x7f).contains(octet) { char::from(*octet) } else { '.' };
    octets.iter().map(shown).collect()
}

/// Of base64 of a text in which the octets stand so many octets after a multiple of three: the digits that no neighbour changes.
fn base64_at(after: usize, octets: &[u8]) -> Vec<u8> {
    let text = base64(&[&[0; 2][..after], octets].concat()).into_bytes();
    // Each digit has six bits; the first of ours begins at bit 8 * after.
    let (first, last) = ((8 * after).div_ceil(6), 8 * (after + octets.len()) / 6);
    text[first..last].to_vec()
}

/// RFC 4648 4.
fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits =
            three.iter().fold(0, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[test]
fn forms_are_what_they_are_called() {
    let mut wanted = Wanted::default();
    wanted.add("x", b"foobarfoo!");
    let texts: Vec<&[u8]> = wanted.needles.iter().map(|(_, octets)| octets.as_slice()).collect();
    assert_eq!(texts[1..3], [&b"666f6f626172666f6f21"[..], b"666F6F626172666F6F21"]);
    assert_eq!(texts[3], b"Zm9vYmFyZm9vIQ==");
    assert_eq!(texts[4], b"f\0o\0o\0b\0a\0r\0f\0o\0o\0!\0");
    // "foobarfoo!" is too short to lose 16 octets; "-foobarfoo!-" and "--foobarfoo!-" by another program's hands.
    assert_eq!(texts[5], b"Zm9vYmFyZm9vI");
    assert!(b"LWZvb2JhcmZvbyEt".windows(texts[6].len()).any(|part| part == texts[6]), "{texts:?}");
    assert!(b"LS1mb29iYXJmb28hLQ==".windows(texts[7].len()).any(|part| part == texts[7]), "{texts:?}");
    assert!(texts[6].len() >= 12 && texts[7].len() >= 12);
}

/// What is searched for is found where it was put, whole or with its head overwritten: in this very process.
#[test]
fn what_is_there_is_found() -> Result<()> {
    let text = b"A c4nary in the memory of this process.";
    let secret: Vec<u8> = text.iter().map(|octet| octet ^ 0x15).collect();
    let mut freed = secret.clone();
    freed[..FREED].fill(0);
    let freed = std::hint::black_box(freed);
    let mut wanted = Wanted::default();
    wanted.add("canary", &secret);
    wanted.needles.retain(|(name, _)| name.contains("all but"));
    let here = i32::try_from(std::process::id())?;
    // The needle itself, the secret and what was freed.
    let found = wanted.search(here)?;
    assert!(found.copies.len() >= 3, "{}", found.beside(&[]));
    drop(freed);
    Ok(())
}
