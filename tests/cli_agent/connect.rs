//! `ikeep connect` of a script: pipes, no terminal.

use crate::world::{Agent, Home, ask, call, connected, ikeep, input, pairs, password, question, state};
use ikeep::config::Tunnel;
use ikeep::ipc::{Connect, Failure, FailureKind, InputKind, NoticeKind, Question, Reply, Request};
use std::path::PathBuf;

#[test]
fn what_is_asked_for_arrives_and_the_connection_is_one_line() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let call = call(&mut calls).await;
        for reply in [state("connecting", "asking the gateway"), connected()] {
            call.replies.send(reply).await.unwrap();
        }
        call.request
    });
    let run = home.ikeep(&[
        "--config",
        "c.toml",
        "connect",
        "Gateway",
        "--profile",
        "p.xml",
        "--user",
        "u",
        "--group",
        "g",
        "--tunnel",
        "proxy",
        "--proxy",
        "127.0.0.1:9",
        "--trust",
        "/etc/a.pem",
        "--trust",
        "../b.pem",
    ]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "progress does not go into a pipe: {run:?}");
    assert_eq!(run.out, "Connected to Gateway: 192.168.20.5; SOCKS5 and HTTP proxy at 127.0.0.1:1080\n");
    let expected = Connect {
        host: Some("Gateway".into()),
        profile: Some(home.path().join("p.xml")),
        user: Some("u".into()),
        group: Some("g".into()),
        tunnel: Some(Tunnel::Proxy),
        proxy: Some("127.0.0.1:9".parse().unwrap()),
        trust: vec![PathBuf::from("/etc/a.pem"), home.path().join("../b.pem")],
        config: Some(home.path().join("c.toml")),
        ..Connect::default()
    };
    assert_eq!(agent.end(), Request::Connect(expected));
}

#[test]
fn each_secret_is_a_line_of_standard_input_and_what_follows_is_left_there() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        let two = vec![password(), input("pin", "PIN:", InputKind::Secret)];
        let first = ask(&mut calls, &replies, question(1, two)).await;
        let second = ask(&mut calls, &replies, question(2, vec![password()])).await;
        replies.send(connected()).await.unwrap();
        [first, second].concat()
    });
    let mut shell = home.command("sh");
    shell.args(["-c", "\"$0\" connect --password-stdin && cat", ikeep()]);
    let shell = assert_cmd::Command::from_std(shell)
        .write_stdin("cis co\n123\r\n\u{1F600}\\\"\nleft\nhere\n")
        .output();
    let shell = shell.unwrap();
    assert_eq!(String::from_utf8(shell.stderr).unwrap(), "");
    assert!(String::from_utf8(shell.stdout).unwrap().ends_with("1080\nleft\nhere\n"));
    assert_eq!(agent.end(), pairs(&[("password", "cis co"), ("pin", "123"), ("password", "\u{1F600}\\\"")]));
}

#[test]
fn a_missing_line_is_told_with_what_the_gateway_said() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        ask(&mut calls, &replies, question(1, vec![password()])).await;
        let again = Question { error: "Login failed.\x1b[31m".into(), ..question(2, vec![password()]) };
        replies.send(Reply::Ask(again)).await.unwrap();
        replies.closed().await;
    });
    let run = home.ikeep_with(&["connect", "--password-stdin"], "wrong\n");
    run.fails(3, &["Login failed.\u{fffd}[31m; ", "asks for Password", "one line for each secret"]);
    agent.end();
}

#[test]
fn without_a_terminal_what_was_asked_is_told_and_nothing_is_waited_for() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        let inputs = vec![input("username", "Username:", InputKind::Text), password()];
        replies.send(Reply::Ask(question(1, inputs))).await.unwrap();
        replies.closed().await;
    });
    let run = home.ikeep(&["connect"]);
    run.fails(3, &["asks for Username, Password", "no terminal", "--user", "--password-stdin"]);
    agent.end();
}

#[test]
fn what_stands_in_an_input_already_serves_where_nobody_can_be_asked() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        let mut group = input("group_list", "Group:", InputKind::Choice);
        group.value = "staff".into();
        group.options = vec![("guests".into(), "Guests".into()), ("staff".into(), "Staff".into())];
        let answer = ask(&mut calls, &replies, question(1, vec![group, password()])).await;
        replies.send(connected()).await.unwrap();
        answer
    });
    let run = home.ikeep_with(&["connect", "--password-stdin"], "cisco");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(agent.end(), pairs(&[("group_list", "staff"), ("password", "cisco")]));
}

#[test]
fn a_failure_gives_its_own_exit_code_and_cannot_move_the_cursor() {
    for (kind, code) in [
        (FailureKind::Other, 1),
        (FailureKind::Usage, 2),
        (FailureKind::Authentication, 3),
        (FailureKind::NoAnswer, 4),
        (FailureKind::Certificate, 5),
        (FailureKind::Profile, 7),
    ] {
        let home = Home::new();
        let agent = Agent::new(&home, async move |mut calls| {
            let failure = Failure::new(kind, "what, why\u{9b}2J, and what to do");
            call(&mut calls).await.replies.send(Reply::Failed(failure)).await.unwrap();
        });
        home.ikeep(&["connect"]).fails(code, &["what, why\u{fffd}2J, and what to do"]);
        agent.end();
    }
}

#[test]
fn banners_and_warnings_are_shown_line_by_line() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        for (kind, text) in [
            (NoticeKind::Banner, "Welcome\r\nto\x07 us\n"),
            (NoticeKind::Gateway, "your password expires"),
            (NoticeKind::Warning, "the session is kept in a plain file"),
        ] {
            replies.send(Reply::Notice { kind, text: text.into() }).await.unwrap();
        }
        replies.send(connected()).await.unwrap();
    });
    let run = home.ikeep(&["connect"]);
    assert_eq!(
        run.err,
        "Welcome\nto\u{fffd} us\nThe gateway says: your password expires\n\
         ikeep: warning: the session is kept in a plain file\n"
    );
    agent.end();
}

#[test]
fn the_wait_ends_with_what_it_waits_for() {
    for (name, rest) in
        [("connecting", "the login is given up"), ("waiting-for-network", "the agent goes on")]
    {
        let home = Home::new();
        let agent = Agent::new(&home, async move |mut calls| {
            let replies = call(&mut calls).await.replies;
            replies.send(state(name, "no way to the gateway")).await.unwrap();
            replies.closed().await;
        });
        let run = home.ikeep(&["connect", "--wait", "1"]);
        run.fails(4, &["within 1 s: no way to the gateway; ", rest]);
        agent.end();
    }
}

#[test]
fn an_agent_that_dies_meanwhile_is_told() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        call(&mut calls).await.replies.send(state("connecting", "asking the gateway")).await.unwrap();
    });
    home.ikeep(&["connect"]).fails(6, &["the agent has gone"]);
    agent.end();
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let home = Home::new();
    for arguments in [
        &["connect", "--tunnel", "tap"][..],
        &["connect", "--wait", "0"],
        &["connect", "--proxy", "1080"],
        &["connect", "a", "b"],
        &["fly"],
    ] {
        let run = home.ikeep(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{run:?}");
    }
    assert!(!home.places().runtime.exists(), "no agent was started");
}
