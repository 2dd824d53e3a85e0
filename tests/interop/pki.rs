//! A CA and a gateway certificate, made anew for each test with strongSwan's own `pki`.

use super::netns::run;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files of one CA and one gateway, valid for the lifetime of the folder they were made in.
pub(crate) struct Pki {
    /// The CA's certificate, PEM: what a client trusts.
    pub(crate) ca: PathBuf,
    /// The gateway's certificate, PEM, RSA-2048, issued by the CA for the given name.
    pub(crate) gateway: PathBuf,
    /// The gateway's private key, PEM.
    pub(crate) gateway_key: PathBuf,
}

impl Pki {
    /// Makes both in `folder`; the gateway's certificate names `host` as subject alternative name.
    ///
    /// # Errors
    /// Where strongSwan's `pki` is missing or refuses.
    pub(crate) fn create(folder: &Path, host: &str) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        let ca_key = file("ca-key.pem");
        let pki = Self { ca: file("ca.pem"), gateway: file("gw.pem"), gateway_key: file("gw-key.pem") };
        let rsa = ["--gen", "--type", "rsa", "--size", "2048", "--outform", "pem"];
        produce(&ca_key, Command::new("pki").args(rsa))?;
        produce(&pki.gateway_key, Command::new("pki").args(rsa))?;
        produce(
            &pki.ca,
            Command::new("pki")
                .args([
                    "--self",
                    "--ca",
                    "--lifetime",
                    "2",
                    "--dn",
                    "CN=ikeep interop test CA",
                    "--outform",
                    "pem",
                ])
                .arg("--in")
                .arg(&ca_key),
        )?;
        produce(
            &pki.gateway,
            Command::new("pki")
                .args(["--issue", "--type", "priv", "--lifetime", "1", "--flag", "serverAuth"])
                .args(["--dn", &format!("CN={host}"), "--san", host, "--outform", "pem"])
                .arg("--in")
                .arg(&pki.gateway_key)
                .arg("--cacert")
                .arg(&pki.ca)
                .arg("--cakey")
                .arg(&ca_key),
        )?;
        Ok(pki)
    }
}

/// Keeps what `command` prints in `file`.
fn produce(file: &Path, command: &mut Command) -> Result<()> {
    let text = run(command)?;
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
