//! The virtual world and its clock. Everything that happens has one order, given by the seed alone.

use super::bystander::{Bystander, Forgery, Injected};
use super::calendar::{Calendar, Node};
use super::coverage::{Coverage, Input, Told};
use super::lab::{LAB, START, device};
use super::laptop::{Laptop, owner};
use super::model::Facts;
use super::nat::Place;
use super::network::{Network, Parcel};
use super::random::Seeded;
use super::site::Site;
use ikeep::client::{Client, Order, Settings, Transmit};
use ikeep::crypto::Random;
use ikeep::gateway::{Gateway, GatewayConfig, GatewayTransmit, Port};
use ikeep::profile::{HostEntry, NotUsable, Profile};
use ikeep::time::{Instant, Now};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Laptops, places, gateways. Most stories need one laptop only: a world reads as its first.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) seed: u64,
    pub(crate) sites: Vec<Site>,
    pub(crate) places: Vec<Place>,
    pub(crate) laptops: Vec<Laptop>,
    pub(crate) bystander: Option<Bystander>,
    pub(crate) random: Seeded,
    pub(crate) coverage: Coverage,
    /// Somebody who records every datagram, as it was sent.
    pub(crate) tape: Option<Vec<Parcel>>,
    pub(super) network: Network,
    calendar: Calendar,
}

impl Deref for World {
    type Target = Laptop;
    fn deref(&self) -> &Laptop {
        &self.laptops[0]
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Laptop {
        &mut self.laptops[0]
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, |_| {}, |_| {})
    }

    /// The seed's gateway, and one laptop with the seed's profile.
    pub(crate) fn with(
        seed: u64,
        gateway: impl FnOnce(&mut GatewayConfig),
        client: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::of(&LAB.profile, seed, gateway, client).expect("the seed's host can be used")
    }

    /// The same with another profile; its first host counts.
    pub(crate) fn of(
        profile: &Profile,
        seed: u64,
        gateway: impl FnOnce(&mut GatewayConfig),
        client: impl FnOnce(&mut Settings),
    ) -> Result<Self, NotUsable> {
        let mut world = Self::empty(seed);
        world.add_site(gateway);
        world.places.push(Place::new(0));
        let host = profile.hosts.first().expect("a host");
        let mut settings = Self::settings(profile, host)?;
        settings.addresses = vec![world.sites[0].addresses[0]];
        client(&mut settings);
        world.add_laptop(settings, 0, 0);
        Ok(world)
    }

    /// What a laptop needs, the gateway's addresses left out.
    pub(crate) fn settings(profile: &Profile, host: &HostEntry) -> Result<Settings, NotUsable> {
        let mut settings = Settings::from_profile(profile, host, device())?;
        settings.trust.roots = LAB.roots.clone();
        Ok(settings)
    }

    pub(crate) fn empty(seed: u64) -> Self {
        Self {
            now: Now { at: Instant::from_boot(Duration::from_secs(50_000)), wall: START },
            seed,
            sites: Vec::new(),
            places: Vec::new(),
            laptops: Vec::new(),
            bystander: None,
            random: Seeded::new(seed),
            coverage: Coverage::default(),
            tape: None,
            network: Network::default(),
            calendar: Calendar::default(),
        }
    }

    pub(crate) fn add_site(&mut self, change: impl FnOnce(&mut GatewayConfig)) -> usize {
        let random = self.random.u64();
        let number = self.sites.len();
        self.sites.push(Site::new(number, self.now, random, change));
        number
    }

    pub(crate) fn add_laptop(&mut self, settings: Settings, site: usize, place: usize) -> usize {
        let random = self.random.u64();
        let index = self.laptops.len();
        let second_factor = self.sites[site].second_factor;
        let mut laptop = Laptop::new(index, self.now, settings, second_factor, random);
        (laptop.site, laptop.place) = (site, place);
        self.laptops.push(laptop);
        self.roam_to(index, place);
        index
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.sites[0].gateway
    }

    pub(crate) fn gateway_mut(&mut self) -> &mut Gateway {
        &mut self.sites[0].gateway
    }

    /// Restarts the gateway of the first laptop.
    pub(crate) fn restart(&mut self, keep: bool) {
        self.restart_site(0, keep);
    }

