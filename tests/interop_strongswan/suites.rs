//! Every cipher, PRF and group that we offer, against strongSwan taking that one alone; and its end of an authentication.

use crate::interop::agent::TOKEN;
use crate::interop::{
    self, BEHIND_GATEWAY, Charon, CharonOptions, GATEWAY_NAME, GatewayConfig, Ours, Pair, Pki, Suite,
};
use anyhow::{Context, Result, ensure};
use ikeep::client::{Event, Order};
use ikeep::reconnect::State;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// What strongSwan takes, what it calls that in its log (IKE SA; Child SA when rekeyed), and the group that we begin with: one
/// that it does not take costs a round trip.
const CASES: [(Suite, &str, &str, u16); 8] = [
    (
        Suite { ike: "aes256-sha512-prfsha512-modp2048", esp: "aes256-sha384-modp2048" },
        "IKE:AES_CBC_256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_2048",
        "ESP:AES_CBC_256/HMAC_SHA2_384_192/MODP_2048/NO_EXT_SEQ",
        14,
    ),
    (
        Suite { ike: "chacha20poly1305-prfsha256-modp3072", esp: "chacha20poly1305-modp3072" },
        "IKE:CHACHA20_POLY1305/PRF_HMAC_SHA2_256/MODP_3072",
        "ESP:CHACHA20_POLY1305/MODP_3072/NO_EXT_SEQ",
        15,
    ),
    (
        Suite { ike: "aes128-sha384-prfsha384-modp4096", esp: "aes128-sha256-modp4096" },
        "IKE:AES_CBC_128/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_4096",
        "ESP:AES_CBC_128/HMAC_SHA2_256_128/MODP_4096/NO_EXT_SEQ",
        16,
    ),
    (
        Suite { ike: "aes256-sha256-prfsha256-ecp256", esp: "aes256-sha512-ecp256" },
        "IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_256",
        "ESP:AES_CBC_256/HMAC_SHA2_512_256/ECP_256/NO_EXT_SEQ",
        19,
    ),
    (
        Suite { ike: "aes128gcm16-prfsha384-ecp384", esp: "aes128gcm16-ecp384" },
        "IKE:AES_GCM_16_128/PRF_HMAC_SHA2_384/ECP_384",
        "ESP:AES_GCM_16_128/ECP_384/NO_EXT_SEQ",
        20,
    ),
    (
        Suite { ike: "aes256gcm16-prfsha512-ecp521", esp: "aes256gcm16-ecp521" },
        "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/ECP_521",
        "ESP:AES_GCM_16_256/ECP_521/NO_EXT_SEQ",
        21,
    ),
    (
        Suite { ike: "aes128-sha512-prfsha256-curve25519", esp: "aes128-sha384-curve25519" },
        "IKE:AES_CBC_128/HMAC_SHA2_512_256/PRF_HMAC_SHA2_256/CURVE_25519",
        "ESP:AES_CBC_128/HMAC_SHA2_384_192/CURVE_25519/NO_EXT_SEQ",
        31,
    ),
    (
        Suite { ike: "aes256-sha512-prfsha512-modp2048", esp: "aes128-sha512" },
        "IKE:AES_CBC_256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_2048",
        "ESP:AES_CBC_128/HMAC_SHA2_512_256/NO_EXT_SEQ",
        31,
    ),
];

/// Both SAs come up and are rekeyed from both sides, each time with a new exchange of keys, and octets pass.
#[test]
fn each_suite_and_each_group_by_itself() -> Result<()> {
    if !interop::enabled("each_suite_and_each_group_by_itself") {
        return Ok(());
    }
    // They mostly wait.
    std::thread::scope(|scope| {
        let cases: Vec<_> = CASES.iter().map(|case| (case, scope.spawn(|| each(*case)))).collect();
        for (case, running) in cases {
            let done = running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.with_context(|| format!("{case:?}"))?;
        }
        Ok(())
    })
}

