//! Certificates on a token, and the signatures of their keys: asked of `ikeep pkcs11-helper`, which is ended where it takes too long.

use super::clock::Clock;
use super::connection::Connection;
use super::driver::Command as Order;
use super::group;
use super::service::FILES;
use crate::crypto::{Scheme, Secret};
use crate::ike::cert::OwnCertificate;
use crate::ike::initiator::ToSign;
use crate::pkcs11::{Done, Listed, Login, MAX_MESSAGE, MAX_PIN, Request, SCHEMES, Task, TokenError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The longest that a token may take to tell what it has, ..
const LIST: Duration = Duration::from_secs(5);
/// .. and to log in. Both end before a connect's files are given up: no PIN is tried after the person was told something else.
const CHECK: Duration = Duration::from_secs(4);
const _: () = assert!(LIST.as_secs() + CHECK.as_secs() < FILES.as_secs());
/// The longest for a signature. A gateway keeps half an IKE SA for 30 s or so.
const SIGN: Duration = Duration::from_secs(20);
/// The same where a person types at the reader.
const TYPED: Duration = Duration::from_secs(60);

/// Where a token is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The module.
    pub(super) module: PathBuf,
    /// The URI as text.
    pub(super) uri: String,
}

impl Place {
    /// What the token has. No PIN goes to it.
    pub(super) fn list(&self) -> Result<Listed, TokenError> {
        match self.ask(Task::List, None, LIST)? {
            Done::Listed(listed) => Ok(listed),
            _ => Err(self.failed("it answered something else".into())),
        }
    }

    fn ask(&self, task: Task, pin: Option<&Secret>, limit: Duration) -> Result<Done, TokenError> {
        self.ask_until(task, pin, limit, &Ender::default())
    }

