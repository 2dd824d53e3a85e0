//! tshark as the judge of exchanges with strongSwan: a cipher and a group each, a login method each, rekeys of both SAs from the
//! gateway, a move (MOBIKE) and a PPK, all with the opt-in key log.

use crate::certificate::{P256, RSA, issue};
use crate::interop::agent::until;
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, Pair, Pki, Suite, WebServer,
};
use crate::person::{Person, said};
use crate::tshark::{Judge, Sniffer};
use crate::{certificate, eap, eap_tls, ppk};
use anyhow::{Context, Result, ensure};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

/// How the user logs in, what strongSwan takes, and the group in that. Wireshark 4.0 has no ChaCha20-Poly1305: what is protected by
/// that stays dark, but nothing after it.
const CASES: [(&str, Suite, u16); 7] = [
    ("EAP-MSCHAPv2", Suite { ike: "aes128-sha256-modp2048", esp: "chacha20poly1305" }, 14),
    ("EAP-GTC", Suite { ike: "aes256gcm16-prfsha384-curve25519", esp: "aes256gcm16" }, 31),
    ("EAP-MD5", Suite { ike: "aes128gcm16-prfsha256-ecp384", esp: "aes128gcm16" }, 20),
    ("EAP-TLS", Suite { ike: "aes256-sha384-ecp521", esp: "aes256-sha512" }, 21),
    ("IKE-ECDSA", Suite { ike: "aes256-sha512-modp4096", esp: "aes128-sha256" }, 16),
    ("IKE-RSA", Suite { ike: "aes256-sha512-ecp256", esp: "aes256-sha384" }, 19),
    ("IKE-ECDSA", Suite { ike: "aes128-sha512-modp3072", esp: "aes256-sha256" }, 15),
];

/// EAP-GTC without PAM; TLS 1.2, the newest that strongSwan 5.9.8 brings to an end in EAP.
const MORE: &str = "plugins {
    eap-gtc {
      backend = generic
    }
  }
  tls {
    version_max = 1.2
  }";

struct World {
    folder: TempDir,
    pki: Pki,
    net: Pair,
    gateway: Charon,
    person: Person,
    /// The config file without what a case adds.
    plain: String,
}

impl World {
    fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-tshark-")?;
        let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
        let net = Pair::new()?;
        let options =
            CharonOptions { plugins: "xauth-generic eap-tls", more: MORE, ..CharonOptions::default() };
        let gateway = Charon::start(&net.gateway, options, &pki, true, &certificate::config("%any"))?;
        let at: SocketAddr = "10.9.0.1:4500".parse()?;
        let ports = (SocketAddr::new(at.ip(), 500), at);
        let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
        let person = Person::within(prefix, ports)?;
        person.configure(ports, &format!("key_log = \"{}\"", folder.path().join("wireshark").display()))?;
        let plain = fs::read_to_string(person.path("config/ikeep/config.toml"))?;
        Ok(Self { folder, pki, net, gateway, person, plain })
    }

    /// strongSwan takes this, and no more; our config file has what belongs to it.
    fn prepare(&self, method: &str, suite: Suite) -> Result<()> {
        let (text, more) = match method {
            "EAP-TLS" => (eap_tls::gateway("eap-tls"), "login = \"eap-tls\"\n".to_owned()),
            "IKE-ECDSA" => (certificate::config("%any"), String::new()),
            "IKE-RSA" => {
                let file = self.person.path("config/ikeep/office.ppk");
                fs::write(&file, format!("{}\n", ppk::KEY))?;
                fs::set_permissions(&file, Permissions::from_mode(0o600))?;
                let theirs = (Some((ppk::ID, ppk::ID, ppk::KEY)), true);
                let ours =
                    format!("ppk_id = \"{}\"\nppk_file = \"office.ppk\"\nppk_required = true\n", ppk::ID);
                (ppk::with_ppk(&certificate::config("%any"), theirs), ours)
            }
            eap => (eap::config(&eap.to_lowercase(), true), String::new()),
        };
        let text = text.replace(Suite::SEED.ike, suite.ike).replace(Suite::SEED.esp, suite.esp);
        self.gateway.load(&text)?;
        Ok(fs::write(self.person.path("config/ikeep/config.toml"), format!("{}{more}", self.plain))?)
    }

    fn log_in(&self, method: &str) -> Result<()> {
        let ike = if method == "EAP-TLS" { "EAP-AnyConnect" } else { method };
        let profile = fs::read_to_string(Person::profile())?.replace("EAP-AnyConnect", ike);
        let file = self.folder.path().join("profile.xml");
        fs::write(&file, profile)?;
        let kind = if method == "IKE-ECDSA" { P256 } else { RSA };
        let (certificate, key) = issue(self.folder.path(), "user", kind)?;
        let words = [&file, &self.pki.ca, &certificate, &key].map(|path| path.display().to_string());
        let [file, ca, certificate, key] = words.each_ref().map(String::as_str);
        let mut args = vec!["connect", "--profile", file, "--trust", ca];
        match method {
            "EAP-TLS" | "IKE-ECDSA" | "IKE-RSA" => {
                args.extend(["--certificate", certificate, "--key", key]);
            }
            _ => args.extend(["--user", eap::USER, "--password-stdin"]),
        }
        let connected = self.person.type_in(&args, &format!("{}\n", eap::PASSWORD))?;
        ensure!(connected.status.success(), "{}", said(&connected));
        Ok(())
    }

    fn fetch(&self) -> Result<()> {
        let proxy = self.person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
        let url = format!("http://{BEHIND_GATEWAY}/bytes/3000");
        let mut curl = self.net.client.command("curl");
        curl.args(["-sS", "--fail", "--max-time", "20", "--socks5-hostname", &proxy, &url]);
        let fetched = certificate::run(&mut curl)?;
        ensure!(fetched.len() == 3000, "{} octets", fetched.len());
        Ok(())
    }

    fn visit(&self, method: &str, suite: Suite) -> Result<()> {
        self.prepare(method, suite)?;
        self.log_in(method)?;
        self.fetch()?;
        let logged = |text: &str| self.gateway.log().matches(text).count();
        let (children, sas) = (logged("outbound CHILD_SA net"), logged(" rekeyed between "));
        self.gateway.rekey_child("net")?;
        self.gateway.wait_for_log("outbound CHILD_SA net", children + 1)?;
        self.gateway.rekey_ike("reconnect")?;
        self.gateway.wait_for_log(" rekeyed between ", sas + 1)?;
        self.fetch()?;
        if method == "EAP-GTC" {
            self.net.client.ip(&["addr", "del", "10.9.0.2/24", "dev", "eth0"])?;
            self.net.client.add_address("eth0", "10.9.0.3/24")?;
            until(&self.person, "the move", |status| {
                status["ike"]["local"].as_str().is_some_and(|at| at.starts_with("10.9.0.3:"))
                    && status["state"] == "connected"
            })?;
            self.fetch()?;
        }
        let bye = self.person.run(&["disconnect"])?;
        ensure!(bye.status.success(), "{}", said(&bye));
        Ok(())
    }

    fn told(&self) -> String {
        format!("strongSwan's log:\n{}\nour events:\n{}", self.gateway.log(), self.person.events())
    }
}

