//! A long time in one world, with a fault every few seconds: nothing that can be counted grows, what is counted stays true, and
//! the connection is there whenever nothing is in its way.
//!
//! `IKEEP_SIM_HOURS=48 cargo test --test sim -- soak --nocapture` for a long run; `IKEEP_SIM_SEED=17` for another world. Every run
//! is named by its seed and replays exactly; the model (`harness/model.rs`) looks at each step.

use crate::fault::Fault;
use crate::harness::{Bad, Forgery, Seeded, Setup, Tickets, World};
use crate::schedule::{Case, calm};
use ikeep::client::{Event, Order};
use ikeep::crypto::Random;
use ikeep::time::Instant;
use std::fmt;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Of every `cargo test`: this many worlds for this long each.
const WORLDS: u64 = 6;
const SHORT: Duration = Duration::from_secs(2400);
/// A look at everything, after a pause without faults, this often.
const LOOK: Duration = Duration::from_secs(600);
/// Memory of the process may grow by this much after the first tenth of a long run, octets.
const GROWTH: u64 = 8 << 20;

/// What happened between two looks, or in all.
#[derive(Clone, Copy, Default)]
struct Tally {
    faults: u64,
    events: u64,
    established: u64,
    stored: u64,
    drop_reports: u64,
    asked: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.faults += other.faults;
        self.events += other.events;
        self.established += other.established;
        self.stored += other.stored;
        self.drop_reports += other.drop_reports;
        self.asked += other.asked;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, events, established, stored, drop_reports, asked } = self;
        write!(
            f,
            "{faults} faults, {established} SAs, {stored} writes of the session, {events} events ({drop_reports} about drops), \
             {asked} questions"
        )
    }
}

/// One fault of those that a connection survives by itself.
fn draw(r: &mut Seeded) -> Fault {
    let bad = |r: &mut Seeded| match r.below(9) {
        0 | 1 => Bad::Loss(r.between(50, 400)),
        2 => Bad::Delay(r.between(50, 400)),
        3 => Bad::Jitter(r.between(20, 300)),
        4 => Bad::Duplicate(r.between(100, 900)),
        5 => Bad::Corrupt(r.between(50, 300)),
        6 => Bad::Late(r.between(50, 400)),
        7 => Bad::CutOut,
        _ => Bad::CutIn,
    };
    match r.below(40) {
        0..=6 => Fault::Roam { place: r.below(3) as usize },
        7 | 8 => Fault::Flap { times: r.between(2, 6), every: r.between(1, 200), gaps: r.chance(500) },
        9..=11 => Fault::Offline { time: r.between(10, 20_000) },
        12..=18 => Fault::Link { bad: bad(r), time: r.between(100, 10_000) },
        19..=21 => Fault::GatewayOff { time: r.between(100, 20_000) },
        22..=24 => Fault::Rebind,
        25 => Fault::Portal { time: r.between(1_000, 10_000) },
        26 | 27 => Fault::Sleep { time: r.between(1_000, 60_000), announced: r.chance(700) },
        28 if r.chance(300) => Fault::Sleep { time: r.between(60_000, 700_000), announced: r.chance(700) },
        28 | 29 => Fault::FalseSleep { time: r.between(1, 10_000) },
        30 | 31 => Fault::Restart { keep: true },
        32 => Fault::ClearSessions,
        33 => Fault::ClearChildren,
        34 => Fault::Crash { time: r.between(1, 5_000) },
        35 => Fault::CrashAfter { outputs: r.between(1, 12) as u32, time: r.between(1, 5_000) },
        36 => Fault::Clock { minutes: r.between(0, 10) as i64 - 5 },
        37 => {
            let forgery =
                [Forgery::Plain, Forgery::Replay, Forgery::Noise, Forgery::InitError][r.below(4) as usize];
            Fault::Forge { forgery, time: r.between(1_000, 10_000) }
        }
        38 => Fault::Reconnect,
        _ => Fault::Idle { time: r.between(1_000, 20_000) },
    }
}

fn setup(seed: u64) -> Setup {
    Setup {
        nat: if seed.is_multiple_of(4) { 0 } else { 60 },
        mobike: seed.is_multiple_of(2),
        ipv6: seed % 3 == 1,
        gcm: seed % 4 != 3,
        tickets: [Tickets::Off, Tickets::AfterToken, Tickets::First][(seed / 2 % 3) as usize],
        echo: 500,
        // Rekeys among the faults.
        rekey: 120,
        ..Setup::plain(seed)
    }
}

/// Takes what was told, so that it is not what grows.
fn take(world: &mut World) -> Tally {
    let laptop = &mut world.laptops[0];
    let mut tally = Tally::default();
    for (_, event) in laptop.events.drain(..) {
        tally.events += 1;
        match event {
            Event::Established { .. } => tally.established += 1,
            Event::StoreSession(_) => tally.stored += 1,
            Event::Dropped { .. } => tally.drop_reports += 1,
            Event::Ask(_) => tally.asked += 1,
            _ => {}
        }
    }
    tally
}