/// A gateway with this configuration, and what our client on the other host does with it.
fn with_gateway(
    config: &GatewayConfig,
    change: impl FnOnce(String) -> String,
    story: impl AsyncFnOnce(&Pki, &Arc<Charon>) -> Result<()> + Send,
) -> Result<()> {
    let folder = TempDir::with_prefix("ikeep-pki-")?;
    let pki = Pki::create(folder.path(), GATEWAY_NAME)?;
    let net = Pair::new()?;
    let config = change(config.render());
    let gateway = Arc::new(Charon::start(&net.gateway, CharonOptions::default(), &pki, true, &config)?);
    net.client.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let story = runtime.block_on(story(&pki, &gateway));
        story.with_context(|| format!("strongSwan's log:\n{}", gateway.log()))
    })?
}

fn each((suite, ike, esp, group): (Suite, &str, &str, u16)) -> Result<()> {
    let config = GatewayConfig::new(suite, TOKEN);
    with_gateway(
        &config,
        |text| text,
        async |pki, gateway| {
            let mut ours = Ours::start(pki, TOKEN, group, |settings| {
                // Never due together: a rekey of the IKE SA that meets one of a Child SA is put off for longer than anybody waits here.
                settings.child_lifetime = Duration::from_secs(4);
                settings.ike_lifetime = Duration::from_secs(6);
                settings.dialect.delete_ends_session = false;
            })?;
            ours.path("10.9.0.2").await?;
            ours.order(Order::Connect).await?;
            ours.wait("connection", |e| matches!(e, Event::State(State::Connected))).await?;
            let charon = Arc::clone(gateway);
            tokio::task::spawn_blocking(move || charon.rekey_child("net")).await??;
            ours.wait("its rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
            ours.ping(BEHIND_GATEWAY).await?;
            let charon = Arc::clone(gateway);
            tokio::task::spawn_blocking(move || charon.rekey_ike("reconnect")).await??;
            ours.wait("its rekey of the IKE SA", |e| matches!(e, Event::IkeRekeyed)).await?;
            ours.wait("our rekey of the Child SA", |e| matches!(e, Event::ChildRekeyed)).await?;
            ours.ping(BEHIND_GATEWAY).await?;
            ours.wait("our rekey of the IKE SA", |e| matches!(e, Event::IkeRekeyed)).await?;
            ours.ping(BEHIND_GATEWAY).await?;
            let (log, trips) = (gateway.log(), if ike.contains("MODP_2048") && group == 31 { 3 } else { 2 });
            let selected = |what: &str| log.matches(&format!("selected proposal: {what}\n")).count();
            ensure!(
                selected(ike) >= 3 && selected(esp) >= 2,
                "{} of {ike}, {} of {esp}",
                selected(ike),
                selected(esp)
            );
            let came =
                |e: &Event| matches!(e, Event::Established { round_trips, .. } if *round_trips == trips);
            ensure!(ours.events.iter().any(came), "{trips} round trips: {:#?}", ours.events);
            ours.order(Order::Disconnect).await?;
            ours.wait("end", |e| matches!(e, Event::State(State::Disconnected { .. }))).await
        },
    )
}

/// strongSwan's `reauth_time` reaches us as AUTH_LIFETIME (RFC 4478). One that is too short to be renewed is told; strongSwan
/// ends the SA at its time, and we come back by token.
#[test]
fn an_authentication_that_strongswan_ends() -> Result<()> {
    if !interop::enabled("an_authentication_that_strongswan_ends") {
        return Ok(());
    }
    let lifetime = |text: String| text.replace("reauth_time = 0s", "reauth_time = 4s\n    over_time = 1s");
    with_gateway(&GatewayConfig::new(Suite::SEED, TOKEN), lifetime, async |pki, _| {
        let mut ours = Ours::start(pki, TOKEN, 19, |settings| settings.dialect.delete_ends_session = false)?;
        ours.path("10.9.0.2").await?;
        ours.order(Order::Connect).await?;
        ours.wait("connection", |e| matches!(e, Event::State(State::Connected))).await?;
        let soon = Duration::from_secs(4);
        ours.wait("word of it", |e| matches!(e, Event::LoginWanted { within } if *within <= soon)).await?;
        ours.ping(BEHIND_GATEWAY).await?;
        ours.wait("the end", |e| matches!(e, Event::DeletedByGateway)).await?;
        ours.wait("the reconnect", |e| matches!(e, Event::Reconnected(_))).await?;
        ours.ping(BEHIND_GATEWAY).await
    })
}