#[test]
fn tshark_decrypts_each_suite_and_method_with_strongswan() -> Result<()> {
    if !interop::enabled("tshark_decrypts_each_suite_and_method_with_strongswan") {
        return Ok(());
    }
    let world = World::new()?;
    let _server = WebServer::start(&world.net.gateway, SocketAddr::new(BEHIND_GATEWAY.parse()?, 80))?;
    let sniffer = Sniffer::start(&world.net, world.folder.path())?;
    for (method, suite, _) in CASES {
        world.visit(method, suite).with_context(|| format!("{method}, {suite:?}\n{}", world.told()))?;
    }
    let capture = sniffer.stop(&world.net)?;
    let keys = world.folder.path().join("wireshark");
    // strongSwan's user-space ESP has 32-bit sequence numbers, whose ICV Wireshark 4.0 can check.
    let preferences = "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n";
    fs::write(keys.join("preferences"), preferences)?;
    let judge = Judge { keys: &keys, capture: &capture };
    judge.finds_nothing_wrong()?;
    for (method, _, group) in CASES {
        let group = format!("isakmp.key_exchange.dh_group == {group}");
        judge.shows(&[(&group, 2)]).context(method)?;
    }
    judge.shows(&[
        ("eap.type == 26", 3),
        ("eap.type == 6", 2),
        ("eap.type == 4", 2),
        ("eap.type == 13", 4),
        ("isakmp.auth.method == 14", 10),
        ("isakmp.exchangetype == 36", 4 * CASES.len()),
        ("isakmp.notify.msgtype == 16393", CASES.len()),
        ("isakmp.notify.msgtype == 16396", 2 * CASES.len()),
        ("isakmp.notify.msgtype == 16400", 1),
        ("isakmp.notify.msgtype == 16435", 2),
        ("isakmp.notify.msgtype == 16436", 2),
        ("esp && http.request", 2 * (CASES.len() - 1) + 1),
        ("esp && http.response", 2 * (CASES.len() - 1) + 1),
    ])?;
    let notifies = judge.notifies()?;
    println!("notifies: {notifies:?}");
    // USE_PPK and PPK_IDENTITY (RFC 8784) have no names in Wireshark 4.0.
    let named =
        |name: &String| !name.contains("RESERVED") || name.contains("16435") || name.contains("16436");
    ensure!(notifies.iter().all(named), "a number that nobody knows: {notifies:?}");
    Ok(())
}
