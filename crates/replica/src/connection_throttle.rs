//! How many connections may ask for a session at a time.
//!
//! A bucket of tokens that fills steadily; each connection takes some. Beside that a share of the
//! connections is dropped at random, after the BLUE scheme of queue management: the share grows
//! while the bucket is found empty and shrinks while it is found nearly full, so that a crowd of
//! clients that all come back at once is thinned before it takes every token.

use std::time::Duration;

use types::Instant;

use crate::random::SplitMix;

/// How connections are throttled (`connection_throttle_*`).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConnectionThrottleOptions {
    /// What the bucket holds; it is full at the start.
    pub tokens: u64,
    /// How often it is filled up, at most.
    pub fill_time: Duration,
    /// Tokens that come in each `fill_time`.
    pub fill_count: u64,
    /// How often the share that is dropped changes, at most; `None`: nothing is dropped at random.
    pub freeze_time: Option<Duration>,
    /// How much the share grows, 0 to 1.
    pub drop_increase: f64,
    /// How much it shrinks, 0 to 1.
    pub drop_decrease: f64,
    /// Which part of the tokens, 0 to 1, may be missing for the share to shrink.
    pub decrease_ratio: f64,
    /// Tokens that a new session takes.
    pub new_session_tokens: u64,
    /// Tokens that a resumed session takes.
    pub resumed_session_tokens: u64,
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct ConnectionThrottle {
    options: ConnectionThrottleOptions,
    tokens: u64,
    last_fill: Instant,
    last_change: Instant,
    /// The share that is dropped at random.
    drop_share: f64,
    random: SplitMix,
}

impl ConnectionThrottle {
    pub(crate) fn new(options: ConnectionThrottleOptions, now: Instant, seed: u64) -> Self {
        Self {
            options,
            tokens: options.tokens,
            last_fill: now,
            last_change: now,
            drop_share: 0.0,
            random: SplitMix::new(seed),
        }
    }

    /// Whether a connection may have its session; if so, its tokens are taken.
    pub(crate) fn admits(&mut self, now: Instant, is_resumed: bool) -> bool {
        self.fill(now);
        if self.drops_at_random(now) {
            return false;
        }
        let needed = match is_resumed {
            true => self.options.resumed_session_tokens,
            false => self.options.new_session_tokens,
        };
        let left = self.tokens.checked_sub(needed);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }

    /// The probability, 0 to 1, with which the next connection is dropped though there are tokens.
    pub(crate) fn drop_share(&self) -> f64 {
        self.drop_share
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.since(self.last_fill);
        if passed > self.options.fill_time {
            let came = passed.as_nanos().saturating_mul(self.options.fill_count.into())
                / self.options.fill_time.as_nanos().max(1);
            let came = u64::try_from(came).unwrap_or(u64::MAX);
            self.tokens = self.tokens.saturating_add(came).min(self.options.tokens);
            self.last_fill = now;
        }
    }

    fn drops_at_random(&mut self, now: Instant) -> bool {
        let Some(freeze_time) = self.options.freeze_time else { return false };
        if now.since(self.last_change) > freeze_time {
            let missing = (self.options.tokens - self.tokens) as f64;
            let all = self.options.tokens as f64;
            if self.tokens == 0 {
                self.drop_share = (self.drop_share + self.options.drop_increase).min(1.0);
            } else if missing <= (all * self.options.decrease_ratio).round() {
                self.drop_share = (self.drop_share - self.options.drop_decrease).max(0.0);
            }
            self.last_change = now;
        }
        self.random.fraction() < self.drop_share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    fn options() -> ConnectionThrottleOptions {
        ConnectionThrottleOptions {
            tokens: 6,
            fill_time: Duration::from_millis(10),
            fill_count: 2,
            freeze_time: None,
            drop_increase: 0.5,
            drop_decrease: 0.25,
            decrease_ratio: 0.0,
            new_session_tokens: 3,
            resumed_session_tokens: 2,
        }
    }

    #[test]
    fn connections_take_tokens_that_come_back_with_time() {
        let mut throttle = ConnectionThrottle::new(options(), at(0), 1);
        for (millis, is_resumed, admitted) in [
            (0, false, true),
            (0, true, true),
            (0, true, false),
            (10, true, false),
            (11, false, true),
            (11, false, false),
            (1_000, false, true),
            (1_000, false, true),
            (1_000, true, false),
        ] {
            assert_eq!(throttle.admits(at(millis), is_resumed), admitted, "at {millis} ms");
        }
    }

    #[test]
    fn an_empty_bucket_raises_the_share_that_is_dropped_and_a_full_one_lowers_it() {
        let freeze_time = Some(Duration::from_millis(1));
        let options = ConnectionThrottleOptions {
            freeze_time,
            fill_time: Duration::from_secs(1),
            fill_count: 6,
            ..options()
        };
        let mut throttle = ConnectionThrottle::new(options, at(0), 1);
        assert!(throttle.admits(at(1), false) && throttle.admits(at(1), false));
        assert_eq!(throttle.drop_share(), 0.0);
        assert!(!throttle.admits(at(3), false));
        assert_eq!(throttle.drop_share(), 0.5);
        assert!(!throttle.admits(at(5), false));
        assert_eq!(throttle.drop_share(), 1.0);
        // Full again: the share goes down step by step, though all are dropped first.
        assert!(!throttle.admits(at(5), false));
        throttle.fill(at(2_000));
        throttle.drops_at_random(at(2_000));
        assert_eq!(throttle.drop_share(), 0.75);
        throttle.drops_at_random(at(2_001));
        assert_eq!(throttle.drop_share(), 0.75);
        throttle.drops_at_random(at(2_002));
        assert_eq!(throttle.drop_share(), 0.5);
    }

    #[test]
    fn no_number_of_tokens_and_no_time_without_connections_is_too_much() {
        let century = Duration::from_secs(100 * 365 * 24 * 3_600);
        for (tokens, fill_count) in [(1 << 31, 1), (6, 1 << 40), (u64::MAX, u64::MAX)] {
            let options = ConnectionThrottleOptions {
                tokens,
                fill_count,
                fill_time: Duration::from_nanos(1),
                ..options()
            };
            let mut throttle = ConnectionThrottle::new(options, at(0), 1);
            assert!(throttle.admits(at(0), false));
            assert!(throttle.admits(Instant::from_start(century), false));
            assert_eq!(throttle.tokens, tokens - 3);
        }
    }

    #[test]
    fn the_share_is_what_is_dropped() {
        let options =
            ConnectionThrottleOptions { freeze_time: Some(Duration::from_secs(9)), ..options() };
        let mut throttle = ConnectionThrottle::new(options, at(0), 1);
        throttle.drop_share = 0.25;
        let dropped = (0..10_000).filter(|_| throttle.drops_at_random(at(0))).count();
        assert!((2_300..2_700).contains(&dropped), "{dropped}");
    }
}
