//! What resolv.conf(5) says about the networks: DNS servers and search domains.

use super::Networks;
use std::net::IpAddr;

/// Largest file that is read, octets.
pub const MAX_SIZE: usize = 64 << 10;
/// DNS servers that are kept.
pub const MAX_SERVERS: usize = 16;
/// Search domains that are kept.
pub const MAX_DOMAINS: usize = 32;
/// Octets of a domain name (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;

/// The line that the settings of our own tunnel begin with, where the helper writes them into the file.
pub const BEGIN: &str = "# Begin of the settings of ikeep";
/// Between [`BEGIN`] and [`END`]: what follows on the line stood in the file before.
pub const BEFORE: &str = "# ikeep-before: ";
/// The line that they end with.
pub const END: &str = "# End of the settings of ikeep";

/// The file as it would be without the settings of our own tunnel: its lines, without their ends. Of a file that has none these
/// are all its lines.
pub fn without_ours(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut ours = false;
    octets.split(|octet| *octet == b'\n').filter_map(move |line| {
        if !ours {
            ours = line.starts_with(BEGIN.as_bytes());
            return (!ours).then_some(line);
        }
        ours = !line.starts_with(END.as_bytes());
        line.strip_prefix(BEFORE.as_bytes())
    })
}

/// Reads a resolv.conf. What it does not know it leaves out, as resolvers do; of `search` and `domain` the last one counts.
/// The settings of our own tunnel say nothing of the networks: what was there before counts instead.
pub fn parse(octets: &[u8]) -> Networks {
    let octets = octets.get(..MAX_SIZE).unwrap_or(octets);
    let mut networks = Networks::default();
    for line in without_ours(octets) {
        // A comment begins with the line; a keyword is followed by blanks.
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (keyword, rest) = (words.next(), words.filter_map(|word| std::str::from_utf8(word).ok()));
        match keyword {
            Some(b"nameserver") => networks.dns_servers.extend(rest.take(1).filter_map(server)),
            Some(b"search") => networks.domains = rest.filter_map(domain).take(MAX_DOMAINS).collect(),
            Some(b"domain") => networks.domains = rest.take(1).filter_map(domain).collect(),
            _ => {}
        }
        networks.dns_servers.truncate(MAX_SERVERS);
    }
    networks
}

/// The stub of systemd-resolved is all that the file names: which servers it asks is told elsewhere.
pub fn names_only_the_stub(networks: &Networks) -> bool {
    let stub = |ip: &IpAddr| matches!(ip, IpAddr::V4(ip) if matches!(ip.octets(), [127, 0, 0, 53 | 54]));
    !networks.dns_servers.is_empty() && networks.dns_servers.iter().all(stub)
}

