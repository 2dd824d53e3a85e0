//! `ikeep connect --remember` and `ikeep forget` with a real keyring, against an agent that says what the test wants.

use crate::bus::{Desktop, Keyring, turn};
use crate::liar::{Liar, Lie};
use anyhow::{Context as _, Result, ensure};
use ikeep::config::Places;
use ikeep::ipc::{Connected, Failure, FailureKind, Input, InputKind, Listener, Question, Reply, Request};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

const PASSWORD: &str = "canary hunter2 caf\u{e9}";
const CODE: &str = "canary 123456";
const HOST: &str = "vpn.example.com";
/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

fn input(name: &str, kind: InputKind) -> Input {
    Input { name: name.into(), label: name.into(), kind, value: String::new(), options: Vec::new() }
}

fn ask(form: &str, user: &str, error: &str, inputs: Vec<Input>) -> Reply {
    Reply::Ask(Question {
        id: 1,
        title: String::new(),
        message: String::new(),
        error: error.into(),
        inputs,
        gateway: "VPN.example.com.".into(),
        user: user.into(),
        form: form.into(),
    })
}

fn ask_password(error: &str) -> Reply {
    ask("main", "me", error, vec![input("password", InputKind::Secret)])
}

fn connected() -> Reply {
    Reply::Connected(Connected {
        host: "Gateway".into(),
        already: false,
        by_token: false,
        addresses: Vec::new(),
        tunnel: String::new(),
        proxy: None,
        proxy_login: None,
    })
}

fn refused() -> Reply {
    Reply::Failed(Failure::new(FailureKind::Authentication, "the gateway refused the login"))
}

/// Listens when this returns, says all of `talk` to one client, and gives what that answered.
fn agent(places: &Places, talk: Vec<Reply>) -> Result<JoinHandle<Vec<(String, String)>>> {
    let places = places.clone();
    let (listens, ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let talk = async {
            let listener = Listener::bind(&places).unwrap();
            let (calls_in, mut calls) = mpsc::channel(8);
            let server = tokio::spawn(listener.serve(calls_in));
            listens.send(()).unwrap();
            let replies = calls.recv().await.unwrap().replies;
            let mut answers = Vec::new();
            for reply in talk {
                let asks = matches!(reply, Reply::Ask(_));
                replies.send(reply).await.unwrap();
                if !asks {
                    continue;
                }
                let answer = tokio::select! {
                    call = calls.recv() => call.map(|call| call.request),
                    () = replies.closed() => None,
                };
                let Some(Request::Answer(answer)) = answer else { break };
                let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
                answers.extend(answer.values.into_iter().map(|(name, typed)| (name, text(typed.0.expose()))));
            }
            replies.closed().await;
            drop((replies, calls));
            server.await.unwrap();
            answers
        };
        // A command that ends without having called would be waited for in vain.
        let over = async { tokio::time::timeout(PATIENCE, talk).await.expect("the talk did not end") };
        runtime.block_on(over)
    });
    ready.recv().context("the agent does not listen")?;
    Ok(thread)
}

/// `ikeep` with `arguments`, and what it answered.
fn run(desktop: &Desktop, arguments: &[&str], talk: Vec<Reply>) -> Result<(Output, Vec<(String, String)>)> {
    let agent = agent(&desktop.places(), talk)?;
    let output = desktop.ikeep().args(arguments).output()?;
    Ok((output, agent.join().map_err(|_| anyhow::anyhow!("the agent failed"))?))
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pairs(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Logs in with a program that knows password and code, and has the password remembered.
fn remember(desktop: &Desktop) -> Result<()> {
    let program = desktop.store().with_file_name("askpass");
    std::fs::write(
        &program,
        format!("#!/bin/sh\ncase \"$1\" in password*) echo '{PASSWORD}';; *) echo '{CODE}';; esac\n"),
    )?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700))?;
    let program = program.to_str().context("a path")?;
    let talk = vec![
        ask_password(""),
        ask("challenge", "me", "", vec![input("answer", InputKind::Secret)]),
        connected(),
    ];
    let (output, answers) = run(desktop, &["connect", "--remember", "--askpass", program], talk)?;
    ensure!(output.status.success() && error(&output).contains("is remembered"), "{output:?}");
    ensure!(answers == pairs(&[("password", PASSWORD), ("answer", CODE)]), "{answers:?}");
    Ok(())
}

