//! Many schedules on all cores; a failing one is cut down and printed, so that it can be kept.
//!
//! `IKEEP_SIM_SCHEDULES=20000 cargo test --release --test sim -- schedules --nocapture` for a long run (from
//! `IKEEP_SIM_FIRST`), `IKEEP_SIM_SEED=17` for one seed with its history. Kept cases lie in `tests/sim/kept/`.

use crate::harness::{Coverage, World};
use crate::schedule::Case;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const SCHEDULES: u64 = 2000;
/// From so many schedules on, every transition that the model allows must have been seen.
const LONG: u64 = 20_000;
/// So many failing seeds are cut down and told.
const FAILURES: usize = 2;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Panics of schedules are caught and told once, at the end.
fn hush() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
}

/// Plays a case; what the model said where it does not hold.
pub(crate) fn attempt(case: &Case) -> Result<World, String> {
    hush();
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| case.play()));
    QUIET.set(false);
    result.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or("a panic", |text| *text).to_owned(),
    })
}

/// The same failure? Its figures may differ.
fn kind(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).take(80).collect()
}

/// Delta debugging over the steps: the shortest list found that still fails in the same way.
pub(crate) fn shrink(case: &Case, failure: &str) -> (Case, String) {
    let wanted = kind(failure);
    let mut best = (case.clone(), failure.to_owned());
    let fails = |case: &Case| attempt(case).err().filter(|text| kind(text) == wanted);
    let mut size = best.0.steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        while at < best.0.steps.len() {
            let mut less = best.0.clone();
            less.steps.drain(at..(at + size).min(less.steps.len()));
            match fails(&less) {
                Some(text) => best = (less, text),
                None => at += size,
            }
        }
        if size == 1 {
            break;
        }
        size = size.div_ceil(2);
    }
    // Then one laptop, and shorter pauses.
    let mut less = best.0.clone();
    less.setup.laptops = 1;
    if let Some(text) = fails(&less) {
        best = (less, text);
    }
    for at in 0..best.0.steps.len() {
        for pause in [0, best.0.steps[at].pause / 2] {
            let mut less = best.0.clone();
            less.steps[at].pause = pause;
            if let Some(text) = fails(&less) {
                best = (less, text);
                break;
            }
        }
    }
    best
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Seeds `first .. first + count` on all cores.
fn run(first: u64, count: u64) -> (Coverage, Vec<(u64, String)>) {
    let next = AtomicU64::new(first);
    let found = Mutex::new((Coverage::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let result = attempt(&Case::drawn(seed));
                    let mut found = found.lock().expect("no thread panics with it");
                    match result {
                        Ok(world) => found.0.add(&world.coverage),
                        Err(text) => found.1.push((seed, text)),
                    }
                }
            });
        }
    });
    let (coverage, mut failures) = found.into_inner().expect("no thread panics with it");
    failures.sort();
    (coverage, failures)
}

#[test]
fn schedules() {
    if let Some(seed) = number("IKEEP_SIM_SEED") {
        let case = Case::drawn(seed);
        println!("{case:#?}");
        println!("{}", case.play().history());
        return;
    }
    let count = number("IKEEP_SIM_SCHEDULES").unwrap_or(SCHEDULES);
    let (coverage, failures) = run(number("IKEEP_SIM_FIRST").unwrap_or(0), count);
    println!("{}", coverage.table());
    for (seed, text) in &failures {
        println!("seed {seed}: {}", text.lines().next().unwrap_or_default());
    }
    for (seed, text) in failures.iter().take(FAILURES) {
        let (case, text) = shrink(&Case::drawn(*seed), text);
        let json = serde_json::to_string_pretty(&case).expect("a case is data");
        println!("seed {seed}, cut down to {} steps: {text}", case.steps.len());
        println!("keep it as tests/sim/kept/{seed}.json:\n{json}\n");
    }
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    assert!(failures.is_empty(), "{} of {count} schedules failed: {seeds:?}", seeds.len());
    let unseen = coverage.unseen();
    println!("{count} schedules; never seen: {unseen:?}");
    assert!(count < LONG || unseen.is_empty(), "allowed by the model and never seen: {unseen:?}");
}

#[test]
fn kept_cases() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sim/kept");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a kept case");
        let case: Case =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if let Err(text) = attempt(&case) {
            panic!("{}: {text}", file.display());
        }
    }
}

#[test]
fn a_seed_replays_exactly() {
    let picture = |seed| {
        let world = attempt(&Case::drawn(seed)).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
        let events: Vec<_> =
            world.events.iter().map(|(at, event)| (*at, std::mem::discriminant(event))).collect();
        format!("{:?} {events:?}", world.now)
    };
    for seed in [3, 7, 49] {
        assert_eq!(picture(seed), picture(seed), "seed {seed}");
    }
}
