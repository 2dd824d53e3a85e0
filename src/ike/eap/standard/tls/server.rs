//! Whether the EAP server is the one that is meant: the rules for gateways, but for what its certificate may be used for.

use crate::ike::cert::{CertError, Trust};
use crate::time::UnixTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName};
use std::sync::Mutex;
use std::time::Duration;

/// Checks the certificate, and keeps the reason where it will not do.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) trust: Trust,
    pub(super) name: String,
    pub(super) now: UnixTime,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) refused: Mutex<Option<CertError>>,
}

impl Expected {
    /// Why it was refused, once.
    pub(super) fn refusal(&self) -> Option<CertError> {
        self.refused.lock().ok().and_then(|mut refused| refused.take())
    }
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain: Vec<Vec<u8>> =
            std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect();
        let Err(error) = self.trust.verify_tls_server(&chain, &self.name, self.now) else {
            return Ok(ServerCertVerified::assertion());
        };
        let told = match &error {
            CertError::UnknownIssuer { .. } => CertificateError::UnknownIssuer,
            CertError::Expired { .. } => CertificateError::Expired,
            CertError::NotYetValid { .. } => CertificateError::NotValidYet,
            CertError::Name { .. } | CertError::CommonNameOnly { .. } => CertificateError::NotValidForName,
            CertError::Usage { .. } => CertificateError::InvalidPurpose,
            _ => CertificateError::ApplicationVerificationFailure,
        };
        if let Ok(mut refused) = self.refused.lock() {
            *refused = Some(error);
        }
        Err(Error::InvalidCertificate(told))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The core is told the time.
#[derive(Debug)]
pub(super) struct At(pub(super) UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<rustls_pki_types::UnixTime> {
        Some(rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(self.0.as_secs())))
    }
}
