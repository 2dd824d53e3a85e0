//! The remembered password: when it is given, when it is kept, and when it is forgotten.
//!
//! A form field is the password if it is read without echo, is named `password`, and stands in a form that is not the
//! gateway's challenge and comes before the gateway has taken a password in this login. Everything else that is asked for
//! without echo (`answer`, `secondary_password`, a second form) may be a one-time code: it is neither kept nor filled in.
//!
//! What was typed is kept when the connection is there, so only what the gateway took; what is kept is forgotten as soon as
//! a login with it is refused, whatever else was wrong with that login. It is never tried twice.

use crate::crypto::Secret;
use crate::ipc::{Failure, FailureKind, Input, InputKind, Question};
use crate::store::ServiceError;
use crate::store::password::{self, Remembered};

/// Names of the fields (docs: EAP-AnyConnect forms).
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
        if !question.error.is_empty() && question.inputs.iter().any(|input| may_be(question, input)) {
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
                eprintln!(
                    "ikeep: the remembered password cannot be read, because the keyring is locked: unlock it, or type the \
                     password now"
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
        !self.given && may_be(question, input)
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
            Ok(()) => eprintln!(
                "The password is remembered in the desktop's keyring; `ikeep forget {}` forgets it.",
                super::output::printable(&self.gateway)
            ),
            Err(error) => eprintln!("ikeep: warning: the password is not remembered: {}", told(&error)),
        }
    }

    /// There is none.
    pub(super) fn failed(&mut self, failure: &Failure) {
        if failure.kind == FailureKind::Authentication {
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
            Ok(_) => eprintln!("The gateway refused the remembered password, so it is forgotten."),
            Err(error) => eprintln!(
                "ikeep: warning: the gateway refused the remembered password, and it cannot be forgotten: {}; then \
                 `ikeep forget {}`",
                told(&error),
                super::output::printable(&self.gateway)
            ),
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
