use super::super::stage::Stage;
use super::*;
use crate::client::Event;
use crate::ipc::Reply;
use crate::ipc::helper::{Refusal, RefusalKind};
use serde_json::Value;
use tokio::time::timeout;

/// Less than anything here waits for.
const MOMENT: Duration = Duration::from_millis(100);
/// In this time, which nobody waits for in truth, everything has happened that ever will.
const LONG: Duration = Duration::from_secs(1000);

fn refused() -> HelperError {
    HelperError::Refused(Refusal { kind: RefusalKind::Machine, message: "the disk is full".to_owned() })
}

const PROBLEM: &str = "The machine's network cannot be set up for the tunnel: ";

#[tokio::test(start_paused = true)]
async fn connected_is_announced_when_the_machine_is_as_the_plan_wants_it() {
    let mut stage = Stage::new().await;
    stage.log_in().await;
    let (number, network) = stage.parts.helper.plan().await;
    assert_eq!(network.addresses, ["192.168.20.5".parse::<std::net::IpAddr>().unwrap()]);
    assert!(timeout(LIMIT - MOMENT, stage.answer()).await.is_err(), "announced without routes");
    let status = stage.status().await;
    assert_eq!((&status["state"], &status["error"]), (&"connecting".into(), &Value::Null));
    stage.parts.helper.say(Report::Applied(number, Applied::default())).await;
    let answer = timeout(MOMENT, stage.answer()).await.expect("at once");
    assert!(matches!(answer, Reply::Connected(_)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_first_plan_that_takes_too_long_ends_the_connection_and_says_why() {
    let mut stage = Stage::new().await;
    stage.log_in().await;
    stage.parts.helper.plan().await;
    assert!(timeout(LIMIT - MOMENT, stage.parts.helper.put_back()).await.is_err(), "given up too soon");
    timeout(2 * MOMENT, stage.parts.helper.put_back()).await.expect("given up in time");
    let answer = timeout(MOMENT, stage.answer()).await.expect("an answer in time");
    let Reply::Failed(failure) = answer else { panic!("{answer:?}") };
    assert_eq!(failure.message, format!("{PROBLEM}{}", HelperError::Late));
    let status = stage.status().await;
    assert_eq!(
        (&status["state"], &status["error"]["message"]),
        (&"disconnected".into(), &failure.message.into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_later_plan_that_takes_too_long_is_told_and_the_connection_goes_on() {
    let mut stage = Stage::new().await;
    stage.connected().await;
    let plan = Plan { address4: Some("192.168.20.6".parse().unwrap()), ..Plan::default() };
    stage.gateway(Event::Plan { plan: Box::new(plan), changed: vec!["address4"], notes: Vec::new() }).await;
    let (number, _) = stage.parts.helper.plan().await;
    tokio::time::sleep(LIMIT - MOMENT).await;
    assert_eq!(stage.status().await["error"], Value::Null, "told too soon");
    tokio::time::sleep(2 * MOMENT).await;
    let problem = format!("{PROBLEM}{}", HelperError::Late);
    let status = stage.status().await;
    assert_eq!(status["error"]["message"], problem);
    assert_eq!((&status["error"]["code"], &status["confirmed"]), (&"network".into(), &false.into()));
    assert!(stage.events().contains(&problem), "{}", stage.events());
    // It was only slow.
    stage.parts.helper.say(Report::Applied(number, Applied::default())).await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(stage.status().await["error"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_every_five_seconds_until_it_works() {
    let mut stage = Stage::new().await;
    stage.connected().await;
    stage.parts.outputs.send(Output::Mtu(1300)).await.unwrap();
    let (mut number, network) = stage.parts.helper.plan().await;
    assert_eq!(network.mtu, 1300);
    for _ in 0..3 {
        stage.parts.helper.say(Report::Failed(number, refused())).await;
        assert!(timeout(AGAIN - MOMENT, stage.parts.helper.plan()).await.is_err(), "too soon");
        assert_eq!(stage.status().await["error"]["message"], format!("{PROBLEM}{}", refused()));
        let (next, again) = timeout(2 * MOMENT, stage.parts.helper.plan()).await.expect("the next try");
        assert!(next > number);
        assert_eq!(again, network);
        number = next;
    }
    assert_eq!(stage.events().matches("the disk is full").count(), 1, "said once: {}", stage.events());
    stage.parts.helper.say(Report::Applied(number, Applied::default())).await;
    assert!(timeout(LONG, stage.parts.helper.plan()).await.is_err(), "what works is left alone");
    assert_eq!(stage.status().await["error"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_wish_that_was_replaced_says_nothing() {
    let mut stage = Stage::new().await;
    stage.connected().await;
    stage.parts.outputs.send(Output::Mtu(1300)).await.unwrap();
    let (older, _) = stage.parts.helper.plan().await;
    stage.parts.outputs.send(Output::Mtu(1280)).await.unwrap();
    let (newer, _) = stage.parts.helper.plan().await;
    stage.parts.helper.say(Report::Failed(older, refused())).await;
    stage.parts.helper.say(Report::Applied(newer, Applied::default())).await;
    assert!(timeout(LONG, stage.parts.helper.plan()).await.is_err());
    assert_eq!(stage.status().await["error"], Value::Null);
    assert!(!stage.events().contains(PROBLEM), "{}", stage.events());
}
