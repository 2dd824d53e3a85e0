//! What of a login is left in the agent's memory, once it is over: read as root, since nobody else can.
//!
//! The agent, the command line and the gateway are the real programs. `tests/run` runs these; a plain `cargo test` leaves them
//! out and says so.

mod memory;
mod outsider;
#[path = "../person/mod.rs"]
mod person;

use anyhow::{Context as _, Result, ensure};
use ikeep::config::Places;
use ikeep::session::Session;
use ikeep::store::Store;
use memory::Wanted;
use person::{Company, PATIENCE, Person, Stopwatch, said};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

const USER: &str = "c4naryUserOfEverybody";
const PASSWORD: &str = "c4naryPassw<rd&with \"m\u{e4}rks";
const CODE: &str = "c4narySecondFactor&1";

/// Whether a test runs that needs root's eyes.
fn as_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    let runs = root && std::env::var_os("IKEEP_INTEROP").is_some_and(|value| value == "1");
    if !runs {
        let _ = writeln!(std::io::stderr(), "left out: {test} (needs root; `tests/run` runs it)");
    }
    runs
}

/// A gateway that gives tickets, too, with a user who has a second factor; the folder holds its files.
fn company(more: &[&str]) -> Result<(Company, tempfile::TempDir)> {
    let folder = tempfile::TempDir::with_prefix("ikeep-memory-")?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        fs::write(&path, format!("{text}\n"))?;
        Ok(path.display().to_string())
    };
    let (passwords, codes) = (file("passwords", PASSWORD)?, file("codes", CODE)?);
    let users = ["--user", USER, "--passwords-file", &passwords, "--second-factors-file", &codes];
    Ok((Company::open(&[&users[..], more].concat())?, folder))
}

/// Logs in; between the password and the second factor the password is in the agent's memory, and nowhere where others read.
fn connect(person: &Person, company: &Company, wanted: &Wanted) -> Result<i32> {
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--user", USER, "--password-stdin"];
    let (input, output) = (Stdio::piped(), Stdio::piped());
    let mut login = person.command(&args).stdin(input).stdout(output).stderr(Stdio::piped()).spawn()?;
    let mut typed = login.stdin.take().context("its input")?;
    typed.write_all(format!("{PASSWORD}\n").as_bytes())?;
    let begun = Stopwatch::start();
    let agent = loop {
        if let Some(agent) = person.agent().map(|agent| agent.as_raw_nonzero().get())
            && wanted.search(agent)?.has("password")
        {
            break agent;
        }
        ensure!(begun.elapsed() < PATIENCE, "the search does not find a password that was typed just now");
    };
    for process in [agent, i32::try_from(login.id())?] {
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{process}/{file}"))?;
            ensure!(text.len() > 16, "{file} of process {process}: {text:?}");
            ensure!(wanted.of(&text).is_empty(), "{file} of process {process}: {:?}", wanted.of(&text));
        }
    }
    typed.write_all(format!("{CODE}\n").as_bytes())?;
    drop(typed);
    let login = login.wait_with_output()?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    Ok(agent)
}

/// The session that the agent has stored.
async fn stored(person: &Person) -> Result<Session> {
    let state = person.path("state/ikeep");
    let places = Places { state, keys: person.path("data/ikeep"), runtime: person.path("runtime/ikeep") };
    let loaded = Store::in_files(&places).load("flexvpn-c8kv.example.com").await;
    loaded.session.context("a session in a file")
}

/// The keys of every SA so far, from the files for Wireshark.
fn add_keys(wanted: &mut Wanted, person: &Person) -> Result<usize> {
    let mut count = 0;
    for table in ["ikev2_decryption_table", "esp_sa"] {
        let text = fs::read_to_string(person.path("keys").join(table))?;
        for field in text.lines().flat_map(|line| line.split(',')) {
            let digits = field.trim_matches('"').trim_start_matches("0x");
            // SPIs are shorter; what is not hex is a name.
            if digits.len() >= 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                let octets =
                    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
                wanted.add(&format!("key of {table}"), &octets.collect::<Result<Vec<_>, _>>()?);
                count += 1;
            }
        }
    }
    Ok(count)
}

/// `lines`: of the gateway's section of the config file.
async fn story(lines: &str, gateway: &[&str]) -> Result<()> {
    let (company, _folder) = company(gateway)?;
    let person = Person::new(company.ports)?;
    person.configure(company.ports, &format!("key_log = \"{}\"", person.path("keys").display()))?;
    let file = person.path("config/ikeep/config.toml");
    fs::write(&file, format!("{}{lines}", fs::read_to_string(&file)?))?;
    let mut wanted = Wanted::default();
    wanted.add("password", PASSWORD.as_bytes());
    wanted.add("password", PASSWORD.replace('&', "&amp;").replace('<', "&lt;").as_bytes());
    wanted.add("second factor", CODE.as_bytes());
    wanted.add("second factor", CODE.replace('&', "&amp;").as_bytes());
    let process = connect(&person, &company, &wanted)?;
    wanted.add("user", USER.as_bytes());
    let mut left = String::new();
    for again in [false, true] {
        if again {
            let reconnected = person.run(&["reconnect"])?;
            ensure!(reconnected.status.success(), "{}", said(&reconnected));
        }
        let session = stored(&person).await?;
        wanted.add("token", session.token.expose());
        if let Some(ticket) = &session.ticket {
            // What goes with it. The ticket itself is shown to everybody on the way when it is used (RFC 5723 4.3).
            wanted.add("SK_d", ticket.sk_d.expose());
        }
        let keys = add_keys(&mut wanted, &person)?;
        ensure!(keys >= 4, "keys of two SAs: {keys}");
        let connected = wanted.search(process)?;
        println!(
            "connected (again: {again}): {} octets of memory\n{}",
            connected.octets,
            connected.beside(&[])
        );
        ensure!(
            connected.has("user") && connected.has("token"),
            "else nothing is proved by not finding them"
        );
        let kept = ["user", "token", "SK_d", "key of"];
        left += &connected.beside(&kept);
    }
    let gone = person.run(&["disconnect"])?;
    ensure!(gone.status.success(), "{}", said(&gone));
    let after = wanted.search(process)?;
    println!("after disconnect: {} octets of memory\n{}", after.octets, after.beside(&[]));
    ensure!(after.has("user"), "the user's name is remembered, and shows that this agent was searched");
    ensure!(left.is_empty(), "what was typed is not forgotten once there is a tunnel:\n{left}");
    let left = after.beside(&["user"]);
    ensure!(left.is_empty(), "left in the agent's memory after `ikeep disconnect`:\n{left}");
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_login_is_left_in_the_agents_memory() -> Result<()> {
    if !as_root("nothing_of_a_login_is_left_in_the_agents_memory") {
        return Ok(());
    }
    story("", &[]).await?;
    story("resumption = \"first\"\n", &["--tickets", "600"]).await
}
