//! Logins with the methods of the standards, the real program against strongSwan: what the profile names is done, nothing else.

use crate::interop::agent::until;
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Pair, Pki, Suite, WebServer,
};
use crate::person::{Person, said};
use anyhow::{Context, Result, ensure};
use ikeep::lab::inside::pattern;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

pub(crate) const USER: &str = "CORP\\anna";
pub(crate) const PASSWORD: &str = "Sésame, ouvre-toi";

/// Without PAM, which would ask for accounts of this machine: EAP-GTC takes the password of the configuration.
pub(crate) const GTC: &str = "plugins {\n    eap-gtc {\n      backend = generic\n    }\n  }";

/// A gateway that wants a login with `method`, from a user of any identity.
pub(crate) fn config(method: &str, identity: bool) -> String {
    let text = GatewayConfig::new(Suite::SEED, b"no token serves here").render();
    let from = text.find("    remote {").unwrap_or_default();
    let to = text[from..].find("    children {").map_or(from, |at| from + at);
    let eap_id = if identity { "      eap_id = %any\n" } else { "" };
    let eap = format!("    remote {{\n      auth = {method}\n      id = %any\n{eap_id}    }}\n");
    let hex: String = PASSWORD.bytes().map(|octet| format!("{octet:02x}")).collect();
    let users = ["CORP\\\\anna", "anna"].iter().enumerate();
    let secrets: String = users
        .map(|(n, id)| format!("  eap-{n} {{\n    id = \"{id}\"\n    secret = 0x{hex}\n  }}\n"))
        .collect();
    format!("{}{eap}{}secrets {{\n{secrets}}}\n", &text[..from], &text[to..])
}

struct World {
    folder: TempDir,
    pki: Pki,
    net: Pair,
    gateway: Charon,
    person: Person,
}

impl World {
    fn new(method: &str, identity: bool) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-pki-")?;
        let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
        let net = Pair::new()?;
        let options = CharonOptions { plugins: "xauth-generic", more: GTC, ..CharonOptions::default() };
        let gateway = Charon::start(&net.gateway, options, &pki, true, &config(method, identity))?;
        let at: SocketAddr = "10.9.0.1:4500".parse()?;
        let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
        let person = Person::within(prefix, (SocketAddr::new(at.ip(), 500), at))?;
        Ok(Self { folder, pki, net, gateway, person })
    }

    /// `ikeep connect` with a profile that names `method`; `typed`: a line for each secret that is asked for.
    fn log_in(&self, method: &str, ca: &Path, typed: &str) -> Result<Output> {
        let profile = fs::read_to_string(Person::profile())?.replace("EAP-AnyConnect", method);
        let file = self.folder.path().join("profile.xml");
        fs::write(&file, profile)?;
        let (file, ca) = (file.display().to_string(), ca.display().to_string());
        let args = ["connect", "--profile", &file, "--trust", &ca, "--user", USER, "--password-stdin"];
        self.person.type_in(&args, typed)
    }

    fn told(&self) -> String {
        format!("strongSwan's log:\n{}\nour events:\n{}", self.gateway.log(), self.person.events())
    }

    /// So often strongSwan's log has this.
    fn logged(&self, text: &str) -> usize {
        self.gateway.log().matches(text).count()
    }

    /// Octets come through the tunnel as they are.
    fn fetch(&self) -> Result<()> {
        let _server = WebServer::start(&self.net.gateway, SocketAddr::new(BEHIND_GATEWAY.parse()?, 80))?;
        let proxy = self.person.status()?["proxy"].as_str().context("a proxy")?.to_owned();
        let url = format!("http://{BEHIND_GATEWAY}/bytes/70000");
        let mut curl = self.net.client.command("curl");
        let fetched = curl
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--max-time",
                "20",
                "--socks5-hostname",
                &proxy,
                &url,
            ])
            .output()?;
        ensure!(fetched.status.success(), "curl: {}", String::from_utf8_lossy(&fetched.stderr));
        let wrong = pattern::first_wrong(0, &fetched.stdout);
        ensure!(fetched.stdout.len() == 70_000 && wrong.is_none(), "wrong from {wrong:?} on");
        Ok(())
    }
}

#[test]
fn every_method_logs_in() -> Result<()> {
    if !interop::enabled("every_method_logs_in") {
        return Ok(());
    }
    // Without EAP-Identity the name goes along with MS-CHAPv2's response.
    for (method, identity) in
        [("EAP-MSCHAPv2", true), ("EAP-MSCHAPv2", false), ("EAP-GTC", true), ("EAP-MD5", true)]
    {
        let world = World::new(&method.to_lowercase(), identity)?;
        login(&world, method).with_context(|| format!("{method} {identity}\n{}", world.told()))?;
    }
    Ok(())
}

