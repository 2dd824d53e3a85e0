//! kill -9 between any two things that the client says: a login and a reconnect come back from each of them.

use crate::harness::{Setup, World};
use ikeep::client::{Event, Order};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A whole story, during which the agent dies after `outputs` more outputs from the moment `from` on.
fn story(outputs: u32, from: usize) -> (World, bool) {
    let setup = Setup::plain(u64::from(outputs));
    let mut world = World::with(5, |g| setup.gateway(g), |c| setup.client(c));
    let arm = |world: &mut World, at: usize| {
        if at == from {
            world.crash_after = Some((outputs, SECOND));
        }
    };
    arm(&mut world, 0);
    world.order(Order::Connect);
    world.run_for(10 * SECOND);
    world.echo_every = Some(SECOND);
    arm(&mut world, 1);
    world.roam();
    world.run_for(5 * SECOND);
    world.restart(true);
    world.run_for(15 * SECOND);
    arm(&mut world, 2);
    world.sleep(300 * SECOND, true);
    world.run_for(10 * SECOND);
    arm(&mut world, 3);
    world.order(Order::Reconnect);
    world.run_for(10 * SECOND);
    let died = world.crash_after.is_none();
    world.crash_after = None;
    world.run_for(50 * SECOND);
    (world, died)
}

#[test]
fn at_every_output() {
    let mut deaths = 0;
    for from in 0..4 {
        for outputs in 1..200 {
            let (mut world, died) = story(outputs, from);
            if !died {
                break;
            }
            deaths += 1;
            assert!(world.is_connected(), "{outputs} after {from}\n{}", world.history());
            let asked = world.count(|e| matches!(e, Event::Ask(_)));
            // Only a login that died before its session was stored is begun again.
            assert!(asked <= if from == 0 { 2 } else { 1 }, "{outputs} after {from}: asked {asked} times");
            world.order(Order::Disconnect);
            world.run_for(10 * SECOND);
            assert_eq!((world.state(), world.stored.is_some()), ("disconnected", false));
        }
    }
    println!("{deaths} deaths");
    assert!(deaths >= 60, "{deaths}");
}
