use super::super::item::{Address, Rule};
use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

/// A kernel that keeps one route a place, refuses what is there already and what is not.
struct Model(BTreeSet<Item>);

impl Model {
    fn take(&mut self, step: &Step) -> Result<(), String> {
        let holder = |item: &Item| self.0.iter().copied().find(|old| old == item || same(old, item));
        match step {
            Step::Add(item) if holder(item).is_none() => self.0.insert(*item),
            Step::Replace(item) => match holder(item) {
                Some(old) => self.0.remove(&old) && self.0.insert(*item),
                None => false,
            },
            Step::Remove(item) => self.0.remove(item),
            Step::Add(_) => false,
        }
        .then_some(())
        .ok_or_else(|| format!("{step:?}"))
    }
}

fn same(one: &Item, other: &Item) -> bool {
    matches!((one, other), (Item::Route(one), Item::Route(other)) if one.same_place(other))
}

fn route(to: u8, kind: Kind) -> Item {
    let to = Net::new(IpAddr::from([10, to, 0, 0]), 16).unwrap();
    Item::Route(Route::new(to, kind))
}

fn any_item() -> impl Strategy<Value = Item> {
    let kind = prop_oneof![(1..3_u32).prop_map(Kind::Device), Just(Kind::Throw), Just(Kind::Unreachable)];
    let leads = prop_oneof![
        Just(Leads::IntoTunnel),
        (0..4_u8).prop_map(|host| Leads::PastTunnel(([192, 0, 2, host], 500).into())),
        Just(Leads::Elsewhere(3))
    ];
    prop_oneof![
        (0..8_u8, kind).prop_map(|(to, kind)| route(to, kind)),
        (any::<bool>(), leads).prop_map(|(ipv6, leads)| Item::Rule(Rule { ipv6, priority: 20_000, leads })),
        (0..4_u8).prop_map(|host| Item::Address(Address {
            device: 1,
            ip: Ipv4Addr::new(10, 0, 0, host).into(),
            prefix: 32
        })),
    ]
}

/// A set in which no two routes share a place.
fn any_set() -> impl Strategy<Value = BTreeSet<Item>> {
    proptest::collection::vec(any_item(), 0..24).prop_map(|items| {
        items.into_iter().fold(BTreeSet::new(), |mut set, item| {
            if !set.iter().any(|old| same(old, &item)) {
                set.insert(item);
            }
            set
        })
    })
}

fn there(items: BTreeSet<Item>) -> There {
    There { items, foreign: Vec::new() }
}

proptest! {
    #[test]
    fn the_steps_lead_to_what_is_wanted(before in any_set(), wanted in any_set()) {
        let steps = difference(&there(before.clone()), &wanted);
        let mut model = Model(before);
        for step in &steps {
            prop_assert_eq!(model.take(step), Ok(()));
        }
        prop_assert_eq!(&model.0, &wanted);
        prop_assert!(difference(&there(wanted.clone()), &wanted).is_empty());
        let first_removal = steps.iter().position(Step::removes).unwrap_or(steps.len());
        prop_assert!(steps[first_removal..].iter().all(Step::removes), "all is added before anything is removed");
    }

    #[test]
    fn what_is_not_ours_is_never_touched(before in any_set(), wanted in any_set(), to in 0..8_u8, metric in 0..3_u32) {
        let foreign = Foreign { to: Net::new(IpAddr::from([10, to, 0, 0]), 16).unwrap(), metric, protocol: 4 };
        let there = There { items: before.clone(), foreign: vec![foreign] };
        for step in difference(&there, &wanted) {
            if let Step::Replace(item) | Step::Remove(item) = step {
                prop_assert!(before.iter().any(|old| *old == item || same(old, &item)));
            }
        }
        let stands_in_the_way =
            metric == 0 && wanted.iter().any(|item| matches!(item, Item::Route(route) if route.to == foreign.to));
        prop_assert_eq!(blocked(&there, &wanted).is_some(), stands_in_the_way);
    }
}

#[test]
fn rules_come_last_and_go_first() {
    let rule = Item::Rule(Rule { ipv6: false, priority: 20_000, leads: Leads::IntoTunnel });
    let all: BTreeSet<Item> = [rule, route(1, Kind::Device(1)), route(2, Kind::Throw)].into();
    let made = difference(&there(BTreeSet::new()), &all);
    assert_eq!(made.last(), Some(&Step::Add(rule)));
    let undone = difference(&there(all), &BTreeSet::new());
    assert_eq!(undone.first(), Some(&Step::Remove(rule)));
}

#[test]
fn a_route_is_changed_in_its_place() {
    let steps = difference(&there([route(1, Kind::Device(1))].into()), &[route(1, Kind::Throw)].into());
    assert_eq!(steps, [Step::Replace(route(1, Kind::Throw))]);
}
