//! `ikeep profile list`.

use super::super::output::{json, print, printable, table};
use super::super::{Error, Exit};
use super::{error_json, host_json, warnings_json};
use crate::config::paths;
use crate::config::profiles::{self, Entry, FileError, Found, Gateways, Profiles};
use crate::profile::{AutoReconnectBehavior, NotUsable, Profile};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn list(as_json: bool) -> Result<Exit, Error> {
    let folders = paths::profile_folders();
    let profiles = profiles::in_folders(&folders);
    let gateways = profiles.gateways();
    for (folder, error) in &profiles.unlisted {
        eprintln!("ikeep: cannot list {}: {error}", folder.display());
    }
    if as_json {
        let list: Vec<Value> = profiles.found.iter().map(|found| document(found, &gateways)).collect();
        json(&json!({ "folders": folders, "profiles": list }))?;
        return Ok(Exit::Done);
    }
    if profiles.found.is_empty() {
        let own = paths::own_profiles().unwrap_or_default();
        eprintln!(
            "ikeep: no profiles in {}, nor in {}: `ikeep profile import FILE` takes your company's",
            own.display(),
            paths::VENDOR_PROFILES.join(" or ")
        );
        return Ok(Exit::Done);
    }
    print(&rows_of_all(&profiles, &gateways))?;
    for error in profiles.errors() {
        eprintln!("ikeep: warning: {}", printable(&error.to_string()));
    }
    let remarks = |found: &Found| found.content.as_ref().is_ok_and(|(_, warnings)| !warnings.is_empty());
    if profiles.found.iter().any(remarks) {
        eprintln!("ikeep: `ikeep profile check FILE` tells each warning");
    }
    Ok(Exit::Done)
}

fn rows_of_all(profiles: &Profiles, gateways: &Gateways<'_>) -> String {
    let mut rows = Vec::new();
    for Found { file, content } in &profiles.found {
        let name = file.display().to_string();
        let without_host = |problem: String| {
            let cells = ["-"; 5].into_iter().map(str::to_owned);
            cells.chain([problem, name.clone()]).collect::<Vec<_>>()
        };
        match content {
            Ok((profile, _)) if profile.hosts.is_empty() => rows.push(without_host("names no host".into())),
            Ok((profile, warnings)) => {
                for mut row in hosts(file, profile, gateways, warnings.len()) {
                    row.push(name.clone());
                    rows.push(row);
                }
            }
            Err(FileError::Damaged { error, .. }) => {
                rows.push(without_host(format!(
                    "damaged: line {}, column {}",
                    error.at.line, error.at.column
                )));
            }
            Err(FileError::Read { why, .. }) => rows.push(without_host(format!("cannot be read: {why}"))),
        }
    }
    table(&[&HEAD[..], &["File"]].concat(), &rows)
}

/// The columns of [`hosts`].
pub(super) const HEAD: [&str; 6] =
    ["HostName", "HostAddress", "Protocol", "Authentication", "Reconnects", "Problems"];

/// A row for each host of a profile; `warnings`: how many there are about the whole of it.
pub(super) fn hosts(
    file: &Path,
    profile: &Profile,
    gateways: &Gateways<'_>,
    warnings: usize,
) -> Vec<Vec<String>> {
    let row = |host| {
        let mut problems = problems(&Entry { file, profile, host }, gateways);
        match warnings {
            0 => {}
            1 => problems.push("1 warning".to_owned()),
            more => problems.push(format!("{more} warnings")),
        }
        let crate::profile::HostEntry { name, address, primary_protocol, .. } = host;
        vec![
            name.clone(),
            address.clone(),
            primary_protocol.to_string(),
            host.auth_method().map_or("-".to_owned(), |method| method.to_string()),
            reconnects(profile).to_owned(),
            if problems.is_empty() { "none".to_owned() } else { problems.join("; ") },
        ]
    };
    profile.hosts.iter().map(row).collect()
}

/// Whether the profile lets a connection come back by itself.
fn reconnects(profile: &Profile) -> &'static str {
    let settings = &profile.client.auto_reconnect;
    match (settings.enabled.value, settings.behavior.value) {
        (false, _) => "no",
        (true, AutoReconnectBehavior::ReconnectAfterResume) => "yes",
        (true, AutoReconnectBehavior::DisconnectOnSuspend) => "until sleep",
    }
}

/// What keeps `ikeep connect HOSTNAME` from using this very entry, in a few words.
fn problems(entry: &Entry<'_>, gateways: &Gateways<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    match entry.host.usable() {
        Ok(_) => {}
        Err(NotUsable::Ssl { .. }) => problems.push("for another client: speaks SSL".to_owned()),
        Err(NotUsable::Address { .. }) => problems.push("the address has a port or path".to_owned()),
    }
    if gateways.called(&entry.host.name).len() > 1 {
        problems.push("several gateways have this name".to_owned());
    }
    if let Some(before) = gateways.before(entry) {
        problems.push(format!("{} comes first", before.file.display()));
    }
    problems
}

fn document(found: &Found, gateways: &Gateways<'_>) -> Value {
    let Found { file, content } = found;
    match content {
        Ok((profile, warnings)) => {
            let host = |host| {
                let mut value = host_json(host);
                value["problems"] = problems(&Entry { file, profile, host }, gateways).into();
                value
            };
            json!({
                "file": file,
                "valid": true,
                "auto_reconnect": profile.client.auto_reconnect.enabled.value,
                "auto_reconnect_behavior": profile.client.auto_reconnect.behavior.value.as_str(),
                "hosts": profile.hosts.iter().map(host).collect::<Vec<_>>(),
                "warnings": warnings_json(warnings),
            })
        }
        Err(FileError::Damaged { error, .. }) => {
            json!({ "file": file, "valid": false, "error": error_json(error) })
        }
        Err(error) => json!({ "file": file, "valid": false, "error": { "message": error.to_string() } }),
    }
}
