//! Logins with a method of the standards: EAP-MD5, EAP-GTC (RFC 3748 5.4, 5.6), EAP-MSCHAPv2 and EAP-TLS, with EAP-Identity,
//! EAP-Notification and EAP-Nak around them (RFC 3748 5.1 to 5.3). One value is one login; packets in, packets out.
//!
//! The method is the one that the profile or the config file names. A gateway that offers another one is told so once (Nak), and then the login is
//! over: nothing is negotiated down to.

mod mschapv2;
mod proof;
#[cfg(test)]
mod tests;
mod tls;

pub use tls::{MAX_MESSAGE, MAX_TLS_ROUNDS, TlsLogin};

use super::dbrp::{MAX_EAP, Packet, code};
use super::text::printable;
use super::{Answers, EapError, Form, Input, InputKind, MAX_ROUNDS, Notice, Step};
use crate::crypto::legacy::md5;
use crate::crypto::{Random, Secret};
use crate::time::UnixTime;
use mschapv2::Request;
use proof::Proof;
use std::fmt;
use tls::Tls;

/// EAP types (RFC 3748 5).
mod kind {
    pub(super) const IDENTITY: u8 = 1;
    pub(super) const NOTIFICATION: u8 = 2;
    pub(super) const NAK: u8 = 3;
    pub(super) const MD5: u8 = 4;
    pub(super) const GTC: u8 = 6;
    pub(super) const TLS: u8 = 13;
    pub(super) const MSCHAPV2: u8 = 26;
    pub(super) const EXPANDED: u8 = 254;
}

/// Characters of a gateway's text that are shown.
const SHOWN: usize = 1_000;
/// Octets of a user's name: EAP-Identity and MS-CHAPv2 both hold it.
const MAX_NAME: usize = 253;
/// Characters of a password (RFC 2759 8).
const MAX_PASSWORD: usize = 256;
/// A form with a code that is good for one time: the command line never keeps what is typed there.
const CHALLENGE_FORM: &str = "challenge";

/// A method of the standards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EapMethod {
    /// EAP-MD5: the gateway learns a hash of the password that is quickly guessed.
    Md5,
    /// EAP-GTC: the gateway asks in its own words and learns what is typed.
    Gtc,
    /// EAP-MSCHAPv2: both sides show that they know the password, and it makes a key.
    Mschapv2,
    /// EAP-TLS: both sides show certificates, and it makes a key.
    Tls,
}

impl EapMethod {
    /// Who names it, for people.
    pub(super) fn named(self) -> String {
        match self {
            Self::Tls => "the config file names EAP-TLS (login)".to_owned(),
            _ => format!("the profile names {self} (AuthMethodDuringIKENegotiation)"),
        }
    }

    fn kind(self) -> u8 {
        match self {
            Self::Md5 => kind::MD5,
            Self::Gtc => kind::GTC,
            Self::Mschapv2 => kind::MSCHAPV2,
            Self::Tls => kind::TLS,
        }
    }
}

impl fmt::Display for EapMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "EAP-MD5",
            Self::Gtc => "EAP-GTC",
            Self::Mschapv2 => "EAP-MSCHAPv2",
            Self::Tls => "EAP-TLS",
        })
    }
}

/// A login with one of them. After an error it is over, except for [`EapError::Answer`].
pub struct Standard {
    method: EapMethod,
    state: State,
    rounds: u32,
    user: String,
    password: Option<Secret>,
    /// What the gateway offered, and was told that it is not done.
    declined: Option<String>,
    /// What it said when it refused.
    complaint: Option<EapError>,
    notices: Vec<Notice>,
    key: Option<Secret>,
    tls: Option<Box<Tls>>,
}

