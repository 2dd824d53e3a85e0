//! scapy's IKEv2 layer as a second codec: what we encode it decodes, field by field, and what it builds we decode.
//!
//! scapy is run and not linked (`tests/interop/scapy_ikev2.py`); where that says that scapy cannot tell a field, the payload is
//! counted as left and not compared.

use super::arbitrary::payloads;
use super::*;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Messages in each direction.
const MESSAGES: usize = 400;

/// The folder with scapy; says so where there is none.
fn scapy(test: &str) -> Option<std::ffi::OsString> {
    let folder = std::env::var_os("IKEEP_SCAPY");
    if folder.is_none() {
        let _ = writeln!(std::io::stderr(), "left out: {test} (needs scapy: IKEEP_SCAPY=FOLDER)");
    }
    folder
}

/// What the script prints, a JSON value a line.
fn run(folder: &std::ffi::OsStr, args: &[&str], input: &str) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/scapy_ikev2.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args(args)
        .env("PYTHONPATH", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut stdin = child.stdin.take().expect("its input");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    writer.join().expect("no panic").expect("it reads");
    assert!(output.status.success(), "the script ended with {}", output.status);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn selectors(kind: u8, list: &[crate::esp::TrafficSelector]) -> Value {
    let list: Vec<Value> = list
        .iter()
        .map(|s| {
            json!([s.protocol, s.ports.0, s.ports.1, s.addresses.0.to_string(), s.addresses.1.to_string()])
        })
        .collect();
    json!({"type": kind, "selectors": list})
}

fn identity(kind: u8, id: &Identity) -> Value {
    json!({"type": kind, "kind": id.kind, "data": hex(&id.data)})
}

/// A payload in the words that the script has for it.
fn described(payload: &Payload) -> Value {
    match payload {
        Payload::Sa(proposals) => {
            let proposals: Vec<Value> = proposals
                .iter()
                .map(|p| {
                    let transforms: Vec<_> =
                        p.transforms.iter().map(|t| json!([t.kind, t.id, t.key_bits])).collect();
                    json!([p.number, p.protocol, hex(&p.spi), transforms])
                })
                .collect();
            json!({"type": 33, "proposals": proposals})
        }
        Payload::Ke { group, data } => json!({"type": 34, "group": group, "data": hex(data)}),
        Payload::IdI(id) => identity(35, id),
        Payload::IdR(id) => identity(36, id),
        Payload::Cert { encoding, data } => json!({"type": 37, "kind": encoding, "data": hex(data)}),
        Payload::CertReq { encoding, authorities } => {
            json!({"type": 38, "kind": encoding, "data": hex(authorities)})
        }
        Payload::Auth { method, data } => json!({"type": 39, "kind": method, "data": hex(data)}),
        Payload::Nonce(data) => json!({"type": 40, "data": hex(data)}),
        Payload::Notify(n) => {
            json!({"type": 41, "protocol": n.protocol, "spi": hex(&n.spi), "kind": n.kind, "data": hex(&n.data)})
        }
        Payload::Delete(d) => {
            let spis: Vec<String> = d.spis.iter().map(|spi| format!("{spi:08x}")).collect();
            json!({"type": 42, "protocol": d.protocol, "spis": spis})
        }
        Payload::VendorId(data) => json!({"type": 43, "data": hex(data)}),
        Payload::TsI(list) => selectors(44, list),
        Payload::TsR(list) => selectors(45, list),
        Payload::Cp(c) => {
            let attributes: Vec<Value> =
                c.attributes.iter().map(|a| json!([a.kind, hex(&a.value)])).collect();
            json!({"type": 47, "kind": c.kind, "attributes": attributes})
        }
        Payload::Eap(data) => json!({"type": 48, "data": hex(data)}),
        Payload::Unknown { kind, data, .. } => json!({"type": kind, "data": hex(data)}),
    }
}

fn described_message(header: &Header, payloads: &[Payload]) -> Value {
    let flags = u8::from(header.initiator) * 8 + u8::from(header.response) * 32;
    json!({
        "spi_i": hex(&header.spi_i), "spi_r": hex(&header.spi_r), "exchange": header.exchange.number(),
        "flags": flags, "id": header.message_id, "payloads": payloads.iter().map(described).collect::<Vec<_>>(),
    })
}

/// Not what scapy takes for something else: types 2 and 3, which are its proposals and transforms, and identities that say they are
/// an address and have another length.
fn scapy_knows(payload: &Payload) -> bool {
    match payload {
        Payload::Unknown { kind, .. } => !matches!(kind, 2 | 3),
        Payload::IdI(id) | Payload::IdR(id) => match id.kind {
            id_type::IPV4_ADDR => id.data.len() == 4,
            id_type::IPV6_ADDR => id.data.len() == 16,
            _ => true,
        },
        _ => true,
    }
}

/// Compares but for the payloads that scapy cannot tell; how many it could, and could not.
fn compare(ours: &Value, theirs: &Value) -> (usize, usize) {
    for field in ["spi_i", "spi_r", "exchange", "flags", "id"] {
        assert_eq!(ours[field], theirs[field], "{field}");
    }
    let (a, b) =
        (ours["payloads"].as_array().expect("a list"), theirs["payloads"].as_array().expect("a list"));
    assert_eq!(a.len(), b.len(), "payloads: {ours}\nscapy: {theirs}");
    let mut left = 0;
    for (a, b) in a.iter().zip(b) {
        if b.get("left").is_some() {
            left += 1;
            assert_eq!(a["type"], b["type"]);
        } else {
            assert_eq!(a, b, "ours, and scapy's");
        }
    }
    (a.len() - left, left)
}

#[test]
fn scapy_decodes_what_we_encode() {
    let Some(folder) = scapy("scapy_decodes_what_we_encode") else { return };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let exchanges =
        [Exchange::IkeSaInit, Exchange::IkeAuth, Exchange::CreateChildSa, Exchange::Informational];
    let (mut lines, mut ours) = (String::new(), Vec::new());
    for number in 0..MESSAGES {
        let mut list = payloads(6).new_tree(&mut runner).expect("a value").current();
        list.retain(scapy_knows);
        let head = Outgoing {
            spi_i: [number as u8 | 1; 8],
            spi_r: [number as u8; 8],
            exchange: exchanges[number % 4],
            initiator: number % 3 == 0,
            response: number % 2 == 0,
            message_id: number as u32 * 7,
        };
        let message = encode_message(&head, &list);
        let (header, decoded) = decode_message(&message).expect("our own");
        assert_eq!(decoded, list);
        lines += &(hex(&message) + "\n");
        ours.push(described_message(&header, &list));
    }
    let theirs = run(&folder, &["decode"], &lines);
    assert_eq!(theirs.len(), ours.len());
    let counts = ours.iter().zip(&theirs).map(|(a, b)| compare(a, b));
    let (same, left) = counts.fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1));
    println!("scapy decodes {same} payloads as we do; {left} it cannot tell");
    assert!(same > MESSAGES * 2 && left * 5 < same, "{same} compared, {left} left");
}

#[test]
fn we_decode_what_scapy_builds() {
    let Some(folder) = scapy("we_decode_what_scapy_builds") else { return };
    let built = run(&folder, &["build", "4711", &MESSAGES.to_string()], "");
    assert_eq!(built.len(), MESSAGES);
    let mut same = 0;
    for message in &built {
        let text = message["octets"].as_str().expect("octets");
        let octets: Vec<u8> = (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        let (header, payloads) = decode_message(&octets).unwrap_or_else(|e| panic!("{e}: {message}"));
        same += compare(&described_message(&header, &payloads), message).0;
    }
    println!("of scapy's messages {same} payloads are decoded as they were meant");
    assert!(same > MESSAGES * 2, "{same}");
}
