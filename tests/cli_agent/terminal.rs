//! A person at a terminal: a pseudo-terminal whose other end the test holds.

use crate::world::{Home, PATIENCE, ikeep};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Pid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// `ikeep` at a terminal.
pub(crate) struct Terminal {
    master: File,
    /// The other end stays open, so that its settings can be looked at when the program has gone.
    slave: File,
    program: Child,
    shown: Receiver<Vec<u8>>,
    /// The begin of a character whose end has not come yet.
    begun: Vec<u8>,
    screen: String,
}

impl Terminal {
    pub(crate) fn new(home: &Home, arguments: &[&str]) -> Self {
        Self::with(home, arguments, &[], (80, 24))
    }

    /// With these variables of the environment, and so many columns and rows.
    pub(crate) fn with(
        home: &Home,
        arguments: &[&str],
        variables: &[(&str, &str)],
        size: (u16, u16),
    ) -> Self {
        let program: Vec<&str> = [ikeep()].iter().chain(arguments).copied().collect();
        Self::running(home, &program, variables, size)
    }

    /// The same for another program, which is the session's leader, with its arguments.
    pub(crate) fn running(
        home: &Home,
        program: &[&str],
        variables: &[(&str, &str)],
        size: (u16, u16),
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(name.to_str().unwrap())
            .unwrap();
        resize(&master, size);
        let stream = || OwnedFd::from(slave.try_clone().unwrap());
        let mut command = Command::new("setsid");
        home.dress(&mut command);
        command.args(["--ctty", "--wait"]).args(program).envs(variables.iter().copied());
        let program = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        let master = File::from(master);
        let (shows, shown) = channel();
        let mut screen = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut octets) {
                if shows.send(octets[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { master, slave, program, shown, begun: Vec::new(), screen: String::new() }
    }

    /// Waits until `text` is shown; what was shown up to there.
    #[track_caller]
    pub(crate) fn see(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.screen.find(text) {
                return self.screen.drain(..at + text.len()).collect();
            }
            match self.more() {
                Ok(more) => self.screen += &more,
                Err(error) => panic!("{text:?} does not come ({error}) after {:?}", self.screen),
            }
        }
    }

    /// What is shown next.
    pub(crate) fn more(&mut self) -> Result<String, RecvTimeoutError> {
        self.begun.extend(self.shown.recv_timeout(PATIENCE)?);
        let whole = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = self.begun.drain(..whole).collect();
        assert!(self.begun.len() < 4, "{:?} is no UTF-8", self.begun);
        Ok(String::from_utf8(text).unwrap())
    }

    /// The window has another size now: the program gets SIGWINCH.
    pub(crate) fn resize(&self, size: (u16, u16)) {
        resize(&self.master, size);
    }

    /// Reading and writing there waits for nothing any more, as another program may leave it.
    pub(crate) fn waits_for_nothing(&self) {
        let flags = fcntl_getfl(&self.slave).unwrap();
        fcntl_setfl(&self.slave, flags | OFlags::NONBLOCK).unwrap();
    }

    /// The program.
    pub(crate) fn process(&self) -> Pid {
        Pid::from_child(&self.program)
    }

    /// Nothing is shown for this long.
    pub(crate) fn stays_quiet(&mut self, time: Duration) {
        assert_eq!(self.shown.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// What is typed is shown.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    pub(crate) fn ends(&mut self) -> ExitStatus {
        self.program.wait().unwrap()
    }
}

fn resize(master: impl AsFd, (columns, rows): (u16, u16)) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).unwrap();
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // `setsid` becomes the program: no process of its own is in between.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
