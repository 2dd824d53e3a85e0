//! From the file to [`Config`]: the TOML, then the files it names.

use super::{
    Agent, Config, ConfigError, Gateway, MAX_ROOTS_SIZE, MAX_SIZE, Portal, Preferences, TrustConfig,
    TunnelConfig, files, paths,
};
use crate::ike::cert::Root;
use crate::ike::message::Identity;
use crate::pkcs11::is_uri;
use crate::profile::PinHash;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use toml::Spanned;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Document {
    agent: Agent,
    tunnel: TunnelConfig,
    portal: Portal,
    preferences: Preferences,
    trust: RawTrust,
    gateway: BTreeMap<String, Gateway>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTrust {
    system: bool,
    roots: Vec<Spanned<PathBuf>>,
}

impl Default for RawTrust {
    fn default() -> Self {
        Self { system: TrustConfig::default().system, roots: Vec::new() }
    }
}

/// For `deserialize_with`: pins as the profile writes them.
pub(super) fn pins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PinHash>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let read = |text: &String| {
        PinHash::read(text)
            .ok_or_else(|| D::Error::custom(format!("invalid pin, expected {}", PinHash::FORM)))
    };
    texts.iter().map(read).collect()
}

/// One address, or a list.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an IP address such as \"192.0.2.1\", or a list of them")]
enum Addresses {
    One(IpAddr),
    Many(Vec<IpAddr>),
}

/// A program, or a program with its arguments.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a program such as \"/usr/bin/ssh-askpass\", or a list of it and its arguments"
)]
enum Program {
    Alone(String),
    Arguments(Vec<String>),
}

/// For `deserialize_with`: a program to be started without a shell.
pub(super) fn program<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = match Program::deserialize(deserializer)? {
        Program::Alone(program) => vec![program],
        Program::Arguments(words) => words,
    };
    match words.first() {
        Some(program) if program.is_empty() => Err(D::Error::custom("a program without a name")),
        _ => Ok(words),
    }
}

/// For `deserialize_with`: an identity as people write it.
pub(super) fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Identity>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = "invalid identity, expected a DNS name, an e-mail address, an IP address, text after \"key-id:\", or a \
         distinguished name such as \"C=DE, O=Example, CN=Anna\"";
    Identity::from_text(&text).map(Some).ok_or_else(|| D::Error::custom(wrong))
}

/// More addresses of one gateway than this are a mistake.
const MAX_ADDRESSES: usize = 16;

/// For `deserialize_with`: where a gateway is.
pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let addresses = match Addresses::deserialize(deserializer)? {
        Addresses::One(address) => vec![address],
        Addresses::Many(addresses) => addresses,
    };
    if addresses.len() > MAX_ADDRESSES {
        let text = format!("{} addresses, expected at most {MAX_ADDRESSES}", addresses.len());
        return Err(D::Error::custom(text));
    }
    Ok(addresses)
}

/// More places of certificates than this are a mistake.
const MAX_CERTIFICATES: usize = 16;

/// For `deserialize_with`: where certificates are.
pub(super) fn certificates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let places = Vec::<PathBuf>::deserialize(deserializer)?;
    if places.len() > MAX_CERTIFICATES {
        let text = format!("{} certificates, expected at most {MAX_CERTIFICATES}", places.len());
        return Err(D::Error::custom(text));
    }
    Ok(places)
}

