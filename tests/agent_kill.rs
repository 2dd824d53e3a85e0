//! `kill -9` of the agent at many moments of a login and of a reconnect: the next one comes back by token, or says clearly
//! that a login is needed; the store is never torn.

mod person;

use anyhow::{Context, Result, ensure};
use person::relay::Relay;
use person::{Company, PATIENCE, Person, Stopwatch, said};
use rustix::process::{Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A login takes fewer datagrams than this, a reconnect too; the relay sees to it that each kill was at its datagram.
const MOST: u64 = 40;

/// The agent dies when the `moment`-th datagram of `act` is on its way, before it arrives. True where it got that far.
fn die_at(
    moment: u64,
    person: &Arc<Person>,
    relay: &Relay,
    act: impl FnOnce() -> Result<()>,
) -> Result<bool> {
    let died = Arc::new(AtomicBool::new(false));
    let (victim, done) = (Arc::clone(person), Arc::clone(&died));
    relay.watch(move |number| {
        if number == moment
            && let Some(pid) = victim.agent()
        {
            let killed = kill_process(pid, Signal::KILL).is_ok();
            done.store(killed, Ordering::SeqCst);
        }
    });
    act()?;
    relay.watch(|_| {});
    Ok(died.load(Ordering::SeqCst))
}

/// Nothing but whole sessions lies in the store: no damage was moved aside, nothing is left half.
fn whole(person: &Person) -> Result<Vec<PathBuf>> {
    let files = person.sessions();
    let damaged = files.iter().any(|file| file.to_string_lossy().contains("damaged"));
    ensure!(!damaged, "the store was torn: {files:?}");
    Ok(files)
}

/// The next agent: back by token without a question, or a clear word that a login is needed, and then one that works.
fn next_agent(person: &Person, company: &Company) -> Result<bool> {
    let again = person.run(&["connect"])?;
    whole(person)?;
    let by_token = again.status.success();
    if by_token {
        let text = said(&again);
        // The agent that `connect` starts may have come back before it is asked.
        ensure!(text.contains("by token") || text.contains("Already connected"), "{text}");
    } else {
        ensure!(again.status.code() == Some(3), "neither back nor a login wanted: {}", said(&again));
        let text = said(&again);
        ensure!(
            text.contains("asks for") || text.contains("ikeep connect"),
            "what to do is not said: {text}"
        );
        let login = person.log_in(&company.ca())?;
        ensure!(login.status.success(), "the login after it: {}", said(&login));
    }
    ensure!(person.status()?["state"] == "connected", "{}", person.status()?);
    Ok(by_token)
}

#[test]
fn killed_in_a_login() -> Result<()> {
    let company = Company::open(&[])?;
    let relay = Relay::to(company.ports)?;
    let mut outcomes = Vec::new();
    for moment in 1..MOST {
        let person = Arc::new(Person::new(relay.ports)?);
        let mut connected = false;
        let died = die_at(moment, &person, &relay, || {
            let login = person.log_in(&company.ca())?;
            connected = login.status.success();
            ensure!(connected || login.status.code() == Some(6), "{}", said(&login));
            Ok(())
        })?;
        if !died {
            break;
        }
        let by_token =
            next_agent(&person, &company).with_context(|| format!("killed at datagram {moment}"))?;
        // At the end of a login; also where the agent died before its first word, so that `connect` asked the next one.
        ensure!(by_token || !connected, "killed at datagram {moment}: connected, but not kept");
        outcomes.push(match (connected, by_token) {
            (true, _) => "connected",
            (false, true) => "token",
            (false, false) => "login",
        });
        let bye = person.run(&["disconnect"])?;
        ensure!(bye.status.success(), "{}", said(&bye));
    }
    println!("killed at datagram 1..: {outcomes:?}");
    ensure!(outcomes.len() >= 10, "a login has at least ten datagrams: {outcomes:?}");
    // Before the gateway has said its last word there is no token.
    let first = outcomes.iter().find(|outcome| **outcome != "connected");
    ensure!(first == Some(&"login"), "{outcomes:?}");
    Ok(())
}

#[test]
fn killed_in_a_reconnect() -> Result<()> {
    let company = Company::open(&[])?;
    let relay = Relay::to(company.ports)?;
    let person = Arc::new(Person::new(relay.ports)?);
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    let address = person.status()?["address4"].clone();
    // Four of the handshake, two of the first liveness check; what follows comes seconds later.
    for moment in 1..=6 {
        let died = die_at(moment, &person, &relay, || {
            let again = person.run(&["reconnect"])?;
            ensure!(again.status.success() || again.status.code() == Some(6), "{}", said(&again));
            // The first liveness check of the new SA is not waited for by `reconnect`.
            let waited = Stopwatch::start();
            while waited.elapsed() < PATIENCE && relay.passed() < moment && person.agent().is_some() {
                person
                    .status()
                    .map(drop)
                    .or_else(|error| if person.agent().is_none() { Ok(()) } else { Err(error) })?;
            }
            Ok(())
        })?;
        ensure!(died, "datagram {moment} was not seen");
        let by_token =
            next_agent(&person, &company).with_context(|| format!("killed at datagram {moment}"))?;
        ensure!(by_token, "killed at datagram {moment}: a login was wanted though the token was stored");
        ensure!(person.status()?["address4"] == address, "another address: {}", person.status()?);
    }
    Ok(())
}

/// A moment after the `StoreSession` of a login lies between datagrams: the agent is killed some microseconds after the
/// gateway's last word has arrived, later and later.
#[test]
fn killed_while_the_session_is_written() -> Result<()> {
    let company = Company::open(&[])?;
    let relay = Relay::to(company.ports)?;
    let person = Arc::new(Person::new(relay.ports)?);
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    for turns in [0, 1, 2, 4, 8, 16, 32, 64] {
        // A reconnect stores the session anew: its second answer leads to it.
        let dead = Arc::new(AtomicBool::new(false));
        let (victim, done) = (Arc::clone(&person), Arc::clone(&dead));
        relay.watch(move |number| {
            if number == 4
                && let Some(pid) = victim.agent()
            {
                let done = Arc::clone(&done);
                std::thread::spawn(move || {
                    for _ in 0..turns * 1000 {
                        std::thread::yield_now();
                    }
                    done.store(kill_process(pid, Signal::KILL).is_ok(), Ordering::SeqCst);
                });
            }
        });
        person.run(&["reconnect"])?;
        let waited = Stopwatch::start();
        while !dead.load(Ordering::SeqCst) {
            ensure!(
                waited.elapsed() < PATIENCE,
                "datagram 4 of the reconnect was not seen, or nobody was there to kill"
            );
            std::thread::yield_now();
        }
        relay.watch(|_| {});
        let by_token =
            next_agent(&person, &company).with_context(|| format!("killed after {turns}000 turns"))?;
        ensure!(by_token, "killed after {turns}000 turns: a login was wanted though a token was stored");
    }
    Ok(())
}

/// A gateway that gives no token: its ticket (RFC 5723) outlives the agent, is not read by who looks at the files, and serves once.
#[test]
fn killed_with_a_ticket_alone() -> Result<()> {
    let company = Company::open(&["--tickets", "600", "--reconnect-timeout", "0"])?;
    let person = Person::new(company.ports)?;
    let config = person.path("config/ikeep/config.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text + "resumption = \"after-token\"\n")?; // its last section is the gateway's
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    ensure!(!said(&login).contains("every reconnect will need a login"), "{}", said(&login));
    for times in 0..3 {
        let before: Vec<_> = whole(&person)?.iter().map(fs::read).collect::<Result<_, _>>()?;
        ensure!(!before.is_empty(), "nothing is kept");
        person.kill_agent()?;
        let again = person.run(&["connect"])?;
        ensure!(again.status.success(), "{times}: {}", said(&again));
        let status = person.status()?;
        ensure!(status["state"] == "connected" && status["auth"] == "ticket", "{times}: {status}");
        let after: Vec<_> = whole(&person)?.iter().map(fs::read).collect::<Result<_, _>>()?;
        ensure!(before != after, "{times}: a ticket that has served is still kept");
    }
    ensure!(person.events().contains("Using a ticket for reconnect."), "{}", person.events());
    let bye = person.run(&["disconnect"])?;
    ensure!(bye.status.success(), "{}", said(&bye));
    ensure!(whole(&person)?.is_empty(), "the ticket is erased");
    Ok(())
}
