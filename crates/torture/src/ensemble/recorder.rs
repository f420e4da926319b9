//! The history of a round, as all clients see it.

use std::sync::{Mutex, PoisonError};

use sim::history::{Event, History};
use types::Instant;

/// Notes events in one order, which agrees with real time: a request is noted before it is sent, an
/// answer after it has come.
#[derive(Debug)]
pub(crate) struct Recorder {
    start: std::time::Instant,
    history: Mutex<History>,
}

impl Recorder {
    /// An empty history, whose time begins now.
    pub(crate) fn new() -> Self {
        Self { start: std::time::Instant::now(), history: Mutex::new(History::default()) }
    }

    /// Adds an event that happens now.
    pub(crate) fn note(&self, event: Event) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        history.push(Instant::from_nanos(nanos), event);
    }

    /// What was noted.
    pub(crate) fn into_history(self) -> History {
        self.history.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
