//! Every order in which a small synchronization can happen, and a crash at every place in it.
//!
//! Three servers; in epoch 1 up to two transactions were logged by some of them, in an epoch 2 that
//! began behind some of these up to one more. Whoever an election makes the leader brings the others
//! to its history, out of its log or by snapshots, while one transaction more is proposed at any time.
//! Elections and server 2 are taken in one step each: what they do happens as soon as it can. All
//! else happens in every order: what arrives over the quorum ports, what disks do, and what is read of
//! the log. In each state that is reached a server crashes, starts again, and everything goes on, in
//! one order then.
//!
//! Each state is checked by what `world.rs` checks at every step, and each end of a path by that all
//! servers agree. States are told apart by all that servers know, have on their disks, and have sent.
//!
//! Four cases are searched, one for each way to a history; `SCOPE=all` searches all of them, which takes
//! two minutes with `--release`. What the search is worth is measured in `mutants.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use types::{Counter, Epoch, Sid, Zxid};
use zab::LogReading;

use crate::ensemble::world::{Choice, Plan, World};

/// Who does everything at once.
const SWIFT: Sid = Sid(2);

/// Those whose steps are tried in every order, and who crash.
const SLOW: [Sid; 2] = [Sid(1), Sid(3)];

/// Choices on the way from the start to a state, at most.
const DEPTH_MAX: usize = 60;

/// Moments at which something happens by itself, until everybody agrees.
const WAITS_MAX: u32 = 400;

/// ... of two servers, while the third is down.
const WAITS_WITHOUT_IT: u32 = 40;

/// A snapshot; a cut and what the log has; what the log has; nothing but what is proposed.
const FEW: [Case; 4] = [
    Case {
        common: 1,
        histories: [History::Old(2), History::New(0), History::New(1)],
        log_reading: LogReading::Off,
    },
    Case {
        common: 1,
        histories: [History::Old(2), History::New(0), History::New(1)],
        log_reading: LogReading::Unlimited,
    },
    Case {
        common: 1,
        histories: [History::Old(0), History::New(0), History::New(1)],
        log_reading: LogReading::Unlimited,
    },
    Case {
        common: 0,
        histories: [History::Old(1), History::Old(1), History::Old(1)],
        log_reading: LogReading::Off,
    },
];

/// What was visited.
#[derive(Default)]
struct Search {
    /// The fingerprints of all states from which everything was tried.
    states: BTreeSet<u64>,
    /// ... of those in which a server has just crashed.
    crashes: BTreeSet<u64>,
    deepest: usize,
    ends: u64,
    cut_short: u64,
    counts: BTreeMap<String, u64>,
}

/// What a server has logged.
#[derive(Clone, Copy, Debug)]
enum History {
    /// So many transactions of epoch 1.
    Old(u32),
    /// The history with which epoch 2 began, and so many of its own.
    New(u32),
}

/// What the servers have when they start.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// How many transactions of epoch 1 were there when epoch 2 began.
    common: u32,
    histories: [History; 3],
    log_reading: LogReading,
}

/// Searches a few cases, as a test that is run for a planted bug.
#[cfg(feature = "mutants")]
pub(crate) fn search_few() {
    search(&FEW);
}

#[test]
fn every_order_of_a_small_synchronization_ends_well() {
    let all = cases();
    let is_whole = std::env::var("SCOPE").is_ok_and(|it| it == "all");
    search(if is_whole { &all } else { &FEW });
}

/// Searches all of these cases; panics where something is wrong.
fn search(cases: &[Case]) {
    let mut search = Search::default();
    for case in cases {
        search.explore(&mut case.world(), 0);
    }
    let Search { states, crashes, deepest, ends, cut_short, counts } = search;
    eprintln!(
        "{} cases, {} states, {} crashes, {ends} ends, {deepest} choices deep at most, {counts:?}",
        cases.len(),
        states.len(),
        crashes.len(),
    );
    assert_eq!(cut_short, 0, "every path was followed to its end");
    for way in ["way Diff", "way Truncate", "way Snapshot", "log read"] {
        assert!(counts.contains_key(way), "{way}: {counts:?}");
    }
}

