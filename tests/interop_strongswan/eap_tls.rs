//! Logins with EAP-TLS, the real program against strongSwan: certificates of each kind, what will not do on either side, and
//! chains that are longer than a packet. strongSwan 5.9.8 speaks TLS 1.3 where it is told to, but never says inside it that it
//! takes the certificate, as RFC 9190 wants: a login ends there.

use crate::certificate::{ED25519, P256, P384, RSA, config, issue, run};
use crate::interop::{self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, Pair, Pki, WebServer};
use crate::person::{Person, said};
use anyhow::{Context, Result, ensure};
use ikeep::lab::inside::pattern;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const EMAIL: &str = "anna@example.com";
/// TLS needs what the list for IKE leaves out.
const PLUGINS: &str = "eap-tls";
const TLS_12: &str = "tls {
    version_max = 1.2
  }";
const TLS_13: &str = "tls {
    version_max = 1.3
  }";

/// A gateway that wants EAP-TLS (or another method), with the user's name asked for first.
pub(crate) fn gateway(method: &str) -> String {
    let remote = format!("      auth = {method}\n      id = %any\n      eap_id = %any\n");
    config("%any").replace("      auth = pubkey\n      id = %any\n", &remote)
}

struct World {
    folder: TempDir,
    pki: Pki,
    net: Pair,
    gateway: Charon,
    person: Person,
    /// The config file without what a test adds.
    plain: String,
}

impl World {
    fn new(method: &str, more: &'static str) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-pki-")?;
        let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
        Self::with(folder, pki, method, more)
    }

    fn with(folder: TempDir, pki: Pki, method: &str, more: &'static str) -> Result<Self> {
        let net = Pair::new()?;
        let options = CharonOptions { plugins: PLUGINS, more, ..CharonOptions::default() };
        let gateway = Charon::start(&net.gateway, options, &pki, true, &gateway(method))?;
        let at: SocketAddr = "10.9.0.1:4500".parse()?;
        let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
        let person = Person::within(prefix, (SocketAddr::new(at.ip(), 500), at))?;
        let plain = fs::read_to_string(person.path("config/ikeep/config.toml"))?;
        let world = Self { folder, pki, net, gateway, person, plain };
        world.configure("")?;
        Ok(world)
    }

    /// `login = "eap-tls"`, and more lines for the gateway.
    fn configure(&self, more: &str) -> Result<()> {
        let text = format!("{}login = \"eap-tls\"\n{more}", self.plain);
        Ok(fs::write(self.person.path("config/ikeep/config.toml"), text)?)
    }

    fn log_in(&self, ca: &Path, (certificate, key): &(PathBuf, PathBuf)) -> Result<Output> {
        let [profile, ca, certificate, key] =
            [&Person::profile(), ca, certificate, key].map(|file| file.display().to_string());
        let args =
            ["connect", "--profile", &profile, "--trust", &ca, "--certificate", &certificate, "--key", &key];
        self.person.run(&args)
    }