    fn ask_until(
        &self,
        task: Task,
        pin: Option<&Secret>,
        limit: Duration,
        ender: &Ender,
    ) -> Result<Done, TokenError> {
        let request =
            Request { module: self.module.clone(), uri: self.uri.clone(), task, pin: pin.is_some() };
        match run(&request, pin, limit, ender) {
            Ok(Some(done)) => done,
            Ok(None) => Err(TokenError::Slow { seconds: limit.as_secs() }),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    fn failed(&self, why: String) -> TokenError {
        TokenError::Helper { module: self.module.display().to_string(), why }
    }
}

/// This very program, also after another version has taken its place.
const OURSELVES: &str = "/proc/self/exe";

/// Ends the helper of one signature from elsewhere, also one that has not begun.
#[derive(Clone, Default, Debug)]
struct Ender(Arc<Mutex<Helper>>);

#[derive(Default, Debug)]
enum Helper {
    /// None runs.
    #[default]
    Idle,
    /// Its process group. It is not waited for while it stands here, so the number is its own.
    Runs(Pid),
    /// Nobody wants an answer any more: none is started.
    Unwanted,
}

impl Ender {
    fn end(&self) {
        let mut helper = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Helper::Runs(group) = *helper {
            group::kill(group);
        }
        *helper = Helper::Unwanted;
    }
}

/// A process that is ended, with what it has started, where this is dropped.
struct Running(Child, Ender);

impl Running {
    fn start(command: &mut Command, ender: &Ender) -> io::Result<Self> {
        let mut helper = ender.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Helper::Unwanted = *helper {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        let child = command.process_group(0).spawn()?;
        *helper = group::of(&child).map_or(Helper::Idle, Helper::Runs);
        Ok(Self(child, ender.clone()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut helper = self.1.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It is not waited for yet, so the number is still its own.
        if let Some(group) = group::of(&self.0) {
            group::kill(group);
        }
        let _ = self.0.wait();
        if let Helper::Runs(_) = *helper {
            *helper = Helper::Idle;
        }
    }
}

/// The signature that is being made, ended with the attempt that wants it.
#[derive(Default)]
pub(super) struct SigningNow(Option<Ender>);

impl SigningNow {
    fn start(&mut self) -> Ender {
        self.stop();
        self.0.insert(Ender::default()).clone()
    }

    /// Nobody wants it any more: the helper is killed, and with it a module that waits for a card or a person.
    pub(super) fn stop(&mut self) {
        if let Some(ender) = self.0.take() {
            ender.end();
        }
    }
}

impl Drop for SigningNow {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `None`: it took too long.
fn run(
    request: &Request,
    pin: Option<&Secret>,
    limit: Duration,
    ender: &Ender,
) -> io::Result<Option<Result<Done, TokenError>>> {
    let mut command = Command::new(OURSELVES);
    command.arg0("ikeep").arg("pkcs11-helper").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running::start(&mut command, ender)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    if let Some(mut input) = running.0.stdin.take() {
        // The helper reads all of it before it does anything.
        input.write_all(&line)?;
        input.write_all(pin.map(Secret::expose).unwrap_or_default())?;
    }
    let output = running.0.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
    let Some(line) = read_line(output, limit)? else { return Ok(None) };
    if line.last() != Some(&b'\n') {
        // It may live on without its output: dropped, it is ended.
        return Err(io::Error::other("its process ended without an answer"));
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// A line, or what there is of one at its end; `None`: not within the limit.
fn read_line(mut from: ChildStdout, limit: Duration) -> io::Result<Option<Vec<u8>>> {
    let clock = Clock::system();
    let begun = clock.now().at;
    let (mut line, mut piece) = (Vec::new(), [0; 4096]);
    while line.last() != Some(&b'\n') {
        let left = limit.saturating_sub(clock.now().at.since(begun));
        if left.is_zero() {
            return Ok(None);
        }
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(None),
            Err(rustix::io::Errno::INTR) => continue,
            ready => ready?,
        };
        let count = from.read(&mut piece)?;
        line.extend_from_slice(piece.get(..count).unwrap_or_default());
        if count == 0 {
            break;
        }
        if line.len() > 4 * MAX_MESSAGE {
            return Err(io::Error::other("it said too much"));
        }
    }
    Ok(Some(line))
}

/// What a token is given.
#[derive(Debug)]
enum Pin {
    /// It wants none of us.
    None,
    /// Not asked for yet.
    Missing,
    /// As it was answered; the token has taken it.
    Known(Secret),
    /// The token has refused it, or said that it refuses any: nothing is tried any more.
    Refused(TokenError),
}

/// A key on a token, and its PIN. The PIN is in memory as long as the connection.
#[derive(Debug)]
pub struct TokenKey {
    place: Place,
    id: Option<Vec<u8>>,
    own: OwnCertificate,
    /// For people.
    token: String,
    login: Login,
    pin: Mutex<Pin>,
}

impl TokenKey {
    /// `id`: CKA_ID; `None`: what the URI says.
    pub(super) fn new(place: Place, id: Option<Vec<u8>>, own: OwnCertificate, listed: &Listed) -> Self {
        let pin = if matches!(listed.login, Login::Pin(_)) { Pin::Missing } else { Pin::None };
        let (token, login) = (listed.token.clone(), listed.login);
        Self { place, id, own, token, login, pin: Mutex::new(pin) }
    }

    /// The same key of the same token, as far as it was listed.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.place, &self.id, &self.own) == (&other.place, &other.id, &other.own)
            && self.token == other.token
    }

    /// It was given its PIN, whatever the token said to it.
    pub(super) fn was_unlocked(&self) -> bool {
        !matches!(*self.pin.lock().unwrap_or_else(PoisonError::into_inner), Pin::Missing)
    }

    /// The certificate.
    pub(super) fn own(&self) -> &OwnCertificate {
        &self.own
    }

    /// The token's name for people.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// How it wants to know who is there.
    pub(super) fn login(&self) -> Login {
        self.login
    }

    /// Gives the token its PIN, once, to see whether it is the right one.
    ///
    /// # Errors
    /// Of the token; after one about the PIN it is given none any more.
    pub(super) fn unlock(&self, pin: &Secret) -> Result<(), TokenError> {
        let done = if pin.len() > MAX_PIN {
            // A part of it would cost a try.
            Err(TokenError::PinTooLong { token: self.token.clone(), most: MAX_PIN })
        } else {
            self.place.ask(Task::Check { id: self.id.clone() }, Some(pin), CHECK)
        };
        let mut kept = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = match &done {
            Ok(_) => Pin::Known(pin.clone()),
            Err(error) => Pin::Refused(error.clone()),
        };
        done.map(drop)
    }

    /// A signature, which is one of the certificate's key.
    ///
    /// # Errors
    /// Of the token; after one about the PIN it is given none any more.
    fn sign(&self, to_sign: &ToSign, ender: &Ender) -> Result<Vec<u8>, TokenError> {
        let mut pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &*pin {
            Pin::None => None,
            Pin::Known(pin) => Some(pin),
            Pin::Missing => return Err(TokenError::PinNeeded { token: self.token.clone() }),
            Pin::Refused(error) => return Err(error.clone()),
        };
        let cannot =
            || TokenError::Mechanism { token: self.token.clone(), mechanism: format!("{to_sign:?}") };
        let scheme = SCHEMES.iter().position(|scheme| *scheme == to_sign.scheme).ok_or_else(cannot)?;
        let limit = if self.login == Login::Pinpad { TYPED } else { SIGN };
        let task = Task::Sign { id: self.id.clone(), scheme, octets: to_sign.octets.clone() };
        match self.place.ask_until(task, known, limit, ender) {
            Ok(Done::Signed(made)) if self.own.verifies(to_sign.scheme, &to_sign.octets, &made) => Ok(made),
            Ok(_) => Err(TokenError::Foreign { token: self.token.clone() }),
            Err(error) => {
                if error.is_about_pin() {
                    *pin = Pin::Refused(error.clone());
                }
                Err(error)
            }
        }
    }
}

/// What of [`SCHEMES`] a token makes.
pub(super) fn schemes(listed: &Listed) -> Vec<Scheme> {
    listed.schemes.iter().filter_map(|at| SCHEMES.get(*at).copied()).collect()
}

impl Connection {
    /// Has the token sign beside everything else, and gives the client what came of it.
    pub(super) fn sign(&mut self, id: u64, to_sign: ToSign) {
        let (commands, key) = (self.commands(), self.target.token.clone());
        let ender = self.signing.start();
        let signing = tokio::spawn(async move {
            let made = tokio::task::spawn_blocking(move || sign(key, &to_sign, &ender)).await;
            let made = made.unwrap_or_else(|crash| Err(format!("signing failed: {crash}")));
            if let Some(commands) = commands.upgrade() {
                drop(commands.send(Order::Signed { id, made }).await);
            }
        });
        self.tasks.push(signing.abort_handle());
    }
}

fn sign(key: Option<Arc<TokenKey>>, to_sign: &ToSign, ender: &Ender) -> Result<Vec<u8>, String> {
    let key = key.ok_or("its token is not known any more: `ikeep connect`")?;
    key.sign(to_sign, ender).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::pki::Pki;
    use crate::pkcs11::Tries;
    use crate::time::UnixTime;

    #[test]
    fn what_is_too_long_for_a_pin_costs_no_try() {
        let issued = Pki::new(UnixTime::from_secs(1_800_000_000)).unwrap().user("anna").unwrap();
        let own = OwnCertificate::with_key_elsewhere(&issued.chain, &SCHEMES).unwrap();
        let listed = Listed {
            token: "card".into(),
            login: Login::Pin(Tries::Untouched),
            schemes: Vec::new(),
            certificates: Vec::new(),
        };
        let place = Place { module: "/nowhere/module.so".into(), uri: "pkcs11:".into() };
        let key = TokenKey::new(place, None, own, &listed);
        let long = Secret::new(vec![b'1'; MAX_PIN + 1]);
        let wanted = TokenError::PinTooLong { token: "card".into(), most: MAX_PIN };
        assert_eq!(key.unlock(&long), Err(wanted), "no module was asked");
        let text = key
            .sign(&ToSign { scheme: SCHEMES[0], octets: Vec::new() }, &Ender::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains("more than 255 octets") && text.contains("`ikeep connect`"), "{text}");
    }
}
