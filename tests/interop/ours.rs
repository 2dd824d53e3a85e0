//! Our own client on a host of the pair: the product's driver on real sockets.

use super::{GATEWAY_NAME, PATIENCE, Pki, SESSION_ID, Stopwatch};
use anyhow::{Context, Result, bail, ensure};
use ikeep::agent::clock::{Clock, OsRandom};
use ikeep::agent::driver::{Command, Driver, Ends, Output};
use ikeep::client::{Client, Event, Order, Settings};
use ikeep::crypto::Secret;
use ikeep::esp::{HEADROOM, inner};
use ikeep::ike::cert::{Root, Trust};
use ikeep::ike::eap::Device;
use ikeep::profile::Profile;
use ikeep::session::Session;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::mpsc;

/// A client with a session, its tunnel's ends in our hands.
pub(crate) struct Ours {
    ends: Ends,
    addresses: Vec<IpAddr>,
    echo: u16,
    pub(crate) events: Vec<Event>,
}

impl Ours {
    /// Starts it on the current runtime, with the session that the gateway's configuration honours. `group`: the one that
    /// the gateway took last.
    pub(crate) fn start(
        pki: &Pki,
        token: &[u8],
        group: u16,
        tune: impl FnOnce(&mut Settings),
    ) -> Result<Self> {
        let (profile, _) = Profile::parse(include_bytes!("../../profiles/flexvpn-c8kv.xml"))?;
        let host = profile.host("IKEv2_Gateway").context("the seed's host")?;
        let device = Device {
            version: "ikeep".into(),
            computer_name: "interop".into(),
            device_type: "linux".into(),
            platform_version: "0".into(),
            unique_id: "00".into(),
            unique_id_global: "00".into(),
        };
        let gateway: IpAddr = "10.9.0.1".parse()?;
        let mut settings = Settings::from_profile(&profile, host, device)?;
        settings.addresses = vec![gateway];
        let root = CertificateDer::from_pem_file(&pki.ca)?.to_vec();
        settings.trust = Trust { roots: vec![Root { der: root, configured: true }], ..Trust::default() };
        tune(&mut settings);
        let clock = Clock::system();
        let now = clock.now();
        let mut client = Client::new(now, settings, Box::new(OsRandom::new()));
        let session = Session {
            host_name: "IKEv2_Gateway".into(),
            host_address: GATEWAY_NAME.into(),
            id: SESSION_ID.into(),
            token: Secret::from(token),
            ticket: None,
            user: "user1".into(),
            peer: SocketAddr::new(gateway, 4500),
            addresses: Vec::new(),
            group,
            root_key: None,
            window: Duration::from_secs(900),
            issued: now.wall,
            last_contact: now.wall,
        };
        ensure!(client.restore(now, session), "the session is taken over");
        let (driver, ends) = Driver::new(client, clock, ikeep::agent::driver::Sockets::Own);
        tokio::spawn(driver.run());
        Ok(Self { ends, addresses: Vec::new(), echo: 0, events: Vec::new() })
    }

    pub(crate) async fn path(&self, local: &str) -> Result<()> {
        let local = SocketAddr::new(local.parse()?, 0);
        self.ends.commands.send(Command::Paths(vec![local.into()])).await.context("the driver runs")
    }

    pub(crate) async fn order(&self, order: Order) -> Result<()> {
        self.ends.commands.send(Command::Order(order)).await.context("the driver runs")
    }

    /// Waits for an event that `wanted` takes, and keeps all of them.
    pub(crate) async fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Result<()> {
        let found = tokio::time::timeout(PATIENCE, self.find(wanted)).await;
        found.with_context(|| format!("no {what}; events {:#?}", self.events))?
    }

