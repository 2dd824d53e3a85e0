//! EAP-AnyConnect as the gateway leads it, and the AAA behind it (PROTOCOL section 2).

use super::GatewayConfig;
use super::aaa::{Answer, Grant};
use super::config::User;
use super::event::Refusal;
use crate::crypto::{Random, Secret};
use crate::ike::eap::server::{self, ClientKind, ClientMessage, Complete};
use crate::ike::eap::{EapError, Form, HostScan, Input, InputKind, dbrp};

/// Wrong answers before EAP-Failure.
const TRIES: u32 = 3;
/// Messages of one login, `init` and `ack` included.
const ROUNDS: u32 = 32;
/// What `<error id="13">` says (`ssl`).
const LOGIN_FAILED: &str = "Login failed.";

/// What `<error id="13">` says of a certificate (`ssl`).
const CERTIFICATE_FAILED: &str = "Certificate Validation Failure";

/// What it says of a scan of the host.
const SCAN_FAILED: &str = "Host scan failed";

/// What the client must say next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Awaiting {
    Init,
    /// `init` with a certificate.
    Certificate,
    /// The answer to nothing, after the certificate.
    Confirmation,
    Password,
    SecondFactor,
    /// Nothing: AAA is asked.
    Aaa,
    Ack,
}

/// What the gateway says. The packet is a whole EAP packet.
pub(super) enum Turn {
    /// A form, or another request.
    Ask {
        /// EAP-Request.
        packet: Vec<u8>,
        /// The last answer was wrong.
        wrong: bool,
    },
    /// AAA outside is to be asked; [`Conversation::verdict`] goes on.
    Check {
        /// What the client typed: the password, or the answer to a challenge.
        password: Secret,
        /// RADIUS State of the challenge that it answers.
        state: Option<Vec<u8>>,
    },
    /// The client shows a certificate; [`Conversation::certificate`] goes on.
    Prove {
        /// PKCS#7.
        chain: Vec<u8>,
        /// Over the client's signed octets: the data of an AUTH payload.
        signature: Vec<u8>,
    },
    /// AAA took the login; the client acknowledges.
    Accepted(Vec<u8>),
    /// EAP-Success.
    Success(Vec<u8>),
    /// EAP-Failure, or a request with an error that ends the login.
    Failure {
        /// The packet.
        packet: Vec<u8>,
        /// Why.
        why: Refusal,
    },
}

/// One login.
pub(super) struct Conversation {
    identifier: u8,
    awaiting: Awaiting,
    rounds: u32,
    wrong: u32,
    opaque: Vec<u8>,
    user: String,
    /// `<group-access>` of the client: the choice that its form begins with.
    wanted_group: Option<String>,
    group: Option<String>,
    /// RADIUS State of the challenge under way.
    state: Option<Vec<u8>>,
    /// What the challenge says.
    challenge: String,
    /// What AAA outside has granted.
    grant: Grant,
}

impl Conversation {
    /// Begins; also the `hello`.
    pub(super) fn start(
        config: &GatewayConfig,
        random: &mut dyn Random,
    ) -> Result<(Self, Vec<u8>), EapError> {
        let conversation = Self {
            identifier: random.below(256) as u8,
            awaiting: Awaiting::Init,
            rounds: 0,
            wrong: 0,
            opaque: server::opaque(&config.profile, random.below(1 << 32))?,
            user: String::new(),
            wanted_group: None,
            group: None,
            state: None,
            challenge: String::new(),
            grant: Grant::default(),
        };
        let hello = server::hello(conversation.identifier)?;
        Ok((conversation, hello))
    }

    /// Who logs in; empty before a name was given.
    pub(super) fn user(&self) -> String {
        self.user.clone()
    }

    /// The group, where there are groups.
    pub(super) fn group(&self) -> Option<String> {
        self.group.clone()
    }

    /// What AAA outside has granted; nothing where the gateway's own users are asked.
    pub(super) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Takes the client's EAP packet. `aaa` counts the questions to AAA. What is malformed or out of turn ends the login.
    pub(super) fn turn(
        &mut self,
        config: &GatewayConfig,
        aaa: &mut u64,
        packet: &[u8],
        random: &mut dyn Random,
    ) -> Turn {
        self.rounds += 1;
        let said = ClientMessage::parse(packet).ok().filter(|said| said.id == self.identifier);
        let Some(said) = said.filter(|_| self.rounds <= ROUNDS) else { return self.fail(Refusal::Eap) };
        self.identifier = self.identifier.wrapping_add(1);
        self.reply(config, aaa, &said, random).unwrap_or_else(|_| self.fail(Refusal::Eap))
    }

