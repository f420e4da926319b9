//! Numbers that differ from server to server.

use std::time::Duration;

/// A generator of them, from a seed. It is Vigna's splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between three quarters of a delay and all of it.
    pub(crate) fn vary(&mut self, delay: Duration) -> Duration {
        let sixteenths = (self.next() & 3) as u32;
        delay * (16 - sixteenths) / 16
    }

    /// Some time below a limit, in steps of a 256th.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        let part = (self.next() & 0xff) as u32;
        limit / 256 * part
    }

    /// Any small number.
    pub(crate) fn pick(&mut self) -> usize {
        usize::from((self.next() & 0xff) as u8)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
