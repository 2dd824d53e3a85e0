//! `ikeep profile list | show | check`.

use super::output::{json, print, printable, table};
use super::{Error, Exit};
use crate::config::{files, paths};
use crate::profile::schema::Support;
use crate::profile::{HostEntry, MAX_SIZE, Profile, ProfileError, Setting, Warning};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the profiles of this user and of the vendor's folders
    List {
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Show hosts and settings of a profile, defaults included
    Show {
        /// The profile
        file: PathBuf,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Tell for each setting whether this client honours it
    Check {
        /// The profile
        file: PathBuf,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(super) fn run(&self) -> Result<Exit, Error> {
        match self {
            Self::List { json } => list(*json),
            Self::Show { file, json } => show(file, *json),
            Self::Check { file, json } => check(file, *json),
        }
    }
}

fn read(file: &Path) -> Result<(Profile, Vec<Warning>), Error> {
    let octets = files::read_at_most(file, MAX_SIZE)
        .map_err(|source| Error::Read { file: file.to_owned(), source })?;
    Profile::parse(&octets).map_err(|error| Error::Profile { file: file.to_owned(), error: Box::new(error) })
}

/// Reads for a command with `--json`: damage is told on stdout too.
fn read_for(file: &Path, as_json: bool) -> Result<(Profile, Vec<Warning>), Error> {
    let result = read(file);
    if let (Err(Error::Profile { error, .. }), true) = (&result, as_json) {
        json(&json!({ "file": file, "valid": false, "error": error_json(error) }))?;
    }
    result
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
        let count = |wanted: &str| {
            profile.settings().iter().filter(|setting| status(setting.support).0 == wanted).count()
        };
        print(&format!(
            "{}\n{}\n{} honoured, {} ignored, {} not for Linux; {} warnings\n",
            hosts_table(&profile.hosts),
            table(&["Setting", "Value", "Line", "Status", "Why"], &rows(&profile, row)),
            count("honoured"),
            count("ignored"),
            count("not for Linux"),
            warnings.len()
        ))?;
        warn(file, &warnings);
    }
    // A profile without any host may serve for its settings; one whose every host is for another client may not.
    let unusable: Vec<_> = profile.hosts.iter().filter_map(|host| host.usable().err()).collect();
    match unusable.into_iter().next() {
        Some(why) if profile.hosts.iter().all(|host| host.usable().is_err()) => {
            Err(Error::NotUsable { file: file.to_owned(), why })
        }
        Some(why) => {
            eprintln!("{}: warning: {}", file.display(), printable(&why.to_string()));
            Ok(Exit::Done)
        }
        None => Ok(Exit::Done),
    }
}

fn list(as_json: bool) -> Result<Exit, Error> {
    let folders = paths::profile_folders();
    let mut found = Vec::new();
    for folder in &folders {
        match files::in_folder(folder, "xml") {
            Ok(files) => found.extend(files),
            Err(error) => eprintln!("ikeep: cannot list {}: {error}", folder.display()),
        }
    }
    let read: Vec<(PathBuf, Result<Profile, Error>)> =
        found.into_iter().map(|file| (file.clone(), read(&file).map(|(profile, _)| profile))).collect();
    if as_json {
        let entry = |(file, result): &(PathBuf, Result<Profile, Error>)| match result {
            Ok(profile) => {
                let hosts: Vec<Value> = profile.hosts.iter().map(host_json).collect();
                json!({ "file": file, "valid": true, "hosts": hosts })
            }
            Err(Error::Profile { error, .. }) => {
                json!({ "file": file, "valid": false, "error": error_json(error) })
            }
            Err(error) => json!({ "file": file, "valid": false, "error": { "message": chain(error) } }),
        };
        let profiles: Vec<Value> = read.iter().map(entry).collect();
        json(&json!({ "folders": folders, "profiles": profiles }))?;
        return Ok(Exit::Done);
    }
    if read.is_empty() {
        let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        eprintln!("ikeep: no profiles; put one (NAME.xml) into {}", folders.join(" or "));
        return Ok(Exit::Done);
    }
    let mut rows = Vec::new();
    for (file, result) in &read {
        let file = file.display().to_string();
        match result {
            Ok(profile) if profile.hosts.is_empty() => {
                rows.push(vec![file, "-".into(), "-".into(), "names no host".into()]);
            }
            Ok(profile) => rows.extend(profile.hosts.iter().map(|host| {
                let state = host.usable().map_or_else(|why| why.to_string(), |method| method.to_string());
                vec![file.clone(), host.name.clone(), host.address.clone(), state]
            })),
            Err(error) => rows.push(vec![file, "-".into(), "-".into(), chain(error)]),
        }
    }
    print(&table(&["File", "HostName", "HostAddress", "Authentication, or why not"], &rows))?;
    Ok(Exit::Done)
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

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
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
