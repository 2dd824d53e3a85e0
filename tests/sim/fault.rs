//! What goes wrong, as data: a schedule can be printed, cut down and kept.

use crate::harness::{Bad, Bystander, Forgery, Seeded, World};
use ikeep::client::Order;
use ikeep::crypto::Random;
use ikeep::gateway::TokenFault;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One thing that goes wrong, or that somebody does. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// Another place.
    Roam {
        place: usize,
    },
    /// So many changes of network, with gaps between.
    Flap {
        times: u64,
        every: u64,
        gaps: bool,
    },
    /// No network.
    Offline {
        time: u64,
    },
    /// The link is bad.
    Link {
        bad: Bad,
        time: u64,
    },
    /// The gateway's own link is down.
    GatewayOff {
        time: u64,
    },
    /// The NAT forgets its mappings.
    Rebind,
    /// Nothing but the portal answers, until somebody logs in there.
    Portal {
        time: u64,
    },
    /// A network that the profile trusts.
    Trusted {
        time: u64,
    },
    /// Sleep, perhaps without a word.
    Sleep {
        time: u64,
        announced: bool,
    },
    /// Sleep is announced, and does not come.
    FalseSleep {
        time: u64,
    },
    /// The gateway restarts.
    Restart {
        keep: bool,
    },
    /// The gateway deletes every IKE SA.
    ClearSessions,
    /// The gateway deletes every Child SA.
    ClearChildren,
    /// The gateway loses every Child SA and tells nobody; its IKE SAs answer on.
    ForgetChildren,
    /// The gateway forgets its inactive sessions.
    Expire,
    /// The gateway refuses tokens.
    RefuseTokens {
        times: u32,
    },
    /// The laptop's civil clock is set.
    Clock {
        minutes: i64,
    },
    /// The agent is killed.
    Crash {
        time: u64,
    },
    /// The agent is killed after so many outputs more.
    CrashAfter {
        outputs: u32,
        time: u64,
    },
    /// Somebody injects.
    Forge {
        forgery: Forgery,
        time: u64,
    },
    /// The user.
    Connect,
    Disconnect,
    Reconnect,
    /// No traffic.
    Idle {
        time: u64,
    },
    /// Nothing happens.
    Quiet {
        time: u64,
    },
}

/// A fault, and the time until the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) fault: Fault,
    pub(crate) pause: u64,
}

impl Step {
    pub(crate) fn draw(r: &mut Seeded) -> Self {
        let fault = Fault::draw(r);
        // Half of them come while the one before is still felt.
        let pause = match r.below(4) {
            0 => r.between(0, 300),
            1 => r.between(0, 5_000),
            2 if r.chance(30) => r.between(1_000_000, 1_500_000),
            _ => r.between(0, 40_000),
        };
        Self { fault, pause }
    }
}

impl Fault {
    fn draw(r: &mut Seeded) -> Self {
        match r.below(37) {
            0..=3 => Self::Roam { place: r.below(3) as usize },
            4 => Self::Flap { times: r.between(2, 10), every: r.between(1, 200), gaps: r.chance(500) },
            5 | 6 => Self::Offline { time: r.between(10, 120_000) },
            7..=11 => Self::Link { bad: bad(r), time: r.between(100, 60_000) },
            12 => Self::GatewayOff { time: r.between(100, 90_000) },
            13 => Self::Rebind,
            14 => Self::Portal { time: r.between(1_000, 100_000) },
            15 | 16 => Self::Sleep { time: r.between(1_000, 700_000), announced: r.chance(700) },
            17 if r.chance(300) => {
                Self::Sleep { time: r.between(700_000, 4 * 86_400_000), announced: r.chance(700) }
            }
            17 | 18 => Self::Restart { keep: true },
            19 if r.chance(300) => Self::Restart { keep: false },
            19 => Self::ClearSessions,
            20 => Self::ClearChildren,
            21 if r.chance(200) => Self::Expire,
            21 => Self::RefuseTokens { times: r.between(1, 4) as u32 },
            22 | 23 => Self::Clock { minutes: r.between(0, 720) as i64 - 360 },
            24 => Self::Crash { time: r.between(1, 60_000) },
            25 | 26 => Self::CrashAfter { outputs: r.between(1, 12) as u32, time: r.between(1, 10_000) },
            27 | 28 => Self::Forge { forgery: forgery(r), time: r.between(1_000, 50_000) },
            29 => Self::Connect,
            30 if r.chance(500) => Self::Disconnect,
            30 | 31 => Self::Reconnect,
            32 => Self::Trusted { time: r.between(1_000, 100_000) },
            33 => Self::FalseSleep { time: r.between(1, 60_000) },
            // Longer than the reconnect window.
            34 if r.chance(500) => match r.below(4) {
                0 => Self::Offline { time: r.between(1_000_000, 1_400_000) },
                1 => Self::Portal { time: r.between(1_000_000, 1_400_000) },
                2 => Self::GatewayOff { time: r.between(1_000_000, 1_400_000) },
                _ => Self::Trusted { time: r.between(1_000_000, 1_400_000) },
            },
            34 => Self::Disconnect,
            35 if r.chance(300) => Self::ForgetChildren,
            35 => Self::Idle { time: r.between(1_000, 90_000) },
            _ => Self::Quiet { time: r.between(1_000, 90_000) },
        }
    }

