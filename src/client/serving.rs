//! The SA that serves, and the one that it replaced.

use super::{AuthKind, Client, Event, IkeKeys, KEEPALIVE, Liveness, PathId};
use crate::client::liveness::Due;
use crate::client::renew::Authentication;
use crate::client::tickets::Tickets;
use crate::esp::{SaPair, SaParams};
use crate::ike::established::{Established, SaEvent};
use crate::ike::proposal::EspSuite;
use crate::ike::sa::Retransmission;
use crate::reconnect::{Proof, Trigger};
use crate::session::Session;
use crate::time::{Instant, Now};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A deleted or replaced ESP SA goes on receiving for what is still on its way.
const ESP_LINGER: Duration = Duration::from_secs(1);
/// A token is kept on disk with a last contact that is not older than this.
const STORE_EVERY: Duration = Duration::from_secs(300);

/// An authenticated IKE SA in use.
pub(super) struct Serving {
    pub(super) ike: Established,
    /// The gateway's address that it came up with.
    pub(super) first: IpAddr,
    /// Where the gateway is reached now: only MOBIKE makes it another one.
    pub(super) remote: SocketAddr,
    pub(super) auth: AuthKind,
    pub(super) esp: EspSuite,
    /// A PPK is in the keys.
    pub(super) ppk: bool,
    pub(super) since: Instant,
    pub(super) round_trip: Option<Duration>,
    /// When the gateway ends it (RFC 4478).
    pub(super) authentication: Option<Authentication>,
    /// That of the IKE SA which this one replaced by token.
    pub(super) replaced: Option<Authentication>,
    /// Where the gateway gives tickets.
    pub(super) tickets: Option<Tickets>,
}

/// The old SA after a new one took over.
pub(super) struct Retiring {
    pub(super) serving: Serving,
    /// 5 s at most (law 3).
    pub(super) until: Instant,
    /// Its ESP SAs.
    pub(super) spis: Vec<u32>,
}

impl Client {
    pub(super) fn serving_datagram(&mut self, now: Now, path: PathId, datagram: &[u8]) {
        let Some(serving) = self.serving.as_mut() else { return };
        match serving.ike.handle_datagram(now.at, datagram, &mut *self.random) {
            Err(dropped) => return self.count_drop(now.at, &dropped.to_string()),
            Ok(authentic) => self.judge(now, path, authentic),
        }
        self.pump_serving(now);
    }

    /// Something authenticated arrived on the serving SA.
    pub(super) fn heard(&mut self, now: Now, path: PathId, proof: Proof) {
        let wait = self.settings.dpd_interval;
        self.liveness.get_or_insert_with(|| Liveness::new(now.at, wait)).heard(now.at);
        if let Some(session) = self.session.as_mut() {
            session.last_contact = now.wall;
            let every = (session.window / 3).min(STORE_EVERY);
            if self.stored_at.is_none_or(|at| now.at.since(at) >= every) {
                self.store_session(now);
            }
        }
        self.token_until = self.way_back_until(now).or(self.token_until);
        if Some(path) == self.serving_path() && proof > self.proof {
            self.proof = proof;
            self.trigger(now, Trigger::OldProved);
        }
    }

    pub(super) fn store_session(&mut self, now: Now) {
        let Some(session) = &self.session else { return };
        if session.has_way_back() {
            self.stored_at = Some(now.at);
            self.events.push_back(Event::StoreSession(Box::new(session.clone())));
        } else if self.stored_at.take().is_some() {
            // A ticket is promised and not given yet: there is nothing to come back with.
            self.events.push_back(Event::EraseSession);
        }
    }

    pub(super) fn tell_esp_keys(&mut self, child: &SaParams) {
        if self.settings.key_log {
            self.events.push_back(Event::EspKeys(Box::new(child.clone())));
        }
    }

    /// Sends what the serving SA has to send, and takes its events.
    pub(super) fn pump_serving(&mut self, now: Now) {
        loop {
            let Some(serving) = self.serving.as_mut() else { return };
            let remote = serving.remote;
            if let Some(datagram) = serving.ike.poll_datagram() {
                self.send_ike(now.at, remote, true, &datagram);
                continue;
            }
            let Some(event) = serving.ike.poll_event() else { return };
            self.serving_event(now, event);
        }
    }