/// Where a login is.
enum State {
    /// Nothing of the method itself was said.
    Waiting,
    /// The user is asked; this is what waits for the answer.
    Asking(Pending),
    /// All is said: success, failure, or (GTC) another question follows.
    Answered,
    /// EAP-TLS has begun.
    Tls,
    /// MS-CHAPv2: the gateway has to show that it knows the password.
    Proving(Proof),
    /// The gateway has refused, and knows that we heard it.
    Refused,
    /// Success, failure or an error of ours.
    Over,
}

/// A request of the gateway's that a person has to answer.
#[derive(Clone)]
enum Pending {
    Identity { id: u8 },
    Md5 { id: u8, challenge: Vec<u8> },
    Gtc { id: u8 },
    Mschapv2 { id: u8, ms_id: u8, challenge: [u8; 16] },
}

impl Standard {
    /// A login that has not begun, with a method that takes a password.
    pub fn new(method: EapMethod) -> Self {
        let warning = "The profile wants EAP-MD5: whoever runs the gateway can guess the password from what it gets. Ask for \
                       a profile with EAP-MSCHAPv2 or EAP-AnyConnect.";
        let notices = match method {
            EapMethod::Md5 => vec![Notice::Message(warning.to_owned())],
            EapMethod::Gtc | EapMethod::Mschapv2 | EapMethod::Tls => Vec::new(),
        };
        Self {
            method,
            state: State::Waiting,
            rounds: 0,
            user: String::new(),
            password: None,
            declined: None,
            complaint: None,
            notices,
            key: None,
            tls: None,
        }
    }

    /// A login with EAP-TLS that has not begun. `now`: what certificates are checked at.
    pub fn tls(login: TlsLogin, now: UnixTime) -> Self {
        let user = login.name.clone();
        let tls = Some(Box::new(Tls::new(login, now)));
        Self { user, tls, ..Self::new(EapMethod::Tls) }
    }

    /// Takes an EAP packet of the gateway. Call it only after the gateway's AUTH has been verified. Any error ends the login.
    pub fn handle(&mut self, packet: &[u8], random: &mut dyn Random) -> Result<Step, EapError> {
        let again = match (&self.tls, &self.state) {
            (Some(tls), State::Tls | State::Answered | State::Refused) => tls.again(packet),
            _ => None,
        };
        let step = match again {
            Some(answer) => self.count().map(|()| Step::Reply(answer)),
            None => self.step(packet, random),
        };
        if let (Ok(Step::Reply(answer)), Some(tls)) = (&step, &mut self.tls) {
            tls.answered(packet, answer);
        }
        if step.is_err() {
            self.end();
        }
        step
    }

    /// What to tell the user, drained.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The key that the method has made, once the gateway has said that the login succeeded.
    pub fn key(&self) -> Option<&Secret> {
        self.key.as_ref().filter(|_| matches!(self.state, State::Over))
    }

    /// Why the gateway ended the exchange, as far as it has said; once.
    pub fn refusal(&mut self) -> Option<EapError> {
        let declined = self.declined.take();
        let not_offered = |offered| EapError::NotOffered { offered, wanted: self.method };
        self.complaint.take().or_else(|| declined.map(not_offered))
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.password = None;
        self.key = None;
        self.tls = None;
    }

    /// A gateway cannot go on for ever.
    fn count(&mut self) -> Result<(), EapError> {
        let most = if self.method == EapMethod::Tls { MAX_TLS_ROUNDS } else { MAX_ROUNDS };
        self.rounds += 1;
        if self.rounds > most { Err(EapError::TooManyRounds) } else { Ok(()) }
    }

