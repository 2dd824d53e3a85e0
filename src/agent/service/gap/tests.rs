use super::super::stage::{Parts, service};
use super::*;
use crate::agent::driver::Output;
use crate::agent::network::Report;
use crate::agent::service::portal::Portal;
use crate::client::Event;
use crate::ipc::helper::{Applied, Refusal, RefusalKind};
use crate::plan::Plan;
use crate::reconnect::State;
use tokio::sync::mpsc;

const LOGIN: &str = "http://login.test/";

/// A service that was connected, behind a portal that was just found.
async fn captive(policy: &str) -> (Service, Parts) {
    let (mut service, mut parts) = service(policy).await;
    let plan = Plan { address4: Some("192.168.20.5".parse().unwrap()), ..Plan::default() };
    let plan = Event::Plan { plan: Box::new(plan), changed: Vec::new(), notes: Vec::new() };
    for event in [plan, Event::State(State::Connected)] {
        let now = service.clock.now();
        service.output(Some(Output::Event(now, event))).await;
    }
    let (number, _) = parts.helper.plan().await;
    service.ground(Report::Applied(number, Applied::default())).await;
    service.portal = Portal::found_at(LOGIN);
    (service, parts)
}

/// `ikeep portal`.
async fn ask(service: &mut Service, seconds: Option<u16>) -> mpsc::Receiver<Reply> {
    let (way, replies) = mpsc::channel(1);
    service.open_gap(seconds, way).await;
    replies
}

async fn refusal(service: &mut Service) -> String {
    match ask(service, None).await.try_recv() {
        Ok(Reply::Failed(failure)) => failure.message,
        other => panic!("{other:?}"),
    }
}

/// The seconds of the gap that the helper is asked for, which it makes.
async fn opens(service: &mut Service, parts: &mut Parts) -> Option<u16> {
    let (number, _, gap) = parts.helper.plan_and_gap().await;
    service.ground(Report::Applied(number, Applied::default())).await;
    gap.map(|gap| gap.seconds)
}

#[tokio::test]
async fn a_gap_is_told_when_it_is_there_and_closed_by_whatever_ends_the_portal() {
    let (mut service, mut parts) = captive("false").await;
    assert_eq!(service.portal_status()["command"], COMMAND);
    let mut asker = ask(&mut service, Some(60)).await;
    assert!(asker.try_recv().is_err() && service.portal_status()["gap_s"].is_null(), "it is not there yet");
    assert_eq!(opens(&mut service, &mut parts).await, Some(60));
    let there = Reply::Gap { seconds: 60, location: Some(LOGIN.to_owned()) };
    assert_eq!(asker.try_recv(), Ok(there));
    let left = service.portal_status()["gap_s"].as_u64().unwrap();
    assert!((50..=60).contains(&left), "{left}");
    service.forget_portal().await;
    assert_eq!(opens(&mut service, &mut parts).await, None);
    assert!(service.portal_status().is_null());
    // So does the page that comes as it is.
    service.portal = Portal::found_at(LOGIN);
    ask(&mut service, Some(60)).await;
    opens(&mut service, &mut parts).await;
    service.probed(crate::sense::portal::Verdict::Open).await;
    assert_eq!(opens(&mut service, &mut parts).await, None);
    let events = parts.events();
    for reason in [Reason::GapOpened, Reason::GapClosed] {
        assert_eq!(events.matches(reason.text()).count(), 2, "{events}");
    }
}

#[tokio::test]
async fn a_gap_that_cannot_be_opened_is_not_wanted_any_more() {
    let (mut service, mut parts) = captive("false").await;
    let mut asker = ask(&mut service, Some(60)).await;
    let (number, ..) = parts.helper.plan_and_gap().await;
    let refusal = Refusal { kind: RefusalKind::Machine, message: "the disk is full".to_owned() };
    service.ground(Report::Failed(number, HelperError::Refused(refusal))).await;
    let Ok(Reply::Failed(failure)) = asker.try_recv() else { panic!("no answer") };
    assert!(failure.message.contains("the disk is full"), "{failure}");
    assert_eq!(opens(&mut service, &mut parts).await, None);
    assert!(service.connection.as_ref().unwrap().laid.failed.is_none(), "the tunnel is as it was");
}

/// `ikeep portal --close`.
async fn close(service: &mut Service) -> mpsc::Receiver<Reply> {
    let (way, replies) = mpsc::channel(1);
    service.end_gap(way).await;
    replies
}