    fn serving_event(&mut self, now: Now, event: SaEvent) {
        match event {
            SaEvent::ChildUp { child, replaces, send } => {
                let spi_in = child.spi_in;
                self.doubt.renewed();
                self.tell_esp_keys(&child);
                if send {
                    self.esp.install(SaPair::new(*child));
                } else {
                    self.esp.install_inbound(SaPair::new(*child));
                    self.unproved.push(spi_in);
                }
                if replaces.is_some() {
                    self.events.push_back(Event::ChildRekeyed);
                }
            }
            SaEvent::ChildDown { spi_in } => {
                // What the peer deleted it no longer receives: the successor sends from here on.
                if let Some(at) = self.unproved.iter().position(|spi| *spi != spi_in)
                    && self.esp.current().is_some_and(|pair| pair.spi_in() == spi_in)
                {
                    let successor = self.unproved.remove(at);
                    self.esp.promote(successor);
                }
                self.unproved.retain(|spi| *spi != spi_in);
                self.esp.retire(spi_in, now.at + ESP_LINGER);
                if self.serving.as_ref().is_some_and(|s| !s.ike.has_child()) {
                    self.drop_serving(now, true);
                    self.trigger(now, Trigger::ChildDeleted);
                }
            }
            SaEvent::Rekeyed => {
                if let Some(serving) = self.serving.as_ref().filter(|_| self.settings.key_log) {
                    self.events.push_back(Event::IkeKeys(IkeKeys::of(serving.ike.sa())));
                }
                self.events.push_back(Event::IkeRekeyed);
                self.ticket_is_stale(now);
            }
            SaEvent::Answered { round_trip } => {
                if let (Some(serving), Some(round_trip)) = (self.serving.as_mut(), round_trip) {
                    serving.round_trip = Some(round_trip);
                    serving.ike.set_retransmission(Retransmission::from_round_trip(Some(round_trip)));
                }
            }
            // Only a new IKE SA can follow it, and the old one serves until then.
            SaEvent::RekeyRefused { .. } => {
                if self.doubt.take_refusal(now.at) {
                    self.trigger(now, Trigger::Renew);
                }
            }
            SaEvent::UnknownToPeer { spi_in } => {
                if self.esp.current().is_some_and(|pair| pair.spi_in() == spi_in) {
                    let suspicion = self.doubt.suspect(now.at);
                    self.act_on_suspicion(now, suspicion);
                }
            }
            SaEvent::AuthLifetime(lifetime) => self.authentication_ends(now, lifetime),
            // Only the gateway follows.
            SaEvent::PeerMoved | SaEvent::TicketWanted => {}
            SaEvent::TicketAnswered(answer) => self.ticket_answered(now, answer),
            SaEvent::WantedElsewhere(to) => {
                self.events.push_back(Event::WantedElsewhere { to: to.to_string() });
            }
            SaEvent::UpdateRefused(why) => self.events.push_back(Event::NotMoved { why }),
            SaEvent::DeletedByPeer | SaEvent::Disbelieved => {
                self.flush_serving(now);
                self.events.push_back(Event::DeletedByGateway);
                // A gateway that takes the ticket may delete the old SA before it has answered.
                if self.attempt.as_ref().is_none_or(|attempt| attempt.auth != AuthKind::Ticket) {
                    self.ticket_is_over(now);
                }
                self.drop_serving(now, false);
                self.trigger(now, Trigger::GatewayDeleted);
            }
            SaEvent::Deleted => self.trigger(now, Trigger::Deleted),
            SaEvent::Dead => {
                self.drop_serving(now, false);
                self.trigger(now, Trigger::Outage);
            }
        }
    }

    /// The last answers of an SA that is about to go.
    fn flush_serving(&mut self, now: Now) {
        while let Some((remote, datagram)) =
            self.serving.as_mut().and_then(|s| s.ike.poll_datagram().map(|d| (s.remote, d)))
        {
            self.send_ike(now.at, remote, true, &datagram);
        }
    }

    /// Forgets the serving SA. Its inbound ESP lingers, the session stays.
    pub(super) fn drop_serving(&mut self, now: Now, delete: bool) {
        let retiring = self.retiring.as_ref().map(|r| r.spis.clone()).unwrap_or_default();
        for spi in self.esp.spis().into_iter().filter(|spi| !retiring.contains(spi)) {
            self.esp.retire(spi, now.at + ESP_LINGER);
        }
        self.unproved.clear();
        self.liveness = None;
        self.proof = Proof::None;
        if let Some(mut serving) = self.serving.take()
            && delete
            && self.session.as_ref().is_none_or(Session::has_token) // a ticket goes with its IKE SA
            && !self.settings.dialect.delete_ends_session
        {
            serving.ike.delete(now.at, &mut *self.random);
            while let Some(datagram) = serving.ike.poll_datagram() {
                self.send_ike(now.at, serving.remote, true, &datagram);
            }
            self.ticket_is_over(now);
        }
        // Nothing will bring another ticket.
        self.session.take_if(|session| !session.has_way_back());
    }

