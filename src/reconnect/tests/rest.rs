//! Portals and trusted networks.

use super::*;

const CAPTIVE: Trigger = Trigger::Portal { captive: true };
const OPEN: Trigger = Trigger::Portal { captive: false };

fn trusting(on_trusted: OnTrusted) -> Bench {
    Bench::connected(Rules { on_trusted, ..after_resume() })
}

/// A first attempt that nobody answered.
fn silent() -> Bench {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Outage);
    bench.tell(CAPTIVE);
    assert_eq!(bench.name(), "captive-portal");
    bench
}

#[test]
fn behind_a_portal_attempts_go_on_at_the_pace_of_the_back_off() {
    let mut bench = silent();
    bench.tell(Trigger::Failed(Failed::NoAnswer));
    assert_eq!(bench.name(), "captive-portal");
    let (waited, actions) = bench.next();
    assert!(waited <= Duration::from_millis(500), "{waited:?}");
    assert_eq!((actions, bench.name()), (vec![Action::StartToken], "captive-portal"));
    // The finding was wrong: the gateway answers.
    assert_eq!(bench.tell(Trigger::Up), []);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn an_opened_portal_is_acted_on_at_once() {
    let mut bench = silent();
    assert_eq!(bench.tell(OPEN), [Action::RepeatAttempt]);
    assert_eq!(bench.name(), "reconnecting");
    let mut bench = silent();
    bench.tell(Trigger::Failed(Failed::NoAnswer));
    bench.pass(60);
    assert_eq!(bench.tell(OPEN), [Action::StartToken]);
}

#[test]
fn another_network_has_no_portal_until_one_is_found() {
    let mut bench = silent();
    bench.tell(Trigger::Path { usable: true });
    assert_eq!(bench.name(), "reconnecting");
    let mut bench = silent();
    bench.tell(Trigger::Path { usable: false });
    assert_eq!(bench.name(), "waiting-for-network");
    // Where nothing is wrong a finding about the network changes nothing.
    let mut bench = Bench::connected(after_resume());
    assert_eq!((bench.tell(CAPTIVE), bench.name()), (vec![], "connected"));
}

#[test]
fn behind_a_portal_the_window_ends_and_the_user_can_give_up() {
    let mut bench = silent();
    bench.context.old_sa = false;
    bench.pass(1_020_000);
    bench.policy.handle_timeout(bench.now, &bench.context);
    assert_eq!(bench.drain(), [Action::EraseSession, Action::DropAttempt, Action::Close]);
    assert_eq!(bench.policy.state(), &State::AuthRequired { why: Why::WindowOver });
    let mut bench = silent();
    bench.tell(Trigger::Disconnect);
    assert_eq!(bench.name(), "disconnecting");
}

#[test]
fn a_trusted_network_pauses_and_leaving_it_brings_the_tunnel_back_by_token() {
    let mut bench = trusting(OnTrusted::Pause);
    assert_eq!(bench.tell(Trigger::Trusted(true)), [Action::DropAttempt, Action::Close]);
    assert_eq!(bench.name(), "suspended");
    bench.context.old_sa = false;
    // Neither the network's changes nor a night's sleep wake it there.
    assert_eq!(bench.tell(Trigger::Path { usable: true }), []);
    assert_eq!(bench.tell(Trigger::Suspend), []);
    assert_eq!(bench.tell(Trigger::Resume), []);
    assert_eq!(bench.tell(Trigger::Trusted(true)), []);
    assert_eq!(bench.tell(Trigger::Trusted(false)), [Action::StartToken]);
    assert_eq!(bench.name(), "reconnecting");
}

#[test]
fn a_pause_that_outlasts_the_window_ends_the_session_and_asks_nobody() {
    let mut bench = trusting(OnTrusted::Pause);
    bench.tell(Trigger::Trusted(true));
    bench.context.old_sa = false;
    let (_, actions) = bench.next();
    assert_eq!(actions, [Action::EraseSession, Action::DropAttempt, Action::Close]);
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::TrustedNetwork) });
}

#[test]
fn a_pause_is_no_way_around_the_end_that_comes_with_sleep() {
    let mut bench = Bench::connected(Rules {
        on_trusted: OnTrusted::Pause,
        on_suspend: OnSuspend::Disconnect,
        ..after_resume()
    });
    bench.tell(Trigger::Trusted(true));
    bench.context.old_sa = false;
    assert!(bench.tell(Trigger::Suspend).contains(&Action::EraseSession));
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::Suspend) });
}

#[test]
fn a_refused_token_is_not_tried_where_the_profile_wants_no_tunnel() {
    let mut bench = trusting(OnTrusted::Pause);
    bench.policy.state = State::AuthRequired { why: Why::TokenRefused };
    bench.tell(Trigger::Trusted(true));
    // The new way is known before what its network says about itself.
    assert_eq!(bench.tell(Trigger::Path { usable: true }), []);
    assert_eq!(bench.tell(Trigger::Trusted(false)), [Action::StartToken]);
}

