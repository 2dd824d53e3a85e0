//! The live picture of `ikeep watch` at a terminal.

use crate::terminal::Terminal;
use crate::world::{Agent, Home, connected, ikeep};
use ikeep::ipc::{Call, Failure, FailureKind, Reply, Request};
use ikeep::journal::{Entry, Journal, Kind, Renderer, Rotation, Source};
use ikeep::time::UnixTime;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::Write as _;
use tokio::sync::{mpsc, oneshot};

const UTF8: [(&str, &str); 2] = [("TERM", "xterm"), ("LC_ALL", "C.UTF-8")];

/// The picture goes on for ever: so many pieces of it are waited for, the clock on it being one a second.
const PIECES: usize = 40;

/// What a terminal makes of the octets: as much of it as the picture uses, and nothing else.
struct Screen {
    terminal: Terminal,
    pending: String,
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// The other screen is on.
    other: bool,
    cursor: bool,
    /// What is pasted is marked.
    marks: bool,
    /// How often the other screen was turned on.
    entered: usize,
    /// Renditions that were asked for.
    renditions: Vec<String>,
}

impl Screen {
    fn new(home: &Home, variables: &[(&str, &str)], size: (u16, u16)) -> Self {
        Self::of(Terminal::with(home, &["watch"], variables, size))
    }

    fn of(terminal: Terminal) -> Self {
        Self {
            terminal,
            marks: false,
            pending: String::new(),
            cells: Vec::new(),
            at: (0, 0),
            other: false,
            cursor: true,
            entered: 0,
            renditions: Vec::new(),
        }
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        for _ in 0..PIECES {
            if wanted(self) {
                return;
            }
            match self.terminal.more() {
                Ok(more) => self.take(&more),
                Err(error) => panic!("{what}: {error}; on the screen is\n{}", self.text()),
            }
        }
        panic!("{what} does not come; on the screen is\n{}", self.text());
    }

    #[track_caller]
    fn see(&mut self, text: &str) {
        self.until(text, |screen| screen.text().contains(text));
    }

