//! The commands that break the server on purpose.
//!
//! Each mutant runs in a process of its own: it may well end in an assertion of the server, which
//! counts as found.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use sim::campaign::{self, Budget};
use sim::mutants::{self, Mutant};

use crate::arguments::{Arguments, Usage};

/// Seconds given to a mutant to be found.
const SECONDS: u64 = 120;

/// How one mutant ended.
struct Fate {
    /// What found it; `None` if it survived.
    killer: Option<String>,
    runs: String,
    took: Duration,
}

/// Runs every mutant until it is found, and tells how.
pub(crate) fn all(mut arguments: Arguments) -> Result<ExitCode, Usage> {
    let only = arguments.number("--only")?;
    let seconds = arguments.number("--seconds")?.unwrap_or(SECONDS);
    let first_seed = arguments.number("--from")?.unwrap_or(0);
    arguments.finish()?;
    if !cfg!(feature = "mutants") {
        return Err(Usage);
    }
    let chosen =
        mutants::ALL.iter().filter(|it| only.is_none_or(|number| number == u64::from(it.number)));
    let (mut alive, mut odd, mut count) = (0, 0, 0);
    for mutant in chosen {
        let fate = try_one(mutant, seconds, first_seed).map_err(|_| Usage)?;
        let killer = fate.killer.as_deref().unwrap_or("ALIVE");
        let is_expected = mutant.breaks.iter().any(|promise| promise.to_string() == killer);
        count += 1;
        alive += u32::from(fate.killer.is_none());
        odd += u32::from(fate.killer.is_some() && !is_expected);
        println!(
            "M{:<4} {killer:<12} {} {:>7} schedules {:>7.2} s  {}",
            mutant.number,
            if is_expected { ' ' } else { '*' },
            fate.runs,
            fate.took.as_secs_f64(),
            mutant.what
        );
    }
    println!("{count} mutants, {alive} alive, {odd} found by another promise than expected (*)");
    Ok(if alive == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Searches with one mutant switched on, in this process.
pub(crate) fn one(mut arguments: Arguments) -> Result<ExitCode, Usage> {
    let number = arguments.number("--number")?.ok_or(Usage)?;
    let Some(mutant) = mutants::ALL.iter().find(|mutant| u64::from(mutant.number) == number) else {
        return Err(Usage);
    };
    let budget = Budget {
        voters: Some(mutant.voters),
        first_seed: arguments.number("--from")?.unwrap_or(0),
        runs: u64::MAX,
        time: Duration::from_secs(arguments.number("--seconds")?.unwrap_or(SECONDS)),
    };
    arguments.finish()?;
    choose(mutant.number);
    let outcome = campaign::search(budget).map_err(|_| Usage)?;
    match outcome.failure.and_then(|(seed, report)| Some((seed, report.violation?))) {
        Some((seed, violation)) => {
            println!("{} {} seed {seed}: {violation}", violation.promise, outcome.runs);
            Ok(ExitCode::FAILURE)
        }
        None => {
            println!("alive {}", outcome.runs);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn try_one(mutant: &Mutant, seconds: u64, first_seed: u64) -> std::io::Result<Fate> {
    let start = Instant::now();
    let output = Command::new(std::env::current_exe()?)
        .args(["mutant", "--number", &mutant.number.to_string()])
        .args(["--seconds", &seconds.to_string(), "--from", &first_seed.to_string()])
        .output()?;
    let took = start.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let (killer, runs) = match (words.next(), words.next()) {
        (Some("alive"), Some(runs)) => (None, runs),
        (Some(promise), Some(runs)) => (Some(promise.to_owned()), runs),
        // It died in an assertion of its own.
        _ => (Some("NoPanic".to_owned()), "?"),
    };
    Ok(Fate { killer, runs: runs.to_owned(), took })
}

#[cfg(feature = "mutants")]
fn choose(number: u32) {
    types::mutant::choose(number);
}

#[cfg(not(feature = "mutants"))]
fn choose(_number: u32) {}
