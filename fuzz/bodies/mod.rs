//! What each fuzz target does with an input. The targets of cargo-fuzz and the test that replays the kept inputs (`tests/fuzz_seeds`)
//! share it.

#![allow(dead_code)] // every target uses its own part

pub(crate) mod anyconnect;
pub(crate) mod certificate;
pub(crate) mod cfg;
pub(crate) mod common;
pub(crate) mod config;
pub(crate) mod datagram;
pub(crate) mod eap;
pub(crate) mod fragments;
pub(crate) mod helper;
pub(crate) mod http;
pub(crate) mod ipc;
pub(crate) mod legacy_fragments;
pub(crate) mod own_certificate;
pub(crate) mod packets;
pub(crate) mod payload_chain;
pub(crate) mod pkcs7;
pub(crate) mod portal;
pub(crate) mod profile;
pub(crate) mod radius;
pub(crate) mod resolv_conf;
pub(crate) mod session;
pub(crate) mod sk_content;
pub(crate) mod socks;

/// What an input is given to.
pub(crate) type Check = fn(&[u8]);

/// All targets.
pub(crate) const ALL: [(&str, Check); 22] = [
    ("anyconnect", anyconnect::check),
    ("certificate", certificate::check),
    ("cfg", cfg::check),
    ("config", config::check),
    ("datagram", datagram::check),
    ("eap", eap::check),
    ("fragments", fragments::check),
    ("helper", helper::check),
    ("http", http::check),
    ("ipc", ipc::check),
    ("legacy_fragments", legacy_fragments::check),
    ("own_certificate", own_certificate::check),
    ("packets", packets::check),
    ("payload_chain", payload_chain::check),
    ("pkcs7", pkcs7::check),
    ("portal", portal::check),
    ("profile", profile::check),
    ("radius", radius::check),
    ("resolv_conf", resolv_conf::check),
    ("session", session::check),
    ("sk_content", sk_content::check),
    ("socks", socks::check),
];
