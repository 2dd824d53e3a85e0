//! Random schedules: loss, delay, partition, roaming, sleep, gateway restart, crash.

use crate::world::{Link, World};
use ikeep::client::{Event, Order};
use ikeep::crypto::Random;
use std::time::Duration;

/// One thing that goes wrong.
#[derive(Debug)]
enum Fault {
    Roam,
    Flap { times: u64, every: u64 },
    Offline { ms: u64 },
    Cut { ms: u64 },
    Lossy { per_mille: u64, ms: u64 },
    Slow { delay: u64, jitter: u64, ms: u64 },
    Corrupt { ms: u64 },
    Sleep { ms: u64, announced: bool },
    RestartKeeping,
    Crash { ms: u64 },
    UserReconnect,
    Quiet { ms: u64 },
    Idle { ms: u64 },
}

fn draw(world: &mut World) -> Fault {
    let r = &mut world.random;
    match r.below(13) {
        0 => Fault::Roam,
        1 => Fault::Flap { times: r.between(2, 10), every: r.between(1, 200) },
        2 => Fault::Offline { ms: r.between(10, 120_000) },
        3 => Fault::Cut { ms: r.between(100, 60_000) },
        4 => Fault::Lossy { per_mille: r.between(50, 300), ms: r.between(1_000, 30_000) },
        5 => {
            Fault::Slow { delay: r.between(20, 300), jitter: r.between(0, 200), ms: r.between(1_000, 20_000) }
        }
        6 => Fault::Corrupt { ms: r.between(1_000, 20_000) },
        7 => Fault::Sleep { ms: r.between(1_000, 700_000), announced: r.chance(700) },
        8 => Fault::RestartKeeping,
        9 => Fault::Crash { ms: r.between(1, 60_000) },
        10 => Fault::UserReconnect,
        11 => Fault::Quiet { ms: r.between(1_000, 90_000) },
        _ => Fault::Idle { ms: r.between(1_000, 90_000) },
    }
}

fn apply(world: &mut World, fault: &Fault) {
    let good = Link::default();
    let ms = Duration::from_millis;
    match *fault {
        Fault::Roam => world.roam(),
        Fault::Flap { times, every } => {
            for _ in 0..times {
                if world.random.chance(300) {
                    world.unplug();
                    world.run_for(ms(every));
                }
                world.roam();
                world.run_for(ms(every));
            }
        }
        Fault::Offline { ms: time } => {
            world.unplug();
            world.run_for(ms(time));
            world.roam();
        }
        Fault::Cut { ms: time } => {
            world.link.cut = true;
            world.run_for(ms(time));
            world.link = good;
        }
        Fault::Lossy { per_mille, ms: time } => {
            world.link = Link { loss: per_mille, ..good };
            world.run_for(ms(time));
            world.link = good;
        }
        Fault::Slow { delay, jitter, ms: time } => {
            world.link = Link { delay, jitter, duplicate: 100, ..good };
            world.run_for(ms(time));
            world.link = good;
        }
        Fault::Corrupt { ms: time } => {
            world.link = Link { corrupt: 200, duplicate: 200, jitter: 50, ..good };
            world.run_for(ms(time));
            world.link = good;
        }
        Fault::Sleep { ms: time, announced } => world.sleep(ms(time), announced),
        Fault::RestartKeeping => {
            let now = world.now;
            world.gateway.restart(now, true);
        }
        Fault::Crash { ms: time } => world.crash(ms(time)),
        Fault::UserReconnect => world.order(Order::Reconnect),
        Fault::Quiet { ms: time } => world.run_for(ms(time)),
        Fault::Idle { ms: time } => {
            let every = world.echo_every.take();
            world.run_for(ms(time));
            world.echo_every = every;
        }
    }
}

/// One run: login, faults, then calm; it must end connected, by token, with AAA asked once.
pub(crate) fn run(seed: u64, faults: u64) -> World {
    let lenient = !seed.is_multiple_of(4);
    let mut world =
        World::with(seed, |g| g.lenient = lenient, |c| c.exchange_timeout = Duration::from_secs(30));
    world.connect(Duration::from_secs(30));
    world.echo_every = Some(Duration::from_millis(100));
    let mut told = Vec::new();
    for _ in 0..faults {
        let fault = draw(&mut world);
        told.push(format!("{:?} {fault:?}", world.now.at));
        apply(&mut world, &fault);
        let pause = world.random.between(0, 20_000);
        world.run_for(Duration::from_millis(pause));
    }
    // Calm. A strict gateway may first have to notice that the old client is gone.
    let limit = if lenient { 40 } else { 200 };
    let end = world.now.at + Duration::from_secs(limit);
    while !world.is_connected() && world.now.at < end {
        world.run_for(Duration::from_millis(100));
    }
    assert!(world.is_connected(), "seed {seed}: stuck\n{}\n{}", told.join("\n"), world.history());
    // Connected is true: an echo comes back, or the client itself finds out and mends it.
    let back = world.echoes_back;
    let end = world.now.at + Duration::from_secs(limit);
    while world.echoes_back == back && world.now.at < end {
        world.run_for(Duration::from_millis(100));
    }
    assert!(world.echoes_back > back, "seed {seed}: no echo\n{}\n{}", told.join("\n"), world.history());
    let asked = world.count(|e| matches!(e, Event::Ask(_)));
    assert_eq!(asked, 1, "seed {seed}: asked again\n{}\n{}", told.join("\n"), world.history());
    assert_eq!(world.gateway.counters().aaa_requests, 1, "seed {seed}");
    world
}

#[test]
fn schedules() {
    if let Some(seed) = std::env::var("IKEEP_SIM_SEED").ok().and_then(|s| s.parse().ok()) {
        let world = run(seed, 30);
        println!("{}", world.history());
        return;
    }
    let schedules = std::env::var("IKEEP_SIM_SCHEDULES").ok().and_then(|s| s.parse().ok()).unwrap_or(200);
    let mut reconnects = 0;
    for seed in 0..schedules {
        let world = run(seed, 10);
        reconnects += world.count(|e| matches!(e, Event::Reconnected(_)));
    }
    println!("{schedules} schedules, {reconnects} reconnects");
}

#[test]
fn a_seed_replays_exactly() {
    let picture = |world: &World| {
        format!("{:?} {:?}", world.now, world.events.iter().map(|(at, _)| at).collect::<Vec<_>>())
    };
    assert_eq!(picture(&run(3, 8)), picture(&run(3, 8)));
}
