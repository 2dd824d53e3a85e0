//! Certificates on a token: the real program against the real embedded gateway.

use crate::card::{Card, PIN, der, softhsm, uri};
use crate::openssl::{Ca, P256, RSA, User};
use crate::person::{Company, Person, said};
use anyhow::{Result, ensure};
use std::fs;
use std::process::Output;

fn put(card: &Card, user: &User) -> Result<()> {
    card.put((&user.certificate, &user.key), "01", "login")
}

fn with_card(card: &Card, company: &Company) -> Result<Person> {
    let mut person = Person::new(company.ports)?;
    card.insert(&mut person);
    Ok(person)
}

fn connect(person: &Person, company: &Company, uri: &str, typed: &str) -> Result<Output> {
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--certificate", uri, "--password-stdin"];
    person.type_in(&args, typed)
}

#[test]
fn a_key_on_a_token_logs_in_and_the_session_comes_back_without_card_or_pin() -> Result<()> {
    let Some(module) = softhsm("a_key_on_a_token_logs_in_and_the_session_comes_back_without_card_or_pin")
    else {
        return Ok(());
    };
    let ca = Ca::new("users");
    for kind in [RSA, P256] {
        let card = Card::new(module.clone())?;
        put(&card, &ca.user("anna", kind, "clientAuth"))?;
        let mut company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
        let person = with_card(&card, &company)?;
        let login = connect(&person, &company, &uri(""), &format!("{PIN}\n"))?;
        ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
        company.ask("show events", "SaUp")?;
        ensure!(!person.events().contains(PIN), "the event log");
        // Once to see that the PIN is right, once to sign.
        ensure!(card.calls("C_Login") == 2, "{} logins", card.calls("C_Login"));
        // The card goes home: by token from the same agent, and from another one.
        let loads = card.calls("C_Initialize");
        fs::rename(card.folder.path().join("tokens"), card.folder.path().join("gone"))?;
        fs::create_dir(card.folder.path().join("tokens"))?;
        let again = person.run(&["reconnect"])?;
        ensure!(again.status.success() && said(&again).contains("by token"), "{}", said(&again));
        ensure!(card.calls("C_Initialize") == loads, "a reconnect has touched the card");
        // Another agent comes back by itself; a wish says that the next login would miss the card, and tries no PIN.
        person.kill_agent()?;
        let there = connect(&person, &company, &uri(""), "")?;
        ensure!(there.status.success() && said(&there).contains("there is no token"), "{}", said(&there));
        ensure!(card.calls("C_Login") == 2, "{} logins", card.calls("C_Login"));
    }
    Ok(())
}

#[test]
fn a_wrong_pin_is_told_and_never_tried_again() -> Result<()> {
    let Some(module) = softhsm("a_wrong_pin_is_told_and_never_tried_again") else { return Ok(()) };
    let ca = Ca::new("users");
    let card = Card::new(module)?;
    put(&card, &ca.user("anna", RSA, "clientAuth"))?;
    let company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
    let person = with_card(&card, &company)?;
    // The same answer to each question, as a program gives it.
    let wrong = connect(&person, &company, &uri(""), "000000\n000000\n000000\n")?;
    let text = said(&wrong);
    ensure!(
        wrong.status.code() == Some(3) && text.contains("not the PIN of the token Anna's card"),
        "{text}"
    );
    ensure!(card.calls("C_Login") == 1, "it was tried {} times", card.calls("C_Login"));
    // Nobody to ask: nothing is tried.
    let nobody = connect(&person, &company, &uri(""), "")?;
    ensure!(nobody.status.code() == Some(3) && said(&nobody).contains("PIN"), "{}", said(&nobody));
    ensure!(card.calls("C_Login") == 1, "it was tried without a PIN");
    let login = connect(&person, &company, &uri(""), &format!("{PIN}\n"))?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    Ok(())
}

#[test]
fn what_is_wrong_with_a_token_is_told_apart() -> Result<()> {
    let Some(module) = softhsm("what_is_wrong_with_a_token_is_told_apart") else { return Ok(()) };
    let ca = Ca::new("users");
    let card = Card::new(module)?;
    let anna = ca.user("anna", RSA, "clientAuth");
    put(&card, &anna)?;
    let company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
    let person = with_card(&card, &company)?;
    let spy = "module-path=/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
    for (uri, code, words) in [
        ("pkcs11:?module-path=/nowhere/x.so".to_owned(), 1, "/nowhere/x.so cannot be loaded"),
        ("pkcs11:?module-path=/etc/passwd".into(), 1, "cannot be loaded"),
        (format!("pkcs11:token=Bert?{spy}"), 1, "there are: Anna's card"),
        (format!("pkcs11:object=other?{spy}"), 1, "has no certificate pkcs11:object=other"),
        (format!("pkcs11:?{spy}&pin-value={PIN}"), 2, "take pin-value"),
        ("pkcs11:colour=red".into(), 2, "colour"),
    ] {
        let refused = connect(&person, &company, &uri, &format!("{PIN}\n"))?;
        let text = said(&refused);
        ensure!(
            refused.status.code() == Some(code) && text.contains(words) && !text.contains(PIN),
            "{uri}: {text}"
        );
    }
    ensure!(card.calls("C_Login") == 0, "a PIN was given for nothing");
    // A certificate whose key is not there, and one whose ID another key has.
    let module = card.module.display().to_string();
    let bert = der(&ca.user("bert", RSA, "clientAuth").certificate, false, card.folder.path())?;
    let bert = bert.display().to_string();
    for (id, label) in [("02", "alone"), ("01", "foreign")] {
        let mut args = vec!["--module", &module, "--login", "--pin", PIN, "--write-object", &bert];
        args.extend(["--type", "cert", "--id", id, "--label", label]);
        card.run("pkcs11-tool", &args)?;
    }
    for (object, words) in [("alone", "no private key"), ("foreign", "does not belong to the certificate")] {
        let refused = connect(&person, &company, &uri(&format!(";object={object}")), &format!("{PIN}\n"))?;
        ensure!(!refused.status.success() && said(&refused).contains(words), "{object}: {}", said(&refused));
    }
    // The certificate in a file, and its key alone by its name.
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let (certificate, key) = (anna.certificate.display().to_string(), uri(";object=login"));
    let mut args = vec!["connect", "--profile", &profile, "--trust", &ca, "--password-stdin"];
    args.extend(["--certificate", &certificate, "--key", &key]);
    let login = person.type_in(&args, &format!("{PIN}\n"))?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    Ok(())
}
