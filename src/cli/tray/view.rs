//! What a person sees: icon, words and menu, made of what the agent says. Without a bus and without a clock.

use super::agent::Heard;
use super::wishes::Wish;
use crate::cli::output::printable;
use crate::cli::status::Picture;

/// Longest line, characters.
const LONGEST: usize = 120;
/// Most hosts that are offered.
const HOSTS: usize = 12;

/// Of the line that says how it is.
const STATE: i32 = 1;
/// Of the line that says why.
const WHY: i32 = 2;
/// Of the line that says what came of the last wish.
const OUTCOME: i32 = 3;
const LINE: i32 = 4;
const LOG_IN: i32 = 5;
const RECONNECT: i32 = 6;
const DISCONNECT: i32 = 7;
const SECOND_LINE: i32 = 8;
const QUIT: i32 = 9;
/// Of the first host; a host keeps its number as long as the tray runs.
const FIRST_HOST: i32 = 100;

/// How good it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// Nothing is connected, and nobody wants it otherwise; or no agent runs.
    Idle,
    /// On its way, or not proved at present.
    Working,
    /// Connected.
    Good,
    /// A person has to do something.
    Bad,
}

impl Look {
    /// The theme's icon.
    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Idle => "network-vpn-disconnected",
            Self::Working => "network-vpn-acquiring",
            Self::Good => "network-vpn",
            Self::Bad => "network-error",
        }
    }

    /// As StatusNotifierItem has it.
    pub(super) fn status(self) -> &'static str {
        match self {
            // Not "Passive": several panels do not show what is passive at all, and here is where one connects.
            Self::Idle | Self::Working | Self::Good => "Active",
            Self::Bad => "NeedsAttention",
        }
    }
}

/// A line of the menu.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) id: i32,
    /// `None`: a line between others.
    pub(super) label: Option<String>,
    /// What it is there for; `None`: to be read.
    pub(super) wish: Option<Wish>,
}

/// Everything that is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct View {
    pub(super) look: Look,
    pub(super) title: String,
    /// Lines below the title.
    pub(super) tip: Vec<String>,
    pub(super) menu: Vec<Entry>,
}

/// What else is known.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// Names of hosts to connect to, in the order of their numbers; only those in `offered` are there now.
    pub(super) known: Vec<String>,
    /// Names of hosts that a profile has, or that were connected last.
    pub(super) offered: Vec<String>,
    /// It is known which ones there are.
    pub(super) looked: bool,
    /// What came of the last wish, where it did not work.
    pub(super) outcome: Option<String>,
    /// What is being done.
    pub(super) doing: Option<Wish>,
}

impl Around {
    /// These hosts are there now.
    pub(super) fn offer(&mut self, hosts: Vec<String>) {
        for host in &hosts {
            if !self.known.contains(host) {
                self.known.push(host.clone());
            }
        }
        (self.offered, self.looked) = (hosts, true);
    }
}

impl View {
    /// `until`: when the agent does at the latest what it waits for, as people read it.
    pub(super) fn of(heard: &Heard, until: Option<&str>, around: &Around) -> Self {
        let (look, state) = match heard {
            Heard::Nothing => (Look::Idle, "asking the agent".to_owned()),
            Heard::NoAgent => (Look::Idle, "no agent".to_owned()),
            Heard::Trouble(_) => (Look::Bad, "the agent cannot be asked".to_owned()),
            Heard::Status(status) => state(&Picture(status)),
        };
        let host = heard.picture().and_then(|picture| picture.text("/host"));
        let title = [Some(state.clone()), host.clone()].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let why = why(heard, until);
        let mut view = Self { look, title: line(&title), tip: why.clone(), menu: Vec::new() };
        view.read_only(STATE, view.title.clone());
        if let Some(first) = why.first() {
            view.read_only(WHY, first.clone());
        }
        let doing = around.doing.as_ref().map(|wish| wish.doing().to_owned());
        if let Some(outcome) = doing.or_else(|| around.outcome.as_deref().map(line)) {
            view.tip.push(outcome.clone());
            view.read_only(OUTCOME, outcome);
        }
        view.separate(LINE);
        view.wishes(heard, &state, host, around);
        view.separate(SECOND_LINE);
        view.offer(QUIT, "Quit tray", Wish::Quit);
        view
    }

