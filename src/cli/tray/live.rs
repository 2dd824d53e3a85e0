//! Carries what the agent and the person say to the panel, until a signal, the person or the end of the session ends it.

use super::agent::{Heard, follow};
use super::panel::Panel;
use super::view::{Around, View};
use super::wishes::{Program, Wish};
use crate::agent::clock::Clock;
use crate::cli::complete::host_names;
use crate::cli::runtime::Signals;
use crate::cli::{Error, Exit};
use crate::config::Places;
use crate::store::Intent;
use crate::time::UnixTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;

/// Clicks that may wait for us.
const CLICKS: usize = 8;
/// Profiles may come and go without a word: so often the list of hosts is looked at while it can be seen.
const HOSTS: Duration = Duration::from_secs(30);
/// Wishes that are granted at a time: each is a process.
const AT_ONCE: usize = 4;

/// Shows the connection until something ends it. `config`: the config file to connect with, instead of the user's.
pub(super) async fn live(places: &Places, config: Option<&Path>) -> Result<Exit, Error> {
    let machine = |source| Error::Machine { what: "find its own program", source };
    // Now: once a package has been upgraded, the kernel calls it deleted.
    let program =
        Program { file: std::env::current_exe().map_err(machine)?, config: config.map(Path::to_owned) };
    let mut signals = Signals::new()?;
    let clock = Clock::system();
    let (hears, mut heard) = watch::channel(Heard::Nothing);
    let (wishes, mut wanted) = mpsc::channel(CLICKS);
    let mut around = Around::default();
    let first = View::of(&Heard::Nothing, None, &around);
    let mut panel = tokio::select! {
        panel = Panel::find(first, wishes) => panel?,
        exit = signals.wait() => return Ok(exit),
    };
    let mut following = tokio::spawn(follow(places.clone(), hears));
    let mut granting: JoinSet<Result<(), String>> = JoinSet::new();
    let mut looking: JoinSet<Vec<String>> = JoinSet::new();
    // The first look is at once.
    let mut look_again = tokio::time::interval(HOSTS);
    look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // When the agent was heard last: its deadlines count from then.
    let mut since = clock.now().wall;
    loop {
        let (view, offers_hosts) = {
            let heard = heard.borrow_and_update();
            (View::of(&heard, until(&heard, since).as_deref(), &around), heard.offers_hosts())
        };
        if panel.show(view).await.is_err() {
            return Ok(Exit::Done);
        }
        let wish = tokio::select! {
            exit = signals.wait() => return Ok(exit),
            // The session has ended.
            () = panel.keep() => return Ok(Exit::Done),
            changed = heard.changed() => match changed {
                Ok(()) => {
                    since = clock.now().wall;
                    look_again.reset_immediately();
                    continue;
                }
                Err(_) => return Ok(Exit::Other),
            },
            // On a thread of its own: a home that does not answer holds up nobody's clicks.
            _ = look_again.tick(), if offers_hosts && looking.is_empty() => {
                looking.spawn(hosts(places.clone()));
                continue;
            }
            Some(found) = looking.join_next() => {
                around.offer(found.unwrap_or_default());
                continue;
            }
            // It ends by itself only in a panic, which has been told.
            _ = &mut following => return Ok(Exit::Other),
            Some(granted) = granting.join_next() => {
                around.outcome = granted.unwrap_or_else(|error| Err(error.to_string())).err();
                if granting.is_empty() {
                    around.doing = None;
                }
                continue;
            }
            Some(wish) = wanted.recv() => wish,
        };
        if wish == Wish::Quit {
            return Ok(Exit::Done);
        }
        // The same twice is an impatient person.
        if around.doing.as_ref() == Some(&wish) || granting.len() == AT_ONCE {
            continue;
        }
        (around.outcome, around.doing) = (None, Some(wish.clone()));
        let program = program.clone();
        granting.spawn(async move {
            spawn_blocking(move || program.grant(&wish)).await.unwrap_or_else(|error| Err(error.to_string()))
        });
    }
}

/// What can be connected to: what was last, then the hosts of all profiles.
async fn hosts(places: Places) -> Vec<String> {
    let found = spawn_blocking(move || {
        let (intent, _) = Intent::load(&places);
        let last = intent.last.and_then(|last| last.host);
        let mut hosts: Vec<String> = last.into_iter().collect();
        for host in host_names() {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    });
    found.await.unwrap_or_default()
}

/// When the agent does at the latest what it waits for, on the clock on the wall. `since`: when that was heard.
fn until(heard: &Heard, since: UnixTime) -> Option<String> {
    let picture = heard.picture()?;
    let left: u64 = picture.text("/next/in_ms")?.parse().ok()?;
    let at = since + Duration::from_millis(left);
    let at = Timestamp::from_millisecond(i64::try_from(at.as_millis()).ok()?).ok()?;
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    Some(at.to_zoned(zone).strftime("%H:%M:%S").to_string())
}