    fn text(&self) -> String {
        self.cells.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn take(&mut self, text: &str) {
        self.pending += text;
        while let Some(first) = self.pending.chars().next() {
            if first == '\u{1b}' {
                let Some(end) = self.pending.find(|c: char| c.is_ascii_alphabetic()) else { return };
                let sequence: String = self.pending.drain(..=end).collect();
                self.sequence(sequence.strip_prefix("\u{1b}[").expect("one of ours"));
                continue;
            }
            self.pending.drain(..first.len_utf8());
            assert!(!first.is_control() || !self.other, "{first:?} came raw");
            let (x, y) = self.at;
            if self.cells.len() <= y {
                self.cells.resize(y + 1, Vec::new());
            }
            if self.cells[y].len() <= x {
                self.cells[y].resize(x + 1, ' ');
            }
            self.cells[y][x] = first;
            self.at.0 += 1;
        }
    }

    fn sequence(&mut self, sequence: &str) {
        let (parameters, command) = sequence.split_at(sequence.len() - 1);
        match (command, parameters) {
            ("H", "") => self.at = (0, 0),
            ("H", place) => {
                let (row, column) = place.split_once(';').unwrap();
                self.at = (column.parse::<usize>().unwrap() - 1, row.parse::<usize>().unwrap() - 1);
            }
            ("J", "2") => self.cells.clear(),
            ("m", rendition) => self.renditions.push(rendition.to_owned()),
            ("h", "?1049") => (self.other, self.entered) = (true, self.entered + 1),
            ("l", "?1049") => self.other = false,
            ("h", "?25") => self.cursor = true,
            ("l", "?25") => self.cursor = false,
            ("h", "?2004") => self.marks = true,
            ("l", "?2004") => self.marks = false,
            ("h" | "l", "?7") => {}
            other => panic!("{other:?} is none of ours"),
        }
    }

    /// The program ends so, and the terminal is as it was.
    #[track_caller]
    fn ends(&mut self, code: i32) {
        assert_eq!(self.terminal.ends().code(), Some(code));
        self.is_the_shells();
    }

    /// The terminal is, or becomes, as it was.
    #[track_caller]
    fn is_the_shells(&mut self) {
        self.until("the shell's screen", |screen| !screen.other);
        assert!(self.cursor && !self.marks && self.terminal.echoes(), "the terminal is not as it was");
    }
}

fn picture() -> Value {
    json!({
        "state": "connected", "confirmed": true, "host": "Gate\u{1b}[2Jway", "gateway": "192.0.2.1:4500",
        "child": {"spi_in": "01", "bytes_in": 10, "bytes_out": 20},
        "next": {"what": "answer to the liveness check", "in_ms": 30_000}, "error": null,
    })
}

/// An agent that shows this and does what it is asked, until it is told to end; what was asked besides looks.
fn agent(home: &Home, status: Value) -> (Agent<Vec<Request>>, oneshot::Sender<()>) {
    let (ends, mut end) = oneshot::channel();
    let agent = Agent::new(home, async move |mut calls: mpsc::Receiver<Call>| {
        let mut asked = Vec::new();
        loop {
            let call = tokio::select! {
                call = calls.recv() => call.expect("somebody listens"),
                _ = &mut end => return asked,
            };
            let reply = match &call.request {
                Request::Watch | Request::Status => Reply::Status { status: status.clone() },
                Request::Reconnect => connected(),
                _ => Reply::Done,
            };
            // It may have gone meanwhile.
            let _ = call.replies.send(reply).await;
            if !matches!(call.request, Request::Watch | Request::Status) {
                asked.push(call.request);
            }
        }
    });
    (agent, ends)
}

#[test]
fn a_picture_with_keys_and_any_size_that_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let mut journal =
        Journal::new(home.places().events(), Rotation { max_bytes: 1 << 20, keep: 1 }, Renderer::local());
    let mut event = |text: &str| {
        let entry = Entry::new(UnixTime::from_secs(1_767_355_200), Kind::Warning, Source::Agent, text);
        journal.write(&entry).unwrap();
    };
    event("before");
    let (agent, end) = agent(&home, picture());
    let mut screen = Screen::new(&home, &UTF8, (80, 24));
    screen.see("CONNECTED");
    screen.see("Gate\u{fffd}[2Jway");
    screen.see("! before");
    screen.see("answer to the liveness check");
    assert!(screen.other && !screen.cursor && !screen.terminal.echoes());
    event("while it runs");
    screen.see("! while it runs");
    assert!(screen.text().lines().nth(23).unwrap().starts_with("q quit"), "{}", screen.text());
    for size in [(60, 16), (10, 3), (1, 1), (200, 50), (80, 24)] {
        screen.terminal.resize(size);
        let high = usize::from(size.1);
        screen.until("another size", |screen| {
            let last = screen.cells.get(high - 1).map(|line| line.iter().collect::<String>());
            screen.cells.len() == high && (high < 6 || last.is_some_and(|last| last.starts_with("q quit")))
        });
        let wide = screen.cells.iter().map(Vec::len).max().unwrap();
        assert!(wide <= usize::from(size.0), "{wide} columns of {size:?}");
    }
    screen.terminal.types("?");
    screen.see("key goes back");
    screen.terminal.types(" r");
    screen.see("Connected to Gateway: 192.168.20.5");
    screen.terminal.types("d");
    screen.see("Disconnect? y: yes");
    screen.terminal.types("nd");
    screen.see("Disconnect? y: yes");
    screen.terminal.types("y");
    screen.see("Disconnected");
    screen.terminal.types("q");
    screen.ends(0);
    end.send(()).unwrap();
    assert_eq!(agent.end(), [Request::Reconnect, Request::Disconnect]);
}

#[test]
fn an_agent_may_be_restarted_and_a_signal_ends_it() {
    let home = Home::new();
    let (first, end) = agent(&home, picture());
    let mut screen = Screen::new(&home, &UTF8, (100, 24));
    screen.see("CONNECTED");
    end.send(()).unwrap();
    first.end();
    screen.see("NO AGENT");
    screen.see("called again");
    let mut status = picture();
    status["state"] = "reconnecting".into();
    let (second, end) = agent(&home, status);
    screen.see("RECONNECTING");
    screen.see("an agent runs again");
    kill_process(screen.terminal.process(), Signal::TERM).unwrap();
    screen.ends(143);
    end.send(()).unwrap();
    second.end();
}

