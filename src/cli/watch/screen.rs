//! The terminal while the picture is on it. It is as before when this ends: by a key, a signal, an error or a panic.

use super::look::Look;
use super::vt::Vt;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Size;
use ratatui_core::terminal::Terminal;
use rustix::termios::{OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, Once, PoisonError};

/// Another screen than the shell's, no cursor, nothing at the end of a line goes on in the next.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// The way back, also for terminals without another screen.
const LEAVE: &[u8] = b"\x1b[m\x1b[2J\x1b[H\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A terminal that does not know its size has this one.
const USUAL: Size = Size::new(80, 24);

/// How the terminal was, while the picture is on it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// See the module.
pub(super) struct Screen {
    terminal: Terminal<Vt<File>>,
    look: Look,
}

impl Screen {
    /// Takes the terminal of the standard streams.
    ///
    /// # Errors
    /// They are none.
    pub(super) fn enter(look: Look) -> io::Result<Self> {
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let terminal = Terminal::new(Vt::new(out, size()))?;
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
        write(ENTER)?;
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
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

fn write(mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        match rustix::io::write(io::stdout(), octets) {
            Ok(written) => octets = octets.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn size() -> Size {
    let size = tcgetwinsize(io::stdout()).map(|size| Size::new(size.ws_col, size.ws_row));
    size.ok().filter(|size| size.width > 0 && size.height > 0).unwrap_or(USUAL)
}
