//! The packets of EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02; RFC 2759 3 to 6).

use super::super::EapError;
use super::super::text::printable;
use super::proof::{CHALLENGE, NT_RESPONSE};
use crate::crypto::Secret;

/// OpCodes.
mod op {
    pub(super) const CHALLENGE: u8 = 1;
    pub(super) const RESPONSE: u8 = 2;
    pub(super) const SUCCESS: u8 = 3;
    pub(super) const FAILURE: u8 = 4;
}

/// Characters of a gateway's message that are shown.
const SHOWN: usize = 300;

/// Error codes of a failure (RFC 2759 6).
const WRONG: u32 = 691;
/// The code of a password that has to be changed before it counts again.
const EXPIRED: u32 = 648;

/// What the gateway says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The first.
    Challenge { id: u8, challenge: [u8; CHALLENGE] },
    /// The password is right; `proof` shows that the gateway knows it, too.
    Success { proof: Secret, message: String },
    /// The login is refused.
    Failure(Failure),
}

/// Why, and what can be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) id: u8,
    code: u32,
    /// The challenge for another try, where one is allowed.
    pub(super) again: Option<[u8; CHALLENGE]>,
    message: String,
}

impl Request {
    /// Reads what follows the EAP type.
    pub(super) fn parse(data: &[u8]) -> Result<Self, EapError> {
        let wrong = |what: &str| EapError::Malformed(format!("MS-CHAPv2 {what}"));
        let &[code, id, high, low, ..] = data else { return Err(wrong("packet of less than 4 octets")) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let rest = data.get(4..length).ok_or_else(|| wrong("packet whose length field lies"))?;
        match code {
            op::CHALLENGE => {
                let (size, value) = rest.split_first().ok_or_else(|| wrong("challenge without a value"))?;
                let challenge = value.first_chunk().filter(|_| usize::from(*size) == CHALLENGE);
                let challenge = challenge.ok_or_else(|| wrong("challenge that is not of 16 octets"))?;
                Ok(Self::Challenge { id, challenge: *challenge })
            }
            op::SUCCESS => {
                let (proof, message) =
                    success(rest).ok_or_else(|| wrong("success without the gateway's proof"))?;
                Ok(Self::Success { proof, message })
            }
            op::FAILURE => Ok(Self::Failure(Failure::parse(id, rest))),
            code => Err(EapError::Unsupported(format!("MS-CHAPv2 packet {code}"))),
        }
    }
}

/// `S=<40 hexadecimal digits> M=<text>`.
fn success(text: &[u8]) -> Option<(Secret, String)> {
    let (digits, rest) = text.strip_prefix(b"S=")?.split_at_checked(40)?;
    let proof = Secret::new(octets(digits)?);
    let rest = String::from_utf8_lossy(rest);
    let message = rest.trim_start().strip_prefix("M=").unwrap_or_default();
    Some((proof, printable(message, SHOWN)))
}

fn octets(digits: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|c| c.is_ascii_hexdigit()))?;
    (0..text.len() / 2).map(|n| u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()).collect()
}

impl Failure {
    /// `E=<code> R=<0 or 1> C=<32 hexadecimal digits> V=<version> M=<text>`. What is missing or damaged is as if it were not
    /// there: a refusal stays one.
    fn parse(id: u8, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let (fields, message) = text.split_once("M=").unwrap_or((&text, ""));
        let field = |name: &str| fields.split_whitespace().find_map(|word| word.strip_prefix(name));
        let challenge = field("C=").filter(|digits| digits.len() == 2 * CHALLENGE);
        let challenge = challenge.and_then(|digits| octets(digits.as_bytes())?.try_into().ok());
        Self {
            id,
            code: field("E=").and_then(|code| code.parse().ok()).unwrap_or(0),
            again: challenge.filter(|_| field("R=") == Some("1")),
            message: printable(message, SHOWN),
        }
    }

    /// True where another password may help.
    pub(super) fn is_about_password(&self) -> bool {
        matches!(self.code, WRONG | 0)
    }

    /// The end of a login.
    pub(super) fn error(&self) -> EapError {
        match self.code {
            EXPIRED => EapError::Expired(self.text()),
            _ if self.is_about_password() => EapError::Refused(self.text()),
            _ => EapError::Account(self.text()),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let what = match self.code {
            WRONG => "wrong user name or password",
            646 => "the account may not be used at this hour",
            647 => "the account is disabled",
            EXPIRED => {
                "the password has expired: change it where your organisation lets you, then log in again"
            }
            649 => "the account has no permission for remote access",
            709 => "the password could not be changed",
            0 => "it gave no reason",
            code => return self.with_message(format!("MS-CHAPv2 error {code}")),
        };
        self.with_message(what.to_owned())
    }

    fn with_message(&self, what: String) -> String {
        if self.message.is_empty() { what } else { format!("{what} (it says: {})", self.message) }
    }
}

/// The answer to a challenge.
pub(super) fn response(
    id: u8,
    peer: &[u8; CHALLENGE],
    nt_response: &[u8; NT_RESPONSE],
    user: &str,
) -> Vec<u8> {
    let value = [&peer[..], &[0; 8], nt_response, &[0]].concat();
    let length = (4 + 1 + value.len() + user.len()) as u16;
    let head = [op::RESPONSE, id, (length >> 8) as u8, length as u8, value.len() as u8];
    [&head[..], &value, user.as_bytes()].concat()
}

/// The answer to a success that is believed.
pub(super) fn success_heard() -> Vec<u8> {
    vec![op::SUCCESS]
}

/// The answer to a failure where no other try follows.
pub(super) fn failure_heard() -> Vec<u8> {
    vec![op::FAILURE]
}
