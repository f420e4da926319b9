//! How values are distributed, in a fixed number of counters.
//!
//! Values below 32 have a counter each; above, each power of two is cut into 16 equal parts. A
//! quantile is the lower end of the part it falls into, at most a sixteenth too small.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Parts of each power of two, a power of two itself.
const PARTS: usize = 1 << PARTS_BITS;
const PARTS_BITS: u32 = 4;
/// Values from here on count as this one: 2^40 - 1, as milliseconds some 34 years.
const VALUE_BITS: u32 = 40;
const BUCKETS: usize = (VALUE_BITS - PARTS_BITS + 1) as usize * PARTS;

#[derive(Debug)]
pub(crate) struct Quantiles {
    buckets: Box<[AtomicU64; BUCKETS]>,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]) }
    }
}

impl Quantiles {
    pub(crate) fn record_times(&self, value: u64, times: u64) {
        self.buckets[bucket(value)].fetch_add(times, Relaxed);
    }

    pub(crate) fn reset(&self) {
        for bucket in self.buckets.iter() {
            bucket.store(0, Relaxed);
        }
    }

    /// The lower end of the part with the value that `per_mille` of 1000 do not exceed.
    pub(crate) fn at(&self, per_mille: u64) -> u64 {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let rank = (total * per_mille).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in counts.into_iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return lower_end(bucket);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS) - 1);
    let shift = (value | 1).ilog2().saturating_sub(PARTS_BITS);
    let part = usize::try_from(value >> shift).unwrap_or(0);
    shift as usize * PARTS + part
}

fn lower_end(bucket: usize) -> u64 {
    if bucket < 2 * PARTS {
        return bucket as u64;
    }
    let shift = bucket / PARTS - 1;
    ((bucket - shift * PARTS) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_at_most_a_sixteenth_wide() {
        let mut before = 0;
        for value in (0..5000).chain((13..64).map(|power| 1 << power)).chain([u64::MAX]) {
            let bucket = bucket(value);
            assert!(bucket < BUCKETS && bucket >= before, "{value}");
            before = bucket;
            let capped = value.min((1 << VALUE_BITS) - 1);
            let low = lower_end(bucket);
            assert!(low <= capped && capped - low <= capped / 16, "{value} is shown as {low}");
        }
    }

    #[test]
    fn quantiles_of_a_known_distribution() {
        let quantiles = Quantiles::default();
        assert_eq!(quantiles.at(500), 0);
        for value in 1..=1000 {
            quantiles.record_times(value, 3);
        }
        let shown = [500, 950, 990, 999].map(|per_mille| quantiles.at(per_mille));
        assert_eq!(shown, [496, 928, 960, 992]);
        quantiles.reset();
        assert_eq!(quantiles.at(999), 0);
        quantiles.record_times(7, 1);
        assert_eq!([0, 1, 500, 1000].map(|per_mille| quantiles.at(per_mille)), [7; 4]);
    }
}
