//! What is said, as types.

use crate::config::Tunnel;
use crate::crypto::Secret;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The version of these messages. Members may be added within a version (readers ignore unknown ones); anything else makes a
/// new one.
pub const PROTOCOL: u32 = 1;
/// The longest line, its newline included; octets.
pub const MAX_LINE: usize = 1 << 20;

/// The first line, both ways.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the side that speaks.
    pub protocol: u32,
    /// Version of its program.
    pub version: String,
    /// Its process.
    pub pid: u32,
}

/// What a client wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way from the socket to who does it")]
pub enum Request {
    /// A connection. Answered with [`Reply::State`], [`Reply::Ask`] and [`Reply::Notice`] as it goes, and at last with
    /// [`Reply::Connected`] or [`Reply::Failed`]. A client that goes away while its login is under way ends the login.
    Connect(Connect),
    /// The answer to the last [`Reply::Ask`]. No reply of its own.
    Answer(Answer),
    /// No connection. Answered with [`Reply::Done`] when the gateway knows, or has not answered in time.
    Disconnect,
    /// A new SA now. Answered as [`Request::Connect`].
    Reconnect,
    /// A way past the tunnel, for the log-in at the captive portal that was found. Answered with [`Reply::Gap`].
    OpenGap {
        /// How long, 1 to [`super::helper::MAX_GAP`]; `None`: as the profile has it.
        #[serde(default)]
        seconds: Option<u16>,
    },
    /// No way past the tunnel any more. Answered with [`Reply::Done`].
    CloseGap,
    /// Answered with one [`Reply::Status`].
    Status,
    /// Answered with a [`Reply::Status`] now and after each change.
    Watch,
    /// The agent ends; intent and session stay on disk, so that the next one goes on. Answered with [`Reply::Done`].
    Stop,
}

/// What to connect to. What is not said is as at the last time, else as the config file has it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Connect {
    /// HostName or HostAddress of a profile.
    pub host: Option<String>,
    /// The profile, an absolute path.
    pub profile: Option<PathBuf>,
    /// The agent's own: whether a person has named the profile, or it was found. `None`: a person says it now, or it was kept
    /// before this was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named: Option<bool>,
    /// Fills the input for the user's name, so that nobody is asked for it.
    pub user: Option<String>,
    /// Fills the input for the group.
    pub group: Option<String>,
    /// Where packets enter and leave.
    pub tunnel: Option<Tunnel>,
    /// Where the proxy listens.
    pub proxy: Option<SocketAddr>,
    /// Files of roots to trust beside the config's, absolute paths.
    pub trust: Vec<PathBuf>,
    /// The user's certificate, an absolute path, instead of the config's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key, an absolute path, where it is in another file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The config file, an absolute path, instead of the user's.
    pub config: Option<PathBuf>,
    /// The agent's own: the backup server of the host that it has moved on to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// The agent's own: backup servers that the gateway named in the last session.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<String>,
    /// The agent's own: the passphrase of the key, as it was answered; it leaves the agent's memory nowhere.
    #[serde(skip)]
    pub passphrase: Option<Secret>,
}

/// The answers to a [`Question`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// [`Question::id`].
    pub id: u64,
    /// By input name.
    pub values: BTreeMap<String, Typed>,
}

/// What a person typed, UTF-8. `Debug` does not show it; it is written nowhere but on the agent's own socket.
///
/// There it stands in hexadecimal digits: a JSON string without an escape is read in place, where one with an escape would
/// be copied into a buffer of the parser's, which nobody zeroizes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Typed(pub Secret);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(self.0.expose()))
    }
}

/// Digits one by one, without a text in between.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexDigits)
    }
}

struct HexDigits;

