//! Ensembles with chance and faults.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ensemble::world::record::Shown;
use crate::ensemble::world::{Plan, World};

/// Seeds of the runs of each shape.
const SEEDS: u64 = 40;

/// How long servers are struck.
const STRIFE: Duration = Duration::from_secs(20);

/// Within which time an ensemble that is whole again agrees: those that were cut off call each other
/// every five seconds, and then an election may fail.
const HEALING: Duration = Duration::from_secs(20);

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
    for seed in 0..SEEDS {
        for (voters, observers) in [(3, 0), (3, 1), (5, 1)] {
            let world = run(seed, voters, observers);
            for (what, count) in world.record.counts {
                *counts.entry(what).or_insert(0) += count;
            }
        }
    }
    eprintln!("{counts:#?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let fingerprint = |world: World| {
        format!("{} {:?} {:?}", world.roles(), world.ledger.committed, world.record.counts)
    };
    assert_eq!(fingerprint(run(7, 3, 1)), fingerprint(run(7, 3, 1)));
}

/// Strife, then peace: everybody agrees in time, and goes on to commit. Of a run that fails the
/// seed is printed, and of the one that `SEED` names the end of what happened.
fn run(seed: u64, voters: i64, observers: i64) -> World {
    let plan = Plan { voters, observers, ..Plan::wild(seed) };
    let mut told = Told { seed, world: World::new(seed, plan) };
    if std::env::var("SEED").is_ok_and(|it| it == seed.to_string()) {
        told.world.record.shown = Shown::ALL.into();
    }
    play(&mut told.world, seed);
    std::mem::replace(&mut told.world, World::new(0, Plan::calm()))
}

fn play(world: &mut World, seed: u64) {
    world.sids().into_iter().for_each(|sid| world.start(sid));
    world.run_wild(STRIFE);
    world.heal();
    let end = world.network.now.after(HEALING);
    while !(world.leaders().len() == 1 && world.run_until(world.network.now, World::agrees)) {
        assert!(world.network.now < end, "P17: seed {seed}: {}", world.roles());
        world.run_for(Duration::from_millis(100));
    }
    let before = world.ledger.committed.len();
    let leader = world.leaders()[0];
    world.propose(leader, 3);
    world.run_for(Duration::from_secs(2));
    assert!(world.agrees(), "P17: seed {seed}: {}", world.roles());
    assert_eq!(world.ledger.committed.len(), before + 3, "P17: seed {seed}");
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
