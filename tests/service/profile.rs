//! What the profile says about networks and about the user's freedom.

use crate::stage::{Stage, with};
use anyhow::{Result, ensure};
use ikeep::ipc::{FailureKind, Reply, Request};

const POLICY: &str = "<AutomaticVPNPolicy>false</AutomaticVPNPolicy>";

fn policy(inner: &str) -> impl FnOnce(&str) -> String + use<> {
    let text = format!(
        "<AutomaticVPNPolicy>true<TrustedDNSDomains>corp.test</TrustedDNSDomains>\
         <TrustedDNSServers>10.1.*</TrustedDNSServers>{inner}</AutomaticVPNPolicy>"
    );
    move |seed| with(POLICY, &text)(seed)
}

const PAUSE: &str = "<TrustedNetworkPolicy>Pause</TrustedNetworkPolicy>";

async fn at_the_office(stage: &Stage) -> Result<()> {
    stage.networks_say("10.1.0.53", "corp.test").await
}

async fn at_home(stage: &Stage) -> Result<()> {
    stage.networks_say("192.0.2.53", "home").await
}

#[tokio::test]
async fn honours_trusted_network_policy() -> Result<()> {
    let stage = Stage::set(policy(PAUSE), "").await?;
    at_home(&stage).await?;
    stage.log_in().await?;
    at_the_office(&stage).await?;
    stage.until_state("suspended").await?;
    at_home(&stage).await?;
    let back = stage.until_state("connected").await?;
    ensure!(back["auth"] == "psk" && back["reconnects"] == 1, "{back}");
    // "Disconnect", the default, ends the session.
    let stage = Stage::set(policy(""), "").await?;
    at_home(&stage).await?;
    stage.log_in().await?;
    at_the_office(&stage).await?;
    let over = stage.until_state("disconnected").await?;
    ensure!(over["session_id"].is_null(), "{over}");
    ensure!(stage.events().contains("Termination reason code 109"), "{}", stage.events());
    Ok(())
}

#[tokio::test]
async fn honours_automatic_vpn_policy() -> Result<()> {
    // Switched off, the lists below it say nothing.
    let change =
        |seed: &str| policy(PAUSE)(seed).replace("<AutomaticVPNPolicy>true", "<AutomaticVPNPolicy>false");
    let stage = Stage::set(change, "").await?;
    at_home(&stage).await?;
    stage.log_in().await?;
    at_the_office(&stage).await?;
    // Signals are taken in order, before calls.
    ensure!(stage.status().await?["state"] == "connected");
    Ok(())
}

#[tokio::test]
async fn honours_untrusted_network_policy() -> Result<()> {
    for (text, state) in [
        ("", "auth-required"),
        ("<UntrustedNetworkPolicy>DoNothing</UntrustedNetworkPolicy>", "disconnected"),
    ] {
        let stage = Stage::set(policy(text), "").await?;
        at_home(&stage).await?;
        stage.log_in().await?;
        at_the_office(&stage).await?;
        stage.until_state("disconnected").await?;
        at_home(&stage).await?;
        let status = stage.status().await?;
        ensure!(status["state"] == state, "{text}: {status}");
    }
    Ok(())
}

#[tokio::test]
async fn a_person_who_asks_for_it_in_a_trusted_network_gets_it_and_an_agent_that_starts_there_waits()
-> Result<()> {
    let mut stage = Stage::set(policy(PAUSE), "").await?;
    at_the_office(&stage).await?;
    stage.log_in().await?;
    ensure!(stage.status().await?["state"] == "connected");
    stage.start().await;
    at_the_office(&stage).await?;
    stage.until_state("suspended").await?;
    at_home(&stage).await?;
    stage.until_state("connected").await?;
    at_the_office(&stage).await?;
    stage.until_state("suspended").await?;
    stage.log_in().await?;
    ensure!(stage.status().await?["auth"] == "psk", "by token, without a question");
    Ok(())
}

#[tokio::test]
async fn honours_allow_vpn_disconnect() -> Result<()> {
    const ALWAYS: &str = "<AlwaysOn>true<AllowVPNDisconnect>false</AllowVPNDisconnect></AlwaysOn>";
    let stage = Stage::set(policy(ALWAYS), "").await?;
    at_home(&stage).await?;
    stage.log_in().await?;
    match stage.last(Request::Disconnect).await? {
        Reply::Failed(failure) => ensure!(failure.kind == FailureKind::Profile, "{failure:?}"),
        other => anyhow::bail!("{other:?}"),
    }
    ensure!(stage.status().await?["state"] == "connected");
    let stage = Stage::set(policy(&ALWAYS.replace("false", "true")), "").await?;
    stage.log_in().await?;
    ensure!(stage.last(Request::Disconnect).await? == Reply::Done);
    Ok(())
}

#[tokio::test]
async fn honours_auto_connect_on_start() -> Result<()> {
    const OFF: &str = "<AutoConnectOnStart UserControllable=\"true\">false";
    let on = with(OFF, "<AutoConnectOnStart UserControllable=\"true\">true");
    for (change, config, state) in [
        (Box::new(str::to_owned) as Box<dyn FnOnce(&str) -> String>, "", "disconnected"),
        (Box::new(on), "", "auth-required"),
        (Box::new(str::to_owned), "[preferences]\nauto_connect_on_start = true\n", "auth-required"),
    ] {
        let mut stage = Stage::set(change, config).await?;
        stage.log_in().await?;
        ensure!(stage.last(Request::Disconnect).await? == Reply::Done);
        stage.start().await;
        let status = stage.status().await?;
        ensure!(status["state"] == state, "{config:?}: {status}");
    }
    Ok(())
}

/// The user's wish counts where the profile leaves it to the user, and nowhere else.
#[tokio::test]
async fn preferences_count_where_the_profile_leaves_them_to_the_user() -> Result<()> {
    const FIXED: &str = "<AutoReconnectBehavior UserControllable=\"false\">";
    const WISH: &str = "[preferences]\nauto_reconnect_behavior = \"DisconnectOnSuspend\"\n";
    let free = with(FIXED, "<AutoReconnectBehavior UserControllable=\"true\">");
    for (change, state) in [
        (Box::new(str::to_owned) as Box<dyn FnOnce(&str) -> String>, "suspended"),
        (Box::new(free), "disconnected"),
    ] {
        let stage = Stage::set(change, WISH).await?;
        stage.log_in().await?;
        stage.say(ikeep::sense::Signal::Suspend(ikeep::sense::Hold::none())).await?;
        stage.until_state(state).await?;
    }
    Ok(())
}
