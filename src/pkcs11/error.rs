//! Why nothing came of a token.

use serde::{Deserialize, Serialize};

/// Why nothing came of a token. `Display` says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TokenError {
    /// The URI makes no sense.
    #[error("{0}")]
    Uri(String),
    /// The module is not there, or cannot be loaded.
    #[error(
        "the PKCS#11 module {module} cannot be loaded ({why}): install it (p11-kit-modules, opensc-pkcs11 or your card's own), or name \
         another one, as module-path in the URI or as pkcs11_module in the config file's [agent]"
    )]
    Module {
        /// The module.
        module: String,
        /// What the loader says.
        why: String,
    },
    /// No token, or another one.
    #[error(
        "there is no token {wanted}{}: plug it in, or mend the URI; pkcs11-tool --list-token-slots tells what is there",
        seen(.there)
    )]
    NoToken {
        /// The URI.
        wanted: String,
        /// Labels of those that are there.
        there: Vec<String>,
    },
    /// More than one.
    #[error("several tokens are meant: {}; name one in the URI, as in pkcs11:token=NAME or pkcs11:serial=NUMBER", .there.join(", "))]
    SeveralTokens {
        /// Labels and serial numbers.
        there: Vec<String>,
    },
    /// Too many wrong PINs.
    #[error(
        "the PIN of the token {token} is locked after too many wrong ones: unlock it with its PUK, by the program of whoever issued it \
         (pkcs15-tool --unblock-pin, ykman piv access unblock-pin), or ask them"
    )]
    Locked {
        /// Label.
        token: String,
    },
    /// A wrong PIN.
    #[error(
        "that is not the PIN of the token {token}; it was tried once and is not tried again{}", if *.last { ": one more wrong PIN locks \
         the token, so make sure of it before the next `ikeep connect`" } else { ": `ikeep connect` asks for it anew" }
    )]
    WrongPin {
        /// Label.
        token: String,
        /// One more and it is locked.
        last: bool,
    },
    /// No PIN where one is needed.
    #[error("the token {token} wants its PIN, and none was given: nothing was tried")]
    PinNeeded {
        /// Label.
        token: String,
    },
    /// What was given cannot be a PIN.
    #[error(
        "what was given has more than {most} octets and is no PIN of the token {token}: nothing was tried; `ikeep connect` asks for it anew"
    )]
    PinTooLong {
        /// Label.
        token: String,
        /// Octets of the longest.
        most: usize,
    },
    /// It has no PIN yet, or an old one.
    #[error(
        "the PIN of the token {token} has not been set, or has expired: set one with pkcs11-tool --login --change-pin, or ask whoever issued it"
    )]
    PinNotSet {
        /// Label.
        token: String,
    },
    /// The person said no at the reader's own keys, or did nothing there.
    #[error("the PIN was not entered at the reader of the token {token}: `ikeep connect` asks for it anew")]
    Cancelled {
        /// Label.
        token: String,
    },
    /// No certificate that is meant.
    #[error(
        "the token {token} has no certificate {wanted} of a person: pkcs11-tool --list-objects --type cert tells what it has, and object= \
         or id= in the URI names one"
    )]
    NoCertificate {
        /// Label.
        token: String,
        /// The URI.
        wanted: String,
    },
    /// No key that belongs to the certificate, or that the URI names.
    #[error(
        "the token {token} has no private key for that certificate: certificate and key have to have the same ID; pkcs11-tool --login \
         --list-objects tells what there is"
    )]
    NoKey {
        /// Label.
        token: String,
    },
    /// Several keys are meant.
    #[error(
        "the token {token} has several private keys that are meant: name one in the URI, with id= or object="
    )]
    SeveralKeys {
        /// Label.
        token: String,
    },
    /// CKA_ALWAYS_AUTHENTICATE.
    #[error(
        "the key on the token {token} wants the PIN for each signature, which is not supported: take another key of it (of a PIV card, \
         the one for authentication, 9a, not the one for signatures, 9c)"
    )]
    EachTime {
        /// Label.
        token: String,
    },
    /// It has no mechanism for this.
    #[error(
        "the token {token} cannot sign so ({mechanism}): pkcs11-tool --list-mechanisms tells what it can"
    )]
    Mechanism {
        /// Label.
        token: String,
        /// What was asked for.
        mechanism: String,
    },
    /// It was taken out.
    #[error("the token {token} was taken out: put it back, then `ikeep connect`")]
    Removed {
        /// Label.
        token: String,
    },
    /// The module says something else.
    #[error("the token {token} failed: {what}")]
    Device {
        /// Label.
        token: String,
        /// What the module says.
        what: String,
    },
    /// It took too long, and was ended.
    #[error("the token gave no answer within {seconds} s: take it out and put it back, then `ikeep connect`")]
    Slow {
        /// The limit.
        seconds: u64,
    },
    /// The process that speaks with the module.
    #[error(
        "the PKCS#11 module {module} failed: {why}; try another one (pkcs11_module), and tell its makers"
    )]
    Helper {
        /// The module.
        module: String,
        /// What happened.
        why: String,
    },
    /// What it made is no signature of the certificate's key.
    #[error(
        "what the token {token} signed does not belong to the certificate: the key of that ID is another one's"
    )]
    Foreign {
        /// Label.
        token: String,
    },
}

impl TokenError {
    /// A PIN that was tried is of no use any more.
    pub fn is_about_pin(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. }
                | Self::WrongPin { .. }
                | Self::PinNeeded { .. }
                | Self::PinNotSet { .. }
                | Self::Cancelled { .. }
        )
    }
}

fn seen(there: &[String]) -> String {
    if there.is_empty() { String::new() } else { format!("; there are: {}", there.join(", ")) }
}