/// An address; the interface of a link-local one is not part of it.
fn server(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

/// A name as it is compared: lower case, no final dot. The root is no network's name.
pub(super) fn domain(word: &str) -> Option<String> {
    let name = word.strip_suffix('.').unwrap_or(word);
    let good = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let whole = name.split('.').all(|label| !label.is_empty());
    let usable = whole && name.len() <= MAX_NAME && name.bytes().all(good);
    usable.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let networks = parse(text.as_bytes());
        (networks.dns_servers.iter().map(ToString::to_string).collect(), networks.domains)
    }

    #[test]
    fn servers_and_domains_are_read_as_resolvers_do() {
        let text = "# a comment\n; another\nnameserver 10.0.0.53\r\n nameserver\tfe80::1%wlan0 junk\n\
                    #nameserver 10.0.0.54\nnameserver\nnameserver no.address\nnameservers 10.0.0.55\n\
                    domain first.example\nsearch Corp.Example.COM. example.com .\noptions edns0\n";
        let domains = ["corp.example.com", "example.com"].map(str::to_owned).to_vec();
        assert_eq!(read(text), (vec!["10.0.0.53".to_owned(), "fe80::1".to_owned()], domains));
        assert_eq!(
            read("search a.example b.example\ndomain c.example"),
            (vec![], vec!["c.example".to_owned()])
        );
        assert_eq!(read("search a.example\nsearch ."), (vec![], vec![]));
    }

    #[test]
    fn the_settings_of_our_own_tunnel_say_nothing_of_the_networks() {
        let ours = format!(
            "nameserver 10.0.0.1\n{BEGIN}: more\n{BEFORE}nameserver 10.0.0.2\n{BEFORE}search home.example\n\
             nameserver 10.1.1.1\nsearch corp.example\n{END}\nnameserver 10.0.0.3\n"
        );
        let servers = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(str::to_owned).to_vec();
        assert_eq!(read(&ours), (servers.clone(), vec!["home.example".to_owned()]));
        // Outside of our settings the words mean nothing.
        let stray = format!("{BEFORE}nameserver 10.0.0.1\n{END}\nnameserver 10.0.0.2\n");
        assert_eq!(read(&stray).0, ["10.0.0.2"]);
        // Settings without an end, as a file that is being written.
        let torn = ours.replace(&format!("{END}\n"), "");
        assert_eq!(read(&torn).0, servers[..2]);
    }

    #[test]
    fn there_are_limits() {
        let servers: String = (0..40).map(|n| format!("nameserver 10.0.0.{n}\n")).collect();
        let search: String = (0..60).map(|n| format!(" d{n}.example")).collect();
        let (servers, domains) = read(&format!("{servers}search{search} {}\n", "x".repeat(300)));
        assert_eq!((servers.len(), domains.len()), (MAX_SERVERS, MAX_DOMAINS));
        assert_eq!(read(&format!("search {}", "x".repeat(MAX_NAME + 1))), (vec![], vec![]));
        let long = format!("{}\nnameserver 10.0.0.1\n", "#".repeat(MAX_SIZE));
        assert_eq!(read(&long), (vec![], vec![]));
    }

    #[test]
    fn the_stub_is_known() {
        for (text, stub) in [
            ("nameserver 127.0.0.53", true),
            ("nameserver 127.0.0.53\nnameserver 127.0.0.54", true),
            ("nameserver 127.0.0.53\nnameserver 10.0.0.1", false),
            ("nameserver 127.0.0.1", false),
            ("search example.com", false),
        ] {
            assert_eq!(names_only_the_stub(&parse(text.as_bytes())), stub, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_file_is_read_within_limits_and_again_from_its_own_text(
            octets in proptest::collection::vec(prop::sample::select(b"nameserver search domain\t\r\n\n..:%1fA\xff".to_vec()), 0..400),
            lines in proptest::collection::vec("(nameserver|search|domain)[ \t]+[a-fA-F0-9:.% -]{0,20}", 0..20),
        ) {
            for octets in [octets, lines.join("\n").into_bytes()] {
                let networks = parse(&octets);
                prop_assert!(networks.dns_servers.len() <= MAX_SERVERS && networks.domains.len() <= MAX_DOMAINS);
                let mut text: String = networks.dns_servers.iter().map(|ip| format!("nameserver {ip}\n")).collect();
                text.push_str(&format!("search {}\n", networks.domains.join(" ")));
                prop_assert_eq!(parse(text.as_bytes()), networks);
            }
        }

        #[test]
        fn a_written_file_is_read_back(
            servers in proptest::collection::vec(any::<std::net::Ipv6Addr>(), 0..MAX_SERVERS),
            domains in proptest::collection::vec("[a-z0-9]{1,10}(\\.[a-z]{1,5}){0,3}", 0..MAX_DOMAINS),
        ) {
            let mut text: String = servers.iter().map(|ip| format!("nameserver {ip}\n")).collect();
            text.push_str(&format!("search {}\n", domains.join(" ")));
            let networks = parse(text.as_bytes());
            prop_assert_eq!(networks.dns_servers, servers.into_iter().map(IpAddr::from).collect::<Vec<_>>());
            prop_assert_eq!(networks.domains, domains);
        }
    }
}
