//! Ensembles with chance and faults.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ensemble::world::record::Shown;
use crate::ensemble::world::{Plan, World};

/// Seeds of the runs of each shape, and twice as many without changes of membership, unless the variable `SEEDS` says otherwise.
const SEEDS: u64 = 40;

/// How many voters and observers there are.
pub(crate) const SHAPES: [(i64, i64); 3] = [(3, 0), (3, 1), (5, 1)];

/// How long servers are struck.
const STRIFE: Duration = Duration::from_secs(20);

/// Within which time an ensemble that is whole again agrees: those that were cut off call each other
/// every five seconds, and then an election may fail.
const HEALING: Duration = Duration::from_secs(20);

/// What must have happened in a campaign: little is shown by one in which it did not. A crash at each
/// step of a follower's way to its leader, and of a leader's to its reign, is among it.
const REQUIRED: &[&str] = &[
    "reign",
    "confirmation",
    "way Diff",
    "way Truncate",
    "way Snapshot",
    "log read",
    "log lacks",
    "cut refused",
    "crash dialled",
    "crash sent Info",
    "crash received LeaderInfo",
    "crash stores accepted",
    "crash stored accepted",
    "crash sent AckEpoch",
    "crash received Diff",
    "crash received Snapshot",
    "crash received stream",
    "crash received Proposal",
    "crash received NewLeader",
    "crash stores log",
    "crash stored log",
    "crash stores current",
    "crash stored current",
    "crash sent AckNewLeader",
    "crash received UpToDate",
    "crash follows",
    "crash sent LeaderInfo",
    "crash received AckEpoch",
    "crash sent Diff",
    "crash sent Snapshot",
    "crash sent Committed",
    "crash sent NewLeader",
    "crash received AckNewLeader",
    "crash leads",
    "crash sent UpToDate",
    "crash sent Proposal",
    "crash received Ack",
    "crash sent Commit",
];

/// What must have happened while memberships changed.
const REQUIRED_OF_CHANGES: &[&str] = &[
    "reconfiguration",
    "crash stores memberships",
    "crash stored memberships",
    "crash received CommitAndActivate",
];

/// So many jobs of a disk are not much.
const JOBS_MAX: usize = 10;

/// Of a run that failed.
const LINES_SHOWN: usize = 400;

#[test]
fn ensembles_that_nothing_happens_to_elect_and_commit() {
    for (voters, observers) in [(1, 0), (2, 0), (3, 0), (3, 1), (5, 2), (7, 3)] {
        let mut world = World::new(1, Plan { voters, observers, ..Plan::calm() });
        world.sids().into_iter().for_each(|sid| world.start(sid));
        world.run_for(Duration::from_secs(2));
        let leader = world.leaders()[0];
        world.propose(leader, 50);
        world.run_for(Duration::from_secs(2));
        assert!(world.agrees(), "{}", world.roles());
        assert_eq!(world.ledger.committed.len(), 50);
    }
}

#[test]
fn ensembles_keep_their_promises_under_faults() {
    let mut counts = BTreeMap::new();
    for seed in 0..2 * seeds() {
        for (voters, observers) in SHAPES {
            let world = run(seed, voters, observers);
            for (what, count) in world.record.counts {
                *counts.entry(what).or_insert(0) += count;
            }
        }
    }
    eprintln!("{counts:#?}");
    let missing = REQUIRED.iter().filter(|&&what| !counts.contains_key(what));
    assert_eq!(missing.collect::<Vec<_>>(), [&""; 0], "a campaign in which that happened");
}

#[test]
fn ensembles_keep_their_promises_while_their_memberships_change() {
    let mut counts = BTreeMap::new();
    for seed in from()..from() + seeds() {
        for (voters, observers) in SHAPES {
            for (what, count) in run_with_changes(seed, voters, observers).record.counts {
                *counts.entry(what).or_insert(0) += count;
            }
        }
    }
    eprintln!("{counts:#?}");
    let missing = REQUIRED_OF_CHANGES.iter().filter(|&&what| !counts.contains_key(what));
    assert_eq!(missing.collect::<Vec<_>>(), [&""; 0], "a campaign in which that happened");
}

