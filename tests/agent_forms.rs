//! The forms of EAP-AnyConnect from the command line to the embedded gateway and back: a choice of groups, a second form, a banner,
//! and what is said where an answer is wrong.

mod person;

use anyhow::{Result, ensure};
use person::{Company, Person, said};
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse\n";

/// A gateway with a user, a second factor and two groups; the folder holds its files.
fn company() -> Result<(Company, TempDir)> {
    let folder = TempDir::with_prefix("ikeep-forms-")?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let (passwords, factors) = (file("passwords", PASSWORD)?, file("factors", "271828\n")?);
    let users = ["--user", "anna", "--passwords-file", &passwords, "--second-factors-file", &factors];
    let groups = ["--group", "staff", "--group", "board", "--banner", "Be <nice> & quiet"];
    Ok((Company::open(&[users, groups].concat())?, folder))
}

fn connect(person: &Person, ca: &Path, more: &[&str], typed: &str) -> Result<Output> {
    let (profile, ca) = (Person::profile().display().to_string(), ca.display().to_string());
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--user", "anna", "--password-stdin"];
    person.type_in(&[&args[..], more].concat(), typed)
}

#[test]
fn a_group_is_chosen_two_forms_are_answered_and_the_banner_is_shown() -> Result<()> {
    let (mut company, _folder) = company()?;
    let person = Person::new(company.ports)?;
    let login = connect(&person, &company.ca(), &["--group", "board"], &format!("{PASSWORD}271828\n"))?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    ensure!(said(&login).contains("Be <nice> & quiet"), "the banner: {}", said(&login));
    let events = company.ask("show events", "SaUp")?;
    ensure!(events.contains("Login { user: \"anna\", group: Some(\"board\")"), "{events}");
    Ok(())
}

#[test]
fn what_is_wrong_in_a_form_is_told_and_nothing_is_tried_twice() -> Result<()> {
    let (mut company, _folder) = company()?;
    let person = Person::new(company.ports)?;
    let twice = connect(&person, &company.ca(), &["--group", "staff"], &format!("{PASSWORD}314159\n"))?;
    ensure!(twice.status.code() == Some(3) && said(&twice).contains("Login failed."), "{}", said(&twice));
    // The second form's first answer is wrong, its second is right: the first form is not asked for again.
    let typed = format!("{PASSWORD}314159\n271828\n");
    let mended = connect(&person, &company.ca(), &["--group", "staff"], &typed)?;
    ensure!(mended.status.success(), "{}", said(&mended));
    let events = company.ask("show events", "SaUp")?;
    ensure!(events.matches("Login {").count() == 1 && events.contains("Some(\"staff\")"), "{events}");
    Ok(())
}
