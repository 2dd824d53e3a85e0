//! From what is there to what is wanted.

use super::item::{Foreign, Item, Kind, Leads, Route, There};
use crate::plan::Net;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Makes what is not there.
    Add(Item),
    /// Puts a route in the place of one of ours: at no moment is there none.
    Replace(Item),
    /// Takes away what is there.
    Remove(Item),
}

/// The steps that lead from what is there to what is wanted, in their order: first everything that is added, so that no
/// packet finds a gap, rules last; then what is removed, rules first.
pub(super) fn difference(there: &There, wanted: &BTreeSet<Item>) -> Vec<Step> {
    let there = &there.items;
    let mut add: Vec<Item> = wanted.difference(there).copied().collect();
    let mut old: BTreeSet<Item> = there.difference(wanted).copied().collect();
    add.sort_by_key(rank);
    let mut steps = Vec::with_capacity(add.len() + old.len());
    for item in add {
        match in_place_of(&old, &item) {
            Some(replaced) => {
                old.remove(&replaced);
                steps.push(Step::Replace(item));
            }
            None => steps.push(Step::Add(item)),
        }
    }
    let mut old = Vec::from_iter(old);
    old.sort_by_key(|item| Reverse(rank(item)));
    steps.extend(old.into_iter().map(Step::Remove));
    steps
}

/// Another program's route that would win over one that is wanted.
pub(super) fn blocked(there: &There, wanted: &BTreeSet<Item>) -> Option<Foreign> {
    let wins = |foreign: &&Foreign| {
        let ours = first_route(wanted, foreign.to, 0);
        ours.is_some_and(|ours| ours.to == foreign.to && foreign.metric <= ours.metric)
    };
    there.foreign.iter().find(wins).copied()
}

/// The route that this one has to replace.
fn in_place_of(old: &BTreeSet<Item>, item: &Item) -> Option<Item> {
    let Item::Route(route) = item else { return None };
    first_route(old, route.to, route.metric).filter(|old| old.same_place(route)).map(Item::Route)
}

/// The first route from this place on.
fn first_route(items: &BTreeSet<Item>, to: Net, metric: u32) -> Option<Route> {
    match items.range(Item::Route(Route { to, metric, kind: Kind::Device(0) })..).next() {
        Some(Item::Route(route)) => Some(*route),
        _ => None,
    }
}

/// The order in which items are added.
fn rank(item: &Item) -> u8 {
    match item {
        Item::Address(_) => 0,
        Item::Route(_) => 1,
        Item::Rule(rule) if rule.leads != Leads::IntoTunnel => 2,
        Item::Rule(_) => 3,
    }
}

impl Step {
    /// Whether it takes away.
    pub(super) fn removes(&self) -> bool {
        matches!(self, Self::Remove(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(item) => write!(f, "add {item}"),
            Self::Replace(item) => write!(f, "change {item}"),
            Self::Remove(item) => write!(f, "remove {item}"),
        }
    }
}

#[cfg(test)]
mod tests;
