//! The resolver's file: whatever it holds, what is read stays within its limits and reads the same from its own text.

use ikeep::sense::resolv_conf::{MAX_DOMAINS, MAX_SERVERS, parse};
use std::fmt::Write as _;

/// One input.
pub(crate) fn check(input: &[u8]) {
    let networks = parse(input);
    assert!(networks.dns_servers.len() <= MAX_SERVERS && networks.domains.len() <= MAX_DOMAINS);
    let mut text = String::new();
    for server in &networks.dns_servers {
        writeln!(text, "nameserver {server}").unwrap();
    }
    writeln!(text, "search {}", networks.domains.join(" ")).unwrap();
    assert_eq!(parse(text.as_bytes()), networks);
}
