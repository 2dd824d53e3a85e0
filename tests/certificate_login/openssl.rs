//! A CA and users by OpenSSL's command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A CA in a folder of its own.
pub(crate) struct Ca(TempDir);

/// A user's files: certificate and key in one, and each alone.
pub(crate) struct User {
    pub(crate) both: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Runs it in a folder; what it prints.
pub(crate) fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    output.stdout
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let ca = Self(TempDir::with_prefix("ikeep-users-").unwrap());
        let subject = format!("/O=Acme/CN={name}");
        let kind = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
        ];
        ca.run(&[&kind[..], &["-keyout", "ca.key", "-out", "ca.pem", "-subj", &subject]].concat());
        ca
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Vec<u8> {
        openssl(self.folder(), arguments)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn pem(&self) -> String {
        self.file("ca.pem").display().to_string()
    }

    /// DER.
    pub(crate) fn der(&self) -> Vec<u8> {
        self.run(&["x509", "-in", "ca.pem", "-outform", "DER"])
    }

    /// A user with this kind of key ("rsa:2048" ..) and this extended key usage.
    pub(crate) fn user(&self, name: &str, kind: &[&str], usage: &str) -> User {
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        let subject = format!("/O=Acme/OU=Sales/CN={name}");
        let begin = [&["req", "-new", "-nodes", "-newkey"], kind].concat();
        self.run(&[&begin[..], &["-keyout", &key, "-out", &request, "-subj", &subject]].concat());
        fs::write(self.file("ext"), format!("keyUsage=digitalSignature\nextendedKeyUsage={usage}\n"))
            .unwrap();
        let sign = ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "3650", "-extfile", "ext"];
        self.run(&[&sign[..], &["-in", &request, "-out", &certificate]].concat());
        let both = self.file(&format!("{name}.pem"));
        let (certificate, key) = (self.file(&certificate), self.file(&key));
        fs::write(&both, fs::read_to_string(&certificate).unwrap() + &fs::read_to_string(&key).unwrap())
            .unwrap();
        for file in [&both, &key] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        User { both, certificate, key }
    }
}

/// RSA of 2,048 bits.
pub(crate) const RSA: &[&str] = &["rsa:2048"];
/// P-256.
pub(crate) const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
