//! What is done to a laptop: orders, networks, sleep, death.

use super::coverage::Input;
use super::lab::START;
use super::world::World;
use ikeep::client::{Order, Paths, Signal};
use ikeep::reconnect::{OnSuspend, OnTrusted};
use ikeep::time::Instant;
use std::time::Duration;

/// A portal is looked for so often.
const PROBE: Duration = Duration::from_secs(2);

impl World {
    /// Everybody at a gateway is disturbed until then.
    pub(crate) fn disturb_all(&mut self, site: usize, until: Instant) {
        self.laptops.iter_mut().filter(|laptop| laptop.site == site).for_each(|laptop| laptop.disturb(until));
    }

    /// A gateway loses what only traffic shows to be lost: everybody there has noticed by then.
    pub(crate) fn lose_children(&mut self, site: usize, until: Instant) {
        self.disturb_all(site, until);
        self.laptops
            .iter_mut()
            .filter(|laptop| laptop.site == site)
            .for_each(|laptop| laptop.deceived = until);
    }

    /// An order of the user's, to the first laptop.
    pub(crate) fn order(&mut self, order: Order) {
        self.order_of(0, order);
    }

    pub(crate) fn order_all(&mut self, order: impl Fn(usize) -> Order) {
        (0..self.laptops.len()).for_each(|i| self.order_of(i, order(i)));
    }

    pub(crate) fn order_of(&mut self, i: usize, order: Order) {
        let now = self.now.at;
        let laptop = &mut self.laptops[i];
        if !laptop.is_awake() || laptop.client.is_none() {
            return; // nobody can tell it anything
        }
        let input = match &order {
            Order::Connect => Input::Connect,
            Order::Disconnect => Input::Disconnect,
            Order::Reconnect => Input::Reconnect,
            Order::Answer(_) => Input::Answer,
        };
        // The agent writes the wish down before it obeys.
        match input {
            Input::Connect => laptop.intent = true,
            Input::Disconnect => laptop.intent = false,
            _ => {}
        }
        let state = laptop.state();
        laptop.model.ordered(now, &order, state);
        laptop.disturb(now);
        self.input(i, input, |client, now| client.order(now, order));
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        self.signal_of(0, signal);
    }

    pub(crate) fn signal_of(&mut self, i: usize, signal: Signal) {
        let now = self.now.at;
        if !self.laptops[i].is_awake() {
            return;
        }
        let input = match &signal {
            Signal::Paths(paths) if paths.any() => Input::Path,
            Signal::Paths(_) => Input::NoPath,
            Signal::Suspend => Input::Suspend,
            Signal::Resume => Input::Resume,
            Signal::Addresses(_)
            | Signal::LookedUp { .. }
            | Signal::Scanned { .. }
            | Signal::Signed { .. } => Input::Addresses,
            Signal::Portal { captive: true } => Input::Portal,
            Signal::Portal { captive: false } => Input::Open,
            Signal::Trusted(true) => Input::Trusted,
            Signal::Trusted(false) => Input::Left,
        };
        let laptop = &mut self.laptops[i];
        laptop.model.signalled(now, &signal);
        laptop.disturb(now);
        self.input(i, input, |client, now| client.signal(now, signal));
    }

    /// Another source address and port at the same place.
    pub(crate) fn roam(&mut self) {
        let place = self.place;
        self.roam_to(0, place);
    }

    pub(crate) fn roam_to(&mut self, i: usize, place: usize) {
        let (ipv4, ipv6) = (self.places[place].ipv4, self.places[place].ipv6);
        let laptop = &mut self.laptops[i];
        laptop.place = place;
        if !laptop.is_awake() {
            laptop.moved = true; // it finds out when it wakes
            return;
        }
        laptop.plug_at = None;
        laptop.moved = false;
        let paths = laptop.open_ways(ipv4, ipv6);
        // Of another network nothing is known until it was probed.
        laptop.captive = false;
        laptop.probe_at = Some(self.now.at + PROBE);
        self.signal_of(i, Signal::Paths(paths));
    }

    /// A NAT on the way gives the present path another mapping: the client does not notice.
    pub(crate) fn rebind(&mut self) {
        let place = self.place;
        if let Some(nat) = &mut self.places[place].nat {
            nat.rebind();
            return;
        }
        for (_, local) in self.ways.iter_mut().flatten() {
            local.set_port(local.port().wrapping_add(20_000));
        }
    }

    /// The shell looks for a portal, while there is one again and again.
    pub(super) fn probe(&mut self, i: usize) {
        let now = self.now.at;
        let laptop = &mut self.laptops[i];
        let captive = !self.places[laptop.place].is_open(now);
        laptop.probe_at = captive.then_some(now + PROBE);
        if captive != laptop.captive {
            laptop.captive = captive;
            self.signal_of(i, Signal::Portal { captive });
        }
    }