#[test]
fn a_pause_is_the_users_to_end() {
    let mut bench = trusting(OnTrusted::Pause);
    bench.tell(Trigger::Trusted(true));
    bench.context.old_sa = false;
    assert_eq!(bench.tell(Trigger::Connect), [Action::StartToken]);
    let mut bench = trusting(OnTrusted::Pause);
    bench.tell(Trigger::Trusted(true));
    bench.context.old_sa = false;
    bench.tell(Trigger::Disconnect);
    assert_eq!(bench.policy.state(), &State::Disconnected { why: None });
}

#[test]
fn a_machine_that_wakes_in_a_trusted_network_stays_paused() {
    let mut bench = trusting(OnTrusted::Pause);
    bench.tell(Trigger::Suspend);
    bench.tell(Trigger::Trusted(true));
    assert_eq!(bench.tell(Trigger::Resume), []);
    assert_eq!(bench.name(), "suspended");
}

#[test]
fn a_trusted_network_ends_the_session_where_the_profile_says_so() {
    let mut bench = trusting(OnTrusted::Disconnect);
    assert_eq!(
        bench.tell(Trigger::Trusted(true)),
        [Action::DropAttempt, Action::EraseSession, Action::Delete]
    );
    bench.tell(Trigger::Deleted);
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::TrustedNetwork) });
    // Without a token a pause could not be ended by anybody but the person.
    let mut bench = trusting(OnTrusted::Pause);
    bench.context.token_until = None;
    bench.tell(Trigger::Trusted(true));
    assert_eq!(bench.name(), "disconnecting");
}

#[test]
fn a_trusted_network_changes_nothing_where_the_profile_says_nothing() {
    let mut bench = trusting(OnTrusted::Stay);
    assert_eq!((bench.tell(Trigger::Trusted(true)), bench.name()), (vec![], "connected"));
    // And a login under way is the person's own wish.
    let mut bench = Bench::new(Rules { on_trusted: OnTrusted::Pause, ..after_resume() });
    bench.context.token_until = None;
    bench.tell(Trigger::Connect);
    assert_eq!((bench.tell(Trigger::Trusted(true)), bench.name()), (vec![], "connecting"));
}

#[test]
fn an_agent_that_starts_in_a_trusted_network_does_there_what_the_profile_wants() {
    for (on_trusted, state) in [(OnTrusted::Pause, "suspended"), (OnTrusted::Stay, "reconnecting")] {
        let mut bench = Bench::new(Rules { on_trusted, ..after_resume() });
        bench.context.old_sa = false;
        bench.tell(Trigger::Trusted(true));
        bench.tell(Trigger::Connect);
        assert_eq!(bench.name(), state);
    }
    let mut bench = Bench::new(Rules { on_trusted: OnTrusted::Disconnect, ..after_resume() });
    bench.context.old_sa = false;
    bench.tell(Trigger::Trusted(true));
    assert!(bench.tell(Trigger::Connect).contains(&Action::EraseSession));
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::TrustedNetwork) });
}

#[test]
fn what_ends_after_the_window_ends_because_of_the_window() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Path { usable: false });
    bench.pass(1_020_000);
    bench.policy.handle_timeout(bench.now, &bench.context);
    assert_eq!(bench.drain(), [Action::EraseSession]);
    // The old SA was the last hope, and does not answer.
    bench.context.token_until = None;
    bench.tell(Trigger::Path { usable: true });
    bench.tell(Trigger::Outage);
    assert_eq!(bench.policy.state(), &State::AuthRequired { why: Why::WindowOver });
}

#[test]
fn a_refused_renewal_goes_back_to_the_old_sa() {
    let mut bench = Bench::connected(after_resume());
    assert_eq!(bench.tell(Trigger::Renew), [Action::CheckOld, Action::StartToken]);
    // Its answer was lost: it is asked again with each refusal.
    assert_eq!(bench.tell(Trigger::Failed(Failed::Refused)), [Action::CheckOld]);
    bench.context.proof = Proof::Strong;
    assert_eq!(bench.tell(Trigger::OldProved), [Action::DropAttempt]);
    assert_eq!(bench.name(), "connected");
    // And where it has answered before the refusal.
    bench.context.proof = Proof::None;
    bench.tell(Trigger::Renew);
    bench.context.proof = Proof::Strong;
    assert_eq!(bench.tell(Trigger::OldProved), [], "a new one is wanted");
    assert_eq!(bench.tell(Trigger::Failed(Failed::Refused)), [Action::DropAttempt]);
    assert_eq!(bench.name(), "connected");
}
