//! What a run shows of what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A kind of events that is recorded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Shown {
    /// What goes over the quorum ports, but for pings.
    Packets,
    Pings,
    /// What is stored, when it begins and when it is durable.
    Storage,
    /// Who does what, and which connections end why.
    Roles,
    /// What is delivered.
    Deliveries,
    /// When.
    Times,
}

/// A place in a server's part of the protocol at which it can crash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment {
    /// What it does: `sent`, `received`, `stores`, `stored`, or that it `dialled`, `delivers`,
    /// `leads`, `follows`, `looks`.
    pub(crate) verb: &'static str,
    /// What with; maybe nothing.
    pub(crate) noun: &'static str,
}

/// What happened, in words and in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) shown: BTreeSet<Shown>,
    text: String,
    /// How often what happened.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Moment {
    pub(crate) const fn new(verb: &'static str, noun: &'static str) -> Self {
        Self { verb, noun }
    }

    /// Whether it comes all the time, in elections or while nothing happens.
    pub(crate) fn is_common(&self) -> bool {
        const COMMON: [&str; 8] = [
            "Notification",
            "Ping",
            "Deadline",
            "Called",
            "CallThrough",
            "CallFailed",
            "ElectionLinkClosed",
            "Stored",
        ];
        self.verb == "called" || COMMON.contains(&self.noun)
    }

    /// Whether it is the one that a script names, as `verb` or `verb:noun`.
    pub(crate) fn is(&self, name: &str) -> bool {
        match name.split_once(':') {
            Some((verb, noun)) => verb == self.verb && noun == self.noun,
            None => name == self.verb && self.noun.is_empty(),
        }
    }
}

impl Shown {
    pub(crate) const ALL: [Self; 6] =
        [Self::Packets, Self::Pings, Self::Storage, Self::Roles, Self::Deliveries, Self::Times];
}

impl Record {
    pub(crate) fn show(&mut self, kind: Shown, at_ms: u64, what: impl FnOnce() -> String) {
        if !self.shown.contains(&kind) {
            return;
        }
        if self.shown.contains(&Shown::Times) {
            write!(self.text, "{at_ms:>6} ms  ").expect("a string");
        }
        self.text.push_str(&what());
        self.text.push('\n');
    }

    pub(crate) fn count(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(what.to_owned(), 1);
            }
        }
    }

    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}
