//! What the helper does: one request to a module.

use super::{Done, Found, Listed, Login, Request, SCHEMES, Task, TokenError, Tries, Uri};
use crate::crypto::{Hash, Scheme, Secret};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use std::str::FromStr as _;

/// Most objects that are looked at.
const MAX_OBJECTS: usize = 64;
/// Longest certificate, octets.
const MAX_CERTIFICATE: usize = 16 << 10;

/// Does what the request says. A PIN is given to the token once at most.
///
/// # Errors
/// See [`TokenError`].
pub fn serve(request: &Request, pin: Option<&Secret>) -> Result<Done, TokenError> {
    let uri = Uri::from_str(&request.uri).map_err(|error| TokenError::Uri(error.to_string()))?;
    let module = request.module.display().to_string();
    let cannot = |error: Error| TokenError::Module { module: module.clone(), why: error.to_string() };
    let context = Pkcs11::new(&request.module).map_err(cannot)?;
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(cannot)?;
    let (slot, info) = find(&context, &uri)?;
    let token = Token { label: label(&info), info, context, slot };
    let session = token.context.open_ro_session(slot).map_err(|error| token.failed(error))?;
    match &request.task {
        Task::List => token.list(&session, &uri).map(Done::Listed),
        Task::Check { id } => {
            token.log_in(&session, pin)?;
            token.key(&session, &uri, id.as_deref())?;
            Ok(Done::Checked)
        }
        Task::Sign { id, scheme, octets } => {
            let scheme = SCHEMES.get(*scheme).copied();
            let scheme = scheme.ok_or_else(|| token.cannot("an unknown scheme".into()))?;
            token.log_in(&session, pin)?;
            let key = token.key(&session, &uri, id.as_deref())?;
            token.sign(&session, key, scheme, octets).map(Done::Signed)
        }
    }
}

/// The one token that the URI means. Where several are, one that takes a PIN comes before those that have none: a machine's list of
/// CAs is a token, too.
fn find(context: &Pkcs11, uri: &Uri) -> Result<(Slot, TokenInfo), TokenError> {
    let fits =
        |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted.trim_end() == is);
    let slots = context
        .get_slots_with_token()
        .map_err(|error| TokenError::Device { token: uri.to_string(), what: error.to_string() })?;
    let (mut meant, mut there) = (Vec::new(), Vec::new());
    for slot in slots {
        // One that is taken out just now.
        let Ok(info) = context.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        if fits(&uri.token, info.label())
            && fits(&uri.manufacturer, info.manufacturer_id())
            && fits(&uri.model, info.model())
            && fits(&uri.serial, info.serial_number())
            && uri.slot.is_none_or(|wanted| wanted == slot.id())
        {
            meant.push((slot, info));
        } else {
            there.push(label(&info));
        }
    }
    if meant.len() > 1 && meant.iter().any(|(_, info)| info.login_required()) {
        meant.retain(|(_, info)| info.login_required());
    }
    match meant.len() {
        0 => Err(TokenError::NoToken { wanted: uri.to_string(), there }),
        1 => Ok(meant.remove(0)),
        _ => {
            let name =
                |(_, info): &(Slot, TokenInfo)| format!("{} (serial={})", label(info), info.serial_number());
            Err(TokenError::SeveralTokens { there: meant.iter().map(name).collect() })
        }
    }
}

fn label(info: &TokenInfo) -> String {
    let name = match info.label() {
        "" => format!("{} {}", info.model(), info.serial_number()),
        label => label.to_owned(),
    };
    name.chars().filter(|c| !c.is_control()).collect()
}

struct Token {
    label: String,
    info: TokenInfo,
    context: Pkcs11,
    slot: Slot,
}

impl Token {
    fn failed(&self, error: Error) -> TokenError {
        let token = self.label.clone();
        match error {
            Error::Pkcs11(
                RvError::TokenNotPresent | RvError::DeviceRemoved | RvError::TokenNotRecognized,
                _,
            ) => TokenError::Removed { token },
            error => TokenError::Device { token, what: error.to_string() },
        }
    }

    fn cannot(&self, mechanism: String) -> TokenError {
        TokenError::Mechanism { token: self.label.clone(), mechanism }
    }