/// What is counted is what happened, at every moment.
fn look_at_counters(world: &World) {
    let (laptop, now) = (&world.laptops[0], world.now.at);
    let Some(client) = &laptop.client else { return };
    let packets = laptop.packets;
    assert_eq!(
        packets.arrived,
        packets.opened + packets.dropped,
        "a packet is delivered or dropped: {packets:?}"
    );
    let status = client.status(now);
    assert!(status.drops >= packets.dropped, "{packets:?} {}", status.drops);
    if let Some(child) = &status.child {
        let counted = (child.stats.packets_in, child.stats.packets_out);
        assert_eq!(
            counted,
            (packets.opened, packets.sealed),
            "the status counts what passed\n{}",
            world.history()
        );
    }
}

/// In the calm: as light as after the first login.
fn look_at_weight(world: &World) {
    let client = world.laptops[0].client();
    let weight = client.weight();
    let light = weight.esp_sas <= 3 && weight.answers == 0 && weight.waiting == 0 && weight.unproved <= 1;
    assert!(light && weight.requests <= 1, "something is left over: {weight:?}\n{}", world.history());
    let gateway = &world.sites[0].gateway;
    let (weight, counters) = (gateway.weight(), gateway.counters());
    // Connections that their client has left unnoticed end by dead peer detection, sessions with their window of 15 min.
    let light = weight.live <= 40 && weight.ike <= 60 && weight.esp <= 120 && weight.addresses <= 12;
    assert!(light && weight.timers <= weight.live + counters.half_open, "the gateway holds {weight:?}");
    assert!(
        counters.half_open <= 16 && weight.requests <= 16 && weight.questions == 0,
        "{weight:?} {counters:?}"
    );
    assert!(counters.active + counters.inactive <= 6, "{counters:?}");
    assert_eq!(counters.events_lost, 0);
}

/// Resident memory of this process, octets.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() << 10
}

/// Plays one world. `look` is called at each calm, with the time that has passed.
fn play(seed: u64, time: Duration, mut look: impl FnMut(&World, Duration, Tally)) -> Tally {
    let case = Case { setup: setup(seed), steps: Vec::new() };
    let mut world = case.world();
    let mut random = Seeded::new(seed ^ 0x50_a4);
    world.order_all(|_| Order::Connect);
    world.run_for(10 * SECOND);
    assert!(world.is_connected(), "no login without any fault\n{}", world.history());
    let begin = world.now.at;
    let (mut whole, mut next_look): (Tally, Instant) = (Tally::default(), begin + LOOK);
    while world.now.at.since(begin) < time {
        let mut tally = Tally::default();
        while world.now.at < next_look {
            draw(&mut random).apply(&mut world, 0);
            tally.faults += 1;
            world.run_for(Duration::from_millis(random.between(0, 8_000)));
            look_at_counters(&world);
            if ["auth-required", "disconnected"].contains(&world.state()) {
                // Two gateways' worth of bad luck: it is the person's turn.
                world.order(Order::Connect);
            }
            tally.add(take(&mut world));
        }
        let since = next_look - LOOK.min(next_look.since(begin));
        let minutes = world.now.at.since(since).as_secs() / 60 + 1;
        calm(&mut world);
        look_at_counters(&world);
        tally.add(take(&mut world));
        world.run_for(10 * SECOND);
        look_at_weight(&world);
        tally.add(take(&mut world));
        // The session is written when something of it changes, and at most once a minute without that.
        assert!(tally.stored <= 4 * tally.established + minutes, "{tally} in {minutes} min");
        assert!(tally.drop_reports <= 7 * minutes, "{tally} in {minutes} min");
        assert!(tally.events <= 40 * tally.faults + 20 * minutes, "{tally} in {minutes} min");
        whole.add(tally);
        look(&world, world.now.at.since(begin), whole);
        next_look = world.now.at + LOOK;
    }
    whole
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn a_long_time_leaves_nothing_behind() {
    let Some(hours) = number("IKEEP_SIM_HOURS") else {
        for seed in 0..WORLDS {
            println!("seed {seed}: {}", play(seed, SHORT, |_, _, _| {}));
        }
        return;
    };
    let (seed, time) = (number("IKEEP_SIM_SEED").unwrap_or(0), HOUR * hours as u32);
    let (mut first, mut told) = (None, Duration::ZERO);
    let whole = play(seed, time, |world, passed, tally| {
        if passed >= time / 10 {
            let (now, first) = (resident(), *first.get_or_insert_with(resident));
            assert!(now <= first + GROWTH, "{first} octets of memory have become {now} after {passed:?}");
        }
        if passed >= told {
            told += HOUR * 2;
            let weight = (world.laptops[0].client().weight(), world.sites[0].gateway.weight());
            println!("{} h: {tally}; {} KiB; {weight:?}", passed.as_secs() / 3600, resident() >> 10);
        }
    });
    println!("seed {seed}, {hours} h: {whole}");
}