    fn reply(
        &mut self,
        config: &GatewayConfig,
        aaa: &mut u64,
        said: &ClientMessage,
        random: &mut dyn Random,
    ) -> Result<Turn, EapError> {
        let echoed = said.opaque.as_ref() == Some(&self.opaque);
        let none = Secret::new(Vec::new());
        let password = said.password().unwrap_or(&none);
        let first = matches!(self.awaiting, Awaiting::Password | Awaiting::Confirmation);
        if first && config.host_scan != said.host_scan_token {
            let packet = server::error(self.identifier, SCAN_FAILED)?;
            return Ok(Turn::Failure { packet, why: Refusal::HostScan });
        }
        match (self.awaiting, said.kind) {
            (Awaiting::Init, ClientKind::Init) => {
                self.wanted_group = said.group_access.clone();
                if config.client_roots.is_empty() {
                    self.awaiting = Awaiting::Password;
                    return self.ask(config, "");
                }
                self.awaiting = Awaiting::Certificate;
                self.requested(server::certificate_request(self.identifier, &self.opaque)?)
            }
            (Awaiting::Certificate, ClientKind::Init) => match (&said.certificates, &said.signature) {
                (Some(chain), Some(signature)) => {
                    Ok(Turn::Prove { chain: chain.clone(), signature: signature.clone() })
                }
                _ => self.no_certificate(),
            },
            (Awaiting::Confirmation, ClientKind::AuthReply) if echoed => self.accept(config, random),
            (Awaiting::Password, ClientKind::AuthReply) if echoed => {
                self.user = said.username().unwrap_or_default().to_owned();
                self.group = match config.groups.as_slice() {
                    [only] => Some(only.clone()),
                    _ => said.group_select.clone(),
                };
                *aaa += 1;
                if config.aaa_outside {
                    return Ok(self.check(password));
                }
                match authenticate(config, &self.user, password, self.group.as_deref()) {
                    None => self.wrong(config),
                    Some(User { second_factor: Some(_), .. }) => {
                        self.awaiting = Awaiting::SecondFactor;
                        self.ask(config, "")
                    }
                    Some(_) => self.accept(config, random),
                }
            }
            (Awaiting::SecondFactor, ClientKind::AuthReply) if echoed => {
                *aaa += 1;
                if config.aaa_outside {
                    return Ok(self.check(password));
                }
                let expected = config.users.get(&self.user).and_then(|user| user.second_factor.as_ref());
                if expected == Some(password) { self.accept(config, random) } else { self.wrong(config) }
            }
            (Awaiting::Ack, ClientKind::Ack) => Ok(Turn::Success(dbrp::success(self.identifier))),
            _ => Ok(self.fail(Refusal::Eap)),
        }
    }

    /// What came of [`Turn::Prove`]: the name in the certificate, where it holds.
    pub(super) fn certificate(&mut self, config: &GatewayConfig, name: Option<String>) -> Turn {
        let turn = match name {
            _ if self.awaiting != Awaiting::Certificate => Ok(self.fail(Refusal::Eap)),
            None => self.no_certificate(),
            // Nobody is logged in by no name.
            Some(name) if config.certificate_only && name.is_empty() => self.no_certificate(),
            Some(name) if config.certificate_only => {
                self.awaiting = Awaiting::Confirmation;
                self.user = name;
                server::confirmation(self.identifier, &self.opaque, scan(config).as_ref())
                    .and_then(|packet| self.requested(packet))
            }
            Some(_) => {
                self.awaiting = Awaiting::Password;
                self.ask(config, "")
            }
        };
        turn.unwrap_or_else(|_| self.fail(Refusal::Eap))
    }

    fn no_certificate(&self) -> Result<Turn, EapError> {
        let packet = server::error(self.identifier, CERTIFICATE_FAILED)?;
        Ok(Turn::Failure { packet, why: Refusal::Certificate })
    }

    fn requested(&self, packet: Vec<u8>) -> Result<Turn, EapError> {
        Ok(Turn::Ask { packet, wrong: false })
    }

    fn check(&mut self, password: &Secret) -> Turn {
        self.awaiting = Awaiting::Aaa;
        Turn::Check { password: password.clone(), state: self.state.take() }
    }

    /// What AAA outside says to the last [`Turn::Check`].
    pub(super) fn verdict(
        &mut self,
        config: &GatewayConfig,
        answer: Answer,
        random: &mut dyn Random,
    ) -> Turn {
        let turn = match answer {
            _ if self.awaiting != Awaiting::Aaa => Ok(self.fail(Refusal::Eap)),
            Answer::Accept(grant) => {
                self.grant = grant;
                self.accept(config, random)
            }
            Answer::Challenge { message, state } => {
                self.awaiting = Awaiting::SecondFactor;
                (self.challenge, self.state) = (message, Some(state).filter(|state| !state.is_empty()));
                self.ask(config, "")
            }
            Answer::Reject { message } => {
                self.awaiting = Awaiting::Password;
                self.wrong_because(config, if message.is_empty() { LOGIN_FAILED } else { &message })
            }
            Answer::Silent => Ok(self.fail(Refusal::AaaSilent)),
            Answer::Unbelieved(doubt) => Ok(self.fail(Refusal::AaaUnbelieved(doubt))),
        };
        turn.unwrap_or_else(|_| self.fail(Refusal::Eap))
    }

