//! The text of resolv.conf(5) with a tunnel's settings in it.

use crate::plan::Dns;
use crate::sense::resolv_conf::{self, BEFORE, BEGIN, END};
use std::path::Path;

/// Servers of a resolv.conf that programs ask (`MAXNS` of the C library).
pub(super) const MAX_SERVERS: usize = 3;
/// Lines of one kind that are remembered of the file as it was.
const MAX_LINES: usize = 16;
/// Longest line that is remembered, octets.
const MAX_LINE: usize = 8 << 10;

/// What the file has to say while the tunnel is up, and what of the wishes it cannot say. Whoever reads it learns from its
/// comments which servers and domains it named before: an agent without privilege cannot read `backup`.
pub(super) fn compose(before: &[u8], dns: &Dns, backup: Option<&Path>) -> (String, Vec<String>) {
    let mut notes = Vec::new();
    let old = Lines::of(before);
    let mut text = match backup {
        Some(backup) => format!("{BEGIN}: the file as it was is {} and comes back.\n", backup.display()),
        None => format!("{BEGIN}: there was no file, and will be none.\n"),
    };
    for line in old.nameservers.iter().chain(&old.search).chain(&old.others) {
        text.extend([BEFORE, line, "\n"]);
    }
    for server in dns.servers.iter().take(MAX_SERVERS) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if let Some(ignored) = dns.servers.get(MAX_SERVERS..).filter(|ignored| !ignored.is_empty()) {
        let ignored: Vec<String> = ignored.iter().map(ToString::to_string).collect();
        notes.push(format!(
            "programs ask only the first {MAX_SERVERS} servers of resolv.conf: {} is left out",
            ignored.join(", ")
        ));
    }
    let mut search = Vec::new();
    for name in dns.search.iter().chain(&resolv_conf::parse(before).domains) {
        match domain(name) {
            Some(name) if search.contains(&name) => {}
            Some(name) => search.push(name),
            None => notes.push(format!("{name:?} is no domain's name: left out")),
        }
    }
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    for line in &old.others {
        text.extend([line, "\n"]);
    }
    text.push_str(&format!("{END}\n"));
    if !dns.only.is_empty() {
        notes.push(format!(
            "resolv.conf knows one list of servers: those of the tunnel are asked every name, not only those under {}",
            dns.only.join(", ")
        ));
    }
    (text, notes)
}

/// A name as the resolver is told it: without what would end the line, or the word.
pub(super) fn domain(name: &str) -> Option<String> {
    let line = [b"domain ", name.as_bytes()].concat();
    let whole = !name.contains(|c: char| c.is_ascii_whitespace());
    resolv_conf::parse(&line).domains.pop().filter(|_| whole)
}

/// Whether settings of ours are in it.
pub(super) fn is_marked(octets: &[u8]) -> bool {
    octets.split(|octet| *octet == b'\n').any(|line| line.starts_with(BEGIN.as_bytes()))
}

/// The file without our settings, where nothing better is known of how it was: its comments are lost, and whatever somebody
/// has written between our lines.
pub(super) fn unmarked(octets: &[u8]) -> Vec<u8> {
    resolv_conf::without_ours(octets).collect::<Vec<_>>().join(&b'\n')
}

/// The lines of a resolv.conf that mean something, each as words with one blank between them.
#[derive(Default)]
struct Lines {
    nameservers: Vec<String>,
    /// The last one counts.
    search: Option<String>,
    /// Options and sort lists.
    others: Vec<String>,
}

