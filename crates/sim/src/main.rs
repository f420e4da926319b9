//! The simulator from the command line. See `docs/design/0002-simulator.md`.

mod arguments;
mod mutation;
mod terminal;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use arguments::Arguments;
use sim::campaign::{self, Budget};
use sim::shrink;
use sim::tape::{Script, Tail, Tape};
use sim::world::{self, Excess, Missing, Report, Trace};
use terminal::{Stop, say, tell_of_panics};
use tracing_subscriber::EnvFilter;

const USAGE: &str = "\
usage: sim run --seed S [--servers N] [--trace] [--log FILTER] [--history FILE] [--save TAPE]
       sim campaign [--schedules N] [--seconds T] [--at-least N] [--from SEED] [--servers N] [--jobs N]
       sim replay TAPE [--trace] [--history FILE]
       sim shrink TAPE [--runs N] [--save TAPE]
       sim mutants [--only N,...] [--schedules N] [--seconds T] [--from SEED] [--jobs N]
                   (needs --features mutants)";

/// Lines of the history that a failure prints.
const LAST_LINES: usize = 40;
/// How long a campaign lasts that is told neither its schedules nor its seconds.
const A_MINUTE: u64 = 60;
/// How long a campaign lasts at most that is told only its schedules.
const A_DAY: u64 = 24 * 60 * 60;
/// Runs that shrinking makes at most.
const SHRINKING_RUNS: u64 = 20_000;

fn main() -> ExitCode {
    let mut arguments = Arguments::of_process();
    let result = match arguments.command().as_deref() {
        Some("run") => run(arguments),
        Some("campaign") => campaign(arguments),
        Some("replay") => replay(arguments),
        Some("shrink") => shrink(arguments),
        Some("mutants") => mutation::all(arguments),
        Some("mutant") => mutation::one(arguments),
        _ => Err(Stop::Usage),
    };
    result.unwrap_or_else(|stop| match stop {
        Stop::Usage => say(USAGE).map_or(ExitCode::FAILURE, |()| ExitCode::from(2)),
        Stop::Unread => ExitCode::FAILURE,
    })
}

fn run(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let seed = arguments.number("--seed")?.ok_or(Stop::Usage)?;
    let voters = voters(&mut arguments)?;
    let tape = world::tape(seed, voters).map_err(|error| complain("--servers", &error))?;
    show_run(arguments, tape, &run_command(seed, voters))
}

fn replay(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let file = arguments.value().ok_or(Stop::Usage)?;
    let tape = load(&file)?.tape();
    show_run(arguments, tape, &format!("sim replay {file}"))
}

fn show_run(mut arguments: Arguments, tape: Tape, command: &str) -> Result<ExitCode, Stop> {
    if let Some(filter) = arguments.text("--log")? {
        let filter = EnvFilter::try_new(filter).map_err(|error| complain("--log", &error))?;
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_ansi(false).init();
    }
    let trace = if arguments.flag("--trace") { Trace::On } else { Trace::Off };
    let history = arguments.text("--history")?;
    let save = arguments.text("--save")?;
    arguments.finish()?;
    let report = world::run(tape, trace);
    for line in &report.trace {
        say(line)?;
    }
    if let Some(file) = history {
        let mut text = Vec::new();
        report.history.write(&mut text).map_err(|_| Stop::Usage)?;
        store(&file, &text)?;
    }
    if let Some(file) = save {
        let prose = report.violation.iter().map(ToString::to_string).collect();
        store(&file, script(prose, report.tape.clone()).text().as_bytes())?;
    }
    let Report { counters, fingerprint, elapsed, .. } = &report;
    say(format_args!("{counters}fingerprint {fingerprint:016x}, {elapsed:?}"))?;
    verdict(&report, command)
}

