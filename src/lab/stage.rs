//! A stage for one scenario: the product's agent against a gateway of its own on real UDP sockets, a person who answers
//! prompts, pings and a download through the tunnel, and a list of promises.

use super::actor::{Actor, Ears, Heard, Role};
use super::download::Download;
use super::echo::{Echoes, INTERVAL};
use super::folder::Folder;
use super::gateway::{Handle, Runner};
use super::line::Line;
use super::report::{self, DownloadReport, EchoReport, Promise, Report};
use super::scenario::Scenario;
use super::seen::Seen;
use super::{Lab, LabError};
use crate::agent::clock::Clock;
use crate::agent::status;
use crate::client::Settings;
use crate::gateway::{Counters, GatewayConfig};
use crate::ipc::{Reply, Request};
use crate::reconnect::State;
use crate::sense::Signal;
use crate::session::Session;
use crate::time::Instant;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Interval, interval};

/// Where the client is at first.
pub(super) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Another network.
pub(super) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// One way through the line, so that round trips can be seen in the times.
pub(super) const DELAY: Duration = Duration::from_millis(5);
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// A login or a reconnect on this machine that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(12);
/// An answer to the last echo is waited for so long.
const LAST_ECHO: Duration = Duration::from_millis(400);
/// A download goes on within this time after the tunnel is back: the server's TCP waits longer and longer while there is no
/// way, and the client's cannot hurry it.
const DOWNLOAD_BACK: Duration = Duration::from_secs(10);
/// Behind the gateway.
pub(super) const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 10, 1));

/// What a scenario may change before the curtain rises.
pub(super) struct Setup {
    pub(super) gateway: GatewayConfig,
    /// Lines for the config file's `[agent]`.
    pub(super) config: Vec<String>,
    /// What neither profile nor config file can say.
    pub(super) adjust: fn(&mut Settings),
    /// One way through the line.
    pub(super) delay: Duration,
    /// What the person answers, by input name; each answer is used once, the last one for ever.
    pub(super) answers: Vec<(&'static str, &'static str)>,
    /// What is not as it is in life.
    pub(super) shortened: Vec<String>,
}

/// See the module.
pub(super) struct Stage {
    scenario: Scenario,
    pub(super) clock: Clock,
    pub(super) gateway: Handle,
    pub(super) host_name: String,
    delay: Duration,
    pub(super) agent: Actor,
    ears: Ears,
    pub(super) seen: Seen,
    pub(super) echoes: Echoes,
    pub(super) download: Download,
    ticks: Interval,
    echoing: bool,
    /// While there was no way: echoes of these times may be lost.
    dark: Vec<(Instant, Instant)>,
    promises: Vec<Promise>,
    pub(super) shortened: Vec<String>,
    folder: Folder,
    gateway_task: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.gateway_task.abort();
    }
}

impl Stage {
    /// Builds gateway and agent; nobody has asked for a connection yet.
    pub(super) async fn set(lab: &Lab, scenario: Scenario, setup: Setup) -> Result<Self, LabError> {
        let clock = Clock::system();
        let (runner, gateway) = Runner::new(setup.gateway, HOME, clock.clone())?;
        let gateway_task = tokio::spawn(runner.run());
        let delay = setup.delay;
        gateway.ask(move |site| site.line = Line { delay, ..Line::default() }).await?;
        let folder = lab.folder.inside(scenario.name())?;
        folder.write("config.toml", &lab.config(gateway.ports, &setup.config))?;
        let role = Role {
            folder: folder.path(),
            home: HOME,
            profile: &lab.profile_file(),
            config: &folder.path().join("config.toml"),
            ca: &lab.ca_file(),
            adjust: Arc::new(setup.adjust),
            answers: setup.answers,
        };
        let (mut agent, ears) = Actor::new(role, &clock);
        agent.start().await;
        Ok(Self {
            scenario,
            clock,
            gateway,
            host_name: lab.host_name.clone(),
            delay,
            agent,
            ears,
            seen: Seen::default(),
            echoes: Echoes::default(),
            download: Download::default(),
            ticks: interval(INTERVAL),
            echoing: false,
            dark: Vec::new(),
            promises: Vec::new(),
            shortened: setup.shortened,
            folder,
            gateway_task,
        })
    }

    /// The time on this stage.
    pub(super) fn now(&self) -> Instant {
        self.clock.now().at
    }

    /// What the command line sends.
    pub(super) async fn ask(&self, request: Request) -> Result<(), LabError> {
        self.agent.ask(request).await
    }