    pub(super) fn serving_timeout(&mut self, now: Now) {
        if self.asleep || self.serving.is_none() || !self.paths.any() {
            return;
        }
        match self.liveness.as_mut().and_then(|l| l.handle_timeout(now.at)) {
            Some(Due::Probe) => self.probe(now),
            Some(Due::Outage) => self.trigger(now, Trigger::Outage),
            Some(Due::NotCarried) => {
                // Without a way back the old SA is all there is.
                let token = self.token_until.is_some_and(|until| now.at < until);
                if token && self.settings.rules.auto_reconnect {
                    self.trigger(now, Trigger::Outage);
                }
            }
            None => {}
        }
        self.renew_in_time(now);
        if self.serving_path().is_none() {
            return; // only the time passes that an answer may take
        }
        self.ask_for_ticket(now);
        if let Some(serving) = self.serving.as_mut() {
            serving.ike.handle_timeout(now.at, &mut *self.random);
        }
        self.pump_serving(now);
        if let Some(serving) = &self.serving
            && now.at.since(self.last_out) >= KEEPALIVE
        {
            let remote = serving.remote;
            self.transmit(now.at, remote, vec![0xff]);
        }
    }

    /// A liveness request by law 8: repeated after 0.5, 1 and 2 s.
    fn probe(&mut self, now: Now) {
        self.ask_serving(now, Retransmission::default());
    }

    /// A new SA serves: the old one retires.
    pub(super) fn retire_serving(&mut self, now: Now) {
        self.finish_retiring(now);
        if let Some(serving) = self.serving.take() {
            let spis = self.esp.spis();
            self.retiring = Some(Retiring { serving, until: now.at + Duration::from_secs(5), spis });
        } else {
            for spi in self.esp.spis() {
                self.esp.retire(spi, now.at + ESP_LINGER);
            }
        }
        self.unproved.clear();
    }

    /// The new SA has carried traffic, or the old one's time is over.
    pub(super) fn finish_retiring(&mut self, now: Now) {
        let Some(mut retiring) = self.retiring.take() else { return };
        for spi in &retiring.spis {
            self.esp.retire(*spi, now.at + ESP_LINGER);
        }
        if !self.settings.dialect.delete_ends_session {
            retiring.serving.ike.delete(now.at, &mut *self.random);
            while let Some(datagram) = retiring.serving.ike.poll_datagram() {
                self.send_ike(now.at, retiring.serving.remote, true, &datagram);
            }
        }
    }

    pub(super) fn retiring_datagram(&mut self, now: Now, datagram: &[u8]) {
        let Some(retiring) = self.retiring.as_mut() else { return };
        let result = retiring.serving.ike.handle_datagram(now.at, datagram, &mut *self.random);
        let remote = retiring.serving.remote;
        let mut out = Vec::new();
        while let Some(datagram) = retiring.serving.ike.poll_datagram() {
            out.push(datagram);
        }
        let mut gone = false;
        while let Some(event) = retiring.serving.ike.poll_event() {
            gone |= matches!(
                event,
                SaEvent::DeletedByPeer | SaEvent::Disbelieved | SaEvent::Deleted | SaEvent::Dead
            );
        }
        for datagram in out {
            self.send_ike(now.at, remote, true, &datagram);
        }
        if let Err(dropped) = result {
            self.count_drop(now.at, &dropped.to_string());
        }
        if gone && let Some(retiring) = self.retiring.take() {
            for spi in retiring.spis {
                self.esp.retire(spi, now.at + ESP_LINGER);
            }
        }
    }

    pub(super) fn retiring_timeout(&mut self, now: Now) {
        let Some(retiring) = self.retiring.as_mut() else { return };
        if retiring.until <= now.at {
            self.finish_retiring(now);
            return;
        }
        retiring.serving.ike.handle_timeout(now.at, &mut *self.random);
        let remote = retiring.serving.remote;
        let mut out = Vec::new();
        while let Some(datagram) = retiring.serving.ike.poll_datagram() {
            out.push(datagram);
        }
        while retiring.serving.ike.poll_event().is_some() {}
        for datagram in out {
            self.send_ike(now.at, remote, true, &datagram);
        }
    }
}
