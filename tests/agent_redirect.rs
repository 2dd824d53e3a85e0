//! The real program is sent to another gateway by its host name (RFC 5685): it looks the name up, checks the certificate as
//! ever, and comes back by token to the gateway that issued it.

mod person;

use anyhow::{Result, ensure};
use person::{Company, Person, said};

#[test]
fn a_login_goes_where_it_is_sent_and_its_session_stays_there() -> Result<()> {
    for more in [&[][..], &["--redirect-after-login"]] {
        let member = Company::open(&[])?;
        let (port, nat_port) = (member.ports.0.port().to_string(), member.ports.1.port().to_string());
        let front =
            ["--listen", "127.0.0.2", "--port", &port, "--nat-port", &nat_port, "--redirect", "localhost"];
        let mut front = Company::within(&[], &[&front[..], more].concat())?;
        let person = Person::new(front.ports)?;

        let login = person.log_in(&front.ca())?;
        ensure!(login.status.success(), "{}\n{}", said(&login), person.events());
        let gateway = member.ports.1.to_string();
        ensure!(person.status()?["gateway"] == gateway.as_str(), "{}", person.status()?);
        ensure!(person.events().contains("sends the login to another one: localhost"), "{}", person.events());

        // The front door may be shut: the token is for the member.
        front.ask("fault silent on", "silent")?;
        person.kill_agent()?;
        let again = person.run(&["connect"])?;
        ensure!(again.status.success(), "{}", said(&again));
        let status = person.status()?;
        ensure!(status["gateway"] == gateway.as_str() && status["auth"] == "psk", "{status}");
    }
    Ok(())
}
