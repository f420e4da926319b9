//! The binary as operators meet it: a process with arguments, lines on standard error, an exit code.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has failed")]

mod overload;
mod playground;
mod process;
mod start;
mod subcommands;