    fn wishes(&mut self, heard: &Heard, state: &str, host: Option<String>, around: &Around) {
        match (heard, state) {
            (Heard::Nothing | Heard::Trouble(_), _) | (_, "disconnecting") => {}
            (Heard::NoAgent, _) | (_, "disconnected") => self.hosts(around),
            (_, "auth-required") => {
                let to = host.map(|host| format!(" to {host}")).unwrap_or_default();
                self.offer(LOG_IN, &format!("Log in{to}"), Wish::Connect(None));
                self.offer(DISCONNECT, "Disconnect", Wish::Disconnect);
            }
            (_, "connecting") => self.offer(DISCONNECT, "Give up", Wish::Disconnect),
            _ => {
                // Without a token there is nothing to come back with.
                if heard.picture().is_some_and(|picture| picture.text("/session_expires").is_some()) {
                    self.offer(RECONNECT, "Reconnect", Wish::Reconnect);
                }
                self.offer(DISCONNECT, "Disconnect", Wish::Disconnect);
            }
        }
    }

    fn hosts(&mut self, around: &Around) {
        for host in around.offered.iter().take(HOSTS) {
            let number = around.known.iter().position(|known| known == host);
            if let Some(id) = number.and_then(|number| FIRST_HOST.checked_add(i32::try_from(number).ok()?)) {
                self.offer(id, &format!("Connect to {host}"), Wish::Connect(Some(host.clone())));
            }
        }
        if around.offered.is_empty() && around.looked {
            self.read_only(FIRST_HOST - 1, "No profile: ikeep profile import FILE".to_owned());
        }
    }

    fn offer(&mut self, id: i32, label: &str, wish: Wish) {
        self.menu.push(Entry { id, label: Some(line(label)), wish: Some(wish) });
    }

    fn read_only(&mut self, id: i32, label: String) {
        self.menu.push(Entry { id, label: Some(label), wish: None });
    }

    fn separate(&mut self, id: i32) {
        self.menu.push(Entry { id, label: None, wish: None });
    }

    /// What the line with this number is there for.
    pub(super) fn wish(&self, id: i32) -> Option<Wish> {
        self.menu.iter().find(|entry| entry.id == id)?.wish.clone()
    }
}

/// How good it is, and its name as `ikeep status` has it.
fn state(picture: &Picture<'_>) -> (Look, String) {
    let state = picture.state();
    let portal = picture.text("/portal/message").is_some();
    let look = match state.as_str() {
        "auth-required" => Look::Bad,
        _ if portal => Look::Bad,
        "connected" => Look::Good,
        "disconnected" | "disconnecting" => Look::Idle,
        _ => Look::Working,
    };
    (look, state)
}

/// Why it is so and what comes next, a line each; the first is what a person has to know.
fn why(heard: &Heard, until: Option<&str>) -> Vec<String> {
    let picture = match heard {
        Heard::Nothing => return Vec::new(),
        Heard::NoAgent => return vec!["No agent runs; connecting starts one".to_owned()],
        Heard::Trouble(why) => return vec![line(why)],
        Heard::Status(status) => Picture(status),
    };
    let waits = (!picture.is_confirmed()).then(|| picture.text("/next/what")).flatten();
    let until = until.map(|until| format!(", until {until}")).unwrap_or_default();
    let attempts = picture.text("/interruption/attempts").filter(|attempts| attempts != "0");
    let attempts = attempts.map(|attempts| format!(", attempt {attempts}")).unwrap_or_default();
    let cause = picture.text("/interruption/cause").map(|cause| format!("Cause: {cause}{attempts}"));
    let address = picture.all(&["/address4", "/address6"]).map(|address| format!("Address: {address}"));
    let lines = [
        picture.text("/portal/message"),
        picture.text("/portal/command").map(|command| format!("Open the way to it with: {command}")),
        picture.text("/error/message"),
        picture.text("/profile_change/message"),
        waits.map(|what| format!("Waits for {what}{until}")),
        cause,
        address,
    ];
    lines.into_iter().flatten().map(|text| line(&text)).collect()
}

/// Text from elsewhere, harmless and not too long.
fn line(text: &str) -> String {
    let text = printable(text.trim());
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