/// Epoch 2 was led by server 3 or 2, which had a quorum with each other.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for log_reading in [LogReading::Off, LogReading::Unlimited] {
        let mut add = |common, one, two, three| {
            let histories = [one, two, three];
            cases.push(Case { common, histories, log_reading });
        };
        for lengths in 0..27 {
            let [one, two, three] = [lengths % 3, lengths / 3 % 3, lengths / 9].map(History::Old);
            add(0, one, two, three);
        }
        for common in 0..=1 {
            for (two, three) in [(0, 1), (1, 0), (1, 1)] {
                let [two, three] = [two, three].map(History::New);
                add(common, History::New(0), two, three);
                for length in 0..=2 {
                    add(common, History::Old(length), two, three);
                }
            }
        }
    }
    cases
}

impl Case {
    /// The servers, running; nothing has happened yet.
    fn world(self) -> World {
        let plan = Plan {
            history_min: 0,
            log_reading: self.log_reading,
            delay: Duration::ZERO,
            job: Duration::ZERO,
            stream: Duration::ZERO,
            ..Plan::calm()
        };
        let mut world = World::new(1, plan);
        let of_epoch = |epoch: i32, count: u32| {
            (1..=count).map(move |counter| Zxid::new(Epoch(epoch), Counter(counter)))
        };
        for (sid, history) in (1..).map(Sid).zip(self.histories) {
            let (epoch, old, new) = match history {
                History::Old(count) => (1, count, 0),
                History::New(count) => (2, self.common, count),
            };
            world.give(sid, of_epoch(1, old).chain(of_epoch(2, new)));
            let durable = &mut world.servers.get_mut(&sid).unwrap().disk.durable;
            (durable.accepted, durable.current) = (Epoch(epoch), Epoch(epoch));
        }
        world.sids().into_iter().for_each(|sid| world.start(sid));
        world.flow(SWIFT);
        world
    }
}

impl Search {
    /// Visits a state, and all that can follow.
    fn explore(&mut self, world: &mut World, depth: usize) {
        self.deepest = self.deepest.max(depth);
        if !self.states.insert(world.fingerprint()) {
            return;
        }
        if depth == DEPTH_MAX {
            self.cut_short += 1;
            return;
        }
        for sid in SLOW {
            self.crash(world, sid);
        }
        let mut choices = world.choices(SWIFT);
        if world.ledger.proposals == 0 {
            choices.extend(world.leaders().into_iter().map(Choice::Propose));
        }
        if choices.is_empty() {
            self.finish(&mut world.clone());
            return;
        }
        for choice in choices {
            let mut next = world.clone();
            next.choose(choice);
            next.flow(SWIFT);
            self.explore(&mut next, depth + 1);
        }
    }

    /// A server crashes here, and starts when the others have done what they can without it.
    fn crash(&mut self, world: &World, sid: Sid) {
        if world.servers[&sid].process.is_none() {
            return;
        }
        let mut world = world.clone();
        world.choose(Choice::Crash(sid));
        world.flow(SWIFT);
        if !self.crashes.insert(world.fingerprint()) {
            return;
        }
        for waits in [0, WAITS_WITHOUT_IT] {
            let mut world = world.clone();
            go_on_for(&mut world, waits);
            world.choose(Choice::Start(sid));
            world.flow(SWIFT);
            self.finish(&mut world);
        }
    }

    /// Goes on in one order until everybody agrees.
    fn finish(&mut self, world: &mut World) {
        go_on_for(world, WAITS_MAX);
        assert!(world.agrees(), "P17: they do not agree: {}", world.roles());
        self.ends += 1;
        for (what, count) in std::mem::take(&mut world.record.counts) {
            *self.counts.entry(what).or_insert(0) += count;
        }
    }
}

/// Lets everything happen, always what was sent first, and time pass until everybody agrees.
fn go_on_for(world: &mut World, waits_max: u32) {
    for _ in 0..waits_max {
        while let Some(&choice) = world.choices(SWIFT).first() {
            world.choose(choice);
            world.flow(SWIFT);
        }
        if world.agrees() {
            return;
        }
        world.wait();
        world.flow(SWIFT);
    }
}
