//! `ikeep connect` of a person: prompts, echo, and the keys that end it.

use crate::terminal::Terminal;
use crate::world::{Agent, Home, ask, call, connected, input, pairs, password, question, state};
use ikeep::ipc::{Failure, FailureKind, InputKind, Question, Reply};
use std::time::Duration;

#[test]
fn names_are_typed_with_echo_secrets_without_and_groups_are_chosen_from_a_list() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        replies.send(state("connecting", "asking the gateway")).await.unwrap();
        let mut group = input("group_list", "Group:", InputKind::Choice);
        group.value = "staff".into();
        group.options = [("guests", "Guests"), ("staff", "Staff"), ("board", "Board")]
            .map(|(value, label)| (value.to_owned(), label.to_owned()))
            .to_vec();
        let mut name = input("username", "Username:", InputKind::Text);
        name.value = "me".into();
        let first = Question {
            title: "Login".into(),
            message: "Please log in\nwith care".into(),
            ..question(1, vec![group.clone(), name.clone(), password()])
        };
        let mut answers = ask(&mut calls, &replies, first).await;
        let again = Question { error: "Login failed.".into(), ..question(2, vec![group, name, password()]) };
        answers.extend(ask(&mut calls, &replies, again).await);
        replies.send(connected()).await.unwrap();
        answers
    });
    let mut terminal = Terminal::new(&home, &["connect"]);
    terminal.see("asking the gateway\r\n");
    terminal.see("Login\r\nPlease log in\r\nwith care\r\n");
    assert!(terminal.see("1 to 3: ").contains("   1  Guests\r\n*  2  Staff\r\n   3  Board\r\n"));
    terminal.types("4\n");
    terminal.see("4\r\n1 to 3: ");
    terminal.types("3\n");
    terminal.see("Username [me]: ");
    terminal.types("you\n");
    terminal.see("you\r\nPassword: ");
    terminal.types("hunter2\n");
    assert!(!terminal.see("Login failed.\r\n").contains("hunter"));
    terminal.see("1 to 3: ");
    terminal.types("\n");
    terminal.see("Username [me]: ");
    terminal.types("\n");
    terminal.see("Password: ");
    terminal.types("caf\u{e9}\n");
    assert!(!terminal.see("Connected to Gateway: 192.168.20.5").contains("caf"));
    assert_eq!(terminal.ends().code(), Some(0));
    assert!(terminal.echoes());
    let first = [("group_list", "board"), ("password", "hunter2"), ("username", "you")];
    let second = [("group_list", "staff"), ("password", "caf\u{e9}"), ("username", "me")];
    assert_eq!(agent.end(), pairs(&[first, second].concat()));
}

#[test]
fn the_time_in_which_a_person_types_does_not_count() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        ask(&mut calls, &replies, question(1, vec![password()])).await;
        replies.send(connected()).await.unwrap();
    });
    let mut terminal = Terminal::new(&home, &["connect", "--wait", "1"]);
    terminal.see("Password: ");
    terminal.stays_quiet(Duration::from_millis(1300));
    terminal.types("slow\n");
    terminal.see("Connected");
    assert_eq!(terminal.ends().code(), Some(0));
    agent.end();
}

/// Waits at a password prompt until the client has gone.
fn prompt_that_nobody_answers(home: &Home) -> Agent<()> {
    Agent::new(home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        replies.send(Reply::Ask(question(1, vec![password()]))).await.unwrap();
        replies.closed().await;
    })
}

#[test]
fn ctrl_c_at_a_prompt_ends_the_command_and_with_it_the_login() {
    let home = Home::new();
    let agent = prompt_that_nobody_answers(&home);
    let mut terminal = Terminal::new(&home, &["connect"]);
    terminal.see("Password: ");
    terminal.types("hun\u{3}");
    assert_eq!(terminal.ends().code(), Some(130));
    assert!(terminal.echoes());
    agent.end();
}

#[test]
fn ctrl_d_at_a_prompt_is_no_answer() {
    let home = Home::new();
    let agent = prompt_that_nobody_answers(&home);
    let mut terminal = Terminal::new(&home, &["connect"]);
    terminal.see("Password: ");
    terminal.types("\u{4}");
    terminal.see("no answer to the gateway's question");
    assert_eq!(terminal.ends().code(), Some(3));
    agent.end();
}

#[test]
fn a_command_that_is_ended_at_a_prompt_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        replies.send(Reply::Ask(question(1, vec![password()]))).await.unwrap();
        // The terminal's settings are nobody's message: that the prompt is there is seen on the other side.
        let failure = Failure::new(FailureKind::Authentication, "the gateway waits no longer");
        let ended = call(&mut calls);
        tokio::select! {
            _ = ended => panic!("nobody answers"),
            () = tokio::time::sleep(Duration::from_millis(500)) => replies.send(Reply::Failed(failure)).await.unwrap(),
        }
    });
    let mut terminal = Terminal::new(&home, &["connect"]);
    terminal.see("Password: ");
    terminal.see("the gateway waits no longer");
    assert_eq!(terminal.ends().code(), Some(3));
    assert!(terminal.echoes());
    agent.end();
}

#[test]
fn a_signal_while_connecting_ends_it() {
    let home = Home::new();
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        replies.send(state("connecting", "asking the gateway")).await.unwrap();
        replies.closed().await;
    });
    let mut terminal = Terminal::new(&home, &["connect"]);
    terminal.see("asking the gateway");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends().code(), Some(130));
    agent.end();
}
