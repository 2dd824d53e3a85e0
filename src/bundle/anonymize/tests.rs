use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn masked(texts: &[&str]) -> Vec<String> {
    let known = Known { users: vec!["marlene".into()], hosts: vec!["lap-17".into()] };
    let item = |text: &&str| Item { name: "x".into(), origin: "y".into(), text: (*text).into(), cut: 0 };
    let mut gathered = Gathered { items: texts.iter().map(item).collect(), left_out: Vec::new() };
    all(&mut gathered, &known);
    gathered.items.into_iter().map(|item| item.text).collect()
}

fn one(text: &str) -> String {
    masked(&[text]).remove(0)
}

#[test]
fn addresses_keep_their_family_and_kind() {
    for (plain, expected) in [
        ("from 10.1.2.3:500 to 10.1.2.3/24.", "from ipv4-private-1:500 to ipv4-private-1/24."),
        ("8.8.8.8 and 9.9.9.9, 8.8.8.8", "ipv4-public-1 and ipv4-public-2, ipv4-public-1"),
        ("[2001:db8::5]:4500 2001:0DB8:0:0::5", "[ipv6-public-1]:4500 ipv6-public-1"),
        ("gw:fe80::1%eth0 fd00::2", "gw:ipv6-link-local-1%eth0 ipv6-private-1"),
        ("::ffff:10.0.0.1 = 10.0.0.1", "ipv4-private-1 = ipv4-private-1"),
        ("127.0.0.53 ::1 0.0.0.0 :: 255.255.0.0 ff02::1", "127.0.0.53 ::1 0.0.0.0 :: 255.255.0.0 ff02::1"),
        ("02:00:5E:10:00:07 is 02-00-5e-10-00-07", "mac-1 is mac-1"),
        ("aabb.cc0d.ee0f, AA-BB-CC-0D-EE-0F is aabb.cc0d.ee0f.", "mac-1, mac-1 is mac-1."),
        (
            "0000.0000.0000 1234.5678.9abc.def0 aabb.ccdd.ee1",
            "0000.0000.0000 1234.5678.9abc.def0 aabb.ccdd.ee1",
        ),
        (
            "?a=2001%3Adb8%3a%3A5&b=2001:db8::5 ip%3A10.0.0.1 at%3a02%3A00%3A5e%3A10%3A00%3A07 02:00:5e:10:00:07",
            "?a=ipv6-public-1&b=ipv6-public-1 ip%3Aipv4-private-1 at%3amac-1 mac-1",
        ),
        ("u=https%3A%2F%2Fvpn.acme.example%2Fx 12%3A30%3A45", "u=https%3A%2F%2Fdomain-1%2Fx 12%3A30%3A45"),
        ("12:30:45 ikeep::agent::de 1.2.3", "12:30:45 ikeep::agent::de 1.2.3"),
    ] {
        assert_eq!(one(plain), expected, "{plain}");
    }
}

#[test]
fn names_are_learned_under_headings_and_masked_everywhere() {
    let texts = masked(&[
        "{ \"user\": \"jdoe42\", \"session_id\": \"rIUHKccDRiUt\" }",
        "<HostName>Acme Berlin</HostName><HostAddress>vpn.acme.example</HostAddress>",
        "Connected to Acme Berlin.\n/home/marlene/x JDOE42@acme.example on lap-17 rIUHKccDRiUt 7249",
        "File: src/agent/report.rs events.log acme.example vpn.acme.example.xml 724955484b63634452695574",
    ]);
    assert_eq!(texts[0], "{ \"user\": \"user-1\", \"session_id\": \"session-1\" }");
    let all = texts.join("\n").to_lowercase();
    for name in ["jdoe", "acme", "marlene", "lap-17", "riuhkcc", "72495548"] {
        assert!(!all.contains(name), "{name}: {all}");
    }
    assert!(texts[2].starts_with("Connected to host-"), "{}", texts[2]);
    assert!(texts[3].starts_with("File: src/agent/report.rs events.log domain-"), "{}", texts[3]);
}

#[test]
fn names_of_entries_stay_apart_and_json_stays_json() {
    let item = |name: &str, text: &str| Item {
        name: name.into(),
        origin: format!("/home/marlene/{name}"),
        text: text.into(),
        cut: 0,
    };
    let items = vec![item("profiles/acme.xml", "{\"user\": \"a\\\"b\"}"), item("profiles/ACME.xml", "{}")];
    let mut gathered = Gathered { items, left_out: Vec::new() };
    all(&mut gathered, &Known { users: vec!["marlene".into()], hosts: Vec::new() });
    let names: Vec<&str> = gathered.items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["profiles/profile-1.xml", "profiles/2_profile-1.xml"]);
    assert!(gathered.items.iter().all(|item| item.origin.starts_with("/home/user-2/profiles/profile-1.xml")));
    assert!(gathered.items.iter().all(|item| serde_json::from_str::<serde_json::Value>(&item.text).is_ok()));
}