    fn step(&mut self, packet: &[u8], random: &mut dyn Random) -> Result<Step, EapError> {
        let packet = Packet::parse(packet)?;
        match (packet.code, &self.state) {
            (_, State::Over) => Err(EapError::Unexpected("a packet after the end of the login")),
            (_, State::Asking(_)) => Err(EapError::Unexpected("a packet while none was due")),
            // Whatever the gateway thinks of a login that was ended here.
            (code::FAILURE, _) | (code::SUCCESS, State::Refused) => {
                Err(self.refusal().unwrap_or_else(|| EapError::Refused("it gave no reason".into())))
            }
            (code::SUCCESS, State::Answered) => {
                let key = self.key.take();
                self.end();
                self.key = key;
                Ok(Step::Success)
            }
            (code::SUCCESS, State::Tls) if self.tls.as_ref().is_some_and(|tls| tls.lacks_indication()) => {
                Err(EapError::NoIndication)
            }
            (code::SUCCESS, _) => Err(EapError::Unexpected("EAP-Success before the login was complete")),
            (code::REQUEST, _) => {
                self.count()?;
                let (kind, data) = packet.typed().ok_or(EapError::Unexpected("a request without a type"))?;
                self.request(&packet, kind, data, random)
            }
            _ => Err(EapError::Unexpected("an EAP response from the gateway")),
        }
    }

    fn request(
        &mut self,
        packet: &Packet<'_>,
        kind: u8,
        data: &[u8],
        random: &mut dyn Random,
    ) -> Result<Step, EapError> {
        let id = packet.id;
        match (kind, &self.state) {
            (kind::NOTIFICATION, _) => {
                let text = printable(&String::from_utf8_lossy(data), SHOWN);
                if !text.is_empty() {
                    self.notices.push(Notice::Message(text));
                }
                reply(id, kind::NOTIFICATION, &[]).map(Step::Reply)
            }
            (kind::IDENTITY, State::Waiting) if self.user.is_empty() => {
                let (form, names) = match self.method {
                    EapMethod::Gtc | EapMethod::Tls => ("user", &[USER][..]),
                    EapMethod::Md5 | EapMethod::Mschapv2 => ("main", &[USER, PASSWORD][..]),
                };
                Ok(self.ask(Pending::Identity { id }, form, "", "", names))
            }
            (kind::IDENTITY, State::Waiting) => {
                reply(id, kind::IDENTITY, self.user.as_bytes()).map(Step::Reply)
            }
            (kind::NAK, _) => Err(EapError::Malformed("a Nak as a request".into())),
            (kind, _) if kind == self.method.kind() => self.method_request(id, data, random),
            (_, State::Waiting) if self.declined.is_none() && kind != kind::IDENTITY => {
                self.declined = packet.method().map(|method| method.to_string());
                self.decline(id, kind).map(Step::Reply)
            }
            _ => {
                let offered = packet.method().map_or_else(String::new, |method| method.to_string());
                Err(EapError::NotOffered { offered, wanted: self.method })
            }
        }
    }

    /// Nak, in the form of the request (RFC 3748 5.3): the one method that will do.
    fn decline(&self, id: u8, kind: u8) -> Result<Vec<u8>, EapError> {
        let wanted = self.method.kind();
        if kind == kind::EXPANDED {
            reply(id, kind, &[0, 0, 0, 0, 0, 0, kind::NAK, kind::EXPANDED, 0, 0, 0, 0, 0, 0, wanted])
        } else {
            reply(id, kind::NAK, &[wanted])
        }
    }

    fn method_request(&mut self, id: u8, data: &[u8], random: &mut dyn Random) -> Result<Step, EapError> {
        self.declined = None;
        match (self.method, &self.state) {
            (EapMethod::Md5, State::Waiting) => {
                let value = data.split_first().and_then(|(size, rest)| rest.get(..usize::from(*size)));
                let value = value.filter(|value| !value.is_empty());
                let challenge =
                    value.ok_or_else(|| EapError::Malformed("MD5 challenge without a value".into()))?;
                self.begin(Pending::Md5 { id, challenge: challenge.to_vec() }, random)
            }
            (EapMethod::Gtc, State::Waiting | State::Answered) => {
                let text = printable(&String::from_utf8_lossy(data), SHOWN);
                Ok(self.ask(Pending::Gtc { id }, CHALLENGE_FORM, &text, "", &[PASSWORD]))
            }
            (EapMethod::Mschapv2, _) => self.mschapv2(id, Request::parse(data)?, random),
            (EapMethod::Tls, State::Waiting | State::Tls) => self.tls_request(id, data),
            // It goes on although it has refused.
            (EapMethod::Tls, State::Refused) => {
                Err(self.refusal().unwrap_or(EapError::Unexpected("a request after the end of EAP-TLS")))
            }
            _ => Err(EapError::Unexpected("a request while none was due")),
        }
    }

