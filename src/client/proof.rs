//! Is the serving SA alive on the present path? The question, and what an answer proves (law 3).

use super::serving::Serving;
use super::{Client, Event, PathId};
use crate::ike::established::Authentic;
use crate::ike::sa::Retransmission;
use crate::reconnect::Proof;
use crate::time::Now;
use std::net::{IpAddr, SocketAddr};

impl Serving {
    /// The gateway's addresses that this SA can go on with: more than the present one with MOBIKE only.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = vec![self.remote.ip()];
        if self.ike.has_mobike() {
            addresses.push(self.first);
            addresses.extend_from_slice(self.ike.peer_addresses());
        }
        addresses
    }
}

impl Client {
    /// Asks the gateway of the serving SA for a sign of life; with MOBIKE it tells at the same time where we are, so that an
    /// address that a NAT has changed without a word is mended too (RFC 4555 3.8). False where it cannot be reached: the
    /// network does not carry the family of any of its addresses.
    pub(super) fn ask_serving(&mut self, now: Now, rule: Retransmission) -> bool {
        let Some(serving) = self.serving.as_mut() else { return false };
        let known = serving.addresses();
        let Some((to, path)) = known.into_iter().find_map(|ip| Some((ip, self.paths.to(ip)?))) else {
            return false;
        };
        serving.remote = SocketAddr::new(to, serving.remote.port());
        if serving.ike.has_mobike() {
            serving.ike.update_addresses(now.at, path.0, serving.remote, rule, &mut *self.random);
        } else {
            serving.ike.check_liveness_with(now.at, rule, &mut *self.random);
        }
        self.pump_serving(now);
        true
    }

    /// What a datagram of the serving SA proves that came in on `path`.
    pub(super) fn judge(&mut self, now: Now, path: PathId, authentic: Authentic) {
        let unchanged = self.proved_path == Some(path);
        let mobike = self.serving.as_ref().is_some_and(|serving| serving.ike.has_mobike());
        let proof = match authentic {
            // An exact repetition may be a replay: it says nothing about now.
            Authentic::Repeated | Authentic::Unproven => return,
            // A part of what may be an old answer, on its way to an old place.
            Authentic::Fragment => Proof::None,
            Authentic::Updated { label } if label == path.0 => self.moved_to(path),
            // With MOBIKE a gateway's own request comes here only if an update of ours has told it the way.
            Authentic::New if mobike && !unchanged => self.moved_to(path),
            Authentic::New => Proof::None,
            _ if unchanged => Proof::Strong,
            // Its ESP goes elsewhere: that it lives is no reason to wait for it.
            Authentic::NotFollowed => return,
            // With MOBIKE the gateway follows an update and nothing else.
            Authentic::Answer | Authentic::Updated { .. } if mobike => Proof::None,
            Authentic::Answer | Authentic::Updated { .. } => Proof::Weak,
        };
        self.heard(now, path, proof);
        if matches!(authentic, Authentic::Answer | Authentic::Updated { .. }) {
            let suspicion = self.doubt.check_answered(now.at);
            self.act_on_suspicion(now, suspicion);
        }
    }

    /// The gateway sends everything to this path, if it is the present one.
    fn moved_to(&mut self, path: PathId) -> Proof {
        if self.serving_path() != Some(path) {
            return Proof::None;
        }
        if self.proved_path != Some(path) {
            self.proved_path = Some(path);
            self.events.push_back(Event::Moved);
            if let Some(liveness) = self.liveness.as_mut() {
                liveness.moved();
            }
        }
        Proof::Strong
    }
}
