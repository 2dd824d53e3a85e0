//! Whose turn it is next.

use ikeep::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Somebody with deadlines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Node {
    Site(usize),
    Laptop(usize),
}

/// One deadline for each: ten thousand laptops cost a look at one entry a step.
#[derive(Default)]
pub(crate) struct Calendar {
    due: BTreeSet<(Instant, Node)>,
    of: BTreeMap<Node, Instant>,
}

impl Calendar {
    /// Sets, moves or takes away a deadline.
    pub(crate) fn set(&mut self, node: Node, at: Option<Instant>) {
        let old = match at {
            Some(at) => self.of.insert(node, at),
            None => self.of.remove(&node),
        };
        if old == at {
            return;
        }
        if let Some(old) = old {
            self.due.remove(&(old, node));
        }
        self.due.extend(at.map(|at| (at, node)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Everybody who is due, in a fixed order.
    pub(crate) fn due(&self, now: Instant) -> Vec<Node> {
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, node)| *node).collect()
    }
}