    pub(crate) fn restart_site(&mut self, s: usize, keep: bool) {
        self.at_gateway(s, |gateway, now| gateway.restart(now, keep));
        if !keep {
            self.sites[s].sessions.clear();
        }
    }

    /// Does something to a gateway.
    pub(crate) fn at_gateway(&mut self, s: usize, act: impl FnOnce(&mut Gateway, Now)) {
        let now = self.now;
        act(&mut self.sites[s].gateway, now);
        self.drain_site(s);
        self.disturb_all(s, now.at);
    }

    /// Logs in and expects it to work within `limit`.
    pub(crate) fn connect(&mut self, limit: Duration) {
        self.order(Order::Connect);
        self.run_until_state("connected", limit);
    }

    pub(crate) fn run_until_state(&mut self, name: &str, limit: Duration) {
        let end = self.now.at + limit;
        while self.state() != name {
            assert!(
                self.now.at < end,
                "seed {}: not {name} but {} after {limit:?}\n{}",
                self.seed,
                self.state(),
                self.history()
            );
            let step = (self.now.at + Duration::from_millis(5)).min(end);
            self.run_until(step);
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now.at + time);
    }

    /// Lets everything happen that is due until `end`.
    pub(crate) fn run_until(&mut self, end: Instant) {
        let mut spins = 0u32;
        self.touch_all();
        loop {
            let next = [self.network.next(), self.calendar.next()].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            if at > self.now.at {
                self.advance(at);
                spins = 0;
            }
            spins += 1;
            assert!(spins < 100_000, "seed {}: time stands still\n{}", self.seed, self.history());
            self.step();
        }
        self.advance(end);
    }

    fn advance(&mut self, to: Instant) {
        self.now.wall = self.now.wall + to.since(self.now.at);
        self.now.at = self.now.at.max(to);
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(parcel) = self.network.take_due(now.at) {
            match parcel {
                Parcel::ToSite { site, from, port, octets } => self.deliver_to_site(site, from, port, octets),
                Parcel::ToLaptop { .. } => self.deliver_to_laptop(parcel),
            }
        }
        for node in self.calendar.due(now.at) {
            match node {
                Node::Site(s) => {
                    self.sites[s].gateway.handle_timeout(now);
                    self.drain_site(s);
                }
                Node::Laptop(i) => self.laptop_turn(i),
            }
        }
    }

    /// After its owner was changed from outside.
    fn touch_all(&mut self) {
        if self.laptops.len() <= 16 {
            (0..self.laptops.len()).for_each(|i| self.touch(i));
        }
        (0..self.sites.len()).for_each(|s| self.touch_site(s));
    }

    pub(crate) fn touch(&mut self, i: usize) {
        self.calendar.set(Node::Laptop(i), self.laptops[i].due());
    }

    fn touch_site(&mut self, s: usize) {
        self.calendar.set(Node::Site(s), self.sites[s].gateway.poll_timeout().map(|(at, _)| at));
    }

