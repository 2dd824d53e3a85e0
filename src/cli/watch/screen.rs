//! The terminal while the picture is on it. It is as before when this ends: by a key, a signal, an error or a panic.

use super::look::Look;
use super::vt::Vt;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Size;
use ratatui_core::terminal::Terminal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, Once, PoisonError};

/// Another screen than the shell's, no cursor, nothing at the end of a line goes on in the next, what is pasted is marked.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[2J";
/// The way back, also for terminals without another screen.
const LEAVE: &[u8] = b"\x1b[m\x1b[2J\x1b[H\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A terminal that does not know its size has this one.
const USUAL: Size = Size::new(80, 24);

/// How the terminal was, while the picture is on it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// See the module.
pub(super) struct Screen {
    terminal: Terminal<Vt<Out>>,
    look: Look,
}

impl Screen {
    /// Takes the terminal of the standard streams.
    ///
    /// # Errors
    /// They are none.
    pub(super) fn enter(look: Look) -> io::Result<Self> {
        let terminal = Terminal::new(Vt::new(Out, size()))?;
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            // The message is for the shell's screen.
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        let mut screen = Self { terminal, look };
        screen.resume()?;
        Ok(screen)
    }

    /// Takes the terminal again, after [`Screen::suspend`] or after somebody else has used it. What is on it is not known.
    ///
    /// # Errors
    /// It has gone.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        let mut settings = tcgetattr(io::stdin())?;
        BEFORE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| settings.clone());
        // Keys one by one and without echo; Ctrl-C and Ctrl-Z are keys, and Ctrl-S stops nothing.
        settings.make_raw();
        settings.special_codes[SpecialCodeIndex::VMIN] = 1;
        settings.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &settings)?;
        Out.write_all(ENTER)?;
        self.terminal.clear()
    }

    /// Gives the terminal back for a while.
    pub(super) fn suspend(&mut self) {
        leave();
    }

    /// Draws a picture, as large as the terminal is now. Not after a panic of another task: the terminal is the shell's again.
    ///
    /// # Errors
    /// The terminal has gone.
    pub(super) fn draw(&mut self, picture: impl FnOnce(Look, &mut Buffer)) -> io::Result<()> {
        if BEFORE.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Ok(());
        }
        self.terminal.backend_mut().resized(size());
        let look = self.look;
        self.terminal.draw(|frame| picture(look, frame.buffer_mut())).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Puts the terminal back as it was, once.
fn leave() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that has gone needs nothing.
        let _ = Out.write_all(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Standard output as a terminal: somebody else may have made it one that does not wait.
#[derive(Debug)]
struct Out;

impl Write for Out {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(io::stdout(), octets) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait_for(io::stdout(), PollFlags::OUT)?,
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is typed next, at least one octet of it; 0 where the terminal has gone. Waits also where a read does not: the terminal
/// is shared with programs that may have set it so.
///
/// # Errors
/// It cannot be read.
pub(super) fn typed(terminal: impl AsFd, octets: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(&terminal, &mut *octets) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(&terminal, PollFlags::IN)?,
            count => return Ok(count?),
        }
    }
}

/// Waits until this can be done, or never will.
fn wait_for(terminal: impl AsFd, what: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(&terminal, what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn size() -> Size {
    let size = tcgetwinsize(io::stdout()).map(|size| Size::new(size.ws_col, size.ws_row));
    size.ok().filter(|size| size.width > 0 && size.height > 0).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests;
