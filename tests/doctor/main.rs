//! `ikeep doctor HOST`: each thing that can be in the way of a login is named, with what mends it.

#[path = "../interop/mod.rs"]
mod interop;
mod learn;
#[path = "../person/mod.rs"]
mod person;
mod stream;
mod strongswan;
mod world;

use anyhow::{Context as _, Result, ensure};
use ikeep::lab::pki::IssuedBy;
use std::net::UdpSocket;
use std::time::Duration;
use world::{Site, Visit, sound};

const HOST: &str = "IKEv2_Gateway";

#[test]
fn a_sound_gateway_is_walked_to_its_proof_and_knows_nobody_afterwards() -> Result<()> {
    let site = Site::new(|_, _| {}, |_| {})?;
    let visit = Visit::to(&site, site.ports)?;
    ensure!(visit.code == Some(0) && visit.document["stopped"].is_null(), "{visit:#?}");
    ensure!(visit.steps() == sound(), "{visit:#?}");
    ensure!(visit.found("certificate").contains("valid until"), "{visit:#?}");
    ensure!(visit.document["offers"]["suite"].to_string().contains("Aes"), "{visit:#?}");
    let (logins, refused) = site.logins()?;
    ensure!((logins, refused) == (0, 0), "{logins} logins, {refused} refusals");
    Ok(())
}

#[test]
fn a_gateway_that_wants_a_cookie_is_walked_all_the_same() -> Result<()> {
    let site = Site::new(|_, _| {}, |faults| faults.cookie = true)?;
    let visit = Visit::to(&site, site.ports)?;
    ensure!(visit.code == Some(0), "{visit:#?}");
    ensure!(visit.found("UDP 500").contains("wanted a cookie"), "{visit:#?}");
    Ok(())
}

#[test]
fn a_certificate_for_somebody_else_stops_the_walk() -> Result<()> {
    let site = Site::new(|leaf, _| leaf.names = vec!["other.example.com".into()], |_| {})?;
    let visit = Visit::to(&site, site.ports)?;
    visit.stopped("certificate", 5, &["other.example.com", "HostAddress"])
}

#[test]
fn an_expired_certificate_stops_the_walk_and_the_clock_is_told() -> Result<()> {
    let day = Duration::from_secs(86_400);
    let site = Site::new(
        |leaf, now| {
            leaf.not_before = ikeep::time::UnixTime::from_secs(now.as_secs() - 20 * day.as_secs());
            leaf.not_after = ikeep::time::UnixTime::from_secs(now.as_secs() - 10 * day.as_secs());
        },
        |_| {},
    )?;
    let visit = Visit::to(&site, site.ports)?;
    ensure!(visit.found("clock").contains('Z'), "{visit:#?}");
    visit.stopped("certificate", 5, &["expired on", "timedatectl"])
}

#[test]
fn a_certificate_that_nobody_trusts_stops_the_walk() -> Result<()> {
    let site = Site::new(|leaf, _| leaf.issuer = IssuedBy::OtherCa, |_| {})?;
    let visit = Visit::to(&site, site.ports)?;
    visit.stopped("certificate", 5, &["is not known here", "--trust CA.pem"])
}

#[test]
fn a_blocked_nat_port_stops_the_walk() -> Result<()> {
    let site = Site::new(|_, _| {}, |_| {})?;
    let hole = UdpSocket::bind("127.0.0.1:0")?;
    let visit = Visit::to(&site, (site.ports.0, hole.local_addr()?))?;
    ensure!(visit.health("UDP 500") == "fine", "{visit:#?}");
    visit.stopped("UDP 4500", 4, &["does not answer", "tcpdump"])
}

#[test]
fn a_silent_gateway_stops_the_walk() -> Result<()> {
    let site = Site::new(|_, _| {}, |faults| faults.silent = true)?;
    let visit = Visit::to(&site, site.ports)?;
    visit.stopped("UDP 500", 4, &["has not answered", "another network"])
}

#[test]
fn a_blocked_first_port_is_told_from_a_silent_gateway() -> Result<()> {
    let site = Site::new(|_, _| {}, |_| {})?;
    let hole = UdpSocket::bind("127.0.0.1:0")?;
    let visit = Visit::to(&site, (hole.local_addr()?, site.ports.1))?;
    visit.stopped("UDP 500", 4, &["though", "does"])
}

#[test]
fn a_name_that_nobody_knows_stops_the_walk() -> Result<()> {
    let site = Site::new(|_, _| {}, |_| {})?;
    // The profile takes hosts by hand; RFC 2606 keeps this one free.
    let visit = Visit::of("vpn.invalid", &site, site.ports)?;
    visit.stopped("name", 4, &["getent ahosts"])
}

#[test]
fn a_profile_that_is_not_there_stops_the_walk() -> Result<()> {
    let site = Site::new(|_, _| {}, |_| {})?;
    let person = person::Person::new(site.ports)?;
    let output = person.run(&["doctor", HOST, "--profile", "none.xml", "--json"])?;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(output.status.code() == Some(1) && document["stopped"]["at"] == "profile", "{document:#}");
    ensure!(document["findings"][0]["mend"] == "ikeep profile list", "{document:#}");
    Ok(())
}

#[test]
fn people_read_where_it_stops() -> Result<()> {
    let site = Site::new(|leaf, _| leaf.names = vec!["other.example.com".into()], |_| {})?;
    let person = person::Person::new(site.ports)?;
    let profile = person::Person::profile().display().to_string();
    let output = person.run(&["doctor", HOST, "--profile", &profile, "--trust", &site.ca()])?;
    let text = String::from_utf8(output.stdout).context("UTF-8")?;
    ensure!(text.contains("MISSING  certificate: ") && text.contains("\n         mend it: "), "{text}");
    ensure!(text.ends_with("The way to IKEv2_Gateway stops at: certificate.\n"), "{text}");
    Ok(())
}
