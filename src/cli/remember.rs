//! The remembered password: when it is given, when it is kept, and when it is forgotten.
//!
//! A form field is the password if it is read without echo, is named `password`, and stands in a form that is not the
//! gateway's challenge and comes before the gateway has taken a password in this login. Everything else that is asked for
//! without echo (`answer`, `secondary_password`, a second form) may be a one-time code: it is neither kept nor filled in.
//!
//! What was typed is kept when the connection is there, so only what the gateway took; what is kept is forgotten as soon as
//! a login with it is refused before the gateway has asked for more: after that the code was wrong. It is never tried twice.

use super::output::{printable, tell};
use crate::crypto::Secret;
use crate::ipc::{Failure, FailureKind, Input, InputKind, Question};
use crate::store::ServiceError;
use crate::store::password::{self, Remembered};

/// Names of the fields (EAP-AnyConnect forms; the standard methods use the same).
const PASSWORD: &str = "password";
pub(super) const USER: &str = "username";
/// The form in which gateways ask for codes.
const CHALLENGE: &str = "challenge";

/// See the module. What blocks, blocks for at most 300 ms.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// `--remember`.
    keep: bool,
    /// Nothing is filled in: standard input has the secrets, or what was kept has been refused.
    closed: bool,
    gateway: String,
    user: Option<String>,
    /// A password was given, and the gateway has not said that it is wrong.
    given: bool,
    /// After it the gateway asks for something else that is secret, a code: that is never kept, and what is wrong from here on is
    /// that code.
    second: bool,
    /// The password that was filled in is this user's.
    filled: Option<String>,
    /// The password that was typed.
    typed: Option<Secret>,
}

impl Memory {
    pub(super) fn new(keep: bool, user: Option<String>, password_stdin: bool) -> Self {
        Self { keep, user, closed: password_stdin, ..Self::default() }
    }

    /// A question comes: what is remembered for it, if anything is. To be called once for each question.
    pub(super) fn recall(&mut self, question: &Question) -> Option<Remembered> {
        if !question.gateway.is_empty() {
            self.gateway.clone_from(&question.gateway);
        }
        if !question.user.is_empty() {
            self.user = Some(question.user.clone());
        }
        if self.given
            && question.error.is_empty()
            && question.inputs.iter().any(|input| input.kind == InputKind::Secret)
        {
            self.second = true;
        }
        if !self.second
            && !question.error.is_empty()
            && question.inputs.iter().any(|input| may_be(question, input))
        {
            self.refused();
        }
        let asks = question.inputs.iter().any(|input| self.is_password(question, input));
        if self.closed || !asks || self.gateway.is_empty() {
            return None;
        }
        match password::remembered(&self.gateway, self.user.as_deref()) {
            Ok(found) => {
                self.filled = found.as_ref().map(|found| found.user.clone());
                found
            }
            Err(ServiceError::Locked) => {
                tell(
                    "ikeep: the remembered password cannot be read, because the keyring is locked: unlock it, or type the \
                     password now",
                );
                None
            }
            Err(error) => {
                tracing::info!(%error, "no remembered password");
                None
            }
        }
    }

    pub(super) fn is_password(&self, question: &Question, input: &Input) -> bool {
        !self.given && !self.second && may_be(question, input)
    }

    /// The name was typed.
    pub(super) fn named(&mut self, user: &Secret) {
        self.user = String::from_utf8(user.expose().to_vec()).ok();
    }

    /// A question was answered; `typed`: the password that a person gave for it.
    pub(super) fn answered(&mut self, typed: Option<Secret>) {
        self.given |= typed.is_some() || self.filled.is_some();
        if typed.is_some() && self.keep {
            self.typed = typed;
        }
    }

    /// There is a connection: what was typed is right.
    pub(super) fn connected(&mut self) {
        let Some(password) = self.typed.take() else { return };
        let user = self.user.clone().unwrap_or_default();
        match password::remember(&self.gateway, &user, &password) {
            Ok(()) => tell(&format!(
                "The password is remembered in the desktop's keyring; `ikeep forget {}` forgets it.",
                printable(&self.gateway)
            )),
            Err(error) => tell(&format!("ikeep: warning: the password is not remembered: {}", told(&error))),
        }
    }

    /// There is none.
    pub(super) fn failed(&mut self, failure: &Failure) {
        if failure.kind == FailureKind::Authentication && !failure.password_stands && !self.second {
            self.refused();
        }
    }

    /// The login was refused.
    fn refused(&mut self) {
        self.given = false;
        self.typed = None;
        let Some(user) = self.filled.take() else { return };
        self.closed = true;
        match password::forget(&self.gateway, Some(&user)) {
            Ok(_) => tell("The gateway refused the remembered password, so it is forgotten."),
            Err(error) => tell(&format!(
                "ikeep: warning: the gateway refused the remembered password, and it cannot be forgotten: {}; then \
                 `ikeep forget {}`",
                told(&error),
                printable(&self.gateway)
            )),
        }
    }
}

/// As far as the form goes.
fn may_be(question: &Question, input: &Input) -> bool {
    let secret = input.kind == InputKind::Secret && input.name.eq_ignore_ascii_case(PASSWORD);
    secret && !question.form.eq_ignore_ascii_case(CHALLENGE)
}

/// A failure of the secret service as it is about passwords.
pub(super) fn told(error: &ServiceError) -> String {
    match error {
        ServiceError::Locked => "the keyring is locked; unlock it first".to_owned(),
        ServiceError::NotThere => {
            "no secret service (GNOME Keyring, KWallet, KeePassXC) runs in this session".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(form: &str, name: &str, error: &str) -> Question {
        let (name, form, error) = (name.to_owned(), form.to_owned(), error.to_owned());
        let none = String::new;
        let input =
            Input { name, label: none(), kind: InputKind::Secret, value: none(), options: Vec::new() };
        let (title, message, gateway, user) = (none(), none(), none(), none());
        Question { id: 1, title, message, error, inputs: vec![input], gateway, user, form }
    }

    /// Plays the forms of one login, each with a typed secret; whether each was taken for the password.
    fn play(forms: &[Question]) -> (Vec<bool>, Memory) {
        let mut memory = Memory::new(true, Some("anna".to_owned()), true);
        let taken = forms.iter().map(|form| {
            let _ = memory.recall(form);
            let taken = memory.is_password(form, &form.inputs[0]);
            memory.answered(taken.then(|| Secret::from(&b"typed"[..])));
            taken
        });
        (taken.collect(), memory)
    }

    #[test]
    fn a_code_is_never_the_password_also_when_it_is_asked_for_again() {
        let (first, second) = (question("main", "password", ""), question("main", "password", "wrong"));
        let (taken, memory) = play(&[first.clone(), first.clone(), second.clone(), second.clone()]);
        assert_eq!(taken, [true, false, false, false]);
        assert_eq!(memory.typed.as_ref().map(Secret::expose), Some(&b"typed"[..]));
        // Before that a form that comes back is about the password.
        assert_eq!(play(&[first.clone(), second.clone()]).0, [true, true]);
        assert_eq!(play(&[first, question("challenge", "password", ""), second]).0, [true, false, false]);
    }

    #[test]
    fn a_password_that_the_gateway_has_no_fault_with_is_not_forgotten() {
        for stands in [true, false] {
            let mut memory = play(&[question("main", "password", "")]).1;
            let failure = Failure::new(FailureKind::Authentication, "at this hour");
            memory.failed(&Failure { password_stands: stands, ..failure });
            assert_eq!(memory.given, stands);
        }
    }
}