    /// The machine is somewhere else now, or nowhere.
    pub(super) fn go(&self, place: Option<IpAddr>) {
        self.agent.script.go(place);
    }

    /// The machine is about to sleep, or has slept.
    pub(super) async fn say(&self, signal: Signal) {
        self.agent.script.say(signal).await;
    }

    /// Logs in; pings and download begin with the first address.
    pub(super) async fn log_in(&mut self) -> Result<(), LabError> {
        self.agent.connect().await?;
        let up =
            self.wait(PATIENCE, |stage| stage.seen.is_connected() && stage.seen.address().is_some()).await?;
        if !up {
            let state = self.seen.told();
            self.promise("the login works", false, state);
            return Err(LabError::NoLogin);
        }
        let first = self.seen.address();
        self.seen.first_address = first;
        self.ticks.reset();
        self.echoing = true;
        self.download.start(self.agent.proxy().await?);
        Ok(())
    }

    /// Time passes with pings.
    pub(super) async fn pass(&mut self, time: Duration) -> Result<(), LabError> {
        self.wait(time, |_| false).await.map(drop)
    }

    /// Waits, pinging, until `done` or until `limit` is over; true where it is done.
    pub(super) async fn wait(
        &mut self,
        limit: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Result<bool, LabError> {
        let until = self.now() + limit;
        loop {
            if done(self) {
                return Ok(true);
            }
            let left = until.since(self.now());
            if left.is_zero() {
                return Ok(false);
            }
            let echoing = self.echoing;
            tokio::select! {
                Some(heard) = self.ears.events.recv() => self.heard(heard),
                Some(reply) = self.ears.replies.recv() => self.reply(reply).await?,
                Some(packet) = self.ears.echoes.recv() => self.echoes.packet(self.clock.now().at, &packet),
                _ = self.ticks.tick(), if echoing => self.ping(),
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// The way was lost at `lost`: waits until the client says that it is back and an echo sent after that is answered,
    /// within `limit` of `mended`. Echoes sent meanwhile may be lost, later ones not.
    pub(super) async fn promise_back(
        &mut self,
        lost: Instant,
        mended: Instant,
        limit: Duration,
    ) -> Result<(), LabError> {
        let back = |stage: &Self| stage.seen.back.filter(|at| *at >= mended);
        let alive = |stage: &Self| back(stage).and_then(|at| stage.echoes.first_alive(at));
        self.wait(PATIENCE, |stage| stage.seen.is_connected() && alive(stage).is_some()).await?;
        let promise = format!("traffic flows again within {} ms", limit.as_millis());
        match (back(self), alive(self)) {
            (Some(back), Some((_, answered))) => {
                // What was on the line when it broke is lost too; a download makes the line long.
                let line = self.echoes.slowest_between(lost - SECOND, lost).max(2 * self.delay);
                self.dark.push((lost - line - Duration::from_millis(20), back));
                let took = answered.since(mended);
                self.promise(promise, took <= limit, format!("{} ms", took.as_millis()));
                self.promise_download().await?;
            }
            _ => self.promise(promise, false, self.seen.told()),
        }
        Ok(())
    }

    /// The download goes on where it was.
    async fn promise_download(&mut self) -> Result<(), LabError> {
        let before = self.download.received();
        let from = self.now();
        self.wait(DOWNLOAD_BACK, |stage| stage.download.received() > before).await?;
        let on = self.download.received() > before;
        let found = if on {
            format!("after {} ms", self.now().since(from).as_millis())
        } else {
            self.download.told()
        };
        self.promise("the download under way goes on", on, found);
        Ok(())
    }

    /// Stops pinging, for instance because the laptop sleeps.
    pub(super) fn hush(&mut self) {
        self.echoing = false;
        self.echoes.pause();
    }

    /// Pings again.
    pub(super) fn ping_on(&mut self) {
        self.ticks.reset();
        self.echoing = true;
    }

    /// Notes a promise and what became of it.
    pub(super) fn promise(&mut self, promise: impl Into<String>, kept: bool, found: impl Display) {
        let promise = Promise { promise: promise.into(), kept, found: found.to_string() };
        if !kept {
            tracing::error!(promise = promise.promise, found = promise.found, "broken");
        }
        self.promises.push(promise);
    }

    /// The last reconnect took `round_trips`, for `cause`, and was told to the user.
    pub(super) fn promise_reconnected(&mut self, count: usize, cause: &str, round_trips: u32) {
        let all = self.seen.reconnected.clone();
        self.promise(format!("{count} reconnect(s)"), all.len() == count, all.len());
        let Some(last) = all.last() else { return };
        let name = status::cause(last.cause);
        self.promise(format!("the cause was: {cause}"), name == cause, name);
        let what = match round_trips {
            0 => "the old SA went on, without a new handshake".to_owned(),
            n => format!("the new SA took {n} round trips"),
        };
        self.promise(what, last.round_trips == round_trips, last.round_trips);
    }

    /// What the gateway shows after a reconnect, in its own words: `R`, PSK, and the session ID as IKE ID.
    pub(super) async fn promise_shown_as_reconnect(&mut self) -> Result<(), LabError> {
        let (detail, ikev2) = self.gateway.ask(|site| site.shows()).await?;
        let id = self.seen.session.as_ref().map(|session| hex(&session.id)).unwrap_or_default();
        let found = |text: &str, key: &str| {
            text.lines().find(|line| line.contains(key)).unwrap_or("nothing").trim().to_owned()
        };
        let line = found(&detail, "Phase1_id");
        self.promise(
            "the gateway shows the session ID as IKE ID",
            !id.is_empty() && line.contains(&id),
            line,
        );
        let line = found(&detail, "Capabilities");
        self.promise("the gateway shows the capability letter R", line.contains("DNR"), line);
        let line = found(&ikev2, "Auth verify");
        self.promise("the gateway shows Auth verify: PSK", line.contains("Auth verify: PSK"), line);
        Ok(())
    }

    /// A line that the event log must have.
    pub(super) fn promise_logged(&mut self, text: &str) {
        let log = self.agent.event_log();
        let found = if log.contains(text) { "it" } else { "no such line" };
        self.promise(format!("the event log says: {text}"), log.contains(text), found);
    }

    /// The event log tells of a reconnect in the seed's words, and gives this reason.
    pub(super) fn promise_reconnect_logged(&mut self, reason: &str) {
        self.promise_logged(reason);
        self.promise_logged(&format!("Reconnecting to {}...", self.host_name));
        let id = self.seen.session.as_ref().map(Session::id_text).unwrap_or_default();
        self.promise_logged(&format!("Using IKE ID '{id}' for reconnect"));
    }

    /// The gateway's counters.
    pub(super) async fn counters(&self) -> Result<Counters, LabError> {
        Ok(self.gateway.ask(|site| site.gateway.counters()).await?)
    }

    /// The agent is gone as by `kill -9`.
    pub(super) fn kill(&mut self) {
        self.agent.kill();
        self.seen.state = None;
    }

    /// A new agent, with what the old one has left on disk; nobody tells it what to do. The download has to begin anew where
    /// it was: the proxy that carried it is gone.
    pub(super) async fn start_again(&mut self) -> Result<(), LabError> {
        self.agent.start().await;
        self.download.start(self.agent.proxy().await?);
        Ok(())
    }

    /// The last echoes come home; general promises are checked, files are written.
    pub(super) async fn finish(&mut self, expected: Expected) -> Result<Report, LabError> {
        self.hush();
        self.wait(LAST_ECHO, |stage| stage.echoes.tally().lost == 0).await?;
        let tally = self.echoes.tally();
        let (start, end) = (Instant::default(), self.now() + SECOND);
        let lost_in_the_dark: u32 = self.dark.iter().map(|(a, b)| self.echoes.lost_between(*a, *b)).sum();
        let lost_allowed: u32 = self.dark.iter().map(|(a, b)| self.echoes.sent_between(*a, *b)).sum();
        let in_the_light = self.echoes.lost_between(start, end).saturating_sub(lost_in_the_dark);
        self.promise("no echo is lost but while there was no way", in_the_light == 0, in_the_light);
        self.promise("no echo comes twice", tally.twice == 0, tally.twice);
        let state = self.seen.state.as_ref().map_or("none", State::name);
        self.promise(format!("the state is {} in the end", expected.state), state == expected.state, state);
        let counters = self.counters().await?;
        let aaa = counters.aaa_requests;
        self.promise(format!("AAA is asked {} time(s)", expected.aaa), aaa == expected.aaa, aaa);
        let prompts = self.seen.prompts;
        self.promise(
            format!("the user is asked {} time(s)", expected.prompts),
            prompts == expected.prompts,
            prompts,
        );
        let (first, last) = (self.seen.first_address, self.seen.address());
        let address_kept = first.is_some() && first == last;
        let shown = last.map_or_else(|| "none".to_owned(), |address| address.to_string());
        self.promise("the inner address stays", address_kept, shown);
        let (begun, wrong) = (self.download.begun(), self.download.wrong());
        let times = expected.downloads;
        self.promise(format!("the download is begun {times} time(s)"), begun == times, begun);
        self.promise(
            "every octet of the download is right",
            wrong.is_none(),
            wrong.unwrap_or_else(|| "all".into()),
        );
        let secrets = self.agent.event_log().contains("cisco");
        self.promise("no password in the event log", !secrets, if secrets { "one" } else { "none" });
        self.write_files().await?;
        let last = self.seen.reconnected.last().copied();
        let noticed = expected
            .noticed
            .unwrap_or_else(|| report::noticed(tally.silence, prompts > expected.login_prompts));
        Ok(Report {
            scenario: self.scenario.name(),
            title: self.scenario.title(),
            kept: self.promises.iter().all(|promise| promise.kept),
            noticed,
            times: last.map(Into::into),
            round_trips: last.map(|r| r.round_trips),
            aaa_requests: aaa,
            prompts,
            address_kept,
            echoes: EchoReport::new(tally, lost_allowed),
            download: DownloadReport { octets: self.download.received(), begun },
            shortened: std::mem::take(&mut self.shortened),
            promises: std::mem::take(&mut self.promises),
            files: self.folder.path().to_path_buf(),
        })
    }

    /// What is left of a scenario that could not go on.
    pub(super) fn broken_off(&mut self, error: &LabError) -> Report {
        self.promise("the scenario runs to its end", false, error);
        let tally = self.echoes.tally();
        Report {
            scenario: self.scenario.name(),
            title: self.scenario.title(),
            kept: false,
            noticed: format!("The scenario broke off: {error}."),
            times: None,
            round_trips: None,
            aaa_requests: 0,
            prompts: self.seen.prompts,
            address_kept: false,
            echoes: EchoReport::new(tally, 0),
            download: DownloadReport { octets: self.download.received(), begun: self.download.begun() },
            shortened: std::mem::take(&mut self.shortened),
            promises: std::mem::take(&mut self.promises),
            files: self.folder.path().to_path_buf(),
        }
    }

    async fn write_files(&mut self) -> Result<(), LabError> {
        let (detail, ikev2) = self.gateway.ask(|site| site.shows()).await?;
        let (stats, events) =
            self.gateway.ask(|site| (site.gateway.show_stats_reconnect(), site.timeline())).await?;
        let gateway = format!(
            "gateway#show crypto session detail\n{detail}\ngateway#show crypto ikev2 session detailed\n{ikev2}\n\
             gateway#show crypto ikev2 stats reconnect\n{stats}"
        );
        self.folder.write("gateway.txt", &gateway)?;
        self.folder.write("gateway-events.txt", &events)?;
        let status = self.agent.status().await?;
        self.folder.write("status.json", &format!("{status:#}\n"))?;
        Ok(())
    }

    fn heard(&mut self, heard: Heard) {
        let Heard { now, event, stored } = heard;
        tracing::debug!(?event, "client");
        self.seen.event(now.at, event, stored);
    }

    /// What the command line would show the person.
    async fn reply(&mut self, reply: Reply) -> Result<(), LabError> {
        match reply {
            Reply::Ask(question) => self.agent.answer(&question).await,
            Reply::Notice { text, .. } => {
                self.seen.notices.push(text);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ping(&mut self) {
        let Some(address) = self.seen.address() else { return };
        let frame = self.echoes.next(self.clock.now().at, address, INSIDE);
        self.agent.tap.send(frame);
    }
}

/// What every scenario says about its end.
pub(super) struct Expected {
    pub(super) aaa: u64,
    pub(super) prompts: u32,
    /// Of these, so many belong to a login that the user asked for.
    pub(super) login_prompts: u32,
    /// The state at the end.
    pub(super) state: &'static str,
    /// Downloads begun: one, and one more for each agent after the first.
    pub(super) downloads: u32,
    /// Instead of the sentence made from the longest silence.
    pub(super) noticed: Option<String>,
}

impl Default for Expected {
    /// One login, one prompt, never again, and connected in the end.
    fn default() -> Self {
        Self { aaa: 1, prompts: 1, login_prompts: 1, state: "connected", downloads: 1, noticed: None }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
