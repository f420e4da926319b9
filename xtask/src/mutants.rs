//! `cargo xtask mutants`: builds the simulator with planted bugs in it, and lets it look for each.
//!
//! It prints for every bug what found it (an invariant or a checker, by the promise that was broken), in
//! how many schedules and in how many seconds of a processor, or that it is alive.

use std::io;
use std::path::Path;
use std::process::Command;

/// What builds and runs the simulator with the bugs.
pub(crate) const COMMAND: [&str; 9] =
    ["cargo", "run", "--quiet", "--release", "-p", "sim", "--features", "mutants", "--"];

/// Returns whether every bug was found, by what should find it.
///
/// # Errors
/// The simulator can not be run.
pub(crate) fn run(root: &Path, options: &[&str]) -> io::Result<bool> {
    let status = Command::new(COMMAND[0])
        .args(&COMMAND[1..])
        .arg("mutants")
        .args(options)
        .current_dir(root)
        .status()?;
    Ok(status.success())
}
