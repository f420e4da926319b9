//! Many runs, one after the other, and what they amount to.

use std::time::{Duration, Instant};

use crate::checkers::{Promise, Violation};
use crate::tape::Tape;
use crate::world::{self, Counters, NoSuchEnsemble, Report, Trace};

/// Every so many runs one is made twice and compared.
const TWICE_EVERY: u64 = 100;

/// How long to search.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The first seed; the following ones come after it.
    pub first_seed: u64,
    /// Voters of every run; `None` lets the tape decide.
    pub voters: Option<usize>,
    /// Runs at most.
    pub runs: u64,
    /// Time at most.
    pub time: Duration,
}

/// What a campaign found.
#[derive(Debug)]
pub struct Outcome {
    /// Runs made.
    pub runs: u64,
    /// Time taken.
    pub took: Duration,
    /// All that was exercised.
    pub counters: Counters,
    /// The first run that broke a promise: its seed and report.
    pub failure: Option<(u64, Report)>,
}

impl Outcome {
    /// Runs per minute.
    pub fn per_minute(&self) -> u64 {
        let millis = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX).max(1);
        self.runs.saturating_mul(60_000) / millis
    }
}

/// Runs seeds until one breaks a promise or the budget is used up.
///
/// # Errors
/// No run has so many voters.
pub fn search(budget: Budget) -> Result<Outcome, NoSuchEnsemble> {
    let start = Instant::now();
    let mut outcome =
        Outcome { runs: 0, took: Duration::ZERO, counters: Counters::default(), failure: None };
    while outcome.runs < budget.runs && start.elapsed() < budget.time {
        let seed = budget.first_seed.wrapping_add(outcome.runs);
        let tape = world::tape(seed, budget.voters)?;
        let mut report = world::run(tape.clone(), Trace::Off);
        outcome.runs += 1;
        outcome.counters.merge(&report.counters);
        if seed.is_multiple_of(TWICE_EVERY) {
            outcome.counters.count("run made twice");
            report.violation = report.violation.take().or_else(|| differs(tape, &report));
        }
        if report.violation.is_some() {
            outcome.failure = Some((seed, report));
            break;
        }
    }
    outcome.took = start.elapsed();
    Ok(outcome)
}

/// Makes a run again and compares everything that was seen.
fn differs(tape: Tape, report: &Report) -> Option<Violation> {
    let again = world::run(tape, Trace::Off);
    let is_same = again.fingerprint == report.fingerprint
        && again.history == report.history
        && again.tape == report.tape;
    (!is_same).then(|| Violation::new(Promise::Determinism, "the tape made two different runs"))
}
