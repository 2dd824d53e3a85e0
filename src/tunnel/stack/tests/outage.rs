//! What was under way when nothing passed for a while.

use super::*;

#[test]
fn a_transfer_survives_a_stop_of_minutes() {
    seeds(18, |seed| {
        let stop = Duration::from_secs([10, 90, 300, 600, 1800, 7200][seed as usize / 3]);
        let totals = [(2_000_000, 500), (500, 2_000_000), (2_000_000, 2_000_000)][seed as usize % 3];
        let weather = Weather { delay: 10, ..Weather::default() };
        let mut world = World::new(seed, weather);
        let cut_at = world.now + Duration::from_millis(200 + 7 * seed);
        let took = exchange(&mut world, totals, stop * 2 + 200 * SECOND, |world| {
            world.weather.down = world.now >= cut_at && world.now < cut_at + stop;
        });
        assert!(took >= stop);
        assert!(took < stop + LONGEST_WAIT + 10 * SECOND, "took {took:?} with a stop of {stop:?}");
    });
}

#[test]
fn what_is_lost_after_an_outage_is_sent_again_as_soon_as_before_it() {
    let mut world = World::new(1, Weather { delay: 10, ..Weather::default() });
    let (client, server) = world.connected();
    let (mut sent, mut got) = (0, 0);
    let mut deliver = |world: &mut World, octets: u64, down: Duration| {
        world.weather.down = true;
        push(&mut world.client, &client, &mut sent, octets);
        world.pass(down);
        world.weather.down = false;
        let begun = world.now;
        assert!(world.until(600 * SECOND, |world| {
            push(&mut world.client, &client, &mut sent, octets);
            pull(&mut world.server, &server, &mut got);
            got == octets
        }));
        world.now.since(begun)
    };
    deliver(&mut world, 100_000, Duration::ZERO);
    let after_minutes = deliver(&mut world, 200_000, 300 * SECOND);
    assert!(after_minutes < LONGEST_WAIT + 2 * SECOND, "{after_minutes:?} after an outage");
    deliver(&mut world, 1_200_000, Duration::ZERO);
    let one_loss = deliver(&mut world, 1_200_100, Duration::from_millis(100));
    assert!(one_loss < 2 * SECOND, "{one_loss:?} for one lost segment");
}

/// Each end has all that the other one sent, and neither knows: an outage took the acknowledgements of both.
#[test]
fn acknowledgements_that_were_lost_both_ways_come_again() {
    for octets in [2_000, 5_000, 12_000, 40_000] {
        let mut world = World::new(3, Weather { delay: 100, ..Weather::default() });
        let (client, server) = world.connected();
        world.pass(SECOND);
        let (mut up, mut down) = (0, 0);
        push(&mut world.client, &client, &mut up, octets);
        push(&mut world.server, &server, &mut down, octets);
        world.client.poll(world.now);
        world.server.poll(world.now);
        world.carry();
        world.weather.down = true;
        world.pass(8 * SECOND);
        world.weather.down = false;
        let acknowledged = world.until(60 * SECOND, |world| {
            world.client.unsent(&client) == 0 && world.server.unsent(&server) == 0
        });
        let left = (world.client.unsent(&client), world.server.unsent(&server));
        assert!(acknowledged, "of {octets} octets each way {left:?} are not acknowledged");
    }
}
