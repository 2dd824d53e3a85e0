//! Trusted network detection: is the network that the machine is in one of the company's own?

use super::client::AutomaticVpnPolicy;
use std::net::IpAddr;

impl AutomaticVpnPolicy {
    /// True where the machine's DNS servers and search domains are those of a trusted network: every server is in
    /// TrustedDNSServers, and one of the domains in TrustedDNSDomains; a list that the profile leaves out does not count, but
    /// without both nothing is trusted. `*` stands for any text, as in `*.example.com` and `10.1.*`.
    ///
    /// Both are what any network can say of itself. A profile that is always on and wants a server's certificate as well
    /// (TrustedHttpsServerList, which is not asked here) trusts none: its tunnel and its kill switch stay up.
    pub fn is_trusted(&self, servers: &[IpAddr], domains: &[String]) -> bool {
        let (names, addresses) = (&self.trusted_dns_domains.value.0, &self.trusted_dns_servers.value.0);
        let wants_proof = self.always_on.enabled.value && !self.trusted_https_servers.is_empty();
        if !self.enabled.value || wants_proof || (names.is_empty() && addresses.is_empty()) {
            return false;
        }
        let known = |server: &IpAddr| {
            let text = server.to_string();
            addresses.iter().any(|pattern| match pattern.parse::<IpAddr>() {
                Ok(address) => address == *server,
                Err(_) => fits(pattern, &text),
            })
        };
        let own = |domain: &String| names.iter().any(|pattern| fits(pattern, domain));
        (addresses.is_empty() || (!servers.is_empty() && servers.iter().all(known)))
            && (names.is_empty() || domains.iter().any(own))
    }
}

/// Letter case does not count, a final dot neither.
fn fits(pattern: &str, text: &str) -> bool {
    let plain = |text: &str| text.trim().trim_end_matches('.').to_ascii_lowercase();
    let (pattern, text) = (plain(pattern), plain(text));
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        // The earliest place leaves most for what follows.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    fn policy(lists: &str) -> AutomaticVpnPolicy {
        let xml = format!(
            "<?xml version=\"1.0\"?><AnyConnectProfile xmlns=\"http://schemas.xmlsoap.org/encoding/\">\
             <ClientInitialization><AutomaticVPNPolicy>true{lists}</AutomaticVPNPolicy></ClientInitialization>\
             </AnyConnectProfile>"
        );
        Profile::parse(xml.as_bytes()).unwrap().0.client.automatic_vpn_policy
    }

    fn trusted(policy: &AutomaticVpnPolicy, servers: &[&str], domains: &[&str]) -> bool {
        let servers: Vec<IpAddr> = servers.iter().map(|server| server.parse().unwrap()).collect();
        let domains: Vec<String> = domains.iter().map(|domain| (*domain).to_owned()).collect();
        policy.is_trusted(&servers, &domains)
    }

    #[test]
    fn honours_trusted_dns_domains() {
        let of = |list| policy(&format!("<TrustedDNSDomains>{list}</TrustedDNSDomains>"));
        assert!(trusted(&of("corp.test"), &["192.0.2.1"], &["corp.test"]));
        assert!(!trusted(&of("other.test"), &["192.0.2.1"], &["corp.test"]));
    }

    #[test]
    fn honours_trusted_dns_servers() {
        let of = |list| policy(&format!("<TrustedDNSServers>{list}</TrustedDNSServers>"));
        assert!(trusted(&of("192.0.2.1"), &["192.0.2.1"], &[]));
        assert!(!trusted(&of("192.0.2.2"), &["192.0.2.1"], &[]));
    }

    #[test]
    fn every_server_counts_and_one_domain_is_enough() {
        let both = policy(
            "<TrustedDNSDomains>*.example.com,corp.test</TrustedDNSDomains>\
             <TrustedDNSServers>10.1.*, 2001:DB8::53</TrustedDNSServers>",
        );
        assert!(trusted(&both, &["10.1.2.3", "2001:db8:0::53"], &["home", "LAN.example.com."]));
        assert!(trusted(&both, &["10.1.2.3"], &["corp.test"]));
        assert!(!trusted(&both, &["10.1.2.3", "192.0.2.1"], &["corp.test"]), "a server that is not listed");
        assert!(!trusted(&both, &["10.1.2.3"], &["example.com"]), "the wildcard wants a name before it");
        assert!(!trusted(&both, &["10.1.2.3"], &["corp.test.evil.org", "not-corp.test"]));
        assert!(!trusted(&both, &[], &["corp.test"]), "a network without servers is nobody's");
        assert!(!trusted(&both, &["110.1.2.3"], &["corp.test"]));
    }

    #[test]
    fn always_on_trusts_no_network_whose_server_it_cannot_ask() {
        let of = |more: &str| {
            policy(&format!(
                "<TrustedDNSDomains>corp.test</TrustedDNSDomains><TrustedHttpsServerList><TrustedHttpsServer>\
                 <Address>in.corp.test</Address><CertificateHash>00</CertificateHash></TrustedHttpsServer>\
                 </TrustedHttpsServerList>{more}"
            ))
        };
        assert!(trusted(&of(""), &["192.0.2.1"], &["corp.test"]));
        assert!(!trusted(&of("<AlwaysOn>true</AlwaysOn>"), &["192.0.2.1"], &["corp.test"]));
    }

    #[test]
    fn without_both_lists_nothing_is_trusted() {
        assert!(!trusted(&policy(""), &["192.0.2.1"], &["corp.test"]));
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "acb", false),
            ("ab*ab", "ab", false),
            ("*.example.com", "x.example.com", true),
            ("*.example.com", "example.com", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
