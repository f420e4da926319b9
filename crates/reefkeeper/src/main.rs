//! The one binary: subcommands, their arguments, exit codes.

mod effective;
mod exit;
mod log_writer;
mod playground;
mod serve;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A coordination service that speaks ZooKeeper's protocol.
#[derive(Parser)]
#[command(name = "reefkeeper", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a server: `server [zoo.cfg]`, or `server <port> <dataDir> [tickTime] [maxClientCnxns]`.
    ///
    /// Without arguments it listens on port 2181 and keeps its data in ./reefkeeper-data.
    Server {
        /// A configuration file, or port and directory; then `-Dname=value` or `--set name=value`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Shows the configuration that `server` would have with the same words: each key with its value
    /// and where it was given.
    Config {
        /// As for `server`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Reads and changes znodes of any ZooKeeper server: `shell [-server host:port] [command]`.
    ///
    /// Without a command it reads lines from standard input.
    #[command(disable_help_flag = true)]
    Shell {
        /// Options and commands as of zkCli.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Runs an ensemble on this machine, and stops, kills and restarts its servers as told.
    ///
    /// `playground` starts it and reads commands; `playground kill leader`, or any other command, tells
    /// the one that runs what to do.
    Playground(playground::PlaygroundArgs),
    /// Runs one server of a playground.
    #[command(hide = true)]
    PlaygroundMember {
        /// Its configuration file.
        config: String,
    },
    /// Measures any ZooKeeper server: throughput, processor time, latencies.
    Bench(loadgen::BenchArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Server { words } => serve::run(words, None),
        Command::Config { words } => effective::run(words),
        Command::Shell { words } => ExitCode::from(shell::run(words)),
        Command::Playground(args) => playground::run(args),
        Command::PlaygroundMember { config } => playground::run_member(&config),
        Command::Bench(args) => match args.run(&mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => exit::give_up("bench", &failure, exit::FAILED),
        },
    }
}
