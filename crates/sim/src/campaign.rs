//! Many runs, on one thread or on several, and what they amount to.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::checkers::{Promise, Violation};
use crate::tape::Tape;
use crate::world::{self, Counters, NoSuchEnsemble, Report, Trace};

/// Every so many runs one is made twice and compared.
const TWICE_EVERY: u64 = 100;

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

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
    /// Threads that make runs, at least one. A run has one thread, whatever this is.
    pub threads: usize,
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
    /// A run that broke a promise, of the lowest seed if several did: its seed and report.
    pub failure: Option<(u64, Report)>,
}

/// A search under way, which can be looked at from other threads.
#[derive(Debug)]
pub struct Campaign {
    budget: Budget,
    begun: AtomicU64,
    is_over: AtomicBool,
}

/// Runs seeds until one breaks a promise or the budget is used up.
///
/// # Errors
/// No run has so many voters.
pub fn search(budget: Budget) -> Result<Outcome, NoSuchEnsemble> {
    Ok(Campaign::new(budget)?.run())
}

/// The seed of the run that this thread is at, for whoever tells of a panic in it.
pub fn seed_under_way() -> Option<u64> {
    SEED.get()
}

impl Outcome {
    /// Runs per minute.
    pub fn per_minute(&self) -> u64 {
        let millis = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX).max(1);
        self.runs.saturating_mul(60_000) / millis
    }

    fn new() -> Self {
        Self { runs: 0, took: Duration::ZERO, counters: Counters::default(), failure: None }
    }

    /// Adds what another thread found.
    fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.counters.merge(&other.counters);
        let found = [self.failure.take(), other.failure].into_iter().flatten();
        self.failure = found.min_by_key(|(seed, _)| *seed);
    }
}

impl Campaign {
    /// A search that has not begun.
    ///
    /// # Errors
    /// No run has so many voters.
    pub fn new(budget: Budget) -> Result<Self, NoSuchEnsemble> {
        world::tape(budget.first_seed, budget.voters)?;
        Ok(Self { budget, begun: AtomicU64::new(0), is_over: AtomicBool::new(false) })
    }

    /// Runs seeds until one breaks a promise or the budget is used up.
    pub fn run(&self) -> Outcome {
        let start = Instant::now();
        let mut outcome = Outcome::new();
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.budget.threads.max(1)).map(|_| scope.spawn(|| self.work(start))).collect();
            for thread in threads {
                outcome.merge(thread.join().expect("a run that panics ends the process"));
            }
        });
        outcome.took = start.elapsed();
        outcome
    }

    /// How many runs have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed).min(self.budget.runs)
    }

    /// Makes one run after the other.
    fn work(&self, start: Instant) -> Outcome {
        let mut outcome = Outcome::new();
        while start.elapsed() < self.budget.time && !self.is_over.load(Ordering::Relaxed) {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            let seed = self.budget.first_seed.wrapping_add(number);
            let tape = world::tape(seed, self.budget.voters);
            let Some(tape) = tape.ok().filter(|_| number < self.budget.runs) else { break };
            SEED.set(Some(seed));
            let report = make(seed, tape, &mut outcome.counters);
            SEED.set(None);
            outcome.runs += 1;
            if report.violation.is_some() {
                self.is_over.store(true, Ordering::Relaxed);
                outcome.failure = Some((seed, report));
            }
        }
        outcome
    }
}

/// Makes a run, and some of them twice.
fn make(seed: u64, tape: Tape, counters: &mut Counters) -> Report {
    let mut report = world::run(tape.clone(), Trace::Off);
    counters.merge(&report.counters);
    if seed.is_multiple_of(TWICE_EVERY) {
        counters.count("run made twice");
        report.violation = report.violation.take().or_else(|| differs(tape, &report));
    }
    report
}

/// Makes a run again and compares everything that was seen.
fn differs(tape: Tape, report: &Report) -> Option<Violation> {
    let again = world::run(tape, Trace::Off);
    let is_same = again.fingerprint == report.fingerprint
        && again.history == report.history
        && again.tape == report.tape;
    (!is_same).then(|| Violation::new(Promise::Determinism, "the tape made two different runs"))
}
