//! `ikeep gateway learn` at a gateway that we did not write: attributes that it hands out, and a token that it honours.

use crate::interop::agent::TOKEN;
use crate::interop::{
    self, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Pair, Pki, SESSION_ID, Suite,
};
use crate::person::{Person, said};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use tempfile::TempDir;

/// Hands out a session, a number that means nothing here, and a banner.
const ATTRIBUTES: &str = "plugins {\n    attr {\n      28731 = rIUHKccDRiUtFTATwq\n      28733 = Q2hhbmdlLW1lLW5vdC1hLXJlYWwtdG9rZW4x\n      28700 = 10.11.12.13\n      28672 = Authorized users only\n    }\n  }";

/// Two connections: a login with MS-CHAPv2, and the session's reconnect.
fn config() -> Result<String> {
    let reconnect = GatewayConfig::new(Suite::SEED, TOKEN).render();
    let from = reconnect.find("  reconnect {").context("a connection")?;
    let to = reconnect.find("\n}\npools").context("its end")?;
    let login = reconnect[from..to].replace("  reconnect {", "  login {");
    let remote = login.find("    remote {").context("its remote side")?;
    let children = login.find("    children {").context("its children")?;
    let eap = "    remote {\n      auth = eap-mschapv2\n      id = %any\n      eap_id = %any\n    }\n";
    let login = format!("{}{eap}{}", &login[..remote], &login[children..]);
    let secret = "secrets {\n  eap-anna {\n    id = anna\n    secret = \"open sesame\"\n  }\n}\n";
    Ok(format!("{}\n{login}{}{secret}", &reconnect[..to], &reconnect[to..]))
}

#[test]
fn strongswans_attributes_are_learnt_and_proved() -> Result<()> {
    if !interop::enabled("strongswans_attributes_are_learnt_and_proved") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    let options = CharonOptions { more: ATTRIBUTES, ..CharonOptions::default() };
    let gateway = Charon::start(&net.gateway, options, &pki, true, &config()?)?;
    let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
    let person = Person::within(prefix, ("10.9.0.1:500".parse()?, "10.9.0.1:4500".parse()?))?;
    let profile = fs::read_to_string(Person::profile())?.replace("EAP-AnyConnect", "EAP-MSCHAPv2");
    let file = folder.path().join("profile.xml");
    fs::write(&file, profile)?;
    let (file, ca) = (file.display().to_string(), pki.ca.display().to_string());
    let args = ["gateway", "learn", "IKEv2_Gateway", "--profile", &file, "--trust", &ca, "--user", "anna"];
    let learnt = person.type_in(&[&args[..], &["--password-stdin"]].concat(), "open sesame\n")?;
    let told = || format!("{}\n{}", said(&learnt), gateway.log());
    ensure!(learnt.status.success(), "{}", told());
    let report = String::from_utf8_lossy(&learnt.stdout);
    ensure!(report.contains("proved: 28731 is the ID, 28733 the token"), "{}", told());
    ensure!(report.contains("EAP-MSCHAPv2"), "{}", told());
    for given_away in
        [SESSION_ID, "Q2hh", "anna", "sesame", "10.11.12.13", "10.9.0.", GATEWAY_NAME, "Authorized"]
    {
        ensure!(!report.contains(given_away), "{given_away:?} is in {report}");
    }
    // Nothing of it is left at the gateway.
    ensure!(!gateway.list_sas()?.contains("ESTABLISHED"), "{}", gateway.list_sas()?);
    println!("{report}");
    Ok(())
}
