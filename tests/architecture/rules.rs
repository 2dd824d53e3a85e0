//! What each room may import, and what the sans-IO core stays away from.

use super::source::{Root, Source, SourcePath};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// One room: its name, whether it belongs to the sans-IO core, and the rooms its code may import.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) core: bool,
    pub(crate) imports: &'static [&'static str],
}

const fn shell(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, core: false, imports }
}

const fn core(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, core: true, imports }
}

/// The rooms from the outside in. A room imports rooms further down only, so there is no circle.
pub(crate) const ROOMS: &[Room] = &[
    shell(
        "cli",
        &[
            "lab", "agent", "netd", "store", "bundle", "facts", "journal", "ipc", "config", "pkcs11",
            "gateway", "session", "plan", "profile", "crypto", "time",
        ],
    ),
    shell(
        "lab",
        &[
            "agent",
            "netd",
            "tunnel",
            "sense",
            "store",
            "journal",
            "ipc",
            "config",
            "client",
            "gateway",
            "reconnect",
            "ike",
            "esp",
            "session",
            "plan",
            "profile",
            "crypto",
            "time",
        ],
    ),
    shell(
        "agent",
        &[
            "tunnel",
            "sense",
            "store",
            "bundle",
            "facts",
            "journal",
            "ipc",
            "config",
            "pkcs11",
            "client",
            "reconnect",
            "ike",
            "esp",
            "session",
            "plan",
            "profile",
            "crypto",
            "time",
        ],
    ),
    shell("netd", &["tunnel", "sense", "journal", "ipc", "config", "plan", "time"]),
    shell("tunnel", &["esp", "plan", "crypto", "time"]),
    shell("sense", &["config", "reconnect", "plan", "time"]),
    shell("store", &["ipc", "config", "session", "crypto", "time"]),
    shell("bundle", &["facts", "journal", "ipc", "config", "time"]),
    shell("facts", &["ipc", "config", "profile", "time"]),
    shell("journal", &["config", "client", "reconnect", "time"]),
    shell("ipc", &["config", "session", "plan", "crypto", "time"]),
    shell("config", &["pkcs11", "reconnect", "ike", "profile", "crypto", "time"]),
    shell("pkcs11", &["crypto", "time"]),
    core("client", &["reconnect", "ike", "esp", "session", "plan", "profile", "crypto", "time"]),
    core("gateway", &["ike", "esp", "session", "plan", "crypto", "time"]),
    core("reconnect", &["session", "plan", "profile", "crypto", "time"]),
    core("ike", &["esp", "session", "plan", "crypto", "time"]),
    core("esp", &["crypto", "time"]),
    core("session", &["plan", "crypto", "time"]),
    core("plan", &["time"]),
    core("profile", &["time"]),
    core("crypto", &["time"]),
    core("time", &[]),
];

/// What test code of any room may name although it lies further up: certificates for its examples.
const FOR_TESTS: &[&[&str]] = &[&["lab", "pki"]];

/// Paths that the core may not name, and why. A path is refused if it begins with one of these.
const FORBIDDEN_IN_CORE: &[(&[&str], &str)] = &[
    (&["tokio"], "the core has no runtime"),
    (&["tokio_util"], "the core has no runtime"),
    (&["rustix"], "the core makes no system calls"),
    (&["std", "fs"], "the core opens no files: take the bytes as an argument"),
    (&["std", "env"], "the core reads no environment: take the value as an argument"),
    (&["std", "os"], "the core makes no system calls"),
    (&["std", "process"], "the core starts no processes"),
    (&["std", "thread"], "the core has no threads"),
    (&["std", "time", "Instant"], "the core is told the time: `time::Now`"),
    (&["std", "time", "SystemTime"], "the core is told the time: `time::Now`"),
    (&["getrandom"], "randomness is an argument: `crypto::Random`"),
    (&["rand"], "randomness is an argument: `crypto::Random`"),
    (&["hostname"], "facts of the machine are arguments"),
    (&["directories"], "facts of the machine are arguments"),
    (&["rustls_native_certs"], "trusted roots are arguments"),
    (&["tracing_appender"], "files belong to the shells"),
    (&["tracing_subscriber"], "files belong to the shells"),
];

