//! Time as the core sees it: an argument.

use std::time::Duration;

/// A moment of the monotonic clock, counted from the start of the process (or of the simulation).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant {
    nanos: u64,
}

impl Instant {
    /// The moment `since_start` after the start.
    pub fn from_start(since_start: Duration) -> Self {
        Self { nanos: u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// Nanoseconds since the start.
    pub const fn nanos(self) -> u64 {
        self.nanos
    }

    /// The moment that many nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// Milliseconds since the start.
    pub const fn millis(self) -> u64 {
        self.nanos / 1_000_000
    }

    /// How long before `self` the moment `earlier` was; zero if it was not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// The moment `delay` later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Self { nanos: self.nanos.saturating_add(delay) }
    }
}

/// Both clocks at the moment of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// For every timeout and order of events.
    pub instant: Instant,
    /// Milliseconds since 1970, for the times that go into transactions and for nothing else: this
    /// clock may jump.
    pub wall_ms: i64,
}
