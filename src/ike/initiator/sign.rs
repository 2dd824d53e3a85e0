//! Signatures by a key that is not in memory: the owner has them made, seconds later, and the exchange goes on.
//!
//! What waits for one is made anew when it is there; the octets to sign come out the same, and by them the signature is found.

use super::super::auth::{Signing, method, read_hash_algorithms, signing, takes_ed25519};
use super::super::cert::OwnCertificate;
use super::super::eap::{Peer, Step};
use super::super::keys::SaKeys;
use super::super::message::Payload;
use super::auth::{Auth, Stop};
use super::{Failure, InitiatorConfig, InitiatorEvent};
use crate::crypto::{Random, Scheme};
use crate::time::Instant;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// What a key that is not in memory has to sign. `Debug` prints the scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct ToSign {
    /// The scheme.
    pub scheme: Scheme,
    /// The octets, not hashed yet.
    pub octets: Vec<u8>,
}

impl fmt::Debug for ToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToSign({:?})", self.scheme)
    }
}

/// Signatures that are there, and the one that is waited for.
#[derive(Default)]
pub(super) struct Signatures {
    made: Vec<(ToSign, Vec<u8>)>,
    /// With the certificate that EAP-AnyConnect is to show; `None`: the first request waits.
    waiting: Option<(ToSign, Option<Arc<OwnCertificate>>)>,
}

impl Signatures {
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.is_some()
    }
}

/// Why there is no signature.
pub(super) enum Unsigned {
    /// Not yet.
    Later(ToSign),
    /// The attempt is over.
    Failed(Failure),
}

impl From<Failure> for Unsigned {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Auth {
    /// The first request, at once or when it is signed.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Failure> {
        match self.first_request(config) {
            Ok(first) => self.request(now, first, random),
            Err(Unsigned::Later(to_sign)) => self.wait(to_sign, None, events),
            Err(Unsigned::Failed(failure)) => return Err(failure),
        }
        Ok(())
    }

    /// The user's certificate inside EAP-AnyConnect, at once or when it is signed.
    pub(super) fn show(
        &mut self,
        now: Instant,
        own: Arc<OwnCertificate>,
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Failure> {
        match self.certificate(&own) {
            Ok(packet) => self.request(now, vec![Payload::Eap(packet)], random),
            Err(Unsigned::Later(to_sign)) => self.wait(to_sign, Some(own), events),
            Err(Unsigned::Failed(failure)) => return Err(failure),
        }
        Ok(())
    }

    fn wait(
        &mut self,
        to_sign: ToSign,
        own: Option<Arc<OwnCertificate>>,
        events: &mut VecDeque<InitiatorEvent>,
    ) {
        events.push_back(InitiatorEvent::Sign(to_sign.clone()));
        self.signatures.waiting = Some((to_sign, own));
    }

    /// What came of [`InitiatorEvent::Sign`]. Nothing where none is due.
    pub(super) fn signed(
        &mut self,
        now: Instant,
        config: &InitiatorConfig,
        made: Result<Vec<u8>, String>,
        events: &mut VecDeque<InitiatorEvent>,
        random: &mut dyn Random,
    ) -> Result<(), Stop> {
        let Some((to_sign, own)) = self.signatures.waiting.take() else { return Ok(()) };
        self.signatures.made.push((to_sign, made.map_err(Failure::OwnKey)?));
        match own {
            None => Ok(self.begin(now, config, events, random)?),
            Some(own) => self.take_step(now, Step::Sign(own), events, random),
        }
    }

    /// Method and data of an AUTH payload by the key of the certificate: with a hash that the gateway has announced (RFC 7427),
    /// else as RFC 7296 has it.
    pub(super) fn signature(&self, keys: &SaKeys, own: &OwnCertificate) -> Result<(u8, Vec<u8>), Unsigned> {
        let (prf, keyed) = (self.keyed.suite.prf, &self.keyed);
        let announced = keyed.peer_hashes.as_deref();
        if own.is_ed25519() && !announced.is_some_and(takes_ed25519) {
            let what = "the gateway does not take signatures of Ed25519 keys";
            return Err(Failure::OwnCertificate(what).into());
        }
        let octets = self.octets(&keys.sk_pi, true, &self.id);
        let hashes = announced.map(read_hash_algorithms);
        let cannot = |_| Failure::OwnCertificate("its key cannot make a signature that the gateway takes");
        let signer = own.signer();
        let way = signing(signer.schemes(), hashes.as_deref(), prf.hash()).map_err(cannot)?;
        let Signing { scheme, .. } = way;
        if !own.is_elsewhere() {
            return Ok(way.data(&signer.sign(scheme, &octets).map_err(cannot)?));
        }
        let to_sign = ToSign { scheme, octets };
        let made = self.signatures.made.iter().find(|(of, _)| *of == to_sign);
        made.map(|(_, signature)| way.data(signature)).ok_or(Unsigned::Later(to_sign))
    }

    /// The user's certificate inside EAP-AnyConnect. Its signature comes without the number of its method (`fork`): only where
    /// nobody can take it for another one.
    fn certificate(&mut self, own: &OwnCertificate) -> Result<Vec<u8>, Unsigned> {
        let keys = &self.keyed.keys;
        let (method::RSA | method::DIGITAL_SIGNATURE, signature) = self.signature(keys, own)? else {
            let what =
                "inside EAP-AnyConnect this gateway takes an RSA key only (it does not announce RFC 7427)";
            return Err(Failure::OwnCertificate(what).into());
        };
        let eap: &mut Peer = self.eap.as_mut().ok_or(Failure::Protocol("a signature without a login"))?;
        eap.signed(signature).map_err(|error| Failure::from(error).into())
    }
}
