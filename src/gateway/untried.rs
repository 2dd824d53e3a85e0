//! Pairs of ESP SAs that a rekey of the client's, or of ours, has made and that the client has not used yet. More than one where
//! rekeys have crossed.

/// Inbound SPIs, oldest first. Each answer names the pair to send on from now on.
#[derive(Debug, Default)]
pub(super) struct Untried(Vec<u32>);

impl Untried {
    /// A new pair receives only.
    pub(super) fn add(&mut self, spi_in: u32) {
        self.0.push(spi_in);
    }

    /// The client has used this pair. What is older has lost, or is replaced by it.
    pub(super) fn used(&mut self, spi_in: u32) -> Option<u32> {
        let at = self.0.iter().position(|untried| *untried == spi_in)?;
        self.0.drain(..=at);
        Some(spi_in)
    }

    /// This pair is gone. Where it was in use the newest that waits takes its place.
    pub(super) fn gone(&mut self, spi_in: u32) -> Option<u32> {
        if let Some(at) = self.0.iter().position(|untried| *untried == spi_in) {
            self.0.remove(at);
            return None;
        }
        let newest = *self.0.last()?;
        self.used(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (pairs made, the one that goes unused, who is promoted when the old one goes)
    #[test]
    fn of_crossed_rekeys_the_one_that_stays_is_sent_on() {
        for (made, lost, stays) in [([10, 20], 20, 10), ([10, 20], 10, 20)] {
            let mut untried = Untried::default();
            made.into_iter().for_each(|spi| untried.add(spi));
            assert_eq!(untried.gone(lost), None, "nobody was promoted by the end of what was never used");
            assert_eq!(untried.gone(1), Some(stays), "the old pair is gone");
            assert_eq!(untried.gone(2), None);
        }
    }

    #[test]
    fn a_pair_is_sent_on_when_the_client_uses_it() {
        let mut untried = Untried::default();
        untried.add(10);
        untried.add(20);
        assert_eq!(untried.used(1), None);
        assert_eq!(untried.used(20), Some(20));
        assert_eq!(untried.used(10), None, "replaced");
        assert_eq!(untried.gone(1), None);
    }
}
