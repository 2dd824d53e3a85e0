//! Hundreds of laptops, several gateways, NATs and portals in one world, each laptop with troubles of its own.

use crate::fault::Step;
use crate::harness::{LAB, Nat, Place, Seeded, Setup, World};
use ikeep::client::Order;
use ikeep::crypto::Random;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LAPTOPS: usize = 200;
const GATEWAYS: usize = 4;
const PLACES: usize = 30;

#[test]
fn two_hundred_laptops_at_four_gateways() {
    let mut random = Seeded::new(11);
    let mut world = World::empty(11);
    let setups: Vec<Setup> =
        (0..GATEWAYS as u64).map(|n| Setup { lenient: n != 3, mobike: n == 1, ..Setup::plain(n) }).collect();
    for setup in &setups {
        world.add_site(|config| setup.gateway(config));
    }
    for n in 0..PLACES {
        let place = Place::new(n);
        world.places.push(if n % 3 == 0 { place } else { place.behind(Nat::new(Duration::from_secs(60))) });
    }
    let host = LAB.profile.hosts.first().expect("a host");
    for n in 0..LAPTOPS {
        let site = n % GATEWAYS;
        let mut settings = World::settings(&LAB.profile, host).expect("the seed's host can be used");
        settings.addresses = world.sites[site].addresses[..1].to_vec();
        setups[site].client(&mut settings);
        let i = world.add_laptop(settings, site, n % PLACES);
        world.laptops[i].echo_every = Some(2 * SECOND);
        world.laptops[i].model.reads_texts = false;
        world.laptops[i].model.impatient = true;
    }
    world.order_all(|_| Order::Connect);
    world.run_for(10 * SECOND);
    assert_eq!(world.laptops.iter().filter(|laptop| laptop.is_connected()).count(), LAPTOPS);
    for _ in 0..400 {
        let i = random.below(LAPTOPS as u64) as usize;
        Step::draw(&mut random).fault.apply(&mut world, i);
        world.run_for(Duration::from_millis(random.below(1_000)));
    }
    crate::schedule::calm(&mut world);
    let reconnects: u64 = world.sites.iter().map(|site| site.gateway.counters().reconnects_ok).sum();
    println!("{reconnects} reconnects by token");
    assert!(reconnects >= 300, "{reconnects}");
}