fn login(world: &World, method: &str) -> Result<()> {
    let ca = world.pki.ca.clone();
    let connected = world.log_in(method, &ca, &format!("{PASSWORD}\n"))?;
    ensure!(connected.status.success(), "{}", said(&connected));
    let status = world.person.status()?;
    ensure!(status["auth"] == method.to_lowercase().as_str(), "{status:#}");
    ensure!(status["address4"] == "192.168.20.5" && status["session_id"].is_null(), "{status:#}");
    ensure!(world.person.sessions().is_empty(), "nothing to come back with: {:?}", world.person.sessions());
    ensure!(world.logged("EAP/SUCC") == 1, "one login");
    // MS-CHAPv2 makes a key, and AUTH is made with it; the others have none.
    ensure!((world.logged("no MSK established") == 0) == (method == "EAP-MSCHAPv2"));
    world.fetch()?;
    let events = world.person.events();
    ensure!(events.contains("guess") == (method == "EAP-MD5"), "the warning of EAP-MD5");
    ensure!(!events.contains(PASSWORD), "no password in a log");

    // Another address: the SA moves with us (MOBIKE), nobody is asked.
    world.net.client.ip(&["addr", "del", "10.9.0.2/24", "dev", "eth0"])?;
    world.net.client.add_address("eth0", "10.9.0.3/24")?;
    until(&world.person, "the move", |status| {
        status["ike"]["local"].as_str().is_some_and(|at| at.starts_with("10.9.0.3:"))
            && status["state"] == "connected"
    })?;
    world.fetch()?;
    // The gateway ends it: without a token only a person can go on, and the password is not tried by itself.
    world.gateway.terminate("reconnect")?;
    until(&world.person, "the end", |status| status["state"] == "auth-required")?;
    ensure!(world.logged("EAP/SUCC") == 1 && world.logged("parsed IKE_SA_INIT request") == 1, "by itself");
    Ok(())
}

#[test]
fn a_wrong_password_ends_with_code_3_and_is_never_tried_again() -> Result<()> {
    if !interop::enabled("a_wrong_password_ends_with_code_3_and_is_never_tried_again") {
        return Ok(());
    }
    for method in ["EAP-MSCHAPv2", "EAP-GTC", "EAP-MD5"] {
        let world = World::new(&method.to_lowercase(), true)?;
        let story = || -> Result<()> {
            let refused = world.log_in(method, &world.pki.ca, "wrong\n")?;
            ensure!(refused.status.code() == Some(3), "{}", said(&refused));
            ensure!(world.person.status()?["state"] != "connected");
            // A second line is a second password: MS-CHAPv2 asks inside the same login, the others in another one.
            let logins = world.logged("parsed IKE_SA_INIT request");
            let mended = world.log_in(method, &world.pki.ca, &format!("wrong\n{PASSWORD}\n"))?;
            ensure!(mended.status.success(), "{}", said(&mended));
            let more = world.logged("parsed IKE_SA_INIT request") - logins;
            ensure!(more == if method == "EAP-MSCHAPv2" { 1 } else { 2 }, "{more} logins");
            world.fetch()
        };
        story().with_context(|| format!("{method}\n{}", world.told()))?;
    }
    Ok(())
}

/// The identity is that of the config file: strongSwan takes nobody else.
#[test]
fn identities_of_each_kind() -> Result<()> {
    if !interop::enabled("identities_of_each_kind") {
        return Ok(());
    }
    let world = World::new("eap-mschapv2", true)?;
    let story = || -> Result<()> {
        let file = world.person.path("config/ikeep/config.toml");
        let plain = fs::read_to_string(&file)?;
        for (ours, theirs) in [
            ("key-id:staff", "\"@#7374616666\""),
            ("staff.example.com", "staff.example.com"),
            ("staff@example.com", "staff@example.com"),
            ("10.9.0.2", "10.9.0.2"),
            ("dn:C=DE, O=Example GmbH, CN=Anna", "\"C=DE, O=Example GmbH, CN=Anna\""),
        ] {
            world.gateway.load(
                &config("eap-mschapv2", true)
                    .replace("      id = %any\n      eap_id", &format!("      id = {theirs}\n      eap_id")),
            )?;
            fs::write(&file, format!("{plain}identity = \"someone.else.example.com\"\n"))?;
            let refused = world.log_in("EAP-MSCHAPv2", &world.pki.ca, &format!("{PASSWORD}\n"))?;
            ensure!(refused.status.code() == Some(3), "{}", said(&refused));
            fs::write(&file, format!("{plain}identity = \"{ours}\"\n"))?;
            let connected = world.log_in("EAP-MSCHAPv2", &world.pki.ca, &format!("{PASSWORD}\n"))?;
            ensure!(connected.status.success(), "{ours}: {}", said(&connected));
            let bye = world.person.run(&["disconnect"])?;
            ensure!(bye.status.success(), "{}", said(&bye));
        }
        Ok(())
    };
    story().with_context(|| world.told())
}

#[test]
fn only_the_profiles_method_and_only_for_a_proved_gateway() -> Result<()> {
    if !interop::enabled("only_the_profiles_method_and_only_for_a_proved_gateway") {
        return Ok(());
    }
    let world = World::new("eap-md5", true)?;
    let story = || -> Result<()> {
        for method in ["EAP-MSCHAPv2", "EAP-GTC"] {
            let refused = world.log_in(method, &world.pki.ca, &format!("{PASSWORD}\n"))?;
            ensure!(refused.status.code() == Some(3), "{}", said(&refused));
            let text = said(&refused);
            ensure!(text.contains("EAP-MD5") && text.contains(method), "{text}");
        }
        ensure!(world.logged("EAP/RES/MD5") == 0, "the weaker method was done");
        // Somebody else's certificate: not one EAP packet leaves, whatever the method.
        let before = world.logged("EAP/RES/");
        let elsewhere = TempDir::with_prefix("ikeep-pki-")?;
        let other = Pki::create(elsewhere.path(), GATEWAY_NAME)?;
        for method in ["EAP-MSCHAPv2", "EAP-GTC", "EAP-MD5"] {
            let distrusted = world.log_in(method, &other.ca, &format!("{PASSWORD}\n"))?;
            ensure!(distrusted.status.code() == Some(5), "{}", said(&distrusted));
        }
        ensure!(world.logged("EAP/RES/") == before, "something was said to a stranger");
        Ok(())
    };
    story().with_context(|| world.told())
}