    fn list(&self, session: &Session, uri: &Uri) -> Result<Listed, TokenError> {
        let login = match () {
            () if self.info.user_pin_locked() => {
                return Err(TokenError::Locked { token: self.label.clone() });
            }
            () if !self.info.login_required() => Login::No,
            () if self.info.protected_authentication_path() => Login::Pinpad,
            () if self.info.user_pin_final_try() => Login::Pin(Tries::Last),
            () if self.info.user_pin_count_low() => Login::Pin(Tries::Low),
            () => Login::Pin(Tries::Untouched),
        };
        let can = self.context.get_mechanism_list(self.slot).map_err(|error| self.failed(error))?;
        let makes = |scheme: &Scheme| ways(*scheme).iter().any(|way| can.contains(way));
        let schemes = (0..SCHEMES.len()).filter(|at| SCHEMES.get(*at).is_some_and(makes)).collect();
        let wanted =
            [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::CertificateType(CertificateType::X_509)];
        let objects = session.find_objects(&wanted).map_err(|error| self.failed(error))?;
        let mut certificates = Vec::new();
        for object in objects.into_iter().take(MAX_OBJECTS) {
            let kinds = [AttributeType::Value, AttributeType::Id, AttributeType::Label];
            let read = session.get_attributes(object, &kinds).map_err(|error| self.failed(error))?;
            let (mut der, mut id, mut name) = (Vec::new(), Vec::new(), Vec::new());
            for attribute in read {
                match attribute {
                    Attribute::Value(value) => der = value,
                    Attribute::Id(value) => id = value,
                    Attribute::Label(value) => name = value,
                    _ => {}
                }
            }
            if der.len() <= MAX_CERTIFICATE {
                certificates.push(Found { der, meant: uri.means(&name, &id), id });
            }
        }
        Ok(Listed { token: self.label.clone(), login, schemes, certificates })
    }

    /// Once, whatever comes of it.
    fn log_in(&self, session: &Session, pin: Option<&Secret>) -> Result<(), TokenError> {
        let token = self.label.clone();
        if !self.info.login_required() {
            return Ok(());
        }
        if self.info.user_pin_locked() {
            return Err(TokenError::Locked { token });
        }
        let done = if self.info.protected_authentication_path() {
            session.login(UserType::User, None)
        } else {
            let pin = pin
                .filter(|pin| !pin.is_empty())
                .ok_or_else(|| TokenError::PinNeeded { token: token.clone() })?;
            let text = std::str::from_utf8(pin.expose());
            let text = text.map_err(|_| TokenError::WrongPin { token: token.clone(), last: false })?;
            session.login(UserType::User, Some(&AuthPin::from(text.to_owned())))
        };
        let Err(error) = done else { return Ok(()) };
        let Error::Pkcs11(said, _) = &error else { return Err(self.failed(error)) };
        Err(match said {
            RvError::UserAlreadyLoggedIn => return Ok(()),
            RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid => {
                let now = self.context.get_token_info(self.slot).unwrap_or_else(|_| self.info.clone());
                if now.user_pin_locked() {
                    TokenError::Locked { token }
                } else {
                    TokenError::WrongPin { token, last: now.user_pin_final_try() }
                }
            }
            RvError::PinLocked => TokenError::Locked { token },
            RvError::PinExpired | RvError::UserPinNotInitialized => TokenError::PinNotSet { token },
            RvError::FunctionCanceled => TokenError::Cancelled { token },
            _ => self.failed(error),
        })
    }

    /// The private key with this ID; without one, the one that the URI means.
    fn key(&self, session: &Session, uri: &Uri, id: Option<&[u8]>) -> Result<ObjectHandle, TokenError> {
        let mut wanted = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        match id {
            Some(id) => wanted.push(Attribute::Id(id.to_vec())),
            None => {
                wanted.extend(uri.id.clone().map(Attribute::Id));
                wanted.extend(uri.object.clone().map(|name| Attribute::Label(name.into_bytes())));
            }
        }
        let found = session.find_objects(&wanted).map_err(|error| self.failed(error))?;
        let key = match found[..] {
            [key] => key,
            [] => return Err(TokenError::NoKey { token: self.label.clone() }),
            _ => return Err(TokenError::SeveralKeys { token: self.label.clone() }),
        };
        let always = session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]).unwrap_or_default();
        if always.contains(&Attribute::AlwaysAuthenticate(true)) {
            return Err(TokenError::EachTime { token: self.label.clone() });
        }
        Ok(key)
    }

    fn sign(
        &self,
        session: &Session,
        key: ObjectHandle,
        scheme: Scheme,
        octets: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let can = self.context.get_mechanism_list(self.slot).map_err(|error| self.failed(error))?;
        let way = ways(scheme).into_iter().find(|way| can.contains(way));
        let way = way.ok_or_else(|| self.cannot(format!("{scheme:?}")))?;
        let (mechanism, data) =
            mechanism(way, scheme, octets).ok_or_else(|| self.cannot(format!("{scheme:?}")))?;
        let made = session.sign(&mechanism, key, &data).map_err(|error| match error {
            Error::Pkcs11(
                RvError::MechanismInvalid | RvError::MechanismParamInvalid | RvError::KeyTypeInconsistent,
                _,
            ) => self.cannot(format!("{way}")),
            error => self.failed(error),
        })?;
        // r and s become what X.509 has.
        let der = match scheme {
            Scheme::EcdsaDer(Hash::Sha256) => p256::ecdsa::Signature::from_slice(&made)
                .map(|signature| signature.to_der().as_bytes().to_vec()),
            Scheme::EcdsaDer(_) => p384::ecdsa::Signature::from_slice(&made)
                .map(|signature| signature.to_der().as_bytes().to_vec()),
            _ => return Ok(made),
        };
        der.map_err(|_| TokenError::Foreign { token: self.label.clone() })
    }
}

