//! The command line of the differential test.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use differential::known::Known;
use differential::lockstep::{Lockstep, Stop, Tally};
use differential::side::Side;

const USAGE: &str =
    "usage: differential --left HOST:PORT --right HOST:PORT [--seeds A..B] [--ops N]";

/// What the command line says.
struct Options {
    seeds: Range<u64>,
    operations: u64,
    left: SocketAddr,
    right: SocketAddr,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = parse(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let mut total = Tally::default();
    let mut sides = [Side::new(options.left), Side::new(options.right)];
    for seed in options.seeds.clone() {
        match Lockstep::begin(seed, sides).and_then(|run| run.run(options.operations)) {
            Ok((tally, same_sides)) => {
                total.add(&tally);
                sides = same_sides;
            }
            Err(stop) => return report(&options, seed, &stop),
        }
    }
    summarize(&total, options.seeds.end - options.seeds.start, start);
    ExitCode::SUCCESS
}

/// Reads the options; `None` when they make no sense.
fn parse(words: &[String]) -> Option<Options> {
    let mut seeds = 1..51;
    let mut operations = 20_000;
    let mut sides = [None, None];
    let mut words = words.iter();
    while let Some(option) = words.next() {
        let value = words.next()?;
        match option.as_str() {
            "--seeds" => {
                let (first, end) = value.split_once("..")?;
                seeds = first.parse().ok()?..end.parse().ok()?;
            }
            "--ops" => operations = value.parse().ok()?,
            "--left" => sides[0] = value.to_socket_addrs().ok()?.next(),
            "--right" => sides[1] = value.to_socket_addrs().ok()?.next(),
            _ => return None,
        }
    }
    let [left, right] = sides;
    Some(Options { seeds, operations, left: left?, right: right? })
}

#[expect(clippy::print_stdout, reason = "the report of a command-line tool")]
fn report(options: &Options, seed: u64, stop: &Stop) -> ExitCode {
    println!("seed {seed}: {stop}");
    let mut source = std::error::Error::source(stop);
    while let Some(cause) = source {
        println!("  {cause}");
        source = cause.source();
    }
    let operations = match stop {
        Stop::Difference(difference) => difference.operations,
        Stop::Connection(_) => options.operations,
    };
    println!(
        "again, on two fresh servers: differential --seeds {seed}..{} --ops {operations} \\",
        seed + 1
    );
    println!("    --left {} --right {}", options.left, options.right);
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the report of a command-line tool")]
fn summarize(total: &Tally, seeds: u64, start: Instant) {
    println!(
        "{} operations over {seeds} seeds in {} s: no difference ({} refusals, {} events)",
        total.operations,
        start.elapsed().as_secs(),
        total.refusals,
        total.events
    );
    for known in Known::ALL {
        let count = total.known.get(&known).copied().unwrap_or_default();
        println!("known: {known}: {count} times");
    }
}
