//! The commands that break the server on purpose.
//!
//! Each mutant runs in a process of its own: it may well end in an assertion of the server, which
//! counts as found.

use std::io;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sim::campaign::{Budget, Campaign};
use sim::checkers::Promise;
use sim::mutants::{self, Mutant};

use crate::arguments::Arguments;
use crate::terminal::{Stop, say, tell_of_panics};

/// Seconds given to a mutant to be found.
const SECONDS: u64 = 120;

/// How one mutant ended.
struct Fate {
    /// What found it; `None` if it survived.
    killer: Option<String>,
    runs: String,
    took: Duration,
}

/// What is searched for mutants with.
#[derive(Clone, Copy)]
struct Effort {
    seconds: u64,
    first_seed: u64,
    threads: u64,
}

impl Effort {
    fn read(arguments: &mut Arguments) -> Result<Self, Stop> {
        Ok(Self {
            seconds: arguments.number("--seconds")?.unwrap_or(SECONDS),
            first_seed: arguments.number("--from")?.unwrap_or(0),
            threads: arguments.number("--jobs")?.unwrap_or(1),
        })
    }
}

/// Runs every mutant until it is found, and tells how.
pub(crate) fn all(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let only = arguments.numbers("--only")?;
    let effort = Effort::read(&mut arguments)?;
    arguments.finish()?;
    if !cfg!(feature = "mutants") {
        return Err(Stop::Usage);
    }
    let is_chosen = |number| only.is_empty() || only.contains(&u64::from(number));
    let (mut alive, mut odd) = (0, 0);
    let mut seconds = Vec::new();
    for mutant in mutants::ALL.iter().filter(|mutant| is_chosen(mutant.number)) {
        let fate = try_one(mutant, effort).map_err(|_| Stop::Usage)?;
        let killer = fate.killer.as_deref().unwrap_or("ALIVE");
        let is_expected = mutant.breaks.iter().any(|promise| promise.to_string() == killer);
        alive += u32::from(fate.killer.is_none());
        odd += u32::from(fate.killer.is_some() && !is_expected);
        seconds.push(fate.took.as_secs_f64());
        say(format_args!(
            "M{:<4} {killer:<12} {} {:>7} schedules {:>7.2} s  {}",
            mutant.number,
            if is_expected { ' ' } else { '*' },
            fate.runs,
            fate.took.as_secs_f64(),
            mutant.what
        ))?;
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    let worst = seconds.last().copied().unwrap_or_default();
    say(format_args!(
        "{} mutants, {alive} alive, {odd} found by another promise than expected (*); seconds: \
         median {median:.2}, worst {worst:.2}",
        seconds.len()
    ))?;
    Ok(if alive == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Searches with one mutant switched on, in this process.
pub(crate) fn one(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let number = arguments.number("--number")?.ok_or(Stop::Usage)?;
    let Some(mutant) = mutants::ALL.iter().find(|mutant| u64::from(mutant.number) == number) else {
        return Err(Stop::Usage);
    };
    let Effort { seconds, first_seed, threads } = Effort::read(&mut arguments)?;
    arguments.finish()?;
    let campaign = Campaign::new(Budget {
        voters: Some(mutant.voters),
        first_seed,
        runs: u64::MAX,
        time: Duration::from_secs(seconds),
        threads: usize::try_from(threads).map_err(|_| Stop::Usage)?,
    });
    let campaign = Arc::new(campaign.map_err(|_| Stop::Usage)?);
    let panicking = Arc::clone(&campaign);
    tell_of_panics(move |seed, what| {
        format!("{} {} seed {seed}: {what}", Promise::NoPanic, panicking.begun())
    });
    choose(mutant.number);
    let outcome = campaign.run();
    match outcome.failure.and_then(|(seed, report)| Some((seed, report.violation?))) {
        Some((seed, violation)) => {
            say(format_args!("{} {} seed {seed}: {violation}", violation.promise, outcome.runs))?;
            Ok(ExitCode::FAILURE)
        }
        None => {
            say(format_args!("alive {}", outcome.runs))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn try_one(mutant: &Mutant, effort: Effort) -> io::Result<Fate> {
    let Effort { seconds, first_seed, threads } = effort;
    let start = Instant::now();
    let output = Command::new(std::env::current_exe()?)
        .args(["mutant", "--number", &mutant.number.to_string()])
        .args(["--seconds", &seconds.to_string(), "--from", &first_seed.to_string()])
        .args(["--jobs", &threads.to_string()])
        .output()?;
    let took = start.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let (killer, runs) = match (words.next(), words.next()) {
        (Some("alive"), Some(runs)) => (None, runs),
        (Some(promise), Some(runs)) => (Some(promise.to_owned()), runs),
        // It died without a word.
        _ => (Some(Promise::NoPanic.to_string()), "?"),
    };
    Ok(Fate { killer, runs: runs.to_owned(), took })
}

#[cfg(feature = "mutants")]
fn choose(number: u32) {
    types::mutant::choose(number);
}

#[cfg(not(feature = "mutants"))]
fn choose(_number: u32) {}
