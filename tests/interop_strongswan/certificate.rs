//! Logins with the user's own certificate, the real program against strongSwan, a key of each kind.

use crate::card::{Card, PIN, softhsm, uri};
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Pair, Pki, Suite, WebServer,
};
use crate::person::{Person, said};
use anyhow::{Context, Result, ensure};
use ikeep::lab::inside::pattern;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const EMAIL: &str = "anna@example.com";

/// A gateway that wants a certificate of its own CA's; `id`: whose.
pub(crate) fn config(id: &str) -> String {
    let text = GatewayConfig::new(Suite::SEED, b"no token serves here").render();
    let from = text.find("    remote {").unwrap_or_default();
    let to = text[from..].find("    children {").map_or(from, |at| from + at);
    let remote = format!("    remote {{\n      auth = pubkey\n      id = {id}\n    }}\n");
    format!("{}{remote}{}", &text[..from], &text[to..])
}

/// Kinds of keys, in the words of `openssl genpkey`.
pub(crate) const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub(crate) const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
pub(crate) const ED25519: &[&str] = &["-algorithm", "ED25519"];

pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>> {
    let done = command.output()?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(done.stdout)
}

/// Certificate and key of a user, issued by the CA in `folder`.
pub(crate) fn issue(folder: &Path, name: &str, kind: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}-key.pem")));
    run(Command::new("openssl").arg("genpkey").args(kind).arg("-out").arg(&key))?;
    fs::set_permissions(&key, Permissions::from_mode(0o600))?;
    let mut issue = Command::new("pki");
    issue.args(["--issue", "--type", "priv", "--lifetime", "1", "--dn", "C=CH, O=Example, CN=Anna"]);
    issue
        .args(["--san", EMAIL, "--outform", "pem", "--in"])
        .arg(&key)
        .arg("--cacert")
        .arg(folder.join("ca.pem"));
    fs::write(&certificate, run(issue.arg("--cakey").arg(folder.join("ca-key.pem")))?)?;
    Ok((certificate, key))
}

struct World {
    folder: TempDir,
    pki: Pki,
    net: Pair,
    gateway: Charon,
    person: Person,
}

impl World {
    fn new(signature_authentication: bool) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-pki-")?;
        let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
        let net = Pair::new()?;
        let options = CharonOptions { signature_authentication, ..CharonOptions::default() };
        let gateway = Charon::start(&net.gateway, options, &pki, true, &config("%any"))?;
        let at: SocketAddr = "10.9.0.1:4500".parse()?;
        let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
        let person = Person::within(prefix, (SocketAddr::new(at.ip(), 500), at))?;
        if !signature_authentication {
            // Its own signature is of the old kind then, with SHA-1.
            let file = person.path("config/ikeep/config.toml");
            let dialect = format!("[gateway.\"{GATEWAY_NAME}\".dialect]\nrsa_auth_sha1 = true\n");
            fs::write(&file, fs::read_to_string(&file)? + &dialect)?;
        }
        Ok(Self { folder, pki, net, gateway, person })
    }

    fn profile(&self, method: &str) -> Result<String> {
        let profile = fs::read_to_string(Person::profile())?.replace("EAP-AnyConnect", method);
        let file = self.folder.path().join("profile.xml");
        fs::write(&file, profile)?;
        Ok(file.display().to_string())
    }

    fn log_in(&self, method: &str, more: &[&str]) -> Result<Output> {
        let (file, ca) = (self.profile(method)?, self.pki.ca.display().to_string());
        self.person.run(&[&["connect", "--profile", &file, "--trust", &ca], more].concat())
    }

    /// With a certificate: the login, octets through the tunnel, and goodbye.
    fn visit(&self, method: &str, (certificate, key): &(PathBuf, PathBuf)) -> Result<()> {
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let connected = self.log_in(method, &["--certificate", &certificate, "--key", &key])?;
        ensure!(connected.status.success(), "{}", said(&connected));
        self.served()
    }

    fn served(&self) -> Result<()> {
        let status = self.person.status()?;
        ensure!(status["auth"] == "certificate" && status["address4"] == "192.168.20.5", "{status:#}");
        let _server = WebServer::start(&self.net.gateway, SocketAddr::new(BEHIND_GATEWAY.parse()?, 80))?;
        let proxy = status["proxy"].as_str().context("a proxy")?.to_owned();
        let url = format!("http://{BEHIND_GATEWAY}/bytes/70000");
        let mut curl = self.net.client.command("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "20",
            "--socks5-hostname",
            &proxy,
            &url,
        ]);
        let fetched = run(&mut curl)?;
        ensure!(fetched.len() == 70_000 && pattern::first_wrong(0, &fetched).is_none(), "{}", fetched.len());
        let bye = self.person.run(&["disconnect"])?;
        ensure!(bye.status.success(), "{}", said(&bye));
        Ok(())
    }

    fn told(&self) -> String {
        format!("strongSwan's log:\n{}\nour events:\n{}", self.gateway.log(), self.person.events())
    }
}

