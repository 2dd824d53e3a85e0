//! Law 1: after the user said disconnect nothing is left to come back with, whatever the agent was about to do.

mod person;

use anyhow::{Result, ensure};
use person::{Company, Person, said};

#[test]
fn a_disconnect_without_a_gateway_forgets_the_session_too() -> Result<()> {
    let mut company = Company::open(&[])?;
    let person = Person::new(company.ports)?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}", said(&login));
    ensure!(!person.sessions().is_empty(), "a session is kept");

    // An agent that starts against a silent gateway has a session and no SA.
    person.kill_agent()?;
    company.ask("fault silent on", "silent")?;
    let waiting = person.run(&["connect", "--wait", "1"])?;
    ensure!(waiting.status.code() == Some(4), "{}", said(&waiting));
    ensure!(person.status()?["state"] == "reconnecting", "{}", person.status()?);

    let bye = person.run(&["disconnect"])?;
    ensure!(bye.status.success(), "{}", said(&bye));
    ensure!(person.sessions().is_empty(), "the session is still there: {:?}", person.sessions());
    company.ask("fault silent off", "silent")?;
    let again = person.run(&["connect"])?;
    ensure!(again.status.code() == Some(3), "a login is wanted: {}", said(&again));
    Ok(())
}
