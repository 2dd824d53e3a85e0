//! Random schedules: a world, a list of steps, and the calm after them, in which everything must be well again.

use crate::fault::Step;
use crate::harness::{LAB, Nat, Place, Seeded, Setup, World};
use ikeep::client::{Event, Order};
use ikeep::gateway::TokenFault;
use ikeep::time::Instant;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A world and what goes wrong in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
}

impl Case {
    /// What a seed gives.
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut random = Seeded::new(seed.wrapping_add(0x00fa_0170));
        let count = random.between(6, 16);
        Self { setup: Setup::drawn(seed), steps: (0..count).map(|_| Step::draw(&mut random)).collect() }
    }

    /// Plays it. Panics where the model does not hold.
    pub(crate) fn play(&self) -> World {
        let mut world = self.world();
        world.order_all(|_| Order::Connect);
        world.run_for(30 * SECOND);
        for laptop in &world.laptops {
            assert!(laptop.is_connected(), "no login in 30 s without any fault\n{}", world.history());
        }
        for (n, step) in self.steps.iter().enumerate() {
            step.fault.apply(&mut world, n % self.setup.laptops);
            world.run_for(Duration::from_millis(step.pause));
        }
        calm(&mut world);
        world
    }

    pub(crate) fn world(&self) -> World {
        let setup = &self.setup;
        let host = LAB.profile.hosts.first().expect("a host");
        let mut world = World::empty(setup.seed);
        world.add_site(|config| setup.gateway(config));
        for n in 0..3 {
            let mut place = Place::new(n);
            if setup.nat > 0 {
                place = place.behind(Nat::new(Duration::from_secs(setup.nat)));
            }
            // One place has no IPv6, one has nothing else.
            place.ipv6 = setup.ipv6 && n != 1;
            place.ipv4 = !(setup.ipv6 && n == 2);
            world.places.push(place);
        }
        for _ in 0..setup.laptops {
            let mut settings = World::settings(&LAB.profile, host).expect("the seed's host can be used");
            let families = if setup.ipv6 { 2 } else { 1 };
            settings.addresses = world.sites[0].addresses[..families].to_vec();
            setup.client(&mut settings);
            let i = world.add_laptop(settings, 0, 0);
            let laptop = &mut world.laptops[i];
            laptop.link.delay = setup.delay;
            laptop.echo_every = (setup.echo > 0).then(|| Duration::from_millis(setup.echo));
            laptop.model.impatient = true;
            laptop.model.reads_texts = setup.seed.is_multiple_of(8);
        }
        world
    }
}

/// Nothing goes wrong any more: who wants a connection has one soon, by token where there is one, and it carries traffic.
pub(crate) fn calm(world: &mut World) {
    let now = world.now;
    world.bystander = None;
    world.sites.iter_mut().for_each(|site| {
        site.down_until = None;
        site.gateway.faults().tokens = TokenFault::None;
    });
    world.places.iter_mut().for_each(|place| place.portal_until = None);
    (0..world.laptops.len())
        .for_each(|i| world.laptops[i].trusted_until = world.laptops[i].trusted_until.map(|_| now.at));
    for i in 0..world.laptops.len() {
        let laptop = &mut world.laptops[i];
        laptop.troubles.clear();
        laptop.crash_after = None;
        laptop.echo_every.get_or_insert(SECOND);
        laptop.next_echo = laptop.next_echo.min(now.at + SECOND);
        laptop.disturbed = laptop.deceived.max(now.at);
        // Whoever sleeps for days is woken.
        laptop.asleep_until = laptop.asleep_until.map(|until| until.min(now.at + SECOND));
        laptop.resume_at = laptop.resume_at.map(|at| at.min(now.at + SECOND));
        laptop.revive_at = laptop.revive_at.map(|at| at.min(now.at + SECOND));
        laptop.plug_at = laptop.plug_at.map(|at| at.min(now.at + SECOND));
        world.touch(i);
    }
    // Whatever can come back by itself has come back: longer than any limit of the model.
    let deceived = world.laptops.iter().map(|laptop| laptop.deceived.since(now.at)).max();
    world.run_for(deceived.unwrap_or_default().max(12 * SECOND));
    settle(world);
    let asks: Vec<usize> = world.laptops.iter().map(|l| l.count(|e| matches!(e, Event::Ask(_)))).collect();
    // The others need their person, and who is asked with a token that is dead without knowing it, twice.
    for _ in 0..2 {
        world.order_all(|_| Order::Connect);
        settle(world);
    }
    // Whoever is connected to nobody finds out within 7 s (law 8), and without a token asks the old SA to the end of the
    // retransmissions: twelve, 2 s apart at most. Then it is the person's turn.
    let end = world.now.at + 50 * SECOND;
    while world.now.at < end && !world.laptops.iter().all(|laptop| is_served(laptop, world.now.at)) {
        world.run_for(SECOND);
        // So it is where nothing comes back by itself.
        if world.laptops.iter().any(|laptop| ["auth-required", "disconnected"].contains(&laptop.state())) {
            world.order_all(|_| Order::Connect);
            settle(world);
        }
    }
    for (laptop, asks) in world.laptops.iter().zip(asks) {
        let asked = laptop.count(|e| matches!(e, Event::Ask(_))) - asks;
        assert!(laptop.is_connected(), "not connected in the calm\n{}", world.history());
        assert!(asked <= 1, "asked {asked} times\n{}", world.history());
        let age = laptop.last_echo_back.map(|at| world.now.at.since(at));
        assert!(age.is_some_and(|age| age <= 3 * SECOND), "no echo for {age:?}\n{}", world.history());
    }
    for site in &world.sites {
        let counters = site.gateway.counters();
        let sessions = counters.active + counters.inactive;
        let most = world.laptops.len() * (1 + world.laptops[0].count(|e| matches!(e, Event::Ask(_)))) + 12;
        assert!(sessions <= most, "the gateway holds {sessions} sessions");
        assert!(counters.half_open <= 32 * world.laptops.len(), "{} half open", counters.half_open);
    }
}

fn settle(world: &mut World) {
    let end = world.now.at + 185 * SECOND;
    while world.now.at < end && world.laptops.iter().any(waits) {
        world.run_for(SECOND);
    }
}

fn is_served(laptop: &crate::harness::Laptop, now: Instant) -> bool {
    laptop.is_connected() && laptop.last_echo_back.is_some_and(|at| now.since(at) <= 3 * SECOND)
}

/// It will be connected by itself.
fn waits(laptop: &crate::harness::Laptop) -> bool {
    let hopeless = ["connected", "disconnected", "auth-required"].contains(&laptop.state());
    !hopeless || laptop.client.is_none()
}
