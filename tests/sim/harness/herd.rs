//! Ten thousand laptops that one gateway cuts off at once, and how they come back.

use super::lab::LAB;
use super::nat::Place;
use super::setup::Setup;
use super::world::World;
use ikeep::client::Order;
use ikeep::crypto::{Encr, Prf, Random};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Logins are spread over this, and so are the phases of the idle laptops' liveness checks.
const MORNING: u64 = 120;
/// So long the gateway is away.
pub(crate) const OUTAGE: u64 = 60;
/// The last one is in so soon after the gateway's return, or the herd has failed.
pub(crate) const LIMIT: u64 = 90;

/// What came of it. Seconds count from the beginning of the outage.
pub(crate) struct Herd {
    pub(crate) laptops: usize,
    /// IKE_SA_INIT requests that came to the gateway's address in each second, repetitions included, whether it was up or not.
    pub(crate) arrivals: Vec<u64>,
    /// From the gateway's return to the last session's.
    pub(crate) last: Duration,
    /// Times that AAA was asked: once each, at the login.
    pub(crate) aaa: u64,
}

impl Herd {
    /// Everybody logs in, the gateway goes away for a minute, and everybody comes back.
    pub(crate) fn run(laptops: usize, jitter: bool) -> Self {
        let mut world = stable(laptops, jitter);
        let begin = world.now.at;
        world.sites[0].arrivals = Some(Vec::new());
        world.sites[0].returns.clear();
        world.sites[0].go_down(begin, Duration::from_secs(OUTAGE));
        let end = begin + Duration::from_secs(OUTAGE + LIMIT + 30);
        while world.now.at < end && world.sites[0].returns.len() < laptops {
            world.run_for(SECOND);
        }
        let site = &world.sites[0];
        let per_second = |times: &[ikeep::time::Instant]| {
            let mut counts = vec![0u64; (OUTAGE + LIMIT + 31) as usize];
            for at in times {
                counts[at.since(begin).as_secs() as usize] += 1;
            }
            counts
        };
        assert_eq!(site.returns.len(), laptops, "all of them came back, once each");
        let back = site.returns.iter().max().copied().unwrap_or(begin);
        Self {
            laptops,
            arrivals: per_second(site.arrivals.as_deref().unwrap_or_default()),
            last: back.since(begin + Duration::from_secs(OUTAGE)),
            aaa: site.gateway.counters().aaa_requests,
        }
    }

    /// The seconds in which the herd arrives: from the gateway's return to the last one's.
    fn window(&self) -> &[u64] {
        let from = OUTAGE as usize;
        &self.arrivals[from..=from + self.last.as_secs() as usize]
    }

    pub(crate) fn peak(&self) -> u64 {
        self.window().iter().copied().max().unwrap_or(0)
    }

    pub(crate) fn mean(&self) -> f64 {
        self.window().iter().sum::<u64>() as f64 / self.window().len() as f64
    }

    /// The most that came in any second of outage and return.
    pub(crate) fn highest(&self) -> u64 {
        self.arrivals.iter().copied().max().unwrap_or(0)
    }
}

/// Everybody logged in, idle, for longer than any liveness interval.
fn stable(laptops: usize, jitter: bool) -> World {
    let mut world = World::empty(7);
    let setup = Setup::plain(7);
    world.add_site(|config| {
        setup.gateway(config);
        config.pool4 = ([10, 100, 0, 1].into(), [10, 100, 255, 250].into());
    });
    world.places.push(Place::new(0));
    let host = LAB.profile.hosts.first().expect("a host");
    let mut orders = Vec::new();
    for n in 0..laptops {
        let mut settings = World::settings(&LAB.profile, host).expect("the seed's host can be used");
        settings.addresses = world.sites[0].addresses[..1].to_vec();
        setup.client(&mut settings);
        settings.ike.encr = vec![Encr::AesGcm128];
        settings.ike.prf = vec![Prf::HmacSha256];
        settings.ike.groups.truncate(1);
        let i = world.add_laptop(settings, 0, 0);
        let (now, seed) = (world.now, world.random.u64());
        let laptop = &mut world.laptops[i];
        if !jitter {
            laptop.without_jitter(now, seed);
            world.roam_to(i, 0);
        }
        let laptop = &mut world.laptops[i];
        laptop.forgetful = true;
        laptop.model.reads_texts = false;
        laptop.link.delay = 5 + (n as u64 % 50);
        orders.push((world.random.below(MORNING * 1000), i));
    }
    orders.sort_unstable();
    let begin = world.now.at;
    for (at, i) in orders {
        world.run_until(begin + Duration::from_millis(at));
        world.order_of(i, Order::Connect);
    }
    world.run_for(45 * SECOND);
    let up = world.laptops.iter().filter(|laptop| laptop.is_connected()).count();
    assert_eq!(up, laptops, "everybody is connected before the outage");
    world
}
