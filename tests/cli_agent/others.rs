//! `disconnect`, `reconnect`, `status`, `watch`: with an agent, without one, and with one that is not ours to talk to.

use crate::world::{Agent, Home, call, connected, ikeep, state};
use ikeep::ipc::{Connect, Failure, FailureKind, Hello, Reply, Request, encode};
use ikeep::store::Intent;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Stdio;

fn picture() -> Value {
    json!({
        "state": "connected", "confirmed": true, "host": "Gateway\u{1b}c", "gateway": "192.0.2.1:4500", "user": "test",
        "address4": "192.168.20.5", "address6": null, "routes": ["192.168.10.0/24", "10.0.0.0/8"], "reconnects": 2,
        "last_reconnect": {"cause": "network-change", "code": 7, "outage_ms": 112.5, "round_trips": 2, "at": "2026-01-02T03:04:05Z"},
        "child": {"bytes_in": 10, "bytes_out": 20, "encr": "AesGcm256"},
        "next": {"what": "answer to the liveness check", "in_ms": 3210}, "error": null,
    })
}

/// An agent with this picture.
fn shows(home: &Home, status: Value) -> Agent<()> {
    Agent::new(home, async move |mut calls| {
        let call = call(&mut calls).await;
        assert_eq!(call.request, Request::Status);
        call.replies.send(Reply::Status { status }).await.unwrap();
    })
}

#[test]
fn status_is_a_table_with_the_state_first() {
    let home = Home::new();
    let agent = shows(&home, picture());
    let run = home.ikeep(&["status"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[0], "State           connected");
    for line in [
        "Host            Gateway\u{fffd}c",
        "Address         192.168.20.5",
        "Routes          192.168.10.0/24, 10.0.0.0/8",
        "Last reconnect  2026-01-02T03:04:05Z, network-change, outage 112.5 ms, 2 round trips",
        "Traffic         10 octets in, 20 octets out",
        "Next            answer to the liveness check, within 3.2 s",
    ] {
        assert!(lines.contains(&line), "{line:?} is missing in\n{}", run.out);
    }
    assert!(!run.out.contains("Error") && !run.out.contains("null"), "{}", run.out);
    agent.end();
}

#[test]
fn connected_is_said_only_where_it_is_proved() {
    let home = Home::new();
    let mut status = picture();
    status["confirmed"] = false.into();
    let agent = shows(&home, status);
    let run = home.ikeep(&["status"]);
    assert!(run.out.starts_with("State           unconfirmed\n"), "{}", run.out);
    assert!(!run.out.contains(" connected"), "{}", run.out);
    agent.end();
}

#[test]
fn status_as_json_is_the_agents_own_document() {
    let home = Home::new();
    let agent = shows(&home, picture());
    let run = home.ikeep(&["status", "--json"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), picture());
    agent.end();
}

#[test]
fn without_an_agent_there_is_nothing_to_tell() {
    let home = Home::new();
    for arguments in [&["status"][..], &["status", "--json"], &["watch"], &["reconnect"]] {
        home.ikeep(arguments).fails(6, &["no agent of yours runs", "ikeep connect"]);
    }
}

#[test]
fn disconnect_is_told_to_the_agent() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let call = call(&mut calls).await;
        for reply in [state("disconnecting", "telling the gateway"), Reply::Done] {
            call.replies.send(reply).await.unwrap();
        }
        call.request
    });
    let run = home.ikeep(&["disconnect"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "Disconnected\n", ""));
    assert_eq!(agent.end(), Request::Disconnect);
}

#[test]
fn disconnect_without_an_agent_keeps_the_next_one_from_connecting() {
    let home = Home::new();
    let run = home.ikeep(&["disconnect"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "No agent runs; nothing is connected\n"), "{run:?}");
    assert!(!home.places().state.exists(), "nothing was wanted, nothing is noted");
    let last = Some(Connect { host: Some("Gateway".into()), ..Connect::default() });
    let wanted = Intent { wanted: true, last };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(wanted.save(&home.places())).unwrap();
    assert_eq!(home.ikeep(&["disconnect"]).code, Some(0));
    let (intent, notes) = Intent::load(&home.places());
    assert_eq!((intent, notes.len()), (Intent { wanted: false, ..wanted }, 0));
}

#[test]
fn reconnect_tells_how_it_came_back() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let call = call(&mut calls).await;
        let Reply::Connected(connected) = connected() else { unreachable!() };
        let back = ikeep::ipc::Connected { by_token: true, ..connected };
        call.replies.send(Reply::Connected(back)).await.unwrap();
        call.request
    });
    let run = home.ikeep(&["reconnect"]);
    assert!(run.out.starts_with("Connected by token to Gateway: "), "{run:?}");
    assert_eq!(agent.end(), Request::Reconnect);
}

