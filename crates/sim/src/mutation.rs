//! The commands that break the server on purpose.
//!
//! Each mutant runs in a process of its own: it may well end in an assertion of the server, which
//! counts as found. Those that only the tests of `zab` can find are looked for by these, with cargo.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use sim::campaign::{Budget, Campaign};
use sim::checkers::Promise;
use sim::mutants::{self, Hunt, Mutant};

use crate::arguments::Arguments;
use crate::terminal::{Stop, say, tell_of_panics};

/// Runs in which a mutant has to be found: the same ones on any machine, however busy it is.
const SCHEDULES: u64 = 50_000;
/// Seconds after which it has survived in any case.
const SECONDS: u64 = 600;

/// The manifest of the crate whose tests look for mutants too.
const ZAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../zab/Cargo.toml");
/// Seconds that they may take before it is the scripts' turn.
const ZAB_SECONDS: u64 = 60;
/// The test that does.
const ZAB_TEST: &str = "mutants::each_planted_bug_is_found";

/// How one mutant ended.
struct Fate {
    /// What found it; `None` if it survived.
    killer: Option<String>,
    /// Whether that should have found it.
    is_expected: bool,
    runs: String,
    /// Seconds of a processor that the search took.
    seconds: f64,
}

/// What is written behind a mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It was found by what should find it.
    Expected,
    /// It was found by something else.
    Odd,
    Alive,
}

/// How many ended how.
#[derive(Default)]
struct Tally {
    alive: u32,
    odd: u32,
    seconds: Vec<f64>,
    /// Those that nobody looks for.
    exempt: u32,
}

/// What is searched for mutants with.
#[derive(Clone, Copy)]
struct Effort {
    schedules: u64,
    seconds: u64,
    first_seed: u64,
    threads: u64,
}