    fn laptop_turn(&mut self, i: usize) {
        let now = self.now.at;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.laptops[i].asleep_until) || due(self.laptops[i].resume_at) {
            self.wake(i);
        }
        if due(self.laptops[i].revive_at) {
            self.revive(i);
        }
        if due(self.laptops[i].plug_at) {
            let place = self.laptops[i].place;
            self.roam_to(i, place);
        }
        if due(self.laptops[i].probe_at) {
            self.probe(i);
        }
        if due(self.laptops[i].trusted_until) {
            self.leave_trusted(i);
        }
        if self.laptops[i].client.is_some() && self.laptops[i].is_awake() {
            if due(self.laptops[i].client().poll_timeout().map(|(at, _)| at)) {
                self.input(i, Input::Time, |client, now| client.handle_timeout(now));
            }
            if due(self.laptops[i].pending_answer) {
                self.laptops[i].pending_answer = None;
                let answers = self.laptops[i].typed();
                self.input(i, Input::Answer, |client, now| client.order(now, Order::Answer(answers)));
            }
            let laptop = &mut self.laptops[i];
            if let Some(every) = laptop.echo_every.filter(|_| laptop.next_echo <= now) {
                laptop.next_echo = now + every;
                let clock = laptop.clock(self.now);
                if let Some(transmit) = laptop.echo(clock) {
                    self.carry(i, transmit);
                }
                self.drain(i);
            }
        }
        self.touch(i);
    }

    /// Gives the client something, takes what it says, and looks whether the model allows it.
    pub(crate) fn input<T>(
        &mut self,
        i: usize,
        input: Input,
        act: impl FnOnce(&mut Client, Now) -> T,
    ) -> Option<T> {
        let laptop = &mut self.laptops[i];
        let now = laptop.clock(self.now);
        let (before, cpu) = (laptop.state(), laptop.cpu);
        let begin = cpu.map(|clock| clock());
        laptop.told = Told::default();
        let done = act(laptop.client.as_mut()?, now);
        if let (Some(clock), Some(begin)) = (cpu, begin) {
            laptop.client_cpu += clock().saturating_sub(begin);
        }
        self.drain(i);
        let laptop = &self.laptops[i];
        if laptop.client.is_some() {
            self.coverage.note(before, laptop.told.cue(input), laptop.state());
        }
        Some(done)
    }

    fn deliver_to_site(&mut self, s: usize, from: SocketAddr, port: Port, mut octets: Vec<u8>) {
        let now = self.now;
        if self.sites[s].is_down(now.at) {
            return;
        }
        let gateway = &mut self.sites[s].gateway;
        let before = gateway.faults().tokens;
        gateway.handle_datagram(now, from, port, &mut octets);
        let refused = gateway.faults().tokens != before;
        self.drain_site(s);
        if refused {
            self.disturb_all(s, now.at); // a step's fault comes true now: what is promised is counted from here
        }
    }

    fn deliver_to_laptop(&mut self, parcel: Parcel) {
        let Parcel::ToLaptop { laptop: i, path, from, mut octets, forged } = parcel else { return };
        let now = self.now.at;
        let laptop = &mut self.laptops[i];
        if !laptop.is_awake() || laptop.client.is_none() {
            return;
        }
        laptop.model.delivered(now, from.port(), &octets, forged);
        let esp = matches!(super::wire::read(from.port(), &octets), super::wire::Seen::Esp(_));
        let opened = self.input(i, Input::Datagram, |client, now| {
            let before = client.drops();
            let range = client.handle_datagram(now, path, from, &mut octets);
            (client.drops() - before, range.map(|range| (range, octets)))
        });
        if let Some((dropped, opened)) = opened.as_ref().filter(|_| esp) {
            let packets = &mut self.laptops[i].packets;
            packets.arrived += 1;
            packets.opened += u64::from(opened.is_some());
            packets.dropped += dropped;
        }
        if let Some((range, octets)) = opened.and_then(|(_, opened)| opened) {
            self.laptops[i].take_inner(now, &octets[range]);
        }
        self.look(i);
        self.touch(i);
    }

    /// Takes everything that a client has to say; it may die of any of it.
    pub(crate) fn drain(&mut self, i: usize) {
        loop {
            let laptop = &mut self.laptops[i];
            let now = laptop.clock(self.now);
            let Some(client) = laptop.client.as_mut() else { return };
            if let Some(transmit) = client.poll_transmit() {
                self.carry(i, transmit);
            } else if let Some(event) = client.poll_event() {
                laptop.take_event(now, event);
            } else {
                break;
            }
            if let Some((left, down)) = self.laptops[i].crash_after.as_mut() {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    let down = *down;
                    return self.kill(i, down);
                }
            }
        }
        self.look(i);
        self.touch(i);
    }

    fn drain_site(&mut self, s: usize) {
        while let Some(transmit) = self.sites[s].gateway.poll_transmit() {
            self.carry_back(s, transmit);
        }
        self.sites[s].take_events(self.now.at);
        self.touch_site(s);
    }

    /// The model looks at a laptop.
    fn look(&mut self, i: usize) {
        let now = self.now.at;
        let laptop = &self.laptops[i];
        let place = &self.places[laptop.place];
        let (site, link) = (&self.sites[laptop.site], laptop.link_now(now, true));
        let known = laptop.stored.as_ref().is_some_and(|session| site.sessions.contains(&session.id_text()));
        let open = place.is_open(now) && !site.is_down(now) && link.is_good();
        let running = laptop.is_awake() && laptop.paths().any();
        let facts = Facts {
            fine: open && running,
            since: laptop.disturbed,
            known,
            lenient: site.lenient,
            echo: laptop.echo_every,
            last_echo_back: laptop.last_echo_back,
        };
        let laptop = &mut self.laptops[i];
        if !facts.fine {
            laptop.disturb(now);
        }
        if let Some(client) = &laptop.client {
            laptop.model.look(now, client, &facts);
        }
    }

    fn carry(&mut self, i: usize, transmit: Transmit) {
        let now = self.now;
        let laptop = &mut self.laptops[i];
        laptop.model.sent(now.at, laptop.ways, laptop.is_awake(), &transmit);
        let Some(from) = laptop.local(transmit.path) else { return };
        let (place, link) = (laptop.place, laptop.link_now(now.at, true));
        if let Some(bystander) = self.bystander.as_mut().filter(|_| i == 0) {
            let injected =
                bystander.see_outward(now, from, transmit.to.port(), &transmit.payload, &mut self.random);
            self.inject(transmit.to, injected);
        }
        let Some(site) = self.sites.iter().position(|site| site.addresses.contains(&transmit.to.ip())) else {
            return;
        };
        if !self.places[place].is_open(now.at) {
            return;
        }
        let from = self.places[place].outward(now.at, from, transmit.to);
        let port = if transmit.to.port() == 500 { Port::Ike } else { Port::Nat };
        if let Some(arrivals) = self.sites[site].arrivals.as_mut()
            && super::wire::is_init(transmit.to.port(), &transmit.payload)
        {
            arrivals.push(now.at);
        }
        let parcel = Parcel::ToSite { site, from, port, octets: transmit.payload };
        self.record(&parcel);
        self.network.post(now.at, &link, &mut self.random, parcel);
    }

    fn carry_back(&mut self, s: usize, transmit: GatewayTransmit) {
        let now = self.now.at;
        let site = &self.sites[s];
        if site.is_down(now) {
            return;
        }
        let port = if transmit.from == Port::Ike { 500 } else { 4500 };
        // An answer comes from the address that was asked: of the family it goes to.
        let six = transmit.to.is_ipv6();
        let Some(source) = site.addresses.iter().find(|a| a.is_ipv6() == six) else { return };
        let from = SocketAddr::new(*source, port);
        let inside = match owner(transmit.to.ip()) {
            Some(i) if i < self.laptops.len() => Some((i, transmit.to)),
            _ => self.behind_nat(transmit.to, from),
        };
        let Some((i, local)) = inside else { return };
        let laptop = &self.laptops[i];
        // Only the present path carries anything.
        let Some(path) = laptop.path_of(local) else { return };
        if !self.places[laptop.place].is_open(now) {
            return;
        }
        let link = laptop.link_now(now, false);
        if let Some(bystander) = self.bystander.as_mut().filter(|_| i == 0) {
            let injected = bystander.see_inward(port, &transmit.payload, &mut self.random);
            self.inject(from, injected);
        }
        let parcel = Parcel::ToLaptop { laptop: i, path, from, octets: transmit.payload, forged: false };
        self.record(&parcel);
        self.network.post(now, &link, &mut self.random, parcel);
    }

    fn behind_nat(&self, to: SocketAddr, from: SocketAddr) -> Option<(usize, SocketAddr)> {
        let place = self.places.iter().find(|place| place.public() == to.ip())?;
        let local = place.inward(self.now.at, to, from)?;
        Some((owner(local.ip())?, local))
    }

    /// A bystander is nearer than the gateway: what he sends arrives first.
    fn inject(&mut self, from: SocketAddr, injected: Injected) {
        let now = self.now.at;
        let Some(bystander) = self.bystander.as_ref().filter(|bystander| now < bystander.until) else {
            return;
        };
        let forged = bystander.forgery != Forgery::Replay;
        let Some(path) = self.laptops[0].paths().to(from.ip()) else { return };
        for (port, octets) in injected {
            let from = SocketAddr::new(from.ip(), port);
            let parcel = Parcel::ToLaptop { laptop: 0, path, from, octets, forged };
            self.network.arrive(now + Duration::from_millis(1), parcel);
        }
    }
}
