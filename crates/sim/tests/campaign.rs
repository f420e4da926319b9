//! Some fresh runs with every build, and that runs are a function of their tapes.

use std::time::Duration;

use sim::campaign::{self, Budget};
use sim::tape::{Tail, Tape};
use sim::world::{self, Trace};

#[test]
fn fresh_runs_break_no_promise() {
    let time = Duration::from_secs(20);
    let outcome = campaign::search(Budget { first_seed: 0, runs: 150, time });
    if let Some((seed, report)) = outcome.failure {
        panic!("seed {seed}: {:?}", report.violation);
    }
    assert!(outcome.counters.of("answered requests") > 10 * outcome.runs);
    assert!(outcome.counters.of("power lost") >= outcome.runs);
}

#[test]
fn recorded_tapes_make_the_same_run() {
    for seed in [3, 40, 77] {
        let first = world::run(Tape::from_seed(seed), Trace::Off);
        let again = world::run(Tape::new(first.tape.clone(), Tail::Zeros), Trace::On);
        assert_eq!(again.history, first.history);
        assert_eq!(again.fingerprint, first.fingerprint);
        assert!(!again.trace.is_empty());
    }
}
