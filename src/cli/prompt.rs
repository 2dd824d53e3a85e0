//! Answers to the gateway's questions: from the person at the terminal, or from standard input for a script.
//!
//! A secret comes from the terminal without echo or from standard input: never from the arguments or the environment, which
//! other processes can read. The buffers are zeroized.

use super::Error;
use super::output::{lines, printable};
use crate::crypto::Secret;
use crate::ipc::{Answer, Input, InputKind, Question, Typed};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use zeroize::Zeroizing;

/// The controlling terminal, whatever the standard streams are.
const TERMINAL: &str = "/dev/tty";
/// Longest line that is read, octets.
const LONGEST: usize = 4096;

/// Where answers come from.
pub(super) struct Answers {
    terminal: Option<File>,
    /// Standard input, one line for each secret.
    lines: Option<File>,
}

impl Answers {
    /// The person at the terminal, where there is one; with `password_stdin`, secrets are lines of standard input.
    pub(super) fn new(password_stdin: bool) -> Result<Self, Error> {
        let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL).ok();
        let lines = if password_stdin {
            let input = io::stdin().as_fd().try_clone_to_owned().map_err(Error::typing)?;
            Some(File::from(input))
        } else {
            None
        };
        Ok(Self { terminal, lines })
    }

    /// Asks for everything in `question`; blocks as long as the person types.
    pub(super) fn ask(&mut self, question: &Question) -> Result<Answer, Error> {
        if let Some(terminal) = &mut self.terminal {
            let above = [&question.title, &question.message, &question.error].map(|text| lines(text));
            for text in above.iter().filter(|text| !text.is_empty()) {
                writeln!(terminal, "{text}").map_err(Error::typing)?;
            }
        }
        let mut values = BTreeMap::new();
        for input in &question.inputs {
            values.insert(input.name.clone(), Typed(self.value(question, input)?));
        }
        Ok(Answer { id: question.id, values })
    }

    fn value(&mut self, question: &Question, input: &Input) -> Result<Secret, Error> {
        let label = printable(input.label.trim_end_matches([':', ' ']));
        match (input.kind, &mut self.lines, &mut self.terminal) {
            (InputKind::Secret, Some(stdin), _) => match line(stdin).map_err(Error::typing)? {
                Some(line) => Ok(line),
                None => Err(Error::NoLine { label, error: lines(&question.error) }),
            },
            (InputKind::Secret, None, Some(terminal)) => secret(terminal, &label).map_err(Error::typing),
            (InputKind::Text, _, Some(terminal)) => text(terminal, &label, &input.value),
            (InputKind::Choice, _, Some(terminal)) => choice(terminal, &label, input),
            (InputKind::Text | InputKind::Choice, _, None) if !input.value.is_empty() => {
                Ok(Secret::from(input.value.as_bytes()))
            }
            (_, _, None) => {
                let label = |input: &Input| printable(input.label.trim_end_matches([':', ' ']));
                let asked: Vec<String> = question.inputs.iter().map(label).collect();
                Err(Error::NobodyToAsk { asked: asked.join(", "), error: lines(&question.error) })
            }
        }
    }
}

/// The echo is off before the prompt is there: whoever types at once is not read by others.
fn secret(terminal: &mut File, label: &str) -> io::Result<Secret> {
    let _before = AsItWas::remember();
    let mut settings = tcgetattr(&*terminal)?;
    settings.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
    settings.special_codes[SpecialCodeIndex::VMIN] = 1;
    settings.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&*terminal, OptionalActions::Now, &settings)?;
    write!(terminal, "{label}: ")?;
    let typed = rpassword::read_password()?;
    Ok(Secret::new(typed.into_bytes()))
}

fn text(terminal: &mut File, label: &str, value: &str) -> Result<Secret, Error> {
    let shown = if value.is_empty() { String::new() } else { format!(" [{}]", printable(value)) };
    let typed = prompt(terminal, &format!("{label}{shown}: "))?;
    Ok(if typed.is_empty() { Secret::from(value.as_bytes()) } else { typed })
}

fn choice(terminal: &mut File, label: &str, input: &Input) -> Result<Secret, Error> {
    let mut list = format!("{label}:\n");
    for (number, (value, shown)) in input.options.iter().enumerate() {
        let mark = if *value == input.value { "*" } else { " " };
        list += &format!("{mark}{:3}  {}\n", number + 1, printable(shown));
    }
    terminal.write_all(list.as_bytes()).map_err(Error::typing)?;
    loop {
        let typed = prompt(terminal, &format!("1 to {}: ", input.options.len()))?;
        if typed.is_empty() && !input.value.is_empty() {
            return Ok(Secret::from(input.value.as_bytes()));
        }
        let typed = String::from_utf8_lossy(typed.expose());
        let typed = typed.trim();
        let number = typed.parse::<usize>().ok().and_then(|number| input.options.get(number.checked_sub(1)?));
        let named = || input.options.iter().find(|(value, shown)| value == typed || shown == typed);
        if let Some((value, _)) = number.or_else(named) {
            return Ok(Secret::from(value.as_bytes()));
        }
    }
}

/// One line, with echo.
fn prompt(terminal: &mut File, prompt: &str) -> Result<Secret, Error> {
    terminal.write_all(prompt.as_bytes()).map_err(Error::typing)?;
    let ended = || Error::typing(io::ErrorKind::UnexpectedEof.into());
    line(terminal).map_err(Error::typing)?.ok_or_else(ended)
}

/// The next line without its end, read octet by octet: what follows it is left to others. `None` at the end of the input.
fn line(input: &mut impl Read) -> io::Result<Option<Secret>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    loop {
        let mut octet = Zeroizing::new([0]);
        match input.read(&mut *octet) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if octet[0] == b'\n' => break,
            Ok(_) if line.len() == LONGEST => {
                let why = format!("a line of more than {LONGEST} octets");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            Ok(_) => line.push(octet[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if std::str::from_utf8(&line).is_err() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line that is not UTF-8"));
    }
    Ok(Some(Secret::from(&line[..])))
}

/// The terminal as it was before a question: a command that ends while a person types without echo leaves it so.
pub(super) struct AsItWas(Option<(File, Termios)>);

impl AsItWas {
    pub(super) fn remember() -> Self {
        let terminal = File::open(TERMINAL).ok();
        Self(terminal.and_then(|terminal| tcgetattr(&terminal).ok().map(|settings| (terminal, settings))))
    }
}

impl Drop for AsItWas {
    fn drop(&mut self) {
        if let Some((terminal, settings)) = &self.0 {
            // A terminal that has gone needs nothing.
            let _ = tcsetattr(terminal, OptionalActions::Now, settings);
        }
    }
}
