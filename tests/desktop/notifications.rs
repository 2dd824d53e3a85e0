//! Notifications: one at a time, taken back in time, and nobody waits for whoever shows them.

use crate::dbus::{Bus, Process, address};
use crate::person::{Company, PATIENCE, Person, Stopwatch, said};
use crate::{PYTHON, story};
use anyhow::{Context as _, Result, bail, ensure};
use ikeep::agent::desktop::{About, Note, serve};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zbus::export::futures_core::Stream as _;
use zbus::fdo::RequestNameFlags;
use zbus::zvariant::OwnedValue;
use zbus::{MatchRule, MessageStream, message};

const NAME: &str = "org.freedesktop.Notifications";
/// What the seed's profile calls the gateway, and where that is.
const HOST: &str = "IKEv2_Gateway";
const ADDRESS: &str = "flexvpn-c8kv.example.com";

/// What whoever shows notifications is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Call {
    Notify { replaces: u32, summary: String, body: String },
    Close(u32),
}

/// Somebody who shows notifications.
struct Desktop {
    /// Unless the bus has started it.
    process: Option<Process>,
    calls: MessageStream,
}

impl Desktop {
    /// Hears what anybody on this bus is asked for.
    async fn calls(bus: &Bus) -> Result<MessageStream> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .interface("org.freedesktop.DBus.Mock")?
            .member("MethodCalled")?
            .build();
        Ok(MessageStream::for_match_rule(rule, &bus.connect().await?, Some(256)).await?)
    }

    /// One that the bus will start.
    async fn hears(bus: &Bus) -> Result<Self> {
        Ok(Self { process: None, calls: Self::calls(bus).await? })
    }

    /// `able`: what it says it can do.
    async fn start(bus: &Bus, able: &str) -> Result<Self> {
        let calls = Self::calls(bus).await?;
        let mut command = Command::new(PYTHON);
        command.args(["-m", "dbusmock", "--session", "--template", "notification_daemon", "--parameters"]);
        command.arg(format!("{{\"capabilities\": \"{able}\"}}"));
        command.env("DBUS_SESSION_BUS_ADDRESS", bus.address()).stdout(Stdio::null());
        let process = Some(bus.start_named(command, NAME).await?);
        Ok(Self { process, calls })
    }

    /// The next thing it is asked for, but for what it can do.
    async fn next(&mut self) -> Result<Call> {
        loop {
            let next = poll_fn(|context| Pin::new(&mut self.calls).poll_next(context));
            let message = timeout(PATIENCE, next).await.context("nobody calls")?.context("no bus")??;
            let (method, arguments): (String, Vec<OwnedValue>) = message.body().deserialize()?;
            let number = |at: usize| u32::try_from(arguments[at].try_clone()?).context("a number");
            let text = |at: usize| String::try_from(arguments[at].try_clone()?).context("a text");
            match method.as_str() {
                "GetCapabilities" => {}
                "Notify" => {
                    ensure!(text(0)? == "ikeep", "{arguments:?}");
                    return Ok(Call::Notify { replaces: number(1)?, summary: text(3)?, body: text(4)? });
                }
                "CloseNotification" => {
                    // The mock has its own idea of the type.
                    let id = i32::try_from(arguments[0].try_clone()?).map(i32::cast_unsigned);
                    return Ok(Call::Close(id.or_else(|_| number(0))?));
                }
                other => bail!("{other}"),
            }
        }
    }

    /// The next one shows something with this headline; its text.
    async fn shows(&mut self, wanted: &str, in_place_of: u32) -> Result<String> {
        match self.next().await? {
            Call::Notify { replaces, summary, body } if replaces == in_place_of && summary == wanted => {
                Ok(body)
            }
            other => bail!("instead of {wanted:?} in the place of {in_place_of}: {other:?}"),
        }
    }

    /// The next one takes something back.
    async fn takes_back(&mut self, id: u32) -> Result<()> {
        let call = self.next().await?;
        ensure!(call == Call::Close(id), "instead of closing {id}: {call:?}");
        Ok(())
    }

    /// It hangs, or goes on.
    fn hang(&self, hangs: bool) -> Result<()> {
        let process = self.process.as_ref().context("a process")?;
        let pid = i32::try_from(process.0.id()).ok().and_then(Pid::from_raw).context("a process")?;
        Ok(kill_process(pid, if hangs { Signal::STOP } else { Signal::CONT })?)
    }
}

const MARKUP: &str = "body body-markup";
const LOGIN: &str = "VPN: a login is needed";
const ENDED: &str = "VPN: the session has ended";
const NO_CONNECTION: &str = "VPN: no connection";