    fn tls_request(&mut self, id: u8, data: &[u8]) -> Result<Step, EapError> {
        let tls = self.tls.as_mut().ok_or(EapError::Unexpected("EAP-TLS without a certificate"))?;
        let turn = tls.request(data)?;
        self.state = match turn.end {
            None => State::Tls,
            Some(Ok(key)) => {
                self.key = Some(key);
                State::Answered
            }
            Some(Err(error)) => {
                self.complaint = Some(error);
                State::Refused
            }
        };
        reply(id, kind::TLS, &turn.data).map(Step::Reply)
    }

    fn mschapv2(&mut self, id: u8, request: Request, random: &mut dyn Random) -> Result<Step, EapError> {
        match (request, &self.state) {
            (Request::Challenge { id: ms_id, challenge }, State::Waiting) => {
                self.begin(Pending::Mschapv2 { id, ms_id, challenge }, random)
            }
            (Request::Success { proof, message }, State::Proving(ours)) => {
                if proof != ours.authenticator_response() {
                    return Err(EapError::NotMutual);
                }
                self.key = Some(ours.msk());
                self.password = None;
                self.state = State::Answered;
                self.notices.extend((!message.is_empty()).then_some(Notice::Message(message)));
                reply(id, kind::MSCHAPV2, &mschapv2::success_heard()).map(Step::Reply)
            }
            (Request::Failure(failure), State::Proving(_)) => {
                let text = failure.text();
                self.password = None;
                self.notices.push(Notice::Error(text.clone()));
                if let (Some(challenge), true) = (failure.again, failure.is_about_password()) {
                    let pending = Pending::Mschapv2 { id, ms_id: failure.id.wrapping_add(1), challenge };
                    return Ok(self.ask(pending, "main", "", &text, &[PASSWORD]));
                }
                self.complaint = Some(failure.error());
                self.state = State::Refused;
                reply(id, kind::MSCHAPV2, &mschapv2::failure_heard()).map(Step::Reply)
            }
            _ => Err(EapError::Unexpected("an MS-CHAPv2 packet out of turn")),
        }
    }

    /// The first request of a method with a password: it may be known since the question for the name.
    fn begin(&mut self, pending: Pending, random: &mut dyn Random) -> Result<Step, EapError> {
        if self.password.is_some() {
            return self.answer_to(pending, random).map(Step::Reply);
        }
        let named = self.user.is_empty() && self.method == EapMethod::Mschapv2;
        let names = if named { &[USER, PASSWORD][..] } else { &[PASSWORD][..] };
        Ok(self.ask(pending, "main", "", "", names))
    }

    fn ask(
        &mut self,
        pending: Pending,
        form: &str,
        message: &str,
        error: &str,
        inputs: &[(&str, &str, InputKind)],
    ) -> Step {
        self.state = State::Asking(pending);
        let input = |(name, label, kind): &(&str, &str, InputKind)| Input {
            name: (*name).to_owned(),
            label: (*label).to_owned(),
            kind: kind.clone(),
        };
        Step::Ask(Form {
            id: form.to_owned(),
            title: String::new(),
            message: message.to_owned(),
            banner: String::new(),
            error: error.to_owned(),
            inputs: inputs.iter().map(input).collect(),
        })
    }

