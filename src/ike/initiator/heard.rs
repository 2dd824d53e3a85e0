//! What an answer of the gateway holds, for whoever wants to learn how it speaks (PROTOCOL section 3, at its end).

use super::super::auth;
use super::super::message::{Payload, cfg_kind};
use crate::crypto::Secret;

/// One protected answer, before it is acted on. Attributes and EAP packet belong to the user: tell their shape, never them.
#[derive(Debug, Default)]
pub struct Heard {
    /// Kinds of its notifies, in order.
    pub notifies: Vec<u16>,
    /// Its vendor IDs.
    pub vendor_ids: Vec<Vec<u8>>,
    /// ID type of IDr (RFC 7296 3.5).
    pub id_kind: Option<u8>,
    /// How it proves itself, for people.
    pub auth: Option<String>,
    /// The certificates, DER, in order.
    pub certificates: Vec<Vec<u8>>,
    /// The attributes of the CFG_REPLY, in order.
    pub attributes: Vec<(u16, Secret)>,
    /// The EAP packet.
    pub eap: Option<Secret>,
}

impl Heard {
    pub(super) fn of(payloads: &[Payload]) -> Self {
        let mut heard = Self::default();
        for payload in payloads {
            match payload {
                Payload::Notify(told) => heard.notifies.push(told.kind),
                Payload::VendorId(id) => heard.vendor_ids.push(id.clone()),
                Payload::IdR(id) => heard.id_kind = Some(id.kind),
                Payload::Auth { method, data } => heard.auth = Some(auth::describe(*method, data)),
                Payload::Cert { data, .. } => heard.certificates.push(data.clone()),
                Payload::Eap(packet) => heard.eap = Some(Secret::from(packet.as_slice())),
                Payload::Cp(reply) if reply.kind == cfg_kind::REPLY => {
                    let of =
                        |a: &super::super::message::ConfigAttribute| (a.kind, Secret::from(&a.value[..]));
                    heard.attributes.extend(reply.attributes.iter().map(of));
                }
                _ => {}
            }
        }
        heard
    }
}