fn folder() -> Result<(TempDir, PathBuf)> {
    let folder = TempDir::with_prefix("ikeep-desktop-")?;
    let socket = folder.path().join("bus");
    Ok((folder, socket))
}

#[test]
fn one_takes_the_place_of_another_and_whoever_comes_later_is_told() -> Result<()> {
    story("one_takes_the_place_of_another_and_whoever_comes_later_is_told", async || {
        let (_folder, socket) = folder()?;
        let (notes, read) = watch::channel(None);
        let show = |about| notes.send_replace(Some(Note::new(about, "A&B")));
        // No bus yet, nobody on it, and then somebody.
        let task = tokio::spawn(serve(Some(address(&socket)), None, read));
        show(About::NoAnswer);
        let bus = Bus::start(&socket)?;
        let mut desktop = Desktop::start(&bus, MARKUP).await?;
        ensure!(desktop.shows(NO_CONNECTION, 0).await?.contains("A&amp;B cannot be reached"));
        show(About::LoginNeeded);
        desktop.shows(LOGIN, 1).await?;
        notes.send_replace(None);
        desktop.takes_back(1).await?;
        show(About::SessionEnded);
        desktop.shows(ENDED, 0).await?;
        // Another one, that knows nothing of it and takes no markup.
        drop(desktop);
        let mut desktop = Desktop::start(&bus, "body").await?;
        ensure!(desktop.shows(ENDED, 0).await?.starts_with("A&B does not"));
        // Another bus.
        drop((desktop, bus));
        let _ = fs::remove_file(&socket);
        let bus = Bus::start(&socket)?;
        let mut desktop = Desktop::start(&bus, MARKUP).await?;
        desktop.shows(ENDED, 0).await?;
        drop(notes);
        desktop.takes_back(1).await?;
        timeout(PATIENCE, task).await.context("it does not end")??;
        Ok(())
    })
}

#[test]
fn whoever_hangs_is_told_the_latest_word_only() -> Result<()> {
    story("whoever_hangs_is_told_the_latest_word_only", async || {
        let (_folder, socket) = folder()?;
        let bus = Bus::start(&socket)?;
        let mut desktop = Desktop::start(&bus, MARKUP).await?;
        let (notes, read) = watch::channel(None);
        let task = tokio::spawn(serve(Some(address(&socket)), None, read));
        notes.send_replace(Some(Note::new(About::LoginNeeded, "first")));
        desktop.shows(LOGIN, 0).await?;
        desktop.hang(true)?;
        for round in 0..1000 {
            let about = if round % 2 == 0 { About::NoAnswer } else { About::SessionEnded };
            notes.send_replace(Some(Note::new(about, &format!("round {round}"))));
            tokio::task::yield_now().await;
        }
        notes.send_replace(Some(Note::new(About::WindowOver, "last")));
        desktop.hang(false)?;
        let mut heard = 0;
        loop {
            heard += 1;
            match desktop.next().await? {
                Call::Notify { replaces: 1, body, .. } if body.starts_with("last") => break,
                Call::Notify { replaces: 1, .. } if heard < 3 => {}
                other => bail!("call {heard}: {other:?}"),
            }
        }
        notes.send_replace(None);
        desktop.takes_back(1).await?;
        task.abort();
        Ok(())
    })
}

/// What the bus starts where nobody shows notifications: the first few times something that takes the name and ends at once,
/// then one that works.
const FRAIL: &str = r#"#!/bin/sh
exec > /dev/null
echo start >> "$0.starts"
[ "$(wc -l < "$0.starts")" -le 2 ] || exec PYTHON -m dbusmock --session --template notification_daemon
exec PYTHON -c "import dbus; dbus.SessionBus().request_name('NAME')"
"#;

#[test]
fn one_that_is_started_and_ends_at_once_is_asked_again() -> Result<()> {
    story("one_that_is_started_and_ends_at_once_is_asked_again", async || {
        let (folder, socket) = folder()?;
        let script = folder.path().join("frail");
        fs::write(&script, FRAIL.replace("PYTHON", PYTHON).replace("NAME", NAME))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        fs::create_dir(folder.path().join("services"))?;
        let service = format!("[D-BUS Service]\nName={NAME}\nExec={}\n", script.display());
        fs::write(folder.path().join(format!("services/{NAME}.service")), service)?;
        let bus = Bus::start(&socket)?;
        let mut desktop = Desktop::hears(&bus).await?;
        let (notes, read) = watch::channel(None);
        let task = tokio::spawn(serve(Some(address(&socket)), None, read));
        notes.send_replace(Some(Note::new(About::LoginNeeded, "first")));
        desktop.shows(LOGIN, 0).await?;
        let starts = fs::read_to_string(folder.path().join("frail.starts"))?.lines().count();
        ensure!(starts == 3, "{starts}");
        notes.send_replace(None);
        desktop.takes_back(1).await?;
        // The bus ends what it has started.
        task.abort();
        Ok(())
    })
}