fn forget(desktop: &Desktop) -> Result<Output> {
    let mut command: Command = desktop.ikeep();
    Ok(command.args(["forget", HOST]).output()?)
}

#[test]
fn a_password_is_remembered_used_and_forgotten() -> Result<()> {
    let Some(_turn) = turn("a_password_is_remembered_used_and_forgotten") else { return Ok(()) };
    let mut desktop = Desktop::new()?;
    desktop.start_keyring(Keyring::Open)?;
    desktop.traffic()?;
    remember(&desktop)?;
    let found = desktop.search_for("ikeep-password")?;
    ensure!(
        found.contains("attribute.user = me") && found.contains("attribute.gateway = vpn.example.com"),
        "{found}"
    );
    ensure!(found.contains(PASSWORD) && found.matches("label = ").count() == 1, "{found}");
    ensure!(!found.contains(CODE), "a code was kept: {found}");
    let folder = desktop.store().with_file_name("bundle");
    std::fs::create_dir(&folder)?;
    let made = desktop.ikeep().arg("bundle").arg("--output").arg(&folder).output()?;
    ensure!(made.status.success(), "{made:?}");
    let bundle = String::from_utf8(made.stdout)?;
    let mut zip = zip::ZipArchive::new(std::fs::File::open(bundle.trim_end())?)?;
    ensure!(zip.len() > 3, "{} entries", zip.len());
    for at in 0..zip.len() {
        let mut text = String::new();
        zip.by_index(at)?.read_to_string(&mut text)?;
        ensure!(!text.contains(PASSWORD) && !text.contains(CODE), "{at} of {bundle}: {text}");
    }
    let traffic = desktop.traffic()?;
    ensure!(traffic.contains("member=CreateItem") && !traffic.contains("canary"), "{traffic}");

    // Used without a question, the name with it; a second form is not filled in, whatever its field is called.
    let talk = vec![
        ask("main", "", "", vec![input("username", InputKind::Text), input("password", InputKind::Secret)]),
        ask("next", "", "", vec![input("password", InputKind::Secret)]),
    ];
    let (output, answers) = run(&desktop, &["connect"], talk)?;
    ensure!(answers == pairs(&[("password", PASSWORD), ("username", "me")]), "{answers:?}");
    ensure!(output.status.code() == Some(3) && error(&output).contains("asks for password"), "{output:?}");
    ensure!(desktop.search_for("ikeep-password")?.contains(PASSWORD), "nothing was refused");

    // Another user's is not given.
    let talk = vec![ask("main", "you", "", vec![input("password", InputKind::Secret)])];
    ensure!(run(&desktop, &["connect"], talk)?.1.is_empty());

    // Refused by another form, or by the end of the login: forgotten, and not tried again.
    for refusal in [ask_password("Login failed."), refused()] {
        let (output, answers) = run(&desktop, &["connect"], vec![ask_password(""), refusal])?;
        ensure!(answers == pairs(&[("password", PASSWORD)]), "{answers:?}");
        ensure!(
            output.status.code() == Some(3) && error(&output).contains("so it is forgotten"),
            "{output:?}"
        );
        ensure!(!desktop.search_for("ikeep-password")?.contains(PASSWORD));
        remember(&desktop)?;
    }

    let output = forget(&desktop)?;
    ensure!(
        String::from_utf8_lossy(&output.stdout) == "Forgotten of vpn.example.com: the password of me.\n",
        "{output:?}"
    );
    let output = forget(&desktop)?;
    ensure!(
        String::from_utf8_lossy(&output.stdout) == "Nothing was kept of vpn.example.com.\n",
        "{output:?}"
    );
    Ok(())
}

