//! EAP-AnyConnect, client side: a login as a state machine.

use super::super::cert::pkcs7;
use super::dbrp::{Message, Packet, code, tlv};
use super::xml::{self, Auth, Document, Kind};
use super::{Answers, EapError, Form, Input, InputKind, LoginParams, Notice, Step};

/// Requests that one login answers.
pub const MAX_ROUNDS: u32 = 32;

/// EAP-AnyConnect, client side. One value is one login; after an error it is over, except for [`EapError::Answer`].
pub struct AnyConnect {
    params: LoginParams,
    state: State,
    rounds: u32,
    /// `<opaque is-for="sg">` of the last document that had one.
    opaque: Option<Vec<u8>>,
    notices: Vec<Notice>,
    /// The last thing the gateway complained of.
    complaint: Option<String>,
    /// The user's certificate was shown.
    shown: bool,
    /// `<host-scan-token>` of the next answer.
    scan: Option<String>,
}

/// Where a login is.
enum State {
    /// Nothing was said, or we wait for the gateway.
    Waiting,
    /// The user is being asked.
    Asking { id: u8, inputs: Vec<Input> },
    /// The host is scanned; then the rest of the request is answered.
    Scanning { id: u8, certificate: bool, auth: Option<Auth> },
    /// The user's certificate is to be shown, and its key signs.
    Signing { id: u8 },
    /// `complete` was acknowledged: only success or failure may follow.
    Acknowledged,
    /// Success, failure or an error of ours.
    Over,
}

impl AnyConnect {
    /// A login that has not begun.
    pub fn new(params: LoginParams) -> Self {
        Self {
            params,
            state: State::Waiting,
            rounds: 0,
            opaque: None,
            notices: Vec::new(),
            complaint: None,
            shown: false,
            scan: None,
        }
    }

    /// Takes an EAP packet of the gateway. Call it only after the gateway's AUTH has been verified. Any error ends the login.
    pub fn handle(&mut self, packet: &[u8]) -> Result<Step, EapError> {
        let step = self.step(packet);
        if step.is_err() {
            self.state = State::Over;
        }
        step
    }

    fn step(&mut self, packet: &[u8]) -> Result<Step, EapError> {
        let header = Packet::parse(packet)?;
        match (header.code, &self.state) {
            (_, State::Over) => Err(EapError::Unexpected("a packet after the end of the login")),
            (code::FAILURE, _) => {
                let complaint = self.complaint.take();
                Err(EapError::Refused(complaint.unwrap_or_else(|| "it gave no reason".into())))
            }
            (code::SUCCESS, State::Acknowledged) => {
                self.state = State::Over;
                Ok(Step::Success)
            }
            (code::SUCCESS, _) => Err(EapError::Unexpected("EAP-Success before the login was complete")),
            (code::REQUEST, State::Waiting) => self.request(packet),
            (code::REQUEST, _) => Err(EapError::Unexpected("a request while none was due")),
            _ => Err(EapError::Unexpected("an EAP response from the gateway")),
        }
    }