#[test]
fn who_shows_them_may_change_often_while_one_is_slow() -> Result<()> {
    story("who_shows_them_may_change_often_while_one_is_slow", async || {
        let (_folder, socket) = folder()?;
        let bus = Bus::start(&socket)?;
        // One that takes its time, while others come and go.
        let (slow, other) = (bus.connect().await?, bus.connect().await?);
        let flags = || RequestNameFlags::AllowReplacement | RequestNameFlags::ReplaceExisting;
        slow.request_name_with_flags(NAME, flags()).await?;
        let rule = MatchRule::builder().msg_type(message::Type::MethodCall).interface(NAME)?.build();
        let mut calls = MessageStream::for_match_rule(rule, &slow, Some(16)).await?;
        let (notes, read) = watch::channel(None);
        let task = tokio::spawn(serve(Some(address(&socket)), None, read));
        notes.send_replace(Some(Note::new(About::LoginNeeded, "first")));
        let next = poll_fn(|context| Pin::new(&mut calls).poll_next(context));
        let call = timeout(PATIENCE, next).await.context("nobody calls")?.context("no bus")??;
        for _ in 0..100 {
            other.request_name_with_flags(NAME, flags()).await?;
            slow.request_name_with_flags(NAME, flags()).await?;
        }
        slow.reply(&call.header(), &vec!["body"]).await?;
        drop(calls);
        slow.close().await?;
        other.close().await?;
        let mut desktop = Desktop::start(&bus, MARKUP).await?;
        desktop.shows(LOGIN, 0).await?;
        notes.send_replace(None);
        desktop.takes_back(1).await?;
        task.abort();
        Ok(())
    })
}

#[test]
fn what_a_killed_agent_has_shown_is_replaced_or_taken_back() -> Result<()> {
    story("what_a_killed_agent_has_shown_is_replaced_or_taken_back", async || {
        let (folder, socket) = folder()?;
        let kept = folder.path().join("kept");
        let bus = Bus::start(&socket)?;
        let mut desktop = Desktop::start(&bus, MARKUP).await?;
        let agent = |notes: watch::Receiver<Option<Note>>| {
            tokio::spawn(serve(Some(address(&socket)), Some(kept.clone()), notes))
        };
        let killed = async |task: JoinHandle<()>| {
            let watch = Stopwatch::start();
            while !kept.exists() {
                ensure!(watch.elapsed() < PATIENCE, "nothing is kept");
                tokio::task::yield_now().await;
            }
            task.abort();
            let _ = task.await;
            anyhow::Ok(())
        };
        let (notes, read) = watch::channel(Some(Note::new(About::LoginNeeded, "first")));
        let task = agent(read);
        desktop.shows(LOGIN, 0).await?;
        killed(task).await?;
        ensure!(fs::metadata(&kept)?.permissions().mode() & 0o777 == 0o600);
        // The next one has the same to tell, or something else.
        notes.send_replace(Some(Note::new(About::SessionEnded, "first")));
        let task = agent(notes.subscribe());
        desktop.shows(ENDED, 1).await?;
        killed(task).await?;
        // And one that has nothing to tell.
        notes.send_replace(None);
        let task = agent(notes.subscribe());
        desktop.takes_back(1).await?;
        let watch = Stopwatch::start();
        while kept.exists() {
            ensure!(watch.elapsed() < PATIENCE, "it is kept for ever");
            tokio::task::yield_now().await;
        }
        // Somebody else's numbers are left alone.
        notes.send_replace(Some(Note::new(About::LoginNeeded, "second")));
        desktop.shows(LOGIN, 0).await?;
        killed(task).await?;
        drop(desktop);
        let mut desktop = Desktop::start(&bus, MARKUP).await?;
        let task = agent(notes.subscribe());
        desktop.shows(LOGIN, 0).await?;
        task.abort();
        Ok(())
    })
}

/// The agent crashes, and is gone.
pub(crate) fn crash(person: &Person) -> Result<()> {
    person.kill_agent()?;
    let watch = Stopwatch::start();
    while person.agent().is_some() {
        ensure!(watch.elapsed() < PATIENCE, "the agent does not end");
    }
    Ok(())
}

/// Waits until the agent has noted that it shows something, or nothing.
fn is_kept(person: &Person, kept: bool) -> Result<()> {
    let watch = Stopwatch::start();
    while person.path("runtime/ikeep/notification").exists() != kept {
        ensure!(watch.elapsed() < PATIENCE, "kept: {}", !kept);
    }
    Ok(())
}

