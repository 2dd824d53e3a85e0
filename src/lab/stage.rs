//! A stage for one scenario: its own client and gateway on real UDP sockets, a person who answers prompts, pings through the
//! tunnel, and a list of promises.

use super::echo::{Echoes, INTERVAL};
use super::folder::Folder;
use super::freeze::Freezer;
use super::gateway::{Handle, Runner};
use super::line::Line;
use super::report::{self, EchoReport, Promise, Report};
use super::scenario::Scenario;
use super::seen::Seen;
use super::{Lab, LabError};
use crate::agent::clock::{Clock, OsRandom};
use crate::agent::driver::{Command, Driver, Ends, Output};
use crate::agent::report::Reporter;
use crate::agent::status;
use crate::client::{Client, Event, Order, Settings};
use crate::crypto::Secret;
use crate::gateway::{Counters, GatewayConfig};
use crate::ike::eap::{Answers, Form};
use crate::reconnect::State;
use crate::session::Session;
use crate::time::{Instant, Now};
use std::collections::VecDeque;
use std::fmt::Display;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::oneshot;
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
/// Behind the gateway.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 10, 1));

/// What a scenario may change before the curtain rises.
pub(super) struct Setup {
    pub(super) gateway: GatewayConfig,
    pub(super) settings: Settings,
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
    pub(super) settings: Settings,
    delay: Duration,
    ends: Ends,
    driver: JoinHandle<()>,
    /// The driver has not been killed.
    alive: bool,
    pub(super) freezer: Freezer,
    reporter: Reporter,
    answers: VecDeque<(&'static str, &'static str)>,
    pub(super) seen: Seen,
    pub(super) echoes: Echoes,
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
        self.driver.abort();
        self.gateway_task.abort();
    }
}

impl Stage {
    /// Builds gateway and client; the client knows its path but has no order yet.
    pub(super) async fn set(lab: &Lab, scenario: Scenario, setup: Setup) -> Result<Self, LabError> {
        let clock = Clock::system();
        let (runner, gateway) = Runner::new(setup.gateway, HOME, clock.clone())?;
        let gateway_task = tokio::spawn(runner.run());
        let delay = setup.delay;
        gateway.ask(move |site| site.line = Line { delay, ..Line::default() }).await?;
        let mut settings = setup.settings;
        (settings.port, settings.nat_port) = (gateway.ports.0.port(), gateway.ports.1.port());
        settings.addresses = vec![HOME];
        let folder = lab.folder.inside(scenario.name())?;
        let mut reporter = Reporter::new(folder.path().join("events.log"), &settings.host_name);
        reporter.preferences(clock.now(), &lab.profile.preference_settings());
        let client = Client::new(clock.now(), settings.clone(), Box::new(OsRandom::new()));
        let freezer = Freezer::default();
        let (ends, driver) = start(client, &clock, &freezer);
        let stage = Self {
            scenario,
            clock,
            gateway,
            settings,
            delay,
            ends,
            driver,
            alive: true,
            freezer,
            reporter,
            answers: setup.answers.into(),
            seen: Seen::default(),
            echoes: Echoes::default(),
            ticks: interval(INTERVAL),
            echoing: false,
            dark: Vec::new(),
            promises: Vec::new(),
            shortened: setup.shortened,
            folder,
            gateway_task,
        };
        stage.command(Command::Path(Some(SocketAddr::new(HOME, 0)))).await?;
        Ok(stage)
    }

    /// The time on this stage.
    pub(super) fn now(&self) -> Instant {
        self.clock.now().at
    }

    /// Orders and signals, as the agent gives them.
    pub(super) async fn command(&self, command: Command) -> Result<(), LabError> {
        self.ends.commands.send(command).await.map_err(|_| LabError::DriverStopped)
    }