#[test]
fn a_certificate_with_a_key_of_each_kind_logs_in() -> Result<()> {
    if !interop::enabled("a_certificate_with_a_key_of_each_kind_logs_in") {
        return Ok(());
    }
    // What strongSwan calls the signature, with RFC 7427 and without.
    let kinds = [
        ("rsa", "IKE-RSA", RSA, "RSA_EMSA_PSS_SHA2_256", None),
        ("p256", "IKE-ECDSA", P256, "ECDSA_WITH_SHA256_DER", Some("ECDSA-256")),
        ("p384", "IKE-ECDSA", P384, "ECDSA_WITH_SHA384_DER", Some("ECDSA-384")),
        ("ed25519", "IKE-ECDSA", ED25519, "ED25519", None),
    ];
    for modern in [true, false] {
        let world = World::new(modern)?;
        let story = || -> Result<()> {
            for (name, method, kind, with, without) in kinds {
                let files = issue(world.folder.path(), name, kind)?;
                let scheme = match (modern, without) {
                    (true, _) => with,
                    (false, Some(scheme)) => scheme,
                    (false, None) => continue,
                };
                world.visit(method, &files).with_context(|| format!("{name}, RFC 7427: {modern}"))?;
                let line = "authentication of 'C=CH, O=Example, CN=Anna' with ";
                let log = world.gateway.log();
                let seen =
                    log.lines().any(|l| l.contains(line) && l.contains(scheme) && l.contains("successful"));
                ensure!(seen, "{name}: not with {scheme}");
            }
            Ok(())
        };
        story().with_context(|| world.told())?;
    }
    Ok(())
}

#[test]
fn a_key_on_a_token_signs_for_a_login() -> Result<()> {
    let test = "a_key_on_a_token_signs_for_a_login";
    let Some(module) = softhsm(test).filter(|_| interop::enabled(test)) else { return Ok(()) };
    let kinds = [
        ("rsa", "IKE-RSA", RSA, "RSA_EMSA_PSS_SHA2_256", None),
        ("p256", "IKE-ECDSA", P256, "ECDSA_WITH_SHA256_DER", Some("ECDSA-256")),
        ("p384", "IKE-ECDSA", P384, "ECDSA_WITH_SHA384_DER", Some("ECDSA-384")),
    ];
    for modern in [true, false] {
        let mut world = World::new(modern)?;
        let card = Card::new(module.clone())?;
        card.insert(&mut world.person);
        let story = || -> Result<()> {
            for (at, (name, method, kind, with, without)) in kinds.into_iter().enumerate() {
                let Some(scheme) = (if modern { Some(with) } else { without }) else { continue };
                let (certificate, key) = issue(world.folder.path(), name, kind)?;
                card.put((&certificate, &key), &format!("0{at}"), name)?;
                let (profile, ca) = (world.profile(method)?, world.pki.ca.display().to_string());
                let uri = uri(&format!(";object={name}"));
                let args = [
                    "connect",
                    "--profile",
                    &profile,
                    "--trust",
                    &ca,
                    "--certificate",
                    &uri,
                    "--password-stdin",
                ];
                let connected = world.person.type_in(&args, &format!("{PIN}\n"))?;
                ensure!(connected.status.success(), "{name}, RFC 7427: {modern}: {}", said(&connected));
                world.served()?;
                let line = "authentication of 'C=CH, O=Example, CN=Anna' with ";
                let log = world.gateway.log();
                let seen =
                    log.lines().any(|l| l.contains(line) && l.contains(scheme) && l.contains("successful"));
                ensure!(seen, "{name}: not with {scheme}");
            }
            Ok(())
        };
        story().with_context(|| world.told())?;
    }
    Ok(())
}