/// No session, and nothing was ever connected as far as the state folder knows: the keyring says what there is to forget.
#[test]
fn the_only_password_is_forgotten_without_a_host_and_several_are_listed() -> Result<()> {
    let Some(_turn) = turn("the_only_password_is_forgotten_without_a_host_and_several_are_listed") else {
        return Ok(());
    };
    let mut desktop = Desktop::new()?;
    desktop.start_keyring(Keyring::Open)?;
    let forget = || desktop.ikeep().arg("forget").output();
    let output = forget()?;
    ensure!(output.status.code() == Some(2), "{output:?}");
    ensure!(error(&output).contains("nothing was ever connected: name the HOST"), "{output:?}");
    remember(&desktop)?;
    // Another gateway's, as another login would leave it.
    let mut question = ask_password("");
    if let Reply::Ask(question) = &mut question {
        question.gateway = "a.example".into();
    }
    let program = desktop.store().with_file_name("askpass");
    let program = program.to_str().context("a path")?;
    let arguments = ["connect", "--remember", "--askpass", program];
    let (output, _) = run(&desktop, &arguments, vec![question, connected()])?;
    ensure!(output.status.success(), "{output:?}");
    let output = forget()?;
    let both = "passwords are remembered for a.example, vpn.example.com: name the HOST to forget";
    ensure!(output.status.code() == Some(2) && error(&output).contains(both), "{output:?}");
    ensure!(desktop.ikeep().args(["forget", "a.example"]).output()?.status.success());
    let output = forget()?;
    ensure!(
        String::from_utf8_lossy(&output.stdout) == "Forgotten of vpn.example.com: the password of me.\n",
        "{output:?}"
    );
    ensure!(!desktop.search_for("ikeep-password")?.contains(PASSWORD));
    Ok(())
}

#[test]
fn a_locked_keyring_blocks_nobody_and_is_told() -> Result<()> {
    let Some(_turn) = turn("a_locked_keyring_blocks_nobody_and_is_told") else { return Ok(()) };
    let mut desktop = Desktop::new()?;
    desktop.start_keyring(Keyring::Open)?;
    remember(&desktop)?;
    desktop.start_keyring(Keyring::Locked)?;
    desktop.traffic()?;
    let (output, answers) = run(&desktop, &["connect"], vec![ask_password("")])?;
    ensure!(answers.is_empty() && output.status.code() == Some(3), "{output:?}");
    ensure!(error(&output).contains("the keyring is locked: unlock it"), "{output:?}");
    let output = forget(&desktop)?;
    ensure!(
        output.status.code() == Some(1) && error(&output).contains("the keyring is locked"),
        "{output:?}"
    );
    let traffic = desktop.traffic()?;
    ensure!(traffic.contains("member=SearchItems"), "{traffic}");
    for member in ["member=Prompt", "member=Unlock", "BeginPrompting"] {
        ensure!(!traffic.contains(member), "{member} passed on the bus:\n{traffic}");
    }
    desktop.start_keyring(Keyring::Open)?;
    ensure!(forget(&desktop)?.status.success());
    ensure!(!desktop.search_for("ikeep-password")?.contains(PASSWORD));
    Ok(())
}

/// Only an item of the user's own that is locked keeps a password from being forgotten.
#[test]
fn what_is_locked_of_another_user_is_in_nobodys_way() -> Result<()> {
    let Some(_turn) = turn("what_is_locked_of_another_user_is_in_nobodys_way") else { return Ok(()) };
    let desktop = Desktop::new()?;
    let _service = Liar::start(&desktop, Lie::Neighbour)?;
    remember(&desktop)?;
    let (output, answers) = run(&desktop, &["connect"], vec![ask_password(""), refused()])?;
    ensure!(answers == pairs(&[("password", PASSWORD)]), "{answers:?} {output:?}");
    ensure!(error(&output).contains("refused the remembered password, so it is forgotten"), "{output:?}");
    // Without a user all are meant, and one of them cannot be reached.
    remember(&desktop)?;
    let output = forget(&desktop)?;
    ensure!(
        output.status.code() == Some(1) && error(&output).contains("the keyring is locked"),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn without_a_keyring_the_login_goes_on_and_the_reason_is_told() -> Result<()> {
    let Some(_turn) = turn("without_a_keyring_the_login_goes_on_and_the_reason_is_told") else {
        return Ok(());
    };
    let desktop = Desktop::new()?;
    let told = remember(&desktop).err().context("there is nowhere to remember it")?.to_string();
    ensure!(told.contains("the password is not remembered: no secret service"), "{told}");
    Ok(())
}
