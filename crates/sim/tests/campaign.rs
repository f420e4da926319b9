//! Some fresh runs with every build, and that runs are a function of their tapes.

use std::time::Duration;

use sim::campaign::{self, Budget};
use sim::tape::{Tail, Tape};
use sim::world::{self, Trace};

/// The runs are counted, not timed: so they are the same ones on every machine, and what must have happened in
/// them is not a matter of luck.
const TIME: Duration = Duration::MAX;

#[test]
fn fresh_runs_break_no_promise() {
    let budget = Budget { first_seed: 0, voters: Some(1), runs: 150, time: TIME, threads: 1 };
    let outcome = campaign::search(budget).expect("one voter is possible");
    if let Some((seed, report)) = outcome.failure {
        panic!("seed {seed}: {:?}", report.violation);
    }
    assert_eq!(outcome.runs, budget.runs);
    assert!(outcome.counters.of("answered requests") > 10 * outcome.runs);
    assert!(outcome.counters.of("power lost") >= outcome.runs);
}

#[test]
fn fresh_runs_of_ensembles_break_no_promise() {
    for voters in [3, 5] {
        let voters_of_all = Some(voters);
        let budget =
            Budget { first_seed: 0, voters: voters_of_all, runs: 40, time: TIME, threads: 2 };
        let outcome = campaign::search(budget).expect("so many voters are possible");
        if let Some((seed, report)) = outcome.failure {
            panic!("seed {seed} with {voters} servers: {:?}", report.violation);
        }
        assert_eq!(outcome.runs, budget.runs);
        assert!(outcome.counters.of("answered requests") > 10 * outcome.runs);
        assert!(outcome.counters.of("epoch begun") > outcome.runs);
    }
}

#[test]
fn recorded_tapes_make_the_same_run() {
    for (seed, voters) in [(3, 1), (40, 1), (77, 1), (5, 3), (6, 5)] {
        let tape = world::tape(seed, Some(voters)).expect("so many voters are possible");
        let first = world::run(tape, Trace::Off);
        let again = world::run(Tape::new(first.tape.clone(), Tail::Zeros), Trace::On);
        assert_eq!(again.history, first.history);
        assert_eq!(again.fingerprint, first.fingerprint);
        assert!(!again.trace.is_empty());
    }
}
