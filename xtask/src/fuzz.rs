//! `cargo xtask fuzz`: builds the fuzz targets with a stable compiler and runs them for a while.
//!
//! The coverage that libFuzzer needs comes from a pass of LLVM that a stable compiler has too. The
//! address sanitizer, which needs a nightly one, would look for what code without `unsafe` can not
//! do.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// What `cargo fuzz` passes, without the sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cdebug-assertions -Ccodegen-units=1";

/// A named platform keeps the flags away from build scripts.
const PLATFORM: &str = env!("XTASK_PLATFORM");

/// What libFuzzer writes before the number of inputs that it has tried, among its last figures.
const EXECUTED: &str = "stat::number_of_executed_units:";

/// How a target's run went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    /// The target.
    pub(crate) name: String,
    /// Inputs that it has tried.
    pub(crate) executions: u64,
    /// Whether it found something, or could not run. One that has tried nothing has not run.
    pub(crate) has_failed: bool,
}

/// Runs one target, or all, for so many seconds each, and tells how each of them went.
///
/// # Errors
/// The targets can not be built or listed.
pub(crate) fn run(root: &Path, wanted: Option<&str>, seconds: u32) -> io::Result<Vec<Outcome>> {
    let folder = root.join("fuzz");
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--release", "--bins", "--target", PLATFORM]);
    check(build.env("RUSTFLAGS", FLAGS).current_dir(&folder).status()?)?;
    let mut outcomes = Vec::new();
    for name in targets(&folder)? {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let corpus = folder.join("corpus").join(&name);
        let artifacts = folder.join("artifacts").join(&name);
        std::fs::create_dir_all(&corpus)?;
        std::fs::create_dir_all(&artifacts)?;
        let program = folder.join("target").join(PLATFORM).join("release").join(&name);
        let output = Command::new(program)
            .arg(format!("-max_total_time={seconds}"))
            .arg("-verbosity=0")
            .arg("-print_final_stats=1")
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(corpus)
            .arg(folder.join("seeds").join(&name))
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let executions = executions(&said);
        let has_failed = !output.status.success() || executions == 0;
        if has_failed {
            // What broke it is in the artifacts; this is what libFuzzer and the target said of it.
            eprintln!("{name}:\n{said}");
        }
        outcomes.push(Outcome { name, executions, has_failed });
    }
    Ok(outcomes)
}

/// How many inputs all of them have tried.
pub(crate) fn total(outcomes: &[Outcome]) -> u64 {
    outcomes.iter().map(|outcome| outcome.executions).sum()
}

/// How many inputs a target has tried, by what libFuzzer said at its end; none if it did not say.
fn executions(said: &str) -> u64 {
    let number = said.lines().rev().find_map(|line| line.trim().strip_prefix(EXECUTED));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// The names of the targets, in order.
fn targets(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets"))? {
        let path: PathBuf = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn check(status: ExitStatus) -> io::Result<()> {
    if status.success() { Ok(()) } else { Err(io::Error::other("the fuzz targets do not build")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_those_of_the_last_figures() {
        let said = "stat::number_of_executed_units: 7\nDone\nstat::number_of_executed_units: 38192\n\
                    stat::average_exec_per_sec:     9548\n";
        assert_eq!(executions(said), 38_192);
    }

    #[test]
    fn who_says_nothing_has_tried_nothing() {
        for said in ["", "thread panicked\n", "stat::number_of_executed_units: many\n"] {
            assert_eq!(executions(said), 0, "{said:?}");
        }
    }
}
