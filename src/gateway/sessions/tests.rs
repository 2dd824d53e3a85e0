use super::*;
use crate::gateway::aaa::Address4;
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
    let user = "test".into();
    Wanted { user, address4: None, address6: None, reconnect, grant: Grant::default(), login: true }
}

impl Sessions {
    /// A login or a ticket, at once.
    fn issue(&mut self, wanted: Wanted, connection: u64, dice: &mut Dice) -> Option<SessionKey> {
        let draft = self.draft(wanted, connection, dice).ok()?;
        Some(self.admit(draft).0)
    }
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
    assert_eq!(sessions.pool4.taken().len(), 0);
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

/// The address that AAA names for this user.
fn framed(user: &str, last: u8) -> Wanted {
    let address4 = Address4::Fixed([10, 77, 0, last].into());
    Wanted { user: user.into(), grant: Grant { address4, ..Grant::default() }, ..login(true) }
}

fn framed6(last: u16) -> Grant {
    Grant { address6: Some([0xfd77, 0, 0, 0, 0, 0, 0, last].into()), ..Grant::default() }
}

/// RFC 2865 5.8.
#[test]
fn the_client_chooses_or_the_gateway_does() {
    let (mut sessions, mut dice) = (databases(), Dice::new(7));
    let wish = Some([192, 168, 20, 9].into());
    for (address4, given) in [(Address4::Gateway, 5), (Address4::Client, 9)] {
        let grant = Grant { address4, ..Grant::default() };
        let key = sessions.issue(Wanted { address4: wish, grant, ..login(true) }, 1, &mut dice).unwrap();
        assert_eq!(sessions.get(key).unwrap().address4.octets()[3], given, "{address4:?}");
    }
}

#[test]
fn another_users_address_is_refused_with_both_their_names_and_changes_nothing() {
    let (mut sessions, mut dice) = (databases(), Dice::new(8));
    let (anna, bob) = (sessions.issue(framed("anna", 1), 1, &mut dice).unwrap(), framed("bob", 1));
    let taken = NoAddress::Taken { address: [10, 77, 0, 1].into(), owner: "anna".into() };
    assert_eq!(sessions.draft(bob.clone(), 2, &mut dice).unwrap_err(), taken);
    // Also while it only waits: it would come back with it.
    sessions.deactivate(anna, at(900));
    assert_eq!(sessions.draft(bob.clone(), 2, &mut dice).unwrap_err(), taken);
    sessions.expire(at(900));
    assert!(sessions.draft(bob, 2, &mut dice).is_ok());
}

#[test]
fn a_login_replaces_its_users_session_and_a_ticket_only_one_that_waits() {
    let (mut sessions, mut dice) = (databases(), Dice::new(9));
    let old = sessions.issue(framed("anna", 1), 1, &mut dice).unwrap();
    let ticket = Wanted { login: false, ..framed("anna", 1) };
    assert!(sessions.draft(ticket.clone(), 2, &mut dice).is_err());
    let draft = sessions.draft(framed("anna", 1), 2, &mut dice).unwrap();
    assert_eq!(draft.replaces(), [old]);
    assert!(sessions.get(old).unwrap().is_active(), "until the new one is settled");
    let (new, gone) = sessions.admit(draft);
    assert_eq!(gone.iter().map(|session| session.state).collect::<Vec<_>>(), [State::Active(1)]);
    assert!(sessions.get(old).is_none());
    sessions.deactivate(new, at(900));
    let (_, gone) = sessions.draft(ticket, 3, &mut dice).map(|draft| sessions.admit(draft)).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!((sessions.sessions.len(), sessions.pool4.taken().len(), sessions.counts()), (1, 1, (1, 0)));
}

#[test]
fn one_familys_address_is_not_given_up_for_another_that_cannot_be_had() {
    let (mut sessions, mut dice) = (databases(), Dice::new(10));
    let old = sessions.issue(framed("anna", 1), 1, &mut dice).unwrap();
    sessions.deactivate(old, at(900));
    let of_bob = Wanted { user: "bob".into(), address6: Some(None), grant: framed6(1), ..login(true) };
    sessions.issue(of_bob, 2, &mut dice).unwrap();
    let grant = Grant { address6: framed6(1).address6, ..framed("anna", 1).grant };
    let both = Wanted { address6: Some(None), grant, ..framed("anna", 1) };
    let owner = "bob".into();
    let taken = NoAddress::Taken { address: framed6(1).address6.unwrap().into(), owner };
    assert_eq!(sessions.draft(both.clone(), 3, &mut dice).unwrap_err(), taken);
    assert!(sessions.get(old).is_some());
    // Who asks for no IPv6 address gets none, and is in nobody's way.
    let only4 = sessions.issue(Wanted { address6: None, ..both }, 3, &mut dice).unwrap();
    assert_eq!(sessions.get(only4).unwrap().address6, None);
}

#[test]
fn what_a_replaced_session_had_of_the_pool_is_there_for_the_new_one() {
    let (mut sessions, mut dice) = (databases(), Dice::new(11));
    let with6 = |user: &str| Wanted { user: user.into(), address6: Some(None), ..login(true) };
    let keys: Vec<_> = (0..5).map(|n| sessions.issue(with6("bob"), n, &mut dice).unwrap()).collect();
    keys[..2].iter().for_each(|key| drop(sessions.forget(*key)));
    // Three of six IPv4 addresses are left; of IPv6 one is named by AAA, and the whole IPv4 pool is used up.
    let own = sessions.issue(Wanted { grant: framed6(1), ..with6("anna") }, 9, &mut dice).unwrap();
    let had = sessions.get(own).unwrap().address4;
    while sessions.issue(login(true), 20, &mut dice).is_some() {}
    let new = sessions.issue(Wanted { grant: framed6(1), ..with6("anna") }, 10, &mut dice).unwrap();
    assert_eq!(sessions.get(new).unwrap().address4, had);
    let none_left = sessions.draft(login(true), 11, &mut dice);
    assert_eq!(none_left.unwrap_err(), NoAddress::PoolEmpty);
}

#[test]
fn addresses_of_no_pool_are_told_when_they_are_taken_and_when_they_are_free() {
    let (mut sessions, mut dice) = (databases(), Dice::new(12));
    sessions.issue(login(true), 1, &mut dice);
    assert_eq!(sessions.next_change(), None, "it is of the pool");
    let key = sessions.issue(framed("anna", 1), 1, &mut dice).unwrap();
    assert_eq!(sessions.next_change(), Some(([10, 77, 0, 1].into(), true)));
    assert_eq!(sessions.next_change(), None);
    sessions.issue(framed("anna", 1), 2, &mut dice);
    assert_eq!(sessions.next_change(), None, "it has another owner only");
    assert!(sessions.get(key).is_none());
    let in_pool = Grant { address4: Address4::Fixed([192, 168, 20, 10].into()), ..Grant::default() };
    sessions.issue(Wanted { grant: in_pool, ..login(true) }, 3, &mut dice);
    sessions.forget_all();
    assert_eq!(sessions.next_change(), Some(([10, 77, 0, 1].into(), false)));
    assert_eq!(sessions.next_change(), None);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A login: of whom, with a token, the address that AAA names in each family.
    Login(u8, bool, Option<u8>, Option<u16>),
    /// A login that comes to nothing after its draft.
    Fail(u8, Option<u8>),
    /// The ticket of a session that is in no database any more: whose, and its address.
    Ticket(u8, u8, bool),
    /// A reconnect.
    Activate(u64),
    Deactivate(u64, u64),
    Forget(u64),
    Expire(u64),
    ForgetAll,
    Tell,
}

fn step() -> impl Strategy<Value = Step> {
    let framed4 = || proptest::option::of(0..4u8);
    prop_oneof![
        8 => (0..3u8, any::<bool>(), framed4(), proptest::option::of(0..3u16))
            .prop_map(|(who, token, a4, a6)| Step::Login(who, token, a4, a6)),
        2 => (0..3u8, framed4()).prop_map(|(who, a4)| Step::Fail(who, a4)),
        3 => (0..3u8, 0..4u8, any::<bool>()).prop_map(|(who, a4, framed)| Step::Ticket(who, a4, framed)),
        3 => (0..30u64).prop_map(Step::Activate),
        4 => (0..30u64, 0..100u64).prop_map(|(k, t)| Step::Deactivate(k, t)),
        2 => (0..30u64).prop_map(Step::Forget),
        2 => (0..100u64).prop_map(Step::Expire),
        1 => Just(Step::ForgetAll),
        2 => Just(Step::Tell),
    ]
}

/// Addresses that are named: two outside of the pool, two of it.
fn named(n: u8) -> Ipv4Addr {
    if n < 2 { [10, 77, 0, n].into() } else { [192, 168, 20, n + 3].into() }
}

fn wanted(who: u8, reconnect: bool, a4: Option<u8>, a6: Option<u16>) -> Wanted {
    let address4 = a4.map_or(Address4::Client, |n| Address4::Fixed(named(n)));
    let grant = Grant { address4, address6: a6.and_then(|n| framed6(n).address6), ..Grant::default() };
    Wanted { user: format!("user{who}"), address6: a6.map(|_| None), grant, ..login(reconnect) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens, the indexes agree with the sessions, every address has one owner, none is taken without one, and the
    /// routes that were told are those that are needed.
    #[test]
    fn the_databases_stay_consistent(steps in proptest::collection::vec(step(), 0..80)) {
        let (mut sessions, mut dice) = (databases(), Dice::new(6));
        let mut routes = BTreeSet::new();
        for (n, step) in steps.into_iter().enumerate() {
            let connection = n as u64;
            match step {
                Step::Login(who, token, a4, a6) => {
                    let wanted = wanted(who, token, a4, a6);
                    let (user, grant) = (wanted.user.clone(), wanted.grant.clone());
                    let before: Vec<_> = sessions.all().cloned().collect();
                    match sessions.draft(wanted, connection, &mut dice) {
                        Ok(draft) => {
                            let (key, gone) = sessions.admit(draft);
                            prop_assert!(gone.iter().all(|session| session.user == user));
                            let session = sessions.get(key).unwrap();
                            prop_assert!(a4.is_none_or(|n| session.address4 == named(n)));
                            prop_assert_eq!(grant.address6.or(session.address6), session.address6);
                        }
                        Err(NoAddress::Taken { address, owner }) => {
                            prop_assert!(owner != user);
                            prop_assert!(before.iter().any(|s| s.user == owner && s.addresses().contains(&address)));
                        }
                        Err(NoAddress::PoolEmpty) => prop_assert!(a4.is_none()),
                    }
                }
                Step::Fail(who, a4) => {
                    let before = format!("{:?}", sessions.sessions);
                    let _ = sessions.draft(wanted(who, true, a4, None), connection, &mut dice);
                    prop_assert_eq!(before, format!("{:?}", sessions.sessions));
                }
                Step::Ticket(who, a4, framed) => {
                    let active: Vec<_> =
                        sessions.sessions.iter().filter(|(_, s)| s.is_active()).map(|(key, _)| *key).collect();
                    let wish = Some(named(a4));
                    let ticket = Wanted { login: false, address4: wish, ..wanted(who, true, framed.then_some(a4), None) };
                    let back = sessions.issue(ticket, connection, &mut dice);
                    prop_assert!(active.iter().all(|key| sessions.get(*key).is_some()), "a ticket replaced an active session");
                    let given = back.and_then(|key| sessions.get(key)).map(|session| session.address4);
                    prop_assert!(!framed || given.is_none_or(|given| given == named(a4)));
                }
                Step::Activate(k) => sessions.activate(k, connection),
                Step::Deactivate(k, t) => { sessions.deactivate(k, at(t)); }
                Step::Forget(k) => { sessions.forget(k); }
                Step::Expire(t) => { sessions.expire(at(t)); }
                Step::ForgetAll => sessions.forget_all(),
                Step::Tell => {
                    while let Some((address, taken)) = sessions.next_change() {
                        let new = if taken { routes.insert(address) } else { routes.remove(&address) };
                        prop_assert!(new, "told twice");
                    }
                }
            }
            let all = &sessions.sessions;
            let owned: Vec<_> = all.values().flat_map(Session::addresses).collect();
            let once: BTreeSet<_> = owned.iter().copied().collect();
            prop_assert_eq!(owned.len(), once.len(), "an address has two owners");
            let taken: BTreeSet<_> = sessions.pool4.taken().union(sessions.pool6.taken()).copied().collect();
            prop_assert_eq!(&taken, &once, "the pools know better");
            let inactive = all.values().filter(|s| matches!(s.state, State::Inactive(_))).count();
            let capable = all.values().filter(|s| s.credentials.is_some()).count();
            prop_assert_eq!(sessions.counts(), (capable - inactive, inactive));
            prop_assert!(all.values().all(|s| s.id().is_none_or(|id| sessions.find(id.as_bytes()).is_some())));
            if matches!(step, Step::Tell) {
                let outside = |a: &IpAddr| !sessions.pool4.contains(*a) && !sessions.pool6.contains(*a);
                prop_assert_eq!(&once.into_iter().filter(outside).collect::<BTreeSet<_>>(), &routes);
            }
        }
    }
}
