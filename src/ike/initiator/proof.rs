//! Who proves what in IKE_AUTH: the octets that AUTH covers, ours with a key, the gateway's by certificate or key.

use super::super::auth::{method, shared_key_auth, signed_octets, verify_signature};
use super::super::cert::Verified;
use super::super::eap::Peer;
use super::super::keys::SaKeys;
use super::super::message::{Identity, Payload};
use super::super::sa::IkeSa;
use super::auth::{Auth, CERT_X509};
use super::{Failure, InitiatorConfig};
use crate::crypto::Secret;
use crate::time::Now;

impl Auth {
    /// What our AUTH covers, or the gateway's.
    pub(super) fn octets(&self, sk_p: &Secret, ours: bool, id: &Identity) -> Vec<u8> {
        let keyed = &self.keyed;
        let (message, nonce) = if ours { (&keyed.request, &keyed.nr) } else { (&keyed.response, &keyed.ni) };
        let mut octets = signed_octets(keyed.suite.prf, sk_p, message, nonce, id);
        octets.extend(self.sa.as_ref().map(IkeSa::int_auth).unwrap_or_default());
        octets
    }

    /// Our AUTH payload of method 2 with this key.
    pub(super) fn auth_payload(&self, keys: &SaKeys, key: &Secret) -> Payload {
        let octets = self.octets(&keys.sk_pi, true, &self.id);
        let data = shared_key_auth(self.keyed.suite.prf, key.expose(), &octets).expose().to_vec();
        Payload::Auth { method: method::SHARED_KEY, data }
    }

    /// The method's key, or where it makes none SK_pi or SK_pr in its place (RFC 7296 2.16).
    pub(super) fn eap_key<'a>(&'a self, sk_p: &'a Secret) -> &'a Secret {
        self.eap.as_ref().and_then(Peer::key).unwrap_or(sk_p)
    }

    /// Certificate, host name, pins, IDr and signature: all of it before anything else is believed.
    pub(super) fn check_gateway(
        &mut self,
        now: Now,
        config: &InitiatorConfig,
        payloads: &[Payload],
    ) -> Result<Verified, Failure> {
        let certs: Vec<Vec<u8>> = payloads
            .iter()
            .filter_map(|p| match p {
                Payload::Cert { encoding: CERT_X509, data } => Some(data.clone()),
                _ => None,
            })
            .collect();
        let id = payloads
            .iter()
            .find_map(|p| match p {
                Payload::IdR(id) => Some(id.clone()),
                _ => None,
            })
            .ok_or(Failure::Protocol("no IDr payload"))?;
        let (auth_method, data) = payloads
            .iter()
            .find_map(|p| match p {
                Payload::Auth { method, data } => Some((*method, data)),
                _ => None,
            })
            .ok_or(Failure::Protocol("the gateway did not authenticate itself"))?;
        let verified = config.trust.verify(&certs, &config.host, now.wall)?;
        if let Some(leaf) = certs.first() {
            config.trust.check_idr(leaf, &id)?;
        }
        let octets = self.octets(&self.keyed.keys.sk_pr, false, &id);
        verify_signature(auth_method, data, &octets, &verified.spki, config.dialect.rsa_auth_sha1)
            .map_err(|_| Failure::GatewayAuth)?;
        self.gateway = Some((verified.clone(), id));
        Ok(verified)
    }

    /// The gateway's AUTH after EAP: method 2 with the method's key or SK_pr.
    pub(super) fn check_final(&self, payloads: &[Payload]) -> Result<(), Failure> {
        let (Some((_, id)), keyed) = (&self.gateway, &self.keyed) else { return Err(Failure::GatewayAuth) };
        let data = payloads.iter().find_map(|p| match p {
            Payload::Auth { method: method::SHARED_KEY, data } => Some(data),
            _ => None,
        });
        let data = data.ok_or(Failure::Protocol("no AUTH after the login"))?;
        let octets = self.octets(&keyed.keys.sk_pr, false, id);
        let expected = shared_key_auth(keyed.suite.prf, self.eap_key(&keyed.keys.sk_pr).expose(), &octets);
        if expected == Secret::from(data.as_slice()) { Ok(()) } else { Err(Failure::GatewayAuth) }
    }
}