/// Names that give a socket, a look-up or OS randomness away whatever path leads to them.
const FORBIDDEN_NAMES_IN_CORE: &[(&str, &str)] = &[
    ("UdpSocket", "the core has no sockets: `handle_datagram` and `poll_transmit`"),
    ("TcpStream", "the core has no sockets"),
    ("TcpListener", "the core has no sockets"),
    ("UnixStream", "the core has no sockets"),
    ("UnixDatagram", "the core has no sockets"),
    ("ToSocketAddrs", "the core asks no DNS"),
    ("SystemTime", "the core is told the time: `time::Now`"),
    ("SystemRandom", "randomness is an argument: `crypto::Random`"),
    ("stdin", "the core reads no input"),
    ("stdout", "the core prints nothing"),
    ("stderr", "the core prints nothing"),
    ("println", "the core prints nothing"),
    ("eprintln", "the core prints nothing"),
];

/// Whole modules of std whose items must be named one by one, or a ban on one of them could be walked around.
const NAME_THE_ITEM: &[&str] = &["net", "time"];

/// The one file of the core that may name OS randomness: RSA signing blinds with it inside ring.
const SIGNING: &str = "src/crypto/signature";

/// Most lines a file may have, and from where on the test warns.
pub(crate) const MAX_LINES: usize = 700;
pub(crate) const MANY_LINES: usize = 500;

/// Something that breaks a rule, as `file:line: what, and what to do`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// The room of a file under `src`, or `None` for the crate root and the binaries.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next().unwrap_or(inside);
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (!matches!(name, "lib" | "main" | "bin")).then_some(name)
}

/// How many modules below the crate root the file is.
fn depth_of(path: &str) -> usize {
    let parts: Vec<_> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let root = matches!(parts.last(), Some(&"mod" | &"lib" | &"main"));
    parts.len() - usize::from(root)
}

/// Checks one file. `is_test` says that the whole file is test code.
pub(crate) fn check_source(path: &str, text: &str, is_test: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line, what| findings.push(Finding { file: path.to_owned(), line, what });
    let lines = text.lines().count();
    if lines > MAX_LINES {
        report(
            lines,
            format!("has {lines} lines, more than {MAX_LINES}: one subject a file, long tests in a sibling"),
        );
    }
    let source = Source::new(text, depth_of(path));
    let test_code = source.test_code();
    let position = |name: &str| ROOMS.iter().position(|room| room.name == name);
    let own = room_of(path);
    let Some(own) = own else {
        // The crate root and the binaries: they may name any room, but only rooms.
        for used in source.paths() {
            let target = match (used.root, used.segments.as_slice()) {
                (Root::Crate, [first, ..]) => first,
                (Root::Name, [krate, room, ..]) if krate == "ikeep" => room,
                _ => continue,
            };
            if position(target).is_none() {
                report(
                    used.line,
                    format!("`{target}` is not a room: items live in rooms, not in the crate root"),
                );
            }
        }
        return findings;
    };
    let Some(own_position) = position(own) else {
        report(
            1,
            format!(
                "room `{own}` is not in ROOMS of tests/architecture/rules.rs: give it a place and its imports"
            ),
        );
        return findings;
    };
    let room = &ROOMS[own_position];
    for used in source.paths() {
        let test = is_test || inside(&test_code, used.at);
        if let Some(what) = check_import(room, own_position, &source, &used, test) {
            report(used.line, what);
        }
        if room.core
            && !test
            && let Some(what) = check_core_path(path, &used)
        {
            report(used.line, what);
        }
    }
    findings.dedup();
    findings
}

fn inside(ranges: &[Range<usize>], at: usize) -> bool {
    ranges.iter().any(|range| range.contains(&at))
}

