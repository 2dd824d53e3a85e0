//! The desktop's prompt for secrets: `pinentry`, spoken to by the Assuan protocol.
//!
//! Assuan is lines over pipes. The program greets with `OK ..`; each command is answered by `OK ..` or `ERR code text`, with
//! `D data` lines, status lines (`S ..`) and comments (`#`) before. Data and arguments are percent-encoded: `%`, CR and LF.
//! A line is at most 1000 octets long. The low 16 bits of an error's code say what it is; 99 is Cancel.

use super::askpass::{AskError, Asker, Running};
use super::prompt::line;
use crate::crypto::Secret;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Longest argument, octets; a line's limit less the command.
const ARGUMENT: usize = 900;
/// Longest secret, octets.
const SECRET: usize = 4096;
/// GPG_ERR_CANCELED and GPG_ERR_FULLY_CANCELED.
const CANCELLED: [u32; 2] = [99, 198];
const CODE: u32 = 0xffff;

/// What a person reads.
pub(super) struct Words<'a> {
    /// What it is about, several lines.
    pub(super) description: &'a str,
    /// What was wrong with the last answer, or empty.
    pub(super) error: &'a str,
    /// Left of the field.
    pub(super) prompt: &'a str,
}

/// How the program answered.
enum Answer {
    Given(Secret),
    Cancelled,
    Refused(String),
}

/// There is a desktop for a window, as `variable` gives the environment.
pub(super) fn has_desktop(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    ["WAYLAND_DISPLAY", "DISPLAY"].iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()))
}

/// Asks by `pinentry`; it finds the display in the environment.
pub(super) fn ask(asker: &Asker<'_>, running: &Running, words: &Words<'_>) -> Result<Secret, AskError> {
    let seconds = asker.limit.as_secs().to_string();
    let settings = [
        ("SETTITLE", "ikeep"),
        ("SETDESC", words.description),
        ("SETERROR", words.error),
        ("SETPROMPT", words.prompt),
        ("SETTIMEOUT", &seconds),
    ];
    let lines: Vec<String> = settings
        .iter()
        .filter(|(_, argument)| !argument.is_empty())
        .map(|(command, argument)| format!("{command} {}\n", encoded(argument)))
        .collect();
    let (answer, _) = asker.converse(running, &[], move |mut stdin, mut stdout| {
        let answer = talk(&mut stdin, &mut stdout, &lines)?;
        // It may have gone already.
        let _ = stdin.write_all(b"BYE\n");
        drop(stdin);
        Ok(answer)
    })?;
    let label = asker.label.to_owned();
    match answer {
        Answer::Given(secret) => Ok(secret),
        Answer::Cancelled => Err(AskError::Cancelled { label }),
        Answer::Refused(why) => Err(AskError::Refused { program: asker.program(), label, why }),
    }
}

fn talk(to: &mut impl Write, from: &mut impl Read, settings: &[String]) -> io::Result<Answer> {
    let mut none = Zeroizing::new(Vec::new());
    if let Some(refusal) = reply(from, &mut none)? {
        return Ok(refusal);
    }
    for setting in settings {
        to.write_all(setting.as_bytes())?;
        // A setting that it does not know does no harm.
        reply(from, &mut none)?;
    }
    to.write_all(b"GETPIN\n")?;
    // Room enough from the start: a vector that grows leaves copies of a secret behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET));
    Ok(match reply(from, &mut secret)? {
        Some(refusal) => refusal,
        None => Answer::Given(Secret::new(std::mem::take(&mut *secret))),
    })
}

/// Reads until the command is answered; `None` is OK. Data is added to `data`.
fn reply(from: &mut impl Read, data: &mut Zeroizing<Vec<u8>>) -> io::Result<Option<Answer>> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    loop {
        let line = line(from)?.ok_or_else(|| wrong("it ended in the middle of the talk"))?;
        let (word, rest) = match line.expose().iter().position(|octet| *octet == b' ') {
            Some(at) => (&line.expose()[..at], &line.expose()[at + 1..]),
            None => (line.expose(), &[][..]),
        };
        match word {
            b"OK" => return Ok(None),
            b"ERR" => return Ok(Some(refusal(rest))),
            b"D" => decode(rest, data).ok_or_else(|| wrong("what it sent cannot be read"))?,
            [b'S'] | [b'#', ..] | [] => {}
            _ => return Err(wrong("it does not speak Assuan")),
        }
    }
}

fn refusal(rest: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(rest);
    let (code, text) = text.split_once(' ').unwrap_or((&text, ""));
    match code.parse::<u32>() {
        Ok(code) if CANCELLED.contains(&(code & CODE)) => Answer::Cancelled,
        _ => Answer::Refused(super::output::printable(text)),
    }
}

/// Adds percent-encoded data; `None` where it is malformed or too long.
fn decode(encoded: &[u8], data: &mut Zeroizing<Vec<u8>>) -> Option<()> {
    let mut octets = encoded.iter();
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'%' => {
                let mut digit = || char::from(*octets.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            plain => *plain,
        };
        if data.len() >= SECRET {
            return None;
        }
        data.push(octet);
    }
    Some(())
}

/// As the argument of a command; what is too long is cut.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for c in text.chars() {
        let before = encoded.len();
        match c {
            '%' | '\n' => encoded += &format!("%{:02X}", u32::from(c)),
            c if c.is_control() => encoded.push('\u{fffd}'),
            c => encoded.push(c),
        }
        if encoded.len() > ARGUMENT {
            encoded.truncate(before);
            break;
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (io::Result<Answer>, String) {
        let mut sent = Vec::new();
        let answer = talk(&mut sent, &mut text.as_bytes(), &["SETDESC a%0Ab\n".to_owned()]);
        (answer, String::from_utf8(sent).unwrap())
    }

    #[test]
    fn data_is_put_together_and_decoded() {
        let (answer, sent) =
            said("OK hello\nERR 1 unknown\n# note\nS PASSWORD 1\nD 100%25%0a\nD caf\u{e9}\nOK\n");
        let Ok(Answer::Given(secret)) = answer else { panic!() };
        assert_eq!(secret.expose(), "100%\ncaf\u{e9}".as_bytes());
        assert_eq!(sent, "SETDESC a%0Ab\nGETPIN\n");
    }

    #[test]
    fn a_refusal_is_one() {
        assert!(matches!(
            said("OK\nOK\nERR 83886179 Operation cancelled <Pinentry>\n").0,
            Ok(Answer::Cancelled)
        ));
        let refused = said("OK\nOK\nERR 83918950 Inappropriate\u{7} ioctl\n").0;
        assert!(matches!(refused, Ok(Answer::Refused(text)) if text == "Inappropriate\u{fffd} ioctl"));
        for text in ["", "OK\nOK\n", "HTTP/1.1 200\n", "OK\nOK\nD %4\nOK\n", "OK\nOK\nD %zz\nOK\n"] {
            assert!(said(text).0.is_err(), "{text}");
        }
        let long = format!("OK\nOK\n{}OK\n", "D abcdefgh\n".repeat(SECRET / 8 + 1));
        assert!(said(&long).0.is_err());
    }

    #[test]
    fn arguments_stay_on_their_line() {
        assert_eq!(encoded("50%\na\rb\u{1b}"), "50%25%0Aa\u{fffd}b\u{fffd}");
        assert!(encoded(&"\u{20ac}%".repeat(1000)).len() <= ARGUMENT);
    }
}
