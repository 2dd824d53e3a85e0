//! The recordings of `tests/data`: whole handshakes between programs that share no code with this project.
//!
//! `Recording::load("psk-reconnect-gcm-x25519")` reads one; `recording.messages()`, `.keys`, `.child`, `.esp` are its parts.
//! The clients are the initiators. The recorded CA is valid from 2026-11-22: check certificates at `CERTIFICATE_TIME`.

#![allow(dead_code, unreachable_pub)] // every test file uses its own part

use serde_json::Value;
use std::path::PathBuf;

/// All recordings, by the name of their file.
pub const ALL: [&str; 4] = [
    "eap-anyconnect-login",
    "psk-reconnect-cbc-rfc7427",
    "psk-reconnect-gcm-x25519",
    "psk-reconnect-modp2048-sha1",
];
/// The PSK of the `psk-reconnect-*` recordings, as text.
pub const PSK: &str = "Q2hhbmdlLW1lLW5vdC1hLXJlYWwtdG9rZW4x";
/// The IDi (key-id) of the `psk-reconnect-*` recordings.
pub const SESSION_ID: &str = "rIUHKccDRiUtFTATwq";
/// The gateway of all recordings, as its certificate names it.
pub const GATEWAY: &str = "flexvpn-c8kv.example.com";
/// 2026-12-01T00:00:00Z, seconds since the epoch: every certificate of the recordings is valid then.
pub const CERTIFICATE_TIME: u64 = 1_796_083_200;

/// One IKE message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Sent by the client (the initiator).
    pub from_client: bool,
    /// Exchange type.
    pub exchange: u8,
    /// Message ID.
    pub message_id: u32,
    /// The datagrams without non-ESP marker: one, or every fragment as sent.
    pub wire: Vec<Vec<u8>>,
    /// Type of the first payload; only of encrypted messages.
    pub first_payload: Option<u8>,
    /// The opened payload chain; only of encrypted messages.
    pub payloads: Option<Vec<u8>>,
}

/// The keys of the IKE SA and what they come from.
#[derive(Clone, Debug)]
pub struct Keys {
    pub spi_i: [u8; 8],
    pub spi_r: [u8; 8],
    pub ni: Vec<u8>,
    pub nr: Vec<u8>,
    pub shared: Vec<u8>,
    /// Transform IDs; `integ` is 0 with AEAD.
    pub prf: u16,
    pub encr: u16,
    pub encr_key_bits: u16,
    pub integ: u16,
    pub dh: u16,
    pub skeyseed: Vec<u8>,
    pub sk_d: Vec<u8>,
    pub sk_ai: Vec<u8>,
    pub sk_ar: Vec<u8>,
    pub sk_ei: Vec<u8>,
    pub sk_er: Vec<u8>,
    pub sk_pi: Vec<u8>,
    pub sk_pr: Vec<u8>,
}

/// The Child SA.
#[derive(Clone, Debug)]
pub struct Child {
    /// The SPI the client chose: packets to the client carry it.
    pub spi_client: u32,
    /// The SPI the gateway chose.
    pub spi_gateway: u32,
    /// Transform IDs; `integ` is 0 with AEAD. The ESP key length is 256 bits in all recordings.
    pub encr: u16,
    pub integ: u16,
    pub client_to_gateway_encr: Vec<u8>,
    pub client_to_gateway_integ: Vec<u8>,
    pub gateway_to_client_encr: Vec<u8>,
    pub gateway_to_client_integ: Vec<u8>,
}

/// One ESP packet from client to gateway.
#[derive(Clone, Debug)]
pub struct Esp {
    /// SPI, sequence number, IV, ciphertext, ICV.
    pub packet: Vec<u8>,
    /// Inner packet, padding 1, 2, 3.., pad length, next header.
    pub plain: Vec<u8>,
}

/// A whole handshake.
#[derive(Clone, Debug)]
pub struct Recording {
    pub name: &'static str,
    /// Every message, in order.
    pub messages: Vec<Message>,
    pub keys: Keys,
    pub child: Child,
    pub esp: Esp,
}

