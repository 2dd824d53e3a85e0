//! EAP as IKE carries it, and EAP-AnyConnect (`fork`, `ssl`, `seen`: PROTOCOL section 2).
//!
//! `dbrp`: framing and TLVs. `xml`: the aggregate-auth documents, both directions. `client`: the login as a state machine.
//! `server`: what the embedded gateway says and how it reads what the client says.

use crate::crypto::Secret;
use std::collections::BTreeMap;

/// What a `config-auth` client message says about this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// `<version who="vpn">`.
    pub version: String,
    /// `computer-name`.
    pub computer_name: String,
    /// `device-type`.
    pub device_type: String,
    /// `platform-version`.
    pub platform_version: String,
    /// `unique-id`: our own stable random value, hex.
    pub unique_id: String,
    /// `unique-id-global`.
    pub unique_id_global: String,
}

/// A question to the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    /// `<auth id=..>`: forms with the same id and input names are the same question.
    pub id: String,
    /// Title, may be empty.
    pub title: String,
    /// Message, may be empty.
    pub message: String,
    /// Banner, may be empty.
    pub banner: String,
    /// `<error>`: why the last answer was not taken, may be empty.
    pub error: String,
    /// Inputs in order.
    pub inputs: Vec<Input>,
}

/// One input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// `name`.
    pub name: String,
    /// `label`, or the name.
    pub label: String,
    /// What kind.
    pub kind: InputKind,
}

/// Kinds of inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// Shown while typed.
    Text,
    /// Not shown while typed.
    Password,
    /// One of these: value, label, selected by default.
    Select(Vec<(String, String, bool)>),
}

/// Answers by input name.
pub type Answers = BTreeMap<String, Secret>;

/// What the login does next.
#[derive(Debug)]
pub enum Step {
    /// Send this EAP packet.
    Reply(Vec<u8>),
    /// Ask the user, then call `answer`.
    Ask(Form),
    /// The gateway took the login (EAP-Success).
    Success,
}

/// Things to tell the user during a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A banner, to be shown.
    Banner(String),
    /// A message.
    Message(String),
    /// An error of the gateway that a form or the end follows.
    Error(String),
}

/// Why an EAP login ended. The texts say what the gateway said.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EapError {
    /// EAP-Failure.
    #[error("the gateway refused the login: {0}")]
    Refused(String),
}

/// EAP-AnyConnect, client side.
pub struct AnyConnect {}

/// What a login needs to know beforehand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginParams {
    /// This machine.
    pub device: Device,
    /// `<group-access>`: the profile's UserGroup.
    pub group_access: Option<String>,
}

impl AnyConnect {
    /// A login that has not begun.
    pub fn new(_params: LoginParams) -> Self {
        todo!()
    }
    /// Takes an EAP packet of the gateway. Call it only after the gateway's AUTH has been verified.
    pub fn handle(&mut self, _packet: &[u8]) -> Result<Step, EapError> {
        todo!()
    }
    /// The user's answers to the last form; the EAP packet to send.
    pub fn answer(&mut self, _answers: &Answers) -> Result<Vec<u8>, EapError> {
        todo!()
    }
    /// What to tell the user, drained.
    pub fn notices(&mut self) -> Vec<Notice> {
        todo!()
    }
}
