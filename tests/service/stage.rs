//! A service, its machine and a person who asks it for things.

use crate::person::{Company, PASSWORD, PATIENCE};
use anyhow::{Context, Result, bail, ensure};
use ikeep::agent::clock::Clock;
use ikeep::agent::connection::Surroundings;
use ikeep::agent::service::{Service, Setup};
use ikeep::config::Places;
use ikeep::crypto::Secret;
use ikeep::ipc::{Answer, Call, Connect, Reply, Request, Typed};
use ikeep::journal::Recorder;
use ikeep::sense::{Networks, Senses, Signal, Way};
use ikeep::store::Store;
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

const SEED: &str = include_str!("../../profiles/flexvpn-c8kv.xml");
/// A gateway with backup servers is silent after this.
const SILENCE: Duration = Duration::from_millis(700);
pub(crate) const HERE4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const HERE6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

pub(crate) struct Stage {
    pub(crate) company: Company,
    pub(crate) clock: Clock,
    home: TempDir,
    wishes: Connect,
    signals: mpsc::Sender<Signal>,
    carried: watch::Sender<Vec<IpAddr>>,
    calls: mpsc::Sender<Call>,
    task: Option<AbortHandle>,
    log: Option<Recorder>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.crash();
    }
}

impl Stage {
    /// The seed's profile after `change`, `config` behind the lines that lead to the gateway.
    pub(crate) async fn set(change: impl FnOnce(&str) -> String, config: &str) -> Result<Self> {
        Self::at("127.0.0.1", "\"127.0.0.1\"", change, config).await
    }

    /// The same with a gateway that has an address of either family.
    pub(crate) async fn set_for_both_families() -> Result<Self> {
        Self::at("::", "[\"127.0.0.1\", \"::1\"]", str::to_owned, "").await
    }

    async fn at(
        listen: &str,
        addresses: &str,
        change: impl FnOnce(&str) -> String,
        config: &str,
    ) -> Result<Self> {
        let company = Company::open(&["--listen", listen])?;
        let (ike, nat) = company.ports;
        let gateways = format!(
            "[gateway.\"flexvpn-c8kv.example.com\"]\naddress = {addresses}\nport = {}\nnat_port = {}\n",
            ike.port(),
            nat.port()
        );
        Self::before(company, &gateways, change, config).await
    }

    /// An agent whose config file says of the gateways what `gateways` says.
    pub(crate) async fn before(
        company: Company,
        gateways: &str,
        change: impl FnOnce(&str) -> String,
        config: &str,
    ) -> Result<Self> {
        let home = TempDir::with_prefix("ikeep-service-")?;
        let file = |name: &str| home.path().join(name);
        fs::write(file("profile.xml"), change(SEED))?;
        // Nobody in the world is asked by a test.
        let portal = if config.contains("[portal]") { "" } else { "[portal]\nprobe = \"off\"\n" };
        fs::write(file("config.toml"), format!("{portal}[trust]\nsystem = false\n{gateways}{config}"))?;
        let wishes = Connect {
            profile: Some(file("profile.xml")),
            config: Some(file("config.toml")),
            trust: vec![company.ca()],
            user: Some("test".into()),
            proxy: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ..Connect::default()
        };
        let mut stage = Self {
            company,
            clock: Clock::system(),
            home,
            wishes,
            signals: mpsc::channel(1).0,
            carried: watch::Sender::new(vec![HERE4]),
            calls: mpsc::channel(1).0,
            task: None,
            log: None,
        };
        stage.start().await;
        Ok(stage)
    }

