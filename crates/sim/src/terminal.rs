//! What the program prints, and how it ends when it can not go on.

use std::fmt;
use std::io::{self, Write};
use std::panic;

use sim::campaign;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The words make no command.
    Usage,
    /// Nobody reads what it prints any more.
    Unread,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Unread
    }
}

/// Prints a line.
pub(crate) fn say(line: impl fmt::Display) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Lets a panic also tell in which run of a campaign it came, by a line that is made of its seed.
pub(crate) fn tell_of_panics(line: impl Fn(u64, &str) -> String + Send + Sync + 'static) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        if let Some(seed) = campaign::seed_under_way() {
            let what = info.to_string().replace('\n', " ");
            // The process ends anyway, and says above why.
            say(line(seed, &what)).unwrap_or_default();
        }
    }));
}