impl Effort {
    fn read(arguments: &mut Arguments) -> Result<Self, Stop> {
        Ok(Self {
            schedules: arguments.number("--schedules")?.unwrap_or(SCHEDULES),
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
    let mut tally = Tally::default();
    for mutant in mutants::ALL.iter().filter(|mutant| is_chosen(mutant.number)) {
        let fate = match mutant.hunt {
            Hunt::Runs { breaks, voters } => try_one(mutant.number, breaks, voters, effort),
            Hunt::ProtocolTests(_) => try_in_zab(mutant, effort),
            Hunt::Nobody(why) => {
                tally.exempt += 1;
                say(format_args!("M{:<4} {:<12}   {}: {why}", mutant.number, "-", mutant.what))?;
                continue;
            }
        };
        tell(mutant, &fate.map_err(|_| Stop::Usage)?, &mut tally)?;
    }
    let Tally { alive, odd, mut seconds, exempt } = tally;
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    let worst = seconds.last().copied().unwrap_or_default();
    say(format_args!(
        "{} mutants, {alive} alive, {odd} found by another promise than expected (*), and {exempt} of \
         which nothing comes; CPU-seconds: median {median:.2}, worst {worst:.2}",
        seconds.len()
    ))?;
    Ok(if alive == 0 && odd == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells how a mutant ended.
fn tell(mutant: &Mutant, fate: &Fate, tally: &mut Tally) -> Result<(), Stop> {
    let Fate { killer, is_expected, runs, seconds } = fate;
    let mark = match (killer, is_expected) {
        (None, _) => Mark::Alive,
        (Some(_), false) => Mark::Odd,
        (Some(_), true) => Mark::Expected,
    };
    tally.alive += u32::from(mark == Mark::Alive);
    tally.odd += u32::from(mark == Mark::Odd);
    tally.seconds.push(*seconds);
    let (what, why) = match mutant.hunt {
        Hunt::ProtocolTests(why) => (mutant.what, format!("; by the tests of zab: {why}")),
        Hunt::Runs { .. } | Hunt::Nobody(_) => (mutant.what, String::new()),
    };
    say(format_args!(
        "M{:<4} {:<12} {} {runs:>7} schedules {seconds:>7.2} s  {what}{why}",
        mutant.number,
        killer.as_deref().unwrap_or("ALIVE"),
        if mark == Mark::Odd { '*' } else { ' ' },
    ))
}

/// Searches with one mutant switched on, in this process.
pub(crate) fn one(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let number = arguments.number("--number")?.ok_or(Stop::Usage)?;
    let Some(mutant) = mutants::ALL.iter().find(|mutant| u64::from(mutant.number) == number) else {
        return Err(Stop::Usage);
    };
    let Effort { schedules, seconds, first_seed, threads } = Effort::read(&mut arguments)?;
    arguments.finish()?;
    let Hunt::Runs { voters, .. } = mutant.hunt else { return Err(Stop::Usage) };
    let campaign = Campaign::new(Budget {
        voters: Some(voters),
        first_seed,
        runs: schedules,
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

fn try_one(number: u32, breaks: &[Promise], voters: usize, effort: Effort) -> io::Result<Fate> {
    let Effort { schedules, seconds, first_seed, threads } = effort;
    let (start, before) = (Instant::now(), children_seconds());
    let output = Command::new(std::env::current_exe()?)
        .args(["mutant", "--number", &number.to_string()])
        .args(["--schedules", &schedules.to_string(), "--seconds", &seconds.to_string()])
        .args(["--from", &first_seed.to_string()])
        .args(["--jobs", &threads.to_string()])
        .output()?;
    let worked = children_seconds().zip(before).map(|(after, before)| after - before);
    let seconds = worked.unwrap_or_else(|| start.elapsed().as_secs_f64());
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    let (killer, runs) = match (words.next(), words.next()) {
        (Some("alive"), Some(runs)) => (None, runs),
        (Some(promise), Some(runs)) => (Some(promise.to_owned()), runs),
        // It died without a word.
        _ => (Some(Promise::NoPanic.to_string()), "?"),
    };
    let seed = text.split_once(" seed ").and_then(|(_, rest)| rest.split_once(':')?.0.parse().ok());
    let killer = match seed {
        Some(seed) if breaks_by_itself(seed, voters)? => Some("nothing-planted".to_owned()),
        _ => killer,
    };
    let is_expected = killer
        .as_ref()
        .is_some_and(|killer| breaks.iter().any(|promise| promise.to_string() == *killer));
    Ok(Fate { killer, is_expected, runs: runs.to_owned(), seconds })
}

/// Whether a run breaks a promise though nothing is planted: then that is no merit of who looks for what is.
fn breaks_by_itself(seed: u64, voters: usize) -> io::Result<bool> {
    let output = Command::new(std::env::current_exe()?)
        .args(["run", "--seed", &seed.to_string(), "--servers", &voters.to_string()])
        .output()?;
    Ok(!output.status.success())
}

/// Seconds of a processor that the processes took which this one has waited for, where the system
/// says so.
fn children_seconds() -> Option<f64> {
    /// What the kernel counts in, since it tells processes nothing finer.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name before it may have spaces; behind it, the times of children are the 14th and 15th word.
    let words: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| words.get(at)?.parse::<f64>().ok();
    Some((ticks(13)? + ticks(14)?) / TICKS_PER_SECOND)
}

/// Lets the tests of `zab` look for a mutant, which say `M<number> <mark> <killer> <runs> runs <seconds> s`.
fn try_in_zab(mutant: &Mutant, effort: Effort) -> io::Result<Fate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--quiet", "--release", "--features", "mutants", "--manifest-path", ZAB])
        .args(["--test", "protocol", "--", "--exact", ZAB_TEST, "--nocapture"])
        .env("ONLY", mutant.number.to_string())
        .env("SECONDS", ZAB_SECONDS.min(effort.seconds).to_string())
        .env("FROM", effort.first_seed.to_string())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let name = format!("M{} ", mutant.number);
    let line = text
        .lines()
        .find(|line| line.starts_with(&name))
        .unwrap_or_else(|| panic!("the tests of zab say nothing of mutant {name}: {text}"));
    let is_expected = output.status.success();
    let mut words = line.split_whitespace().skip(1).filter(|&word| word != "*");
    let killer = words.next().filter(|&killer| killer != "alive").map(str::to_owned);
    let runs = words.next().unwrap_or("?").to_owned();
    // One thread, and no time to build it.
    let seconds = words.nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    Ok(Fate { killer, is_expected, runs, seconds })
}

#[cfg(feature = "mutants")]
fn choose(number: u32) {
    types::mutant::choose(number);
}

#[cfg(not(feature = "mutants"))]
fn choose(_number: u32) {}