#[test]
fn after_a_stop_everything_is_drawn_anew() {
    let home = Home::new();
    let (agent, end) = agent(&home, picture());
    let mut screen = Screen::new(&home, &UTF8, (80, 24));
    screen.see("CONNECTED");
    let process = screen.terminal.process();
    kill_process(process, Signal::STOP).unwrap();
    screen.cells.clear();
    kill_process(process, Signal::CONT).unwrap();
    screen.until("the picture again", |screen| screen.entered == 2 && screen.text().contains("CONNECTED"));
    // A session's leader has no shell that could bring it back: the kernel does not stop it.
    screen.terminal.types("\u{1a}");
    screen
        .until("the picture once more", |screen| screen.entered == 3 && screen.text().contains("CONNECTED"));
    screen.terminal.types("\u{3}");
    screen.ends(130);
    end.send(()).unwrap();
    agent.end();
}

/// As in a container whose session was begun outside of it: its number is 0 there.
#[test]
fn ctrl_z_where_the_session_has_no_number() {
    if std::env::var_os("IKEEP_INTEROP").is_none_or(|value| value != "1") {
        // Past the test harness, which keeps what a test prints.
        let _ = writeln!(std::io::stderr(), "left out: ctrl_z_where_the_session_has_no_number (needs root)");
        return;
    }
    let home = Home::new();
    let (agent, end) = agent(&home, picture());
    let program = ["unshare", "--pid", "--fork", "--mount-proc", ikeep(), "watch"];
    let mut screen = Screen::of(Terminal::running(&home, &program, &UTF8, (80, 24)));
    screen.see("CONNECTED");
    screen.terminal.types("\u{1a}");
    screen.until("the picture again", |screen| screen.entered == 2 && screen.text().contains("CONNECTED"));
    screen.terminal.types("q");
    screen.ends(0);
    end.send(()).unwrap();
    agent.end();
}

#[test]
fn a_poor_terminal_gets_what_it_can_show() {
    let home = Home::new();
    let (agent, end) = agent(&home, picture());
    let mut screen = Screen::new(&home, &[("TERM", "xterm"), ("NO_COLOR", "1")], (80, 24));
    screen.see("-- ikeep --");
    screen.see("q quit");
    screen.terminal.types("q");
    screen.ends(0);
    assert!(screen.renditions.iter().all(|rendition| !rendition.contains(";3")), "{:?}", screen.renditions);
    // No picture at all.
    let mut dumb = Terminal::with(&home, &["watch"], &[("TERM", "dumb")], (80, 24));
    let line = dumb.see("Gate\u{fffd}[2Jway");
    assert!(!line.contains('\u{1b}') && line.contains("  connected  "), "{line:?}");
    drop(dumb);
    end.send(()).unwrap();
    agent.end();
}

#[test]
fn without_an_agent_there_is_no_picture() {
    let home = Home::new();
    let mut terminal = Terminal::with(&home, &["watch"], &UTF8, (80, 24));
    let told = terminal.see("`ikeep connect` starts one");
    assert!(told.starts_with("ikeep: no agent of yours runs") && !told.contains('\u{1b}'), "{told:?}");
    assert_eq!(terminal.ends().code(), Some(6));
}

#[test]
fn an_agent_that_says_nothing_any_more_is_not_shown_as_connected() {
    let home = Home::new();
    let (ends, mut end) = oneshot::channel();
    let agent = Agent::new(&home, async move |mut calls: mpsc::Receiver<Call>| {
        let mut unanswered = Vec::new();
        loop {
            let call = tokio::select! {
                call = calls.recv() => call.expect("somebody listens"),
                _ = &mut end => return,
            };
            if unanswered.is_empty() {
                call.replies.send(Reply::Status { status: picture() }).await.unwrap();
            }
            unanswered.push(call);
        }
    });
    let mut screen = Screen::new(&home, &UTF8, (100, 24));
    screen.see("CONNECTED");
    screen.see("does not answer");
    screen.until("another state", |screen| !screen.text().contains("CONNECTED"));
    screen.terminal.types("q");
    screen.ends(0);
    ends.send(()).unwrap();
    agent.end();
}

