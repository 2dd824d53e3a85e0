//! The types that profile elements hold: how each is read, shown, and described when something else stands there.

use super::position::Position;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::fmt;
use std::net::IpAddr;

/// A type of value that an element may hold.
pub trait Value: Sized + Default {
    /// Reads the trimmed text of an element; `None` where it is outside the type.
    fn read(text: &str) -> Option<Self>;
    /// The allowed values, as in "expected ..".
    fn allowed() -> String;
}

/// A setting: its value, whether the user may override it, and whether the file says so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Preference<T> {
    /// The value; the schema's default where the file does not set it.
    pub value: T,
    /// May the user override it? (`UserControllable`, by default as the schema says.)
    pub user_controllable: bool,
    /// Where the file sets it; `None` for a default.
    pub set: Option<Position>,
}

impl Value for bool {
    fn read(text: &str) -> Option<Self> {
        match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
    fn allowed() -> String {
        "true or false".into()
    }
}

impl Value for String {
    fn read(text: &str) -> Option<Self> {
        Some(text.into())
    }
    fn allowed() -> String {
        "text".into()
    }
}

/// Text that may not be empty, of one line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Label(pub String);

impl Value for Label {
    fn read(text: &str) -> Option<Self> {
        let good = !text.is_empty() && text.len() <= 1024 && !text.chars().any(char::is_control);
        good.then(|| Self(text.into()))
    }
    fn allowed() -> String {
        "one line of text, not empty".into()
    }
}

/// A host: a DNS name or an IP address. It may carry a port or a path, which only SSL hosts use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Host(pub String);

impl Value for Host {
    fn read(text: &str) -> Option<Self> {
        let good = !text.is_empty()
            && text.len() <= 1024
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "<>\"'`\\".contains(c));
        good.then(|| Self(text.into()))
    }
    fn allowed() -> String {
        "a host name or an IP address".into()
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounded<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Bounded<MIN, MAX> {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Default for Bounded<MIN, MAX> {
    fn default() -> Self {
        Self(MIN)
    }
}

impl<const MIN: u32, const MAX: u32> Value for Bounded<MIN, MAX> {
    fn read(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten()?;
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }
    fn allowed() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
}

/// A comma-separated list; empty members are dropped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct List(pub Vec<String>);

impl Value for List {
    fn read(text: &str) -> Option<Self> {
        Some(Self(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(String::from).collect()))
    }
    fn allowed() -> String {
        "a list separated by commas".into()
    }
}

/// SHA-512 of a SubjectPublicKeyInfo. Its encoding in a profile is not public: base64 and hex are accepted (`ours`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PinHash(pub [u8; 64]);

impl PinHash {
    /// What a pin looks like, as in "expected ..".
    pub const FORM: &'static str =
        "a SHA-512 hash of a public key (SubjectPublicKeyInfo), as base64 or 128 hex digits";

    /// Reads base64 (with or without padding) or hex (colons allowed); white space inside is dropped.
    pub fn read(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let octets = match unhex(&text.replace(':', "")) {
            Some(octets) if octets.len() == 64 => octets,
            _ => STANDARD.decode(&text).or_else(|_| STANDARD_NO_PAD.decode(&text)).ok()?,
        };
        octets.try_into().ok().map(Self)
    }
}

impl Default for PinHash {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Value for PinHash {
    fn read(text: &str) -> Option<Self> {
        Self::read(text)
    }
    fn allowed() -> String {
        Self::FORM.into()
    }
}

impl fmt::Display for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PinHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Declares an enum whose variants are written in a profile as the given words.
macro_rules! keywords {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// The word that stands in the profile.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl Value for $name {
            fn read(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
            fn allowed() -> String {
                one_of(&[$($text),+])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

fn one_of(words: &[&str]) -> String {
    match words.split_last() {
        None => "nothing".into(),
        Some((word, [])) => (*word).into(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

keywords! {
    /// What happens when the machine sleeps.
    AutoReconnectBehavior {
        /// The tunnel ends with the sleep.
        #[default]
        DisconnectOnSuspend = "DisconnectOnSuspend",
        /// The tunnel comes back after the sleep.
        ReconnectAfterResume = "ReconnectAfterResume",
    }
}

keywords! {
    /// How a host is reached.
    PrimaryProtocol {
        /// TLS and DTLS: not for this client.
        #[default]
        Ssl = "SSL",
        /// IKEv2 and ESP.
        Ipsec = "IPsec",
    }
}

keywords! {
    /// How the user proves themselves in IKE.
    AuthMethod {
        /// The schema's default where StandardAuthenticationOnly is true.
        #[default]
        EapGtc = "EAP-GTC",
        /// EAP with MD5.
        EapMd5 = "EAP-MD5",
        /// EAP with MS-CHAPv2.
        EapMschapv2 = "EAP-MSCHAPv2",
        /// The vendor's own method: XML forms.
        EapAnyConnect = "EAP-AnyConnect",
        /// A certificate with an RSA key.
        IkeRsa = "IKE-RSA",
        /// A certificate with an ECDSA key.
        IkeEcdsa = "IKE-ECDSA",
    }
}

keywords! {
    /// Families of the gateway's address, the one to try first before the other.
    IpProtocolSupport {
        /// IPv4 only.
        V4 = "IPv4",
        /// IPv6 only.
        V6 = "IPv6",
        /// Both, IPv4 first.
        #[default]
        V4V6 = "IPv4,IPv6",
        /// Both, IPv6 first.
        V6V4 = "IPv6,IPv4",
    }
}

impl IpProtocolSupport {
    /// True where the gateway may be reached at this address.
    pub fn allows(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
            Self::V4V6 | Self::V6V4 => true,
        }
    }

    /// 0 for an address of the family that is tried first, else 1.
    pub fn rank(self, ip: IpAddr) -> u8 {
        let first = match self {
            Self::V4 | Self::V4V6 => ip.is_ipv4(),
            Self::V6 | Self::V6V4 => ip.is_ipv6(),
        };
        u8::from(!first)
    }
}

keywords! {
    /// Where client certificates are looked for.
    CertificateStore {
        /// Everywhere.
        #[default]
        All = "All",
        /// The machine's store.
        Machine = "Machine",
        /// The user's store.
        User = "User",
    }
}

keywords! {
    /// Whether the system's proxy is used on the way to the gateway.
    ProxySettings {
        /// As the system says.
        #[default]
        Native = "Native",
        /// Never.
        IgnoreProxy = "IgnoreProxy",
        /// The one named in PublicProxyServerAddress.
        Override = "Override",
    }
}

keywords! {
    /// Use of RSA SecurID software tokens.
    SecurId {
        /// Found out.
        #[default]
        Automatic = "Automatic",
        /// A program's token.
        SoftwareToken = "SoftwareToken",
        /// A device's token.
        HardwareToken = "HardwareToken",
    }
}

keywords! {
    /// Who may be logged on while the VPN is up.
    LogonEnforcement {
        /// One local user, any number of remote ones.
        #[default]
        SingleLocalLogon = "SingleLocalLogon",
        /// One user.
        SingleLogon = "SingleLogon",
        /// One local user, no remote one.
        SingleLogonNoRemote = "SingleLogonNoRemote",
    }
}

keywords! {
    /// Who may start the VPN.
    Establishment {
        /// Users at the machine.
        #[default]
        LocalUsersOnly = "LocalUsersOnly",
        /// Remote desktop users too.
        AllowRemoteUsers = "AllowRemoteUsers",
    }
}

keywords! {
    /// How the PPP server's address is left out of the tunnel.
    PppExclusionMode {
        /// Found out.
        Automatic = "Automatic",
        /// Off.
        #[default]
        Disable = "Disable",
        /// As PPPExclusionServerIP says.
        Override = "Override",
    }
}

keywords! {
    /// What is done in a trusted network.
    TrustedNetworkPolicy {
        /// The VPN ends.
        #[default]
        Disconnect = "Disconnect",
        /// The VPN starts.
        Connect = "Connect",
        /// Nothing.
        DoNothing = "DoNothing",
        /// The VPN waits.
        Pause = "Pause",
    }
}

keywords! {
    /// What is done in an untrusted network.
    UntrustedNetworkPolicy {
        /// The VPN starts.
        #[default]
        Connect = "Connect",
        /// Nothing.
        DoNothing = "DoNothing",
    }
}

keywords! {
    /// What an always-on client does with the network while the VPN is down.
    ConnectFailurePolicy {
        /// Everything stays reachable.
        Open = "Open",
        /// Nothing is reachable.
        #[default]
        Closed = "Closed",
    }
}

keywords! {
    /// Whose session survives a log-off.
    UserEnforcement {
        /// The same user's.
        #[default]
        SameUserOnly = "SameUserOnly",
        /// Anybody's.
        AnyUser = "AnyUser",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_numbers_outside_their_type_are_refused() {
        assert_eq!(bool::read("1"), Some(true));
        assert_eq!(bool::read("True"), None);
        assert_eq!(PrimaryProtocol::read("IPsec"), Some(PrimaryProtocol::Ipsec));
        assert_eq!(PrimaryProtocol::read("Foo"), None);
        assert_eq!(PrimaryProtocol::allowed(), "SSL or IPsec");
        assert_eq!(Bounded::<10, 120>::read("12").map(Bounded::get), Some(12));
        for bad in ["9", "121", "500", "", "+12", "1e1", "99999999999999"] {
            assert_eq!(Bounded::<10, 120>::read(bad), None, "{bad}");
        }
        assert_eq!(List::read(" a, ,b "), Some(List(vec!["a".into(), "b".into()])));
    }

    #[test]
    fn a_pin_of_another_length_is_refused() {
        assert_eq!(PinHash::read(&"ab".repeat(64)), Some(PinHash([0xab; 64])));
        assert_eq!(
            PinHash::read(&"ab".repeat(32)),
            None,
            "64 hex digits are a SHA-256, or 48 octets of base64"
        );
        assert_eq!(PinHash::read(&STANDARD.encode([7; 32])), None);
        assert_eq!(PinHash::read("not a pin"), None);
    }

    proptest! {
        #[test]
        fn pins_read_back_in_every_form(raw in proptest::collection::vec(any::<u8>(), 64)) {
            let raw: [u8; 64] = raw.try_into().unwrap();
            let hex: String = raw.iter().map(|octet| format!("{octet:02x}")).collect();
            let colons = raw.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":");
            for form in [PinHash(raw).to_string(), STANDARD_NO_PAD.encode(raw), hex, colons] {
                prop_assert_eq!(PinHash::read(&form), Some(PinHash(raw)), "{}", form);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = (bool::read(&text), PinHash::read(&text), Bounded::<0, 9>::read(&text), Host::read(&text));
            if let Some(Label(kept)) = Label::read(&text) {
                prop_assert_eq!(kept, text);
            }
        }
    }
}
