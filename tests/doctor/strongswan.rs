//! The way to a gateway that we did not write, in network namespaces.

use crate::HOST;
use crate::interop::agent::TOKEN;
use crate::interop::{Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Pair, Pki, Suite, enabled};
use crate::person::Person;
use crate::world::Visit;
use anyhow::{Result, ensure};
use tempfile::TempDir;

/// strongSwan knows no EAP-AnyConnect; another method of EAP makes it prove itself in the same place.
fn config() -> String {
    let text = GatewayConfig::new(Suite::SEED, TOKEN).render();
    let from = text.find("    remote {").unwrap_or_default();
    let to = text[from..].find("    children {").map_or(from, |at| from + at);
    let eap = "    remote {\n      auth = eap-md5\n      id = %any\n      eap_id = %any\n    }\n";
    format!("{}{eap}{}", &text[..from], &text[to..])
}

#[test]
fn strongswan_is_walked_to_its_proof_and_its_faults_are_told() -> Result<()> {
    if !enabled("strongswan_is_walked_to_its_proof_and_its_faults_are_told") {
        return Ok(());
    }
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    let gateway = Charon::start(&net.gateway, CharonOptions::default(), &pki, true, &config())?;
    let prefix = ["ip", "netns", "exec", net.client.name()].map(str::to_owned).to_vec();
    let person = Person::within(prefix, ("10.9.0.1:500".parse()?, "10.9.0.1:4500".parse()?))?;
    let ca = pki.ca.display().to_string();

    let visit = Visit::by(&person, HOST, &ca)?;
    ensure!(visit.code == Some(0), "{visit:#?}\n{}", gateway.log());
    ensure!(visit.found("fragments").contains("RFC 7383"), "{visit:#?}");
    ensure!(visit.found("fragments").starts_with("a message of 2"), "{visit:#?}");
    // What it has half open it forgets by itself.
    ensure!(!gateway.list_sas()?.contains("ESTABLISHED"), "{}", gateway.list_sas()?);

    // A gateway that wants the session's token knows nothing of a login.
    gateway.load(&GatewayConfig::new(Suite::SEED, TOKEN).render())?;
    let visit = Visit::by(&person, HOST, &ca)?;
    visit.stopped("certificate", 3, &["refuses the login's first message", "anyconnect-eap aggregate"])?;

    // Nobody has the address.
    person.configure(("10.9.0.77:500".parse()?, "10.9.0.77:4500".parse()?), "")?;
    Visit::by(&person, HOST, &ca)?.stopped("UDP 500", 4, &["10.9.0.77"])?;
    // There is no way.
    person.configure(("192.0.2.1:500".parse()?, "192.0.2.1:4500".parse()?), "")?;
    Visit::by(&person, HOST, &ca)?.stopped("route", 4, &["unreachable", "nmcli"])
}