#[test]
fn an_event_log_that_hangs_is_told_and_holds_up_no_key() {
    let home = Home::new();
    let log = home.places().events();
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    mknodat(CWD, &log, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let (agent, end) = agent(&home, picture());
    let mut screen = Screen::new(&home, &UTF8, (80, 24));
    screen.see("CONNECTED");
    screen.see("the event log does not answer");
    screen.terminal.types("r");
    screen.see("Connected to Gateway: 192.168.20.5");
    screen.terminal.types("q");
    screen.ends(0);
    end.send(()).unwrap();
    assert_eq!(agent.end(), [Request::Reconnect]);
}

#[test]
fn what_is_pasted_is_no_key() {
    let home = Home::new();
    let (agent, end) = agent(&home, picture());
    let mut screen = Screen::new(&home, &UTF8, (80, 24));
    screen.see("CONNECTED");
    assert!(screen.marks);
    screen.terminal.types("\u{1b}[200~rdyq\u{3}\u{1b}[201~?");
    screen.see("key goes back");
    screen.terminal.types(" q");
    screen.ends(0);
    end.send(()).unwrap();
    assert_eq!(agent.end(), []);
}

#[test]
fn a_terminal_that_waits_for_nothing_is_one_too() {
    let home = Home::new();
    let (agent, end) = agent(&home, picture());
    let mut screen = Screen::new(&home, &UTF8, (80, 24));
    screen.see("CONNECTED");
    screen.terminal.waits_for_nothing();
    // What is under way began to wait before.
    screen.terminal.types("?");
    screen.see("key goes back");
    screen.terminal.types(" r");
    screen.see("Connected to Gateway: 192.168.20.5");
    screen.terminal.resize((200, 50));
    screen.until("another size", |screen| screen.cells.len() == 50);
    screen.terminal.types("q");
    screen.ends(0);
    end.send(()).unwrap();
    assert_eq!(agent.end(), [Request::Reconnect]);
}

#[test]
fn a_shell_gets_its_terminal_back_by_ctrl_z_and_by_a_signal_and_fg_brings_the_picture_back() {
    let home = Home::new();
    let (agent, end) = agent(&home, picture());
    let script = format!(
        "set -m; {} watch; for i in 1 2; do echo \"stopped $i\"; read -r line; fg; done; echo \"over $?\"",
        ikeep()
    );
    let shell = ["bash", "--norc", "-c", &script];
    let mut screen = Screen::of(Terminal::running(&home, &shell, &UTF8, (80, 24)));
    screen.see("CONNECTED");
    screen.terminal.types("\u{1a}");
    screen.see("stopped 1");
    screen.is_the_shells();
    screen.terminal.types("\n");
    screen.until("the picture again", |screen| screen.other && screen.text().contains("CONNECTED"));
    let shell = screen.terminal.process().as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let watch = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    kill_process(watch, Signal::TSTP).unwrap();
    screen.see("stopped 2");
    screen.is_the_shells();
    screen.terminal.types("\n");
    screen.until("the picture once more", |screen| screen.other && screen.text().contains("CONNECTED"));
    screen.terminal.types("q");
    screen.see("over 0");
    screen.ends(0);
    end.send(()).unwrap();
    agent.end();
}

#[test]
fn every_signal_that_ends_it_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let (agent, end) = agent(&home, picture());
    for (signal, code) in [(Signal::QUIT, 131), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut screen = Screen::new(&home, &UTF8, (80, 24));
        screen.see("CONNECTED");
        kill_process(screen.terminal.process(), signal).unwrap();
        screen.ends(code);
    }
    end.send(()).unwrap();
    agent.end();
}

#[test]
fn an_agent_that_refuses_is_told_on_the_shells_screen() {
    let home = Home::new();
    let agent = Agent::new(&home, async move |mut calls: mpsc::Receiver<Call>| {
        let call = calls.recv().await.expect("somebody calls");
        let failure = Failure::new(FailureKind::Other, "16 others watch already");
        let _ = call.replies.send(Reply::Failed(failure)).await;
        // Until it has gone.
        call.replies.closed().await;
    });
    let mut screen = Screen::new(&home, &UTF8, (80, 24));
    screen.ends(1);
    screen.see("ikeep: 16 others watch already");
    assert_eq!(screen.entered, 1);
    screen.is_the_shells();
    agent.end();
}
