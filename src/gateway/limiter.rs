//! How much one peer may make the gateway talk about it.

use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

const PER_WINDOW: u32 = 5;
const WINDOW: Duration = Duration::from_secs(1);
/// Peers remembered at once; the others are not talked about until some are forgotten.
const PEERS: usize = 256;

/// At most five lines a second and peer.
#[derive(Default)]
pub(super) struct Limiter {
    peers: BTreeMap<IpAddr, (Instant, u32)>,
}

impl Limiter {
    /// May another line about this peer be told?
    pub(super) fn allow(&mut self, now: Instant, peer: IpAddr) -> bool {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&peer) {
            self.peers.retain(|_, (since, _)| now.since(*since) < WINDOW);
            if self.peers.len() >= PEERS {
                return false;
            }
        }
        let (since, count) = self.peers.entry(peer).or_insert((now, 0));
        if now.since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= PER_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_boot(Duration::from_millis(millis))
    }

    #[test]
    fn five_a_second_and_peer() {
        let mut limiter = Limiter::default();
        let one = IpAddr::from([10, 0, 0, 1]);
        assert_eq!((0..20).filter(|_| limiter.allow(at(0), one)).count(), 5);
        assert!(limiter.allow(at(0), IpAddr::from([10, 0, 0, 2])));
        assert!(!limiter.allow(at(999), one));
        assert!(limiter.allow(at(1000), one));
    }

    #[test]
    fn many_peers_do_not_grow_it() {
        let mut limiter = Limiter::default();
        let told = (0..10_000u32).filter(|n| limiter.allow(at(0), IpAddr::from(n.to_be_bytes()))).count();
        assert_eq!(told, PEERS);
        assert_eq!(limiter.peers.len(), PEERS);
        assert!(limiter.allow(at(1000), IpAddr::from([99, 0, 0, 0])));
        assert_eq!(limiter.peers.len(), 1);
    }
}
