use crate::home::{Home, event};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

fn output(command: &mut Command) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn no_log_yet_is_said_and_is_no_error() {
    let home = Home::new();
    let (stdout, stderr) = output(home.ikeep().arg("events"));
    assert!(stdout.is_empty() && stderr.starts_with("There is no event log yet ("), "{stderr}");
    let (stdout, stderr) = output(home.ikeep().args(["events", "--json"]));
    assert!(stdout == "[]\n" && !stderr.is_empty());
    assert!(!home.places().state.exists(), "looking makes nothing");
}

#[test]
fn all_parts_are_printed_and_damage_as_it_is() {
    let home = Home::new();
    let mut journal = home.journal();
    (0..5).for_each(|number| journal.write(&event(number)).unwrap());
    let mut file = OpenOptions::new().append(true).open(home.places().events()).unwrap();
    file.write_all(b"***\nnot an \x1b[31mevent\n***\nno end").unwrap();

    let (stdout, stderr) = output(home.ikeep().arg("events"));
    let at: Vec<usize> = (0..5).map(|number| stdout.find(&format!("Event {number}.")).unwrap()).collect();
    assert!(at.is_sorted() && stderr.is_empty());
    assert!(stdout.ends_with("***\nnot an \u{fffd}[31mevent\n***\nno end\n"), "{stdout}");
    assert!(stdout.contains("Date        : 03/13/2025\nTime        : 03:08:44\n"));

    let (stdout, stderr) = output(home.ikeep().args(["events", "--json"]));
    assert!(stderr.is_empty());
    let events: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    assert_eq!(events.len(), 7);
    assert_eq!(
        events[0],
        json!({
            "at": "2025-03-13T03:08:44Z", "type": "Warning", "source": "ikeepagent",
            "description": "Event 0.\nSecond line.",
        })
    );
    assert_eq!(events[5]["text"], "not an \u{1b}[31mevent");
    assert_eq!(events[6], json!({ "damaged": "expected NAME : VALUE", "text": "no end" }));
}

/// A command that runs until it is dropped.
struct Following {
    child: Child,
    lines: Option<BufReader<ChildStdout>>,
}

impl Following {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Some(BufReader::new(child.stdout.take().unwrap()));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn following_sees_the_first_event_growth_and_rotation_and_ends_with_its_reader() {
    let home = Home::new();
    let mut following = Following::start(home.ikeep().args(["events", "--follow", "--json"]));
    let mut waits = String::new();
    BufReader::new(following.child.stderr.take().unwrap()).read_line(&mut waits).unwrap();
    assert!(waits.ends_with("waiting for its first event.\n"), "{waits}");
    let mut journal = home.journal();
    for number in 0..7 {
        journal.write(&event(number)).unwrap();
        let told: Value = serde_json::from_str(&following.line()).unwrap();
        assert_eq!(told["description"], format!("Event {number}.\nSecond line."));
    }
    assert!(home.places().state.join("events.log.3").exists(), "it was rotated meanwhile");
    // Nobody reads any more: that ends it, quietly, without another event.
    following.lines = None;
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
}

#[test]
fn following_begins_with_what_is_there_and_ends_with_a_signal() {
    let home = Home::new();
    let mut journal = home.journal();
    (0..3).for_each(|number| journal.write(&event(number)).unwrap());
    let mut following = Following::start(home.ikeep().args(["events", "-f"]));
    let mut until = |text: &str| while !following.line().contains(text) {};
    until("Event 0.");
    until("Event 2.");
    journal.write(&event(3)).unwrap();
    until("Event 3.");
    let pid = rustix::process::Pid::from_child(&following.child);
    // Not SIGINT: a shell that runs the tests in the background makes its children ignore that.
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = following.child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(15), "{ended}");
    let stderr = std::io::read_to_string(following.child.stderr.take().unwrap()).unwrap();
    assert!(stderr.is_empty(), "{stderr}");
}

#[test]
fn a_log_that_cannot_be_read_is_told() {
    let home = Home::new();
    fs::create_dir_all(home.places().events()).unwrap();
    let Output { status, stderr, .. } = home.ikeep().arg("events").output().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(String::from_utf8(stderr).unwrap().contains("cannot read"));
}