impl Recording {
    /// Reads `tests/data/NAME.jsonl`; panics with the reason where it is not what is expected.
    pub fn load(name: &'static str) -> Self {
        let text = std::fs::read_to_string(data(&format!("{name}.jsonl"))).expect("recording");
        let (mut messages, mut keys, mut child, mut esp) = (Vec::new(), None, None, None);
        for line in text.lines() {
            let line = Line(serde_json::from_str(line).expect("a JSON object a line"));
            if line.has("keys") {
                keys = Some(line.keys());
            } else if line.has("child") {
                child = Some(line.child());
            } else if line.has("esp") {
                esp = Some(Esp { packet: line.hex("esp"), plain: line.hex("plain") });
            } else {
                messages.push(line.message());
            }
        }
        Self {
            name,
            messages,
            keys: keys.expect("keys"),
            child: child.expect("child"),
            esp: esp.expect("an ESP packet"),
        }
    }

    /// Every recording.
    pub fn all() -> Vec<Self> {
        ALL.map(Self::load).to_vec()
    }

    /// The IKE_SA_INIT messages: request and response.
    pub fn init(&self) -> (&Message, &Message) {
        (self.message(true, 34, 0), self.message(false, 34, 0))
    }

    /// The encrypted messages, in order.
    pub fn encrypted(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|m| m.payloads.is_some())
    }

    /// The one message with this direction, exchange and ID.
    pub fn message(&self, from_client: bool, exchange: u8, message_id: u32) -> &Message {
        let mut found = self
            .messages
            .iter()
            .filter(|m| m.from_client == from_client && m.exchange == exchange && m.message_id == message_id);
        match (found.next(), found.next()) {
            (Some(one), None) => one,
            _ => panic!("{}: not one message {exchange}/{message_id}", self.name),
        }
    }
}

/// The path of a file of `tests/data`.
pub fn data(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

/// Octets from hex; panics on anything else.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of hex digits");
    let digit = |c: u8| (c as char).to_digit(16).unwrap_or_else(|| panic!("not a hex digit: {c}")) as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

struct Line(Value);

impl Line {
    fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some()
    }
    fn hex(&self, key: &str) -> Vec<u8> {
        unhex(self.0[key].as_str().unwrap_or_else(|| panic!("{key} is no text")))
    }
    fn number<T: TryFrom<u64>>(&self, key: &str) -> T {
        let number = self.0[key].as_u64().unwrap_or_else(|| panic!("{key} is no number"));
        T::try_from(number).unwrap_or_else(|_| panic!("{key} = {number} is too large"))
    }
    fn spi(&self, key: &str) -> u32 {
        u32::from_be_bytes(self.hex(key).try_into().expect("four octets"))
    }

    fn message(&self) -> Message {
        let wire = self.0["wire"].as_array().expect("wire is a list");
        Message {
            from_client: match self.0["dir"].as_str() {
                Some("client->gateway") => true,
                Some("gateway->client") => false,
                other => panic!("unknown direction {other:?}"),
            },
            exchange: self.number("exchange"),
            message_id: self.number("message_id"),
            wire: wire.iter().map(|part| unhex(part.as_str().expect("hex"))).collect(),
            first_payload: self.has("first_payload").then(|| self.number("first_payload")),
            payloads: self.has("payloads").then(|| self.hex("payloads")),
        }
    }

    fn keys(&self) -> Keys {
        Keys {
            spi_i: self.hex("spi_i").try_into().expect("eight octets"),
            spi_r: self.hex("spi_r").try_into().expect("eight octets"),
            ni: self.hex("ni"),
            nr: self.hex("nr"),
            shared: self.hex("shared"),
            prf: self.number("prf"),
            encr: self.number("encr"),
            encr_key_bits: self.number("encr_key_bits"),
            integ: self.number("integ"),
            dh: self.number("dh"),
            skeyseed: self.hex("skeyseed"),
            sk_d: self.hex("sk_d"),
            sk_ai: self.hex("sk_ai"),
            sk_ar: self.hex("sk_ar"),
            sk_ei: self.hex("sk_ei"),
            sk_er: self.hex("sk_er"),
            sk_pi: self.hex("sk_pi"),
            sk_pr: self.hex("sk_pr"),
        }
    }

    fn child(&self) -> Child {
        Child {
            spi_client: self.spi("spi_client"),
            spi_gateway: self.spi("spi_gateway"),
            encr: self.number("encr"),
            integ: self.number("integ"),
            client_to_gateway_encr: self.hex("client_to_gateway_encr"),
            client_to_gateway_integ: self.hex("client_to_gateway_integ"),
            gateway_to_client_encr: self.hex("gateway_to_client_encr"),
            gateway_to_client_integ: self.hex("gateway_to_client_integ"),
        }
    }
}
