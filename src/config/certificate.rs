//! The user's own certificate, from files.

use crate::crypto::Secret;
use crate::ike::cert::{MAX_CERTIFICATES, OwnCertificate, OwnCertificateError as Wrong};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file of a certificate or key, octets.
const MAX_SIZE: usize = 256 << 10;

/// Why a certificate cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// Its key is protected by a passphrase.
    Locked {
        /// The key's file.
        file: PathBuf,
        /// A passphrase was given, and it is another one's.
        wrong: bool,
    },
    /// For people: what is wrong with which file, and how to mend it.
    Wrong(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { file, wrong: false } => {
                write!(f, "the key in {} is protected by a passphrase", file.display())
            }
            Self::Locked { file, wrong: true } => {
                write!(f, "that is not the passphrase of the key in {}", file.display())
            }
            Self::Wrong(what) => f.write_str(what),
        }
    }
}

/// Reads certificates and key; both may be in one file. `passphrase`: of the key, as far as it has one.
///
/// # Errors
/// See [`Unusable`]. A key that others can read is refused, with a passphrase too.
pub fn read_certificate(
    certificate: &Path,
    key: &Path,
    passphrase: Option<&Secret>,
) -> Result<OwnCertificate, Unusable> {
    let certificates = read(certificate).map_err(Unusable::Wrong)?.0;
    let (secret, mode) = read(key).map_err(Unusable::Wrong)?;
    let own = OwnCertificate::read(certificates.expose(), secret.expose(), passphrase);
    let own = match own {
        Ok(_) | Err(Wrong::Locked | Wrong::Passphrase) if mode & 0o077 != 0 => {
            let name = key.display();
            let what =
                format!("the private key in {name} is open to others on this machine: chmod 600 {name}");
            return Err(Unusable::Wrong(what));
        }
        own => own,
    };
    own.map_err(|error| match &error {
        Wrong::Locked | Wrong::Passphrase => {
            Unusable::Locked { file: key.to_owned(), wrong: error == Wrong::Passphrase }
        }
        Wrong::NoKey | Wrong::Protection(_) | Wrong::Mismatch(_) => {
            Unusable::Wrong(format!("{}: {error}", key.display()))
        }
        _ => Unusable::Wrong(format!("{}: {error}", certificate.display())),
    })
}

/// The certificates of a PEM file (DER), in their order, for a key that is elsewhere.
///
/// # Errors
/// For people.
pub fn read_chain(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let octets = read(file)?.0;
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(octets.expose()).take(MAX_CERTIFICATES + 1) {
        let certificate = certificate.map_err(|_| format!("{}: {}", file.display(), Wrong::NoCertificate))?;
        chain.push(certificate.to_vec());
    }
    Ok(chain)
}

/// Most files of a folder that are looked at.
const MAX_FILES: usize = 32;

/// The files that a place of certificates means: itself, or where it is a folder the `*.pem`, `*.p12` and `*.pfx` in it, by name.
///
/// # Errors
/// For people: a folder that cannot be read, or has none of them or too many.
pub fn certificate_files(place: &Path) -> Result<Vec<PathBuf>, String> {
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let name = place.display();
    let cannot = |error: io::Error| format!("the folder {name} cannot be read: {error}");
    let entries = std::fs::read_dir(place).map_err(cannot)?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(cannot)?.path();
        if file.extension().is_some_and(|extension| ["pem", "p12", "pfx"].iter().any(|one| extension == *one))
        {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(format!(
                "the folder {name} has more than {MAX_FILES} files *.pem, *.p12 and *.pfx: keep your own there"
            ));
        }
    }
    files.sort();
    if files.is_empty() {
        Err(format!("the folder {name} has no file *.pem, *.p12 or *.pfx"))
    } else {
        Ok(files)
    }
}

/// What is in a file, and the mode of the very file that was read.
pub(super) fn read(file: &Path) -> Result<(Secret, u32), String> {
    let name = file.display();
    let cannot = |error: io::Error| format!("{name} cannot be read: {error}");
    let open = File::open(file).map_err(cannot)?;
    let found = open.metadata().map_err(cannot)?;
    let most = MAX_SIZE + 1;
    // As large as it can become: what grows leaves copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(most));
    open.take(most as u64).read_to_end(&mut octets).map_err(cannot)?;
    if octets.len() > MAX_SIZE {
        return Err(format!("{name} is larger than {MAX_SIZE} bytes: it is no such file"));
    }
    Ok((Secret::from(&octets[..]), found.permissions().mode()))
}
