//! The laws of `reconnect`, one by one.

mod rest;
mod window;

use super::*;

/// A seeded generator: splitmix64 is enough for jitter.
struct Seeded(u64);

impl Random for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *byte = (z ^ (z >> 27)) as u8;
        }
    }
}

struct Bench {
    policy: Policy,
    now: Instant,
    context: Context,
    random: Seeded,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let now = Instant::from_boot(Duration::from_secs(1000));
        let context =
            Context { token_until: Some(now + Duration::from_secs(1020)), old_sa: true, proof: Proof::None };
        Self { policy: Policy::new(rules), now, context, random: Seeded(7) }
    }

    fn connected(rules: Rules) -> Self {
        let mut bench = Self::new(rules);
        let until = bench.context.token_until.take();
        assert_eq!(bench.tell(Trigger::Connect), [Action::StartLogin]);
        assert_eq!(bench.tell(Trigger::Up), []);
        bench.context.token_until = until;
        bench
    }

    fn tell(&mut self, trigger: Trigger) -> Vec<Action> {
        self.policy.handle(self.now, trigger, &self.context, &mut self.random);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.policy.poll_action()).collect()
    }

    /// Goes to the next deadline and does what is due.
    fn next(&mut self) -> (Duration, Vec<Action>) {
        let (at, _) = self.policy.poll_timeout(&self.context).expect("a deadline");
        let waited = at.since(self.now);
        self.now = self.now.max(at);
        self.policy.handle_timeout(self.now, &self.context);
        (waited, self.drain())
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn name(&self) -> &'static str {
        self.policy.state().name()
    }
}

fn after_resume() -> Rules {
    Rules { on_suspend: OnSuspend::Reconnect, ..Rules::default() }
}

#[test]
fn a_new_path_asks_the_old_sa_and_begins_a_new_one_at_once() {
    let mut bench = Bench::connected(after_resume());
    assert_eq!(bench.tell(Trigger::Path { usable: true }), [Action::CheckOld, Action::StartToken]);
    assert_eq!(bench.name(), "reconnecting");
}

#[test]
fn a_proof_before_the_init_answer_ends_the_attempt() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Path { usable: true });
    bench.context.proof = Proof::Weak;
    assert_eq!(bench.tell(Trigger::OldProved), [], "an IKE answer on a new address is not enough");
    bench.context.proof = Proof::Strong;
    assert_eq!(bench.tell(Trigger::OldProved), [Action::DropAttempt]);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn a_proof_after_the_init_answer_is_ignored() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Resume);
    bench.tell(Trigger::InitAnswered);
    bench.context.proof = Proof::Strong;
    assert_eq!(bench.tell(Trigger::OldProved), []);
    assert_eq!(bench.name(), "reconnecting");
    bench.tell(Trigger::Up);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn a_second_path_sends_the_same_octets_again() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Path { usable: true });
    bench.pass(200);
    assert_eq!(bench.tell(Trigger::Path { usable: true }), [Action::CheckOld, Action::RepeatAttempt]);
}

#[test]
fn without_a_path_nothing_begins_and_the_window_runs() {
    let mut bench = Bench::connected(after_resume());
    assert_eq!(bench.tell(Trigger::Path { usable: false }), []);
    assert_eq!(bench.name(), "waiting-for-network");
    let (waited, actions) = bench.next();
    assert_eq!(waited, Duration::from_secs(1020));
    assert_eq!(actions, [Action::EraseSession]);
}

#[test]
fn the_path_that_returns_is_used_at_once() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Path { usable: false });
    bench.pass(60_000);
    assert_eq!(bench.tell(Trigger::Path { usable: true }), [Action::CheckOld, Action::StartToken]);
}

#[test]
fn two_attempts_are_50_ms_apart() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Path { usable: true });
    bench.pass(10);
    bench.tell(Trigger::Failed(Failed::NoAnswer));
    assert_eq!(bench.tell(Trigger::Path { usable: true }), [Action::CheckOld]);
    let (waited, actions) = bench.next();
    assert_eq!((waited, actions), (Duration::from_millis(40), vec![Action::StartToken]));
}

