//! ML-KEM-768 beside the usual key exchange (RFC 9370), with the real programs.

mod person;

use anyhow::{Context as _, Result, ensure};
use person::{Company, Person, said};
use std::fs;

/// Somebody whose config file has this `ml_kem`.
fn person(company: &Company, wish: &str) -> Result<Person> {
    let person = Person::new(company.ports)?;
    let file = person.path("config/ikeep/config.toml");
    fs::write(&file, fs::read_to_string(&file)? + &format!("ml_kem = \"{wish}\"\n"))?;
    Ok(person)
}

/// `ike.additional` of the status.
fn additional(person: &Person) -> Result<serde_json::Value> {
    Ok(person.status()?.pointer("/ike/additional").context("ike.additional")?.clone())
}

#[test]
fn a_login_a_reconnect_and_what_learn_sees_have_it() -> Result<()> {
    let company = Company::open(&["--ml-kem", "require"])?;
    let person = person(&company, "require")?;
    let login = person.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    ensure!(additional(&person)? == 36, "{}", person.status()?);
    let back = person.run(&["reconnect", "--wait", "20"])?;
    ensure!(back.status.success(), "{}\n{}", said(&back), person.events());
    ensure!(additional(&person)? == 36, "{}", person.status()?);
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let learn = ["gateway", "learn", "IKEv2_Gateway", "--profile", &profile, "--trust", &ca];
    let learnt =
        person.type_in(&[&learn[..], &["--user", "test", "--password-stdin"]].concat(), person::PASSWORD)?;
    ensure!(learnt.status.success(), "{}", said(&learnt));
    Ok(())
}

#[test]
fn who_requires_it_of_a_gateway_without_it_is_told_so_and_who_offers_it_goes_without() -> Result<()> {
    let company = Company::open(&[])?;
    let strict = person(&company, "require")?;
    let login = strict.log_in(&company.ca())?;
    let text = said(&login);
    ensure!(!login.status.success() && text.contains("ml_kem = \"require\""), "{text}\n{}", strict.events());
    let easy = person(&company, "offer")?;
    let login = easy.log_in(&company.ca())?;
    ensure!(login.status.success(), "{}\n{}", said(&login), easy.events());
    ensure!(additional(&easy)?.is_null(), "{}", easy.status()?);
    Ok(())
}
