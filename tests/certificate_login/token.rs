//! Certificates on a token: the real program against the real embedded gateway.

use crate::card::{Card, PIN, der, softhsm, uri};
use crate::openssl::{Ca, P256, RSA, User};
use crate::person::{Company, PASSWORD, PATIENCE, Person, Stopwatch, said};
use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, test_kill_process};
use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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

/// The seed's host is silent, and its backup server answers: what the person has given for the key does for both, once.
#[test]
fn a_backup_server_is_logged_in_to_with_the_pin_or_passphrase_that_was_given() -> Result<()> {
    let name = "a_backup_server_is_logged_in_to_with_the_pin_or_passphrase_that_was_given";
    let Some(module) = softhsm(name) else { return Ok(()) };
    let ca = Ca::new("users");
    let anna = ca.user("anna", RSA, "clientAuth");
    let card = Card::new(module)?;
    put(&card, &anna)?;
    let backup = "backup.example.com";
    let company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only", "--name", backup])?;
    let nobody = UdpSocket::bind("127.0.0.1:0")?;
    let silent = nobody.local_addr()?;
    let mut person = Person::new((silent, silent))?;
    card.insert(&mut person);
    let file = person.path("config/ikeep/config.toml");
    let (ike, nat) = (company.ports.0.port(), company.ports.1.port());
    let more = format!("[gateway.\"{backup}\"]\naddress = \"127.0.0.1\"\nport = {ike}\nnat_port = {nat}\n");
    fs::write(&file, fs::read_to_string(&file)? + &more)?;
    let profile = person.path("profile.xml");
    let list =
        format!("</HostAddress><BackupServerList><HostAddress>{backup}</HostAddress></BackupServerList>");
    fs::write(&profile, fs::read_to_string(Person::profile())?.replacen("</HostAddress>", &list, 1))?;
    let locked = person.path("locked.p12");
    let (certificate, key) = (anna.certificate.display().to_string(), anna.key.display().to_string());
    let mut export = Command::new("openssl");
    export.args(["pkcs12", "-export", "-passout", "pass:open sesame", "-in", &certificate, "-inkey", &key]);
    ensure!(export.arg("-out").arg(&locked).status()?.success());
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let (profile, ca) = (profile.display().to_string(), company.ca().display().to_string());
    for (certificate, secret) in [(uri(""), PIN), (locked.display().to_string(), "open sesame")] {
        let mut args = vec!["connect", "--profile", &profile, "--trust", &ca, "--password-stdin"];
        args.extend(["--certificate", &certificate]);
        let login = person.type_in(&args, &format!("{secret}\n"))?;
        ensure!(login.status.success(), "{certificate}: {}\n{}", said(&login), person.events());
        ensure!(person.status()?["host"] == backup, "{}", person.status()?);
        ensure!(person.run(&["disconnect"])?.status.success());
    }
    // Once to see that the PIN is right, once to sign.
    ensure!(card.calls("C_Login") == 2, "{} logins", card.calls("C_Login"));
    Ok(())
}

/// The helper that a card's log says it is for.
fn helper(log: &Path) -> Option<Pid> {
    let variable = format!("PKCS11SPY_OUTPUT={}", log.display());
    let has = |file: String, wanted: &str| {
        let text = fs::read(file).unwrap_or_default();
        text.split(|octet| *octet == 0).any(|word| word == wanted.as_bytes())
    };
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let it = has(format!("/proc/{pid}/cmdline"), "pkcs11-helper")
            && has(format!("/proc/{pid}/environ"), &variable);
        if it { Pid::from_raw(pid) } else { None }
    })
}

