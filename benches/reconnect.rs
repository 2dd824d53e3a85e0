//! What a reconnect and a simulated hour cost, in CPU time of this thread.
//!
//! `cargo bench --bench reconnect` prints a table; nothing fails by being slow.

#[path = "../tests/sim/harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;

use harness::{Setup, World};
use ikeep::client::Event;
use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "the CPU time of this thread is what a benchmark measures")]
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Idle roams: each is a whole reconnect by token, group 19, RSA-2048 verified.
fn reconnect() -> (Duration, u32) {
    const ROUNDS: u32 = 200;
    let mut world = World::new(1);
    world.connect(Duration::from_secs(5));
    world.cpu = Some(cpu);
    for _ in 0..ROUNDS {
        world.roam();
        world.run_until_state("connected", Duration::from_secs(1));
        world.run_for(Duration::from_secs(6));
    }
    let done = world.count(|e| matches!(e, Event::Reconnected(r) if !r.old_sa && r.round_trips == 2));
    assert_eq!(done as u32, ROUNDS, "every roam was a reconnect in two round trips");
    (world.client_cpu / ROUNDS, ROUNDS)
}

/// An hour with 30 faults, both ends and the network between them; an echo a second.
fn hour(seed: u64) -> (Duration, usize) {
    let setup = Setup::plain(seed);
    let mut world = World::with(seed, |g| setup.gateway(g), |c| setup.client(c));
    world.connect(Duration::from_secs(5));
    world.echo_every = Some(Duration::from_secs(1));
    world.model.reads_texts = false; // as in most schedules: it costs as much as the rest
    let begin = cpu();
    for fault in 0..30 {
        match fault % 5 {
            0 => world.roam(),
            1 => world.sleep(Duration::from_secs(30), true),
            2 => {
                world.unplug();
                world.run_for(Duration::from_secs(10));
                world.roam();
            }
            3 => {
                world.link.cut = true;
                world.run_for(Duration::from_secs(12));
                world.link.cut = false;
            }
            _ => world.crash(Duration::from_secs(1)),
        }
        let next = world.random.between(60, 120);
        world.run_for(Duration::from_secs(next));
    }
    (cpu().saturating_sub(begin), world.count(|e| matches!(e, Event::Reconnected(_))))
}

fn main() {
    let (each, rounds) = reconnect();
    println!("{:<58} {:>12} {:>10}", "what", "CPU", "promise");
    println!(
        "{:<58} {:>9.3} ms {:>10}",
        format!("reconnect, client's side (group 19, RSA-2048), {rounds} rounds"),
        each.as_secs_f64() * 1e3,
        "2 ms"
    );
    for seed in 1..=3 {
        let (hour, reconnects) = hour(seed);
        println!(
            "{:<58} {:>9.3} ms {:>10}",
            format!("simulated hour, 30 faults, {reconnects} reconnects, seed {seed}"),
            hour.as_secs_f64() * 1e3,
            "20 ms"
        );
    }
}
