//! Who may use the proxy, where that is not everybody on this machine.

use crate::crypto::Secret;

/// User and password of the proxy.
#[derive(Clone, Debug)]
pub struct Access {
    user: Secret,
    password: Secret,
}

/// Why a file names nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected one line USER:PASSWORD, of 1 to 255 octets each, without control characters")]
pub struct AccessError;

impl Access {
    /// Reads `USER:PASSWORD`; a line end may follow. The user has no colon, as in HTTP (RFC 7617 2).
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &[u8]) -> Result<Self, AccessError> {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|octet| *octet == b':').ok_or(AccessError)?;
        let (user, password) = (&line[..colon], &line[colon + 1..]);
        let fits = |part: &[u8]| (1..=255).contains(&part.len());
        let printable = std::str::from_utf8(line).is_ok_and(|text| !text.chars().any(char::is_control));
        if !fits(user) || !fits(password) || !printable {
            return Err(AccessError);
        }
        Ok(Self { user: Secret::from(user), password: Secret::from(password) })
    }

    /// Whether these are they; how long that takes tells nothing but lengths.
    pub fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        let (user, password) = (Secret::from(user), Secret::from(password));
        (user == self.user) & (password == self.password)
    }

    /// `USER:PASSWORD@` for a URL, everything but letters and digits in percent form.
    pub fn of_url(&self) -> Secret {
        let mut out = Vec::with_capacity(3 * (self.user.expose().len() + self.password.expose().len()) + 2);
        for (part, end) in [(&self.user, b':'), (&self.password, b'@')] {
            for octet in part.expose() {
                if octet.is_ascii_alphanumeric() {
                    out.push(*octet);
                } else {
                    let digit = |value: u8| b"0123456789ABCDEF"[usize::from(value & 15)];
                    out.extend([b'%', digit(octet >> 4), digit(*octet)]);
                }
            }
            out.push(end);
        }
        Secret::new(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_one_user() {
        let access = Access::parse("anna:p\u{e4}ss:w\u{f6}rt\r\n".as_bytes()).unwrap();
        assert!(access.admits(b"anna", "p\u{e4}ss:w\u{f6}rt".as_bytes()));
        assert!(!access.admits(b"anna", b"p") && !access.admits(b"", "p\u{e4}ss:w\u{f6}rt".as_bytes()));
        assert_eq!(access.of_url().expose(), b"anna:p%C3%A4ss%3Aw%C3%B6rt@");
        assert!(!format!("{access:?}").contains("anna"));
        let long = format!("{}:x", "a".repeat(256));
        for bad in ["", ":", "anna", "anna:", ":x", "anna:x\ny", "anna:\u{7f}", &long] {
            assert_eq!(Access::parse(bad.as_bytes()).unwrap_err(), AccessError, "{bad:?}");
        }
    }
}
