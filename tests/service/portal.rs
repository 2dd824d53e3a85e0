//! A captive portal: found when the gateway is silent, told with its address, and left behind at once when it opens.

use crate::stage::{HERE4, Stage, with};
use anyhow::{Result, ensure};
use ikeep::ipc::{Reply, Request};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Whoever asks for any page is sent to the portal, until somebody has logged in.
struct Hotspot {
    open: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    port: u16,
    task: AbortHandle,
}

impl Drop for Hotspot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hotspot {
    async fn new() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (open, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (is_open, counted) = (Arc::clone(&open), Arc::clone(&asked));
        let serve = async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = if is_open.load(Ordering::SeqCst) {
                    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nonline"
                } else {
                    "HTTP/1.1 302 Found\r\nLocation: http://login.hotspot.test/\r\nContent-Length: 0\r\n\r\n"
                };
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        };
        Ok(Self { open, asked, port, task: tokio::spawn(serve).abort_handle() })
    }

    fn config(&self) -> String {
        format!("[portal]\nprobe = \"http://127.0.0.1:{}/check\"\nexpect = \"online\"\n", self.port)
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_portal_is_found_told_and_left_behind() -> Result<()> {
    let hotspot = Hotspot::new().await?;
    let stage = Stage::set(str::to_owned, &hotspot.config()).await?;
    stage.log_in().await?;
    ensure!(hotspot.asked() == 0, "nobody is asked while the gateway answers");
    stage.company.freeze(true)?;
    stage.networks_carry(&[]);
    stage.until_state("waiting-for-network").await?;
    ensure!(hotspot.asked() == 0, "nobody is asked without a network");
    stage.networks_carry(&[HERE4]);
    stage.until_state("captive-portal").await?;
    let told =
        stage.until("the portal in the log", |_| stage.events().contains("http://login.hotspot.test/"));
    told.await?;
    let status = stage.status().await?;
    ensure!(status["portal"]["location"] == "http://login.hotspot.test/", "{status}");
    ensure!(status["portal"]["command"].is_null(), "{status}");
    // Browsers go past a proxy.
    let refused = stage.last(Request::OpenGap { seconds: None }).await?;
    let Reply::Failed(failure) = refused else { anyhow::bail!("{refused:?}") };
    ensure!(failure.message.contains("nothing has to be opened"), "{failure}");
    ensure!(
        failure.message.contains("SOCKS5") && failure.message.contains("http://login.hotspot.test/"),
        "{failure}"
    );
    // Somebody logs in at the portal.
    hotspot.open.store(true, Ordering::SeqCst);
    stage.company.freeze(false)?;
    let back = stage.until_state("connected").await?;
    ensure!(back["portal"].is_null(), "{back}");
    for request in [Request::OpenGap { seconds: Some(60) }, Request::CloseGap] {
        let refused = stage.last(request).await?;
        let Reply::Failed(failure) = refused else { anyhow::bail!("{refused:?}") };
        let reasons = ["no captive portal is known here", "nothing has to be opened", "nothing to close"];
        ensure!(reasons.iter().any(|reason| failure.message.contains(reason)), "{failure}");
    }
    ensure!(back["auth"] == "psk" && back["reconnects"] == 1, "{back}");
    Ok(())
}

#[tokio::test]
async fn a_login_behind_a_portal_says_so() -> Result<()> {
    let hotspot = Hotspot::new().await?;
    let change = with("<AuthenticationTimeout>12", "<AuthenticationTimeout>10");
    let stage = Stage::set(change, &hotspot.config()).await?;
    stage.company.freeze(true)?;
    match stage.connect().await? {
        Reply::Failed(failure) => ensure!(
            failure.message.contains("captive portal): http://login.hotspot.test/"),
            "{}",
            failure.message
        ),
        other => anyhow::bail!("{other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn honours_disable_captive_portal_detection() -> Result<()> {
    let hotspot = Hotspot::new().await?;
    let change = with(
        "<ClearSmartcardPin",
        "<DisableCaptivePortalDetection>true</DisableCaptivePortalDetection><ClearSmartcardPin",
    );
    let stage = Stage::set(change, &hotspot.config()).await?;
    stage.company.freeze(true)?;
    let reply = stage.connect().await?;
    let Reply::Failed(failure) = reply else { anyhow::bail!("{reply:?}") };
    ensure!(!failure.message.contains("portal"), "{}", failure.message);
    ensure!(hotspot.asked() == 0, "the profile forbids the question");
    Ok(())
}
