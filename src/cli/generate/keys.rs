//! The page ikeep-config(5): every key of the config file.

use super::page::{head, see_also};
use crate::config;
use clap_mangen::roff::{Roff, bold, italic, roman};

/// What is said of a key: how its value is written, what holds without it, and what it does.
pub(super) struct About {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    form: &'static str,
    default: &'static str,
    text: &'static str,
}

const fn about(
    section: &'static str,
    key: &'static str,
    form: &'static str,
    default: &'static str,
    text: &'static str,
) -> About {
    About { section, key, form, default, text }
}

const GATEWAY: &str = "gateway.\"HOST\"";
const DIALECT: &str = "gateway.\"HOST\".dialect";

/// In the order of the page.
pub(super) const KEYS: &[About] = &[
    about(
        "agent",
        "tunnel",
        "\"tun\", \"proxy\" or \"none\"",
        "tun where there is a helper, else proxy",
        "Where packets enter and leave: a network device for all programs, a local SOCKS5 and HTTP proxy, or nowhere (the session alone is kept).",
    ),
    about(
        "agent",
        "proxy",
        "\"ADDRESS:PORT\"",
        "\"127.0.0.1:1080\"",
        "Where the proxy listens. Other users of the machine can reach that port, too: see proxy_login.",
    ),
    about(
        "agent",
        "proxy_login",
        "file",
        "none: whoever reaches the port may use it",
        "A file of mode 0600 with one line USER:PASSWORD, without which nobody uses the proxy (SOCKS5: RFC 1929; HTTP: Basic). A relative name starts in the config file's folder.",
    ),
    about(
        "agent",
        "proxy_everything",
        "boolean",
        "false",
        "The proxy sends into the tunnel also what the gateway's routes do not lead there (true), or refuses it. The gateway may drop it.",
    ),
    about(
        "agent",
        "helper",
        "path",
        "/run/ikeep/netd.sock",
        "The socket of ikeep-netd(8). Where this is given, no other is looked for.",
    ),
    about(
        "agent",
        "client_bypass_protocol",
        "boolean",
        "false",
        "With a full tunnel that has no address of one family: packets of that family go past the tunnel (true), or nowhere.",
    ),
    about(
        "agent",
        "dpd_interval",
        "duration, 5s to 1h",
        "\"30s\"",
        "Between liveness requests on an idle connection.",
    ),
    about(
        "agent",
        "reconnect_window",
        "duration, 1s to 24h",
        "\"900s\"",
        "How long the gateway is thought to keep a session that has lost its connection, until it says so itself.",
    ),
    about(
        "agent",
        "refusal_retry",
        "list of durations, at most 16, each 100ms to 1h",
        "[\"1s\", \"3s\", \"8s\", \"20s\", \"40s\", \"60s\"]",
        "The waits before a token that was refused is tried again.",
    ),
    about(
        "agent",
        "pkcs11_module",
        "file",
        "p11-kit-proxy.so, as the loader finds it",
        "The PKCS#11 module of certificates on a token whose URI has no module-path. It is loaded in a process of its own.",
    ),
    about(
        "agent",
        "key_log",
        "folder",
        "nothing is written",
        "The keys of every connection are written into this folder, for Wireshark. Whoever reads them reads the traffic. A relative name starts in the config file's folder.",
    ),
    about(
        "agent",
        "askpass",
        "program, or list of it and its arguments",
        "none",
        "The program that is asked for passwords where there is no terminal. It gets the prompt as its last argument, and its first line of output is the secret.",
    ),
    about(
        "agent",
        "notifications",
        "boolean",
        "true",
        "The desktop shows what a person must know: that a login is needed, that the session has ended, that the gateway was not believed, that a captive portal is in the way, or that there is no connection for a minute although there is a network.",
    ),
    about(
        "tunnel",
        "kill_switch",
        "\"off\", \"tunnel-prefixes\" or \"all\"",
        "\"off\"; \"all\" where the profile is always on and closed",
        "What leaves this machine by the tunnel or not at all, from ikeep connect to ikeep disconnect, in reconnects and after a session has ended, too: what the tunnel takes, or everything but DHCP, the link's neighbours and, where LocalLanAccess is set, the local networks. Needs a device (tunnel = \"tun\") and a kernel with nftables. See ikeep-netd(8) for how it is taken down by hand.",
    ),
    about(
        "portal",
        "probe",
        "\"http://..\" or \"off\"",
        "\"http://network-test.debian.org/nm\"",
        "The page that is asked for, in the clear, while the gateway does not answer although there is a route to it: it tells whether a captive portal is in the way. \"off\": nobody is asked.",
    ),
    about(
        "portal",
        "expect",
        "text, at most 256 octets",
        "\"NetworkManager is online\"",
        "How that page begins where no captive portal is in the way. \"\": only an answer without content (status 204) will do.",
    ),
    about("preferences", "auto_reconnect", "boolean", "the profile's", "AutoReconnect."),
    about(
        "preferences",
        "auto_reconnect_behavior",
        "\"ReconnectAfterResume\" or \"DisconnectOnSuspend\"",
        "the profile's",
        "AutoReconnectBehavior.",
    ),
    about("preferences", "auto_connect_on_start", "boolean", "the profile's", "AutoConnectOnStart."),
    about(
        "preferences",
        "disable_captive_portal_detection",
        "boolean",
        "the profile's",
        "DisableCaptivePortalDetection.",
    ),
    about(
        "preferences",
        "local_lan_access",
        "boolean",
        "the profile's",
        "LocalLanAccess; the gateway has to allow it, too.",
    ),
    about("trust", "system", "boolean", "true", "The roots of the machine (ca-certificates) count."),
    about(
        "trust",
        "roots",
        "list of files",
        "[]",
        "PEM files whose certificates count as roots. A relative name starts in the config file's folder.",
    ),
    about(
        GATEWAY,
        "address",
        "address, or a list of at most 16",
        "DNS is asked",
        "Where the gateway is, in the order to try them.",
    ),
    about(GATEWAY, "port", "port", "500", "UDP port of the first contact."),
    about(GATEWAY, "nat_port", "port", "4500", "UDP port of everything after it."),
    about(
        GATEWAY,
        "mobike",
        "boolean",
        "true",
        "Offer MOBIKE (RFC 4555): the same connection goes on from another address.",
    ),
    about(
        GATEWAY,
        "resumption",
        "\"off\", \"after-token\" or \"first\"",
        "\"off\"",
        "Ask the gateway for a ticket and come back with it (RFC 5723): where there is no session token or it is refused, or wherever there is a ticket. Not where a PPK is configured or ML-KEM required.",
    ),
    about(
        GATEWAY,
        "pins",
        "list of SHA-512 hashes",
        "[]",
        "Public keys of which one must be in the gateway's chain of certificates, beside those of the profile. Written as in the profile.",
    ),
    about(
        GATEWAY,
        "idr_check",
        "\"cert-or-address\" or \"cert\"",
        "\"cert-or-address\"",
        "Whether the gateway may name itself by an address that is not in its certificate.",
    ),
    about(
        GATEWAY,
        "certificate",
        "file",
        "none",
        "Your certificate and those between it and its root, a PEM file, a PKCS#12 file with its key, or the pkcs11: URI of a token (RFC 7512), where the profile says IKE-RSA or IKE-ECDSA, login is \"eap-tls\", or the gateway asks for it inside EAP-AnyConnect. A relative name starts in the config file's folder.",
    ),
    about(
        GATEWAY,
        "key",
        "file",
        "the file of certificate",
        "The certificate's private key, a PEM file that nobody else can read, or the pkcs11: URI of a token; a passphrase (PKCS#8, PKCS#12), or a token's PIN, is asked for at each login.",
    ),
    about(
        GATEWAY,
        "certificates",
        "list of files and folders",
        "none",
        "More of your certificates, each with its key in the same PEM or PKCS#12 file; of a folder, its files *.pem, *.p12 and *.pfx. The first that the profile's CertificateMatch allows is used.",
    ),
    about(
        GATEWAY,
        "host_scan",
        "program, or list of it and its arguments",
        "none",
        "The program that looks this machine over where the gateway asks for a host scan. It is started without a shell, never as root, with IKEEP_HOST, IKEEP_HOST_SCAN_TICKET, IKEEP_HOST_SCAN_TOKEN, IKEEP_HOST_SCAN_BASE_URI and IKEEP_HOST_SCAN_WAIT_URI in its environment. The one line that it prints is sent to the gateway as the token. A relative name with a folder in it starts in the config file's folder.",
    ),
    about(
        GATEWAY,
        "host_scan_timeout",
        "duration",
        "\"20s\"",
        "How long that program may take, at most 120 s; then it is killed with its children, and the login ends. Gateways drop a login that waits for about 30 s.",
    ),
    about(
        GATEWAY,
        "login",
        "\"eap-tls\"",
        "what the profile says",
        "Log in with EAP-TLS and your certificate, which no profile can name; a gateway that offers another method is refused.",
    ),
    about(
        GATEWAY,
        "eap_server_name",
        "DNS name or address",
        "the profile's HostAddress",
        "What the certificate of the EAP server must name, where logins (EAP-TLS) are checked by a RADIUS server behind the gateway.",
    ),
    about(
        GATEWAY,
        "eap_ca",
        "file",
        "the roots that vouch for gateways",
        "The CAs that vouch for the EAP server (EAP-TLS), a PEM file. A relative name starts in the config file's folder.",
    ),
    about(
        GATEWAY,
        "identity",
        "text",
        "the profile's IKEIdentity, or the certificate's subject",
        "The IKE identity of a login with a standard method or a certificate: a DNS name, an e-mail address, an IP address, key-id:TEXT, or a distinguished name in the order of its certificate (C=DE, O=Example, CN=Anna). With EAP-TLS also the name that the EAP server is told, unless it is an address or a distinguished name.",
    ),
    about(
        GATEWAY,
        "ppk_id",
        "text",
        "none",
        "The name of a post-quantum preshared key (PPK, RFC 8784) that goes into the keys of logins and reconnects. With ppk_file.",
    ),
    about(
        GATEWAY,
        "ppk_file",
        "file",
        "none",
        "That key: 32 octets at least, or 0x and hexadecimal digits, in a file that nobody else can read. A relative name starts in the config file's folder.",
    ),
    about(
        GATEWAY,
        "ppk_required",
        "boolean",
        "false",
        "No connection to a gateway that does not have the PPK.",
    ),
    about(
        GATEWAY,
        "ml_kem",
        "\"no\", \"offer\" or \"require\"",
        "\"no\"",
        "ML-KEM-768 as a key exchange beside the usual one (RFC 9370), against whoever records now and has a quantum computer later. It costs a round trip.",
    ),
    about(DIALECT, "initial_id_type", "number", "201", "ID type of the first IDi of a login."),
    about(DIALECT, "reconnect_id_type", "number", "11", "ID type of the IDi of a reconnect."),
    about(DIALECT, "session_id_attribute", "number", "28728", "Configuration attribute of the session ID."),
    about(
        DIALECT,
        "session_token_attribute",
        "number",
        "28729",
        "Configuration attribute of the session token.",
    ),
    about(
        DIALECT,
        "legacy_fragmentation",
        "boolean",
        "false",
        "Cut large messages in the way of before RFC 7383, where the gateway knows no other. One forged slice spoils a message.",
    ),
    about(DIALECT, "rsa_auth_sha1", "boolean", "false", "Accept SHA-1 in the gateway's RSA signature."),
    about(DIALECT, "vendor_ids", "list of texts", "as the vendor's client", "The vendor IDs that are sent."),
    about(
        DIALECT,
        "token_min_length",
        "octets",
        "16",
        "A token that is shorter is not kept: a false gateway could guess it.",
    ),
    about(
        DIALECT,
        "delete_ends_session",
        "boolean",
        "true",
        "Deleting the old connection ends the session, too; then the old one is left to the gateway's own check.",
    ),
    about(
        DIALECT,
        "window_attribute",
        "number",
        "none",
        "Configuration attribute of the reconnect window in seconds, where the gateway has one.",
    ),
    about(
        DIALECT,
        "dpd_interval_attribute",
        "number",
        "none",
        "Configuration attribute of the liveness interval in seconds, where the gateway has one.",
    ),
    about(DIALECT, "client_version", "text", "the version of ikeep", "The version that the gateway is told."),
    about(
        DIALECT,
        "platform_version",
        "text",
        "the release of the kernel",
        "The platform's version that the gateway is told.",
    ),
    about(DIALECT, "device_type", "text", "the machine's model", "The device that the gateway is told."),
    about(
        DIALECT,
        "token_rotation",
        "boolean",
        "true",
        "A new session ID or token replaces the old one whenever it comes.",
    ),
    about(
        DIALECT,
        "gateway_dpd_horizon",
        "seconds",
        "120",
        "How long the gateway may think a silent client alive.",
    ),
];