    /// `kill -9`.
    pub(crate) fn crash(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// An agent starts, in the place of the one before.
    pub(crate) async fn start(&mut self) {
        self.crash();
        let (signals_in, signals) = mpsc::channel(16);
        let (gateway, mut asked) = watch::channel(Vec::<SocketAddr>::new());
        let missing = watch::Sender::new(Vec::new()).subscribe();
        let root = self.home.path();
        let places =
            Places { state: root.join("state"), keys: root.join("keys"), runtime: root.join("runtime") };
        let store = Store::in_files(&places);
        let setup = Setup {
            places,
            clock: self.clock.clone(),
            store,
            senses: Senses { signals, gateway, missing },
            around: Surroundings {
                // Nobody waits for a dead gateway for ten seconds in a test.
                adjust: Arc::new(|settings| settings.silence_limit = settings.silence_limit.map(|_| SILENCE)),
                ..Surroundings::default()
            },
        };
        let (calls, called) = mpsc::channel(16);
        (self.signals, self.calls) = (signals_in.clone(), calls);
        let mut carried = self.carried.subscribe();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = signals_in.closed() => return,
                    Ok(()) = asked.changed() => {}
                    Ok(()) = carried.changed() => {}
                    else => return,
                }
                let (to, from) = (asked.borrow_and_update().clone(), carried.borrow_and_update().clone());
                let way = |to: SocketAddr| {
                    let from = from.iter().find(|from| from.is_ipv4() == to.is_ipv4())?;
                    Some(Way { to, from: *from, interface: 1, mtu: None })
                };
                let ways = to.iter().copied().filter_map(way).collect();
                if !to.is_empty() && signals_in.send(Signal::Ways(ways)).await.is_err() {
                    return;
                }
            }
        });
        let service = Service::new(setup).await;
        self.log = Some(service.events());
        self.task = Some(tokio::spawn(service.run(called)).abort_handle());
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// What `ikeep connect` asks for here.
    pub(crate) fn wishes(&self) -> Connect {
        self.wishes.clone()
    }

    pub(crate) fn events(&self) -> String {
        let written = self.log.as_ref().is_none_or(|log| log.flush(PATIENCE));
        assert!(written, "the event log is not written");
        fs::read_to_string(self.file("state/events.log")).unwrap_or_default()
    }

    pub(crate) async fn say(&self, signal: Signal) -> Result<()> {
        self.signals.send(signal).await.context("the service listens")
    }

    /// The machine's networks carry the families of these addresses of its own.
    pub(crate) fn networks_carry(&self, locals: &[IpAddr]) {
        self.carried.send_replace(locals.to_vec());
    }

    /// What the machine's networks say about themselves.
    pub(crate) async fn networks_say(&self, server: &str, domain: &str) -> Result<()> {
        let networks = Networks { dns_servers: vec![server.parse()?], domains: vec![domain.to_owned()] };
        self.say(Signal::Networks(networks)).await
    }

    pub(crate) async fn call(&self, request: Request) -> Result<mpsc::Receiver<Reply>> {
        let (replies, replied) = mpsc::channel(64);
        self.calls.send(Call { request, replies }).await.context("the service takes calls")?;
        Ok(replied)
    }

    /// The last reply to a request.
    pub(crate) async fn last(&self, request: Request) -> Result<Reply> {
        let mut replied = self.call(request).await?;
        let mut last = None;
        while let Some(reply) = timeout(PATIENCE, replied.recv()).await.context("a reply in time")? {
            last = Some(reply);
        }
        last.context("a reply")
    }

    /// `ikeep connect` by a person who knows the password, up to its end.
    pub(crate) async fn connect(&self) -> Result<Reply> {
        let (replies, mut replied) = mpsc::channel(64);
        let call = |request| Call { request, replies: replies.clone() };
        self.calls.send(call(Request::Connect(self.wishes.clone()))).await?;
        loop {
            match timeout(PATIENCE, replied.recv()).await.context("a reply in time")?.context("a reply")? {
                Reply::Ask(question) => {
                    let typed = || Typed(Secret::from(PASSWORD.trim().as_bytes()));
                    let values = question.inputs.iter().map(|input| (input.name.clone(), typed())).collect();
                    self.calls.send(call(Request::Answer(Answer { id: question.id, values }))).await?;
                }
                end @ (Reply::Connected(_) | Reply::Failed(_)) => return Ok(end),
                _ => {}
            }
        }
    }

    /// The same where it has to work.
    pub(crate) async fn log_in(&self) -> Result<()> {
        let reply = self.connect().await?;
        ensure!(matches!(reply, Reply::Connected(_)), "{reply:?}");
        Ok(())
    }

    pub(crate) async fn status(&self) -> Result<Value> {
        match self.last(Request::Status).await? {
            Reply::Status { status } => Ok(status),
            other => bail!("{other:?}"),
        }
    }

    /// Waits until the status fits; what it is then.
    pub(crate) async fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut watched = self.call(Request::Watch).await?;
        let mut last = Value::Null;
        let seen = timeout(PATIENCE, async {
            while let Some(reply) = watched.recv().await {
                if let Reply::Status { status } = reply {
                    last = status;
                    if fits(&last) {
                        return true;
                    }
                }
            }
            false
        });
        let seen = seen.await.unwrap_or(false);
        ensure!(seen, "never {what}; at last {last}\n{}", self.events());
        Ok(last)
    }

    pub(crate) async fn until_state(&self, state: &str) -> Result<Value> {
        self.until(state, |status| status["state"] == state).await
    }
}

/// The seed's profile with `from`, which stands there once, replaced.
pub(crate) fn with(from: &str, to: &str) -> impl FnOnce(&str) -> String {
    move |seed| {
        assert_eq!(seed.matches(from).count(), 1, "{from}");
        seed.replace(from, to)
    }
}
