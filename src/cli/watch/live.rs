//! The live picture: carries what the agent, the log, the person and the terminal say to the model, and the model to the
//! screen.

use super::draw::draw;
use super::feed::{Heard, ask, follow};
use super::keys::{Key, Keys};
use super::log::{Log, News};
use super::look::Look;
use super::model::{Model, Wish};
use super::screen::{Screen, typed};
use super::stop::stop;
use crate::agent::clock::Clock;
use crate::cli::runtime::Signals;
use crate::cli::{Error, Exit};
use crate::config::Places;
use crate::ipc::{Client, Request};
use jiff::tz::TimeZone;
use rustix::process::{Signal, kill_current_process_group};
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The times on the screen go on at least this often.
const TICK: Duration = Duration::from_secs(1);
/// What may wait for the screen.
const WAITING: usize = 16;
/// Requests whose answers are waited for, besides those that end the connection.
const ASKED: usize = 4;

/// Shows the picture until a key or a signal ends it.
pub(super) async fn live(places: &Places, client: Client, look: Look) -> Result<Exit, Error> {
    let clock = Clock::system();
    let (hears, mut heard) = mpsc::channel(WAITING);
    let mut signals = Signals::new()?;
    let hear = |kind| signal(kind).map_err(|source| Error::Machine { what: "hear signals", source });
    let mut resized = hear(SignalKind::window_change())?;
    let mut quit = hear(SignalKind::quit())?;
    let mut stopped = hear(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
    let mut continued = hear(SignalKind::from_raw(Signal::CONT.as_raw()))?;
    let mut model = Model::new(clock.now(), TimeZone::try_system().unwrap_or(TimeZone::UTC));
    let mut log = Log::new(places.events());
    let mut keys = keys().map_err(terminal)?;
    let mut screen = Screen::enter(look).map_err(terminal)?;
    let mut following = tokio::spawn(follow(places.clone(), client, hears.clone()));
    let mut asked = JoinSet::new();
    loop {
        model.tick(clock.now());
        let mut shown = 0;
        screen.draw(|look, buffer| shown = draw(&model, look, buffer)).map_err(terminal)?;
        model.shows(shown);
        let key = tokio::select! {
            biased;
            exit = signals.wait() => return Ok(exit),
            _ = quit.recv() => return Ok(Exit::Quit),
            _ = stopped.recv() => {
                screen.suspend();
                // Stops here, and goes on here.
                stop().map_err(terminal)?;
                screen.resume().map_err(terminal)?;
                continue;
            }
            _ = continued.recv() => {
                screen.resume().map_err(terminal)?;
                continue;
            }
            key = keys.recv() => key,
            _ = resized.recv() => continue,
            Some(said) = heard.recv() => {
                match said {
                    Heard::Status(status) => model.heard(clock.now(), status),
                    Heard::Lost(why) => model.lost(clock.now(), why),
                    Heard::Found(agent) => model.found(clock.now(), &agent.version, agent.pid),
                    Heard::Note { text, failed } => model.note(clock.now(), text, failed),
                    Heard::Refused(failure) => return Err(Error::Refused(failure)),
                }
                continue;
            }
            // It ends by itself only with a word of its own: this is a panic, which has been told.
            _ = &mut following => return Ok(Exit::Other),
            Some(told) = asked.join_next() => match told {
                Ok(()) => continue,
                Err(_) => return Ok(Exit::Other),
            },
            news = log.news() => {
                match news {
                    News::Events(events) => model.read(&events),
                    News::Silent => model.log_hangs(),
                    News::Crashed => return Ok(Exit::Other),
                }
                continue;
            }
            () = tokio::time::sleep(TICK) => continue,
        };
        // Without a terminal there is nobody to show anything to.
        let Some(key) = key else { return Ok(Exit::HungUp) };
        let request = match model.key(key) {
            None => continue,
            Some(Wish::Quit) => return Ok(Exit::Done),
            Some(Wish::Interrupt) => return Ok(Exit::Interrupted),
            Some(Wish::Redraw) => {
                screen.resume().map_err(terminal)?;
                continue;
            }
            Some(Wish::Suspend) => {
                // As the terminal itself would: this is heard above, and whoever started this program is stopped with it.
                kill_current_process_group(Signal::TSTP).map_err(io::Error::from).map_err(terminal)?;
                continue;
            }
            Some(Wish::Reconnect) => Request::Reconnect,
            Some(Wish::Disconnect) => Request::Disconnect,
        };
        // None is taken back: an earlier one may not have reached the agent yet. The wish to end is heard behind any of them.
        let room = if request == Request::Disconnect { 2 * ASKED } else { ASKED };
        if asked.len() < room {
            asked.spawn(ask(places.clone(), request, hears.clone()));
        } else {
            model.note(clock.now(), "not asked: what was asked before is still under way".to_owned(), true);
        }
    }
}

fn terminal(source: io::Error) -> Error {
    Error::Machine { what: "show a picture on the terminal", source }
}

/// The keys that are pressed. The thread that reads them is left behind at the end.
fn keys() -> io::Result<mpsc::Receiver<Key>> {
    let terminal = io::stdin().as_fd().try_clone_to_owned()?;
    let (pressed, keys) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let mut decoder = Keys::default();
        let mut octets = [0; 64];
        loop {
            let Ok(count @ 1..) = typed(&terminal, &mut octets) else { return };
            for key in decoder.read(octets.get(..count).unwrap_or_default()) {
                if pressed.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    });
    Ok(keys)
}
