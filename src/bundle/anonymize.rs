//! Masks for who and where: addresses, MACs, names of people, hosts and domains, session IDs. The same thing has the same mask
//! in the whole bundle, and an address still shows its family and whether it is private.
//!
//! Names are learned first, where they stand under a heading (`user`, `<HostName>`, `IKE ID '..'`) in any entry, and then
//! masked wherever they are; addresses and domains are known by their form. Free text that a gateway sends is not understood.

mod escape;
mod form;

use super::gather::{Gathered, Item};
use escape::{Colons, before, hex, unescaped, written_otherwise};
use form::{ipv4, ipv6, mac, named_by_mac, uuid};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is masked. Its name is the beginning of the mask.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    User,
    Host,
    Session,
    Domain,
    Profile,
    Organisation,
    Mac,
    Uuid,
    Ip(&'static str),
}

/// What stands before a name, where the name ends, and what it is.
const HEADINGS: [(&str, &[char], Kind); 23] = [
    ("<HostName>", &['<'], Kind::Host),
    ("<HostAddress>", &['<'], Kind::Host),
    ("<UserGroup>", &['<'], Kind::Organisation),
    ("\"host\": \"", &['"'], Kind::Host),
    ("\"gateway\": \"", &['"'], Kind::Host),
    ("\"user\": \"", &['"'], Kind::User),
    ("\"group\": \"", &['"'], Kind::Organisation),
    ("\"session_id\": \"", &['"'], Kind::Session),
    ("[gateway.\"", &['"'], Kind::Host),
    ("user = \"", &['"'], Kind::User),
    ("host = \"", &['"'], Kind::Host),
    ("group = \"", &['"'], Kind::Organisation),
    ("user=", &[' ', '\n', ',', '"'], Kind::User),
    ("host=", &[' ', '\n', ',', '"'], Kind::Host),
    ("session_id=", &[' ', '\n', ',', '"'], Kind::Session),
    ("Username: ", &['\n'], Kind::User),
    ("IKE ID '", &['\'', '\n'], Kind::Session),
    ("Connected to ", &['\n'], Kind::Host),
    ("Reconnecting to ", &['\n'], Kind::Host),
    ("CN=", &[',', '\n', '"', '<', '+'], Kind::Host),
    ("O=", &[',', '\n', '"', '<', '+'], Kind::Organisation),
    ("OU=", &[',', '\n', '"', '<', '+'], Kind::Organisation),
    ("DC=", &[',', '\n', '"', '<', '+'], Kind::Organisation),
];
/// Names that tell nothing of anybody, and that stand in every text.
const GENERIC: [&str; 22] = [
    "root",
    "user",
    "test",
    "admin",
    "guest",
    "nobody",
    "localhost",
    "profile",
    "default",
    "gateway",
    "host",
    "vpn",
    "none",
    "null",
    "true",
    "false",
    "[masked]",
    "ikeep",
    "state",
    "status",
    "connected",
    "error",
];
/// At the end of names of files and units.
const FILES: [&str; 21] = [
    "log", "xml", "toml", "json", "conf", "service", "socket", "html", "txt", "sock", "key", "pem", "plain",
    "target", "timer", "mount", "slice", "zst", "partial", "xsd", "rs",
];
/// Lines of resolv.conf(5) that are followed by domains.
const SEARCHED: [&str; 2] = ["search", "domain"];
/// Names in the form of domains that are none of anybody's here.
const KNOWN: [&str; 4] = ["www.w3.org", "schemas.xmlsoap.org", "org.freedesktop", "in-addr.arpa"];
/// A name of at least so many octets is masked within words, too.
const LONG: usize = 5;

/// The masks of one bundle.
#[derive(Default)]
pub(super) struct Masks {
    /// By kind: what was masked, in small letters, and its number.
    given: BTreeMap<Kind, BTreeMap<String, usize>>,
    /// Names that were learned: by their first octet, in small letters; long ones first.
    names: BTreeMap<u8, Vec<(String, Kind)>>,
}

/// What is known of this machine's user before anything is read.
pub(super) struct Known {
    /// Names of the user.
    pub(super) users: Vec<String>,
    /// Names of the machine.
    pub(super) hosts: Vec<String>,
}

