//! The repository's own commands: `cargo xtask tidy` checks the habits that no lint knows,
//! `cargo xtask api` writes down what the published crates promise, `cargo xtask fuzz` runs the fuzz targets for a while, `cargo xtask mutants` plants bugs, and
//! `cargo xtask trust-report` does a bit of everything and says what came of it.
//!
//! See `CONTRIBUTING.md` for what they are and why; each module of `tidy` is one of them.

mod api;
mod fuzz;
mod mutants;
mod repository;
mod tidy;
mod trust;

use std::io;
use std::process::ExitCode;

use repository::Repository;

const USAGE: &str = "\
usage: cargo xtask tidy
       cargo xtask api
       cargo xtask fuzz [<target>|all [<seconds>]]
       cargo xtask mutants [<options of `sim mutants`>]
       cargo xtask trust-report [--quick]";

/// How long a fuzz target runs unless told.
const FUZZ_SECONDS: u32 = 60;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.contains(&"--help") {
        eprintln!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let done = match words[..] {
        ["tidy"] => tidy(),
        ["api"] => Repository::read().and_then(|it| api::write(&it)).map(|()| true),
        ["fuzz"] => fuzz("all", FUZZ_SECONDS),
        ["fuzz", target] => fuzz(target, FUZZ_SECONDS),
        ["fuzz", target, seconds] if seconds.parse::<u32>().is_ok() => {
            fuzz(target, seconds.parse().unwrap_or(FUZZ_SECONDS))
        }
        ["mutants", ref options @ ..] => mutants::run(&repository::root(), options),
        ["trust-report"] => trust_report(trust::Effort::LONG),
        ["trust-report", "--quick"] => trust_report(trust::Effort::QUICK),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn tidy() -> io::Result<bool> {
    let repository = Repository::read()?;
    let findings = tidy::check(&repository);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", repository.files.len(), findings.len());
    Ok(findings.is_empty())
}

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn trust_report(effort: trust::Effort) -> io::Result<bool> {
    let report = trust::make(&repository::root(), effort)?;
    println!("{report}");
    Ok(report.is_clean())
}

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn fuzz(target: &str, seconds: u32) -> io::Result<bool> {
    let wanted = (target != "all").then_some(target);
    let outcomes = fuzz::run(&repository::root(), wanted, seconds)?;
    for fuzz::Outcome { name, executions, has_failed } in &outcomes {
        println!(
            "fuzz: {name}: {executions} executions{}",
            if *has_failed { ", failed" } else { "" }
        );
    }
    let executions = fuzz::total(&outcomes);
    let failed = outcomes.iter().filter(|outcome| outcome.has_failed).count();
    let targets = outcomes.len();
    println!("fuzz: {targets} targets, {seconds} s each, {executions} executions, {failed} failed");
    // A name that no target has is a mistake, and not a success.
    Ok(failed == 0 && targets > 0)
}
