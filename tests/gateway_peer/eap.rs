//! EAP-AnyConnect by hand: framing and XML as PROTOCOL section 2 has them.

use super::world::World;
use super::{ANYCONNECT, ASKED, Given, Offer, Peer, id};
use ikeep::ike::message::{Exchange, Payload};
use std::net::SocketAddr;

/// An EAP message of the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// EAP-Request of our method: the XML document.
    Request {
        id: u8,
        xml: String,
    },
    Success,
    Failure,
}

impl Said {
    pub fn xml(&self) -> &str {
        match self {
            Self::Request { xml, .. } => xml,
            _ => panic!("no document: {self:?}"),
        }
    }
}

/// The EAP payload of a message, and nothing else of it.
pub fn said(payloads: &[Payload]) -> Said {
    let packet = payloads.iter().find_map(|p| if let Payload::Eap(eap) = p { Some(eap) } else { None });
    let packet = packet.unwrap_or_else(|| panic!("no EAP payload: {payloads:?}"));
    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
    match packet[0] {
        3 => return Said::Success,
        4 => return Said::Failure,
        code => assert_eq!(code, 1),
    }
    assert_eq!(packet[4..12], [0xfe, 0, 0, 9, b'D', b'B', b'R', b'P']);
    assert_eq!(packet[12..14], [0, 0], "TLV 0 first");
    let length = usize::from(u16::from_be_bytes([packet[14], packet[15]]));
    assert_eq!(packet.len(), 16 + length);
    Said::Request { id: packet[1], xml: String::from_utf8(packet[16..].to_vec()).expect("UTF-8") }
}

/// An EAP-Response with a document.
pub fn response(id: u8, kind: &str, body: &str) -> Vec<u8> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<config-auth client=\"vpn\" type=\"{kind}\" \
         aggregate-auth-version=\"2\"><version who=\"vpn\">5.1.8.105</version><device-id computer-name=\"test\" \
         device-type=\"none\" platform-version=\"1\" unique-id=\"ab\" unique-id-global=\"ab\">linux</device-id>{body}\
         </config-auth>"
    );
    let mut packet = vec![2, id, 0, 0, 0xfe, 0, 0, 9, b'D', b'B', b'R', b'P', 0, 0];
    packet.extend((xml.len() as u16).to_be_bytes());
    packet.extend(xml.as_bytes());
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// The same with TLVs before it.
pub fn response_with(id: u8, kind: &str, body: &str, before: &[(u16, &[u8])]) -> Vec<u8> {
    let mut packet = response(id, kind, body);
    let document = packet.split_off(12);
    for (kind, value) in before {
        packet.extend(kind.to_be_bytes());
        packet.extend((value.len() as u16).to_be_bytes());
        packet.extend(*value);
    }
    packet.extend(document);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// `<opaque ..>..</opaque>` as received.
pub fn opaque(xml: &str) -> &str {
    let from = xml.find("<opaque").expect("an opaque");
    let end = "</opaque>";
    let to = xml.find(end).expect("its end") + end.len();
    &xml[from..to]
}

impl Peer {
    /// Up to the first form: IKE_SA_INIT, IKE_AUTH, hello, init.
    pub fn begin(world: &mut World, from: SocketAddr, offer: Offer, seed: u64) -> (Self, Said) {
        let mut peer = Self::init(world, from, offer, seed);
        let form = peer.begin_eap(world, &ASKED.map(|kind| (kind, &[][..])));
        (peer, form)
    }

    /// IKE_AUTH, hello, init, with these attributes asked for.
    pub fn begin_eap(&mut self, world: &mut World, asked: &[(u16, &[u8])]) -> Said {
        let payloads = self.first_auth(world, id(201, ANYCONNECT), None, asked);
        self.verify_gateway(world, &payloads);
        let hello = said(&payloads);
        assert!(hello.xml().contains("type=\"hello\""), "{hello:?}");
        self.say(world, &hello, "init", "<group-access>linux</group-access>")
    }

    /// An EAP response, and what comes back.
    pub fn say(&mut self, world: &mut World, to: &Said, kind: &str, body: &str) -> Said {
        let Said::Request { id, .. } = to else { panic!("nothing to answer: {to:?}") };
        let packet = response(*id, kind, body);
        said(&self.ask(world, Exchange::IkeAuth, &[Payload::Eap(packet)]))
    }

    /// `init` again, with these TLVs before it.
    pub fn show(&mut self, world: &mut World, to: &Said, before: &[(u16, &[u8])]) -> Said {
        let Said::Request { id, .. } = to else { panic!("nothing to answer: {to:?}") };
        let packet = response_with(*id, "init", "", before);
        said(&self.ask(world, Exchange::IkeAuth, &[Payload::Eap(packet)]))
    }

    /// Answers a form; `fields` is what stands below `<auth>`, `group` what stands above.
    pub fn answer(&mut self, world: &mut World, form: &Said, fields: &str, group: &str) -> Said {
        assert!(form.xml().contains("type=\"auth-request\""), "{form:?}");
        let echoed = opaque(form.xml());
        let body = format!("<session-id/><session-token/>{echoed}<auth>{fields}</auth>{group}");
        self.say(world, form, "auth-reply", &body)
    }

    /// Name and password.
    pub fn password(&mut self, world: &mut World, form: &Said, user: &str, password: &str) -> Said {
        let fields = format!("<username>{user}</username><password>{password}</password>");
        self.answer(world, form, &fields, "")
    }

    /// `ack`, EAP-Success, and the final AUTH.
    pub fn finish(&mut self, world: &mut World, complete: &Said) -> Given {
        assert!(complete.xml().contains("type=\"complete\""), "{complete:?}");
        assert_eq!(self.say(world, complete, "ack", ""), Said::Success);
        self.final_auth(world)
    }

    /// A whole login as `test`.
    pub fn login(world: &mut World, from: SocketAddr, seed: u64) -> (Self, Given) {
        let (mut peer, form) = Self::begin(world, from, Offer::default(), seed);
        let complete = peer.password(world, &form, "test", "cisco");
        let given = peer.finish(world, &complete);
        (peer, given)
    }

    /// A reconnect; what the gateway answered.
    pub fn reconnect(world: &mut World, from: SocketAddr, given: &Given, seed: u64) -> (Self, Vec<Payload>) {
        let mut peer = Self::init(world, from, Offer::default(), seed);
        let id = id(11, given.session_id.as_deref().expect("a session ID"));
        let payloads = peer.first_auth(world, id, given.token.as_ref(), &ASKED.map(|kind| (kind, &[][..])));
        (peer, payloads)
    }
}