#[test]
fn the_back_off_is_jittered_doubles_and_is_bounded() {
    let mut sums = [Duration::ZERO; 9];
    for seed in 0..200 {
        let mut bench = Bench::connected(after_resume());
        bench.random = Seeded(seed * 7919);
        bench.tell(Trigger::Outage);
        for (failures, sum) in sums.iter_mut().enumerate() {
            bench.pass(60);
            bench.tell(Trigger::Failed(Failed::NoAnswer));
            let (waited, actions) = bench.next();
            let bound = Duration::from_millis(500 << failures).min(Duration::from_secs(30));
            assert!(waited <= bound, "{waited:?} after {failures} failures");
            assert_eq!(actions, [Action::StartToken]);
            *sum += waited;
        }
    }
    for (failures, sum) in sums.iter().enumerate() {
        let bound = Duration::from_millis(500 << failures).min(Duration::from_secs(30));
        let mean = *sum / 200;
        assert!(
            mean > bound / 3 && mean < bound * 2 / 3,
            "mean {mean:?} of bound {bound:?}: not full jitter"
        );
    }
}

#[test]
fn flapping_resets_the_back_off_once_in_five_seconds() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Outage);
    let mut starts = 0;
    for _ in 0..40 {
        bench.pass(100);
        bench.tell(Trigger::Failed(Failed::NoAnswer));
        bench.pass(10);
        let actions = bench.tell(Trigger::Path { usable: true });
        starts += actions.iter().filter(|a| **a == Action::StartToken).count();
    }
    assert_eq!(starts, 1, "4.4 s of flapping");
}

#[test]
fn a_refusal_is_retried_after_the_gaps_of_the_config() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Outage);
    for gap in [1, 3, 8, 20, 40, 60] {
        bench.tell(Trigger::Failed(Failed::Refused));
        assert_eq!(bench.name(), "reconnecting");
        let (waited, actions) = bench.next();
        assert_eq!((waited, actions), (Duration::from_secs(gap), vec![Action::StartToken]));
    }
    assert_eq!(bench.tell(Trigger::Failed(Failed::Refused)), [Action::DropAttempt, Action::Close]);
    assert_eq!(bench.policy.state(), &State::AuthRequired { why: Why::TokenRefused });
    // Once after each change of network; its refusal leads back at once, and the token is not erased.
    for _ in 0..3 {
        bench.context.old_sa = false;
        bench.pass(1000);
        assert_eq!(bench.tell(Trigger::Path { usable: true }), [Action::StartToken]);
        assert_eq!(bench.tell(Trigger::Failed(Failed::Refused)), [Action::DropAttempt, Action::Close]);
        assert_eq!(bench.name(), "auth-required");
    }
}

#[test]
fn after_a_refusal_an_answer_of_the_old_sa_brings_it_back() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Path { usable: true });
    bench.tell(Trigger::InitAnswered);
    bench.context.proof = Proof::Weak;
    assert_eq!(bench.tell(Trigger::Failed(Failed::Refused)), [Action::DropAttempt]);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn a_proof_from_before_a_long_attempt_is_asked_for_again() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Path { usable: true });
    bench.tell(Trigger::InitAnswered);
    bench.context.proof = Proof::Strong;
    bench.pass(12_000);
    assert_eq!(bench.tell(Trigger::Failed(Failed::NoAnswer)), [Action::CheckOld]);
    assert_eq!(bench.name(), "reconnecting");
    assert_eq!(bench.tell(Trigger::OldProved), [Action::DropAttempt]);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn the_end_of_the_window_erases_the_token() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::GatewayDeleted);
    bench.context.old_sa = false;
    bench.tell(Trigger::Failed(Failed::NoAnswer));
    bench.context.token_until = Some(bench.now);
    let (_, actions) = bench.next();
    assert_eq!(actions, [Action::EraseSession, Action::DropAttempt, Action::Close]);
    assert_eq!(bench.policy.state(), &State::AuthRequired { why: Why::WindowOver });
}

#[test]
fn a_failed_login_is_not_repeated() {
    let mut bench = Bench::new(after_resume());
    bench.context = Context::default();
    assert_eq!(bench.tell(Trigger::Connect), [Action::StartLogin]);
    bench.tell(Trigger::Failed(Failed::Login));
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::LoginFailed) });
    assert_eq!(bench.policy.poll_timeout(&bench.context), None);
    assert_eq!(bench.tell(Trigger::Path { usable: true }), []);
}

#[test]
fn connect_with_a_live_session_needs_no_login() {
    let mut bench = Bench::new(after_resume());
    bench.context.old_sa = false;
    assert_eq!(bench.tell(Trigger::Connect), [Action::StartToken]);
}

#[test]
fn disconnect_deletes_and_erases_and_is_silent_afterwards() {
    let mut bench = Bench::connected(after_resume());
    assert_eq!(bench.tell(Trigger::Disconnect), [Action::DropAttempt, Action::EraseSession, Action::Delete]);
    let (waited, actions) = bench.next();
    assert_eq!(waited, DELETE_PATIENCE);
    assert_eq!(actions, [Action::DropAttempt, Action::Close]);
    for trigger in [Trigger::Path { usable: true }, Trigger::Resume, Trigger::Outage, Trigger::Reconnect] {
        assert_eq!(bench.tell(trigger), [], "{trigger:?}");
    }
}