    fn request(&mut self, packet: &[u8]) -> Result<Step, EapError> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err(EapError::TooManyRounds);
        }
        let message = Message::parse(packet)?;
        let xml = message.tlv(tlv::XML).ok_or_else(|| EapError::Malformed("no XML document".into()))?;
        let document = Document::parse(xml)?;
        if document.opaque.is_some() {
            self.opaque = document.opaque;
        }
        if let Some(error) = document.error {
            self.notices.push(Notice::Error(error.clone()));
            return Err(EapError::Refused(error));
        }
        match document.kind {
            Kind::Hello | Kind::AuthRequest
                if document.client_cert_request && !self.shown && self.params.own.is_some() =>
            {
                self.certificate_request(message.id, document.auth)
            }
            Kind::Hello | Kind::AuthRequest if document.host_scan.is_some() => {
                let Some(scan) = document.host_scan.filter(|_| self.params.scans) else {
                    return Err(EapError::HostScan);
                };
                let (id, certificate, auth) = (message.id, document.client_cert_request, document.auth);
                self.state = State::Scanning { id, certificate, auth };
                Ok(Step::Scan(scan))
            }
            Kind::Hello | Kind::AuthRequest if document.client_cert_request => {
                self.certificate_request(message.id, document.auth)
            }
            Kind::Hello => reply(message.id, &xml::init(&self.params, None)?).map(Step::Reply),
            Kind::AuthRequest => self.rest(message.id, document.auth),
            Kind::Complete => {
                if let Some(auth) = document.auth {
                    self.tell(auth.banner, auth.message);
                }
                self.state = State::Acknowledged;
                reply(message.id, &xml::ack(&self.params.device)?).map(Step::Reply)
            }
        }
    }

    /// What a request asks for beside certificate and scan.
    fn rest(&mut self, id: u8, auth: Option<Auth>) -> Result<Step, EapError> {
        match auth {
            Some(auth) => self.auth_request(id, auth),
            // The certificate or the scan was all that it asked for.
            None if self.shown || self.scan.is_some() => self.reply_with(id, &[], None).map(Step::Reply),
            None => Err(EapError::Unsupported("a request that asks for nothing known".into())),
        }
    }

    /// What came of [`Step::Scan`]: the token, or why there is none. What is next: the answer to the request, or a question to the
    /// user.
    ///
    /// # Errors
    /// No scan is due, there is no token, or it cannot be sent; the login is over.
    pub fn scanned(&mut self, token: Result<String, String>) -> Result<Step, EapError> {
        let step = match std::mem::replace(&mut self.state, State::Waiting) {
            State::Scanning { id, certificate, auth } => {
                token.map_err(EapError::NotScanned).and_then(|token| {
                    self.scan = Some(token);
                    if certificate { self.certificate_request(id, auth) } else { self.rest(id, auth) }
                })
            }
            _ => Err(EapError::Unexpected("a scan while none is due")),
        };
        if step.is_err() {
            self.state = State::Over;
        }
        step
    }

    /// The certificate, or where there is none, or it was not taken, the form that does instead of it.
    fn certificate_request(&mut self, id: u8, auth: Option<Auth>) -> Result<Step, EapError> {
        let own = self.params.own.clone();
        match (own, auth) {
            (Some(own), _) if !self.shown => {
                self.state = State::Signing { id };
                Ok(Step::Sign(own))
            }
            (_, Some(auth)) if auth.form.is_some() || auth.error.is_some() => self.auth_request(id, auth),
            (Some(own), _) => Err(EapError::CertificateNotTaken(own.subject().to_owned())),
            (None, _) => Err(EapError::ClientCertificate),
        }
    }

    /// The signature over the initiator's octets that [`Step::Sign`] has asked for: the data of an AUTH payload. The EAP packet to
    /// send: `init` again, with chain and signature before it (`fork`: in this order).
    ///
    /// # Errors
    /// No signature is due, or the packet would be too long; the login is over.
    pub fn signed(&mut self, signature: Vec<u8>) -> Result<Vec<u8>, EapError> {
        let (State::Signing { id }, Some(own)) = (&self.state, &self.params.own) else {
            return Err(EapError::Unexpected("a signature while none is due"));
        };
        let packet = xml::init(&self.params, self.opaque.as_deref()).and_then(|init| {
            let chain = pkcs7::encode(own.chain());
            let tlvs =
                vec![(tlv::CERTIFICATES, chain), (tlv::SIGNATURE, signature), (tlv::XML, init.to_vec())];
            Message { code: code::RESPONSE, id: *id, tlvs }.encode()
        });
        self.shown = true;
        self.state = if packet.is_ok() { State::Waiting } else { State::Over };
        packet
    }

    fn auth_request(&mut self, id: u8, auth: Auth) -> Result<Step, EapError> {
        if let Some(error) = &auth.error {
            self.complaint = Some(error.clone());
            self.notices.push(Notice::Error(error.clone()));
        }
        match (auth.form, auth.error) {
            (Some(inputs), error) => {
                self.state = State::Asking { id, inputs: inputs.clone() };
                Ok(Step::Ask(Form {
                    id: auth.id,
                    title: auth.title,
                    message: auth.message,
                    banner: auth.banner,
                    error: error.unwrap_or_default(),
                    inputs,
                }))
            }
            (None, Some(error)) => Err(EapError::Refused(error)),
            (None, None) => {
                self.tell(auth.banner, auth.message);
                self.reply_with(id, &[], None).map(Step::Reply)
            }
        }
    }

    /// The user's answers to the last form; the EAP packet to send. After [`EapError::Answer`] it can be called again with
    /// better ones.
    pub fn answer(&mut self, answers: &Answers) -> Result<Vec<u8>, EapError> {
        let State::Asking { id, inputs } = &self.state else {
            return Err(EapError::Unexpected("an answer while nothing is asked"));
        };
        let (id, inputs) = (*id, inputs.clone());
        let mut fields = Vec::new();
        let mut group = None;
        for input in &inputs {
            let Some((element, value)) = field(input, answers)? else { continue };
            match element {
                Field::Group => group = Some(value),
                Field::Element(name) => fields.push((name, value)),
            }
        }
        let packet = self.reply_with(id, &fields, group);
        // Characters that XML cannot carry are the user's to change; everything else is final.
        self.state = match packet {
            Err(EapError::NotXml) => return packet,
            Ok(_) => State::Waiting,
            Err(_) => State::Over,
        };
        packet
    }

    /// What to tell the user, drained.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn reply_with(
        &mut self,
        id: u8,
        fields: &[(&str, &str)],
        group: Option<&str>,
    ) -> Result<Vec<u8>, EapError> {
        let more = [("host-scan-token", self.scan.as_deref()), ("group-select", group)];
        let packet = reply(id, &xml::auth_reply(&self.params.device, self.opaque.as_deref(), fields, more)?);
        // An answer that cannot be sent is made anew.
        if packet.is_ok() {
            self.scan = None;
        }
        packet
    }

    fn tell(&mut self, banner: String, message: String) {
        let banner = Some(Notice::Banner(banner)).filter(|n| *n != Notice::Banner(String::new()));
        let message = Some(Notice::Message(message)).filter(|n| *n != Notice::Message(String::new()));
        self.notices.extend(banner.into_iter().chain(message));
    }
}

