//! Runs in a world of virtual time: the participants on a runtime whose clock is stopped and goes on
//! when everybody waits, the servers in a world of [`sim`].

mod sea;

use std::time::Duration;

use sim::tape::Tape;
use sim::world::{Counters, Outside};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use self::sea::{Sea, Shore};
use crate::checkers::{self, Violation};
use crate::history::{Book, History};
use crate::performance::{Site, perform};
use crate::play::{Play, Recipe};
use crate::random::Random;

/// Servers of a run.
const SERVERS: usize = 3;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// What it was.
    pub play: Play,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// What was seen.
    pub history: History,
    /// What was exercised of the servers.
    pub servers: Counters,
    /// Equal for equal runs.
    pub fingerprint: u64,
    /// Virtual time that passed.
    pub elapsed: Duration,
}

/// Makes the run of a seed; of that recipe, if one is given.
pub fn run(seed: u64, recipe: Option<Recipe>) -> Report {
    let mut random = Random::new(seed);
    let tape = Tape::from_seed(random.number());
    let runtime = runtime(random.number());
    reefkeeper_recipes::seed_names(random.number());
    let outside = Outside::new(tape, SERVERS).expect("a directory that is empty can be founded");
    let timeout = outside.timeout();
    let play = Play::draw(&mut random, timeout, recipe);
    let book = Book::default();
    let local = LocalSet::new();
    let (violation, sea) = local.block_on(&runtime, async {
        let (mut sea, shore) = Sea::new(outside);
        let site = site(&shore, timeout);
        let performed =
            perform(site, play.clone(), book.clone(), random, async || shore.make_peace().await);
        let violation = tokio::select! {
            biased;
            violation = sea.run() => Some(violation),
            () = performed => None,
        };
        (violation, sea)
    });
    let history = book.open().clone();
    let violation = match violation {
        Some(violation) => Some(Violation::new("servers", violation.to_string())),
        // Nobody can be served then, and that is as it should be.
        None if sea.outside.needs_an_operator() && !history.overdue.is_empty() => None,
        None => checkers::check(&history).err(),
    };
    let (fingerprint, elapsed) = (fingerprint(&sea, &history), sea.outside.now());
    let servers = sea.outside.counters().clone();
    Report { play, violation, history, servers, fingerprint, elapsed }
}

fn site(shore: &Shore, timeout: Duration) -> Site {
    let ensemble: Vec<_> = (0..SERVERS).map(|server| format!("s:{}", server + 1)).collect();
    let root = "/stage".to_owned();
    Site { ensemble: ensemble.join(","), timeout, connect: shore.connector(), root }
}

/// A runtime with one thread and a clock that goes on when there is nothing to do. In which order
/// `select!` looks at its branches is drawn from the seed where tokio lets it be.
fn runtime(seed: u64) -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_be_bytes()));
    #[cfg(not(tokio_unstable))]
    let _ = seed;
    builder.build().expect("a runtime without input and output")
}

/// What the world and the participants have seen, in one number.
fn fingerprint(sea: &Sea, history: &History) -> u64 {
    let mut sum = Random::new(sea.outside.fingerprint());
    for turn in &history.turns {
        for number in std::iter::once(&turn.token).chain(&turn.writes) {
            sum = Random::new(sum.number() ^ number);
        }
    }
    sum.number()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_keep_their_promises() {
        for (at, (recipe, name)) in Recipe::ALL.into_iter().enumerate() {
            let report = run(at as u64, Some(recipe));
            assert_eq!(report.violation, None, "{name}");
            assert!(report.history.counts.contains_key("last wishes"), "{name}");
        }
    }

    /// Without that, tokio draws the order in which `select!` looks.
    #[cfg(tokio_unstable)]
    #[test]
    fn a_run_is_a_function_of_its_seed() {
        for seed in 0..5 {
            assert_eq!(run(seed, None).fingerprint, run(seed, None).fingerprint, "{seed}");
        }
    }
}
