//! What recipes promise, one promise a file. They look at histories alone.

mod barriers;
mod decisions;
mod delays;
mod failures;
mod fencing;
mod gates;
mod keeps;
mod leaders;
mod liveness;
mod numbers;
mod outcomes;
mod presence;
mod queues;
mod services;
mod turns;
mod values;

use std::fmt;

pub use self::liveness::PROMISE as LIVENESS;
use crate::history::History;

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub promise: &'static str,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    /// A report of this breach.
    pub fn new(promise: &'static str, detail: impl Into<String>) -> Self {
        Self { promise, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.detail)
    }
}

/// Looks for a broken promise.
///
/// # Errors
/// The first that is found.
pub fn check(history: &History) -> Result<(), Violation> {
    turns::check(history)?;
    fencing::check(history)?;
    leaders::check(history)?;
    numbers::check(history)?;
    queues::check(history)?;
    delays::check(history)?;
    outcomes::check(history)?;
    decisions::check(history)?;
    barriers::check(history)?;
    gates::check(history)?;
    failures::check(history)?;
    keeps::check(history)?;
    presence::check(history)?;
    values::check(history)?;
    services::check(history)?;
    liveness::check(history)
}
