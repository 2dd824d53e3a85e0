//! What `ikeep gateway learn` prints.

use super::super::doctor;
use super::super::output::{printable, table};
use crate::agent::learn::{Attribute, Pair, Report};
use serde_json::{Value, json};

/// For people.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!(
        "What a gateway showed to ikeep {}. No name, address or password is in this report, and of values only small numbers.\n",
        env!("CARGO_PKG_VERSION")
    );
    let way: Vec<String> =
        report.way.iter().map(|(what, health)| format!("{what} {}", doctor::word(*health))).collect();
    let mut say = |what: &str, said: &str| {
        if !said.is_empty() {
            text += &format!("\n{what}\n");
            for line in said.lines() {
                text += &format!("  {}\n", printable(line));
            }
        }
    };
    say("The way", &way.join(", "));
    say("IKE_SA_INIT", &init(report));
    say("How it proves itself", &proof(report));
    say("Its protected answers", &answers(report));
    say("Attributes of its configuration", &attributes(&report.attributes));
    say("The session's ID and token", &session(report));
    text
}

fn init(report: &Report) -> String {
    if report.suite.is_empty() {
        return String::new();
    }
    let after = report.answered.map(|after| format!(" after {} ms", after.as_millis())).unwrap_or_default();
    format!(
        "answered{after}: {}\nnotifies: {}\nvendor IDs: {}",
        report.suite,
        list(&report.notifies),
        list(&report.vendor_ids)
    )
}

fn proof(report: &Report) -> String {
    let Some(auth) = &report.auth else { return String::new() };
    let id = report.id_kind.as_deref().unwrap_or("nothing");
    let mut proof = format!("{auth}; it calls itself by: {id}\n");
    for certificate in &report.certificates {
        proof += &format!("certificate: {certificate}\n");
    }
    proof
}

fn answers(report: &Report) -> String {
    let mut text = String::new();
    for told in &report.answers {
        text += &format!("after {} ms", told.after.as_millis());
        if !told.notifies.is_empty() {
            text += &format!(", notifies: {}", told.notifies.join(", "));
        }
        if let Some(eap) = &told.eap {
            text += &format!(": EAP {}", eap.kind);
            text += &eap.method.as_ref().map(|method| format!(", {method}")).unwrap_or_default();
            let tlvs: Vec<String> =
                eap.tlvs.iter().map(|(kind, octets)| format!("{kind} ({octets} octets)")).collect();
            if !tlvs.is_empty() {
                text += &format!(", TLVs {}", tlvs.join(", "));
            }
            text += &eap.unreadable.as_ref().map(|why| format!(", unreadable: {why}")).unwrap_or_default();
            for element in &eap.elements {
                text += &format!("\n  {element}");
            }
        }
        text += "\n";
    }
    match (report.failure, report.round_trips) {
        (Some(failure), _) => text + &format!("the login failed: {failure}\n"),
        (None, Some(trips)) => text + &format!("the login took {trips} round trips\n"),
        (None, None) => text,
    }
}

fn attributes(attributes: &[Attribute]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let row = |a: &Attribute| {
        vec![
            a.kind.to_string(),
            a.octets.to_string(),
            a.name.unwrap_or("not public").to_owned(),
            a.shape.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = attributes.iter().map(row).collect();
    table(&["NUMBER", "OCTETS", "NAME", "VALUE"], &rows)
}

fn session(report: &Report) -> String {
    let mut text = String::new();
    for tried in &report.tried {
        let result = tried.refused.as_ref().map_or_else(
            || "a new IKE SA came to stand, without a login".to_owned(),
            |why| format!("refused: {why}"),
        );
        text += &format!("{} as ID, {} as token: {result}\n", tried.pair.id, tried.pair.token);
    }
    for (element, same) in &report.elements {
        let numbers: Vec<String> = same.iter().map(u16::to_string).collect();
        let same = if numbers.is_empty() {
            "no attribute".to_owned()
        } else {
            format!("attribute {}", numbers.join(", "))
        };
        text += &format!("<{element}> of its last document has the value of {same}\n");
    }
    text += &match (report.pair, report.proved) {
        (Some(pair), true) => format!("proved: {} is the ID, {} the token\n", pair.id, pair.token),
        (Some(pair), false) => {
            format!("a guess, not proved: {} is the ID, {} the token\n", pair.id, pair.token)
        }
        (None, _) if report.round_trips.is_some() => "no two attributes look like them\n".to_owned(),
        (None, _) => String::new(),
    };
    text
}

fn list(list: &[String]) -> String {
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

/// The lines for the config file.
pub(super) fn config(host_address: &str, pair: Pair, proved: bool) -> String {
    let sure = if proved {
        "They have brought a session back. For your config file:"
    } else {
        "They are a guess: with them, see whether `ikeep reconnect` works after `ikeep connect`. For your config file:"
    };
    let host = printable(host_address).replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "{sure}\n[gateway.\"{host}\".dialect]\nsession_id_attribute = {}\nsession_token_attribute = {}\n",
        pair.id, pair.token
    )
}

/// For machines.
pub(super) fn document(report: &Report) -> Value {
    json!({
        "ikeep": env!("CARGO_PKG_VERSION"),
        "way": report.way.iter().map(|(what, health)| json!({ "what": what, "health": doctor::word(*health) })).collect::<Vec<_>>(),
        "suite": report.suite,
        "notifies": report.notifies,
        "vendor_ids": report.vendor_ids,
        "answered_ms": report.answered.map(|after| after.as_millis() as u64),
        "auth": report.auth,
        "id_kind": report.id_kind,
        "certificates": report.certificates,
        "answers": report.answers.iter().map(|told| json!({
            "after_ms": told.after.as_millis() as u64,
            "notifies": told.notifies,
            "eap": told.eap.as_ref().map(|eap| json!({
                "kind": eap.kind,
                "method": eap.method,
                "tlvs": eap.tlvs.iter().map(|(kind, octets)| json!({ "type": kind, "octets": octets })).collect::<Vec<_>>(),
                "elements": eap.elements,
                "unreadable": eap.unreadable,
            })),
        })).collect::<Vec<_>>(),
        "session_elements": report.elements.iter().map(|(element, same)| json!({
            "element": element,
            "attributes_with_its_value": same,
        })).collect::<Vec<_>>(),
        "round_trips": report.round_trips,
        "failure": report.failure,
        "attributes": report.attributes.iter().map(|a| json!({
            "number": a.kind,
            "name": a.name,
            "octets": a.octets,
            "shape": a.shape,
        })).collect::<Vec<_>>(),
        "tried": report.tried.iter().map(|tried| json!({
            "session_id_attribute": tried.pair.id,
            "session_token_attribute": tried.pair.token,
            "refused": tried.refused,
        })).collect::<Vec<_>>(),
        "session_id_attribute": report.pair.map(|pair| pair.id),
        "session_token_attribute": report.pair.map(|pair| pair.token),
        "proved": report.proved,
    })
}
