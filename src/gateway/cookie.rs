//! The stateless COOKIE of IKE_SA_INIT (RFC 7296 2.6): version | MAC(secret, Ni | IPi | SPIi).

use crate::crypto::{Prf, Random, Secret};
use crate::ike::message::Spi;
use crate::time::Instant;
use std::net::IpAddr;
use std::time::Duration;

/// A secret is used this long, and accepted as long again.
const SECRET_LIFE: Duration = Duration::from_secs(60);

/// The two secrets in use.
pub(super) struct Cookies {
    version: u8,
    current: Secret,
    previous: Option<Secret>,
    since: Instant,
}

impl Cookies {
    /// With a fresh secret.
    pub(super) fn new(now: Instant, random: &mut dyn Random) -> Self {
        Self { version: 0, current: draw(random), previous: None, since: now }
    }

    /// Changes the secret where it is old.
    pub(super) fn refresh(&mut self, now: Instant, random: &mut dyn Random) {
        let age = now.since(self.since);
        if age < SECRET_LIFE {
            return;
        }
        let old = std::mem::replace(&mut self.current, draw(random));
        self.previous = (age < SECRET_LIFE * 2).then_some(old);
        self.version = self.version.wrapping_add(1);
        self.since = now;
    }

    /// The cookie for this request.
    pub(super) fn make(&self, ni: &[u8], from: IpAddr, spi_i: &Spi) -> Vec<u8> {
        cookie(self.version, &self.current, ni, from, spi_i).expose().to_vec()
    }

    /// Did we make it, for this request, not long ago?
    pub(super) fn check(&self, data: &[u8], ni: &[u8], from: IpAddr, spi_i: &Spi) -> bool {
        let (version, secret) = match (data.first(), &self.previous) {
            (Some(v), _) if *v == self.version => (*v, &self.current),
            (Some(v), Some(old)) if *v == self.version.wrapping_sub(1) => (*v, old),
            _ => return false,
        };
        cookie(version, secret, ni, from, spi_i) == Secret::from(data)
    }
}

fn draw(random: &mut dyn Random) -> Secret {
    let mut octets = vec![0; 32];
    random.fill(&mut octets);
    Secret::new(octets)
}

fn cookie(version: u8, secret: &Secret, ni: &[u8], from: IpAddr, spi_i: &Spi) -> Secret {
    let address = match from {
        IpAddr::V4(a) => a.to_ipv6_mapped(),
        IpAddr::V6(a) => a,
    };
    // The nonce comes last: it is the only part of variable length.
    let mac = Prf::HmacSha256.compute(secret.expose(), &[&address.octets(), spi_i, ni]);
    Secret::new([&[version], mac.expose()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::testing::Dice;

    const NI: [u8; 32] = [7; 32];
    const SPI: Spi = [1; 8];

    fn at(secs: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(secs))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn counts_only_for_the_same_request() {
        let cookies = Cookies::new(at(0), &mut Dice::new(1));
        let made = cookies.make(&NI, ip(1), &SPI);
        assert!(made.len() <= 64);
        assert!(cookies.check(&made, &NI, ip(1), &SPI));
        assert!(!cookies.check(&made, &NI, ip(2), &SPI));
        assert!(!cookies.check(&made, &[8; 32], ip(1), &SPI));
        assert!(!cookies.check(&made, &NI, ip(1), &[2; 8]));
        assert!(!cookies.check(&made[..made.len() - 1], &NI, ip(1), &SPI));
        assert!(!cookies.check(&[], &NI, ip(1), &SPI));
    }

    #[test]
    fn lives_through_one_change_of_the_secret_and_not_two() {
        let mut dice = Dice::new(2);
        let mut cookies = Cookies::new(at(0), &mut dice);
        let made = cookies.make(&NI, ip(1), &SPI);
        cookies.refresh(at(59), &mut dice);
        assert_eq!(cookies.make(&NI, ip(1), &SPI), made);
        cookies.refresh(at(61), &mut dice);
        assert!(cookies.check(&made, &NI, ip(1), &SPI));
        assert_ne!(cookies.make(&NI, ip(1), &SPI), made);
        cookies.refresh(at(122), &mut dice);
        assert!(!cookies.check(&made, &NI, ip(1), &SPI));
    }

    #[test]
    fn a_secret_that_slept_too_long_is_not_kept() {
        let mut dice = Dice::new(3);
        let mut cookies = Cookies::new(at(0), &mut dice);
        let made = cookies.make(&NI, ip(1), &SPI);
        cookies.refresh(at(4000), &mut dice);
        assert!(!cookies.check(&made, &NI, ip(1), &SPI));
    }
}
