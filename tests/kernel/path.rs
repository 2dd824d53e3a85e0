//! What nobody tells the laptop: NATs that forget, loss, silence, refusals.

use crate::net::{AT_HOME, IN_OFFICE, Uplink};
use crate::world::{everywhere, pause};
use anyhow::Result;
use std::time::Duration;

#[test]
fn the_nat_maps_anew_without_a_word() -> Result<()> {
    everywhere("the_nat_maps_anew_without_a_word", |world| {
        // Other ports.
        world.net.map_ports("30000-30999")?;
        world.net.forget_mappings()?;
        world.lives()?;
        // Another outer address.
        world.net.home.add_address("wan", "10.8.0.3/24")?;
        world.net.home.ip(&["addr", "del", "10.8.0.2/24", "dev", "wan"])?;
        // The first of two in a network takes the second along.
        world.net.home.ip(&["addr", "replace", "10.8.0.3/24", "dev", "wan"])?;
        world.net.home.ip(&["route", "replace", "default", "via", "10.8.0.1"])?;
        world.lives()?;
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
