//! What nobody tells the laptop: NATs that forget, loss, silence, refusals.

use crate::net::{AT_HOME, IN_OFFICE, OUTSIDE, Uplink};
use crate::world::{everywhere, pause};
use anyhow::Result;
use std::time::Duration;

#[test]
fn the_nat_maps_anew_without_a_word() -> Result<()> {
    everywhere("the_nat_maps_anew_without_a_word", |world| {
        // Other ports, then another address too.
        for (ports, before, after) in
            [("30000-30999", OUTSIDE, OUTSIDE), ("40000-40999", OUTSIDE, "10.8.0.3")]
        {
            world.net.map_ports(ports)?;
            world.net.forget_mappings(before, after)?;
            world.lives()?;
        }
        world.until_at(AT_HOME).map(drop)
    })
}

#[test]
fn a_fifth_of_everything_is_lost() -> Result<()> {
    everywhere("a_fifth_of_everything_is_lost", |world| {
        let lossy = world.net.spoil("numgen random mod 100 < 20 drop")?;
        world.net.go(Uplink::Office)?;
        world.until_at(IN_OFFICE)?;
        world.idle.line()?;
        drop(lossy);
        world.lives()
    })
}

/// Nothing passes, and nobody says so; traffic notices after 7 s.
#[test]
fn the_path_is_silent_for_ten_seconds() -> Result<()> {
    everywhere("the_path_is_silent_for_ten_seconds", |world| {
        let silent = world.net.spoil("drop")?;
        world.until("the outage", |status| status["state"] == "reconnecting")?;
        pause(Duration::from_secs(3));
        drop(silent);
        world.until_at(AT_HOME)?;
        world.lives()
    })
}

/// Routers on the way say that there is none.
#[test]
fn the_gateway_cannot_be_reached_for_a_while() -> Result<()> {
    everywhere("the_gateway_cannot_be_reached_for_a_while", |world| {
        let refused = world.net.spoil("reject with icmpx type host-unreachable")?;
        world.until("the outage", |status| status["state"] == "reconnecting")?;
        drop(refused);
        world.until_at(AT_HOME)?;
        world.lives()
    })
}
