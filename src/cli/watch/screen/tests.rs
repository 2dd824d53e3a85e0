use super::*;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::LocalModes;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, Stdio};

/// Set where this test is the program at the terminal.
const AT_TERMINAL: &str = "IKEEP_TEST_AT_TERMINAL";
const NAME: &str = "cli::watch::screen::tests::a_panic_gives_the_terminal_back_before_it_is_told";
const LOOK: Look = Look { colour: false, unicode: false };

/// The program: a task of it panics while the picture is on the terminal, and another picture comes after that.
fn panics() {
    let mut screen = Screen::enter(LOOK).unwrap();
    let mut shows = |text: &str| {
        screen.draw(|_, buffer| buffer.set_string(0, 0, text, ratatui_core::style::Style::new())).unwrap();
    };
    shows("FIRST");
    let task = std::thread::spawn(|| panic!("on purpose"));
    assert!(task.join().is_err());
    shows("SECOND");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    if std::env::var_os(AT_TERMINAL).is_some() {
        return panics();
    }
    let mut master = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let no_control = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let mut slave = OpenOptions::new();
    let slave = slave.read(true).write(true).custom_flags(no_control).open(name.to_str().unwrap()).unwrap();
    let stream = || Stdio::from(slave.try_clone().unwrap());
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", NAME, "--nocapture", "--test-threads=1"]);
    program.env(AT_TERMINAL, "1").env("RUST_BACKTRACE", "0");
    let ended = program.stdin(stream()).stdout(stream()).stderr(stream()).status().unwrap();
    assert!(ended.success(), "{ended}");
    let modes = tcgetattr(&slave).unwrap().local_modes;
    assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON), "{modes:?}");
    // The last ends of the terminal that wrote to it: a reader is told so by an error.
    drop((slave, program));
    let mut octets = Vec::new();
    let _ = master.read_to_end(&mut octets);
    let text = String::from_utf8(octets).unwrap();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what:?} is not in {text:?}"));
    let (enter, leave) = (std::str::from_utf8(ENTER).unwrap(), std::str::from_utf8(LEAVE).unwrap());
    assert!(at(enter) < at("FIRST") && at("FIRST") < at(leave) && at(leave) < at("on purpose"), "{text:?}");
    assert!(!text.contains("SECOND"), "{text:?}");
    assert_eq!(text.matches(leave).count(), 1);
}
