//! How the process ends: the exit codes, which are Apache's, and the line before.

use std::error::Error;
use std::process::ExitCode;

/// The configuration is wrong.
pub(crate) const INVALID_CONFIGURATION: u8 = 2;
/// The directories can not be used.
pub(crate) const UNUSABLE_DIRECTORIES: u8 = 3;
/// What was logged can not be cut as a leader wants it.
pub(crate) const NOT_CUT: u8 = 13;
/// A port for the other servers of an ensemble can not be opened.
pub(crate) const PEER_PORT: u8 = 14;
/// Anything else.
pub(crate) const FAILED: u8 = 1;

/// Says what is wrong with a subcommand.
pub(crate) fn give_up(command: &str, failure: &dyn Error, code: u8) -> ExitCode {
    eprintln!("reefkeeper {command}: {}", told(failure));
    ExitCode::from(code)
}

/// A failure with everything that led to it.
pub(crate) fn told(failure: &dyn Error) -> String {
    let mut words = failure.to_string();
    let mut cause = failure.source();
    while let Some(source) = cause {
        words = format!("{words}: {source}");
        cause = source.source();
    }
    words
}