fn campaign(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let schedules = arguments.number("--schedules")?;
    let usual_seconds = if schedules.is_some() { A_DAY } else { A_MINUTE };
    let budget = Budget {
        first_seed: arguments.number("--from")?.unwrap_or(0),
        voters: voters(&mut arguments)?,
        runs: schedules.unwrap_or(u64::MAX),
        time: Duration::from_secs(arguments.number("--seconds")?.unwrap_or(usual_seconds)),
        threads: threads(&mut arguments)?,
    };
    let at_least = arguments.number("--at-least")?.unwrap_or_default();
    arguments.finish()?;
    let voters = budget.voters;
    tell_of_panics(move |seed, what| {
        format!("\nBROKEN {what}\n\nsee it again: {}", run_command(seed, voters))
    });
    let outcome = campaign::search(budget).map_err(|error| complain("--servers", &error))?;
    say(&outcome.counters)?;
    say(format_args!(
        "{} schedules from seed {} in {:.1} s, {} a minute",
        outcome.runs,
        budget.first_seed,
        outcome.took.as_secs_f64(),
        outcome.per_minute()
    ))?;
    if let Some((seed, report)) = &outcome.failure {
        return verdict(report, &run_command(*seed, budget.voters));
    }
    if outcome.runs < at_least {
        say(format_args!("too few schedules: {} of {at_least}", outcome.runs))?;
        return Ok(ExitCode::FAILURE);
    }
    let missing = outcome.counters.missing();
    for Missing { what, seen, required } in &missing {
        say(format_args!("not exercised enough: {what}: {seen} of {required}"))?;
    }
    let excess = outcome.counters.excess();
    for Excess { what, seen, allowed } in &excess {
        say(format_args!("seen too often: {what}: {seen}, at most {allowed}"))?;
    }
    let is_sound = missing.is_empty() && excess.is_empty();
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shrink(mut arguments: Arguments) -> Result<ExitCode, Stop> {
    let file = arguments.value().ok_or(Stop::Usage)?;
    let runs = arguments.number("--runs")?.unwrap_or(SHRINKING_RUNS);
    let save = arguments.text("--save")?.unwrap_or_else(|| format!("{file}.small"));
    arguments.finish()?;
    let tape = load(&file)?.tape();
    match shrink::shrink(&tape, u32::try_from(runs).unwrap_or(u32::MAX)) {
        Some((bytes, promise)) => {
            say(format_args!("{} bytes break {promise}: {save}", bytes.len()))?;
            store(&save, script(vec![promise.to_string()], bytes).text().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            say(format_args!("{file} breaks no promise"))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn voters(arguments: &mut Arguments) -> Result<Option<usize>, Stop> {
    let number = arguments.number("--servers")?;
    number.map(|number| usize::try_from(number).map_err(|_| Stop::Usage)).transpose()
}

/// How many threads make runs.
fn threads(arguments: &mut Arguments) -> Result<usize, Stop> {
    let number = arguments.number("--jobs")?.unwrap_or(1);
    usize::try_from(number).map_err(|_| Stop::Usage)
}

/// The command line that makes a run of a campaign again.
fn run_command(seed: u64, voters: Option<usize>) -> String {
    let servers = voters.map(|voters| format!(" --servers {voters}")).unwrap_or_default();
    format!("sim run --seed {seed}{servers}")
}

/// Prints what was broken, how it came to that, and how to see it again.
fn verdict(report: &Report, command: &str) -> Result<ExitCode, Stop> {
    let Some(violation) = &report.violation else { return Ok(ExitCode::SUCCESS) };
    let lines = &report.history.lines;
    for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
        say(line)?;
    }
    say(format_args!("\nBROKEN {violation}\n\nsee it again: {command} --trace"))?;
    Ok(ExitCode::FAILURE)
}

fn script(prose: Vec<String>, bytes: Vec<u8>) -> Script {
    Script { prose, mutant: None, bytes, tail: Tail::Zeros }
}

fn load(file: &str) -> Result<Script, Stop> {
    let text = fs::read_to_string(file).map_err(|error| complain(file, &error))?;
    Script::parse(&text).map_err(|error| complain(file, &error))
}

fn store(file: &str, bytes: &[u8]) -> Result<(), Stop> {
    fs::write(file, bytes).map_err(|error| complain(file, &error))
}

fn complain(file: &str, error: &dyn std::error::Error) -> Stop {
    say(format_args!("{file}: {error}")).err().unwrap_or(Stop::Usage)
}