/// Seeds of runs that went wrong while the membership changed, and why; most came to nothing.
#[test]
pub(crate) fn runs_that_once_went_wrong_go_well() {
    for (seed, voters, observers, _why) in [
        (40, 5, 1, "who votes soon and proposes nobody was alone in its later round"),
        (
            40,
            3,
            1,
            "who votes soon was elected by those who knew, and the others did not hear of it",
        ),
        (
            58,
            5,
            1,
            "an observer had accepted an epoch when it voted that nobody else has got to yet",
        ),
        (64, 5, 1, "of two with the latest history the one that votes soon came first"),
        (252, 3, 0, "the latest history was at a server that votes soon, and it did not stand"),
        (
            3190,
            3,
            1,
            "whoever was elected gave up when one of the voters that it had heard looked again, though others had come",
        ),
        (
            901,
            3,
            1,
            "observers whose votes were needed did not know that they are to vote, and their promises did not count",
        ),
        (
            3261,
            3,
            0,
            "an observer whose promise was needed never came to the leader, as followers were there that took nobody",
        ),
        (
            6960,
            3,
            0,
            "of two who vote soon the one with less stood, and the other one took the rest for enough without it",
        ),
        (
            7468,
            3,
            0,
            "connections that had broken in silence were given more time by each election that began anew",
        ),
        (
            9919,
            3,
            0,
            "who stopped just after a snapshot put a change in force that it had been told of, and the snapshot had not",
        ),
        (
            20812,
            3,
            1,
            "a change that a server recovered was put in force though a snapshot was to replace it",
        ),
        (
            133_543,
            3,
            1,
            "who votes soon was proposed by some, and passed over by those who did not know, for ever",
        ),
    ] {
        run_with_changes(seed, voters, observers);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let fingerprint = |world: World| {
        format!("{} {:?} {:?}", world.roles(), world.ledger.committed, world.record.counts)
    };
    assert_eq!(fingerprint(run(7, 3, 1)), fingerprint(run(7, 3, 1)));
}

fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(SEEDS)
}

/// The first seed of a campaign: `FROM`, or 0.
fn from() -> u64 {
    std::env::var("FROM").ok().and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// Strife, then peace: everybody agrees in time, and goes on to commit. Of a run that fails the
/// seed is printed, and of the one that `SEED` names the end of what happened.
pub(crate) fn run(seed: u64, voters: i64, observers: i64) -> World {
    run_plan(seed, Plan { voters, observers, ..Plan::wild(seed) })
}

/// ... while the membership changes; two servers are not in it at first.
pub(crate) fn run_with_changes(seed: u64, voters: i64, observers: i64) -> World {
    let mut plan = Plan { voters, observers, spares: 2, ..Plan::wild(seed) };
    plan.is_reconfigurable = true;
    plan.faults.changes = 70;
    run_plan(seed, plan)
}

fn run_plan(seed: u64, plan: Plan) -> World {
    let mut told = Told { seed, world: World::new(seed, plan) };
    if std::env::var("SEED").is_ok_and(|it| it == seed.to_string()) {
        told.world.record.shown = Shown::ALL.into();
    }
    play(&mut told.world, seed);
    std::mem::replace(&mut told.world, World::new(0, Plan::calm()))
}

fn play(world: &mut World, seed: u64) {
    world.begin_uneven();
    world.sids().into_iter().for_each(|sid| world.start(sid));
    world.run_wild(STRIFE);
    world.heal();
    world.run_for(Duration::from_millis(1));
    must_agree(world, seed, 0);
    let before = world.ledger.committed.len();
    let leader = world.leaders()[0];
    world.propose(leader, 3);
    must_agree(world, seed, before + 3);
}

/// Everybody agrees in time, on so many transactions at least. The time begins when no disk has much to do any more: unlike
/// real ones, these do one thing after the other.
fn must_agree(world: &mut World, seed: u64, count: usize) {
    let mut end = world.network.now.after(HEALING);
    let last_end = world.network.now.after(HEALING * 10);
    let is_enough = |world: &World| world.ledger.committed.len() >= count && world.agrees();
    while !is_enough(world) {
        if world.servers.values().any(|server| server.disk.waiting() > JOBS_MAX) {
            end = world.network.now.after(HEALING).min(last_end);
        }
        assert!(world.network.now < end, "P17: seed {seed}: {}", world.roles());
        world.run_for(Duration::from_millis(100));
    }
}

/// A run that tells about itself when it fails.
struct Told {
    seed: u64,
    world: World,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = self.world.record.take();
            let lines: Vec<&str> = text.lines().collect();
            let end = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            let (seed, plan) = (self.seed, &self.world.plan);
            eprintln!("seed {seed}: {plan:?}\n{}", end.join("\n"));
        }
    }
}
