//! What an EAP packet consists of, without what it says: for reports that give nothing away.

use super::dbrp::{Message, Packet, code, tlv};
use super::xml::{self, Element};
use crate::crypto::Secret;

/// Elements that are listed.
const MAX_LISTED: usize = 200;
/// Characters of a name that are shown.
const SHOWN: usize = 64;

/// The structure of an EAP packet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outline {
    /// "request", "success" ..
    pub kind: &'static str,
    /// The method of a request or response.
    pub method: Option<String>,
    /// Types and lengths of EAP-AnyConnect's TLVs, octets.
    pub tlvs: Vec<(u16, usize)>,
    /// The elements of its document in order: path, then the names of the attributes; of an input its name and type, too.
    pub elements: Vec<String>,
    /// What cannot be read, and why.
    pub unreadable: Option<String>,
}

/// Reads a packet. What is no EAP-AnyConnect has a method and nothing more.
pub fn outline(packet: &[u8]) -> Outline {
    let mut outline = Outline::default();
    let parsed = match Packet::parse(packet) {
        Ok(parsed) => parsed,
        Err(error) => return Outline { unreadable: Some(error.to_string()), ..outline },
    };
    outline.kind = match parsed.code {
        code::REQUEST => "request",
        code::RESPONSE => "response",
        code::SUCCESS => "success",
        _ => "failure",
    };
    outline.method = parsed.method().map(|method| method.to_string());
    let Ok(message) = Message::parse(packet) else { return outline };
    outline.tlvs = message.tlvs.iter().map(|(kind, value)| (*kind, value.len())).collect();
    if let Some(document) = message.tlv(tlv::XML) {
        match xml::parse(document) {
            Ok(root) => list(&root, "", &mut outline.elements),
            Err(error) => outline.unreadable = Some(error.to_string()),
        }
    }
    outline
}

/// `<session-id>` and `<session-token>` below the root of its document, where they have a text.
pub fn session_elements(packet: &[u8]) -> Vec<(&'static str, Secret)> {
    let message = Message::parse(packet).ok();
    let root = message.as_ref().and_then(|message| xml::parse(message.tlv(tlv::XML)?).ok());
    let text = |name| {
        let text = root.as_ref()?.child(name)?.text().trim().as_bytes();
        (!text.is_empty()).then(|| (name, Secret::from(text)))
    };
    ["session-id", "session-token"].into_iter().filter_map(text).collect()
}

fn list(element: &Element, above: &str, elements: &mut Vec<String>) {
    if elements.len() == MAX_LISTED {
        return;
    }
    let path =
        if above.is_empty() { name(&element.name) } else { format!("{above}/{}", name(&element.name)) };
    let shown = match element.name.as_str() {
        "input" | "select" => ["type", "name"]
            .into_iter()
            .filter_map(|key| Some(format!(" {key}={}", name(element.attribute(key)?))))
            .collect(),
        // Its type says which document it is.
        "config-auth" => format!(" type={}", name(element.attribute("type").unwrap_or_default())),
        _ => element.attribute_names().map(|attribute| format!(" {}", name(attribute))).collect(),
    };
    elements.push(path.clone() + &shown);
    for child in &element.children {
        // The choices are the company's groups.
        if child.name != "option" {
            list(child, &path, elements);
        }
    }
}

/// A name of the gateway's, fit for a terminal.
fn name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    name.chars().take(SHOWN).map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::super::dbrp;
    use super::*;

    #[test]
    fn an_outline_has_the_names_of_elements_and_no_text_value_or_choice() {
        let document = br#"<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="auth-request"><opaque is-for="sg"><tunnel-group>hidden</tunnel-group></opaque>
<auth id="hidden"><message>hidden</message><form><input type="password" name="password" label="hidden"/>
<select name="group_list"><option>hidden</option></select></form></auth></config-auth>"#;
        let packet = Message::xml_only(code::REQUEST, 7, document.to_vec()).encode().unwrap();
        let outline = outline(&packet);
        assert_eq!(outline.method.as_deref(), Some("EAP-AnyConnect"));
        assert_eq!((outline.kind, &outline.tlvs[..]), ("request", &[(0, document.len())][..]));
        let expected = [
            "config-auth type=auth-request",
            "config-auth/opaque is-for",
            "config-auth/opaque/tunnel-group",
            "config-auth/auth id",
            "config-auth/auth/message",
            "config-auth/auth/form",
            "config-auth/auth/form/input type=password name=password",
            "config-auth/auth/form/select name=group_list",
        ];
        assert_eq!(outline.elements, expected);
    }

    #[test]
    fn the_sessions_elements_are_those_with_a_text() {
        let document = b"<config-auth><session-id>ab c </session-id><session-token/><auth/></config-auth>";
        let packet = Message::xml_only(code::REQUEST, 7, document.to_vec()).encode().unwrap();
        assert_eq!(session_elements(&packet), [("session-id", Secret::from(&b"ab c"[..]))]);
        assert!(session_elements(&dbrp::success(3)).is_empty());
    }

    #[test]
    fn other_methods_and_damaged_packets_are_told_as_such() {
        let mschap = outline(&[1, 1, 0, 6, 26, 1]);
        assert_eq!((mschap.method.as_deref(), mschap.elements.len()), (Some("EAP-MSCHAPv2"), 0));
        assert_eq!(outline(&dbrp::success(3)).kind, "success");
        assert!(outline(&[1, 1, 0]).unreadable.is_some());
        let packet = Message::xml_only(code::REQUEST, 7, b"<a><b></a>".to_vec()).encode().unwrap();
        assert!(outline(&packet).unreadable.is_some());
    }
}
