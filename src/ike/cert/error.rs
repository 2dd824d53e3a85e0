//! Why a gateway's certificate is refused, in words that say what to do.

/// Why the gateway's certificate is refused. Exit code 5. Names come from the certificate: they are cleaned for a terminal and
/// shortened, but nobody vouches for them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// No certificate in the answer.
    #[error("the gateway sent no certificate")]
    Missing,
    /// More certificates than a chain can need.
    #[error("the gateway sent {0} certificates, more than any chain needs")]
    TooMany(usize),
    /// It cannot be read.
    #[error("the gateway's certificate cannot be read: {0}")]
    Malformed(String),
    /// HostAddress is neither a DNS name nor an address.
    #[error(
        "'{0}' is neither a DNS name nor an IP address, so no certificate can name it: correct HostAddress in the profile"
    )]
    Host(String),
    /// The chain does not end at a trusted root.
    #[error(
        "nobody who is trusted vouches for the gateway's certificate ({subject}): the issuer {issuer} is not known here. If \
         this is your organisation's CA, name its certificate with --trust FILE or in the config ([trust] roots)"
    )]
    UnknownIssuer {
        /// Subject of the leaf.
        subject: String,
        /// The issuer that is missing.
        issuer: String,
    },
    /// A certificate of the chain is too old.
    #[error(
        "the certificate of {subject} expired on {since}, and this machine's clock says {now}. If the clock is right, the \
         gateway's administrator has to renew it; if not, set the clock"
    )]
    Expired {
        /// Whose.
        subject: String,
        /// End of its validity, UTC.
        since: String,
        /// The time it was checked at, UTC.
        now: String,
    },
    /// A certificate of the chain is too young.
    #[error(
        "the certificate of {subject} is not valid before {from}, and this machine's clock says {now}. Is the clock right?"
    )]
    NotYetValid {
        /// Whose.
        subject: String,
        /// Begin of its validity, UTC.
        from: String,
        /// The time it was checked at, UTC.
        now: String,
    },
    /// It names somebody else.
    #[error(
        "the gateway's certificate is not for '{expected}' but for {found}. Either this is another machine, or HostAddress \
         in the profile should be a name of the certificate"
    )]
    Name {
        /// HostAddress.
        expected: String,
        /// The names in the certificate.
        found: String,
    },
    /// It names the host in its common name only, below a root that the user did not configure.
    #[error(
        "the gateway's certificate names '{expected}' in its common name only, which counts only below a root that you \
         configured: name the root with --trust FILE, or have the certificate renewed with an alternative name"
    )]
    CommonNameOnly {
        /// HostAddress.
        expected: String,
    },
    /// Its extended key usage does not allow it.
    #[error(
        "the gateway's certificate, or that of a CA above it, may not be used for a VPN gateway: its extended key usage is \
         {found}, and serverAuth, IKE or none at all is needed"
    )]
    Usage {
        /// The OIDs found.
        found: String,
    },
    /// A CA's own certificate in place of the gateway's.
    #[error("the gateway shows the certificate of a CA ({0}) as its own")]
    CaAsLeaf(String),
    /// The root is not a CA certificate (and not the gateway's own).
    #[error("the trusted certificate {0} is not one of a CA, so it cannot vouch for the gateway")]
    RootNotCa(String),
    /// No certificate of the chain has a pinned key.
    #[error(
        "no certificate of the gateway's chain has a key that the profile pins (the gateway's is {leaf}). If the gateway's \
         certificate was renewed, get the new profile"
    )]
    Pin {
        /// SHA-512 of the leaf's SPKI, hex.
        leaf: String,
    },
    /// A signature in the chain is wrong.
    #[error("a signature in the gateway's certificate chain is wrong ({0}): it was forged or damaged")]
    Signature(String),
    /// A signature algorithm in the chain is too weak or unknown.
    #[error(
        "the gateway's certificate chain is signed with an algorithm that is not accepted: {0} (RSA of 2048 to 8192 bits or \
         ECDSA, with SHA-256 or better, is needed)"
    )]
    Algorithm(String),
    /// A key of the lab, of which everybody has the private half.
    #[error(
        "the gateway uses ikeep's public test key, of which everybody has the private half. It is accepted only where its CA \
         is named with --trust FILE"
    )]
    TestKey,
    /// Any other rule of RFC 5280 that the chain breaks.
    #[error("the gateway's certificate chain is not valid: {0}")]
    Chain(String),
    /// IDr is not in the certificate.
    #[error(
        "the gateway calls itself {idr}, but its certificate is for {found}. If that is meant, set idr_check = \
         \"cert-or-address\" or correct the gateway's identity"
    )]
    Idr {
        /// The identity.
        idr: String,
        /// The names in the certificate.
        found: String,
    },
}
