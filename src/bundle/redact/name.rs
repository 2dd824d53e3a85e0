//! Which names sound like a secret.

/// Anywhere in a name.
const ALWAYS: [&str; 10] = [
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "psk",
    "secret",
    "secrets",
    "credential",
    "credentials",
];
/// At the end of a name.
const LAST: [&str; 13] = [
    "token",
    "tokens",
    "key",
    "keys",
    "apikey",
    "privatekey",
    "pwd",
    "pw",
    "pass",
    "otp",
    "cookie",
    "cookies",
    "authorization",
];
/// At the end of one of the words of a name that is written together.
const TOGETHER: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "apikey"];
/// These at the end tell only the form of what the rest names.
const FORMS: [&str; 6] = ["value", "data", "text", "hex", "base64", "octets"];
/// These at the end make the whole something about a secret: its number in a protocol, where it is kept.
const ABOUT: [&str; 6] = ["attribute", "attributes", "type", "file", "path", "expires"];
/// A key after one of these is none to hide: a certificate's usage in a profile, a public key.
const HARMLESS_KEYS: [&str; 2] = ["public", "match"];

/// One of these is in every name above, in small letters.
const PARTS: [&[u8]; 11] = [
    b"pass",
    b"psk",
    b"secret",
    b"credential",
    b"token",
    b"key",
    b"pw",
    b"otp",
    b"cookie",
    b"authorization",
    b"sk",
];

/// Whether a name can be one of a secret at all. Of nearly all names of a log it can be said at once that they are none.
fn can_be_secret(name: &str) -> bool {
    let begins = |rest: &[u8]| {
        let of = |part: &&[u8]| rest.get(..part.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(part));
        PARTS.iter().any(of)
    };
    // Other letters may have a small form among these.
    !name.is_ascii() || (0..name.len()).any(|at| begins(&name.as_bytes()[at..]))
}

/// Whether a value with this name is to be masked. A name is split at `_`, `-`, `.` and where its case changes.
pub(super) fn is_secret(name: &str) -> bool {
    if !can_be_secret(name) {
        return false;
    }
    let words = words(name);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    while words.len() > 1 && words.last().is_some_and(|last| FORMS.contains(last)) {
        words.pop();
    }
    let Some((last, before)) = words.split_last() else { return false };
    if ABOUT.contains(last) {
        return false;
    }
    let always = |word: &&str| ALWAYS.contains(word);
    let together = |word: &&str| TOGETHER.iter().any(|end| word.ends_with(end));
    // RFC 7296 2.14 names its keys SK_d, SK_ai and so on.
    let ike_key = before == ["sk"];
    let harmless = before.last().is_some_and(|word| HARMLESS_KEYS.contains(word));
    words.iter().any(always) || together(last) || ike_key || LAST.contains(last) && !harmless
}

/// The words of a name, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let characters: Vec<char> = name.chars().collect();
    for (at, &c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| characters.get(before));
        let after = characters.get(at + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_people_read_them() {
        assert_eq!(words("session_token.hex-value"), ["session", "token", "hex", "value"]);
        assert_eq!(words("ChallengePW"), ["challenge", "pw"]);
        assert_eq!(words("PSKValueOfX2"), ["psk", "value", "of", "x2"]);
        assert_eq!(words("--"), [] as [&str; 0]);
    }

    #[test]
    fn no_word_of_a_secret_is_passed_over() {
        for word in ALWAYS.iter().chain(&LAST).chain(&TOGETHER).chain(&["sk_d"]) {
            assert!(can_be_secret(word) && can_be_secret(&format!("x-{}", word.to_uppercase())), "{word}");
        }
        assert!(!can_be_secret("2026-11-22T20") && !can_be_secret("ikeep.agent.service"));
    }

    #[test]
    fn what_sounds_like_a_secret() {
        for name in [
            "password",
            "Password",
            "userPassword",
            "user_password",
            "userpassword",
            "passwd",
            "pwd",
            "PW",
            "psk",
            "session_token",
            "sessionToken",
            "session-token",
            "SessionTokenValue",
            "token",
            "token_hex",
            "secret",
            "shared_secret",
            "client-secret-value",
            "key",
            "private_key",
            "apikey",
            "API_KEY",
            "SK_ei",
            "sk_d",
            "encryption_key",
            "Authorization",
            "Cookie",
            "new_password_again",
            "passphrase",
            "one.time.otp",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn what_does_not() {
        for name in [
            "session_id",
            "SessionId",
            "session_token_attribute",
            "session_id_attribute",
            "key_log",
            "keepalive",
            "monkey",
            "KeyUsage",
            "MatchKey",
            "ExtendedMatchKey",
            "public_key",
            "pins",
            "pass_through",
            "user",
            "host",
            "group",
            "password_file",
            "token_type",
            "tokenizer",
            "session_expires",
            "description",
            "secretary",
            "sk",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
