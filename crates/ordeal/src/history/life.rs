//! Who is there, and what shows it.

use std::collections::BTreeSet;
use std::time::Duration;

/// The participants by their numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roll {
    /// Those that were not killed.
    pub alive: BTreeSet<u32>,
    /// Those that were.
    pub dead: BTreeSet<u32>,
    /// Those whose last wish is fulfilled but for the others, who need them for theirs.
    pub content: BTreeSet<u32>,
}

impl Roll {
    /// Whether nobody needs another anymore.
    pub fn are_all_content(&self) -> bool {
        self.alive.is_subset(&self.content)
    }
}

/// A member of a group that was there at some moment between two times, which are those of the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// Which.
    pub member: u32,
    /// The transaction that made its znode.
    pub token: u64,
    /// The first of the two.
    pub asked: Duration,
    /// The other one.
    pub answered: Duration,
}

/// A member that was said to have failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// Which.
    pub member: u32,
    /// Since when it was asked for that.
    pub asked: Duration,
    /// When it was said.
    pub told: Duration,
    /// How long it has to be missing.
    pub grace: Duration,
}

/// The end of a znode with a time to live. Times are milliseconds of the wall clock, which all have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Where it was.
    pub path: String,
    /// A time at which it was touched.
    pub touched_ms: u64,
    /// How long it lives from then on.
    pub time_to_live_ms: u64,
    /// A time at which it was gone.
    pub gone_ms: u64,
}

/// A znode of which there is one at a time, as it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incarnation {
    /// The transaction that made it.
    pub token: u64,
    /// Whose session has it.
    pub owner: i64,
    /// Who wrote what it holds.
    pub who: u32,
    /// How often it was written since it was made.
    pub version: i32,
}
