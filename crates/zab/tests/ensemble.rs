//! Whole ensembles of peers over a simulated network and simulated disks, with faults: nothing that
//! was committed is ever lost or reordered, and when the faults end there is a leader again.

#[path = "ensemble/check.rs"]
mod check;
#[path = "ensemble/disk.rs"]
mod disk;
#[path = "ensemble/network.rs"]
mod network;
#[path = "ensemble/random.rs"]
mod random;
#[path = "ensemble/world.rs"]
mod world;

use std::time::Duration;

use world::{Plan, World};

/// Seeds of the runs of each shape.
const SEEDS: u64 = 40;

#[test]
fn ensembles_that_nothing_happens_to_elect_and_commit() {
    for (voters, observers) in [(1, 0), (2, 0), (3, 0), (3, 1), (5, 2), (7, 3)] {
        let mut world = World::new(1, Plan { voters, observers, ..Plan::calm() });
        world.run_for(Duration::from_secs(2));
        world.propose_somewhere(50);
        world.run_for(Duration::from_secs(2));
        world.must_agree(50);
    }
}

#[test]
fn ensembles_keep_their_promises_under_faults() {
    for seed in 0..SEEDS {
        for (voters, observers) in [(3, 0), (3, 1), (5, 1)] {
            let mut world = World::new(seed, Plan { voters, observers, ..Plan::wild(seed) });
            world.run_wild(Duration::from_secs(20));
            world.heal();
            world.run_for(Duration::from_secs(30));
            world.propose_somewhere(3);
            world.run_for(Duration::from_secs(5));
            world.must_agree(3);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut world = World::new(7, Plan::wild(7));
        world.run_wild(Duration::from_secs(10));
        world.fingerprint()
    };
    assert_eq!(run(), run());
}
