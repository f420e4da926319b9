//! A small random sequence that is a function of its seed.

use std::time::Duration;

/// `SplitMix64` by Steele, Lea and Flood.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number from `low` to `high`, which are small, so that the bias does not matter.
    pub const fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low + 1)
    }

    /// An index below a count.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.range(0, count as u64 - 1)).expect("below a usize")
    }

    /// Whether something happens that does so in so many of 1000 cases.
    pub const fn chance(&mut self, permille: u64) -> bool {
        self.range(0, 999) < permille
    }

    /// A duration of up to `longest`.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.range(0, micros))
    }
}
