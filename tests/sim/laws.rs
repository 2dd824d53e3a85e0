//! The laws as invariants, checked at every step of every run.

use crate::world::PASSWORD;
use ikeep::client::{Event, OUTAGE_AFTER, Order, PathId, Signal, Status, Transmit};
use ikeep::reconnect::State;
use ikeep::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// What has been seen so far.
pub(crate) struct Laws {
    wanted: bool,
    disconnected_at: Option<Instant>,
    usable: bool,
    /// First octets of an attempt: our SPI, when.
    attempts: VecDeque<(Instant, [u8; 8])>,
    pub(crate) attempts_seen: u64,
    pub(crate) logins_ordered: u64,
    /// Questions since the last order to connect; law 6 allows them in a login only.
    token: bool,
    heard: Option<Instant>,
    unanswered: Option<Instant>,
    secrets: Vec<Vec<u8>>,
    pub(crate) disconnect_sent: u64,
}

impl Laws {
    pub(crate) fn new() -> Self {
        Self {
            wanted: false,
            disconnected_at: None,
            usable: false,
            attempts: VecDeque::new(),
            attempts_seen: 0,
            logins_ordered: 0,
            token: false,
            heard: None,
            unanswered: None,
            secrets: vec![PASSWORD.as_bytes().to_vec()],
            disconnect_sent: 0,
        }
    }

    pub(crate) fn ordered(&mut self, now: Instant, order: &Order) {
        match order {
            Order::Connect => {
                self.wanted = true;
                self.disconnected_at = None;
                self.logins_ordered += 1;
            }
            Order::Disconnect => {
                self.wanted = false;
                self.disconnected_at = Some(now);
                self.token = false;
            }
            _ => {}
        }
    }

    pub(crate) fn signalled(&mut self, _now: Instant, signal: &Signal) {
        if let Signal::Paths(paths) = signal {
            self.usable = paths.any();
        }
    }

    pub(crate) fn crashed(&mut self) {
        self.heard = None;
        self.unanswered = None;
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
        self.unanswered = None;
    }

    pub(crate) fn traffic_sent(&mut self, now: Instant) {
        self.unanswered.get_or_insert(now);
    }

    /// Laws 1, 2 and 3 on the wire.
    pub(crate) fn sent(&mut self, seed: u64, now: Instant, path: Option<PathId>, transmit: &Transmit) {
        assert_eq!(
            Some(transmit.path),
            path,
            "seed {seed}: law 2, sent without (or through an old) path at {now:?}"
        );
        if let Some(at) = self.disconnected_at {
            assert!(
                now.since(at) <= Duration::from_secs(2),
                "seed {seed}: law 1, sent {:?} after the user said disconnect",
                now.since(at)
            );
            self.disconnect_sent += 1;
        }
        let ike = if transmit.to.port() == 500 {
            &transmit.payload[..]
        } else {
            transmit.payload.get(4..).unwrap_or(&[])
        };
        let marked = transmit.to.port() == 500 || transmit.payload.starts_with(&[0; 4]);
        if marked && ike.len() > 28 && ike[18] == 34 {
            let spi: [u8; 8] = ike[..8].try_into().expect("eight octets");
            if self.attempts.iter().all(|(_, seen)| *seen != spi) {
                if let Some((last, _)) = self.attempts.back() {
                    assert!(
                        now.since(*last) >= Duration::from_millis(50),
                        "seed {seed}: law 2, two attempts within {:?}",
                        now.since(*last)
                    );
                }
                self.attempts.push_back((now, spi));
                self.attempts_seen += 1;
                if self.attempts.len() > 64 {
                    self.attempts.pop_front();
                }
            }
        }
    }

    /// Laws 5 and 6, and no secret in anything that is told.
    pub(crate) fn event(&mut self, seed: u64, now: Instant, event: &Event) {
        match event {
            Event::StoreSession(session) => {
                self.token = true;
                let token = session.token.expose();
                if self.secrets.iter().all(|known| known != token) {
                    self.secrets.push(token.to_vec());
                }
            }
            Event::EraseSession => self.token = false,
            Event::Ask(form) => assert!(
                !self.token,
                "seed {seed}: law 6, the person was asked at {now:?} while a token is there: {form:?}"
            ),
            _ => {}
        }
        let told = format!("{event:?}").into_bytes();
        for secret in &self.secrets {
            assert!(
                secret.is_empty() || !told.windows(secret.len()).any(|w| w == secret.as_slice()),
                "seed {seed}: a secret stands in an event"
            );
        }
    }

    /// Laws 7 and 8 in the status.
    pub(crate) fn look(&mut self, seed: u64, now: Instant, status: Option<&Status>) {
        let Some(status) = status else { return };
        if !matches!(status.state, State::Connected) {
            self.unanswered = None;
            return;
        }
        let Some(at) = self.unanswered else { return };
        assert!(
            !status.confirmed
                || now.since(at) <= OUTAGE_AFTER + Duration::from_millis(1)
                || status.child.is_none()
                || self.ike_may_have_answered(status, now),
            "seed {seed}: law 8, 'connected' {:?} after the first unanswered packet",
            now.since(at)
        );
    }

    /// An answered liveness request clears the clock that this model keeps by ESP alone.
    fn ike_may_have_answered(&self, status: &Status, now: Instant) -> bool {
        status.next.is_some_and(|next| next.at > now)
    }
}
