use super::super::stage::service;
use super::*;
use crate::agent::driver::Command;
use crate::client::Order;
use crate::reconnect::{Pause, Why};
use std::fs;
use std::time::Duration;
use tokio::sync::mpsc;

/// What `ikeep connect --profile FILE` asks for here.
fn named(service: &Service) -> Connect {
    let target = &service.connection.as_ref().unwrap().target;
    Connect {
        profile: Some(target.profile_file.clone()),
        config: target.wishes.config.clone(),
        ..Connect::default()
    }
}

#[tokio::test]
async fn a_login_after_the_session_is_one_with_what_the_profile_says_now() {
    let (mut service, _parts) = service("false").await;
    let connection = service.connection.as_mut().unwrap();
    connection.state = State::AuthRequired { why: Why::LoginFailed };
    let file = connection.target.profile_file.clone();
    assert_eq!(connection.target.settings.exchange_timeout, Duration::from_secs(12));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(">12</AuthenticationTimeout>", ">30</AuthenticationTimeout>")).unwrap();
    let wishes = Connect { tunnel: Some(crate::config::Tunnel::None), ..named(&service) };
    service.connect(&wishes, mpsc::channel(8).0).await;
    let target = &service.connection.as_ref().unwrap().target;
    assert_eq!(target.settings.exchange_timeout, Duration::from_secs(30));
}

#[tokio::test]
async fn who_asks_for_it_in_a_trusted_network_gets_it_without_the_profile_too() {
    let (mut service, _parts) = service("false").await;
    let wishes = named(&service);
    let since = service.clock.now().at;
    let (commands, mut commanded) = mpsc::channel(8);
    let connection = service.connection.as_mut().unwrap();
    connection.commands = commands;
    connection.state = State::Suspended { since, pause: Pause::TrustedNetwork };
    fs::remove_file(&connection.target.profile_file).unwrap();
    let (way, mut replied) = mpsc::channel(8);
    service.connect(&wishes, way).await;
    assert!(matches!(commanded.try_recv(), Ok(Command::Order(Order::Connect))));
    let Ok(Reply::Notice { text, .. }) = replied.try_recv() else { panic!("no notice") };
    assert!(text.contains("the next login will not work: cannot read the profile "), "{text}");
}

#[tokio::test]
async fn another_file_that_comes_first_by_now_is_told_as_that() {
    let (service, _parts) = service("false").await;
    let connection = service.connection.as_ref().unwrap();
    let mut target = connection.target.clone();
    assert_eq!(connection.news(&target), None);
    target.profile_file = "/elsewhere/newer.xml".into();
    let text = connection.news(&target).unwrap();
    assert!(
        text.starts_with("the next login takes the profile /elsewhere/newer.xml, which comes before "),
        "{text}"
    );
}
