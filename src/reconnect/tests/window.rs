//! The end of the reconnect window, while an old SA may still answer.

use super::*;

/// Whether a portal is in the way, and what the state is then.
const PLACES: [(bool, &str); 2] = [(false, "reconnecting"), (true, "captive-portal")];

/// A first attempt is under way that nobody answers.
fn unheard(captive: bool) -> Bench {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Outage);
    bench.tell(Trigger::Portal { captive });
    bench.drain();
    bench
}

/// An attempt that outlives the window leaves nothing to wake up for: only what the old SA says.
#[test]
fn an_attempt_that_fails_after_the_window_is_not_followed_by_another() {
    for (failed, (captive, state)) in [Failed::NoAnswer, Failed::Refused, Failed::Untrusted]
        .into_iter()
        .flat_map(|f| PLACES.map(|p| (f, p)))
    {
        let mut bench = unheard(captive);
        bench.pass(2_000_000);
        bench.policy.handle_timeout(bench.now, &bench.context);
        assert_eq!(bench.drain(), [Action::EraseSession, Action::CheckOld]);
        bench.context.token_until = None;
        assert_eq!(bench.tell(Trigger::Failed(failed)), [Action::CheckOld]);
        assert_eq!((bench.name(), bench.policy.poll_timeout(&bench.context)), (state, None));
        assert_eq!(bench.tell(Trigger::Outage), [Action::DropAttempt, Action::Close]);
        assert_eq!(*bench.policy.state(), State::AuthRequired { why: Why::WindowOver });
    }
}

#[test]
fn an_attempt_that_fails_after_the_window_and_without_an_sa_is_the_end() {
    for (captive, _) in PLACES {
        let mut bench = unheard(captive);
        bench.pass(2_000_000);
        bench.policy.handle_timeout(bench.now, &bench.context);
        bench.drain();
        (bench.context.token_until, bench.context.old_sa) = (None, false);
        assert_eq!(bench.tell(Trigger::Failed(Failed::NoAnswer)), [Action::DropAttempt, Action::Close]);
        assert_eq!(*bench.policy.state(), State::AuthRequired { why: Why::WindowOver });
    }
}

/// The end of the window takes the next attempt with it.
#[test]
fn an_attempt_that_was_to_begin_after_the_window_does_not() {
    for (captive, _) in PLACES {
        let mut bench = unheard(captive);
        bench.context.token_until = Some(bench.now + Duration::from_millis(1));
        bench.tell(Trigger::Failed(Failed::Refused)); // the next one in a second
        assert_eq!(bench.next().1, [Action::EraseSession, Action::CheckOld]);
        bench.context.token_until = None;
        assert_eq!(bench.policy.poll_timeout(&bench.context), None);
    }
}

/// Whoever asked for a new SA gets none without a token: the old one that answers is what there is.
#[test]
fn after_the_window_the_old_sa_ends_a_reconnect_by_hand() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Reconnect);
    bench.context.proof = Proof::Strong;
    bench.tell(Trigger::OldProved);
    assert_eq!(bench.name(), "reconnecting", "a new one is wanted");
    bench.tell(Trigger::Failed(Failed::NoAnswer));
    bench.pass(2_000_000);
    bench.policy.handle_timeout(bench.now, &bench.context);
    bench.drain();
    (bench.context.token_until, bench.context.proof) = (None, Proof::Weak);
    bench.tell(Trigger::OldProved);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn who_wants_a_connection_after_a_sleep_without_a_token_logs_in() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Suspend);
    bench.context = Context::default();
    let actions = bench.tell(Trigger::Connect);
    assert_eq!(actions, [Action::DropAttempt, Action::Close, Action::StartLogin]);
    assert_eq!(bench.name(), "connecting");
}
