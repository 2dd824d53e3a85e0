//! A service whose connection is in a test's hands.

use super::{Service, Setup, Way};
use crate::agent::clock::Clock;
use crate::agent::connection::{Connection, Surroundings};
use crate::agent::driver::Output;
use crate::agent::network::script::Script;
use crate::agent::network::{Ground, Report};
use crate::agent::report::Reporter;
use crate::agent::target::Target;
use crate::client::Event;
use crate::config::{Places, Tunnel};
use crate::ipc::helper::Applied;
use crate::ipc::{Call, Connect, Reply, Request};
use crate::journal::Recorder;
use crate::plan::Plan;
use crate::reconnect::State;
use crate::sense::{Senses, Signal};
use crate::store::Store;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

/// A service whose connection is the test's: it says what the gateway and the helper do. Time goes on when all wait.
pub(super) struct Stage {
    pub(super) parts: Parts,
    calls: mpsc::Sender<Call>,
}

/// Everything around a service that the test has.
pub(super) struct Parts {
    home: TempDir,
    pub(super) log: Recorder,
    pub(super) outputs: mpsc::Sender<Output>,
    pub(super) helper: Script,
    /// Whoever has asked for the connection.
    asker: mpsc::Receiver<Reply>,
    _signals: mpsc::Sender<Signal>,
    _gateway: watch::Receiver<Vec<SocketAddr>>,
}

/// The seed's profile, with this AutomaticVPNPolicy.
fn target(home: &Path, policy: &str) -> Target {
    let config = home.join("config.toml");
    let text = "[trust]\nsystem = false\n[portal]\nprobe = \"off\"\n\
                [gateway.\"flexvpn-c8kv.example.com\"]\naddress = \"192.0.2.1\"\n";
    std::fs::write(&config, text).unwrap();
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/flexvpn-c8kv.xml");
    let text = std::fs::read_to_string(seed).unwrap();
    let profile = home.join("profile.xml");
    let text = text.replace(">false</AutomaticVPNPolicy>", &format!(">{policy}</AutomaticVPNPolicy>"));
    std::fs::write(&profile, text).unwrap();
    let wishes = Connect {
        profile: Some(profile),
        config: Some(config),
        tunnel: Some(Tunnel::None),
        ..Connect::default()
    };
    Target::find(&wishes, None, "00ff").unwrap()
}

/// A service with a connection whose login is not done, and what is around it.
pub(super) async fn service(policy: &str) -> (Service, Parts) {
    let home = tempfile::tempdir().unwrap();
    let folder = |name: &str| home.path().join(name);
    let places = Places { state: folder("state"), keys: folder("keys"), runtime: folder("runtime") };
    let (signal, signals) = mpsc::channel(1);
    let (gateway, watched) = watch::channel(Vec::new());
    let missing = watch::Sender::new(Vec::new()).subscribe();
    let clock = Clock::system();
    let store = Store::in_files(&places);
    let senses = Senses { signals, gateway, missing };
    let around = Surroundings::default();
    let setup = Setup { places, clock: clock.clone(), store, senses, around: around.clone() };
    let mut service = Service::new(setup).await;
    let log = service.events();
    let reporter = Reporter::new(log.clone(), "there");
    let begun = Connection::start(target(home.path(), policy), None, reporter, &clock, &around, home.path());
    let mut connection = begun.await.unwrap();
    let (outputs, said) = mpsc::channel(8);
    let (ground, helper) = Ground::scripted();
    connection.outputs = said;
    connection.ground = Some(ground);
    service.connection = Some(connection);
    let (way, asker): (Way, _) = mpsc::channel(64);
    service.asker = Some(way);
    let parts = Parts { home, log, outputs, helper, asker, _signals: signal, _gateway: watched };
    (service, parts)
}

impl Stage {
    pub(super) async fn new() -> Self {
        let (service, parts) = service("false").await;
        let (calls, called) = mpsc::channel(1);
        tokio::spawn(service.run(called));
        Self { parts, calls }
    }

    pub(super) async fn gateway(&self, event: Event) {
        let now = Clock::system().now();
        self.parts.outputs.send(Output::Event(now, event)).await.expect("the service listens");
    }

    /// The login is done: an address, and the state that everybody waits for.
    pub(super) async fn log_in(&self) {
        let plan = Plan { address4: Some("192.168.20.5".parse().unwrap()), ..Plan::default() };
        self.gateway(Event::State(State::Connecting)).await;
        self.gateway(Event::Plan { plan: Box::new(plan), changed: Vec::new(), notes: Vec::new() }).await;
        self.gateway(Event::State(State::Connected)).await;
    }

    /// The same, and the machine is made so.
    pub(super) async fn connected(&mut self) {
        self.log_in().await;
        let (number, _) = self.parts.helper.plan().await;
        self.parts.helper.say(Report::Applied(number, Applied::default())).await;
        assert!(matches!(self.answer().await, Reply::Connected(_)));
    }

    /// What the asker is told at last; how far it is does not count.
    pub(super) async fn answer(&mut self) -> Reply {
        loop {
            match self.parts.asker.recv().await.expect("an answer") {
                Reply::State { .. } | Reply::Notice { .. } => {}
                answer => return answer,
            }
        }
    }

    pub(super) async fn status(&self) -> Value {
        let (replies, mut replied) = mpsc::channel(1);
        self.calls.send(Call { request: Request::Status, replies }).await.unwrap();
        match replied.recv().await {
            Some(Reply::Status { status }) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn events(&self) -> String {
        self.parts.events()
    }
}

impl Parts {
    pub(super) fn events(&self) -> String {
        assert!(self.log.flush(std::time::Duration::from_secs(20)), "the log is not written");
        std::fs::read_to_string(self.home.path().join("state/events.log")).unwrap()
    }
}
