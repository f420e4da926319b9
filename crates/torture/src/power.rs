//! Servers that lose power, again and again, under load.
//!
//! ```text
//! CARGO_TARGET_DIR=target/faults cargo build -p reefkeeper --features faults
//! cargo run -p torture -- power --cycles 100
//! ```
//!
//! The servers are built so that what they have not synced is lost when they are killed; all are killed at once. What clients saw
//! and what the logs hold in the end stands before the checkers of [`crate::ensemble`], and each write that was
//! acknowledged is looked for in the logs. With `--lie` or `--mutant` a mistake is planted, and the run succeeds if
//! this costs writes.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::ensemble::{Machine, Members, Plant, Report, Terms, run_round};
use crate::failure::Failure;
use crate::random::Random;

/// Between a start and the loss of power there is less time than that.
const LIFE_MS: u64 = 1_500;
/// In one of so many lives power is lost before everybody serves, maybe.
const IMPATIENCE: u64 = 4;

/// What a run does.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The server's program, built with `--features faults`; it is called with `server <configuration file>`.
    #[arg(long, default_value = "target/faults/debug/reefkeeper")]
    binary: PathBuf,
    /// How many servers there are: an ensemble, or one alone.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    servers: u8,
    /// How many clients there are.
    #[arg(long, default_value_t = 6)]
    clients: u32,
    /// How often power is lost.
    #[arg(long, default_value_t = 100)]
    cycles: u64,
    /// How often it is lost before the history is looked at, and new servers begin.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    round_cycles: u64,
    #[command(flatten)]
    plant: Plant,
    /// Decides what is asked and when power is lost, as far as it can be decided.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Loses power until it was lost so often as wanted, or a planted mistake is found.
///
/// # Errors
/// At the first promise that was broken; with a mistake that was planted, if it is not found.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut report = Report::default();
    let machine = Machine::Told(options.plant);
    let terms = Terms {
        binary: &options.binary,
        machine,
        servers: usize::from(options.servers),
        clients: options.clients,
    };
    let mut left = options.cycles;
    let mut broken = None;
    while left > 0 {
        let cycles = left.min(options.round_cycles);
        left -= cycles;
        let seed = options.seed + report.rounds;
        let ended = run_round(&terms, seed, &mut report, |members, random, _| {
            lose_power(cycles, members, random)
        });
        match ended {
            // A mistake may break other promises first.
            Err(failure) if machine.is_planted() => broken = Some(failure),
            ended => ended?,
        }
        if machine.is_planted() && report.lost > 0 {
            left = 0;
        }
    }
    report.took = start.elapsed();
    if machine.is_planted() && report.lost == 0 {
        return Err(broken.unwrap_or(Failure::NothingFound));
    }
    Ok(report)
}

fn lose_power(cycles: u64, members: &mut Members, random: &mut Random) -> Result<(), Failure> {
    for _ in 0..cycles {
        if random.below(IMPATIENCE) > 0 {
            members.wait_until_whole()?;
        }
        thread::sleep(Duration::from_millis(random.below(LIFE_MS)));
        let first = random.below(members.count() as u64);
        let first = usize::try_from(first).unwrap_or(0);
        let mut all: Vec<_> = (0..members.count()).collect();
        all.rotate_left(first);
        members.kill_together(&all)?;
        members.heal()?;
    }
    members.wait_until_whole()
}
