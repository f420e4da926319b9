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

/// Why a subcommand does not do what it is for, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Refusal {
    words: String,
    code: u8,
}

impl Refusal {
    /// For use with `map_err`.
    pub(crate) fn with<E: Error>(code: u8) -> impl FnOnce(E) -> Self {
        move |failure| Self { words: told(&failure), code }
    }

    /// Says what is wrong with a subcommand.
    pub(crate) fn tell(self, command: &str) -> ExitCode {
        let Self { words, code } = self;
        eprintln!("reefkeeper {command}: {words}");
        ExitCode::from(code)
    }
}

/// Says what is wrong with a subcommand.
pub(crate) fn give_up(command: &str, failure: &dyn Error, code: u8) -> ExitCode {
    Refusal { words: told(failure), code }.tell(command)
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
