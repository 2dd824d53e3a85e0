use super::*;
use crate::gateway::testing::Dice;
use proptest::prelude::*;
use std::time::Duration;

fn at(secs: u64) -> Instant {
    Instant::from_boot(Duration::from_secs(secs))
}

fn databases() -> Sessions {
    let pool4 = Pool::v4((Ipv4Addr::new(192, 168, 20, 5), Ipv4Addr::new(192, 168, 20, 10)));
    Sessions::new(pool4, Some(Pool::v6(("fd00::5".parse().unwrap(), "fd00::6".parse().unwrap()))))
}

fn login(reconnect: bool) -> Wanted {
    Wanted { user: "test".into(), address4: None, address6: None, reconnect, grant: Grant::default() }
}

#[test]
fn a_session_has_an_id_and_a_token_of_the_seeds_kind() {
    let (mut sessions, mut dice) = (databases(), Dice::new(1));
    let key = sessions.issue(login(true), 1, &mut dice).unwrap();
    let credentials = sessions.get(key).unwrap().credentials.clone().unwrap();
    assert_eq!(credentials.id.len(), 18);
    assert!(credentials.id.bytes().all(|b| b.is_ascii_alphabetic()));
    assert!(credentials.token.len() >= 32);
    assert!(credentials.token.expose().iter().all(u8::is_ascii_graphic));
    let (found, session) = sessions.find(credentials.id.as_bytes()).unwrap();
    assert_eq!((found, session.state), (key, State::Active(1)));
    let other = sessions.issue(login(true), 2, &mut dice).unwrap();
    assert_ne!(sessions.get(other).unwrap().id(), Some(credentials.id));
}

#[test]
fn an_inactive_session_keeps_its_address_until_its_window_is_over() {
    let (mut sessions, mut dice) = (databases(), Dice::new(2));
    let key = sessions.issue(login(true), 1, &mut dice).unwrap();
    let (id, address) = (sessions.get(key).unwrap().id().unwrap(), sessions.get(key).unwrap().address4);
    assert!(sessions.deactivate(key, at(900)));
    assert_eq!((sessions.counts(), sessions.next_expiry()), ((0, 1), Some(at(900))));
    let again = Wanted { address4: Some(address), ..login(true) };
    let other = sessions.issue(again, 2, &mut dice).unwrap();
    assert_ne!(sessions.get(other).unwrap().address4, address);
    assert_eq!(sessions.expire(at(899)), Vec::<String>::new());
    assert_eq!(sessions.expire(at(900)), std::slice::from_ref(&id));
    assert!(sessions.find(id.as_bytes()).is_none());
    let again = Wanted { address4: Some(address), ..login(true) };
    let third = sessions.issue(again, 3, &mut dice).unwrap();
    assert_eq!(sessions.get(third).unwrap().address4, address);
}

#[test]
fn coming_back_takes_a_session_out_of_the_waiting_line() {
    let (mut sessions, mut dice) = (databases(), Dice::new(3));
    let key = sessions.issue(login(true), 1, &mut dice).unwrap();
    sessions.deactivate(key, at(900));
    sessions.activate(key, 2);
    assert_eq!((sessions.counts(), sessions.next_expiry()), ((1, 0), None));
    assert!(sessions.expire(at(5000)).is_empty());
    sessions.deactivate(key, at(6000));
    sessions.deactivate(key, at(7000));
    assert_eq!(sessions.counts(), (0, 1));
    assert_eq!(sessions.expire_all().len(), 1);
    assert_eq!(sessions.counts(), (0, 0));
}

#[test]
fn without_reconnect_nothing_waits() {
    let (mut sessions, mut dice) = (databases(), Dice::new(4));
    let key = sessions.issue(login(false), 1, &mut dice).unwrap();
    assert!(sessions.get(key).unwrap().credentials.is_none());
    assert_eq!(sessions.counts(), (0, 0));
    assert!(!sessions.deactivate(key, at(900)));
    assert!(sessions.get(key).is_none());
    assert_eq!(sessions.pool4.taken(), 0);
}

#[test]
fn the_pool_is_the_limit_and_ipv6_is_a_gift() {
    let (mut sessions, mut dice) = (databases(), Dice::new(5));
    let with_v6 = || Wanted { address6: Some(None), ..login(true) };
    let keys: Vec<_> = (0..6).map(|n| sessions.issue(with_v6(), n, &mut dice).unwrap()).collect();
    assert!(sessions.issue(with_v6(), 7, &mut dice).is_none());
    let v6: Vec<_> = keys.iter().map(|k| sessions.get(*k).unwrap().address6.is_some()).collect();
    assert_eq!(v6, [true, true, false, false, false, false]);
    sessions.forget(keys[0]);
    assert!(sessions.issue(with_v6(), 8, &mut dice).unwrap() > keys[5]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Issue(bool),
    Activate(u64),
    Deactivate(u64, u64),
    Forget(u64),
    Expire(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Issue),
        (0..12u64).prop_map(Step::Activate),
        (0..12u64, 0..100u64).prop_map(|(k, t)| Step::Deactivate(k, t)),
        (0..12u64).prop_map(Step::Forget),
        (0..100u64).prop_map(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, the indexes agree with the sessions and every address has one owner.
    #[test]
    fn the_databases_stay_consistent(steps in proptest::collection::vec(step(), 0..60)) {
        let (mut sessions, mut dice) = (databases(), Dice::new(6));
        for step in steps {
            match step {
                Step::Issue(reconnect) => { sessions.issue(login(reconnect), 1, &mut dice); }
                Step::Activate(k) => sessions.activate(k, 9),
                Step::Deactivate(k, t) => { sessions.deactivate(k, at(t)); }
                Step::Forget(k) => { sessions.forget(k); }
                Step::Expire(t) => { sessions.expire(at(t)); }
            }
            let all = &sessions.sessions;
            prop_assert_eq!(sessions.pool4.taken(), all.len());
            let inactive = all.values().filter(|s| matches!(s.state, State::Inactive(_))).count();
            let capable = all.values().filter(|s| s.credentials.is_some()).count();
            prop_assert_eq!(sessions.counts(), (capable - inactive, inactive));
            prop_assert!(all.values().all(|s| s.id().is_none_or(|id| sessions.find(id.as_bytes()).is_some())));
        }
    }
}
