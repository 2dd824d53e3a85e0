//! PPKs (RFC 8784) with strongSwan as the gateway: logins of each kind and reconnects, matching, missing and wrong keys.

use crate::interop::agent::TOKEN;
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Ours, Pair, Pki, Suite,
};
use crate::person::{Person, said};
use anyhow::{Context, Result, ensure};
use ikeep::client::{Event, Order};
use ikeep::crypto::Secret;
use ikeep::ike::initiator::Failure;
use ikeep::ike::ppk::Ppk;
use ikeep::reconnect::State;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const ID: &str = "office";
pub(crate) const KEY: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "0xff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// What strongSwan has: nothing, or the name of the PPK that its connection wants, and name and key of the PPK that it knows; and
/// whether it insists on one.
pub(crate) type Theirs = (Option<(&'static str, &'static str, &'static str)>, bool);

/// `config` with this PPK.
pub(crate) fn with_ppk(config: &str, (ppk, required): Theirs) -> String {
    let required = if required { "    ppk_required = yes\n" } else { "" };
    let (line, secret) = match ppk {
        Some((wanted, id, key)) => (
            format!("    ppk_id = {wanted}\n"),
            format!("secrets {{\n  ppk-1 {{\n    id = {id}\n    secret = {key}\n  }}\n}}\n"),
        ),
        None => (String::new(), String::new()),
    };
    let anchor = "    fragmentation = yes\n";
    config.replace(anchor, &format!("{anchor}{line}{required}")) + &secret
}

fn ours(key: &str, required: bool) -> Option<Ppk> {
    Ppk::new(ID, &Secret::from(key.as_bytes()), required).ok()
}

/// What comes of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// A tunnel, its keys with the PPK.
    Mixed,
    /// A tunnel without it.
    Plain,
    /// We do not go on without it.
    WeRefuse,
    /// The gateway refuses.
    TheyRefuse,
}

#[test]
fn a_reconnect_by_token_with_every_pair_of_ppks() -> Result<()> {
    if !interop::enabled("a_reconnect_by_token_with_every_pair_of_ppks") {
        return Ok(());
    }
    let table: [(Theirs, Option<Ppk>, End); 10] = [
        ((Some((ID, ID, KEY)), true), ours(KEY, true), End::Mixed),
        ((Some((ID, ID, KEY)), false), ours(KEY, false), End::Mixed),
        ((None, false), ours(KEY, false), End::Plain),
        ((None, false), ours(KEY, true), End::WeRefuse),
        ((Some((ID, ID, KEY)), false), None, End::Plain),
        ((Some((ID, ID, KEY)), true), None, End::TheyRefuse),
        // It wants ours and does not have it: NO_PPK_AUTH serves. It wants another: it never looks at that.
        ((Some((ID, "home", OTHER)), false), ours(KEY, false), End::Plain),
        ((Some(("home", "home", OTHER)), false), ours(KEY, false), End::TheyRefuse),
        ((Some((ID, ID, OTHER)), false), ours(KEY, false), End::TheyRefuse),
        ((Some((ID, ID, OTHER)), true), ours(KEY, true), End::TheyRefuse),
    ];
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    for (case, (theirs, ppk, end)) in table.into_iter().enumerate() {
        let net = Pair::new()?;
        let config = GatewayConfig { mobike: false, ..GatewayConfig::new(Suite::SEED, TOKEN) }.render();
        let config = with_ppk(&config, theirs);
        let gateway = Arc::new(Charon::start(&net.gateway, CharonOptions::default(), &pki, true, &config)?);
        net.client.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let story = reconnect(&pki, &gateway, ppk, end).await;
                story.with_context(|| format!("case {case}, {end:?}; strongSwan's log:\n{}", gateway.log()))
            })
        })??;
    }
    Ok(())
}