impl Lines {
    fn of(octets: &[u8]) -> Self {
        let mut lines = Self::default();
        for line in resolv_conf::without_ours(octets) {
            let words: Vec<&str> = line
                .split(u8::is_ascii_whitespace)
                .filter_map(|word| std::str::from_utf8(word).ok())
                .filter(|word| !word.is_empty() && !word.contains(char::is_control))
                .collect();
            let text = words.join(" ");
            if text.len() > MAX_LINE {
                continue;
            }
            match words.first() {
                Some(&"nameserver") if !resolv_conf::parse(text.as_bytes()).dns_servers.is_empty() => {
                    lines.nameservers.push(text);
                }
                Some(&("search" | "domain")) => lines.search = Some(text),
                Some(&("options" | "sortlist")) => lines.others.push(text),
                _ => {}
            }
        }
        lines.nameservers.truncate(MAX_LINES);
        lines.others.truncate(MAX_LINES);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dns(servers: &[&str], search: &[&str]) -> Dns {
        Dns {
            servers: servers.iter().map(|ip| ip.parse().unwrap()).collect(),
            search: search.iter().map(ToString::to_string).collect(),
            only: Vec::new(),
        }
    }

    #[test]
    fn the_file_names_the_tunnel_and_remembers_what_it_named() {
        let before = b"# by dhclient\nnameserver 10.0.0.1\ndomain old.example\nsearch home.example  Corp.example\r\noptions edns0\tndots:2\n";
        let dns = dns(&["10.1.1.1", "fd00::1"], &["corp.example"]);
        let (text, notes) = compose(before, &dns, Some(Path::new("/var/lib/x/before")));
        assert_eq!(
            text,
            "# Begin of the settings of ikeep: the file as it was is /var/lib/x/before and comes back.\n\
             # ikeep-before: nameserver 10.0.0.1\n\
             # ikeep-before: search home.example Corp.example\n\
             # ikeep-before: options edns0 ndots:2\n\
             nameserver 10.1.1.1\nnameserver fd00::1\nsearch corp.example home.example\noptions edns0 ndots:2\n\
             # End of the settings of ikeep\n"
        );
        assert!(notes.is_empty(), "{notes:?}");
        assert!(is_marked(text.as_bytes()) && !is_marked(before));
        let back = "nameserver 10.0.0.1\nsearch home.example Corp.example\noptions edns0 ndots:2\n";
        assert_eq!(String::from_utf8(unmarked(text.as_bytes())).unwrap(), back);
        let edited = format!("nameserver 9.9.9.9\n{text}options rotate\n");
        assert_eq!(
            String::from_utf8(unmarked(edited.as_bytes())).unwrap(),
            format!("nameserver 9.9.9.9\n{back}options rotate\n")
        );
    }

    #[test]
    fn what_the_file_cannot_say_is_told() {
        let mut dns =
            dns(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], &["a.example\nnameserver 6.6.6.6"]);
        dns.only = vec!["corp.example".to_owned()];
        let (text, notes) = compose(b"", &dns, None);
        assert_eq!(text.matches("\nnameserver ").count(), 3);
        assert!(!text.contains("6.6.6.6") && !text.contains("10.0.0.4"), "{text}");
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("10.0.0.4") && notes[2].contains("corp.example"), "{notes:?}");
        for (name, good) in
            [("a.b", Some("a.b")), ("A.b.", Some("a.b")), ("a b", None), ("", None), (".", None)]
        {
            assert_eq!(domain(name).as_deref(), good, "{name:?}");
        }
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let words = "(nameserver|search|domain|options|sortlist)[ \t]+[a-f0-9:.% -]{0,20}\r?";
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            proptest::collection::vec(
                prop::sample::select(b"nameserver options search\t\r\n\n #;.:1f\xff\x0b".to_vec()),
                0..400
            ),
            proptest::collection::vec(words, 0..12).prop_map(|lines| lines.join("\n").into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn any_file_is_remembered_and_the_tunnel_is_all_it_says(
            before in octets(),
            servers in proptest::collection::vec(any::<std::net::IpAddr>(), 1..5),
            search in proptest::collection::vec("[a-z0-9. \n#]{0,12}", 0..5),
        ) {
            let dns = Dns { servers: servers.clone(), search, only: Vec::new() };
            let (text, _) = compose(&before, &dns, Some(Path::new("/b")));
            // What the networks say of themselves is the same, read through our settings or with them taken out.
            let networks = resolv_conf::parse(&before);
            prop_assert_eq!(&resolv_conf::parse(text.as_bytes()), &networks);
            prop_assert_eq!(&resolv_conf::parse(&unmarked(text.as_bytes())), &networks);
            // What programs read, who know nothing of our comments.
            let live: String = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
            let live = resolv_conf::parse(live.as_bytes());
            prop_assert_eq!(&live.dns_servers[..], &servers[..servers.len().min(MAX_SERVERS)]);
            prop_assert!(networks.domains.iter().all(|name| live.domains.contains(name)) || live.domains.len() == resolv_conf::MAX_DOMAINS);
            // Applied over itself, nothing of the first settings stays.
            let (again, _) = compose(text.as_bytes(), &dns, Some(Path::new("/b")));
            prop_assert_eq!(again, text);
        }
    }
}
