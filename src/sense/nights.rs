//! One sleep, one end of it: two sources notice that a sleep is over, in any order, and either may be wrong.

use std::time::Duration;

/// The two clocks are not read at the same moment; a sleep is longer than this.
const SLEEP: Duration = Duration::from_millis(100);

/// What is known of sleep. Each answer is whether the end of one has to be told now.
#[derive(Debug)]
pub(super) struct Nights {
    /// How long the machine had been asleep, since it started, at the last look.
    slept: Duration,
    /// Sleep was announced, and its end not told yet.
    announced: bool,
}

impl Nights {
    pub(super) fn new(slept: Duration) -> Self {
        Self { slept, announced: false }
    }

    /// The civil clock has jumped. One that was set looks the same; only sleep makes the clocks differ more than before.
    pub(super) fn clock_jumped(&mut self, slept: Duration) -> bool {
        let asleep = self.has_grown(slept);
        if asleep {
            self.announced = false;
        }
        asleep
    }

    /// logind announces sleep.
    pub(super) fn near(&mut self) {
        self.announced = true;
    }

    /// logind says that it is over. Without an announcement and without a sleep there is nothing to tell: the clock was first.
    /// An announced sleep that was called off has an end too.
    pub(super) fn over(&mut self, slept: Duration) -> bool {
        let asleep = self.has_grown(slept);
        std::mem::take(&mut self.announced) || asleep
    }

    /// Nobody is left who would say that an announced sleep is over.
    pub(super) fn given_up(&mut self) -> bool {
        std::mem::take(&mut self.announced)
    }

    /// An announced sleep is awaited.
    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }

    fn has_grown(&mut self, slept: Duration) -> bool {
        let before = std::mem::replace(&mut self.slept, slept);
        slept > before + SLEEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// What was told after each step.
    fn story(steps: &[(&str, Duration)]) -> Vec<bool> {
        let mut nights = Nights::new(HOUR);
        let step = |&(what, slept): &(&str, Duration)| match what {
            "jump" => nights.clock_jumped(HOUR + slept),
            "over" => nights.over(HOUR + slept),
            "lost" => nights.given_up(),
            _ => {
                nights.near();
                false
            }
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn one_sleep_has_one_end_whoever_notices_first() {
        let (zero, one, two) = (Duration::ZERO, HOUR, 2 * HOUR);
        let first =
            [("near", zero), ("over", one), ("jump", one), ("near", one), ("jump", two), ("over", two)];
        assert_eq!(story(&first), [false, true, false, false, true, false]);
        // Without an announcement: logind is not there, or comes too late.
        assert_eq!(story(&[("jump", one), ("over", one), ("jump", two)]), [true, false, true]);
        assert_eq!(story(&[("over", one), ("jump", one)]), [true, false]);
    }

    #[test]
    fn a_sleep_that_was_called_off_is_over_too() {
        let zero = Duration::ZERO;
        assert_eq!(story(&[("near", zero), ("over", zero), ("over", zero)]), [false, true, false]);
        assert_eq!(story(&[("near", zero), ("lost", zero), ("over", zero)]), [false, true, false]);
    }

    #[test]
    fn a_clock_that_is_set_is_no_sleep() {
        let blink = Duration::from_millis(99);
        assert_eq!(story(&[("jump", Duration::ZERO), ("jump", blink)]), [false, false]);
        // Nor is it the end of one that is announced.
        assert_eq!(
            story(&[("near", Duration::ZERO), ("jump", Duration::ZERO), ("over", HOUR)]),
            [false, false, true]
        );
    }
}
