//! The inputs that fuzzing has kept (`fuzz/seeds`, one in base64 a line), replayed; and so many variations of each, made
//! from a number that is printed with what fails. No fuzzing: that runs for hours (see `fuzz/README.md`).

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bodies::{ALL, Check};
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Variations of each input.
const VARIATIONS: u64 = 200;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.throw() % u64::try_from(end.max(1)).expect("fits")).expect("less than end")
    }
}

/// Changes an input as a fuzzer does: octets, pieces taken out, doubled, or put in from another one.
fn vary(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(out.len() + 1);
        let end = (at + dice.below(16)).min(out.len());
        match dice.below(6) {
            0 if at < out.len() => out[at] ^= 1 << dice.below(8),
            1 if at < out.len() => out[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
            2 => drop(out.drain(at..end)),
            3 => {
                let piece = out[at..end].to_vec();
                out.splice(at..at, piece);
            }
            4 => {
                let from = dice.below(other.len() + 1);
                let piece = &other[from..(from + dice.below(64)).min(other.len())];
                out.splice(at..at, piece.iter().copied());
            }
            _ => out.truncate(at),
        }
    }
    out
}

fn replay(name: &str, check: Check) {
    let file = folder().join(format!("{name}.txt"));
    let text = fs::read_to_string(&file).expect("kept inputs for each target");
    let inputs: Vec<_> = text.lines().map(|line| BASE64_STANDARD.decode(line).expect("base64")).collect();
    assert!(!inputs.is_empty(), "{name} has no inputs");
    let run = |input: &[u8], from: &str| {
        if catch_unwind(|| check(input)).is_err() {
            panic!("{name} fails with {from}: {}", BASE64_STANDARD.encode(input));
        }
    };
    for (at, input) in inputs.iter().enumerate() {
        run(input, &format!("line {}", at + 1));
        for number in 0..VARIATIONS {
            let mut dice = Dice(u64::try_from(at).expect("few") << 32 | number);
            let other = &inputs[dice.below(inputs.len())];
            run(&vary(input, other, &mut dice), &format!("variation {number} of line {}", at + 1));
        }
    }
    println!("{name}: {} inputs, {VARIATIONS} variations of each", inputs.len());
}

#[test]
fn kept_inputs_and_their_variations_fail_nothing() {
    for (name, check) in ALL {
        replay(name, check);
    }
}

#[test]
fn each_target_is_built_and_has_inputs_and_there_are_no_others() {
    let expected: BTreeSet<_> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stems = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder");
        files
            .map(|file| file.expect("a file").path().file_stem().expect("a name").display().to_string())
            .collect()
    };
    assert_eq!(stems("fuzz/seeds"), expected);
    assert_eq!(stems("fuzz/fuzz_targets"), expected);
    let manifest = fs::read_to_string(folder().join("../Cargo.toml")).expect("a manifest");
    let named: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, expected);
}

/// A check that refuses nothing would pass everything above.
#[test]
fn what_fails_is_told_with_its_input() {
    let failed = catch_unwind(|| replay("socks", |_| panic!("on purpose"))).expect_err("it fails");
    let told = failed.downcast_ref::<String>().expect("a text");
    assert!(told.contains("socks fails with line 1: "), "{told}");
}
