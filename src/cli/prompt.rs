//! Answers to the gateway's questions: from the person at the terminal or the desktop, or from standard input for a script.
//!
//! A secret comes from standard input where that was asked for; else from the terminal without echo, else from an askpass
//! program, else from the desktop's prompt: never from the arguments or the environment, which
//! other processes can read. The buffers are zeroized.

use super::Error;
use super::askpass::{Asker, Guard, LIMIT, Running, VARIABLE};
use super::output::{lines, printable, tell};
use super::pinentry::{self, Words};
use super::remember::{Memory, USER};
use crate::config::Config;
use crate::crypto::Secret;
use crate::ipc::{Answer, Failure, Input, InputKind, Question, Typed};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The controlling terminal, whatever the standard streams are.
const TERMINAL: &str = "/dev/tty";
/// Longest line that is read, octets.
const LONGEST: usize = 4096;

/// What the command line says about it.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Secrets are lines of standard input.
    pub(super) password_stdin: bool,
    /// The program to ask, instead of that of environment or config file.
    pub(super) askpass: Option<PathBuf>,
    /// The terminal is not the person's.
    pub(super) desktop: bool,
    /// The password is to be kept.
    pub(super) remember: bool,
    /// The user's name, if it was given.
    pub(super) user: Option<String>,
    /// The config file, instead of the user's.
    pub(super) config: Option<PathBuf>,
}

/// Where answers come from.
pub(super) struct Answers {
    terminal: Option<File>,
    /// Standard input, one line for each secret.
    lines: Option<File>,
    askpass: Option<PathBuf>,
    config: Option<PathBuf>,
    memory: Memory,
    running: Running,
}

impl Answers {
    pub(super) fn new(sources: Sources) -> Result<Self, Error> {
        let password_stdin = sources.password_stdin;
        let open = || OpenOptions::new().read(true).write(true).open(TERMINAL).ok();
        let terminal = if sources.desktop { None } else { open() };
        let lines = if password_stdin {
            let input = io::stdin().as_fd().try_clone_to_owned().map_err(Error::typing)?;
            Some(File::from(input))
        } else {
            None
        };
        Ok(Self {
            terminal,
            lines,
            askpass: sources.askpass,
            config: sources.config,
            memory: Memory::new(sources.remember, sources.user, password_stdin),
            running: Running::default(),
        })
    }

    /// Ends a program that still asks when it is dropped.
    pub(super) fn guard(&self) -> Guard {
        self.running.guard()
    }

    /// There is a connection. Blocks for at most 300 ms.
    pub(super) fn connected(&mut self) {
        self.memory.connected();
    }

    /// There is none. Blocks for at most 300 ms.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.memory.failed(failure);
    }

    /// Asks for everything in `question`; blocks as long as the person types.
    pub(super) fn ask(&mut self, question: &Question) -> Result<Answer, Error> {
        let mut values = BTreeMap::new();
        if let Some(found) = self.memory.recall(question) {
            let user = printable(&found.user);
            let of = if user.is_empty() { "" } else { " of " };
            tell(&format!("Logging in with the remembered password{of}{user}."));
            for input in &question.inputs {
                if self.memory.is_password(question, input) {
                    values.insert(input.name.clone(), Typed(found.password.clone()));
                } else if input.name == USER && input.kind == InputKind::Text {
                    values.insert(input.name.clone(), Typed(Secret::from(found.user.as_bytes())));
                }
            }
        }
        let left: Vec<&Input> =
            question.inputs.iter().filter(|input| !values.contains_key(&input.name)).collect();
        if let Some(terminal) = self.terminal.as_mut().filter(|_| !left.is_empty()) {
            let above = [&question.title, &question.message, &question.error].map(|text| lines(text));
            for text in above.iter().filter(|text| !text.is_empty()) {
                writeln!(terminal, "{text}").map_err(Error::typing)?;
            }
        }
        let mut password = None;
        for input in left {
            let value = self.value(question, input)?;
            if self.memory.is_password(question, input) {
                password = Some(value.clone());
            } else if input.name == USER && input.kind == InputKind::Text {
                self.memory.named(&value);
            }
            values.insert(input.name.clone(), Typed(value));
        }
        self.memory.answered(password);
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
            (InputKind::Text | InputKind::Secret, _, None)
                if let Some(words) = askpass(self.askpass.as_deref(), self.config.as_deref())? =>
            {
                let asker = Asker { words: &words, label: &label, limit: LIMIT };
                Ok(asker.ask(&self.running, &format!("{label}: "))?)
            }
            (InputKind::Secret, _, None) if has_pinentry() => {
                let words = ["pinentry".to_owned()];
                let asker = Asker { words: &words, label: &label, limit: LIMIT };
                let whole = [&question.gateway, &question.title, &question.message].map(|text| lines(text));
                let description: Vec<&str> =
                    whole.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
                let words = Words {
                    description: &description.join("\n"),
                    error: &lines(&question.error),
                    prompt: &format!("{label}:"),
                };
                Ok(pinentry::ask(&asker, &self.running, &words)?)
            }
            (_, _, None) => {
                let label = |input: &Input| printable(input.label.trim_end_matches([':', ' ']));
                let asked: Vec<String> = question.inputs.iter().map(label).collect();
                Err(Error::NobodyToAsk { asked: asked.join(", "), error: lines(&question.error) })
            }
        }
    }
}

/// The askpass program with its arguments: of the command line, the environment, or the config file.
fn askpass(named: Option<&Path>, config: Option<&Path>) -> Result<Option<Vec<String>>, Error> {
    let of_environment =
        || std::env::var_os(VARIABLE).filter(|program| !program.is_empty()).map(PathBuf::from);
    let Some(program) = named.map(Path::to_owned).or_else(of_environment) else {
        return Ok(Some(Config::load(config)?.agent.askpass).filter(|words| !words.is_empty()));
    };
    match program.into_os_string().into_string() {
        Ok(program) => Ok(Some(vec![program])),
        Err(program) => {
            let source = io::Error::other("a name that is not UTF-8");
            Err(Error::Read { file: program.into(), source })
        }
    }
}

/// There is a desktop, and a program for its prompts.
fn has_pinentry() -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = || std::env::split_paths(&folders).any(|folder| folder.join("pinentry").is_file());
    pinentry::has_desktop(|name| std::env::var_os(name)) && found()
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
pub(super) fn line(input: &mut impl Read) -> io::Result<Option<Secret>> {
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
