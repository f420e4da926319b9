//! `reefkeeper config`.

use std::io::{self, Write};
use std::process::ExitCode;

use config::CommandLine;

use crate::exit::{FAILED, INVALID_CONFIGURATION, give_up};

/// How its last line begins when it fails.
const COMMAND: &str = "config";

/// Shows the configuration that a server would be started with by these words: each key with its
/// value and its origin on standard output, warnings on standard error.
pub(crate) fn run(words: Vec<String>) -> ExitCode {
    let loaded = CommandLine::from_words(words)
        .and_then(|command_line| config::load(&command_line, std::env::vars()));
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(failure) => return give_up(COMMAND, &failure, INVALID_CONFIGURATION),
    };
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    let mut out = io::stdout().lock();
    let mut lines = loaded.effective.iter();
    match lines.try_for_each(|effective| writeln!(out, "{effective}")) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads it has seen enough.
        Err(failure) if failure.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => give_up(COMMAND, &failure, FAILED),
    }
}