fn until<T>(what: &str, limit: Duration, mut found: impl FnMut() -> Option<T>) -> Result<T> {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = found() {
            return Ok(found);
        }
        ensure!(watch.elapsed() < limit, "not within {limit:?}: {what}");
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "another program's process tells nobody that it begins or ends"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// The module hangs while it is to sign (its log has become a pipe that nobody reads); the person gives up.
#[test]
fn a_signature_that_nobody_wants_any_more_ends_at_once() -> Result<()> {
    let Some(module) = softhsm("a_signature_that_nobody_wants_any_more_ends_at_once") else { return Ok(()) };
    let ca = Ca::new("users");
    let card = Card::new(module)?;
    put(&card, &ca.user("anna", RSA, "clientAuth"))?;
    let company = Company::open(&["--client-ca", &ca.pem(), "--certificate-only"])?;
    let person = with_card(&card, &company)?;
    company.freeze(true)?;
    let (profile, ca) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let uri = uri("");
    let args = ["connect", "--profile", &profile, "--trust", &ca, "--certificate", &uri, "--password-stdin"];
    let mut command = person.command(&args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    child.stdin.take().context("its input")?.write_all(format!("{PIN}\n").as_bytes())?;
    let log = card.folder.path().join("calls");
    let connecting = || person.status().is_ok_and(|status| status["state"] == "connecting").then_some(());
    let hanging = until("a login", PATIENCE, connecting).and_then(|()| {
        ensure!(card.calls("C_Login") == 1, "the PIN is known");
        fs::rename(&log, card.folder.path().join("calls before"))?;
        ensure!(Command::new("mkfifo").arg(&log).status()?.success());
        company.freeze(false)?;
        until("a helper", PATIENCE, || helper(&log))
    });
    child.kill()?;
    child.wait()?;
    let hanging = hanging?;
    // A signature may take 20 s.
    let gone = || test_kill_process(hanging).is_err().then_some(());
    until("the end of the helper", Duration::from_secs(8), gone)
}

/// The config file names a card that is at home: that matters to a gateway that asks for a certificate, and to no other.
#[test]
fn a_card_that_is_away_is_in_the_way_of_no_login_that_does_without_it() -> Result<()> {
    let Some(module) = softhsm("a_card_that_is_away_is_in_the_way_of_no_login_that_does_without_it") else {
        return Ok(());
    };
    let ca = Ca::new("users");
    let card = Card::new(module)?;
    let away = "pkcs11:token=Bert?module-path=/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
    let client_ca = ca.pem();
    for (asks, words) in
        [(&[][..], ""), (&["--client-ca", &client_ca, "--certificate-only"], "there is no token")]
    {
        let company = Company::open(asks)?;
        let person = with_card(&card, &company)?;
        let file = person.path("config/ikeep/config.toml");
        fs::write(&file, fs::read_to_string(&file)? + &format!("certificate = \"{away}\"\n"))?;
        let login = person.log_in(&company.ca())?;
        ensure!(
            login.status.success() == asks.is_empty() && said(&login).contains(words),
            "{}",
            said(&login)
        );
        let events = person.events();
        ensure!(
            events.contains("the certificate is not used") && events.contains("there is no token"),
            "{events}"
        );
    }
    // One that is remembered and has gone bad.
    let company = Company::open(&[])?;
    let person = with_card(&card, &company)?;
    let anna = ca.user("anna", RSA, "clientAuth");
    let (profile, trust) = (Person::profile().display().to_string(), company.ca().display().to_string());
    let named = anna.both.display().to_string();
    let mut args =
        vec!["connect", "--profile", &profile, "--trust", &trust, "--user", "test", "--password-stdin"];
    args.extend(["--certificate", &named]);
    ensure!(person.type_in(&args, PASSWORD)?.status.success());
    ensure!(person.run(&["disconnect"])?.status.success());
    fs::write(&anna.both, "no certificate any more")?;
    let login = person.type_in(&["connect", "--password-stdin"], PASSWORD)?;
    ensure!(login.status.success(), "{}", said(&login));
    ensure!(said(&login).contains("the certificate is not used"), "{}", said(&login));
    // Named now, it is told at once.
    let refused = person.run(&["disconnect"]).and_then(|_| person.type_in(&args, PASSWORD))?;
    ensure!(!refused.status.success(), "{}", said(&refused));
    Ok(())
}