#[tokio::test]
async fn a_gap_is_told_as_closed_when_the_helper_has_closed_it() {
    let (mut service, mut parts) = captive("false").await;
    ask(&mut service, Some(60)).await;
    opens(&mut service, &mut parts).await;
    let mut closer = close(&mut service).await;
    let (number, _, gap) = parts.helper.plan_and_gap().await;
    assert!(gap.is_none() && closer.try_recv().is_err(), "it is still open");
    assert!(!parts.events().contains(Reason::GapClosed.text()));
    service.ground(Report::Applied(number, Applied::default())).await;
    assert_eq!(closer.try_recv(), Ok(Reply::Done));
    assert!(parts.events().contains(Reason::GapClosed.text()));
}

#[tokio::test]
async fn whoever_closes_a_gap_hears_that_it_is_not_closed() {
    let (mut service, mut parts) = captive("false").await;
    ask(&mut service, Some(60)).await;
    opens(&mut service, &mut parts).await;
    let mut closer = close(&mut service).await;
    let (number, ..) = parts.helper.plan_and_gap().await;
    let refusal = Refusal { kind: RefusalKind::Machine, message: "no".to_owned() };
    service.ground(Report::Failed(number, HelperError::Refused(refusal))).await;
    let Ok(Reply::Failed(failure)) = closer.try_recv() else { panic!("nothing was told") };
    assert!(failure.message.contains("not closed yet"), "{}", failure.message);
    assert!(!parts.events().contains(Reason::GapClosed.text()));
    // It is tried again, and whoever asks once more hears of that.
    assert_eq!(service.portal_status()["gap_s"], 0);
    let mut closer = close(&mut service).await;
    assert!(closer.try_recv().is_err(), "it is still open");
    service.ground_again();
    assert_eq!(opens(&mut service, &mut parts).await, None);
    assert!(parts.events().contains(Reason::GapClosed.text()));
    assert_eq!(closer.try_recv(), Ok(Reply::Done));
    assert!(service.portal_status()["gap_s"].is_null());
}

#[tokio::test]
async fn a_gap_that_ends_with_its_helper_is_told() {
    let (mut service, mut parts) = captive("false").await;
    ask(&mut service, Some(60)).await;
    opens(&mut service, &mut parts).await;
    service.ground(Report::Gone(HelperError::Gone)).await;
    assert_eq!(service.portal_status()["gap_s"], 0, "what it made stays until it is there again");
    assert_eq!(opens(&mut service, &mut parts).await, None);
}

#[tokio::test]
async fn without_a_portal_or_a_tunnel_there_is_nothing_to_open() {
    let (mut service, _parts) = captive("false").await;
    service.portal = Portal::default();
    assert!(refusal(&mut service).await.contains("no captive portal is known"));
    service.portal = Portal::found_at(LOGIN);
    service.connection.as_mut().unwrap().ground = None;
    let told = refusal(&mut service).await;
    assert!(told.contains("nothing has to be opened") && told.contains(LOGIN), "{told}");
    service.connection = None;
    assert!(refusal(&mut service).await.contains("nothing is connected"));
}

/// An always-on profile.
fn always_on(portal: &str) -> String {
    format!("true<AlwaysOn>true<ConnectFailurePolicy>Closed{portal}</ConnectFailurePolicy></AlwaysOn>")
}

#[tokio::test]
async fn honours_captive_portal_remediation_timeout() {
    let remediation = |minutes| {
        always_on(&format!(
            "<AllowCaptivePortalRemediation>true<CaptivePortalRemediationTimeout>{minutes}\
             </CaptivePortalRemediationTimeout></AllowCaptivePortalRemediation>"
        ))
    };
    for (policy, seconds) in
        [("false".to_owned(), 300), (remediation(2), 120), (remediation(0), 60), (remediation(1440), 600)]
    {
        let (mut service, mut parts) = captive(&policy).await;
        ask(&mut service, None).await;
        assert_eq!(opens(&mut service, &mut parts).await, Some(seconds), "{policy}");
    }
}

#[tokio::test]
async fn honours_allow_captive_portal_remediation() {
    let (mut service, _parts) = captive(&always_on("")).await;
    assert!(service.portal_status()["command"].is_null());
    assert!(refusal(&mut service).await.contains("AllowCaptivePortalRemediation"));
    let allowed = "<AllowCaptivePortalRemediation>true</AllowCaptivePortalRemediation>";
    let (mut service, mut parts) = captive(&always_on(allowed)).await;
    ask(&mut service, None).await;
    assert_eq!(opens(&mut service, &mut parts).await, Some(300));
}