async fn reconnect(pki: &Pki, gateway: &Arc<Charon>, ppk: Option<Ppk>, end: End) -> Result<()> {
    let mut ours = Ours::start(pki, TOKEN, 19, |settings| {
        settings.ppk = ppk;
        settings.child_lifetime = Duration::from_secs(3);
        settings.ike_lifetime = Duration::from_secs(5);
        settings.dialect.delete_ends_session = false;
    })?;
    ours.path("10.9.0.2").await?;
    ours.order(Order::Connect).await?;
    match end {
        End::Mixed | End::Plain => {
            ours.wait("connection", |e| matches!(e, Event::State(State::Connected))).await?;
            ours.ping(BEHIND_GATEWAY).await?;
            let told = gateway.log().contains("using PPK for PPK_ID");
            ensure!(told == (end == End::Mixed), "what strongSwan says of it");
            if end == End::Mixed {
                // The keys of the rekeyed SAs come from SK_d with the PPK in it.
                ours.wait("our rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
                ours.ping(BEHIND_GATEWAY).await?;
                ours.wait("our rekey of the IKE SA", |e| matches!(e, Event::IkeRekeyed)).await?;
                ours.ping(BEHIND_GATEWAY).await?;
                let charon = Arc::clone(gateway);
                tokio::task::spawn_blocking(move || charon.rekey_child("net")).await??;
                ours.wait("its rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
                ours.ping(BEHIND_GATEWAY).await?;
            }
            ours.order(Order::Disconnect).await?;
            ours.wait("end", |e| matches!(e, Event::State(State::Disconnected { .. }))).await
        }
        End::WeRefuse => {
            ours.wait("our refusal", |e| matches!(e, Event::Failed(Failure::Ppk(_)))).await?;
            ensure!(!gateway.log().contains("parsed IKE_AUTH request"), "nothing was said before");
            Ok(())
        }
        End::TheyRefuse => {
            ours.wait("its refusal", |e| matches!(e, Event::Failed(Failure::Refused { .. }))).await
        }
    }
}

/// The real program with keys in its config file: EAP with a key of its own (MS-CHAPv2) and without, then a certificate.
#[test]
fn logins_of_each_kind_with_a_ppk() -> Result<()> {
    if !interop::enabled("logins_of_each_kind_with_a_ppk") {
        return Ok(());
    }
    for method in ["EAP-MSCHAPv2", "EAP-GTC"] {
        let config = crate::eap::config(&method.to_lowercase(), true);
        let world = World::new(&config)?;
        let login = || {
            let typed = format!("{}\n", crate::eap::PASSWORD);
            let more = ["--user", crate::eap::USER, "--password-stdin"];
            world.log_in(method, &more, &typed)
        };
        world.story(login, &config).with_context(|| format!("{method}\n{}", world.told()))?;
    }
    let config = crate::certificate::config("%any");
    let world = World::new(&config)?;
    let (certificate, key) = crate::certificate::issue(world.folder.path(), "rsa", crate::certificate::RSA)?;
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let login = || world.log_in("IKE-RSA", &["--certificate", &certificate, "--key", &key], "");
    world.story(login, &config).with_context(|| format!("a certificate\n{}", world.told()))
}

struct World {
    folder: TempDir,
    pki: Pki,
    _net: Pair,
    gateway: Charon,
    person: Person,
}

impl World {
    fn new(config: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-pki-")?;
        let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
        let net = Pair::new()?;
        let options =
            CharonOptions { plugins: "xauth-generic", more: crate::eap::GTC, ..CharonOptions::default() };
        let gateway = Charon::start(&net.gateway, options, &pki, true, config)?;
        let at: SocketAddr = "10.9.0.1:4500".parse()?;
        let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
        let person = Person::within(prefix, (SocketAddr::new(at.ip(), 500), at))?;
        Ok(Self { folder, pki, _net: net, gateway, person })
    }

    fn log_in(&self, method: &str, more: &[&str], typed: &str) -> Result<std::process::Output> {
        let profile = fs::read_to_string(Person::profile())?.replace("EAP-AnyConnect", method);
        let file = self.folder.path().join("profile.xml");
        fs::write(&file, profile)?;
        let (file, ca) = (file.display().to_string(), self.pki.ca.display().to_string());
        self.person.type_in(&[&["connect", "--profile", &file, "--trust", &ca], more].concat(), typed)
    }

    /// Our config file's PPK, and what else stands there of it.
    fn configure(&self, plain: &str, key: &str, mode: u32, more: &str) -> Result<()> {
        let file = self.person.path("config/ikeep/office.ppk");
        fs::write(&file, format!("{key}\n"))?;
        fs::set_permissions(&file, Permissions::from_mode(mode))?;
        let lines = format!("{plain}ppk_id = \"{ID}\"\nppk_file = \"office.ppk\"\n{more}");
        Ok(fs::write(self.person.path("config/ikeep/config.toml"), lines)?)
    }

    fn story(&self, login: impl Fn() -> Result<std::process::Output>, config: &str) -> Result<()> {
        let plain = fs::read_to_string(self.person.path("config/ikeep/config.toml"))?;
        let ppk_in_use = |expected: bool| -> Result<()> {
            let connected = login()?;
            ensure!(connected.status.success(), "{}", said(&connected));
            let status = self.person.status()?;
            ensure!(status["ike"]["ppk"] == expected, "{status:#}");
            let bye = self.person.run(&["disconnect"])?;
            ensure!(bye.status.success(), "{}", said(&bye));
            Ok(())
        };
        let refused = |words: &str| -> Result<()> {
            let refused = login()?;
            let text = said(&refused);
            ensure!(!refused.status.success() && text.contains(words), "{text}");
            Ok(())
        };
        const REQUIRED: &str = "ppk_required = true\n";
        self.gateway.load(&with_ppk(config, (Some((ID, ID, KEY)), true)))?;
        self.configure(&plain, KEY, 0o600, REQUIRED)?;
        ppk_in_use(true)?;
        // The names of the same PPK, but not the same PPK.
        self.configure(&plain, OTHER, 0o600, REQUIRED)?;
        refused("PPK")?;
        self.configure(&plain, KEY, 0o644, REQUIRED)?;
        refused("chmod 600")?;
        // It has none: without where we may, and not where we may not.
        self.gateway.load(config)?;
        self.configure(&plain, KEY, 0o600, "")?;
        ppk_in_use(false)?;
        self.configure(&plain, KEY, 0o600, REQUIRED)?;
        refused("ppk_required")?;
        // It knows the name, and no key for it.
        self.gateway.load(&with_ppk(config, (Some((ID, "home", OTHER)), false)))?;
        refused("PPK")?;
        self.configure(&plain, KEY, 0o600, "")?;
        ppk_in_use(false)
    }

    fn told(&self) -> String {
        format!("strongSwan's log:\n{}\nour events:\n{}", self.gateway.log(), self.person.events())
    }
}