#[test]
fn certificates_that_will_not_do_are_told_apart() -> Result<()> {
    if !interop::enabled("certificates_that_will_not_do_are_told_apart") {
        return Ok(());
    }
    let world = World::new(true)?;
    let story = || -> Result<()> {
        let folder = world.folder.path();
        let (certificate, key) = issue(folder, "rsa", RSA)?;
        let (other, other_key) = issue(folder, "p256", P256)?;
        let text = |path: &Path| path.display().to_string();
        let refused = |method: &str, args: &[&str], code: i32, words: &str| -> Result<()> {
            let refused = world.log_in(method, args)?;
            ensure!(
                refused.status.code() == Some(code) && said(&refused).contains(words),
                "{}",
                said(&refused)
            );
            Ok(())
        };
        refused("IKE-RSA", &[], 1, "name your certificate")?;
        refused("IKE-RSA", &["--certificate", &text(&certificate)], 1, "no private key")?;
        let pair = ["--certificate", &text(&certificate), "--key", &text(&other_key)];
        refused("IKE-RSA", &pair, 1, "does not belong to the certificate")?;
        let pair = ["--certificate", &text(&other), "--key", &text(&other_key)];
        refused("IKE-RSA", &pair, 1, "an RSA key")?;
        fs::set_permissions(&key, Permissions::from_mode(0o640))?;
        let pair = ["--certificate", &text(&certificate), "--key", &text(&key)];
        refused("IKE-RSA", &pair, 1, "chmod 600")?;
        fs::set_permissions(&key, Permissions::from_mode(0o600))?;
        let locked = folder.join("locked.pem");
        let mut lock = Command::new("openssl");
        lock.args(["pkey", "-aes256", "-passout", "pass:x", "-in"]).arg(&key).arg("-out").arg(&locked);
        run(&mut lock)?;
        fs::set_permissions(&locked, Permissions::from_mode(0o600))?;
        let pair = ["--certificate", &text(&certificate), "--key", &text(&locked)];
        refused("IKE-RSA", &pair, 3, "Passphrase")?;
        ensure!(!world.gateway.log().contains("IKE_AUTH request"), "nothing was sent");
        // From the config file, by the e-mail address in the certificate.
        world.gateway.load(&config(EMAIL))?;
        let file = world.person.path("config/ikeep/config.toml");
        let more = format!(
            "certificate = \"{}\"\nkey = \"{}\"\nidentity = \"{EMAIL}\"\n",
            certificate.display(),
            key.display()
        );
        fs::write(&file, fs::read_to_string(&file)? + &more)?;
        let connected = world.log_in("IKE-RSA", &[])?;
        ensure!(connected.status.success(), "{}", said(&connected));
        ensure!(world.gateway.log().contains(&format!("authentication of '{EMAIL}' with")), "the identity");
        world.served()?;
        world.gateway.load(&config("%any"))?;
        // Another CA's: the gateway refuses.
        let elsewhere = TempDir::with_prefix("ikeep-pki-")?;
        Pki::create(elsewhere.path(), GATEWAY_NAME)?;
        let (stranger, stranger_key) = issue(elsewhere.path(), "rsa", RSA)?;
        let pair = ["--certificate", &text(&stranger), "--key", &text(&stranger_key)];
        refused("IKE-RSA", &pair, 3, "trusts your certificate's issuer")
    };
    story().with_context(|| world.told())
}
