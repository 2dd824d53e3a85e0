//! The network between client and gateway: what it loses and how long it takes. It tells nobody.

use crate::crypto::Random;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// A line in both directions; perfect by default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// Nothing passes, neither way.
    pub down: bool,
    /// Client addresses that belong to networks which the client has left: nothing passes to or from them.
    pub left: BTreeSet<IpAddr>,
    /// Of a hundred datagrams so many are lost, each way.
    pub loss: u8,
    /// One way.
    pub delay: Duration,
}

impl Line {
    /// Does this datagram get through?
    pub fn passes(&self, client: IpAddr, random: &mut dyn Random) -> bool {
        !self.down
            && !self.left.contains(&client)
            && (self.loss == 0 || random.below(100) >= u64::from(self.loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u64);

    impl Random for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
        fn below(&mut self, bound: u64) -> u64 {
            self.0 += 1;
            self.0 % bound
        }
    }

    #[test]
    fn what_is_down_or_left_behind_passes_nothing() {
        let (home, elsewhere): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let mut random = Counting(0);
        let mut line = Line { left: BTreeSet::from([home]), ..Line::default() };
        assert!(!line.passes(home, &mut random));
        assert!(line.passes(elsewhere, &mut random));
        line.down = true;
        assert!(!line.passes(elsewhere, &mut random));
    }

    #[test]
    fn thirty_of_a_hundred_are_lost() {
        let mut random = Counting(0);
        let line = Line { loss: 30, ..Line::default() };
        let passed = (0..100).filter(|_| line.passes([127, 0, 0, 1].into(), &mut random)).count();
        assert_eq!(passed, 70);
    }
}
