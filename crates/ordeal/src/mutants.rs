//! The bugs that can be planted into recipes, and what should find each.
//!
//! The code of each is where the recipes ask whether its number is active.

use crate::play::Recipe;

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its number.
    pub number: u32,
    /// What is wrong.
    pub what: &'static str,
    /// Who suffers from it: runs are about that.
    pub recipe: Recipe,
    /// What it breaks.
    pub breaks: &'static [&'static str],
}

const fn mutant(
    number: u32,
    recipe: Recipe,
    breaks: &'static [&'static str],
    what: &'static str,
) -> Mutant {
    Mutant { number, what, recipe, breaks }
}

const TURNS: &[&str] = &["turns"];
const LEADERS: &[&str] = &["leaders"];
const LIVENESS: &[&str] = &["liveness"];
const QUEUE: &[&str] = &["queue"];
const DECISIONS: &[&str] = &["decisions"];
const TASKS: &[&str] = &["tasks"];
const BARRIERS: &[&str] = &["barriers"];
const GATES: &[&str] = &["gates"];
const DELAYS: &[&str] = &["delays"];
const FAILURES: &[&str] = &["failures"];
const PRESENCE: &[&str] = &["presence"];

/// Every one.
pub const ALL: &[Mutant] = &[
    mutant(1, Recipe::Lock, TURNS, "nobody waits in line"),
    mutant(2, Recipe::Lock, TURNS, "when the one before has left nobody looks who else is before"),
    mutant(3, Recipe::Lock, TURNS, "all wait for the first in line, and none looks again"),
    mutant(4, Recipe::Lock, TURNS, "the line is in the order of whole names, not of numbers"),
    mutant(5, Recipe::Lock, TURNS, "after a lost answer the token is that of the directory"),
    mutant(6, Recipe::Semaphore, TURNS, "one more than there are permits is let in"),
    mutant(
        7,
        Recipe::ReadWriteLock,
        TURNS,
        "a reader behind a reader passes the writer before both",
    ),
    mutant(8, Recipe::Lock, LIVENESS, "a lost answer is taken for a failure: two places in line"),
    mutant(9, Recipe::Counter, &["counter"], "a lost answer is taken for a failure: added twice"),
    mutant(10, Recipe::Queue, QUEUE, "the lost answer of what was done is taken for a refusal"),
    mutant(11, Recipe::Queue, QUEUE, "an item is deleted when it is taken, not when it is done"),
    mutant(12, Recipe::Queue, TURNS, "another's mark is taken for the own whose answer was lost"),
    mutant(13, Recipe::Gathering, BARRIERS, "a barrier lets in when one is still missing"),
    mutant(14, Recipe::LeaderLatch, LEADERS, "who has lost the connection leads for sure"),
    mutant(15, Recipe::LeaderLatch, LEADERS, "who has lost the session stays the leader"),
    mutant(16, Recipe::LeaderSelector, LEADERS, "a leader's work is not interrupted"),
    mutant(17, Recipe::TwoPhaseCommit, DECISIONS, "any vote counts as one to commit"),
    mutant(18, Recipe::TwoPhaseCommit, DECISIONS, "who decides second believes the own decision"),
    mutant(19, Recipe::IdGenerator, &["numbers"], "blocks of numbers overlap by one"),
    mutant(20, Recipe::MultiLock, LIVENESS, "several locks are taken in the order given"),
    mutant(21, Recipe::Lock, LIVENESS, "a wish that is dropped while its znode is made leaves it"),
    mutant(
        22,
        Recipe::Gathering,
        &["barriers", "liveness"],
        "who leaves a barrier does not wait for the others",
    ),
    mutant(23, Recipe::Cache, LIVENESS, "a copy keeps what went while the connection was lost"),
    mutant(24, Recipe::Queue, QUEUE, "the item that was put last is taken first"),
    mutant(25, Recipe::Tasks, TASKS, "the lost answer of a report is taken for a refusal"),
    mutant(26, Recipe::Tasks, TASKS, "what is done alone is assigned again, and reported again"),
    mutant(27, Recipe::Barrier, GATES, "who comes to a barrier believes a server that lags behind"),
    mutant(28, Recipe::Barrier, GATES, "a lost request to close a barrier counts as closed"),
    mutant(29, Recipe::CuratorQueue, QUEUE, "of items that were put together one is taken"),
    mutant(30, Recipe::DelayQueue, DELAYS, "an item is taken when it will soon be due"),
    mutant(
        31,
        Recipe::DelayQueue,
        LIVENESS,
        "who waits until an item is due does not wake up then",
    ),
    mutant(32, Recipe::PriorityQueue, QUEUE, "priorities are in the order of their text"),
    mutant(33, Recipe::PriorityQueue, QUEUE, "items that are put together are put one by one"),
    mutant(34, Recipe::FailureDetector, FAILURES, "a server that lags behind is believed"),
    mutant(35, Recipe::FailureDetector, FAILURES, "nobody has time to come back"),
    mutant(36, Recipe::FailureDetector, LIVENESS, "who has failed before is not told of"),
    mutant(37, Recipe::PersistentTtl, LIVENESS, "a znode that is kept is not touched"),
    mutant(38, Recipe::PersistentTtl, &["keeps"], "a znode lives a third of its time"),
    mutant(39, Recipe::PersistentEphemeral, PRESENCE, "another's znode is taken for the own"),
    mutant(40, Recipe::PersistentEphemeral, LIVENESS, "what is set afterwards is never written"),
    mutant(41, Recipe::Partition, TURNS, "each member has locks of its own"),
    mutant(42, Recipe::Partition, LIVENESS, "what is due to another is not recalled"),
    mutant(43, Recipe::Discovery, &["services"], "who does not want to be called is called"),
    mutant(
        44,
        Recipe::Watched,
        &["values"],
        "a lost answer is taken for a failure: published twice",
    ),
    mutant(45, Recipe::RevocableLock, LIVENESS, "who was asked before it looks gives nothing up"),
    mutant(46, Recipe::Tasks, &["tasks", "liveness"], "what is done is assigned again and again"),
    mutant(
        47,
        Recipe::Watched,
        &["values"],
        "a copy in a new session believes a server that lags behind",
    ),
    mutant(
        48,
        Recipe::LeaderSelector,
        LEADERS,
        "a leader without a connection goes on for as long as it likes",
    ),
];
