//! The example of docs/stream.md, run as it stands there.

use crate::person::{Company, Person, said};
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

/// Ended with its owner.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_example_of_the_docs_follows_a_live_agent() -> Result<()> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stream.md"))?;
    let (_, rest) = page.split_once("```python stream\n").context("an example")?;
    let (example, _) = rest.split_once("```").context("its end")?;
    let company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    let folder = Path::new(crate::person::IKEEP).parent().context("its folder")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut python = person.program("python3", &["-c", example]);
    let mut reader = Reader(python.env("PATH", path).stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(reader.0.stdout.take().context("its output")?).lines();
    let first = lines.next().context("a line at once")??;
    ensure!(first == "connected IKEv2_Gateway 192.168.20.5", "{first:?}");
    ensure!(person.run(&["disconnect"])?.status.success());
    let ended = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("disconnected")));
    ensure!(ended.is_some(), "the change is told");
    person.kill_agent()?;
    // The stream ends with the agent, and the example with the stream.
    ensure!(lines.all(|line| line.is_ok()) && reader.0.wait()?.success());
    Ok(())
}
