//! What participants saw.

mod life;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::life::{End, Failed, Incarnation, Roll, Sighting};
pub use self::values::{Follower, Offer, Published};

/// With whom a turn can be shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// With nobody.
    Alone,
    /// With others who read.
    Reading,
    /// With as many as there are permits, this one among them.
    Among(usize),
}

/// One participant's turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Whose turns are one line.
    pub line: String,
    /// With whom it can be shared.
    pub share: Share,
    /// Who had it.
    pub who: u32,
    /// Its fencing token.
    pub token: u64,
    /// The transactions that it made and that could only be made in it.
    pub writes: Vec<u64>,
}

/// A turn in the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TurnId(usize);

/// A write that reached a service which remembers the highest token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// For which line.
    pub line: String,
    /// What was shown.
    pub token: u64,
    /// Whether the service took it.
    pub is_accepted: bool,
}

/// What was counted together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// The sums that were answered.
    pub answers: Vec<i64>,
    /// Additions that may have happened.
    pub doubtful: u64,
    /// What the servers have at the end.
    pub last: Option<i64>,
}

/// What was handed out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Items {
    /// Those that are in the queue for sure.
    pub put: BTreeSet<String>,
    /// Those that may be.
    pub maybe_put: BTreeSet<String>,
    /// Those that were taken out for sure, in order.
    pub done: Vec<String>,
    /// Those that may have been.
    pub maybe_done: BTreeSet<String>,
    /// Those that were put in all or none.
    pub together: Vec<Vec<String>>,
    /// For those that have one: what decides who is first, the lower the sooner.
    pub ranks: BTreeMap<String, u64>,
    /// What one participant alone took out at the end, in that order.
    pub drained: Vec<Drained>,
    /// Whether the queue was found empty at the end.
    pub is_drained: bool,
}

/// What was taken out at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drained {
    /// The path of the znode.
    pub path: String,
    /// What was put in.
    pub items: Vec<String>,
}

/// What was handed out in time. Times are milliseconds of the wall clock, which all participants have in common.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delays {
    /// What was taken.
    pub taken: Vec<TakenAt>,
    /// Transactions, each with a time at which it was over.
    pub tides: Vec<(u64, u64)>,
}

/// An item that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakenAt {
    /// Which.
    pub item: String,
    /// From when on it may be.
    pub due_ms: u64,
    /// When its taker learned that it has it.
    pub at_ms: u64,
    /// The transaction in which it was taken.
    pub token: u64,
}

/// What came of tasks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcomes {
    /// Tasks that were submitted for sure.
    pub submitted: BTreeSet<String>,
    /// Tasks with the outcomes that workers reported for sure.
    pub reported: Vec<(String, String)>,
    /// Those that may have been.
    pub maybe_reported: BTreeSet<(String, String)>,
    /// Tasks with the outcomes that were read.
    pub read: BTreeSet<(String, String)>,
}

/// Something that was voted or decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voted {
    /// What it was about.
    pub round: String,
    /// Under whose name; `None` for the decision.
    pub name: Option<String>,
    /// Whether it was to commit.
    pub is_commit: bool,
}

/// What happened at a barrier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtBarrier {
    /// Which.
    pub barrier: String,
    /// How many it waits for.
    pub count: usize,
    /// Who.
    pub who: u32,
    /// What it did.
    pub step: Step,
}

/// A step of a participant at a barrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It came.
    Came,
    /// It was let in.
    Entered,
    /// It wants to leave.
    Leaving,
    /// It was let out, though nobody's session has ended meanwhile.
    Left,
}

/// What happened at a gate that holds everybody up while it is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtGate {
    /// Which.
    pub gate: String,
    /// Who.
    pub who: u32,
    /// What it did.
    pub step: GateStep,
}

/// A step of a participant at a gate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GateStep {
    /// It wants to close it.
    Closing,
    /// It has closed it.
    Closed,
    /// It wants to open it.
    Opening,
    /// It has opened it.
    Opened,
    /// It comes to it.
    Coming,
    /// It was let through.
    Passed,
}

/// All that was seen in a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every turn.
    pub turns: Vec<Turn>,
    /// Every write that reached a fenced service, in order.
    pub shown: Vec<Shown>,
    /// What was counted.
    pub sum: Sum,
    /// The numbers that were given out.
    pub ids: Vec<i64>,
    /// What was handed out.
    pub items: Items,
    /// What was handed out in time.
    pub delays: Delays,
    /// What came of tasks.
    pub outcomes: Outcomes,
    /// What was voted and decided, as it was answered.
    pub votes: Vec<Voted>,
    /// What happened at barriers, in order.
    pub barriers: Vec<AtBarrier>,
    /// What happened at gates, in order.
    pub gates: Vec<AtGate>,
    /// Who takes part.
    pub roll: Roll,
    /// Members that were there.
    pub sightings: Vec<Sighting>,
    /// Members that were said to have failed.
    pub failed: Vec<Failed>,
    /// Znodes with a time to live that went.
    pub ends: Vec<End>,
    /// Znodes of which there is one at a time, as they were seen.
    pub incarnations: Vec<Incarnation>,
    /// What was gone although who keeps it lives, or there although it was taken back.
    pub astray: Vec<String>,
    /// Who has what was shared out, as far as the participants know.
    pub shares: BTreeMap<String, u32>,
    /// What was published.
    pub published: Vec<Published>,
    /// The values that were published for sure.
    pub published_for_sure: Vec<String>,
    /// What each follower was told, in order.
    pub followers: Vec<Follower>,
    /// Instances of a service, as they were registered.
    pub offers: Vec<Offer>,
    /// Instances that were given out to callers.
    pub called: Vec<Offer>,
    /// Participants that led longer than they may.
    pub late_leaders: Vec<String>,
    /// Wishes that were not fulfilled in time, and what was left behind.
    pub overdue: Vec<String>,
    /// How often what was exercised.
    pub counts: BTreeMap<&'static str, u64>,
    /// The highest token that each line's service has seen.
    pub highest: BTreeMap<String, u64>,
}

impl History {
    /// A turn begins.
    pub fn begin(&mut self, turn: Turn) -> TurnId {
        self.count("turns");
        self.turns.push(turn);
        TurnId(self.turns.len() - 1)
    }

    /// A transaction was made in a turn.
    pub fn wrote(&mut self, TurnId(at): TurnId, zxid: u64) {
        self.count("writes in a turn");
        self.turns[at].writes.push(zxid);
    }

    /// A holder's write reaches the service, which takes it unless it has seen a higher token.
    pub fn show(&mut self, TurnId(at): TurnId) {
        let Turn { line, token, .. } = self.turns[at].clone();
        let highest = self.highest.entry(line.clone()).or_default();
        let is_accepted = token >= *highest;
        *highest = (*highest).max(token);
        if !is_accepted {
            self.count("late writes refused");
        }
        self.shown.push(Shown { line, token, is_accepted });
    }

    /// Something was exercised.
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// A history that several write.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<History>>);

impl Book {
    /// To write in, or to read.
    pub fn open(&self) -> MutexGuard<'_, History> {
        // What a participant wrote stays true if it panics afterwards.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
