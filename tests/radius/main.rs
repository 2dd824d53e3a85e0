//! The embedded gateway before Debian's FreeRADIUS: every login is asked about once, and a reconnect not at all, counted in
//! datagrams. What one RADIUS server understands and signs nobody here has written.

#[path = "../person/mod.rs"]
mod person;
mod server;

use anyhow::{Result, ensure};
use person::{Company, Person, said};
use server::{FreeRadius, Meddle, SECRET, left_out};
use std::fs;
use tempfile::TempDir;

/// A gateway that asks `server`, with this secret.
fn company(server: &FreeRadius, secret: &str) -> Result<(Company, TempDir)> {
    let folder = TempDir::with_prefix("ikeep-radius-")?;
    let file = folder.path().join("secret");
    fs::write(&file, format!("{secret}\n"))?;
    let (way, file) = (server.way().to_string(), file.display().to_string());
    Ok((Company::open(&["--radius", &way, "--secret-file", &file])?, folder))
}

fn log_in(person: &Person, company: &Company, user: &str, typed: &str) -> Result<(Option<i32>, String)> {
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--user", user, "--password-stdin"];
    let output = person.type_in(&args, typed)?;
    Ok((output.status.code(), said(&output)))
}

#[test]
fn a_login_asks_once_and_a_reconnect_never() -> Result<()> {
    if left_out("a_login_asks_once_and_a_reconnect_never") {
        return Ok(());
    }
    let server = FreeRadius::start()?;
    let (mut company, _folder) = company(&server, SECRET)?;
    let person = Person::new(company.ports)?;
    let (code, told) = log_in(&person, &company, "alice", "wonderland\n")?;
    ensure!(code == Some(0), "{told}\n{}", server.log());
    ensure!(told.contains("192.168.20.77"), "Framed-IP-Address: {told}");
    ensure!(server.counted() == (1, 1), "one request, one answer: {:?}", server.counted());
    for times in 1..=3 {
        let again = person.run(&["reconnect"])?;
        ensure!(again.status.success() && said(&again).contains("by token"), "{times}: {}", said(&again));
        ensure!(said(&again).contains("192.168.20.77"), "the same address: {}", said(&again));
    }
    // Of a gateway that has lost every SA, too.
    company.ask("restart", "restarted")?;
    let again = person.run(&["reconnect"])?;
    ensure!(again.status.success(), "{}", said(&again));
    ensure!(server.counted() == (1, 1), "a reconnect has asked AAA: {:?}", server.counted());
    // "class-of-alice", kept with the session.
    let sessions = company.ask("show aaa", "class")?;
    ensure!(
        sessions.contains("alice: active, 192.168.20.77, class 636c6173732d6f662d616c696365"),
        "{sessions}"
    );
    Ok(())
}

#[test]
fn wrong_passwords_challenges_and_messages_reach_the_person() -> Result<()> {
    if left_out("wrong_passwords_challenges_and_messages_reach_the_person") {
        return Ok(());
    }
    let server = FreeRadius::start()?;
    let (company, _folder) = company(&server, SECRET)?;
    let person = Person::new(company.ports)?;
    let (code, told) = log_in(&person, &company, "alice", "looking-glass\n")?;
    ensure!(code == Some(3), "{told}\n{}", server.log());
    ensure!(told.contains("No such rabbit hole"), "Reply-Message: {told}");
    // A password of several blocks, and a second factor.
    let (code, told) =
        log_in(&person, &company, "carol", "a password of more than 32 octets, Grüße\n271828\n")?;
    ensure!(code == Some(0), "{told}\n{}", server.log());
    ensure!(server.counted() == (3, 3), "{:?}", server.counted());
    Ok(())
}

#[test]
fn another_secret_is_believed_on_neither_side() -> Result<()> {
    if left_out("another_secret_is_believed_on_neither_side") {
        return Ok(());
    }
    let server = FreeRadius::start()?;
    let (company, _folder) = company(&server, "not-the-secret")?;
    let person = Person::new(company.ports)?;
    let (code, told) = log_in(&person, &company, "alice", "wonderland\n")?;
    ensure!(code == Some(3), "{told}\n{}", server.log());
    let (asked, answered) = server.counted();
    ensure!(asked == 3 && answered == 0, "{asked} requests, {answered} answers\n{}", server.log());
    Ok(())
}

/// Framed-IPv6-Address (RFC 6911) is given, an address that is left to the gateway comes of the pool, and a prefix is no address.
#[test]
fn an_ipv6_address_of_the_servers_is_given() -> Result<()> {
    if left_out("an_ipv6_address_of_the_servers_is_given") {
        return Ok(());
    }
    let server = FreeRadius::start()?;
    let (mut company, _folder) = company(&server, SECRET)?;
    let person = Person::new(company.ports)?;
    let (code, told) = log_in(&person, &company, "bob", "cheshire\n")?;
    ensure!(code == Some(0), "{told}\n{}", server.log());
    let status = person.status()?;
    ensure!(status["address6"] == "fd77::7/128", "{status}");
    let sessions = company.ask("show aaa", "class")?;
    ensure!(sessions.contains("fd77::7") && !sessions.contains("2001:db8"), "{sessions}");
    let again = person.run(&["reconnect"])?;
    ensure!(again.status.success(), "{}", said(&again));
    let (now, then) = (person.status()?, status);
    ensure!(now["address4"] == then["address4"] && now["address6"] == then["address6"], "{now}");
    ensure!(server.counted() == (1, 1), "a reconnect has asked AAA: {:?}", server.counted());
    Ok(())
}

#[test]
fn an_answer_that_was_changed_on_its_way_lets_nobody_in() -> Result<()> {
    if left_out("an_answer_that_was_changed_on_its_way_lets_nobody_in") {
        return Ok(());
    }
    for (meddle, why) in [(Meddle::Flip, "Forged"), (Meddle::Strip, "Unsigned")] {
        let server = FreeRadius::start_with(meddle)?;
        let (mut company, _folder) = company(&server, SECRET)?;
        let person = Person::new(company.ports)?;
        let (code, told) = log_in(&person, &company, "alice", "wonderland\n")?;
        ensure!(code == Some(3), "{told}\n{}", server.log());
        ensure!(server.counted().1 >= 1, "FreeRADIUS has accepted it");
        let events = company.ask("show events", "AaaUnbelieved")?;
        ensure!(events.contains(&format!("AaaUnbelieved({why})")), "{events}");
    }
    // The true answer behind a false one counts.
    let server = FreeRadius::start_with(Meddle::FlipFirst)?;
    let (company, _folder) = company(&server, SECRET)?;
    let person = Person::new(company.ports)?;
    let (code, told) = log_in(&person, &company, "alice", "wonderland\n")?;
    ensure!(code == Some(0) && server.counted() == (1, 1), "{told}\n{}", server.log());
    Ok(())
}
