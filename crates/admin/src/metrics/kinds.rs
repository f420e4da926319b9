//! The kinds of metric.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::java::average;
use crate::metrics::quantiles::Quantiles;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, delta: u64) {
        self.0.fetch_add(delta, Relaxed);
    }

    /// Takes over a number that was counted elsewhere. Only for counters that nobody adds to.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Starts at 0 again.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Smallest, largest, number and sum of values.
#[derive(Debug)]
pub struct Summary {
    count: AtomicU64,
    sum: AtomicU64,
    /// `u64::MAX` before the first value.
    min: AtomicU64,
    max: AtomicU64,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
        }
    }
}

impl Summary {
    /// One of values that were counted elsewhere.
    pub(crate) fn of(count: u64, sum: u64, min: u64, max: u64) -> Self {
        if count == 0 {
            return Self::default();
        }
        Self { count: count.into(), sum: sum.into(), min: min.into(), max: max.into() }
    }

    /// Takes over values that were counted elsewhere. Only for summaries that nobody records in.
    pub fn set(&self, other: &Self) {
        for (mine, theirs) in [
            (&self.count, &other.count),
            (&self.sum, &other.sum),
            (&self.min, &other.min),
            (&self.max, &other.max),
        ] {
            mine.store(theirs.load(Relaxed), Relaxed);
        }
    }

    /// Adds a value.
    pub fn record(&self, value: u64) {
        self.record_times(value, 1);
    }

    /// Adds a value that was seen `times` times.
    pub fn record_times(&self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.count.fetch_add(times, Relaxed);
        self.sum.fetch_add(value.saturating_mul(times), Relaxed);
        // Most values change neither end; a load does not take the line from the other threads.
        if value < self.min.load(Relaxed) {
            self.min.fetch_min(value, Relaxed);
        }
        if value > self.max.load(Relaxed) {
            self.max.fetch_max(value, Relaxed);
        }
    }

    /// Forgets all values.
    pub fn reset(&self) {
        self.count.store(0, Relaxed);
        self.sum.store(0, Relaxed);
        self.min.store(u64::MAX, Relaxed);
        self.max.store(0, Relaxed);
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }

    /// The smallest; 0 if there was none.
    pub fn min(&self) -> u64 {
        match self.min.load(Relaxed) {
            u64::MAX => 0,
            min => min,
        }
    }

    /// The largest; 0 if there was none.
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Their average to four digits after the point; 0 if there was none.
    pub fn average(&self) -> f64 {
        average(self.sum(), self.count())
    }
}

/// A [`Summary`] that also knows how the values are distributed.
#[derive(Debug, Default)]
pub struct AdvancedSummary {
    summary: Summary,
    quantiles: Quantiles,
}

impl AdvancedSummary {
    /// Adds a value.
    pub fn record(&self, value: u64) {
        self.record_times(value, 1);
    }

    /// Adds a value that was seen `times` times.
    pub fn record_times(&self, value: u64, times: u64) {
        self.summary.record_times(value, times);
        self.quantiles.record_times(value, times);
    }

    /// Forgets all values.
    pub fn reset(&self) {
        self.summary.reset();
        self.quantiles.reset();
    }

    /// The smallest, the largest, their number and their sum.
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The value that `per_mille` of 1000 values do not exceed, at most a sixteenth too small; 0 if
    /// there was none.
    pub fn quantile(&self, per_mille: u64) -> u64 {
        self.quantiles.at(per_mille)
    }
}

/// Bytes of replies: the last, the smallest, the largest.
#[derive(Debug)]
pub struct ResponseSizes {
    /// Each is -1 before the first reply.
    last: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
}

impl Default for ResponseSizes {
    fn default() -> Self {
        Self { last: AtomicI64::new(-1), min: AtomicI64::new(-1), max: AtomicI64::new(-1) }
    }
}

impl ResponseSizes {
    /// Adds a reply of this many bytes.
    pub fn record(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.last.store(bytes, Relaxed);
        let min = self.min.load(Relaxed);
        // Two threads may both store a smallest size and one be lost: these are figures to look at.
        if min < 0 || bytes < min {
            self.min.store(bytes, Relaxed);
        }
        if bytes > self.max.load(Relaxed) {
            self.max.fetch_max(bytes, Relaxed);
        }
    }

    /// Forgets all replies.
    pub fn reset(&self) {
        for size in [&self.last, &self.min, &self.max] {
            size.store(-1, Relaxed);
        }
    }

    /// The last, the smallest and the largest; -1 each before the first, as Apache shows it.
    pub fn values(&self) -> [i64; 3] {
        [self.last.load(Relaxed), self.min.load(Relaxed), self.max.load(Relaxed)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_know_their_ends_and_average() {
        let summary = Summary::default();
        let check = |expected| {
            assert_eq!(
                (summary.count(), summary.sum(), summary.min(), summary.max(), summary.average()),
                expected
            );
        };
        check((0, 0, 0, 0, 0.0));
        summary.record(5);
        check((1, 5, 5, 5, 5.0));
        summary.record_times(1, 2);
        summary.record_times(1000, 0);
        check((3, 7, 1, 5, 2.3333));
        summary.reset();
        check((0, 0, 0, 0, 0.0));
    }

    #[test]
    fn threads_lose_nothing() {
        let (counter, summary) = (Counter::default(), AdvancedSummary::default());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (counter, summary) = (&counter, &summary);
                scope.spawn(move || {
                    for value in 0..1000 {
                        counter.add(2);
                        summary.record(thread * 1000 + value);
                    }
                });
            }
        });
        assert_eq!(counter.value(), 8000);
        let summary = summary.summary();
        assert_eq!((summary.count(), summary.min(), summary.max()), (4000, 0, 3999));
        assert_eq!(summary.sum(), 3999 * 4000 / 2);
    }

    #[test]
    fn response_sizes_begin_at_minus_one() {
        let sizes = ResponseSizes::default();
        assert_eq!(sizes.values(), [-1, -1, -1]);
        sizes.record(20);
        sizes.record(16);
        sizes.record(98);
        assert_eq!(sizes.values(), [98, 16, 98]);
        sizes.reset();
        assert_eq!(sizes.values(), [-1, -1, -1]);
    }
}
