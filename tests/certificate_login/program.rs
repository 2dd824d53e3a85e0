//! The real program against the real embedded gateway.

use crate::openssl::{Ca, P256, RSA, User};
use crate::person::{Company, PASSWORD, Person, said};
use anyhow::{Result, ensure};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// A connect to a gateway with the seed's profile.
fn connect(person: &Person, company: &Company, more: &[&str], typed: &str) -> Result<Output> {
    connect_by(person, company, &Person::profile().display().to_string(), more, typed)
}

fn connect_by(
    person: &Person,
    company: &Company,
    profile: &str,
    more: &[&str],
    typed: &str,
) -> Result<Output> {
    let ca = company.ca().display().to_string();
    let args = ["connect", "--profile", profile, "--trust", &ca];
    person.type_in(&[&args[..], more].concat(), typed)
}

/// Adds lines to the section of the gateway in the config file.
fn configure(person: &Person, lines: &str) -> Result<()> {
    let file = person.path("config/ikeep/config.toml");
    Ok(fs::write(&file, fs::read_to_string(&file)? + lines)?)
}

fn named(user: &User) -> [String; 4] {
    [
        "--certificate".into(),
        user.certificate.display().to_string(),
        "--key".into(),
        user.key.display().to_string(),
    ]
}

fn words(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

#[test]
fn a_certificate_is_all_that_it_takes_and_the_session_comes_back_by_token() -> Result<()> {
    let ca = Ca::new("users");
    // One with an RSA key, and one whose signature only RFC 7427 can name.
    for kind in [RSA, P256] {
        let anna = ca.user("anna", kind, "clientAuth");
        let mut company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
        let person = Person::new(company.ports)?;
        let login = connect(&person, &company, &words(&named(&anna)), "")?;
        ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
        ensure!(
            company.ask("show events", "SaUp")?.contains("user: \"anna\""),
            "the name of the certificate"
        );
        let again = person.run(&["reconnect"])?;
        ensure!(again.status.success() && said(&again).contains("by token"), "{}", said(&again));
    }
    Ok(())
}

#[test]
fn a_certificate_and_then_a_password() -> Result<()> {
    let ca = Ca::new("users");
    let anna = ca.user("anna", RSA, "clientAuth");
    let company = Company::open(&["--client-ca", &ca.pem()])?;
    let person = Person::new(company.ports)?;
    configure(&person, &format!("certificate = \"{}\"\n", anna.both.display()))?;
    let login = connect(&person, &company, &["--user", "test", "--password-stdin"], PASSWORD)?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    Ok(())
}

#[test]
fn no_certificate_and_one_of_somebody_else_are_told_apart() -> Result<()> {
    let (ca, other) = (Ca::new("users"), Ca::new("others"));
    let company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
    let person = Person::new(company.ports)?;
    let none = connect(&person, &company, &[], "")?;
    ensure!(none.status.code() == Some(3) && said(&none).contains("--certificate FILE"), "{}", said(&none));
    let stranger = other.user("anna", RSA, "clientAuth");
    let foreign = connect(&person, &company, &words(&named(&stranger)), "")?;
    let text = said(&foreign);
    ensure!(foreign.status.code() == Some(3) && text.contains("Certificate Validation Failure"), "{text}");
    Ok(())
}

#[test]
fn of_several_certificates_the_profiles_rules_choose() -> Result<()> {
    let ca = Ca::new("users");
    ca.user("anna", RSA, "clientAuth");
    ca.user("bert", RSA, "clientAuth,emailProtection");
    let wallet = ca.file("wallet");
    fs::create_dir(&wallet)?;
    for name in ["anna.pem", "bert.pem"] {
        fs::rename(ca.file(name), wallet.join(name))?;
    }
    let mut company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
    let rules = |usage: &str| {
        format!(
            "<CertificateMatch><ExtendedKeyUsage><ExtendedMatchKey>{usage}</ExtendedMatchKey></ExtendedKeyUsage>\
             </CertificateMatch></ClientInitialization>"
        )
    };
    for (usage, wanted) in [("ClientAuth", Some("anna")), ("EmailProtect", Some("bert")), ("CodeSign", None)]
    {
        let person = Person::new(company.ports)?;
        configure(&person, &format!("certificates = [\"{}\"]\n", wallet.display()))?;
        let profile = person.path("profile.xml");
        let text = fs::read_to_string(Person::profile())?;
        fs::write(&profile, text.replace("</ClientInitialization>", &rules(usage)))?;
        let login = connect_by(&person, &company, &profile.display().to_string(), &[], "")?;
        match wanted {
            Some(name) => {
                ensure!(login.status.success(), "{usage}: {}", said(&login));
                company.ask("show events", &format!("Login {{ user: \"{name}\""))?;
            }
            None => {
                let text = said(&login);
                ensure!(login.status.code() == Some(3), "{text}");
                ensure!(text.contains("anna: it lacks the extended key usage CodeSign"), "{text}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_passphrase_of_a_key_is_asked_for_and_a_restore_does_without() -> Result<()> {
    let ca = Ca::new("users");
    let anna = ca.user("anna", RSA, "clientAuth");
    let company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
    let person = Person::new(company.ports)?;
    let locked = ca.file("locked.pem");
    let lock = Command::new("openssl")
        .args(["pkey", "-aes256", "-passout", "pass:open sesame", "-in"])
        .args([&anna.key, Path::new("-out"), &locked])
        .status()?;
    ensure!(lock.success(), "{lock}");
    fs::set_permissions(&locked, Permissions::from_mode(0o600))?;
    configure(
        &person,
        &format!("certificate = \"{}\"\nkey = \"{}\"\n", anna.certificate.display(), locked.display()),
    )?;
    let nobody = connect(&person, &company, &[], "")?;
    ensure!(nobody.status.code() == Some(3) && said(&nobody).contains("assphrase"), "{}", said(&nobody));
    let wrong = connect(&person, &company, &["--password-stdin"], "open barley\n")?;
    let text = said(&wrong);
    ensure!(wrong.status.code() == Some(3) && text.contains("That is not its passphrase."), "{text}");
    let login = connect(&person, &company, &["--password-stdin"], "open sesame\n")?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    // Another agent of the same person, with nobody to ask.
    person.kill_agent()?;
    let back = connect(&person, &company, &[], "")?;
    ensure!(back.status.success(), "{}", said(&back));
    for secret in ["open sesame", "open barley"] {
        ensure!(!person.events().contains(secret), "the event log");
    }
    Ok(())
}

#[test]
fn a_pkcs12_file_logs_in_with_its_passphrase_and_comes_back_without() -> Result<()> {
    let ca = Ca::new("users");
    let anna = ca.user("anna", RSA, "clientAuth");
    let company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
    let person = Person::new(company.ports)?;
    let bundle = ca.file("anna.p12");
    let pack = Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:open sesame", "-in"])
        .args([&anna.certificate, Path::new("-inkey"), &anna.key, Path::new("-out"), &bundle])
        .status()?;
    ensure!(pack.success(), "{pack}");
    let named = ["--certificate", bundle.to_str().unwrap_or_default()];
    fs::set_permissions(&bundle, Permissions::from_mode(0o644))?;
    let open = connect(&person, &company, &named, "")?;
    ensure!(said(&open).contains("chmod 600"), "{}", said(&open));
    fs::set_permissions(&bundle, Permissions::from_mode(0o600))?;
    let with_word = [&named[..], &["--password-stdin"]].concat();
    let wrong = connect(&person, &company, &with_word, "open barley\n")?;
    let text = said(&wrong);
    ensure!(wrong.status.code() == Some(3) && text.contains("That is not its passphrase."), "{text}");
    let login = connect(&person, &company, &with_word, "open sesame\n")?;
    ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
    person.kill_agent()?;
    let back = connect(&person, &company, &[], "")?;
    ensure!(back.status.success(), "{}", said(&back));
    ensure!(!person.events().contains("open sesame"), "the event log");
    Ok(())
}
