//! Runs in a world of virtual time: the participants on a runtime whose clock is stopped and goes on
//! when everybody waits, the servers in a world of [`sim`].

mod sea;

use std::time::{Duration, SystemTime};

use sim::tape::Tape;
use sim::world::{Counters, Outside};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use self::sea::{STEPS_MAX, Sea, Shore, Stop};
use crate::checkers::{self, LIVENESS, Violation};
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
    let mut outside =
        Outside::new(tape, SERVERS).expect("a directory that is empty can be founded");
    let timeout = outside.timeout();
    let play = Play::draw(&mut random, timeout, recipe);
    if play.recipe == Recipe::PersistentTtl {
        // When a time to live is over is what wall clocks say.
        outside.spare_wall_clocks();
    }
    let book = Book::default();
    let local = LocalSet::new();
    let (stop, sea) = local.block_on(&runtime, async {
        reefkeeper_recipes::set_wall_clock(wall_clock(&outside));
        let (mut sea, shore) = Sea::new(outside);
        let site = site(&shore, timeout);
        let performed =
            perform(site, play.clone(), book.clone(), random, async || shore.make_peace().await);
        let stop = tokio::select! {
            biased;
            stop = sea.run() => Some(stop),
            () = performed => None,
        };
        (stop, sea)
    });
    if matches!(stop, Some(Stop::Endless)) {
        let overdue = format!("participants keep servers busy for more than {STEPS_MAX} steps");
        book.open().overdue.push(overdue);
    }
    let history = book.open().clone();
    let violation = match stop {
        Some(Stop::Broken(violation)) => Some(Violation::new("servers", violation.to_string())),
        Some(Stop::Endless) | None => {
            // Nobody can be served then, and that is as it should be.
            let is_excused = sea.outside.needs_an_operator();
            let broken = checkers::check(&history).err();
            broken.filter(|broken| !(is_excused && broken.promise == LIVENESS))
        }
    };
    let (fingerprint, elapsed) = (fingerprint(&sea, &history), sea.outside.now());
    let servers = sea.outside.counters().clone();
    Report { play, violation, history, servers, fingerprint, elapsed }
}

/// What the wall clocks of all machines show that were not set.
fn wall_clock(outside: &Outside) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(outside.wall_ms())
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

    #[test]
    fn the_wall_clock_of_participants_goes_with_that_of_servers() {
        let runtime = runtime(1);
        let mut outside = Outside::new(Tape::from_seed(1), SERVERS).expect("it can be founded");
        runtime.block_on(async {
            reefkeeper_recipes::set_wall_clock(wall_clock(&outside));
            let passed = Duration::from_millis(1234);
            tokio::time::sleep(passed).await;
            outside.go_on_until(passed).expect("no promise is broken");
            assert_eq!(reefkeeper_recipes::wall_clock(), wall_clock(&outside));
        });
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
