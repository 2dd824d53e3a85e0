//! EAP-AnyConnect, the gateway's side: what the embedded gateway says, and how it reads what a client says.

use super::dbrp::{Message, code, tlv};
use super::xml::{self, Element, Writer};
use super::{Device, EapError, Form, HostScan, InputKind};
use crate::crypto::Secret;
use std::fmt;

/// `hello`: the first request.
pub fn hello(id: u8) -> Result<Vec<u8>, EapError> {
    request(id, Writer::new("hello"))
}

/// `auth-request` with a form; title, message, banner and error are left out where empty. `opaque`: what [`opaque`] made.
pub fn auth_request(id: u8, opaque: &[u8], form: &Form) -> Result<Vec<u8>, EapError> {
    auth_request_with(id, opaque, form, None)
}

/// The same with a scan of the host.
pub fn auth_request_with(
    id: u8,
    opaque: &[u8],
    form: &Form,
    scan: Option<&HostScan>,
) -> Result<Vec<u8>, EapError> {
    let mut out = Writer::new("auth-request");
    out.raw(opaque);
    out.element("csport", &[], "443");
    out.open("auth", &[("id", &form.id)]);
    let error = [("id", "13"), ("param1", ""), ("param2", "")];
    for (name, attributes, text) in [
        ("title", &[][..], &form.title),
        ("message", &[], &form.message),
        ("banner", &[], &form.banner),
        ("error", &error, &form.error),
    ] {
        if !text.is_empty() {
            out.element(name, attributes, text);
        }
    }
    out.open("form", &[]);
    for input in &form.inputs {
        let name = ("name", input.name.as_str());
        let label = ("label", input.label.as_str());
        match &input.kind {
            InputKind::Text => out.empty("input", &[("type", "text"), name, label]),
            InputKind::Password => out.empty("input", &[("type", "password"), name, label]),
            InputKind::Select(options) => {
                out.open("select", &[name, label]);
                for (value, label, selected) in options {
                    let value = ("value", value.as_str());
                    let attributes = [value, ("selected", "true")];
                    out.element("option", if *selected { &attributes } else { &attributes[..1] }, label);
                }
                out.close("select");
            }
        }
    }
    out.close("form");
    out.close("auth");
    if let Some(scan) = scan {
        host_scan(&mut out, scan);
    }
    request(id, out)
}

/// `auth-request` for a certificate: `init` with chain and signature comes back.
pub fn certificate_request(id: u8, opaque: &[u8]) -> Result<Vec<u8>, EapError> {
    let mut out = Writer::new("auth-request");
    out.raw(opaque);
    out.element("csport", &[], "443");
    out.empty("client-cert-request", &[]);
    request(id, out)
}

/// `auth-request` without a form: `auth-reply` with an empty `<auth/>` comes back.
pub fn confirmation(id: u8, opaque: &[u8], scan: Option<&HostScan>) -> Result<Vec<u8>, EapError> {
    let mut out = Writer::new("auth-request");
    out.raw(opaque);
    out.empty("auth", &[("id", "main")]);
    if let Some(scan) = scan {
        host_scan(&mut out, scan);
    }
    request(id, out)
}

fn host_scan(out: &mut Writer, scan: &HostScan) {
    out.open("host-scan", &[]);
    for (name, text) in [
        ("host-scan-ticket", &scan.ticket),
        ("host-scan-token", &scan.token),
        ("host-scan-base-uri", &scan.base_uri),
        ("host-scan-wait-uri", &scan.wait_uri),
    ] {
        out.element(name, &[], text);
    }
    out.close("host-scan");
}

/// `auth-request` with an `<error>` under the root: the login is over, EAP-Failure follows.
pub fn error(id: u8, text: &str) -> Result<Vec<u8>, EapError> {
    let mut out = Writer::new("auth-request");
    out.element("error", &[("id", "13"), ("param1", ""), ("param2", "")], text);
    request(id, out)
}

/// What `complete` says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Complete {
    /// `<session-id>`; its relation to the MODECFG pair is unknown.
    pub session_id: String,
    /// `<session-token>`, likewise.
    pub session_token: String,
    /// Banner, left out where empty.
    pub banner: String,
    /// Message, may be empty.
    pub message: String,
}

/// `complete`: the login is taken; after the client's `ack` comes EAP-Success.
pub fn complete(id: u8, complete: &Complete) -> Result<Vec<u8>, EapError> {
    let mut out = Writer::new("complete");
    out.element("session-id", &[], &complete.session_id);
    out.element("session-token", &[], &complete.session_token);
    out.open("auth", &[("id", "success")]);
    if !complete.banner.is_empty() {
        out.element("banner", &[], &complete.banner);
    }
    let attributes = [("id", "0"), ("param1", ""), ("param2", "")];
    if complete.message.is_empty() {
        out.empty("message", &attributes);
    } else {
        out.element("message", &attributes, &complete.message);
    }
    out.close("auth");
    out.open("config", &[("client", "vpn"), ("type", "private")]);
    out.close("config");
    request(id, out)
}

