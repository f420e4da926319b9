//! Kills a real server over and over, and counts what it forgot.
//!
//! ```text
//! cargo run -p torture -- kill --rounds 200 --binary target/release/reefkeeper
//! ```
//!
//! In each round some clients write as fast as they can, each below a znode of its own; at a random
//! moment the server gets SIGKILL and is started again on the same directory. Then each client
//! resumes its session and reads everything it owns. A session's requests are done in their order,
//! and the log is a prefix of what was decided: so what a client finds must be exactly what its
//! first `k` requests lead to, where `k` is at least the number of requests that were acknowledged
//! and at most the number that were sent. Anything else is a lost, torn or invented write.
//!
//! `full` does the same with servers that end by themselves: their files may not grow beyond a
//! limit, so that a write of the log fails in the middle.
//!
//! `ensemble` does all kinds of things to several servers at once, see [`ensemble`]; `recipes` lets the
//! recipes of the Rust client work meanwhile, see [`recipes`].
//!
//! Killing a process shows nothing about power: what the kernel has, survives. `power` does it to servers
//! that are built so that they lose what they have not synced, see [`power`].

#![expect(clippy::print_stdout, reason = "a program for terminals")]

mod client;
mod ensemble;
mod failure;
mod ledger;
mod line;
mod ports;
mod power;
mod process;
mod random;
mod recipes;
mod rounds;
mod tmpfs;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::rounds::Ending;

/// Kills a real server over and over, and counts what it forgot.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// SIGKILL under load, a restart on the same directory, and a look at everything.
    Kill(Options),
    /// The log can not be written any more under load; the server has to end, and a restart with
    /// room is followed by a look at everything.
    Full(Options),
    /// Ensembles of servers that are killed, stopped and cut off from each other; every promise is
    /// checked against what all clients saw.
    Ensemble(ensemble::Options),
    /// All servers lose power, again and again: what they have not synced is gone.
    Power(power::Options),
    /// The recipes of the Rust client, on such ensembles, with participants that fail as well.
    Recipes(recipes::Options),
}

/// What a run does.
#[derive(clap::Args, Clone, Debug)]
struct Options {
    /// How often the server ends.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// The server's program; it is called with `server <port> <directory>`.
    #[arg(long, default_value = "target/release/reefkeeper")]
    binary: PathBuf,
    /// How many clients write at the same time.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// The longest time in milliseconds from the start of the load to the kill.
    #[arg(long, default_value_t = 400)]
    load_ms: u64,
    /// Transactions between two snapshots; few make kills hit snapshots and new logs. `full` goes without, as
    /// new logs have room.
    #[arg(long, default_value_t = 2000)]
    snap_count: u64,
    /// The data is on a small file system in memory, not on a disk whose files may not grow: for `full`, below
    /// `unshare --map-root-user --mount`.
    #[arg(long)]
    tmpfs: bool,
    /// Decides what is written and when the server is killed, as far as it can be decided.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let (seed, result) = match Arguments::parse().mode {
        Mode::Kill(options) => (options.seed, run_rounds(&options, Ending::Killed)),
        Mode::Full(options) => (options.seed, run_rounds(&options, Ending::DiskFull)),
        Mode::Ensemble(options) => {
            (options.seed, ensemble::run(&options).map(|report| report.to_string()))
        }
        Mode::Power(options) => {
            (options.seed, power::run(&options).map(|report| report.to_string()))
        }
        Mode::Recipes(options) => {
            (options.seed, recipes::run(&options).map(|report| report.to_string()))
        }
    };
    match result {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let mut words = failure.to_string();
            let mut cause = std::error::Error::source(&failure);
            while let Some(source) = cause {
                words = format!("{words}: {source}");
                cause = source.source();
            }
            eprintln!("torture: {words}");
            eprintln!("torture: the seed was {seed}");
            ExitCode::FAILURE
        }
    }
}

fn run_rounds(options: &Options, ending: Ending) -> Result<String, Failure> {
    rounds::run(options, ending).map(|report| report.to_string())
}
