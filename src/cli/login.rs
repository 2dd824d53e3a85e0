//! What every command that logs in takes: the profile, whom to trust, and what needs not be asked for.

use super::prompt::Sources;
use super::{Error, Global};
use crate::ipc::Connect;
use crate::pkcs11::{Uri, is_uri};
use clap::ValueHint;
use std::path::{Path, PathBuf};

/// The options of a login.
#[derive(Debug, clap::Args)]
pub(super) struct Login {
    /// The AnyConnect profile; without it, the profiles of this user and of the vendor's folders are searched for HOST
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    profile: Option<PathBuf>,
    /// The user's name, so that it is not asked for
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The group, so that it is not asked for
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Take each secret that is asked for from a line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Where there is no terminal: a program that is asked for each secret, with the prompt as its argument; its first line of
    /// output is the secret
    #[arg(long, value_name = "PROGRAM")]
    askpass: Option<PathBuf>,
    /// Trust the roots in this PEM file too; may be given several times
    #[arg(long = "trust", value_name = "CA.pem", value_hint = ValueHint::FilePath)]
    trust: Vec<PathBuf>,
    /// Your certificate, a PEM file, a PKCS#12 file with its key, or a pkcs11: URI of a token, where the profile says IKE-RSA or IKE-ECDSA, the config file login = "eap-tls", or the gateway asks for it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    certificate: Option<PathBuf>,
    /// The certificate's private key, a PEM file that nobody else can read, or a pkcs11: URI of a token; without it, it is in the certificate's file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "certificate")]
    key: Option<PathBuf>,
}

impl Login {
    /// Where the answers to the gateway's questions come from; nothing is shown on the desktop, nothing is kept.
    ///
    /// # Errors
    /// As [`Login::wishes`].
    pub(super) fn sources(&self, global: &Global) -> Result<Sources, Error> {
        Ok(Sources {
            password_stdin: self.password_stdin,
            askpass: self.askpass.clone(),
            desktop: false,
            remember: false,
            user: self.user.clone(),
            config: global.config.as_deref().map(absolute).transpose()?,
        })
    }

    /// The wishes, with whole names of files: the agent has another working folder.
    ///
    /// # Errors
    /// This one is not known.
    pub(super) fn wishes(self, host: Option<String>, global: &Global) -> Result<Connect, Error> {
        let whole = |file: &Option<PathBuf>| file.as_deref().map(absolute).transpose();
        Ok(Connect {
            host,
            profile: whole(&self.profile)?,
            trust: self.trust.iter().map(|file| absolute(file)).collect::<Result<_, _>>()?,
            certificate: named(self.certificate.as_deref())?,
            key: named(self.key.as_deref())?,
            config: whole(&global.config)?,
            user: self.user,
            group: self.group,
            ..Connect::default()
        })
    }
}

/// A file's whole name, or the URI of a token as it is.
fn named(name: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    let Some(name) = name else { return Ok(None) };
    if !is_uri(name) {
        return absolute(name).map(Some);
    }
    name.to_str().unwrap_or_default().parse::<Uri>().map_err(Error::Token)?;
    Ok(Some(name.to_owned()))
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Read { file: path.to_owned(), source })
}
