//! Which server to try next, and how long to wait before.

use std::time::Duration;

use crate::limits::{PAUSE_MAX, PAUSE_MIN};

/// A server's place in the list that the driver keeps, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostIndex(pub usize);

/// What to do after an attempt failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// There are servers left in this round.
    AtOnce,
    /// A whole round went without success.
    After(Duration),
}

/// A shuffled round over all servers, so that clients spread and a failed server's clients do too.
#[derive(Debug)]
pub(super) struct HostOrder {
    /// Each host once, never empty.
    order: Vec<HostIndex>,
    /// Whose turn it is: below `order.len()`.
    turn: usize,
    /// Failed attempts since the last success.
    failures: usize,
    random: SplitMix64,
}

impl HostOrder {
    /// A round over `count` servers in an order that `seed` decides.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        assert!(count > 0, "a session needs a server");
        let mut random = SplitMix64(seed);
        let mut order: Vec<_> = (0..count).map(HostIndex).collect();
        for last in (1..count).rev() {
            order.swap(last, random.below(last + 1));
        }
        Self { order, turn: 0, failures: 0, random }
    }

    /// The server to try now.
    pub(super) fn current(&self) -> HostIndex {
        self.order[self.turn]
    }

    /// How many servers there are.
    pub(super) const fn count(&self) -> usize {
        self.order.len()
    }

    /// The current server works.
    pub(super) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The current server was lost after it had worked: it is the next one's turn.
    pub(super) const fn advance(&mut self) {
        self.turn = (self.turn + 1) % self.order.len();
    }

    /// The current server did not work: it is the next one's turn.
    pub(super) fn failed(&mut self) -> Next {
        self.advance();
        self.failures = self.failures.saturating_add(1);
        if !self.failures.is_multiple_of(self.order.len()) {
            return Next::AtOnce;
        }
        let rounds = self.failures / self.order.len();
        let doublings = u32::try_from(rounds - 1).unwrap_or(u32::MAX).min(16);
        let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
        // Half of it is random: clients that lost the same server do not come back in step.
        Next::After(pause / 2 + (pause / 2).mul_f64(self.random.unit()))
    }
}

/// A small random sequence; `SplitMix64` by Steele, Lea and Flood.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`, which is small, so that the bias does not matter.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
    const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A number from 0 up to, and without, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_its_turn_before_a_pause() {
        for seed in 0..20 {
            let mut hosts = HostOrder::new(5, seed);
            let mut tried = vec![hosts.current()];
            for _ in 0..4 {
                assert_eq!(hosts.failed(), Next::AtOnce);
                tried.push(hosts.current());
            }
            tried.sort();
            assert_eq!(tried, (0..5).map(HostIndex).collect::<Vec<_>>());
            assert!(matches!(hosts.failed(), Next::After(_)));
        }
    }

    #[test]
    fn the_seed_decides_the_order() {
        let order = |seed| HostOrder::new(7, seed).order;
        assert_eq!(order(1), order(1));
        assert!((2..10).any(|seed| order(seed) != order(1)));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew_after_success() {
        let mut hosts = HostOrder::new(1, 3);
        let mut pause = || match hosts.failed() {
            Next::After(pause) => pause,
            Next::AtOnce => panic!("one server is a whole round"),
        };
        let first = pause();
        assert!(first >= PAUSE_MIN / 2 && first <= PAUSE_MIN);
        for _ in 0..100 {
            assert!(pause() <= PAUSE_MAX);
        }
        assert!(pause() >= PAUSE_MAX / 2);
        hosts.succeeded();
        assert!(matches!(hosts.failed(), Next::After(pause) if pause <= PAUSE_MIN));
    }
}
