use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const RUN: u64 = 1 << 32;

/// What the window should do, said in the simplest way.
#[derive(Default)]
struct Model {
    highest: u64,
    seen: BTreeSet<u64>,
}

impl Model {
    fn check(&self, n: u64) -> bool {
        n > 0 && u128::from(n) + u128::from(WINDOW) > self.highest.into() && !self.seen.contains(&n)
    }
    fn mark(&mut self, n: u64) {
        self.highest = self.highest.max(n);
        self.seen.insert(n);
    }
}

fn window_at(highest: u64) -> ReplayWindow {
    let mut window = ReplayWindow::new();
    window.mark(highest);
    window
}

#[test]
fn each_number_counts_once() {
    let mut window = ReplayWindow::new();
    assert!(!window.check(0));
    for n in 1..=5000 {
        assert!(window.check(n));
        window.mark(n);
        assert!(!window.check(n));
    }
}

#[test]
fn the_window_is_1024_wide() {
    let window = window_at(5000);
    assert!(window.check(5000 - 1023));
    assert!(!window.check(5000 - 1024));
    let mut full = ReplayWindow::new();
    (1..=1024).rev().for_each(|n| full.mark(n));
    assert!((1..=1024).all(|n| !full.check(n)));
}

#[test]
fn the_high_half_is_inferred_as_in_appendix_a() {
    let extend = |highest, low| window_at(highest).extend(low);
    // Case A: the window lies within one run.
    let within = 5 * RUN + 10_000;
    assert_eq!(extend(within, 10_000), Some(5 * RUN + 10_000));
    assert_eq!(extend(within, 10_000 - 1023), Some(within - 1023));
    assert_eq!(extend(within, 10_000 - 1024), Some(6 * RUN + 10_000 - 1024));
    assert_eq!(extend(within, u32::MAX), Some(6 * RUN - 1));
    assert_eq!(extend(within, 0), Some(6 * RUN));
    // Case B: it spans two.
    let across = 5 * RUN + 10;
    assert_eq!(extend(across, 11), Some(across + 1));
    assert_eq!(extend(across, u32::MAX), Some(5 * RUN - 1));
    assert_eq!(extend(across, 10u32.wrapping_sub(1023)), Some(across - 1023));
    assert_eq!(extend(across, 10u32.wrapping_sub(1024)), Some(across + RUN - 1024));
    // The edge between the two.
    assert_eq!(extend(5 * RUN + 1023, 0), Some(5 * RUN));
    assert_eq!(extend(5 * RUN + 1022, u32::MAX), Some(5 * RUN - 1));
}

#[test]
fn there_is_nothing_before_the_first_run_or_after_the_last() {
    assert_eq!(ReplayWindow::new().extend(1), Some(1));
    assert_eq!(ReplayWindow::new().extend(u32::MAX), None);
    assert_eq!(window_at(u64::MAX - 5).extend(0), None);
    assert_eq!(window_at(u64::MAX - 5).extend(u32::MAX), Some(u64::MAX));
}

#[test]
fn the_window_moves_across_the_wrap() {
    let mut window = window_at(RUN - 3);
    for n in RUN - 2..RUN + 3000 {
        assert_eq!(window.extend(n as u32), Some(n));
        assert!(window.check(n));
        window.mark(n);
        assert!(!window.check(n) && !window.check(n - 1));
    }
    let mut last = window_at(u64::MAX - 1);
    assert!(last.check(u64::MAX));
    last.mark(u64::MAX);
    assert!(!last.check(u64::MAX));
}

#[derive(Clone, Debug)]
enum Step {
    /// So far from the highest, up or down.
    Near(i64),
    Jump(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (-1100i64..40).prop_map(Step::Near),
        2 => (-3i64..3).prop_map(Step::Near),
        1 => (0u64..10_000).prop_map(Step::Jump),
        1 => any::<u32>().prop_map(|n| Step::Jump(n.into())),
    ]
}

proptest! {
    #[test]
    fn the_window_is_the_model(
        start in prop_oneof![Just(0u64), 1u64..5000, RUN - 2000..RUN + 2000, Just(u64::MAX - RUN)],
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let (mut window, mut model) = (ReplayWindow::new(), Model::default());
        if start > 0 {
            window.mark(start);
            model.mark(start);
        }
        for step in steps {
            let n = match step {
                Step::Near(by) => model.highest.saturating_add_signed(by),
                Step::Jump(by) => model.highest.saturating_add(by),
            };
            prop_assert_eq!(window.check(n), model.check(n), "{} at {}", n, model.highest);
            if model.check(n) {
                window.mark(n);
                model.mark(n);
            }
            prop_assert_eq!(window.highest(), model.highest);
        }
    }

    /// Whatever the sender sends within 2^32 of the window is recognised by its low half.
    #[test]
    fn the_inferred_number_is_the_one_sent(highest in RUN..u64::MAX - RUN, ahead in 0u64..RUN) {
        let sent = highest - u64::from(WINDOW - 1) + ahead;
        prop_assert_eq!(window_at(highest).extend(sent as u32), Some(sent));
    }

    #[test]
    fn the_inferred_number_has_the_low_half_received(highest: u64, low: u32) {
        if let Some(n) = window_at(highest).extend(low) {
            prop_assert_eq!(n as u32, low);
        }
    }
}
