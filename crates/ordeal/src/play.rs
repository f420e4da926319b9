//! Which recipe a run is about, by how many, and what goes wrong on the participants' side.

use std::time::Duration;

use crate::random::Random;

/// What participants do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Recipe {
    /// `Lock`.
    Lock,
    /// `ReadWriteLock`.
    ReadWriteLock,
    /// `Semaphore`.
    Semaphore,
    /// `MultiLock`.
    MultiLock,
    /// `LeaderLatch`.
    LeaderLatch,
    /// `LeaderSelector`.
    LeaderSelector,
    /// `Counter`.
    Counter,
    /// `IdGenerator`.
    IdGenerator,
    /// `Queue`.
    Queue,
    /// `WorkerIds`.
    WorkerIds,
    /// `AtomicValue`.
    AtomicValue,
    /// `Tasks` and `Worker`.
    Tasks,
    /// `TwoPhaseCommit`, and the `Rendezvous` below it.
    TwoPhaseCommit,
    /// `DoubleBarrier`, inside of which all see each other in a `Group`.
    Gathering,
    /// `Cache`.
    Cache,
    /// `Lock` whose holders are asked to give way, with names of several kinds.
    RevocableLock,
    /// `Barrier`.
    Barrier,
    /// `Queue` with priorities, and items that are put in together.
    PriorityQueue,
    /// `CuratorQueue`.
    CuratorQueue,
    /// `DelayQueue`.
    DelayQueue,
    /// `FailureDetector`, and the `GroupMember`s that it looks after.
    FailureDetector,
    /// `Partition`.
    Partition,
    /// `PersistentTtl`.
    PersistentTtl,
    /// `PersistentEphemeral`.
    PersistentEphemeral,
    /// `Watched`.
    Watched,
    /// `Registration` and `ServiceProvider`.
    Discovery,
}

impl Recipe {
    /// All of them, with their names on the command line.
    pub const ALL: [(Self, &'static str); 26] = [
        (Self::Lock, "lock"),
        (Self::ReadWriteLock, "read-write-lock"),
        (Self::Semaphore, "semaphore"),
        (Self::MultiLock, "multi-lock"),
        (Self::LeaderLatch, "leader-latch"),
        (Self::LeaderSelector, "leader-selector"),
        (Self::Counter, "counter"),
        (Self::IdGenerator, "id-generator"),
        (Self::Queue, "queue"),
        (Self::WorkerIds, "worker-ids"),
        (Self::AtomicValue, "atomic-value"),
        (Self::Tasks, "tasks"),
        (Self::TwoPhaseCommit, "two-phase-commit"),
        (Self::Gathering, "gathering"),
        (Self::Cache, "cache"),
        (Self::RevocableLock, "revocable-lock"),
        (Self::Barrier, "barrier"),
        (Self::PriorityQueue, "priority-queue"),
        (Self::CuratorQueue, "curator-queue"),
        (Self::DelayQueue, "delay-queue"),
        (Self::FailureDetector, "failure-detector"),
        (Self::Partition, "partition"),
        (Self::PersistentTtl, "persistent-ttl"),
        (Self::PersistentEphemeral, "persistent-ephemeral"),
        (Self::Watched, "watched"),
        (Self::Discovery, "discovery"),
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(recipe, _)| *recipe == self).map_or("", |(_, name)| name)
    }

    /// The one of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(recipe, _)| *recipe)
    }
}

/// The shape of one run.
#[derive(Clone, Debug)]
pub struct Play {
    /// What participants do.
    pub recipe: Recipe,
    /// How many they are.
    pub participants: u32,
    /// How long things go wrong.
    pub war: Duration,
    /// The longest time between two wishes of a participant, and between two things that it does in
    /// its turn.
    pub think: Duration,
    /// The longest time between two faults of participants.
    pub interval: Duration,
    /// Chance in 1000 that a fault is a kill.
    pub kill_permille: u64,
    /// Chance in 1000 that connections are cut, if it is no kill; otherwise they are held up.
    pub cut_permille: u64,
    /// Chance in 1000 that a participant stops waiting after a while.
    pub impatience_permille: u64,
    /// Chance in 1000 that a holder sleeps for long, and then goes on as if nothing were.
    pub sleep_permille: u64,
}

impl Play {
    /// Draws one for sessions of such a timeout.
    pub fn draw(random: &mut Random, timeout: Duration, recipe: Option<Recipe>) -> Self {
        let (drawn, _) = Recipe::ALL[random.index(Recipe::ALL.len())];
        let part = |random: &mut Random, low, high| {
            timeout * u32::try_from(random.range(low, high)).unwrap_or(1) / 16
        };
        Self {
            recipe: recipe.unwrap_or(drawn),
            participants: u32::try_from(random.range(2, 4)).unwrap_or(2),
            war: part(random, 32, 128),
            think: part(random, 0, 4),
            interval: part(random, 8, 48),
            kill_permille: random.range(0, 500),
            cut_permille: random.range(0, 1000),
            impatience_permille: if random.chance(500) { random.range(0, 500) } else { 0 },
            sleep_permille: if random.chance(500) { random.range(0, 300) } else { 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    /// The table of the recipes' documentation names all of them, and this file those that runs are about.
    #[test]
    fn every_recipe_takes_part() {
        let recipes = include_str!("../../recipes/src/lib.rs");
        let own = include_str!("play.rs");
        let rows = recipes.lines().filter(|line| line.starts_with("//! | "));
        let names: Vec<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            assert!(own.contains(&format!("`{name}`")), "{name} takes no part");
        }
    }
}
