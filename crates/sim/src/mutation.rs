//! The commands that break the server on purpose.

use std::process::ExitCode;

use crate::arguments::{Arguments, Usage};

pub(crate) fn all(_arguments: Arguments) -> Result<ExitCode, Usage> {
    Err(Usage)
}

pub(crate) fn one(_arguments: Arguments) -> Result<ExitCode, Usage> {
    Err(Usage)
}