impl Config {
    /// Reads the config file: `named` (`--config`), which must be there, or the user's, which need not be.
    ///
    /// # Errors
    /// A file that cannot be read, is larger than [`MAX_SIZE`], is not TOML, has an unknown key or a value outside its type,
    /// or names roots that cannot be read.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(file) = named.map(Path::to_owned).or_else(paths::config_file) else {
            return Ok(Self::default());
        };
        match files::read_at_most(&file, MAX_SIZE) {
            Ok(octets) => Self::parse(&octets, &file),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                let mend = "name another file with --config, or make this one readable";
                Err(ConfigError::whole(&file, format!("cannot be read: {error}"), mend))
            }
        }
    }

    /// Reads the text of a config file; `file` is for messages, and relative names of roots start in its folder.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(octets: &[u8], file: &Path) -> Result<Self, ConfigError> {
        if octets.len() > MAX_SIZE {
            let what = format!("is larger than {MAX_SIZE} bytes");
            return Err(ConfigError::whole(file, what, "this is not a config file of ikeep"));
        }
        let text = std::str::from_utf8(octets).map_err(|error| {
            let good = octets.get(..error.valid_up_to()).unwrap_or_default();
            let text = String::from_utf8_lossy(good);
            ConfigError::at(file, &text, text.len(), "is not text in UTF-8", "save it as UTF-8")
        })?;
        let document: Document =
            toml::from_str(text).map_err(|error| ConfigError::toml(file, text, &error))?;
        let mut roots = Vec::new();
        for root in &document.trust.roots {
            let wrong = |what, mend: &str| ConfigError::at(file, text, root.span().start, what, mend);
            let path = file.parent().unwrap_or(Path::new("")).join(root.get_ref());
            roots.extend(read_roots(&path).map_err(|(what, mend)| wrong(what, mend))?);
        }
        let trust = TrustConfig { system: document.trust.system, roots };
        let mut agent = document.agent;
        // As with the roots: a relative name starts in this file's folder.
        let here = |name: PathBuf| file.parent().unwrap_or(Path::new("")).join(name);
        // On a token, not in a folder.
        let there = |name: PathBuf| if is_uri(&name) { name } else { here(name) };
        agent.key_log = agent.key_log.map(here);
        agent.proxy_login = agent.proxy_login.map(here);
        // The loader finds one without a folder by its own rules.
        agent.pkcs11_module =
            agent.pkcs11_module.map(|name| if name.components().count() > 1 { here(name) } else { name });
        let mut gateways = document.gateway;
        for gateway in gateways.values_mut() {
            gateway.certificate = gateway.certificate.take().map(there);
            gateway.key = gateway.key.take().map(there);
            gateway.certificates = gateway.certificates.drain(..).map(here).collect();
            // A name without a folder is looked for in the usual ones.
            if let Some(program) = gateway.host_scan.first_mut().filter(|program| program.contains('/')) {
                *program = here(PathBuf::from(&*program)).to_string_lossy().into_owned();
            }
            gateway.ppk_file = gateway.ppk_file.take().map(here);
            gateway.eap_ca = gateway.eap_ca.take().map(here);
        }
        Ok(Self {
            agent,
            tunnel: document.tunnel,
            portal: document.portal,
            preferences: document.preferences,
            trust,
            gateways,
        })
    }
}

/// The certificates of a PEM file.
///
/// # Errors
/// What is wrong and how to mend it.
pub fn read_roots(path: &Path) -> Result<Vec<Root>, (String, &'static str)> {
    let name = path.display();
    let octets = files::read_at_most(path, MAX_ROOTS_SIZE).map_err(|error| {
        let mend = "name a PEM file; a relative name starts in the config file's folder";
        (format!("the roots in {name} cannot be read: {error}"), mend)
    })?;
    if octets.len() > MAX_ROOTS_SIZE {
        let what = format!("{name} is larger than {MAX_ROOTS_SIZE} bytes");
        return Err((what, "name the roots of your gateways only"));
    }
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&octets) {
        let mend = "put certificates in PEM form into it (-----BEGIN CERTIFICATE-----)";
        let der = certificate.map_err(|error| (format!("{name} is not PEM: {error}"), mend))?;
        webpki::anchor_from_trusted_cert(&der).map_err(|error| {
            let number = roots.len() + 1;
            (format!("certificate {number} in {name} cannot be a root: {error}"), "take it out or replace it")
        })?;
        roots.push(Root { der: der.to_vec(), configured: true });
    }
    if roots.is_empty() {
        return Err((
            format!("{name} holds no certificate"),
            "name a PEM file with the roots of your gateways",
        ));
    }
    Ok(roots)
}