/// What is said of a section.
fn introduction(section: &str) -> &'static str {
    match section {
        "agent" => "The agent of this user.",
        "tunnel" => "The tunnel's device.",
        "portal" => "How a captive portal is recognised.",
        "preferences" => {
            "Instead of the profile's value of the same name; each counts only where the profile has UserControllable."
        }
        "trust" => "Whose certificates are believed.",
        GATEWAY => "What is special about one gateway. HOST is the profile's HostAddress.",
        DIALECT => "What is not public about the gateways of this protocol. Ask whoever runs the gateway.",
        _ => "",
    }
}

/// The page.
pub(super) fn page(date: &str) -> String {
    let mut roff = Roff::new();
    head(&mut roff, "ikeep-config", 5, date);
    roff.control("SH", ["NAME"]).text([roman("ikeep-config - the config file of ikeep")]);
    roff.control("SH", ["SYNOPSIS"]).text([italic("$XDG_CONFIG_HOME/ikeep/config.toml")]);
    roff.control("SH", ["DESCRIPTION"]).text([roman(
        "A file in TOML, ~/.config/ikeep/config.toml where XDG_CONFIG_HOME is not set. Nothing in it is required, and it need \
         not be there. It is read at each connect. A key that is not known, or a value outside its limits, is an error with \
         file, line and a suggestion.",
    )]);
    roff.control("PP", []).text([roman(
        "A duration is a whole number with a unit in quotation marks: \"500ms\", \"30s\", \"15m\", \"1h\".",
    )]);
    for section in config::keys() {
        roff.control("SH", [format!("[{}]", section.name).as_str()]);
        roff.text([roman(introduction(section.name))]);
        for about in KEYS.iter().filter(|about| about.section == section.name) {
            roff.control("TP", []);
            roff.text([bold(about.key), roman(" = "), italic(about.form)]);
            roff.text([roman(about.text)]);
            roff.text([roman(format!("Without it: {}.", about.default))]);
        }
    }
    roff.control("SH", ["EXAMPLE"]).control("nf", []);
    for line in EXAMPLE.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    see_also(&mut roff, "ikeep-config");
    roff.render()
}

/// The file of the page's example.
pub(super) const EXAMPLE: &str = r#"[agent]
tunnel = "proxy"

[gateway."vpn.example.com"]
address = ["192.0.2.1", "2001:db8::1"]

[gateway."vpn.example.com".dialect]
session_id_attribute = 28731"#;
