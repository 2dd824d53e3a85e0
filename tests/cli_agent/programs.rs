//! Who is asked where there is no terminal: an askpass program, and the desktop's prompt.

use crate::terminal::Terminal;
use crate::world::{Agent, Home, Run, ask, call, connected, ikeep, input, pairs, password, question};
use ikeep::ipc::{InputKind, Question, Reply};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

fn program(home: &Home, name: &str, script: &str) -> PathBuf {
    let folder = home.path().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o700)).unwrap();
    file
}

fn login() -> Question {
    question(1, vec![input("username", "Username:", InputKind::Text), password()])
}

/// An agent that asks once, and takes everything.
fn takes_everything(home: &Home) -> Agent<Vec<(String, String)>> {
    Agent::new(home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        let answers = ask(&mut calls, &replies, login()).await;
        replies.send(connected()).await.unwrap();
        answers
    })
}

/// An agent that asks, and is left alone.
fn is_left(home: &Home, question: Question) -> Agent<()> {
    Agent::new(home, async move |mut calls| {
        let replies = call(&mut calls).await.replies;
        replies.send(Reply::Ask(question)).await.unwrap();
        replies.closed().await;
    })
}

const ASKPASS: &str = "#!/bin/sh\ncase \"$1\" in User*) echo me;; Password:*) echo 'hunter 2';; esac\n";

#[test]
fn an_askpass_program_of_option_environment_or_config_is_asked() {
    for way in ["option", "environment", "config"] {
        let home = Home::new();
        let file = program(&home, "ask pass", ASKPASS);
        let agent = takes_everything(&home);
        let mut command = home.command(ikeep());
        command.arg("connect");
        match way {
            "option" => drop(command.arg("--askpass").arg(&file)),
            "environment" => drop(command.env("IKEEP_ASKPASS", &file)),
            _ => {
                let folder = home.path().join("config/ikeep");
                fs::create_dir_all(&folder).unwrap();
                let text = format!("[agent]\naskpass = [\"{}\"]\n", file.display());
                fs::write(folder.join("config.toml"), text).unwrap();
            }
        }
        let run = Run::of(&mut assert_cmd::Command::from_std(command));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{way}: {run:?}");
        assert_eq!(agent.end(), pairs(&[("password", "hunter 2"), ("username", "me")]), "{way}");
    }
}

#[test]
fn an_askpass_program_that_gives_nothing_ends_the_command() {
    let home = Home::new();
    let file = program(&home, "askpass", "#!/bin/sh\necho hunter2\nexit 1\n");
    let agent = is_left(&home, question(1, vec![password()]));
    let run = home.ikeep(&["connect", "--askpass", file.to_str().unwrap()]);
    run.fails(3, &["no Password was given", "askpass ended with exit status: 1"]);
    assert!(!run.err.contains("hunter"), "{run:?}");
    agent.end();
    let agent = is_left(&home, question(1, vec![password()]));
    home.ikeep(&["connect", "--askpass", "/nonexistent"]).fails(3, &["/nonexistent", "cannot be started"]);
    agent.end();
}

#[test]
fn who_is_at_a_terminal_is_asked_there() {
    let home = Home::new();
    let agent = takes_everything(&home);
    let mut terminal = Terminal::new(&home, &["connect", "--askpass", "/nonexistent"]);
    terminal.see("Username: ");
    terminal.types("you\n");
    terminal.see("Password: ");
    terminal.types("typed\n");
    terminal.see("Connected");
    assert_eq!(terminal.ends().code(), Some(0));
    assert_eq!(agent.end(), pairs(&[("password", "typed"), ("username", "you")]));
}

/// Speaks Assuan, writes down what it heard and the display, and answers GETPIN as told.
fn pinentry(home: &Home, answer: &str) -> PathBuf {
    let heard = home.path().join("heard");
    let script = format!(
        "#!/bin/sh\nexec 2>/dev/null\necho 'OK Pleased to meet you'\necho \"$DISPLAY $WAYLAND_DISPLAY\" > '{0}'\n\
         while read -r line; do\n  printf '%s\\n' \"$line\" >> '{0}'\n  case \"$line\" in\n    GETPIN) printf '{answer}';;\n\
         BYE) echo OK; exit 0;;\n    *) echo OK;;\n  esac\ndone\n",
        heard.display()
    );
    program(home, "pinentry", &script);
    heard
}

fn at_a_desktop(home: &Home, arguments: &[&str]) -> Run {
    let mut command = home.command(ikeep());
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", home.path().join("bin").display()));
    command.env("WAYLAND_DISPLAY", "wayland-7").arg("connect").args(arguments);
    Run::of(&mut assert_cmd::Command::from_std(command))
}

#[test]
fn on_a_desktop_pinentry_asks() {
    let home = Home::new();
    let heard = pinentry(&home, "S PASSWORD_FROM x\\nD 100%%25 caf\u{e9}\\nOK\\n");
    let agent = Agent::new(&home, async |mut calls| {
        let replies = call(&mut calls).await.replies;
        let title = Question {
            title: "Log in\n100%".into(),
            error: "Login failed.".into(),
            ..question(1, vec![password()])
        };
        let answers = ask(&mut calls, &replies, title).await;
        replies.send(connected()).await.unwrap();
        answers
    });
    let run = at_a_desktop(&home, &[]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    assert_eq!(agent.end(), pairs(&[("password", "100% caf\u{e9}")]));
    let heard = fs::read_to_string(heard).unwrap();
    for line in [
        "wayland-7\n",
        "SETDESC vpn.example.com%0ALog in%0A100%25\n",
        "SETERROR Login failed.\n",
        "SETPROMPT Password:\n",
        "GETPIN\nBYE\n",
    ] {
        assert!(heard.contains(line), "{line:?} is missing in {heard}");
    }
}

#[test]
fn a_cancelled_prompt_and_one_that_cannot_be_shown_are_told() {
    let home = Home::new();
    pinentry(&home, "ERR 83886179 Operation cancelled <Pinentry>\\n");
    let agent = is_left(&home, question(1, vec![password()]));
    at_a_desktop(&home, &[]).fails(3, &["no Password was given: the question was cancelled"]);
    agent.end();
    pinentry(&home, "ERR 83918950 Inappropriate ioctl for device\\n");
    let agent = is_left(&home, question(1, vec![password()]));
    at_a_desktop(&home, &[]).fails(3, &["pinentry cannot ask for Password", "Inappropriate ioctl"]);
    agent.end();
    // A name is not typed blindly.
    let agent = is_left(&home, login());
    at_a_desktop(&home, &[]).fails(3, &["asks for Username, Password", "--user"]);
    agent.end();
}

#[test]
fn the_real_pinentry_understands_what_it_is_told() {
    if !std::path::Path::new("/usr/bin/pinentry").exists() {
        // Past the test harness, which keeps what a test prints.
        let _ = writeln!(
            std::io::stderr(),
            "left out: the_real_pinentry_understands_what_it_is_told (Debian: pinentry-curses)"
        );
        return;
    }
    let home = Home::new();
    std::os::unix::fs::symlink("/usr/bin/pinentry", {
        fs::create_dir_all(home.path().join("bin")).unwrap();
        home.path().join("bin/pinentry")
    })
    .unwrap();
    let agent = is_left(&home, question(1, vec![password()]));
    // There is neither this display nor a terminal: it says so, in its protocol.
    let run = at_a_desktop(&home, &[]);
    assert!(run.code == Some(3) && run.err.contains("pinentry cannot ask for Password: "), "{run:?}");
    agent.end();
}