/// Masks all entries, their names and where they come from.
pub(super) fn all(gathered: &mut Gathered, known: &Known) {
    let mut masks = Masks::default();
    known.users.iter().for_each(|user| masks.learn_name(user, Kind::User));
    known.hosts.iter().for_each(|host| masks.learn_name(host, Kind::Host));
    for item in &gathered.items {
        if let Some(name) = item.name.strip_prefix("profiles/") {
            masks.learn_name(name.split(".xml").next().unwrap_or(name), Kind::Profile);
        }
        masks.learn(&item.text);
        if item.name.starts_with("dns/") {
            masks.learn_searched(&item.text);
        }
    }
    let mut taken: Vec<String> = Vec::new();
    for Item { name, origin, text, .. } in &mut gathered.items {
        *text = match serde_json::from_str(text) {
            Ok(value) if name.ends_with(".json") => format!("{:#}\n", masks.mask_json(value)),
            _ => masks.mask(text),
        };
        *origin = masks.mask(origin);
        let plain = masks.mask(name);
        *name = plain.clone();
        let mut number = 2;
        while taken.contains(name) {
            *name = match plain.rsplit_once('/') {
                Some((folder, file)) => format!("{folder}/{number}_{file}"),
                None => format!("{number}_{plain}"),
            };
            number += 1;
        }
        taken.push(name.clone());
    }
    for left in &mut gathered.left_out {
        left.origin = masks.mask(&left.origin);
        left.why = masks.mask(&left.why);
    }
}

impl Masks {
    /// Takes the names that stand under a heading.
    fn learn(&mut self, text: &str) {
        for (heading, ends, kind) in HEADINGS {
            for (at, _) in text.match_indices(heading) {
                let before = text[..at].chars().next_back();
                let begins = heading.starts_with(|c: char| c.is_alphanumeric());
                if begins && before.is_some_and(char::is_alphanumeric) {
                    continue;
                }
                let rest = &text[at + heading.len()..];
                let name = up_to(rest, ends);
                self.learn_name(name.trim().trim_end_matches('.'), kind);
                // As it is when JSON's escapes are undone.
                if let Some(plain) =
                    name.contains('\\').then(|| serde_json::from_str::<String>(&format!("\"{name}\"")))
                    && let Ok(plain) = plain
                {
                    self.learn_name(&plain, kind);
                }
            }
        }
    }

    /// Takes the domains of resolv.conf, which may have no dot in them.
    fn learn_searched(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if words.next().is_some_and(|word| SEARCHED.contains(&word)) {
                words.for_each(|word| self.learn_name(word.trim_end_matches('.'), Kind::Domain));
            }
        }
    }

    /// Takes a name in every form in which it may stand somewhere.
    fn learn_name(&mut self, name: &str, kind: Kind) {
        let name = name.trim();
        self.learn_form(name, kind);
        let plain = unescaped(name);
        for form in written_otherwise(&plain) {
            self.learn_form(&form, kind);
        }
        if plain != name {
            self.learn_form(&plain, kind);
        }
    }

    fn learn_form(&mut self, as_told: &str, kind: Kind) {
        let name = as_told.to_ascii_lowercase();
        // With a port or in brackets it is an address, which is known by its form.
        let is_address = name.parse::<IpAddr>().is_ok() || name.parse::<std::net::SocketAddr>().is_ok();
        let Some(first) = name.bytes().next().filter(|_| name.len() > 1 && name.len() < 256) else { return };
        if is_address || GENERIC.contains(&name.as_str()) {
            return;
        }
        let names = self.names.entry(first).or_default();
        if names.iter().all(|(known, _)| *known != name) {
            names.push((name.clone(), kind));
            names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            if kind == Kind::Session {
                let hex: String = as_told.bytes().map(|octet| format!("{octet:02x}")).collect();
                self.learn_name(&hex, Kind::Session);
            }
            if let Some((_, parent)) = name.split_once('.')
                && kind == Kind::Host
                && parent.contains('.')
            {
                self.learn_name(parent, Kind::Domain);
            }
        }
    }

    /// The document with masks, in its keys too; it stays a document.
    fn mask_json(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask(&text)),
            Value::Array(values) => values.into_iter().map(|value| self.mask_json(value)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(key, value)| (self.mask(&key), self.mask_json(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other,
        }
    }

    /// The text with masks.
    fn mask(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let (mut at, mut copied) = (0, 0);
        while at < text.len() {
            let found = if text.is_char_boundary(at) { self.found(text, at) } else { None };
            match found {
                Some((length, mask)) => {
                    out += &text[copied..at];
                    out += &mask;
                    at += length;
                    copied = at;
                }
                None => at += 1,
            }
        }
        out + &text[copied..]
    }

    /// What begins here and is to be masked: its length, and the mask.
    fn found<'a>(&mut self, text: &'a str, at: usize) -> Option<(usize, Cow<'a, str>)> {
        let rest = &text[at..];
        let octets = rest.as_bytes();
        let first = *octets.first()?;
        let before = before(text.as_bytes(), at);
        if let Some(length) = named_by_mac(octets, before) {
            let parts: Vec<&str> = (3..length).step_by(2).filter_map(|at| rest.get(at..at + 2)).collect();
            return Some((length, self.give(Kind::Mac, &parts.join(":")).into()));
        }
        if first.is_ascii_hexdigit() || matches!(first, b':' | b'%') {
            // As it is in a URL.
            let colons = Colons::of(octets);
            let plain = colons.as_ref().map_or(octets, |colons| &colons.plain);
            let length = |length: usize| colons.as_ref().map_or(length, |colons| colons.raw(length));
            let address = ipv6(plain, before).or_else(|| ipv4(plain, before));
            if let Some((plain, ip)) = address {
                let length = length(plain);
                return Some((length, self.address(ip).map_or(rest[..length].into(), Cow::Owned)));
            }
            if let Some((plain, mac)) = mac(plain, before) {
                return Some((length(plain), self.give(Kind::Mac, &mac).into()));
            }
            if let Some(length) = uuid(octets, before) {
                return Some((length, self.give(Kind::Uuid, &rest[..length]).into()));
            }
        }
        if let Some((length, kind)) = domain(text, at) {
            return Some((length, self.give(kind, &rest[..length]).into()));
        }
        let names = self.names.get(&first.to_ascii_lowercase())?;
        let whole = |length: usize| {
            let after = octets.get(length).copied().unwrap_or(b' ');
            !before.is_ascii_alphanumeric() && !after.is_ascii_alphanumeric()
        };
        let fits = |name: &str| {
            octets.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
                && (name.len() >= LONG || whole(name.len()))
        };
        let (name, kind) = names.iter().find(|(name, _)| fits(name))?.clone();
        Some((name.len(), self.give(kind, &name).into()))
    }

    /// The mask of an address; `None` for one that every machine has.
    fn address(&mut self, ip: IpAddr) -> Option<String> {
        let ip = ip.to_canonical();
        let told = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
        let class = match ip {
            _ if told => return None,
            // A netmask, or everybody.
            IpAddr::V4(ip) if ip.octets()[0] == 255 => return None,
            IpAddr::V4(ip) if ip.is_private() => "ipv4-private",
            IpAddr::V4(ip) if ip.is_link_local() => "ipv4-link-local",
            IpAddr::V4(_) => "ipv4-public",
            IpAddr::V6(ip) if ip.is_unique_local() => "ipv6-private",
            IpAddr::V6(ip) if ip.is_unicast_link_local() => "ipv6-link-local",
            IpAddr::V6(_) => "ipv6-public",
        };
        Some(self.give(Kind::Ip(class), &ip.to_string()))
    }

    /// The mask that this has, or gets.
    fn give(&mut self, kind: Kind, what: &str) -> String {
        let word = match kind {
            Kind::User => "user",
            Kind::Host => "host",
            Kind::Session => "session",
            Kind::Domain => "domain",
            Kind::Profile => "profile",
            Kind::Organisation => "organisation",
            Kind::Mac => "mac",
            Kind::Uuid => "uuid",
            Kind::Ip(class) => class,
        };
        let given = self.given.entry(kind).or_default();
        let next = given.len() + 1;
        let number = given.entry(unescaped(what).to_ascii_lowercase()).or_insert(next);
        format!("{word}-{number}")
    }
}

