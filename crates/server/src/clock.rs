//! The one place where the clocks are read.

use std::time::SystemTime;

use types::{Instant, Now};

use crate::machine;

/// Both clocks, the monotonic one counted from the start of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        Now { instant: self.instant(), wall_ms: wall_ms() }
    }

    pub(crate) fn instant(self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    /// How long it is until then; zero if it is past.
    pub(crate) fn until(self, then: Instant) -> std::time::Duration {
        then.since(self.instant())
    }
}

/// Milliseconds since 1970; before that, zero.
pub(crate) fn wall_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since_1970_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    since_1970_ms.saturating_add(machine::wall_error_ms()).max(0)
}
