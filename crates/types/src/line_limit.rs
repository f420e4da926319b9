//! How often the log may tell of what strangers do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::Instant;

/// Lets one log line of a kind through in each second, and counts the others.
///
/// Whatever a stranger can cause as often as it likes is logged through one of these, or its log
/// would fill the disk. There is one for each kind of line, shared by all who write that kind:
///
/// ```
/// # use types::{Instant, LineLimit};
/// # let (refusals, now) = (LineLimit::default(), Instant::default());
/// if let Some(suppressed) = refusals.admit(now) {
///     println!("too many connections, refused; not told of: {suppressed}");
/// }
/// ```
#[derive(Debug, Default)]
pub struct LineLimit {
    /// When the next line is let through, in nanoseconds since the start.
    next_nanos: AtomicU64,
    suppressed: AtomicU64,
}

impl LineLimit {
    /// Between two lines there is at least this time.
    pub const INTERVAL: Duration = Duration::from_secs(1);

    /// Tells whether a line may be written now: `Some` with the number of those that were not since
    /// the last one that was. `None` counts the line among those.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let due = self.next_nanos.load(Ordering::Relaxed);
        let next = now.after(Self::INTERVAL).nanos();
        // Of several threads at the same moment, one writes the line.
        if now.nanos() < due
            || self
                .next_nanos
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn one_line_a_second_tells_of_those_before() {
        let limit = LineLimit::default();
        for (millis, expected) in [
            (0, Some(0)),
            (1, None),
            (999, None),
            (1_000, Some(2)),
            (1_999, None),
            (60_000, Some(1)),
            (60_999, None),
            (61_000, Some(1)),
            (62_000, Some(0)),
        ] {
            assert_eq!(limit.admit(at_ms(millis)), expected, "at {millis} ms");
        }
    }

    #[test]
    fn the_first_line_is_written_however_late() {
        assert_eq!(LineLimit::default().admit(at_ms(7_000)), Some(0));
    }

    #[test]
    fn a_flood_of_all_threads_is_told_of_once_and_counted_whole() {
        const THREADS: u64 = 4;
        const EVENTS: u64 = 1_000;
        let limit = LineLimit::default();
        let flood = || (0..EVENTS).filter(|_| limit.admit(at_ms(500)).is_some()).count();
        let lines: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(flood)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(lines, 1);
        assert_eq!(limit.admit(at_ms(1_500)), Some(THREADS * EVENTS - 1));
    }
}
