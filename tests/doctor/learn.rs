//! `ikeep gateway learn HOST`: the attributes that carry the session are found, proved, and nothing of anybody's is told.

use crate::HOST;
use crate::person::{PATIENCE, Person, said};
use crate::world::Site;
use anyhow::{Context as _, Result, ensure};
use ikeep::gateway::{GatewayConfig, GatewayEvent};
use ikeep::lab::pki::IssuedBy;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Write as _;
use std::process::{Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What the program said.
#[derive(Debug)]
struct Lesson {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Lesson {
    fn of(output: &Output) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn at(site: &Site, more: &[&str], typed: &str) -> Result<Self> {
        Self::by(&Person::new(site.ports)?, &site.ca(), more, typed)
    }

    fn by(person: &Person, ca: &str, more: &[&str], typed: &str) -> Result<Self> {
        let profile = Person::profile().display().to_string();
        let args = ["gateway", "learn", HOST, "--profile", &profile, "--trust", ca, "--password-stdin"];
        let args = [&args[..], more].concat();
        Ok(Self::of(&person.type_in(&args, typed)?))
    }

    fn document(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("one JSON document: {self:#?}"))
    }
}

/// Other numbers than those that are assumed, and others that are none of the session's.
fn others(config: &mut GatewayConfig) {
    config.dialect.session_id_attribute = 28_731;
    config.dialect.session_token_attribute = 28_733;
    config.dialect.window_attribute = Some(28_720);
    config.dialect.dpd_interval_attribute = Some(28_721);
    config.banner = Some("Welcome to Acme".into());
}

/// IDs of sessions, and how many came back.
fn seen(site: &Site) -> Result<(Vec<String>, usize, usize)> {
    site.ask(|site| {
        let ids = site.events.iter().filter_map(|(_, event)| match event {
            GatewayEvent::SaUp { id, .. } => id.clone(),
            _ => None,
        });
        let back =
            site.events.iter().filter(|(_, event)| matches!(event, GatewayEvent::Reconnect { .. })).count();
        let counters = site.gateway.counters();
        (ids.collect(), back, counters.active + counters.inactive)
    })
}

#[test]
fn other_numbers_are_found_and_proved_and_the_report_gives_nothing_away() -> Result<()> {
    let site = Site::with(others)?;
    let lesson = Lesson::at(&site, &["--user", "test"], "cisco\n")?;
    ensure!(lesson.code == Some(0), "{lesson:#?}");
    ensure!(lesson.out.contains("proved: 28731 is the ID, 28733 the token"), "{lesson:#?}");
    ensure!(lesson.out.contains("may be the number 900"), "the window's attribute: {lesson:#?}");
    ensure!(lesson.out.contains("config-auth type=auth-request"), "{lesson:#?}");
    for line in [
        "[gateway.\"flexvpn-c8kv.example.com\".dialect]",
        "session_id_attribute = 28731",
        "session_token_attribute = 28733",
    ] {
        ensure!(lesson.err.contains(line), "{line}: {lesson:#?}");
    }
    // The embedded gateway's document has values of its own.
    ensure!(
        lesson.out.contains("<session-id> of its last document has the value of no attribute"),
        "{lesson:#?}"
    );
    let (ids, back, left) = seen(&site)?;
    ensure!(back == 1 && ids.len() == 2, "{back} came back, {ids:?}");
    ensure!(left == 0, "{left} sessions are left at the gateway");
    for given_away in
        ["cisco", "test", "flexvpn", "127.0.0.1", "192.168.", "example.com", "Acme", ids[0].as_str()]
    {
        ensure!(!lesson.out.contains(given_away), "{given_away:?} is in {lesson:#?}");
    }
    Ok(())
}

#[test]
fn what_was_learnt_makes_a_connection_come_back() -> Result<()> {
    let site = Site::with(others)?;
    let person = Person::new(site.ports)?;
    let lesson = Lesson::by(&person, &site.ca(), &["--user", "test", "--json"], "cisco\n")?;
    let document = lesson.document()?;
    ensure!(document["proved"] == true && document["session_id_attribute"] == 28_731, "{lesson:#?}");
    ensure!(document["attributes"].as_array().is_some_and(|list| list.len() > 5), "{lesson:#?}");
    // As the user would: the printed lines go into the config file.
    let file = person.path("config/ikeep/config.toml");
    let lines: Vec<&str> = lesson.err.lines().skip_while(|line| !line.starts_with('[')).collect();
    std::fs::write(&file, std::fs::read_to_string(&file)? + &lines.join("\n") + "\n")?;
    let connected = person.log_in(site.ca().as_ref())?;
    ensure!(connected.status.success(), "{}", said(&connected));
    let again = person.run(&["reconnect"])?;
    ensure!(again.status.success() && said(&again).contains("by token"), "{}", said(&again));
    Ok(())
}

#[test]
fn a_gateway_that_takes_up_lost_sessions_only_leaves_a_guess_that_says_so() -> Result<()> {
    let site = Site::with(|config| {
        others(config);
        config.lenient = false;
    })?;
    let lesson = Lesson::at(&site, &["--user", "test"], "cisco\n")?;
    ensure!(lesson.code == Some(8), "a guess has an exit code of its own: {lesson:#?}");
    ensure!(lesson.out.contains("28731 as ID, 28733 as token: refused"), "{lesson:#?}");
    ensure!(lesson.out.contains("a guess, not proved"), "{lesson:#?}");
    ensure!(lesson.err.contains("They are a guess"), "{lesson:#?}");
    let untried = Lesson::at(&site, &["--user", "test", "--no-reconnect"], "cisco\n")?;
    ensure!(untried.code == Some(8), "{untried:#?}");
    ensure!(untried.out.contains("a guess, not proved") && !untried.out.contains("refused"), "{untried:#?}");
    Ok(())
}

#[test]
fn a_gateway_without_reconnect_is_told_as_such() -> Result<()> {
    let site = Site::with(|config| config.reconnect_timeout = None)?;
    let lesson = Lesson::at(&site, &["--user", "test"], "cisco\n")?;
    ensure!(lesson.code == Some(1) && lesson.err.contains("no session ID and token"), "{lesson:#?}");
    ensure!(lesson.out.contains("no two attributes look like them"), "{lesson:#?}");
    Ok(())
}

#[test]
fn wrong_passwords_and_strangers_end_it_without_a_lesson() -> Result<()> {
    let site = Site::with(others)?;
    let second = Lesson::at(&site, &["--user", "test"], "wrong\ncisco\n")?;
    ensure!(second.code == Some(0) && second.out.contains("proved: 28731"), "{second:#?}");
    let wrong = Lesson::at(&site, &["--user", "test"], "wrong\n")?;
    ensure!(wrong.code == Some(3) && wrong.out.is_empty(), "{wrong:#?}");
    let (logins, _) = site.logins()?;
    ensure!(logins == 1, "{logins} logins");
    // Whoever is not trusted is told nothing.
    let other = Site::new(|leaf, _| leaf.issuer = IssuedBy::OtherCa, |_| {})?;
    let stranger = Lesson::by(&Person::new(other.ports)?, &site.ca(), &["--user", "test"], "cisco\n")?;
    ensure!(stranger.code == Some(5), "{stranger:#?}");
    ensure!(other.logins()?.0 == 0, "{stranger:#?}");
    Ok(())
}

/// Hears of the next session that comes up; the line is slow, so that it is still there then.
fn slow(site: &Site) -> Result<Receiver<()>> {
    let (up, heard) = channel();
    site.ask(move |site| {
        site.line.delay = Duration::from_millis(150);
        site.watcher = Some(Box::new(move |_, event| {
            if matches!(event, GatewayEvent::SaUp { .. }) {
                let _ = up.send(());
            }
        }));
    })?;
    Ok(heard)
}

#[test]
fn neither_form_of_the_report_has_the_sessions_id_or_token() -> Result<()> {
    for form in [&[][..], &["--json"]] {
        let site = Site::with(others)?;
        let heard = slow(&site)?;
        let args = [&["--user", "test"], form].concat();
        let (lesson, tokens) = std::thread::scope(|scope| {
            let lesson = scope.spawn(|| Lesson::at(&site, &args, "cisco\n"));
            heard.recv_timeout(PATIENCE)?;
            let tokens = site.ask(|site| site.gateway.tokens())?;
            anyhow::Ok((lesson.join().expect("no panic")?, tokens))
        })?;
        ensure!(lesson.code == Some(0) && tokens.len() == 1, "{lesson:#?}");
        let (id, token) = &tokens[0];
        let token = String::from_utf8_lossy(token.expose());
        let hex = |text: &str| text.bytes().map(|octet| format!("{octet:02x}")).collect::<String>();
        let said = format!("{}{}", lesson.out, lesson.err);
        for secret in [&token, id.as_str(), &hex(&token), &hex(id), &token[..8], &id[..8]] {
            ensure!(!said.contains(secret), "{form:?}: a secret of the session is in {lesson:#?}");
        }
    }
    Ok(())
}

#[test]
fn a_signal_ends_the_session_at_the_gateway_too() -> Result<()> {
    let site = Site::with(others)?;
    let heard = slow(&site)?;
    let person = Person::new(site.ports)?;
    let (profile, ca) = (Person::profile().display().to_string(), site.ca());
    let args = [
        "gateway",
        "learn",
        HOST,
        "--profile",
        &profile,
        "--trust",
        &ca,
        "--user",
        "test",
        "--password-stdin",
    ];
    for signal in [Signal::INT, Signal::TERM] {
        let mut child = person
            .command(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        child.stdin.take().context("its input")?.write_all(b"cisco\n")?;
        heard.recv_timeout(PATIENCE)?;
        kill_process(Pid::from_child(&child), signal)?;
        let code = child.wait()?.code();
        ensure!(code == Some(128 + signal.as_raw()), "{code:?}");
        let (_, _, left) = seen(&site)?;
        ensure!(left == 0, "{left} sessions are left at the gateway");
        while heard.try_recv().is_ok() {}
    }
    Ok(())
}