    /// The user's answers to the last form; the EAP packet to send. After [`EapError::Answer`] it can be called again with
    /// better ones.
    pub fn answer(&mut self, answers: &Answers, random: &mut dyn Random) -> Result<Vec<u8>, EapError> {
        let State::Asking(pending) = &self.state else {
            return Err(EapError::Unexpected("an answer while nothing is asked"));
        };
        let pending = pending.clone();
        let names_user = match &pending {
            Pending::Identity { .. } => true,
            Pending::Mschapv2 { .. } => self.user.is_empty(),
            Pending::Md5 { .. } | Pending::Gtc { .. } => false,
        };
        let is_identity_alone = matches!(&pending, Pending::Identity { .. })
            && matches!(self.method, EapMethod::Gtc | EapMethod::Tls);
        let user = names_user.then(|| text(answers, USER.0, MAX_NAME)).transpose()?;
        if user.is_some_and(|user| user.chars().any(char::is_control)) {
            return Err(wrong(USER.0, "has control characters"));
        }
        if !is_identity_alone {
            let password = text(answers, PASSWORD.0, 4 * MAX_PASSWORD)?;
            if password.chars().count() > MAX_PASSWORD {
                return Err(wrong(PASSWORD.0, "is too long"));
            }
            self.password = Some(Secret::from(password.as_bytes()));
        }
        if let Some(user) = user {
            self.user = user.to_owned();
        }
        let packet = self.answer_to(pending, random);
        if packet.is_err() {
            self.end();
        }
        packet
    }

    fn answer_to(&mut self, pending: Pending, random: &mut dyn Random) -> Result<Vec<u8>, EapError> {
        let known = self.password.clone().unwrap_or_else(|| Secret::new(Vec::new()));
        match pending {
            Pending::Identity { id } => {
                self.state = State::Waiting;
                reply(id, kind::IDENTITY, self.user.as_bytes())
            }
            Pending::Md5 { id, challenge } => {
                let value = md5(&[&[id], known.expose(), &challenge]);
                (self.state, self.password) = (State::Answered, None);
                reply(id, kind::MD5, &[&[value.len() as u8], &value[..], self.user.as_bytes()].concat())
            }
            Pending::Gtc { id } => {
                (self.state, self.password) = (State::Answered, None);
                reply(id, kind::GTC, known.expose())
            }
            Pending::Mschapv2 { id, ms_id, challenge } => {
                let mut ours = [0; 16];
                random.fill(&mut ours);
                let password = std::str::from_utf8(known.expose()).unwrap_or_default();
                let proof = Proof::new(&challenge, &ours, &self.user, password);
                let data = mschapv2::response(ms_id, &ours, proof.nt_response(), &self.user);
                self.state = State::Proving(proof);
                reply(id, kind::MSCHAPV2, &data)
            }
        }
    }
}

const USER: (&str, &str, InputKind) = ("username", "Username:", InputKind::Text);
const PASSWORD: (&str, &str, InputKind) = ("password", "Password:", InputKind::Password);

fn wrong(input: &str, why: &'static str) -> EapError {
    EapError::Answer { input: input.to_owned(), why }
}

/// What was typed there: a text, not empty, of so many octets at most.
fn text<'a>(answers: &'a Answers, input: &str, most: usize) -> Result<&'a str, EapError> {
    let typed = answers.get(input).map(Secret::expose).filter(|typed| !typed.is_empty());
    let typed = typed.ok_or_else(|| wrong(input, "is missing"))?;
    let text = std::str::from_utf8(typed).map_err(|_| wrong(input, "is not UTF-8 text"))?;
    if text.len() > most { Err(wrong(input, "is too long")) } else { Ok(text) }
}

/// A response of this type.
fn reply(id: u8, kind: u8, data: &[u8]) -> Result<Vec<u8>, EapError> {
    let length = 5 + data.len();
    if length > MAX_EAP {
        return Err(EapError::TooLong);
    }
    let head = [code::RESPONSE, id, (length >> 8) as u8, length as u8, kind];
    Ok([&head[..], data].concat())
}
