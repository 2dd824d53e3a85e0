//! What is wrong with a profile: errors refuse it, warnings only tell.

use super::position::Position;
use super::{MAX_DEPTH, MAX_SIZE};

/// Why a file is not a usable profile: where, what was found there, and what was expected instead. Exit code 7.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{at}: found {found}, expected {expected}")]
pub struct ProfileError {
    /// Where.
    pub at: Position,
    /// What kind of damage it is.
    pub kind: ErrorKind,
    /// What stands there, for people; cut to a few words and free of control characters.
    pub found: String,
    /// What should stand there, for people.
    pub expected: String,
}

/// The kinds of damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Larger than [`MAX_SIZE`].
    TooLarge,
    /// Not UTF-8, or a character that XML 1.0 forbids.
    Encoding,
    /// Not well-formed: a tag, comment or reference without an end, a broken attribute.
    Markup,
    /// Elements nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A document type definition; a profile has none, and they are a way to attack parsers.
    Dtd,
    /// A reference to an entity that is not one of XML's five.
    Entity,
    /// A closing tag that does not fit the element that is open.
    WrongClose,
    /// The file ends inside an element.
    NeverClosed,
    /// Text where only elements may stand, or a second value in one element.
    StrayText,
    /// The outermost element is not `AnyConnectProfile`, or something follows it.
    Root,
    /// A value outside its type.
    Value,
    /// An element that must be there is not.
    Missing,
    /// An element twice where one is allowed.
    Twice,
}

impl ProfileError {
    pub(super) fn new(
        at: Position,
        kind: ErrorKind,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { at, kind, found: found.into(), expected: expected.into() }
    }

    pub(super) fn too_large(size: usize) -> Self {
        let start = Position { line: 1, column: 1 };
        Self::new(
            start,
            ErrorKind::TooLarge,
            format!("{size} bytes or more"),
            format!("a profile of at most {MAX_SIZE} bytes"),
        )
    }

    pub(super) fn too_deep(at: Position, name: &str) -> Self {
        Self::new(
            at,
            ErrorKind::TooDeep,
            format!("<{}> as element {} of a nest", quote(name), MAX_DEPTH + 1),
            format!("at most {MAX_DEPTH} elements inside each other"),
        )
    }
}

/// Something that does not stop the profile from being used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// What, for people.
    pub kind: WarningKind,
}

/// The kinds of warning.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarningKind {
    /// An element that this client does not know.
    #[error("unknown element <{name}> inside <{inside}>: ignored{}", suggestion(.nearest))]
    UnknownElement {
        /// Its name.
        name: String,
        /// The element around it.
        inside: &'static str,
        /// A known element of nearly the same name.
        nearest: Option<&'static str>,
    },
    /// An attribute that this client does not know there.
    #[error("unknown attribute {name} of <{element}>: ignored")]
    UnknownAttribute {
        /// Its name.
        name: String,
        /// The element.
        element: &'static str,
    },
    /// A value outside its type, of a setting that this client does not obey.
    #[error("<{element}> holds {found}, expected {expected}: ignored")]
    Value {
        /// The element.
        element: &'static str,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: String,
    },
    /// A setting twice, of the settings that this client does not obey.
    #[error("<{element}> was already there at {first}: the first one counts")]
    Twice {
        /// The element.
        element: &'static str,
        /// The first one.
        first: Position,
    },
    /// Not the namespace of these profiles.
    #[error("the namespace is {found}, expected \"{}\": read all the same", super::NAMESPACE)]
    Namespace {
        /// What stands there.
        found: String,
    },
    /// The XML declaration names another encoding than UTF-8, but the file is UTF-8.
    #[error("the file says encoding {found}, but it is read as UTF-8")]
    Encoding {
        /// What it says.
        found: String,
    },
    /// No host in the list of servers.
    #[error("the profile names no gateway (no <HostEntry> in <ServerList>)")]
    NoHost,
    /// Two hosts of the same name.
    #[error("a second host of the name {name}: the first one, at {first}, counts")]
    SameHost {
        /// The name.
        name: String,
        /// The first one.
        first: Position,
    },
    /// A method that does not count.
    #[error(
        "AuthMethodDuringIKENegotiation counts only where StandardAuthenticationOnly is true: EAP-AnyConnect is used"
    )]
    MethodWithoutStandard,
    /// There were more warnings than are kept.
    #[error("and {count} more warnings")]
    More {
        /// How many are not listed.
        count: usize,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(" (did you mean <{name}>?)")).unwrap_or_default()
}

/// A piece of a file as it may stand in a message: its first line, at most 48 characters, control characters replaced.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 48;
    let line = text.trim().lines().next().unwrap_or("").trim_end();
    let mut short: String =
        line.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if line.chars().count() > LONGEST {
        short.push('…');
    }
    short
}