    fn comes_in(&self, files: &(PathBuf, PathBuf)) -> Result<()> {
        let connected = self.log_in(&self.pki.ca, files)?;
        ensure!(connected.status.success(), "{}", said(&connected));
        let status = self.person.status()?;
        ensure!(status["auth"] == "eap-tls" && status["address4"] == "192.168.20.5", "{status:#}");
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

    /// The login fails with this exit code and says this.
    fn stays_out(&self, ca: &Path, files: &(PathBuf, PathBuf), code: i32, words: &str) -> Result<()> {
        let refused = self.log_in(ca, files)?;
        ensure!(refused.status.code() == Some(code) && said(&refused).contains(words), "{}", said(&refused));
        ensure!(self.person.status()?["state"] != "connected");
        Ok(())
    }

    fn logged(&self, text: &str) -> usize {
        self.gateway.log().matches(text).count()
    }

    fn told(&self) -> String {
        format!("strongSwan's log:\n{}\nour events:\n{}", self.gateway.log(), self.person.events())
    }
}

#[test]
fn each_key_logs_in_with_tls_1_2() -> Result<()> {
    if !interop::enabled("each_key_logs_in_with_tls_1_2") {
        return Ok(());
    }
    let world = World::new("eap-tls", TLS_12)?;
    let story = || -> Result<()> {
        let kinds = [("rsa", RSA), ("p256", P256), ("p384", P384), ("ed25519", ED25519)];
        for (count, (name, kind)) in (1..).zip(kinds) {
            let files = issue(world.folder.path(), name, kind)?;
            world.comes_in(&files).context(name)?;
            ensure!(world.logged("negotiated TLS 1.2") == count, "the version");
            ensure!(world.logged("EAP method EAP_TLS succeeded, MSK established") == count, "the key");
        }
        ensure!(world.logged(&format!("received EAP identity '{EMAIL}'")) == 4, "the certificate's name");
        Ok(())
    };
    story().with_context(|| world.told())
}

/// The handshake is whole on both sides, and all the same it is no login.
#[test]
fn tls_1_3_without_the_word_of_rfc_9190_is_refused() -> Result<()> {
    if !interop::enabled("tls_1_3_without_the_word_of_rfc_9190_is_refused") {
        return Ok(());
    }
    let world = World::new("eap-tls", TLS_13)?;
    let story = || -> Result<()> {
        for (count, (name, kind)) in (1..).zip([("rsa", RSA), ("p256", P256)]) {
            let files = issue(world.folder.path(), name, kind)?;
            world.stays_out(&world.pki.ca, &files, 3, "RFC 9190").context(name)?;
            ensure!(world.logged("negotiated TLS 1.3") == count, "the version");
            ensure!(world.logged("EAP method EAP_TLS succeeded, MSK established") == count, "it was content");
        }
        Ok(())
    };
    story().with_context(|| world.told())
}

#[test]
fn certificates_that_will_not_do_are_refused_on_both_sides() -> Result<()> {
    if !interop::enabled("certificates_that_will_not_do_are_refused_on_both_sides") {
        return Ok(());
    }
    let elsewhere = TempDir::with_prefix("ikeep-pki-")?;
    let other = Pki::create(elsewhere.path(), GATEWAY_NAME)?;
    for settings in [TLS_12, TLS_13] {
        let world = World::new("eap-tls", settings)?;
        let story = || -> Result<()> {
            let files = issue(world.folder.path(), "rsa", RSA)?;
            // A gateway that is a stranger's: no EAP packet leaves.
            world.stays_out(&other.ca, &files, 5, "the gateway is not trusted")?;
            ensure!(world.logged("EAP/RES/") == 0, "something was said to a stranger");
            // An EAP server of another CA, or of another name: no certificate leaves.
            let other_ca = format!("eap_ca = \"{}\"\n", other.ca.display());
            world.configure(&other_ca)?;
            world.stays_out(&world.pki.ca, &files, 5, "the EAP server")?;
            world.configure("eap_server_name = \"radius.example.com\"\n")?;
            world.stays_out(&world.pki.ca, &files, 5, "eap_server_name")?;
            ensure!(world.logged("received TLS peer certificate") == 0, "the certificate was shown");
            // The right ones, named.
            let logins = usize::from(settings == TLS_12);
            let named =
                format!("eap_ca = \"{}\"\neap_server_name = \"{GATEWAY_NAME}\"\n", world.pki.ca.display());
            world.configure(&named)?;
            if settings == TLS_12 {
                world.comes_in(&files)?;
            }
            // Certificates of ours that it does not take.
            let stranger = issue(elsewhere.path(), "stranger", RSA)?;
            world.stays_out(&world.pki.ca, &stranger, 3, "EAP server refused the login")?;
            let expired = expired(&world)?;
            world.stays_out(&world.pki.ca, &expired, 1, "expired on")?;
            ensure!(world.logged("MSK established") == logins, "one login");
            Ok(())
        };
        story().with_context(|| world.told())?;
    }
    Ok(())
}

/// A certificate of the day before yesterday.
fn expired(world: &World) -> Result<(PathBuf, PathBuf)> {
    let folder = world.folder.path();
    let (certificate, key) = issue(folder, "old", RSA)?;
    let mut again = Command::new("pki");
    again.args([
        "--issue",
        "--type",
        "priv",
        "--dn",
        "C=CH, O=Example, CN=Anna",
        "--san",
        EMAIL,
        "--outform",
        "pem",
    ]);
    again.args(["--dateform", "%Y-%m-%d", "--not-before", "2020-01-01", "--not-after", "2020-01-02", "--in"]);
    again.arg(&key).arg("--cacert").arg(folder.join("ca.pem")).arg("--cakey").arg(folder.join("ca-key.pem"));
    fs::write(&certificate, run(&mut again)?)?;
    Ok((certificate, key))
}

#[test]
fn a_gateway_with_another_method_is_refused() -> Result<()> {
    if !interop::enabled("a_gateway_with_another_method_is_refused") {
        return Ok(());
    }
    let world = World::new("eap-mschapv2", TLS_12)?;
    let story = || -> Result<()> {
        let files = issue(world.folder.path(), "rsa", RSA)?;
        world.stays_out(
            &world.pki.ca,
            &files,
            3,
            "offers EAP-MSCHAPv2, and the config file names EAP-TLS",
        )?;
        ensure!(world.logged("EAP/RES/MSCHAPV2") == 0, "the other method was done");
        Ok(())
    };
    story().with_context(|| world.told())
}

/// CAs below the CA, each of a key of 4096 bits: the chain is longer than a packet of either side's.
#[test]
fn long_chains_are_fragmented_both_ways() -> Result<()> {
    if !interop::enabled("long_chains_are_fragmented_both_ways") {
        return Ok(());
    }
    let world = World::new("eap-tls", TLS_12)?;
    let story = || -> Result<()> {
        let folder = world.folder.path();
        let (middle, middle_key) = issue_ca(folder, "middle", "ca")?;
        let (lower, lower_key) = issue_ca(folder, "lower", "middle")?;
        ensure!(middle_key.exists() && lower_key.exists());
        let (certificate, key) = issue_below(folder, "anna", "lower", &[])?;
        let chain: Vec<u8> = [&certificate, &lower, &middle]
            .map(fs::read)
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        fs::write(&certificate, &chain)?;
        world.comes_in(&(certificate, key))?;
        // More than the four packets each way of a login that fits.
        let (theirs, ours) = (world.logged("EAP/REQ/TLS"), world.logged("EAP/RES/TLS"));
        ensure!(theirs > 5 && ours > 5, "{theirs} requests, {ours} responses");
        Ok(())
    };
    story().with_context(|| world.told())
}

fn issue_ca(folder: &Path, name: &str, above: &str) -> Result<(PathBuf, PathBuf)> {
    issue_below(folder, name, above, &["--ca"])
}

fn issue_below(folder: &Path, name: &str, above: &str, more: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = issue(folder, name, &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"])?;
    let dn = format!("C=CH, O=Example, CN={name}");
    let mut again = Command::new("pki");
    again.args([
        "--issue",
        "--type",
        "priv",
        "--lifetime",
        "1",
        "--dn",
        &dn,
        "--san",
        EMAIL,
        "--outform",
        "pem",
    ]);
    again.args(more).arg("--in").arg(&key);
    again.arg("--cacert").arg(folder.join(format!("{above}.pem")));
    again.arg("--cakey").arg(folder.join(format!("{above}-key.pem")));
    fs::write(&certificate, run(&mut again)?)?;
    Ok((certificate, key))
}
