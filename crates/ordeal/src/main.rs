//! The recipes under faults, from the command line.

mod mutation;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ordeal::play::Recipe;
use ordeal::simulated::{self, Report};
use sim::world::Counters;

const USAGE: &str = "\
usage: ordeal run --seed S [--recipe NAME] [--mutant NUMBER]
       ordeal campaign [--schedules N] [--seconds T] [--from SEED] [--recipe NAME]
       ordeal mutants [--only NUMBER] [--schedules N] [--from SEED]";

/// What has to happen in a campaign of all recipes of so many runs: one in which it does not shows nothing.
const REQUIRED: &[&str] = &[
    "participants killed",
    "participants cut off",
    "participants held up",
    "wishes dropped",
    "wishes in doubt",
    "turns that ended early",
    "tasks done",
    "decisions to commit",
    "decisions to abort",
    "let in at a barrier",
    "held up at a gate",
    "let through a gate",
    "holders asked to give way",
    "failures told",
    "shares recalled",
    "times to live that were over",
    "seen at the own place",
    "seen at another's place",
    "values told",
    "services called",
];
const REQUIRED_FROM_RUNS: u64 = 1000;

/// What does not happen that often, and has to in a longer campaign.
const RARE: &[&str] = &["late writes refused", "tasks not reported"];
const RARE_FROM_RUNS: u64 = 20_000;

/// How long a campaign lasts that is told neither its schedules nor its seconds.
const A_MINUTE: u64 = 60;
/// How long a campaign lasts at most that is told only its schedules.
const A_DAY: u64 = 24 * 60 * 60;

/// Every so many runs one is made twice and compared.
const TWICE_EVERY: u64 = 100;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.first().map(String::as_str) {
        Some("run") => show(&words),
        Some("campaign") => campaign(&words),
        Some("mutants") => mutation::all(&words),
        _ => None,
    };
    outcome.unwrap_or_else(|| {
        say(USAGE);
        ExitCode::from(2)
    })
}

/// Nothing stands behind the command but pairs of these options and what they are set to.
fn only<'w>(words: &'w [String], names: &[&str]) -> Option<&'w [String]> {
    let pairs = words.get(1..)?.chunks(2);
    let are_known =
        pairs.into_iter().all(|pair| pair.len() == 2 && names.contains(&pair[0].as_str()));
    are_known.then_some(words)
}

/// The word after an option.
fn option<'w>(words: &'w [String], name: &str) -> Option<&'w str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}

fn number(words: &[String], name: &str, default: u64) -> Option<u64> {
    option(words, name).map_or(Some(default), |word| word.parse().ok())
}

/// The recipe of the command line; `None` if it has a name that no recipe has.
fn recipe(words: &[String]) -> Option<Option<Recipe>> {
    option(words, "--recipe").map_or(Some(None), |name| Recipe::of_name(name).map(Some))
}

fn show(words: &[String]) -> Option<ExitCode> {
    let words = only(words, &["--seed", "--recipe", "--mutant"])?;
    let seed = option(words, "--seed")?.parse().ok()?;
    let mutant = option(words, "--mutant").map(str::parse).transpose().ok()?;
    reefkeeper_recipes::choose_mutant(mutant);
    let report = simulated::run(seed, recipe(words)?);
    say(format_args!("{:#?}\n{:#?}", report.play, report.history));
    say(format_args!("fingerprint {:016x}, {:?}", report.fingerprint, report.elapsed));
    Some(verdict(seed, recipe(words)?, &report))
}

fn campaign(words: &[String]) -> Option<ExitCode> {
    let words = only(words, &["--schedules", "--seconds", "--from", "--recipe"])?;
    let schedules = number(words, "--schedules", u64::MAX)?;
    let usual_seconds = if schedules == u64::MAX { A_MINUTE } else { A_DAY };
    let time = Duration::from_secs(number(words, "--seconds", usual_seconds)?);
    let first = number(words, "--from", 1)?;
    let recipe = recipe(words)?;
    let start = Instant::now();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut recipes: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut servers = Counters::default();
    let mut runs = 0;
    while runs < schedules && start.elapsed() < time {
        let seed = first + runs;
        let report = simulated::run(seed, recipe);
        runs += 1;
        for (what, count) in &report.history.counts {
            *counts.entry(what).or_default() += count;
        }
        servers.merge(&report.servers);
        *recipes.entry(report.play.recipe.name()).or_default() += 1;
        if report.violation.is_some() {
            return Some(verdict(seed, recipe, &report));
        }
        if runs % TWICE_EVERY == 0 {
            let second = simulated::run(seed, recipe);
            if second.fingerprint != report.fingerprint {
                let again = again(seed, recipe);
                say(format_args!("BROKEN: it is not the same run twice: {again}"));
                return Some(ExitCode::FAILURE);
            }
        }
    }
    let took = start.elapsed();
    say(&servers);
    for (what, count) in recipes.iter().chain(&counts) {
        say(format_args!("{count:>10} {what}"));
    }
    say(format_args!(
        "{runs} schedules from seed {first} in {:.1} s, {:.0} a minute",
        took.as_secs_f64(),
        runs as f64 * 60.0 / took.as_secs_f64()
    ));
    let is_missing = |what: &&&str| !counts.contains_key(**what);
    let required = [(REQUIRED, REQUIRED_FROM_RUNS), (RARE, RARE_FROM_RUNS)];
    let required = required.into_iter().filter(|&(_, from_runs)| runs >= from_runs);
    let missing: Vec<_> = required.flat_map(|(whats, _)| whats).filter(is_missing).collect();
    if recipe.is_none() && !missing.is_empty() {
        say(format_args!("not exercised: {missing:?}"));
        return Some(ExitCode::FAILURE);
    }
    Some(ExitCode::SUCCESS)
}

/// Says what was broken, and how to see it again.
fn verdict(seed: u64, restricted_to: Option<Recipe>, report: &Report) -> ExitCode {
    let Some(violation) = &report.violation else { return ExitCode::SUCCESS };
    let recipe = report.play.recipe.name();
    let again = again(seed, restricted_to);
    say(format_args!("BROKEN {recipe}: {violation}\n\nsee it again: {again}"));
    ExitCode::FAILURE
}

/// The command that makes a run once more: one that was restricted to a recipe is another without that.
fn again(seed: u64, restricted_to: Option<Recipe>) -> String {
    let recipe = restricted_to.map(|recipe| format!(" --recipe {}", recipe.name()));
    format!("ordeal run --seed {seed}{}", recipe.unwrap_or_default())
}

fn say(what: impl std::fmt::Display) {
    // Whoever does not read has the exit code.
    drop(writeln!(std::io::stdout(), "{what}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_a_run_back_names_its_recipe_if_that_was_chosen() {
        assert_eq!(again(7, None), "ordeal run --seed 7");
        assert_eq!(again(7, Some(Recipe::MultiLock)), "ordeal run --seed 7 --recipe multi-lock");
    }
}
