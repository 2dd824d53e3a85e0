//! The real program with a session that a strongSwan gateway honours, and how to wait for what it says.

use super::{GATEWAY_NAME, PATIENCE, SESSION_ID};
use crate::person::Person;
use anyhow::Result;
use ikeep::agent::clock::Clock;
use ikeep::config::Places;
use ikeep::crypto::Secret;
use ikeep::ipc::{Client, Reply, Request};
use ikeep::session::Session;
use ikeep::store::Store;
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

pub(crate) const TOKEN: &[u8] = b"Q2hhbmdlLW1lLW5vdC1hLXJlYWwtdG9rZW4x";

/// A process that is ended with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn places(person: &Person) -> Places {
    Places {
        state: person.path("state/ikeep"),
        keys: person.path("data/ikeep"),
        runtime: person.path("runtime/ikeep"),
    }
}

/// Follows `ikeep watch` until the status is as wanted.
async fn watch(person: &Person, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut client = Client::connect(&places(person)).await?;
    client.send(&Request::Watch).await?;
    let mut last = Value::Null;
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Reply::Status { status } = client.recv().await? {
                if wanted(&status) {
                    return anyhow::Ok(status);
                }
                last = status;
            }
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => anyhow::bail!("{what} did not come; the last status: {last:#}\n{}", person.events()),
    }
}

/// Waits, as `ikeep watch` does, until the status is as wanted.
///
/// # Errors
/// It does not come within [`PATIENCE`]; the last status and the event log are in the error.
pub(crate) fn until(person: &Person, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(watch(person, what, wanted))
}

/// Here a DELETE of the old SA frees its lease and ends nothing else.
pub(crate) fn configure_for_strongswan(person: &Person) -> Result<()> {
    let file = person.path("config/ikeep/config.toml");
    let dialect = "[gateway.\"flexvpn-c8kv.example.com\".dialect]\ndelete_ends_session = false\n";
    Ok(fs::write(&file, fs::read_to_string(&file)? + dialect)?)
}

/// As if a login had handed out the session that strongSwan's configuration honours.
pub(crate) fn plant_session(person: &Person, gateway: SocketAddr, group: u16) -> Result<()> {
    let wall = Clock::system().now().wall;
    let session = Session {
        host_name: "IKEv2_Gateway".into(),
        host_address: GATEWAY_NAME.into(),
        id: SESSION_ID.into(),
        token: Secret::from(TOKEN),
        ticket: None,
        user: "user1".into(),
        peer: gateway,
        addresses: Vec::new(),
        group,
        root_key: None,
        window: Duration::from_secs(900),
        issued: wall,
        last_contact: wall,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Store::in_files(&places(person)).save(&session))?;
    Ok(())
}