/// Whether this path leads to a room that the own room may not import. Test code may import anything further down.
fn check_import(
    room: &Room,
    own: usize,
    source: &Source<'_>,
    used: &SourcePath,
    test: bool,
) -> Option<String> {
    if used.root != Root::Crate {
        return None;
    }
    let own_name = room.name;
    let Some(target) = used.segments.first() else {
        let renamed = source.tokens.get(used.at + 1).is_some_and(|next| next.text == "as");
        return renamed.then(|| "renames the crate root: name the room".to_owned());
    };
    if target == own_name {
        return None;
    }
    let Some(position) = ROOMS.iter().position(|room| room.name == target) else {
        return Some(format!("`crate::{target}` is not a room: name the room and its item"));
    };
    let leads_to = |path: &&[&str]| {
        path.iter().enumerate().all(|(at, part)| used.segments.get(at).is_some_and(|own| own == part))
    };
    if test && (position > own || FOR_TESTS.iter().any(leads_to)) {
        return None;
    }
    if room.imports.contains(&target.as_str()) {
        return None;
    }
    let why = if position < own {
        "imports go down the list only"
    } else if room.core && !ROOMS[position].core {
        "the core imports only the core"
    } else {
        "this is not among its imports"
    };
    Some(format!("`{own_name}` imports `{target}`: {why} (ROOMS in tests/architecture/rules.rs)"))
}

/// Whether this path leads out of the sans-IO core.
fn check_core_path(file: &str, used: &SourcePath) -> Option<String> {
    if used.root != Root::Name {
        return None;
    }
    let segments: Vec<&str> = used.segments.iter().map(String::as_str).collect();
    let written = segments.join("::");
    if file.starts_with(SIGNING) && segments.contains(&"SystemRandom") {
        return None;
    }
    for (forbidden, why) in FORBIDDEN_IN_CORE {
        // `std`, `core` and `alloc` name the same things.
        let same = |(at, part): (usize, &&str)| {
            segments.get(at).is_some_and(|own| own == part || at == 0 && *part == "std" && *own == "core")
        };
        if forbidden.iter().enumerate().all(same) {
            return Some(format!("`{written}` in the core: {why}"));
        }
    }
    for (name, why) in FORBIDDEN_NAMES_IN_CORE {
        if segments.contains(name) {
            return Some(format!("`{written}` in the core: {why}"));
        }
    }
    if let ["std" | "core", rest @ ..] = segments.as_slice()
        && let [] | ["*"] | ["self"] | [_, "*"] | [_, "self"] | [_] = rest
        && rest.first().is_none_or(|module| *module == "*" || NAME_THE_ITEM.contains(module))
    {
        return Some(format!("`{written}` in the core: name the item, not its module"));
    }
    if segments == ["ring", "rand"] {
        return Some(format!("`{written}` in the core: randomness is an argument: `crypto::Random`"));
    }
    None
}

/// The files that `#[cfg(test)] mod name;` in `path` declares, as prefixes: `src/a/name.rs` and `src/a/name/`.
pub(crate) fn test_files(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(text, depth_of(path));
    let file = Path::new(path);
    let folder = match file.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => file.parent().unwrap_or(file).to_path_buf(),
        _ => file.with_extension(""),
    };
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    source
        .test_modules()
        .into_iter()
        .flat_map(|name| [format!("{}.rs", at(name)), format!("{}/", at(name))])
        .collect()
}

/// The names among `names` (crate names, hyphens as underscores) that some path in `text` begins with, or that a `use`
/// or `extern crate` names.
pub(crate) fn crates_used<'n>(
    text: &str,
    names: &BTreeSet<&'n str>,
    with_test_code: bool,
) -> BTreeSet<&'n str> {
    let source = Source::new(text, 0);
    let test_code = if with_test_code { Vec::new() } else { source.test_code() };
    let mut used = BTreeSet::new();
    for path in source.paths() {
        let named = path.at.checked_sub(1).and_then(|at| source.tokens.get(at));
        let alone = path.segments.len() == 1
            && !named.is_some_and(|token| matches!(token.text, "use" | "crate" | "["));
        if path.root != Root::Name || alone || inside(&test_code, path.at) {
            continue;
        }
        if let Some(name) = path.segments.first().and_then(|first| names.get(first.as_str())) {
            used.insert(*name);
        }
    }
    used
}