/// `<opaque is-for="sg">`, as the recorded gateway's: clients echo it octet for octet.
pub fn opaque(tunnel_group: &str, handle: u64) -> Result<Vec<u8>, EapError> {
    let mut out = Writer::fragment();
    out.open("opaque", &[("is-for", "sg")]);
    out.element("tunnel-group", &[], tunnel_group);
    out.element("aggauth-handle", &[], &handle.to_string());
    out.close("opaque");
    Ok(out.finish_fragment()?.to_vec())
}

fn request(id: u8, out: Writer) -> Result<Vec<u8>, EapError> {
    Message::xml_only(code::REQUEST, id, out.finish("")?.to_vec()).encode()
}

/// Types of a client's documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// The answer to `hello` and to a request for a certificate.
    Init,
    /// The answer to a form.
    AuthReply,
    /// The answer to `complete`.
    Ack,
}

/// What a client says. `Debug` prints no answers.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientMessage {
    /// EAP identifier: that of the request.
    pub id: u8,
    /// Type.
    pub kind: ClientKind,
    /// `<version>` and the attributes of `<device-id>`; empty where absent.
    pub device: Device,
    /// The text of `<device-id>`: `linux`, `win`, ..
    pub platform: String,
    /// `<group-access>`.
    pub group_access: Option<String>,
    /// `<group-select>`.
    pub group_select: Option<String>,
    /// `<host-scan-token>`.
    pub host_scan_token: Option<String>,
    /// `<opaque is-for="sg">`, octets as received.
    pub opaque: Option<Vec<u8>>,
    /// The elements below `<auth>` in order: name and text.
    pub fields: Vec<(String, Secret)>,
    /// TLV 3: PKCS#7.
    pub certificates: Option<Vec<u8>>,
    /// TLV 1: the signature.
    pub signature: Option<Vec<u8>>,
}

impl ClientMessage {
    /// Reads a client's EAP response.
    pub fn parse(packet: &[u8]) -> Result<Self, EapError> {
        let message = Message::parse(packet)?;
        if message.code != code::RESPONSE {
            return Err(EapError::Unexpected("an EAP request from a client"));
        }
        let document = message.tlv(tlv::XML).ok_or_else(|| EapError::Malformed("no XML document".into()))?;
        let root = xml::parse(document)?;
        let kind = match (root.name.as_str(), root.attribute("type")) {
            ("config-auth", Some("init")) => ClientKind::Init,
            ("config-auth", Some("auth-reply")) => ClientKind::AuthReply,
            ("config-auth", Some("ack")) => ClientKind::Ack,
            _ => return Err(EapError::Unsupported("a document of unknown type".into())),
        };
        let text = |name: &str| root.child(name).map(|element| element.text().to_owned());
        let opaque = root.children.iter().find(|e| e.name == "opaque" && e.attribute("is-for") == Some("sg"));
        let fields = root.child("auth").map_or(&[][..], |auth| &auth.children);
        Ok(Self {
            id: message.id,
            kind,
            device: device(&root),
            platform: text("device-id").unwrap_or_default(),
            group_access: text("group-access"),
            group_select: text("group-select"),
            host_scan_token: text("host-scan-token"),
            opaque: opaque.and_then(|e| document.get(e.span.clone())).map(<[u8]>::to_vec),
            fields: fields.iter().map(|e| (e.name.clone(), Secret::from(e.text().as_bytes()))).collect(),
            certificates: message.tlv(tlv::CERTIFICATES).map(<[u8]>::to_vec),
            signature: message.tlv(tlv::SIGNATURE).map(<[u8]>::to_vec),
        })
    }

    /// The first element of this name below `<auth>`.
    pub fn field(&self, name: &str) -> Option<&Secret> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// `<username>`.
    pub fn username(&self) -> Option<&str> {
        self.field("username").and_then(|name| std::str::from_utf8(name.expose()).ok())
    }

    /// The first `<password>`: the password, or the answer to a second form.
    pub fn password(&self) -> Option<&Secret> {
        self.field("password")
    }
}

impl fmt::Debug for ClientMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&str> = self.fields.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ClientMessage")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("device", &self.device)
            .field("group_access", &self.group_access)
            .field("group_select", &self.group_select)
            .field("fields", &fields)
            .field("certificates", &self.certificates.is_some())
            .field("signature", &self.signature.is_some())
            .finish_non_exhaustive()
    }
}

fn device(root: &Element) -> Device {
    let id = root.child("device-id");
    let attribute = |name: &str| id.and_then(|id| id.attribute(name)).unwrap_or_default().to_owned();
    Device {
        version: root.child("version").map(|e| e.text().to_owned()).unwrap_or_default(),
        computer_name: attribute("computer-name"),
        device_type: attribute("device-type"),
        platform_version: attribute("platform-version"),
        unique_id: attribute("unique-id"),
        unique_id_global: attribute("unique-id-global"),
    }
}