#[test]
fn disconnect_on_suspend_ends_the_session_before_or_after_sleep() {
    for trigger in [Trigger::Suspend, Trigger::Resume] {
        let mut bench = Bench::connected(Rules::default());
        assert!(bench.tell(trigger).contains(&Action::Delete), "{trigger:?}");
    }
}

#[test]
fn reconnect_after_resume_waits_through_the_sleep() {
    let mut bench = Bench::connected(after_resume());
    assert_eq!(bench.tell(Trigger::Suspend), [Action::DropAttempt]);
    assert_eq!(bench.name(), "suspended");
    bench.pass(600_000);
    assert_eq!(bench.tell(Trigger::Resume), [Action::CheckOld, Action::StartToken]);
}

#[test]
fn without_auto_reconnect_an_outage_ends_it_and_a_new_path_only_asks() {
    let mut bench = Bench::connected(Rules { auto_reconnect: false, ..after_resume() });
    assert_eq!(bench.tell(Trigger::Path { usable: true }), [Action::CheckOld]);
    assert_eq!(bench.name(), "connected");
    bench.tell(Trigger::Outage);
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::NoAutoReconnect) });
}

#[test]
fn without_a_token_the_old_sa_is_the_last_hope() {
    let mut bench = Bench::connected(after_resume());
    bench.context.token_until = None;
    assert_eq!(bench.tell(Trigger::Path { usable: true }), [Action::CheckOld]);
    assert_eq!(bench.name(), "reconnecting");
    bench.tell(Trigger::Outage);
    assert_eq!(bench.policy.state(), &State::AuthRequired { why: Why::NoToken });
}

#[test]
fn the_users_reconnect_wants_a_new_sa() {
    let mut bench = Bench::connected(after_resume());
    assert_eq!(bench.tell(Trigger::Reconnect), [Action::StartToken]);
    bench.context.proof = Proof::Strong;
    assert_eq!(bench.tell(Trigger::OldProved), []);
}

#[test]
fn the_users_reconnect_that_is_refused_leaves_the_old_sa_in_place() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Reconnect);
    bench.tell(Trigger::InitAnswered);
    bench.tell(Trigger::Failed(Failed::Refused));
    bench.context.proof = Proof::Strong;
    assert_eq!(bench.tell(Trigger::OldProved), [Action::DropAttempt]);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn impatience_does_not_use_up_the_gaps() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::GatewayDeleted);
    bench.context.old_sa = false;
    bench.tell(Trigger::Failed(Failed::Refused));
    for _ in 0..20 {
        bench.pass(40);
        bench.tell(Trigger::Reconnect);
        bench.tell(Trigger::Failed(Failed::Refused));
        assert_eq!(bench.name(), "reconnecting");
    }
    let State::Reconnecting(r) = bench.policy.state() else { panic!("{:?}", bench.policy.state()) };
    assert_eq!(r.refusals, 1);
    assert_eq!(r.next, r.gap);
}

#[test]
fn a_window_that_ended_in_sleep_leaves_the_old_sa_its_answer() {
    let mut bench = Bench::connected(after_resume());
    bench.tell(Trigger::Suspend);
    bench.pass(3_000_000);
    assert_eq!(bench.tell(Trigger::Resume), [Action::CheckOld]);
    let (_, actions) = bench.next();
    assert_eq!(actions, [Action::EraseSession, Action::CheckOld]);
    bench.context.token_until = None;
    bench.context.proof = Proof::Strong;
    bench.tell(Trigger::OldProved);
    assert_eq!(bench.name(), "connected");
}

#[test]
fn a_login_and_a_refused_token_obey_disconnect_on_suspend() {
    let mut bench = Bench::new(Rules::default());
    bench.context = Context::default();
    bench.tell(Trigger::Connect);
    bench.tell(Trigger::Resume);
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::Suspend) });
}

#[test]
fn a_disconnect_for_sleep_says_so_when_the_gateway_has_answered() {
    let mut bench = Bench::connected(Rules::default());
    bench.tell(Trigger::Resume);
    assert_eq!(bench.name(), "disconnecting");
    bench.tell(Trigger::Deleted);
    assert_eq!(bench.policy.state(), &State::Disconnected { why: Some(Why::Suspend) });
}