/// Until one of these; after a backslash it is none.
fn up_to<'a>(text: &'a str, ends: &[char]) -> &'a str {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let ends = !escaped && ends.contains(c);
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// A domain, or what stands before the `@` of an address of mail, at the beginning of a word.
fn domain(text: &str, at: usize) -> Option<(usize, Kind)> {
    let rest = &text[at..];
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let octets = text.as_bytes();
    // Within `%XX`, or behind it.
    let escape = |at: usize| matches!(octets.get(at..), Some([b'%', high, low, ..]) if hex(*high).zip(hex(*low)).is_some());
    if at.checked_sub(1).is_some_and(escape) || at.checked_sub(2).is_some_and(escape) {
        return None;
    }
    let mut back = text[..at].chars().rev();
    let inside = match back.next() {
        _ if at.checked_sub(3).is_some_and(escape) => false,
        Some('.') => back.next().is_some_and(is_part),
        Some(before) => is_part(before),
        None => false,
    };
    if inside || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let run = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let after = &rest[run..];
    if after.starts_with('@') && after[1..].starts_with(char::is_alphanumeric) {
        return Some((run, Kind::User));
    }
    let mut name = rest[..run].trim_end_matches(['.', '-', '_']);
    if let Some((before, last)) = name.rsplit_once('.')
        && FILES.contains(&last)
        && (last != "rs" || !before.contains('.'))
    {
        name = before;
    }
    let (before, last) = name.rsplit_once('.')?;
    let is_top = last.len() > 1 && last.chars().all(char::is_alphabetic) || last.starts_with("xn--");
    let known = KNOWN.iter().any(|known| name.starts_with(known));
    let labels = before.split('.').all(|label| !label.is_empty());
    (is_top && labels && !known).then_some((name.len(), Kind::Domain))
}

#[cfg(test)]
mod tests;
