//! Backup servers: a login moves on where the host gives no answer at all, and for no other reason.

use crate::person::Company;
use crate::stage::{HERE4, Stage, with};
use anyhow::{Result, bail, ensure};
use ikeep::ipc::{Failure, FailureKind, Reply, Request};
use std::net::UdpSocket;

const HOST: &str = "flexvpn-c8kv.example.com";
const BACKUP: &str = "backup.example.com";
const OTHER: &str = "other.example.com";
const TRIED: &str = "gives no answer: its backup server";

/// A server list with these names.
fn list(names: &[&str]) -> String {
    let entries: String = names.iter().map(|name| format!("<HostAddress>{name}</HostAddress>")).collect();
    format!("<BackupServerList>{entries}</BackupServerList>")
}

/// The seed's profile with a list of the host's own, or one for every host.
fn profile(own: bool, names: &[&str]) -> impl FnOnce(&str) -> String {
    let list = list(names);
    move |seed| match own {
        true => with("</HostAddress>", &format!("</HostAddress>{list}"))(seed),
        false => with("</ClientInitialization>", &format!("{list}</ClientInitialization>"))(seed),
    }
}

/// A gateway with this name.
fn company(name: &str) -> Result<Company> {
    Company::open(&["--listen", "127.0.0.1", "--name", name])
}

/// The gateways `live` are `company`, at all others nobody is there. The socket keeps their port free of anybody.
fn gateways(company: &Company, live: &[&str]) -> Result<(String, UdpSocket)> {
    let nobody = UdpSocket::bind("127.0.0.1:0")?;
    let port = nobody.local_addr()?.port();
    let entry = |name: &&str| {
        let (ike, nat) = match live.contains(name) {
            true => (company.ports.0.port(), company.ports.1.port()),
            false => (port, port),
        };
        format!("[gateway.\"{name}\"]\naddress = \"127.0.0.1\"\nport = {ike}\nnat_port = {nat}\n")
    };
    Ok(([HOST, BACKUP, OTHER].iter().map(entry).collect(), nobody))
}

async fn refused(stage: &Stage) -> Result<Failure> {
    match stage.connect().await? {
        Reply::Failed(failure) => Ok(failure),
        other => bail!("{other:?}"),
    }
}

#[tokio::test]
async fn honours_backup_server_list() -> Result<()> {
    for own in [true, false] {
        let company = company(BACKUP)?;
        let (lines, _nobody) = gateways(&company, &[BACKUP])?;
        let mut stage = Stage::before(company, &lines, profile(own, &[OTHER, BACKUP]), "").await?;
        stage.log_in().await?;
        let status = stage.status().await?;
        ensure!(status["host"] == BACKUP && status["auth"] == "anyconnect-eap", "{status}");
        let events = stage.events();
        for line in [format!("IKEv2_Gateway {TRIED} {OTHER}"), format!("{OTHER} {TRIED} {BACKUP}")] {
            ensure!(events.contains(&line), "{line}: {events}");
        }
        // The session is the backup's: an agent that starts again takes it up there, by token.
        stage.start().await;
        let status = stage.until_state("connected").await?;
        ensure!(status["host"] == BACKUP && status["auth"] == "psk", "{status}");
        // The next login begins with the host again.
        ensure!(stage.last(Request::Disconnect).await? == Reply::Done);
        stage.log_in().await?;
        let again = stage.events().matches(TRIED).count();
        ensure!(again == 4, "{again} times: {}", stage.events());
    }
    Ok(())
}

/// What a gateway has named in one session counts in the next, also after the agent has started anew.
#[tokio::test]
async fn a_gateway_names_its_backup_servers() -> Result<()> {
    let company = Company::open(&["--listen", "127.0.0.1", "--name", HOST, "--backup", OTHER])?;
    let (lines, _nobody) = gateways(&company, &[HOST])?;
    let mut stage = Stage::before(company, &lines, str::to_owned, "").await?;
    stage.log_in().await?;
    ensure!(stage.last(Request::Disconnect).await? == Reply::Done);
    stage.company.freeze(true)?;
    stage.start().await;
    let failure = refused(&stage).await?;
    stage.company.freeze(false)?;
    ensure!(failure.message.contains(&format!("backup servers ({OTHER})")), "{failure:?}");
    Ok(())
}

#[tokio::test]
async fn where_nobody_answers_everybody_is_named() -> Result<()> {
    let company = company(BACKUP)?;
    let (lines, _nobody) = gateways(&company, &[])?;
    let stage = Stage::before(company, &lines, profile(true, &[BACKUP, OTHER]), "").await?;
    let failure = refused(&stage).await?;
    ensure!(failure.kind == FailureKind::NoAnswer, "{failure:?}");
    for name in ["IKEv2_Gateway", BACKUP, OTHER] {
        ensure!(failure.message.contains(name), "{failure:?}");
    }
    ensure!(stage.status().await?["state"] == "disconnected");
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_cannot_prove_its_name_has_answered() -> Result<()> {
    let company = company(BACKUP)?;
    let (lines, _nobody) = gateways(&company, &[HOST, BACKUP])?;
    let stage = Stage::before(company, &lines, profile(true, &[BACKUP]), "").await?;
    let failure = refused(&stage).await?;
    ensure!(failure.kind == FailureKind::Certificate, "{failure:?}");
    ensure!(!stage.events().contains(TRIED), "{}", stage.events());
    // Nor is a backup server believed under the host's name.
    let company = self::company(HOST)?;
    let (lines, _nobody) = gateways(&company, &[BACKUP])?;
    let stage = Stage::before(company, &lines, profile(true, &[BACKUP]), "").await?;
    let failure = refused(&stage).await?;
    ensure!(failure.kind == FailureKind::Certificate, "{failure:?}");
    Ok(())
}

#[tokio::test]
async fn no_network_is_no_reason_to_move_on() -> Result<()> {
    let company = company(HOST)?;
    let (lines, _nobody) = gateways(&company, &[HOST])?;
    let stage = Stage::before(company, &lines, profile(true, &[BACKUP]), "").await?;
    stage.networks_carry(&[]);
    let back = async {
        // Longer than a silent gateway is waited for.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        stage.networks_carry(&[HERE4]);
    };
    let (login, ()) = tokio::join!(stage.log_in(), back);
    login?;
    ensure!(stage.status().await?["host"] == "IKEv2_Gateway");
    ensure!(!stage.events().contains(TRIED), "{}", stage.events());
    Ok(())
}
