//! The TLS session: octets in, octets out. The library makes its own random numbers, as what signs does.

use super::super::super::EapError;
use super::TlsLogin;
use super::own::Shown;
use super::server::{At, Expected};
use crate::crypto::Secret;
use crate::ike::cert::server_name;
use crate::time::UnixTime;
use rustls::client::{ClientConnection, Resumption};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, Error, ProtocolVersion};
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// Octets of key material (RFC 5216 2.3, RFC 9190 2.3): MSK, then EMSK. TLS 1.3 makes others for another length.
const MATERIAL: usize = 128;
/// The first half: the MSK.
const MSK: usize = 64;
/// EAP type, which TLS 1.3 mixes in.
const TYPE: &[u8] = &[13];
/// Octets of application data that are looked at: one is expected.
const INDICATION: usize = 2;

/// A session under way.
pub(super) struct Session {
    tls: Box<ClientConnection>,
    expected: Arc<Expected>,
    shown: Arc<Shown>,
}

/// What octets of the server's have led to.
pub(super) enum Fed {
    /// This is to be sent (it may be nothing), then the server goes on.
    Goes(Vec<u8>),
    /// This is to be sent, then the server says success: the key.
    Done(Vec<u8>, Secret),
    /// This is to be sent (an alert, or nothing); it is over.
    Failed(Vec<u8>, EapError),
}

impl Session {
    /// A session of TLS 1.2 or 1.3, without resumption, early data, or a log of its keys.
    pub(super) fn new(login: &TlsLogin, now: UnixTime) -> Result<Self, EapError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let expected = Arc::new(Expected {
            trust: login.trust.clone(),
            name: login.server.clone(),
            now,
            algorithms: provider.signature_verification_algorithms,
            refused: Mutex::default(),
        });
        let shown = Arc::new(Shown::new(Arc::clone(&login.own)));
        let mut config = ClientConfig::builder_with_details(provider, Arc::new(At(now)))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| told(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Expected>::clone(&expected))
            .with_client_cert_resolver(Arc::<Shown>::clone(&shown));
        config.resumption = Resumption::disabled();
        // There is one server, and it may call itself otherwise than its certificate.
        config.enable_sni = false;
        let name = server_name(&login.server).map_err(|error| EapError::Server(Box::new(error)))?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(|error| told(&error))?;
        Ok(Self { tls: Box::new(tls), expected, shown })
    }

    /// The first octets.
    pub(super) fn begin(&mut self) -> Vec<u8> {
        self.written()
    }

    /// Takes a message, or several.
    pub(super) fn feed(&mut self, message: &[u8]) -> Fed {
        let step = self.take(message).and_then(|()| self.key());
        let out = self.written();
        match step {
            Ok(None) => Fed::Goes(out),
            Ok(Some(key)) => Fed::Done(out, key),
            Err(error) => Fed::Failed(out, error),
        }
    }

    fn take(&mut self, mut message: &[u8]) -> Result<(), EapError> {
        while !message.is_empty() {
            let read = self.tls.read_tls(&mut message);
            if !read.is_ok_and(|octets| octets > 0) {
                return Err(EapError::Tls("more octets than a TLS session can take".into()));
            }
            if let Err(error) = self.tls.process_new_packets() {
                let refused = self.expected.refusal().map(|error| EapError::Server(Box::new(error)));
                return Err(refused.unwrap_or_else(|| told(&error)));
            }
        }
        Ok(())
    }

    /// The MSK, once the server has nothing more to say.
    fn key(&mut self) -> Result<Option<Secret>, EapError> {
        let mut data = [0; INDICATION];
        let said = self.tls.reader().read(&mut data);
        let said = match said {
            // A session that is closed never comes to an end that counts.
            Ok(0) => return Err(EapError::Tls("the server closed the session before its end".into())),
            Ok(octets) => data.get(..octets).unwrap_or_default(),
            Err(_) => &[],
        };
        if self.tls.is_handshaking() {
            return Ok(None);
        }
        if !self.shown.was_asked_for() {
            return Err(EapError::NotAsked);
        }
        let mut material = Zeroizing::new([0; MATERIAL]);
        let exported = match (self.tls.protocol_version(), said) {
            // RFC 9190 2.1.1: until then the server may still refuse the certificate.
            (Some(ProtocolVersion::TLSv1_3), []) => return Ok(None),
            (Some(ProtocolVersion::TLSv1_3), [0]) => {
                let label = b"EXPORTER_EAP_TLS_Key_Material";
                self.tls.export_keying_material(&mut material[..], label, Some(TYPE)).map(drop)
            }
            (Some(ProtocolVersion::TLSv1_2), []) => {
                self.tls.export_keying_material(&mut material[..], b"client EAP encryption", None).map(drop)
            }
            _ => return Err(EapError::Tls("the server sent data that no login has".into())),
        };
        exported.map_err(|error| told(&error))?;
        Ok(material.get(..MSK).map(Secret::from))
    }

    /// True where all that is missing is the server's word that it has taken the certificate.
    pub(super) fn waits_for_indication(&self) -> bool {
        !self.tls.is_handshaking() && self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    fn written(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut out).is_err() {
                break;
            }
        }
        out
    }
}

/// The library's reason in our words.
fn told(error: &Error) -> EapError {
    let Error::AlertReceived(alert) = error else { return EapError::Tls(error.to_string()) };
    let what = match alert {
        AlertDescription::UnknownCA => "it does not know the CA of your certificate",
        AlertDescription::CertificateExpired => "your certificate has expired, or its clock says so",
        AlertDescription::CertificateRevoked => "your certificate is revoked",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => "it does not take your certificate",
        AlertDescription::NoCertificate | AlertDescription::CertificateRequired => "it wants a certificate",
        AlertDescription::AccessDenied => "it does not let you in with your certificate",
        AlertDescription::DecryptError => "it cannot verify a signature or a key",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "it wants other algorithms than this version has"
        }
        AlertDescription::ProtocolVersion => "it speaks neither TLS 1.2 nor TLS 1.3",
        _ => "it gave no other reason",
    };
    EapError::Alert(format!("{what} (TLS alert {alert:?})"))
}