/// The machine was off for so long that no session is left.
fn forget_sessions(person: &Person) -> Result<()> {
    person.sessions().into_iter().try_for_each(|session| Ok(fs::remove_file(session)?))
}

/// Ended with its value.
pub(crate) struct Agent(pub(crate) Process);

impl Agent {
    /// One that listens. Of one that has crashed a thread may still hold the lock.
    pub(crate) fn start(person: &Person) -> Result<Self> {
        let watch = Stopwatch::start();
        let mut command = person.command(&["agent"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        loop {
            let mut agent = Process(command.spawn()?);
            let own = i32::try_from(agent.0.id()).ok().and_then(Pid::from_raw);
            while agent.0.try_wait()?.is_none() {
                if person.agent() == own && person.status().is_ok() {
                    return Ok(Self(agent));
                }
                ensure!(watch.elapsed() < PATIENCE, "the agent does not listen");
            }
            ensure!(watch.elapsed() < PATIENCE, "the agent does not start");
        }
    }
}

#[test]
fn the_agent_tells_what_a_person_must_know_and_nothing_else() -> Result<()> {
    story("the_agent_tells_what_a_person_must_know_and_nothing_else", async || {
        let (_folder, socket) = folder()?;
        let bus = Bus::start(&socket)?;
        let mut desktop = Desktop::start(&bus, MARKUP).await?;
        let mut company = Company::open(&[])?;
        let mut person = Person::new(company.ports)?;
        person.configure(company.ports, "refusal_retry = [\"100ms\"]")?;
        person.set("DBUS_SESSION_BUS_ADDRESS", bus.address());
        let log_in = |person: &Person, ca: &Path| {
            let output = person.log_in(ca)?;
            ensure!(output.status.success(), "{}", said(&output));
            anyhow::Ok(())
        };
        // A login, a reconnect that works, and one that does not, in front of the person's eyes: nothing is heard of these.
        log_in(&person, &company.ca())?;
        let output = person.run(&["reconnect"])?;
        ensure!(output.status.success(), "{}", said(&output));
        company.ask("restart forget", "lost")?;
        let output = person.run(&["reconnect"])?;
        ensure!(output.status.code() == Some(3), "{}", said(&output));
        log_in(&person, &company.ca())?;

        crash(&person)?;
        forget_sessions(&person)?;
        let agent = Agent::start(&person)?;
        let body = desktop.shows(LOGIN, 0).await?;
        ensure!(body.contains(HOST) && body.contains("ikeep connect"), "{body}");
        ensure!(!body.contains(ADDRESS) && !body.contains("127.0.0.1"), "{body}");
        // One that is killed leaves it on the screen, where the next one finds it.
        is_kept(&person, true)?;
        crash(&person)?;
        drop(agent);
        let agent = Agent::start(&person)?;
        match desktop.next().await? {
            Call::Notify { replaces: 1, summary, .. } if summary == LOGIN => {}
            other => bail!("{other:?}"),
        }
        log_in(&person, &company.ca())?;
        desktop.takes_back(1).await?;

        // The gateway does not know the session any more, and nobody sits there. Whoever shows notifications hangs.
        company.ask("restart forget", "lost")?;
        crash(&person)?;
        drop(agent);
        let agent = Agent::start(&person)?;
        let body = desktop.shows(ENDED, 0).await?;
        ensure!(body.contains(HOST) && !body.contains(ADDRESS), "{body}");
        desktop.hang(true)?;
        log_in(&person, &company.ca())?;
        let watch = Stopwatch::start();
        let output = person.run(&["reconnect"])?;
        ensure!(output.status.success(), "{}", said(&output));
        let status = person.status()?;
        ensure!(status["state"] == "connected" && status["auth"] == "psk", "{status}");
        ensure!(watch.elapsed() < Duration::from_secs(3), "{:?}", watch.elapsed());
        desktop.hang(false)?;
        desktop.takes_back(2).await?;
        is_kept(&person, false)?;

        // An agent that ends takes back what it shows; one that hears no stays silent, whatever is the matter.
        drop(agent);
        for (setting, loud) in [("", true), ("notifications = false", false)] {
            person.configure(company.ports, setting)?;
            forget_sessions(&person)?;
            let mut agent = Agent::start(&person)?;
            if loud {
                desktop.shows(LOGIN, 0).await?;
            } else {
                // As long as it takes where it is told, and more.
                let heard = timeout(Duration::from_secs(5), desktop.next()).await;
                ensure!(heard.is_err(), "{heard:?}");
            }
            let pid = person.agent().context("an agent")?;
            kill_process(pid, Signal::TERM)?;
            ensure!(agent.0.0.wait()?.success(), "the agent's end");
            if loud {
                desktop.takes_back(3).await?;
            }
        }
        Ok(())
    })
}