    async fn find(&mut self, wanted: impl Fn(&Event) -> bool) -> Result<()> {
        loop {
            match self.ends.outputs.recv().await.context("the driver runs")? {
                Output::Event(_, event) => {
                    if let Event::Plan { plan, .. } = &event {
                        self.addresses = plan.addresses();
                    }
                    let found = wanted(&event);
                    self.events.push(event);
                    if found {
                        return Ok(());
                    }
                }
                Output::NoSocket { local, error } => bail!("no socket at {local}: {error}"),
                Output::Mtu(_) => {}
                Output::NoDevice(error) => bail!("a device, without one: {error}"),
            }
        }
    }

    /// Ten pings of growing size to `target` through the tunnel, each answered.
    pub(crate) async fn ping(&mut self, target: &str) -> Result<()> {
        let target: IpAddr = target.parse()?;
        let source = self.addresses.iter().find(|a| a.is_ipv4() == target.is_ipv4());
        let source = *source.context("an inner address of that family")?;
        for size in 1..=10 {
            self.echo = self.echo.wrapping_add(1);
            let mut frame = vec![0; HEADROOM];
            let payload = vec![size; usize::from(size) * 120];
            frame.extend(inner::echo_request(source, target, 7, self.echo, &payload));
            let answered = async {
                loop {
                    self.ends.outward.send(frame.clone()).await.context("the driver runs")?;
                    // strongSwan loses what is under way while it installs its routes anew: asked again, as any ping is.
                    let again = Duration::from_millis(250);
                    match tokio::time::timeout(again, reply(&mut self.ends.inward, self.echo)).await {
                        Ok(answered) => return answered,
                        Err(_) => continue,
                    }
                }
            };
            let answered = tokio::time::timeout(PATIENCE / 4, answered).await;
            answered.with_context(|| format!("ping {size} to {target} came not back"))??;
        }
        Ok(())
    }

    /// Pings `target` without end, one after each `every`. After half a second `roam` is done and names the new local
    /// address; a second later it is over. The longest time between two answers.
    pub(crate) async fn longest_gap(
        &mut self,
        target: &str,
        every: Duration,
        roam: impl Future<Output = Result<&'static str>>,
    ) -> Result<Duration> {
        let target: IpAddr = target.parse()?;
        let source = self.addresses.iter().find(|a| a.is_ipv4() == target.is_ipv4());
        let source = *source.context("an inner address of that family")?;
        let mut ticks = tokio::time::interval(every);
        let mut roam = std::pin::pin!(async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            roam.await
        });
        let over = tokio::time::sleep(Duration::from_millis(1500));
        let mut over = std::pin::pin!(over);
        let (watch, mut last, mut longest, mut answers) = (Stopwatch::start(), None, Duration::ZERO, 0);
        let mut moved = false;
        loop {
            tokio::select! {
                local = &mut roam, if !moved => {
                    moved = true;
                    self.path(local?).await?;
                }
                _ = ticks.tick() => {
                    self.echo = self.echo.wrapping_add(1);
                    let mut frame = vec![0; HEADROOM];
                    frame.extend(inner::echo_request(source, target, 7, self.echo, b"gap"));
                    self.ends.outward.send(frame).await.context("the driver runs")?;
                }
                packet = self.ends.inward.recv() => {
                    let packet = packet.context("the driver runs")?;
                    if inner::parse_echo_reply(&packet).is_some() {
                        let at = watch.elapsed();
                        longest = longest.max(at - last.unwrap_or(at));
                        (last, answers) = (Some(at), answers + 1);
                    }
                }
                () = &mut over => break,
            }
        }
        let last = last.context("no ping was answered")?;
        ensure!(moved && answers > 100, "{answers} answers");
        Ok(longest.max(watch.elapsed() - last))
    }
}

/// Waits for the answer with this number; others are late.
async fn reply(inward: &mut mpsc::Receiver<Vec<u8>>, number: u16) -> Result<()> {
    loop {
        let packet = inward.recv().await.context("the driver runs")?;
        if inner::parse_echo_reply(&packet).is_some_and(|echo| echo.sequence == number) {
            return Ok(());
        }
    }
}