#[test]
fn watch_tells_each_change_once_and_ends_with_the_agent() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let call = call(&mut calls).await;
        assert_eq!(call.request, Request::Watch);
        let mut status = picture();
        for (name, confirmed) in
            [("connecting", false), ("connected", true), ("connected", true), ("connected", false)]
        {
            status["state"] = name.into();
            status["confirmed"] = confirmed.into();
            // Counters are no change worth a line.
            status["child"]["bytes_in"] = (status["child"]["bytes_in"].as_u64().unwrap() + 1).into();
            call.replies.send(Reply::Status { status: status.clone() }).await.unwrap();
        }
    });
    let run = home.ikeep(&["watch"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    let lines: Vec<&str> = run.out.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let host = "Gateway\u{fffd}c  192.168.20.5";
    let waits = "waits for answer to the liveness check";
    assert_eq!(
        lines,
        [
            format!("connecting  {host}  {waits}"),
            format!("connected  {host}"),
            format!("unconfirmed  {host}  {waits}"),
        ]
    );
    agent.end();
}

#[test]
fn watch_ends_when_nobody_reads_it() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        for number in 0.. {
            let status = json!({ "state": format!("number {number}") });
            if replies.send(Reply::Status { status }).await.is_err() {
                return;
            }
        }
    });
    let mut child = home.command(ikeep()).arg("watch").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with("  number 0\n"), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    agent.end();
}

#[test]
fn a_refusal_is_told() {
    for arguments in ["disconnect", "status", "watch", "reconnect"] {
        let home = Home::new();
        let agent = Agent::new(&home, async |mut calls| {
            let failure = Failure::new(FailureKind::Usage, "not now");
            call(&mut calls).await.replies.send(Reply::Failed(failure)).await.unwrap();
        });
        home.ikeep(&[arguments]).fails(2, &["not now"]);
        agent.end();
    }
}

#[test]
fn an_agent_of_an_older_version_is_named_and_how_to_end_it() {
    let home = Home::new();
    std::fs::create_dir_all(home.places().runtime).unwrap();
    let socket = UnixListener::bind(home.places().socket()).unwrap();
    let older = std::thread::spawn(move || {
        for _ in 0..3 {
            let hello = Hello { protocol: 0, version: "0.0.1".into(), pid: 4711 };
            let (mut client, _) = socket.accept().unwrap();
            client.write_all(&encode(&hello).unwrap()).unwrap();
            // Kept open until the client has had enough.
            let _ = BufReader::new(client).lines().count();
        }
    });
    for arguments in ["connect", "status", "disconnect"] {
        home.ikeep(&[arguments]).fails(1, &["0.0.1", "older", "systemctl --user restart ikeep", "kill 4711"]);
    }
    older.join().unwrap();
}

#[test]
fn help_tells_what_a_person_needs() {
    let home = Home::new();
    for (arguments, parts) in [
        (&["--help"][..], &["connect", "disconnect", "watch", "Exit status:", "Files:", "config.toml"][..]),
        (&["connect", "--help"], &["--password-stdin", "--trust", "Examples:", "- proxy: A local SOCKS5"]),
        (&["status", "--help"], &["--json", "unconfirmed"]),
        (&["gateway", "serve", "--help"], &["--write-ca", "PUBLIC TEST KEYS", "[default: 4500]"]),
    ] {
        let run = home.ikeep(arguments);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        for part in parts {
            assert!(run.out.contains(part), "{part:?} is missing in\n{}", run.out);
        }
    }
    let run = home.ikeep(&[]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn forget_asks_for_the_host_where_its_profile_cannot_say_which_gateway_it_was() {
    let home = Home::new();
    let folder = home.path().join("config/ikeep/profiles");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("other.xml"), include_bytes!("../../profiles/flexvpn-c8kv.xml")).unwrap();
    let profile = home.path().join("p.xml");
    std::fs::write(&profile, "<AnyConnectProfile>").unwrap();
    let last =
        Connect { host: Some("IKEv2_Gateway".into()), profile: Some(profile.clone()), ..Connect::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Intent { wanted: false, last: Some(last) }.save(&home.places())).unwrap();
    // Damaged, and then gone without anything that a connection has left.
    for why in ["p.xml:1:20: ", "cannot read the profile "] {
        let run = home.ikeep(&["forget"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.err.contains(why) && run.err.contains("name the HOST to forget"), "{run:?}");
        let _ = std::fs::remove_file(&profile);
    }
    let run = home.ikeep(&["forget", "IKEv2_Gateway"]);
    assert!(!run.err.contains("name the HOST"), "{run:?}");
}
