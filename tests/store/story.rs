//! A short life of an agent's store in a process of its own, because environment and limits belong to a process.

use anyhow::{Context, Result, ensure};
use ikeep::config::Places;
use ikeep::crypto::Secret;
use ikeep::session::Session;
use ikeep::store::{Intent, Note, Store};
use ikeep::time::UnixTime;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Whose sessions the stories are about.
pub(crate) const HOST: &str = "flexvpn-c8kv.example.com";
/// What must be nowhere but where a session is kept.
pub(crate) const TOKEN: &str = "canary token of the store";

/// Where the story takes place, and what happens: words as in [`tell`].
const FOLDER: &str = "IKEEP_STORE_FOLDER";
const WORDS: &str = "IKEEP_STORE_STORY";
/// The lines that tell it begin with this.
const TOLD: &str = "told: ";

/// The session that is kept as number `last_contact`.
pub(crate) fn session(last_contact: u64) -> Session {
    Session {
        host_name: "FlexVPN C8KV".into(),
        host_address: HOST.into(),
        id: b"rIUHKccDRiUtFTATwq".to_vec(),
        token: Secret::from(TOKEN.as_bytes()),
        ticket: None,
        user: "user1".into(),
        peer: ([10, 9, 0, 1], 4500).into(),
        addresses: vec![[192, 168, 20, 5].into()],
        group: 19,
        root_key: None,
        window: Duration::from_secs(900),
        issued: UnixTime::from_secs(1),
        last_contact: UnixTime::from_secs(last_contact),
    }
}

/// A command that tells a story with a store in `folder`, when it is run: `save 3`, `load`, `erase`, `want`.
pub(crate) fn command(folder: &Path, words: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "story::told_in_a_process_of_its_own", "--nocapture"]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env(FOLDER, folder).env(WORDS, words);
    Ok(command)
}

/// One event of a story.
#[derive(Debug)]
pub(crate) struct Told {
    /// `saved Sealed`, `loaded 3`, `loaded nothing`, `erased`, `wanted`, or `error` with its text.
    pub(crate) what: String,
    /// Beside it, each with a bar before it.
    pub(crate) notes: String,
    /// How long the store took.
    pub(crate) took: Duration,
}

/// Runs a command, and reads what it told.
pub(crate) fn listen(command: &mut Command) -> Result<Vec<Told>> {
    let Output { stdout, stderr, status } = command.output()?;
    let (stdout, stderr) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    ensure!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    let lines = stdout.lines().filter_map(|line| line.split_once(TOLD).map(|(_, told)| told));
    let told: Option<Vec<Told>> = lines
        .map(|line| {
            let (took, rest) = line.split_once(' ')?;
            let (what, notes) = rest.split_once(" |").unwrap_or((rest, ""));
            let took = Duration::from_millis(took.parse().ok()?);
            Some(Told { what: what.into(), notes: notes.into(), took })
        })
        .collect();
    told.context(stdout)
}

#[test]
fn told_in_a_process_of_its_own() -> Result<()> {
    let (Some(folder), Ok(words)) = (std::env::var_os(FOLDER), std::env::var(WORDS)) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let places = Places::inside(Path::new(&folder));
    let mut store = Store::new(&places);
    let mut words = words.split(' ');
    while let Some(word) = words.next() {
        let started = crate::bus::now();
        let told = match word {
            "save" => {
                let number = words.next().context("save what?")?.parse()?;
                match runtime.block_on(store.save(&session(number))) {
                    Ok(saved) => format!("saved {:?}{}", saved.kept, texts(&saved.notes)),
                    Err(error) => format!("error {error}"),
                }
            }
            "load" => {
                let loaded = runtime.block_on(store.load(HOST));
                let found = loaded.session.map(|found| (found.last_contact.as_secs(), found));
                if let Some((number, found)) = &found {
                    ensure!(*found == session(*number), "another session than was saved");
                }
                let number = found.map_or("nothing".to_owned(), |(number, _)| number.to_string());
                format!("loaded {number}{}", texts(&loaded.notes))
            }
            "erase" => match runtime.block_on(store.erase(HOST)) {
                Ok(()) => "erased".to_owned(),
                Err(error) => format!("error {error}"),
            },
            "want" => match runtime.block_on(Intent { wanted: true, last: None }.save(&places)) {
                Ok(()) => "wanted".to_owned(),
                Err(error) => format!("error {error}"),
            },
            other => anyhow::bail!("no such word: {other}"),
        };
        println!("{TOLD}{} {told}", crate::bus::now().saturating_sub(started).as_millis());
    }
    Ok(())
}

fn texts(notes: &[Note]) -> String {
    notes.iter().map(|note| format!(" | {note}")).collect()
}