    /// The laptop is in a network that its profile trusts, until then.
    pub(crate) fn trust(&mut self, i: usize, time: Duration) {
        if self.laptops[i].is_awake() && self.laptops[i].client.is_some() {
            self.laptops[i].trusted_until = Some(self.now.at + time);
            self.signal_of(i, Signal::Trusted(true));
            if self.laptops[i].settings.rules.on_trusted == OnTrusted::Disconnect {
                self.laptops[i].intent = false;
            }
            self.touch(i);
        }
    }

    pub(super) fn leave_trusted(&mut self, i: usize) {
        self.laptops[i].trusted_until = None;
        self.signal_of(i, Signal::Trusted(false));
    }

    /// The machine has no way to the gateway.
    pub(crate) fn unplug(&mut self) {
        self.unplug_of(0);
    }

    pub(crate) fn unplug_of(&mut self, i: usize) {
        if !self.laptops[i].is_awake() {
            return;
        }
        self.laptops[i].ways = [None; 2];
        self.signal_of(i, Signal::Paths(Paths::NONE));
    }

    /// Sleeps: nothing of the client runs, time goes on for everybody else.
    pub(crate) fn sleep(&mut self, time: Duration, announced: bool) {
        self.fall_asleep(0, time, announced);
        self.run_for(time);
    }

    pub(crate) fn fall_asleep(&mut self, i: usize, time: Duration, announced: bool) {
        if announced {
            self.signal_of(i, Signal::Suspend);
        }
        let until = self.now.at + time;
        let laptop = &mut self.laptops[i];
        laptop.asleep_until = Some(laptop.asleep_until.map_or(until, |before| before.max(until)));
        laptop.disturb(until);
        self.touch(i);
    }

    /// Sleep is announced and does not come; so long until the machine says that it is awake.
    pub(crate) fn pretend_sleep(&mut self, i: usize, time: Duration) {
        self.signal_of(i, Signal::Suspend);
        let until = self.now.at + time;
        let laptop = &mut self.laptops[i];
        if !laptop.is_awake() || laptop.client.is_none() {
            return;
        }
        if laptop.settings.rules.on_suspend == OnSuspend::Disconnect {
            laptop.intent = false;
        }
        laptop.resume_at = Some(until);
        laptop.disturb(until);
        self.touch(i);
    }

    pub(super) fn wake(&mut self, i: usize) {
        let laptop = &mut self.laptops[i];
        laptop.asleep_until = None;
        laptop.resume_at = None;
        if laptop.client.is_some() && laptop.settings.rules.on_suspend == OnSuspend::Disconnect {
            laptop.intent = false;
        }
        self.signal_of(i, Signal::Resume);
        let laptop = &self.laptops[i];
        if laptop.moved {
            let place = laptop.place;
            self.roam_to(i, place);
        }
    }

    /// kill -9, and a new agent with what the store holds.
    pub(crate) fn crash(&mut self, down: Duration) {
        self.kill(0, down);
        self.run_for(down);
    }

    pub(crate) fn kill(&mut self, i: usize, down: Duration) {
        let at = self.now.at + down;
        let laptop = &mut self.laptops[i];
        laptop.client = None;
        laptop.crash_after = None;
        laptop.pending_answer = None;
        laptop.captive = false;
        laptop.resume_at = None;
        laptop.trusted_until = None;
        laptop.revive_at = Some(at);
        laptop.model.crashed();
        laptop.disturb(at);
        self.touch(i);
    }

    pub(super) fn revive(&mut self, i: usize) {
        let now = self.now;
        let laptop = &mut self.laptops[i];
        laptop.revive_at = None;
        let clock = laptop.clock(now);
        let restored = laptop.start(clock, &mut self.random);
        let stored = laptop.stored.as_ref();
        laptop.model.started(clock, stored, restored);
        if laptop.ways.iter().any(Option::is_some) {
            let place = laptop.place;
            self.roam_to(i, place);
        }
        if self.laptops[i].intent {
            self.laptops[i].model.ordered_by_intent();
            self.input(i, Input::Start, |client, now| client.order(now, Order::Connect));
        }
        self.touch(i);
    }

    /// Its civil clock is set. Certificates begin a day before the beginning, so it never goes back further than 20 hours.
    pub(crate) fn set_clock(&mut self, i: usize, by: i64) {
        let now = self.now;
        let laptop = &mut self.laptops[i];
        let past = now.wall.since(START).as_millis() as i64;
        laptop.wall = laptop.wall.saturating_add(by).max(-past - 20 * 3_600_000);
        laptop.disturb(now.at);
    }
}
