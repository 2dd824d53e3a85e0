use super::*;
use serde_json::{Value, json};

fn around(hosts: &[&str]) -> Around {
    let mut around = Around::default();
    around.offer(hosts.iter().map(|host| (*host).to_owned()).collect());
    around
}

fn view(status: Value) -> View {
    View::of(&Heard::Status(status), None, &around(&["Office"]))
}

fn labels(view: &View) -> Vec<&str> {
    view.menu.iter().filter_map(|entry| entry.label.as_deref()).collect()
}

#[test]
fn each_state_has_its_icon_its_words_and_what_can_be_done() {
    use Look::*;
    let up = &["Reconnect", "Disconnect"][..];
    for (state, confirmed, look, title, offered) in [
        ("disconnected", false, Idle, "disconnected, Office", &["Connect to Office"][..]),
        ("connecting", false, Working, "connecting, Office", &["Give up"]),
        ("connected", true, Good, "connected, Office", up),
        ("connected", false, Working, "unconfirmed, Office", up),
        ("reconnecting", false, Working, "reconnecting, Office", up),
        ("waiting-for-network", false, Working, "waiting-for-network, Office", up),
        ("suspended", false, Working, "suspended, Office", up),
        ("captive-portal", false, Working, "captive-portal, Office", up),
        ("auth-required", false, Bad, "auth-required, Office", &["Log in to Office", "Disconnect"]),
        ("disconnecting", false, Idle, "disconnecting, Office", &[]),
    ] {
        let until = "2026-11-23T12:00:00Z";
        let status =
            json!({ "state": state, "confirmed": confirmed, "host": "Office", "session_expires": until });
        let view = view(status);
        assert_eq!((view.look, view.title.as_str()), (look, title));
        let wishes = view.menu.iter().filter(|entry| entry.wish.is_some());
        let wishes: Vec<&str> = wishes.filter_map(|entry| entry.label.as_deref()).collect();
        assert_eq!(wishes, [offered, &["Quit tray"]].concat(), "{state}");
        assert_eq!(labels(&view).first(), Some(&title));
        let mut ids: Vec<i32> = view.menu.iter().map(|entry| entry.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() == view.menu.len() && !ids.contains(&0), "{state}: nought is the menu itself");
    }
}

#[test]
fn without_a_token_there_is_nothing_to_come_back_with() {
    let view =
        view(json!({ "state": "connected", "confirmed": true, "host": "Office", "session_expires": null }));
    assert!(labels(&view).contains(&"Disconnect") && !labels(&view).contains(&"Reconnect"));
}

#[test]
fn what_a_person_must_know_comes_first() {
    let view = view(json!({
        "state": "captive-portal", "confirmed": false, "host": "Office",
        "portal": { "message": "this network wants a log-in", "command": "ikeep portal" },
        "next": { "what": "the portal to open", "in_ms": 5000 },
        "interruption": { "cause": "network-change", "attempts": 3 },
    }));
    assert_eq!((view.look, view.look.status()), (Look::Bad, "NeedsAttention"));
    assert_eq!(
        view.tip,
        [
            "this network wants a log-in",
            "Open the way to it with: ikeep portal",
            "Waits for the portal to open",
            "Cause: network-change, attempt 3"
        ]
    );
    assert_eq!(labels(&view)[1], "this network wants a log-in");
    let status = json!({ "state": "reconnecting", "next": { "what": "an answer" } });
    let view = View::of(&Heard::Status(status), Some("12:03:10"), &Around::default());
    assert_eq!(view.tip, ["Waits for an answer, until 12:03:10"]);
}

#[test]
fn without_an_agent_connecting_starts_one() {
    let mut around = around(&["Office", "Lab"]);
    let no_agent = View::of(&Heard::NoAgent, None, &around);
    assert_eq!((no_agent.look.status(), no_agent.title.as_str()), ("Active", "no agent"));
    let lab = no_agent.menu.iter().find(|entry| entry.label.as_deref() == Some("Connect to Lab")).unwrap();
    assert_eq!(no_agent.wish(lab.id), Some(Wish::Connect(Some("Lab".to_owned()))));
    // Whoever still has the old menu before them picks what they read.
    around.offer(vec!["Home".to_owned(), "Lab".to_owned()]);
    let later = View::of(&Heard::NoAgent, None, &around);
    assert_eq!(later.wish(lab.id), Some(Wish::Connect(Some("Lab".to_owned()))));
    assert_eq!(later.wish(FIRST_HOST), None);
    let unknown = View::of(&Heard::NoAgent, None, &Around::default());
    assert!(!labels(&unknown).contains(&"No profile: ikeep profile import FILE"), "nobody has looked yet");
    around.offer(Vec::new());
    let nothing = View::of(&Heard::NoAgent, None, &around);
    assert!(labels(&nothing).contains(&"No profile: ikeep profile import FILE"));
}

#[test]
fn what_comes_from_elsewhere_is_one_short_line() {
    let view = view(
        json!({ "state": "disconnected", "error": { "message": "a\nb\u{1b}".to_owned() + &"x".repeat(5000) } }),
    );
    let text = &view.tip[0];
    assert!(text.starts_with("a\u{fffd}b\u{fffd}x") && text.chars().count() == LONGEST + 1, "{text}");
}

#[test]
fn what_did_not_work_is_told() {
    let mut around = around(&[]);
    around.outcome = Some("no answer from Office".to_owned());
    let failed = View::of(&Heard::NoAgent, None, &around);
    assert!(labels(&failed).contains(&"no answer from Office"));
    around.doing = Some(Wish::Disconnect);
    let doing = View::of(&Heard::NoAgent, None, &around);
    assert!(!labels(&doing).contains(&"no answer from Office"), "it is tried again");
}
