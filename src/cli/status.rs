//! `ikeep status`.

use super::{Error, Exit, help, output, runtime};
use crate::config::Places;
use crate::ipc::{Client, Reply, Request};
use serde_json::Value;

/// What `ikeep status` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::STATUS)]
pub(super) struct Command {
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Go on until interrupted: a JSON document a line, now and after each change
    #[arg(long, requires = "json")]
    follow: bool,
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        if self.follow {
            return runtime::block_on(follow(&places));
        }
        let status = runtime::block_on(async {
            let mut client = Client::connect(&places).await?;
            client.send(&Request::Status).await?;
            loop {
                match client.recv().await? {
                    Reply::Status { status } => return Ok(status),
                    Reply::Failed(failure) => return Err(Error::Refused(failure)),
                    _ => {}
                }
            }
        })?;
        if self.json {
            output::json(&status)?
        } else {
            output::print(&Picture(&status).table())?
        }
        Ok(Exit::Done)
    }
}

/// Lines for programs (docs/stream.md). Ends with its reader, or with an error when the agent ends.
async fn follow(places: &Places) -> Result<Exit, Error> {
    let mut client = Client::connect(places).await?;
    client.send(&Request::Watch).await?;
    let mut last = String::new();
    loop {
        let reply = tokio::select! {
            reply = client.recv() => reply?,
            () = output::unread() => return Ok(Exit::Done),
        };
        let line = match reply {
            Reply::Status { status } => format!("{status}\n"),
            Reply::Failed(failure) => return Err(Error::Refused(failure)),
            _ => continue,
        };
        if line != last && !output::write(&line)? {
            return Ok(Exit::Done);
        }
        last = line;
    }
}

/// The agent's picture, for people. What is `null` or missing is left out.
pub(super) struct Picture<'a>(pub(super) &'a Value);

impl Picture<'_> {
    /// A line for each thing that is known, the state first.
    fn table(&self) -> String {
        let row = |title: &str, value: Option<String>| value.map(|value| vec![title.to_owned(), value]);
        let rows = [
            row("Host", self.text("/host")),
            row("Gateway", self.text("/gateway")),
            row("Profile", self.text("/profile")),
            row("Profile now", self.text("/profile_change/message")),
            row("User", self.text("/user")),
            row("Since", self.text("/since")),
            row("Login", self.text("/auth")),
            row("Address", self.all(&["/address4", "/address6"])),
            row("Routes", self.text("/routes")),
            row("DNS", self.text("/dns")),
            row("Domains", self.text("/domains")),
            row("Tunnel", self.text("/tunnel")),
            row("Session", self.text("/session_id")),
            row("Token until", self.text("/session_expires")),
            row("Reconnects", self.text("/reconnects").filter(|count| count != "0")),
            row("Last reconnect", self.last_reconnect()),
            row("IKE SA", self.all(&["/ike/encr", "/ike/integ", "/ike/prf"])),
            row("Child SA", self.all(&["/child/encr", "/child/integ"])),
            row("Traffic", self.traffic()),
            row("Next", self.next()),
            row("Kill switch", self.text("/kill_switch/message")),
            row("Portal", self.text("/portal/message")),
            row("Error", self.text("/error/message")),
        ];
        let state = output::printable(&self.state());
        output::table(&["State", &state], &rows.into_iter().flatten().collect::<Vec<_>>())
    }

    /// The same in one line.
    pub(super) fn line(&self) -> String {
        let waits =
            if self.is_confirmed() { None } else { self.next_what().map(|what| format!("waits for {what}")) };
        let parts = [
            Some(self.state()),
            self.text("/host"),
            self.all(&["/address4", "/address6"]),
            waits,
            self.text("/portal/message"),
            self.text("/error/message"),
        ];
        output::printable(&parts.into_iter().flatten().collect::<Vec<_>>().join("  "))
    }

    /// "connected" is said only where it is proved at present (law 7).
    pub(super) fn state(&self) -> String {
        match self.text("/state").unwrap_or_else(|| "unknown".into()) {
            state if state == "connected" && !self.is_confirmed() => "unconfirmed".into(),
            state => state,
        }
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.0.pointer("/confirmed") == Some(&Value::Bool(true))
    }

    fn next_what(&self) -> Option<String> {
        self.text("/next/what")
    }

    fn next(&self) -> Option<String> {
        let what = self.next_what()?;
        let seconds = self.0.pointer("/next/in_ms").and_then(Value::as_f64).map(|ms| ms / 1e3);
        Some(seconds.map_or(what.clone(), |seconds| format!("{what}, within {seconds:.1} s")))
    }

    fn last_reconnect(&self) -> Option<String> {
        let (cause, at) = (self.text("/last_reconnect/cause")?, self.text("/last_reconnect/at")?);
        let outage = self.text("/last_reconnect/outage_ms")?;
        let trips = self.text("/last_reconnect/round_trips")?;
        Some(format!("{at}, {cause}, outage {outage} ms, {trips} round trips"))
    }

    fn traffic(&self) -> Option<String> {
        let [received, sent] = ["/child/bytes_in", "/child/bytes_out"].map(|at| self.text(at));
        Some(format!("{} octets in, {} octets out", received?, sent?))
    }

    pub(super) fn all(&self, pointers: &[&str]) -> Option<String> {
        let all: Vec<String> = pointers.iter().filter_map(|at| self.text(at)).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// What stands there, as a person reads it.
    pub(super) fn text(&self, pointer: &str) -> Option<String> {
        fn plain(value: &Value) -> Option<String> {
            match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
                Value::Array(values) => {
                    let texts: Vec<String> = values.iter().filter_map(plain).collect();
                    (!texts.is_empty()).then(|| texts.join(", "))
                }
                other => Some(other.to_string()),
            }
        }
        self.0.pointer(pointer).and_then(plain)
    }
}