    /// Makes it happen to laptop `i`; what it takes from then on is the world's business.
    pub(crate) fn apply(&self, world: &mut World, i: usize) {
        let now = world.now;
        let ms = Duration::from_millis;
        let site = world.laptops[i].site;
        match *self {
            Self::Roam { place } => {
                let place = place % world.places.len();
                world.roam_to(i, place);
            }
            Self::Flap { times, every, gaps } => {
                for _ in 0..times {
                    if gaps {
                        world.unplug_of(i);
                        world.run_for(ms(every));
                    }
                    let place = world.laptops[i].place;
                    world.roam_to(i, place);
                    world.run_for(ms(every));
                }
            }
            Self::Offline { time } => {
                world.unplug_of(i);
                world.laptops[i].plug_at = Some(now.at + ms(time));
                world.touch(i);
            }
            Self::Link { bad, time } => world.laptops[i].trouble(now.at, bad, ms(time)),
            Self::GatewayOff { time } => {
                world.sites[site].go_down(now.at, ms(time));
                world.disturb_all(site, now.at + ms(time));
            }
            Self::Rebind => {
                let place = world.laptops[i].place;
                if let Some(nat) = &mut world.places[place].nat {
                    nat.rebind();
                }
                world.disturb_all(site, now.at);
            }
            Self::Portal { time } => {
                let place = world.laptops[i].place;
                world.places[place].portal_until = Some(now.at + ms(time));
                world.disturb_all(site, now.at + ms(time) + ms(2_000));
                world.laptops.iter_mut().filter(|l| l.place == place).for_each(|l| l.probe_at = Some(now.at));
                world.touch(i);
            }
            Self::Trusted { time } => world.trust(i, ms(time)),
            Self::Sleep { time, announced } => world.fall_asleep(i, ms(time), announced),
            Self::FalseSleep { time } => world.pretend_sleep(i, ms(time)),
            Self::Restart { keep } => world.restart_site(site, keep),
            Self::ClearSessions => world.at_gateway(site, |gateway, now| gateway.clear_sessions(now)),
            Self::ClearChildren => world.at_gateway(site, |gateway, now| gateway.clear_children(now)),
            Self::ForgetChildren => {
                world.at_gateway(site, |gateway, now| gateway.forget_children(now));
                // The client doubts the Child SA after three answered liveness checks, but not twice in five minutes (longer
                // where nothing came back in between).
                world.lose_children(site, now.at + ms(2_500_000));
            }
            Self::Expire => world.at_gateway(site, |gateway, _| gateway.faults().window_over()),
            Self::RefuseTokens { times } => {
                world.at_gateway(site, |gateway, _| gateway.faults().tokens = TokenFault::Next(times));
            }
            Self::Clock { minutes } => world.set_clock(i, minutes * 60_000),
            Self::Crash { time } => world.kill(i, ms(time)),
            Self::CrashAfter { outputs, time } => world.laptops[i].crash_after = Some((outputs, ms(time))),
            Self::Forge { forgery, time } => {
                let until = now.at + ms(time);
                let seed = world.random.u64();
                let gateway = world.sites[world.laptops[0].site].addresses[0];
                world.bystander = Some(Bystander::new(forgery, now, until, gateway, seed));
                world.laptops[0].disturb(until);
            }
            Self::Connect => world.order_of(i, Order::Connect),
            Self::Disconnect => world.order_of(i, Order::Disconnect),
            Self::Reconnect => world.order_of(i, Order::Reconnect),
            Self::Idle { time } => {
                let laptop = &mut world.laptops[i];
                laptop.next_echo = now.at + ms(time);
                laptop.disturb(now.at + ms(time));
                world.touch(i);
            }
            Self::Quiet { time } => world.run_for(ms(time)),
        }
    }
}

fn bad(r: &mut Seeded) -> Bad {
    match r.below(10) {
        0 | 1 => Bad::Loss(r.between(50, 500)),
        2 => Bad::Delay(r.between(50, 500)),
        3 => Bad::Jitter(r.between(20, 400)),
        4 => Bad::Duplicate(r.between(100, 900)),
        5 => Bad::Corrupt(r.between(50, 300)),
        6 => Bad::Late(r.between(50, 400)),
        7 => Bad::CutOut,
        8 => Bad::CutIn,
        _ => Bad::Cut,
    }
}

fn forgery(r: &mut Seeded) -> Forgery {
    match r.below(6) {
        0 => Forgery::InitError,
        1 => Forgery::InitDetour,
        2 => Forgery::Gateway,
        3 => Forgery::Plain,
        4 => Forgery::Replay,
        _ => Forgery::Noise,
    }
}
