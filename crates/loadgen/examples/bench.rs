//! `reefkeeper bench` without the rest of the binary: `cargo run --release --example bench -- get`.

use std::error::Error as _;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use loadgen::BenchArgs;

/// Loads a server of the ZooKeeper protocol and tells how it did
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    bench: BenchArgs,
}

fn main() -> ExitCode {
    let Command { bench } = Command::parse();
    match bench.run(&mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut message = format!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                message += &format!(": {cause}");
                source = cause.source();
            }
            // There is nobody left to tell if this fails.
            writeln!(std::io::stderr(), "{message}").ok();
            ExitCode::FAILURE
        }
    }
}