    /// Logs in; the pings begin with the first address.
    pub(super) async fn log_in(&mut self) -> Result<(), LabError> {
        self.command(Command::Order(Order::Connect)).await?;
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
            let (echoing, alive) = (self.echoing, self.alive);
            tokio::select! {
                output = self.ends.outputs.recv(), if alive => match output {
                    Some(output) => self.output(output).await?,
                    None => return Err(LabError::DriverStopped),
                },
                Some(packet) = self.ends.inward.recv() => self.echoes.packet(self.clock.now().at, &packet),
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
                // What was on the line when it broke is lost too.
                self.dark.push((lost - 2 * self.delay - Duration::from_millis(20), back));
                let took = answered.since(mended);
                self.promise(promise, took <= limit, format!("{} ms", took.as_millis()));
            }
            _ => self.promise(promise, false, self.seen.told()),
        }
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
        let log = self.event_log();
        let found = if log.contains(text) { "it" } else { "no such line" };
        self.promise(format!("the event log says: {text}"), log.contains(text), found);
    }

    /// The event log tells of a reconnect in the seed's words, and gives this reason.
    pub(super) fn promise_reconnect_logged(&mut self, reason: &str) {
        self.promise_logged(reason);
        self.promise_logged(&format!("Reconnecting to {}...", self.settings.host_name));
        let id = self.seen.session.as_ref().map(Session::id_text).unwrap_or_default();
        self.promise_logged(&format!("Using IKE ID '{id}' for reconnect"));
    }

    /// The event log as it stands in its file.
    fn event_log(&self) -> String {
        fs::read_to_string(self.reporter.file()).unwrap_or_default()
    }

    /// The gateway's counters.
    pub(super) async fn counters(&self) -> Result<Counters, LabError> {
        Ok(self.gateway.ask(|site| site.gateway.counters()).await?)
    }

    /// The client is dropped as by `kill -9`; what it had stored is all that is left.
    pub(super) fn kill(&mut self) -> Option<Session> {
        self.driver.abort();
        self.alive = false;
        self.seen.state = None;
        self.seen.session.clone()
    }

    /// A new client with what the old one had stored, on a new path.
    pub(super) async fn start_again(&mut self, stored: Option<Session>) -> Result<bool, LabError> {
        let mut client = Client::new(self.clock.now(), self.settings.clone(), Box::new(OsRandom::new()));
        let restored = stored.is_some_and(|session| client.restore(self.clock.now(), session));
        (self.ends, self.driver) = start(client, &self.clock, &self.freezer);
        self.alive = true;
        self.command(Command::Path(Some(SocketAddr::new(HOME, 0)))).await?;
        Ok(restored)
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
        let secrets = self.event_log().contains("cisco");
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
        let (answer, answered) = oneshot::channel();
        if self.command(Command::Status(answer)).await.is_ok()
            && let Ok((now, picture)) = answered.await
        {
            let about = status::About { settings: &self.settings, profile: super::PROFILE_NAME };
            self.folder.write("status.json", &format!("{:#}\n", status::json(now, &picture, about)))?;
        }
        Ok(())
    }

    async fn output(&mut self, output: Output) -> Result<(), LabError> {
        match output {
            Output::Event(now, event) => self.event(now, event).await,
            Output::NoSocket { local, error } => Err(LabError::Socket(local, error)),
        }
    }

    async fn event(&mut self, now: Now, event: Event) -> Result<(), LabError> {
        tracing::debug!(?event, "client");
        self.reporter.event(now, &event);
        let form = if let Event::Ask(form) = &event { Some(form.clone()) } else { None };
        self.seen.event(now.at, event);
        if let Some(form) = form {
            let answers = self.answer(&form);
            self.command(Command::Order(Order::Answer(answers))).await?;
        }
        Ok(())
    }

    /// What the person types.
    fn answer(&mut self, form: &Form) -> Answers {
        let mut answers = Answers::new();
        for input in &form.inputs {
            let Some(at) = self.answers.iter().position(|(name, _)| *name == input.name) else { continue };
            let (name, text) = self.answers[at];
            if self.answers.iter().filter(|(other, _)| *other == name).count() > 1 {
                self.answers.remove(at);
            }
            answers.insert(input.name.clone(), Secret::from(text.as_bytes()));
        }
        answers
    }

    fn ping(&mut self) {
        let Some(address) = self.seen.address() else { return };
        let frame = self.echoes.next(self.clock.now().at, address, INSIDE);
        // A full queue loses the packet, as every queue does; it counts as lost.
        if let Err(error) = self.ends.outward.try_send(frame) {
            tracing::debug!(%error, "echo not sent");
        }
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
    /// Instead of the sentence made from the longest silence.
    pub(super) noticed: Option<String>,
}

impl Default for Expected {
    /// One login, one prompt, never again, and connected in the end.
    fn default() -> Self {
        Self { aaa: 1, prompts: 1, login_prompts: 1, state: "connected", noticed: None }
    }
}

fn start(client: Client, clock: &Clock, freezer: &Freezer) -> (Ends, JoinHandle<()>) {
    let (driver, ends) = Driver::new(client, clock.clone());
    let run = async move {
        let (_, losses) = driver.run().await;
        tracing::debug!(?losses, "the driver has ended");
    };
    (ends, tokio::spawn(freezer.guard(run)))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