    fn wrong(&mut self, config: &GatewayConfig) -> Result<Turn, EapError> {
        self.wrong_because(config, LOGIN_FAILED)
    }

    fn wrong_because(&mut self, config: &GatewayConfig, why: &str) -> Result<Turn, EapError> {
        self.wrong += 1;
        if self.wrong >= TRIES { Ok(self.fail(Refusal::TooManyTries)) } else { self.ask(config, why) }
    }

    fn fail(&self, why: Refusal) -> Turn {
        Turn::Failure { packet: dbrp::failure(self.identifier), why }
    }

    fn ask(&self, config: &GatewayConfig, error: &str) -> Result<Turn, EapError> {
        let mut form = match self.awaiting {
            Awaiting::SecondFactor => second_form(&self.challenge),
            _ => first_form(&config.groups, self.wanted_group.as_deref()),
        };
        form.error = error.to_owned();
        let scan = scan(config).filter(|_| self.awaiting == Awaiting::Password);
        let packet = server::auth_request_with(self.identifier, &self.opaque, &form, scan.as_ref())?;
        Ok(Turn::Ask { packet, wrong: !error.is_empty() })
    }

    fn accept(&mut self, config: &GatewayConfig, random: &mut dyn Random) -> Result<Turn, EapError> {
        self.awaiting = Awaiting::Ack;
        // These have nothing to do with the session ID and token of MODECFG.
        let complete = Complete {
            session_id: random.below(1 << 20).to_string(),
            session_token: format!("{:016X}{:016X}", random.u64(), random.u64()),
            banner: config.banner.clone().unwrap_or_default(),
            message: String::new(),
        };
        Ok(Turn::Accepted(server::complete(self.identifier, &complete)?))
    }
}

/// What a client is told of the scan that it has to make.
fn scan(config: &GatewayConfig) -> Option<HostScan> {
    let token = config.host_scan.clone()?;
    Some(HostScan { ticket: "1".into(), token, base_uri: "/CACHE".into(), wait_uri: "/wait".into() })
}

fn form(id: &str, message: &str, inputs: Vec<Input>) -> Form {
    Form {
        id: id.into(),
        title: "Login".into(),
        message: message.into(),
        banner: String::new(),
        error: String::new(),
        inputs,
    }
}

fn input(name: &str, label: &str, kind: InputKind) -> Input {
    Input { name: name.into(), label: label.into(), kind }
}

/// Name and password, and the group where there is a choice: the wanted one is selected, else the first.
fn first_form(groups: &[String], wanted: Option<&str>) -> Form {
    let mut inputs = Vec::new();
    if groups.len() > 1 {
        let selected = groups.iter().position(|group| Some(group.as_str()) == wanted).unwrap_or(0);
        let options =
            groups.iter().enumerate().map(|(n, group)| (group.clone(), group.clone(), n == selected));
        inputs.push(input("group_list", "GROUP:", InputKind::Select(options.collect())));
    }
    inputs.push(input("username", "Username:", InputKind::Text));
    inputs.push(input("password", "Password:", InputKind::Password));
    form("main", "Please enter your username and password.", inputs)
}

/// The second factor. `challenge`: what AAA outside says of it, or empty.
fn second_form(challenge: &str) -> Form {
    let inputs = vec![input("answer", "Answer:", InputKind::Password)];
    let usual = "Please enter the code of your second factor.";
    form("challenge", if challenge.is_empty() { usual } else { challenge }, inputs)
}

/// The user, where password and group are right. An unknown name costs as much as a wrong password.
fn authenticate<'a>(
    config: &'a GatewayConfig,
    name: &str,
    password: &Secret,
    group: Option<&str>,
) -> Option<&'a User> {
    let nobody = Secret::new(vec![0; password.len()]);
    let user = config.users.get(name);
    let right = user.map_or(&nobody, |user| &user.password) == password;
    let user = user.filter(|_| right)?;
    let offered = match group {
        None => config.groups.is_empty(),
        Some(group) => {
            let has = |list: &[String]| list.iter().any(|g| g == group);
            has(&config.groups) && (user.groups.is_empty() || has(&user.groups))
        }
    };
    offered.then_some(user)
}