impl Visitor<'_> for HexDigits {
    type Value = Typed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UTF-8 in hexadecimal digits")
    }

    fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Typed, E> {
        // The error does not show what stands there.
        let wrong = || E::custom("expected UTF-8 in hexadecimal digits");
        // Full size at once: a `Vec` that grows leaves the old octets behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
        for pair in digits.as_bytes().chunks(2) {
            let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
            let octet = digit(0).zip(digit(1)).map(|(high, low)| high << 4 | low);
            octets.push(octet.and_then(|octet| u8::try_from(octet).ok()).ok_or_else(wrong)?);
        }
        std::str::from_utf8(&octets).map_err(|_| wrong())?;
        Ok(Typed(Secret::new(std::mem::take(&mut *octets))))
    }
}

/// What the agent says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reply {
    /// How far it is: a name as in `status --json`, and a line for people.
    State {
        /// The name.
        state: String,
        /// For people.
        text: String,
    },
    /// A question to the person.
    Ask(Question),
    /// Something to tell the person.
    Notice {
        /// What it is.
        kind: NoticeKind,
        /// One or more lines.
        text: String,
    },
    /// The picture, with the keys of `status --json`.
    Status {
        /// The object.
        status: Value,
    },
    /// There is a connection.
    Connected(Connected),
    /// There is a way past the tunnel.
    Gap {
        /// How long.
        seconds: u16,
        /// Where the portal sends people, in its own words.
        location: Option<String>,
    },
    /// Done.
    Done,
    /// It did not work.
    Failed(Failure),
}

/// Who speaks in a [`Reply::Notice`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// The gateway's banner.
    Banner,
    /// Another text of the gateway's.
    Gateway,
    /// The agent: something is not as it should be, but it goes on.
    Warning,
}

/// There is a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Connected {
    /// HostName.
    pub host: String,
    /// It was there before the request.
    pub already: bool,
    /// By token, without a question.
    pub by_token: bool,
    /// Inner addresses.
    pub addresses: Vec<String>,
    /// Where packets enter, for people: `SOCKS5 and HTTP proxy at 127.0.0.1:1080`.
    pub tunnel: String,
    /// Where the proxy listens, if that is where packets enter.
    #[serde(default)]
    pub proxy: Option<SocketAddr>,
    /// The file with the proxy's user and password, where it wants some.
    #[serde(default)]
    pub proxy_login: Option<PathBuf>,
}

/// A form of the gateway's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// To be named in the answer: an answer to an older question is thrown away.
    pub id: u64,
    /// Title, or empty.
    pub title: String,
    /// Text above the inputs, or empty.
    pub message: String,
    /// What was wrong with the last answer, or empty.
    pub error: String,
    /// What to fill in.
    pub inputs: Vec<Input>,
    /// HostAddress of the profile's entry, whichever of its gateways asks; empty from an older agent.
    #[serde(default)]
    pub gateway: String,
    /// Whose login it is, where that is known; else empty.
    #[serde(default)]
    pub user: String,
    /// The gateway's name for the form (`main`, `challenge`, ..), or empty.
    #[serde(default)]
    pub form: String,
}

/// One input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Input {
    /// Name for the answer.
    pub name: String,
    /// For people.
    pub label: String,
    /// What kind.
    pub kind: InputKind,
    /// What stands in it already, or empty; never a secret.
    pub value: String,
    /// What to choose from, as value and label; empty where anything may be typed.
    pub options: Vec<(String, String)>,
}

/// How an input is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    /// With echo.
    Text,
    /// Without echo.
    Secret,
    /// One of the options.
    Choice,
}

/// Why it did not work: what happened, why, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Gives the exit code.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
    /// The gateway has found no fault with the password: what is remembered stays. False too where an older agent does not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_stands: bool,
}

impl Failure {
    /// One that tells nothing of the password.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), password_stands: false }
    }
}

/// The exit codes of the contract, by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// A person must log in, or the gateway refused the login.
    Authentication,
    /// No answer from the gateway.
    NoAnswer,
    /// The gateway's certificate was refused.
    Certificate,
    /// The profile is damaged, or not for this client.
    Profile,
    /// The request makes no sense.
    Usage,
    /// Anything else.
    Other,
}