/// Mechanisms for a scheme, the better one first: one that hashes on its own needs nothing else to be right.
fn ways(scheme: Scheme) -> Vec<MechanismType> {
    use MechanismType as M;
    match scheme {
        Scheme::RsaPss(Hash::Sha256) => vec![M::SHA256_RSA_PKCS_PSS, M::RSA_PKCS_PSS],
        Scheme::RsaPss(Hash::Sha384) => vec![M::SHA384_RSA_PKCS_PSS, M::RSA_PKCS_PSS],
        Scheme::RsaPss(Hash::Sha512) => vec![M::SHA512_RSA_PKCS_PSS, M::RSA_PKCS_PSS],
        Scheme::RsaPkcs1(Hash::Sha256) => vec![M::SHA256_RSA_PKCS, M::RSA_PKCS],
        Scheme::RsaPkcs1(Hash::Sha384) => vec![M::SHA384_RSA_PKCS, M::RSA_PKCS],
        Scheme::RsaPkcs1(Hash::Sha512) => vec![M::SHA512_RSA_PKCS, M::RSA_PKCS],
        Scheme::EcdsaDer(_) | Scheme::EcdsaFixed(_) => vec![M::ECDSA],
        Scheme::Ed25519 => vec![M::EDDSA],
        _ => Vec::new(),
    }
}

/// What the token is asked for, and over what.
fn mechanism(way: MechanismType, scheme: Scheme, octets: &[u8]) -> Option<(Mechanism<'static>, Vec<u8>)> {
    let (whole, digest) = (|| octets.to_vec(), |hash: Hash| hash.digest(&[octets]));
    Some(match scheme {
        Scheme::RsaPss(hash) => {
            let (hash_alg, mgf) = match hash {
                Hash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
                Hash::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
                Hash::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
                Hash::Sha1 => return None,
            };
            // RFC 7427 appendix A.4: the salt is as long as the hash.
            let pss = PkcsPssParams { hash_alg, mgf, s_len: (hash.len() as u64).into() };
            match way {
                MechanismType::RSA_PKCS_PSS => (Mechanism::RsaPkcsPss(pss), digest(hash)),
                MechanismType::SHA256_RSA_PKCS_PSS => (Mechanism::Sha256RsaPkcsPss(pss), whole()),
                MechanismType::SHA384_RSA_PKCS_PSS => (Mechanism::Sha384RsaPkcsPss(pss), whole()),
                _ => (Mechanism::Sha512RsaPkcsPss(pss), whole()),
            }
        }
        Scheme::RsaPkcs1(hash) => match way {
            MechanismType::RSA_PKCS => (Mechanism::RsaPkcs, [digest_info(hash)?, &digest(hash)].concat()),
            MechanismType::SHA256_RSA_PKCS => (Mechanism::Sha256RsaPkcs, whole()),
            MechanismType::SHA384_RSA_PKCS => (Mechanism::Sha384RsaPkcs, whole()),
            _ => (Mechanism::Sha512RsaPkcs, whole()),
        },
        Scheme::EcdsaDer(hash) | Scheme::EcdsaFixed(hash) => (Mechanism::Ecdsa, digest(hash)),
        Scheme::Ed25519 => (Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519)), whole()),
    })
}

/// DigestInfo but for the digest (RFC 8017 9.2, note 1).
fn digest_info(hash: Hash) -> Option<&'static [u8]> {
    Some(match hash {
        Hash::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        Hash::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
        Hash::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        Hash::Sha1 => return None,
    })
}