/// Where a value goes.
enum Field<'a> {
    /// `<group-select>` under the root (`ssl`).
    Group,
    /// An element of this name below `<auth>`.
    Element(&'a str),
}

/// Where the value of an input goes, and the value. `None` for an input that does not go back.
fn field<'a>(input: &'a Input, answers: &'a Answers) -> Result<Option<(Field<'a>, &'a str)>, EapError> {
    let wrong = |why| EapError::Answer { input: input.name.clone(), why };
    if input.name.starts_with("verify_") {
        return Ok(None);
    }
    let answer = answers.get(&input.name).map(|secret| std::str::from_utf8(secret.expose()));
    let answer = answer.transpose().map_err(|_| wrong("is not UTF-8 text"))?;
    let value = match (&input.kind, answer) {
        (InputKind::Text | InputKind::Password, Some(answer)) => answer,
        (InputKind::Text | InputKind::Password, None) => return Err(wrong("is missing")),
        (InputKind::Select(options), answer) => match answer {
            Some(answer) if options.iter().any(|(value, ..)| value == answer) => answer,
            Some(_) => return Err(wrong("is none of the choices")),
            None => default_option(options).ok_or_else(|| wrong("is missing"))?,
        },
    };
    let field = match (&input.kind, input.name.as_str()) {
        (InputKind::Select(_), "group_list") => Field::Group,
        (_, "answer" | "whichpin" | "new_password") => Field::Element("password"),
        (_, name) => Field::Element(name),
    };
    Ok(Some((field, value)))
}

/// What counts where the user did not choose: the selected option, or the only one.
fn default_option(options: &[(String, String, bool)]) -> Option<&str> {
    let selected = options.iter().find(|(_, _, selected)| *selected);
    let only = if options.len() == 1 { options.first() } else { None };
    selected.or(only).map(|(value, ..)| value.as_str())
}

fn reply(id: u8, xml: &[u8]) -> Result<Vec<u8>, EapError> {
    Message::xml_only(code::RESPONSE, id, xml.to_vec()).encode()
}
