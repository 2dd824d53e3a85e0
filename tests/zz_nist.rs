//! NIST's CAVS file for IKEv2 (900 cases of key derivation) through our PRFs.
//!
//! The file is not ours to distribute, so its path comes from `IKEEP_NIST_FAX`. A run without it has to say so where people
//! look: in its last lines. The usual harness hides what a passing test prints, hence none here (`harness = false`), and
//! the name makes this the last target that cargo runs.

use ikeep::crypto::Prf;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

const NAME: &str = "nist_cavs_ikev2";
const VARIABLE: &str = "IKEEP_NIST_FAX";
const CASES: usize = 900;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} test", usize::from(wanted(&arguments)));
    if !wanted(&arguments) {
        println!("\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out\n");
        return ExitCode::SUCCESS;
    }
    let Some(path) = std::env::var_os(VARIABLE) else {
        println!("test {NAME} ... ignored");
        println!("\ntest result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        println!(
            "\nLEFT OUT: the {CASES} NIST cases of IKEv2 key derivation. Set {VARIABLE} to the path of the file.\n"
        );
        return ExitCode::SUCCESS;
    };
    match check(Path::new(&path)) {
        Ok(tally) => {
            println!("test {NAME} ... ok");
            println!("\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
            println!("\nAll {CASES} NIST cases of IKEv2 key derivation hold: {tally}.\n");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("test {NAME} ... FAILED\n\n{}: {why}", Path::new(&path).display());
            println!("\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n");
            ExitCode::from(101)
        }
    }
}

/// `cargo test FILTER` reaches every target: with filters, one of them has to be part of the name.
fn wanted(arguments: &[String]) -> bool {
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    filters.peek().is_none() || filters.any(|filter| NAME.contains(filter.as_str()))
}

/// The file: sections of `[name]` and `[name = value]`, then cases of `name = hex` that begin with COUNT.
fn check(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut prf = None;
    let mut lengths = BTreeMap::new();
    let mut case: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().chain([(usize::MAX, "")]) {
        let at = |why: String| format!("line {}: {why}", number.saturating_add(1));
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        } else if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            match header.split_once(" = ") {
                Some((name, bits)) => {
                    lengths.insert(name, bits.parse::<usize>().map_err(|error| at(error.to_string()))?);
                }
                None => prf = Some(prf_of(header).ok_or_else(|| at(format!("unknown hash {header}")))?),
            }
        } else if let Some((name, value)) = line.split_once(" = ") {
            if name != "COUNT" {
                let octets = octets(value).ok_or_else(|| at(format!("{name} is not hex")))?;
                case.insert(name, octets);
            }
        } else if !line.is_empty() {
            return Err(at(format!("cannot read {line:?}")));
        } else if !case.is_empty() {
            let (name, prf) = prf.ok_or_else(|| at("a case without a hash".into()))?;
            check_case(prf, &lengths, &std::mem::take(&mut case)).map_err(at)?;
            *checked.entry(name).or_default() += 1;
        }
    }
    let total: usize = checked.values().sum();
    if total != CASES {
        return Err(format!("{total} cases, {CASES} are needed"));
    }
    let tally: Vec<String> = checked.iter().map(|(name, count)| format!("{name} {count}")).collect();
    Ok(tally.join(", "))
}

fn prf_of(name: &str) -> Option<(&'static str, Prf)> {
    let all = [
        ("SHA-1", Prf::HmacSha1),
        ("SHA-256", Prf::HmacSha256),
        ("SHA-384", Prf::HmacSha384),
        ("SHA-512", Prf::HmacSha512),
    ];
    all.into_iter().find(|(known, _)| *known == name)
}

/// RFC 7296 2.14 (SKEYSEED, DKM), 2.17 (the Child SA's, without and with DH) and 2.18 (rekey).
fn check_case(
    prf: Prf,
    lengths: &BTreeMap<&str, usize>,
    case: &BTreeMap<&str, Vec<u8>>,
) -> Result<(), String> {
    let get = |name: &str| case.get(name).map(Vec::as_slice).ok_or_else(|| format!("{name} is missing"));
    let bits = |name: &str| lengths.get(name).copied().ok_or_else(|| format!("[{name}] is missing"));
    let (ni, nr, shared, shared_new) = (get("Ni")?, get("Nr")?, get("g^ir")?, get("g^ir (new)")?);
    let nonces = [ni, nr].concat();
    let dkm_len = bits("DKM length")? / 8;
    let child_len = bits("Child SA DKM length")? / 8;

    let skeyseed = prf.compute(&nonces, &[shared]);
    let dkm = prf.plus(skeyseed.expose(), &[ni, nr, get("SPIi")?, get("SPIr")?], dkm_len);
    let sk_d = dkm.expose().get(..prf.len()).ok_or("the DKM is shorter than SK_d")?;
    for (name, found) in [
        ("SKEYSEED", &skeyseed),
        ("DKM", &dkm),
        ("DKM(Child SA)", &prf.plus(sk_d, &[ni, nr], child_len)),
        ("DKM(Child SA D-H)", &prf.plus(sk_d, &[shared_new, ni, nr], child_len)),
        ("SKEYSEED(Rekey)", &prf.compute(sk_d, &[shared_new, ni, nr])),
    ] {
        if found.expose() != get(name)? {
            return Err(format!("{name} differs, with {prf:?}"));
        }
    }
    Ok(())
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
