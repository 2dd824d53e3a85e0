//! `ikeep profile list | show | check | import`.

mod import;
mod list;

use super::output::{json, print, printable, table};
use super::{Error, Exit, help};
use crate::config::profiles::{self, FileError};
use crate::profile::schema::Support;
use crate::profile::{HostEntry, NotUsable, Profile, ProfileError, Setting, Warning};
use clap::ValueHint;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the hosts of this user's profiles and of the vendor's folders, and what is wrong with them
    #[command(after_long_help = help::PROFILE_LIST)]
    List {
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Check a profile and copy it to where `ikeep connect` finds it
    Import(import::Command),
    /// Show hosts and settings of a profile, defaults included
    Show {
        /// The profile
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Tell for each setting whether this client honours it
    Check {
        /// The profile
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(super) fn run(&self) -> Result<Exit, Error> {
        match self {
            Self::List { json } => list::list(*json),
            Self::Import(command) => command.run(),
            Self::Show { file, json } => show(file, *json),
            Self::Check { file, json } => check(file, *json),
        }
    }
}

/// Reads for a command with `--json`: damage is told on stdout too.
fn read_for(file: &Path, as_json: bool) -> Result<profiles::Sound, Error> {
    let result = profiles::read(file);
    if let (Err(FileError::Damaged { error, .. }), true) = (&result, as_json) {
        json(&json!({ "file": file, "valid": false, "error": error_json(error) }))?;
    }
    Ok(result?)
}

fn warn(file: &Path, warnings: &[Warning]) {
    for Warning { at, kind } in warnings {
        let text = printable(&kind.to_string());
        eprintln!("{}:{}:{}: warning: {text}", file.display(), at.line, at.column);
    }
}

fn show(file: &Path, as_json: bool) -> Result<Exit, Error> {
    let (profile, warnings) = read_for(file, as_json)?;
    if as_json {
        let settings: Vec<Value> = profile.settings().iter().map(setting_json).collect();
        json(&json!({
            "file": file,
            "valid": true,
            "hosts": profile.hosts.iter().map(host_json).collect::<Vec<_>>(),
            "settings": settings,
            "warnings": warnings_json(&warnings),
        }))?;
        return Ok(Exit::Done);
    }
    let row = |setting: &Setting| {
        let user = match setting.user_controllable {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        vec![setting.value.clone(), user.into(), line(setting)]
    };
    print(&format!(
        "{}\n{}",
        hosts_table(&profile.hosts),
        table(&["Setting", "Value", "User may change", "Line"], &rows(&profile, row))
    ))?;
    warn(file, &warnings);
    Ok(Exit::Done)
}

fn check(file: &Path, as_json: bool) -> Result<Exit, Error> {
    let (profile, warnings) = read_for(file, as_json)?;
    if as_json {
        let settings: Vec<Value> = profile
            .settings()
            .iter()
            .map(|setting| {
                let (status, why) = status(setting.support);
                let mut value = setting_json(setting);
                value["status"] = status.into();
                value["why"] = why.into();
                value
            })
            .collect();
        json(&json!({
            "file": file,
            "valid": true,
            "hosts": profile.hosts.iter().map(host_json).collect::<Vec<_>>(),
            "settings": settings,
            "warnings": warnings_json(&warnings),
        }))?;
    } else {
        let row = |setting: &Setting| {
            let (status, why) = status(setting.support);
            vec![setting.value.clone(), line(setting), status.into(), why]
        };
        print(&format!(
            "{}\n{}\n{}; {} warnings\n",
            hosts_table(&profile.hosts),
            table(&["Setting", "Value", "Line", "Status", "Why"], &rows(&profile, row)),
            counts(profile.settings().iter()),
            warnings.len()
        ))?;
        warn(file, &warnings);
    }
    if let Some(why) = usable(file, &profile)? {
        eprintln!("{}: warning: {}", file.display(), printable(&why.to_string()));
    }
    Ok(Exit::Done)
}

/// A profile without any host may serve for its settings; one whose every host is for another client may not. Why the first
/// such host is, where there are others.
fn usable(file: &Path, profile: &Profile) -> Result<Option<NotUsable>, Error> {
    let mut unusable = profile.hosts.iter().filter_map(|host| host.usable().err());
    match unusable.next() {
        Some(why) if profile.hosts.iter().all(|host| host.usable().is_err()) => {
            Err(Error::NotUsable { file: file.to_owned(), why })
        }
        other => Ok(other),
    }
}

/// How many settings are honoured, ignored, and not for Linux.
fn counts<'s>(settings: impl Iterator<Item = &'s Setting> + Clone) -> String {
    let count = |wanted: &str| settings.clone().filter(|setting| status(setting.support).0 == wanted).count();
    let counts = ["honoured", "ignored", "not for Linux"].map(|status| format!("{} {status}", count(status)));
    counts.join(", ")
}

/// The settings as rows of a table: a head for each section, settings inside settings moved to the right, and after the
/// name what `cells` says.
fn rows(profile: &Profile, cells: impl Fn(&Setting) -> Vec<String>) -> Vec<Vec<String>> {
    let (mut rows, mut section) = (Vec::new(), "");
    for setting in profile.settings() {
        if setting.section != section {
            section = &setting.section;
            rows.push(vec![section.to_owned()]);
        }
        let mut row = vec![format!("{}{}", "  ".repeat(setting.depth + 1), setting.label)];
        row.extend(cells(setting));
        rows.push(row);
    }
    rows
}

fn line(setting: &Setting) -> String {
    setting.at.map_or("default".into(), |at| at.line.to_string())
}

fn status(support: Support) -> (&'static str, String) {
    match support {
        Support::Honoured { test } => ("honoured", format!("proved by the test {test}")),
        Support::Ignored { why } => ("ignored", why.into()),
        Support::NotForLinux { why } => ("not for Linux", why.into()),
        Support::Container => ("ignored", "holds other settings".into()),
    }
}

fn hosts_table(hosts: &[HostEntry]) -> String {
    let row = |host: &HostEntry| {
        vec![
            host.name.clone(),
            host.address.clone(),
            host.primary_protocol.to_string(),
            host.auth_method().map_or("-".into(), |method| method.to_string()),
            host.user_group.clone().unwrap_or("-".into()),
            host.ike_identity.clone().unwrap_or("-".into()),
            host.pins.len().to_string(),
        ]
    };
    let head = ["HostName", "HostAddress", "Protocol", "Authentication", "UserGroup", "IKEIdentity", "Pins"];
    table(&head, &hosts.iter().map(row).collect::<Vec<_>>())
}

fn host_json(host: &HostEntry) -> Value {
    let pins: Vec<Value> = host
        .pins
        .iter()
        .map(|pin| json!({ "sha512": pin.hash.to_string(), "subject": pin.subject, "issuer": pin.issuer }))
        .collect();
    json!({
        "name": host.name,
        "address": host.address,
        "user_group": host.user_group,
        "protocol": host.primary_protocol.as_str(),
        "standard_authentication_only": host.standard_authentication_only,
        "authentication": host.auth_method().map(|method| method.as_str()),
        "ike_identity": host.ike_identity,
        "backup_servers": host.backup_servers,
        "pins": pins,
        "usable": host.usable().is_ok(),
        "why_not": host.usable().err().map(|why| why.to_string()),
        "line": host.at.line,
    })
}

fn setting_json(setting: &Setting) -> Value {
    json!({
        "setting": setting.path,
        "value": setting.value,
        "user_controllable": setting.user_controllable,
        "default": setting.at.is_none(),
        "line": setting.at.map(|at| at.line),
        "column": setting.at.map(|at| at.column),
    })
}

fn error_json(error: &ProfileError) -> Value {
    json!({
        "line": error.at.line,
        "column": error.at.column,
        "found": error.found,
        "expected": error.expected,
        "message": error.to_string(),
    })
}

fn warnings_json(warnings: &[Warning]) -> Vec<Value> {
    let one = |Warning { at, kind }: &Warning| json!({ "line": at.line, "column": at.column, "message": kind.to_string() });
    warnings.iter().map(one).collect()
}
