//! The passphrase of the user's private key: asked for before a login, like the gateway's questions.

use super::super::target::{Locked, PinOf, Target};
use super::{Service, Way, failed, tell};
use crate::ipc::{Answer, Connect, FailureKind, Input, InputKind, Question, Reply};
use crate::pkcs11::Tries;

/// How often a passphrase is asked for in one wish; a program that answers has the same one each time.
const TRIES: u8 = 3;
/// Name of the input. It is no gateway's password: it is neither filled in nor kept as one.
const NAME: &str = "key_passphrase";

/// A wish that waits for a passphrase.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Of the question.
    id: u64,
    wishes: Connect,
    way: Way,
    /// With this question.
    tries: u8,
    answered: bool,
}

impl Service {
    /// Asks whoever has the wish, or tells that it was asked often enough.
    pub(super) fn ask_passphrase(&mut self, locked: &Locked, target: &Target, wishes: &Connect, way: Way) {
        if self.waiting.as_ref().is_some_and(|waiting| !waiting.way.same_channel(&way)) {
            self.give_up_passphrase("another `ikeep connect` came after this one");
        }
        let before = self.waiting.take().filter(|waiting| waiting.answered);
        let tries = before.map_or(0, |waiting| waiting.tries);
        let file = locked.file.display();
        let message = match &locked.pin {
            Some(pin) => of_token(pin),
            None => format!("The key in {file} is protected by a passphrase."),
        };
        let label = if locked.pin.is_some() { "PIN" } else { "Passphrase" };
        if tries == TRIES {
            let text = format!(
                "that is not the passphrase of the key in {file}; openssl pkey -in {file} -noout tells whether you know it"
            );
            return tell(&way, failed(FailureKind::Authentication, &text));
        }
        self.questions += 1;
        let question = Question {
            id: self.questions,
            title: String::new(),
            message,
            error: if locked.wrong { "That is not its passphrase.".to_owned() } else { String::new() },
            inputs: vec![Input {
                name: NAME.to_owned(),
                label: label.to_owned(),
                kind: InputKind::Secret,
                value: String::new(),
                options: Vec::new(),
            }],
            gateway: target.primary.1.clone(),
            user: String::new(),
            form: NAME.to_owned(),
        };
        let wishes = Connect { passphrase: None, ..wishes.clone() };
        tell(&way, Reply::Ask(question));
        self.waiting = Some(Waiting { id: self.questions, wishes, way, tries: tries + 1, answered: false });
    }

    /// Nobody waits for a passphrase any more; whoever was asked is told why.
    pub(super) fn give_up_passphrase(&mut self, why: &str) {
        if let Some(waiting) = self.waiting.take().filter(|waiting| !waiting.answered) {
            tell(&waiting.way, failed(FailureKind::Other, why));
        }
    }

    /// The wish with its passphrase, where this is the answer, of the client who was asked.
    pub(super) fn take_passphrase(&mut self, answer: &Answer, from: &Way) -> Option<(Connect, Way)> {
        let waiting = self.waiting.as_mut()?;
        if waiting.answered || waiting.id != answer.id || !waiting.way.same_channel(from) {
            return None;
        }
        waiting.answered = true;
        let passphrase = answer.values.get(NAME).map(|typed| typed.0.clone());
        Some((Connect { passphrase, ..waiting.wishes.clone() }, waiting.way.clone()))
    }
}

/// What is asked of a token's PIN.
fn of_token(pin: &PinOf) -> String {
    let before = match pin.tries {
        Tries::Untouched => "",
        Tries::Low => " It was given a wrong one before.",
        Tries::Last => " One more wrong PIN locks it.",
    };
    format!("The key is on the token {}, which wants its PIN.{before}", pin.token)
}