#[test]
fn escapes_in_json_do_no_harm() {
    let text = r#"{"user": "m\u00e4x", "last": "no way\nvpn.acme.example", "by": "m\u00e4x", "links": ["enx3c22fb010203", "3c:22:fb:01:02:03"]}"#;
    let item = Item { name: "status.json".into(), origin: "made".into(), text: text.into(), cut: 0 };
    let mut gathered = Gathered { items: vec![item], left_out: Vec::new() };
    all(&mut gathered, &Known { users: Vec::new(), hosts: Vec::new() });
    let value: serde_json::Value = serde_json::from_str(&gathered.items[0].text).unwrap();
    assert_eq!(value["last"], "no way\ndomain-1");
    assert_eq!((&value["user"], &value["by"]), (&"user-1".into(), &"user-1".into()));
    assert_eq!(value["links"], serde_json::json!(["mac-1", "mac-1"]));
}

#[test]
fn what_resolv_conf_searches_is_a_domain() {
    let resolv = "search acme-lan  Branch.\tsite3\nnameserver 9.9.9.9\nsearch other5\ndomain\tfifth\n";
    let log = "Search for it: acme-lan, BRANCH, site3, other5 and fifth; the branches";
    let item =
        |name: &str, text: &str| Item { name: name.into(), origin: "y".into(), text: text.into(), cut: 0 };
    let items = vec![item("dns/2_resolv.conf", resolv), item("log/agent.1.log", log)];
    let mut gathered = Gathered { items, left_out: Vec::new() };
    all(&mut gathered, &Known { users: Vec::new(), hosts: Vec::new() });
    let texts: Vec<&str> = gathered.items.iter().map(|item| item.text.as_str()).collect();
    let masked =
        "search domain-1  domain-2.\tdomain-3\nnameserver ipv4-public-1\nsearch domain-4\ndomain\tdomain-5\n";
    assert_eq!(texts[0], masked);
    assert!(
        texts[1].starts_with("Search for it: domain-1, domain-2, domain-3, domain-4 and domain-5"),
        "{}",
        texts[1]
    );
}

#[test]
fn a_name_has_one_mask_however_xml_writes_it() {
    let texts = masked(&[
        "<HostName>R&amp;D &quot;Lab's&quot; &#x4E;orth</HostName>",
        "Connected to R&D \"Lab's\" North.\nhost=\"\" r&amp;d &quot;lab&#39;s&quot; NORTH and R&amp;D \"Lab's\" North",
        "Reconnecting to Q&A desk...\n",
        "<HostName>Q&amp;A desk</HostName>",
        "AT&T; &unknown; &#xzz; a & b",
    ]);
    assert_eq!(texts[0], "<HostName>host-1</HostName>");
    assert_eq!(texts[1], "Connected to host-1.\nhost=\"\" host-1 and host-1");
    assert_eq!(texts[2], "Reconnecting to host-2...\n");
    assert_eq!(texts[3], "<HostName>host-2</HostName>");
    assert_eq!(texts[4], "AT&T; &unknown; &#xzz; a & b");
}

proptest! {
    #[test]
    fn nothing_of_what_is_masked_is_left(
        v4: Ipv4Addr, v6: Ipv6Addr, mac: [u8; 6],
        user in "q[a-z0-9]{1,8}z", host in "Q[A-Za-z]{2,6} [A-Z][a-z]{3}Z", name in "zq[a-z]{2,8}(-[a-z]{2})?\\.q[a-z]{2,5}x",
        session in "Z[A-Za-z0-9]{12}q", around in "[ \\n,;()\\[\\]'=/]{1,3}",
    ) {
        prop_assume!(Masks::default().address(v4.into()).is_some() && Masks::default().address(v6.into()).is_some());
        let mac = mac.map(|octet| format!("{octet:02x}")).join(":");
        prop_assume!(mac[..2] != mac[3..5]);
        let digits = mac.replace(':', "");
        let dotted = format!("{}.{}.{}", &digits[..4], &digits[4..8], &digits[8..]);
        let in_url = v6.to_string().replace(':', "%3A");
        let originals = [
            v4.to_string(), v6.to_string(), mac, dotted, in_url, user.clone(), host.clone(), name, session.clone(),
        ];
        let head = format!("\"user\": \"{user}\" <HostName>{host}</HostName> IKE ID '{session}'");
        let body: String = originals.iter().flat_map(|part| [around.as_str(), part.as_str(), &around]).collect();
        let texts = masked(&[&body, &head]).join("\n").to_lowercase();
        for original in &originals {
            prop_assert!(!texts.contains(&original.to_lowercase()), "{original} in {texts}");
        }
    }

    #[test]
    fn any_text_is_taken(text in ".{0,200}", marks in "[0-9a-f:.@-]{0,60}") {
        let _ = (one(&text), one(&marks));
    }
}
