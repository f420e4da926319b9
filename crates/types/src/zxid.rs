//! Transaction ids.

use std::fmt;

/// The reign of one leader: the high 32 bits of a [`Zxid`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub i32);

/// The position of a transaction within its [`Epoch`]: the low 32 bits of a [`Zxid`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Counter(pub u32);

/// A transaction's place in the one total order: epoch ≪ 32 | counter.
///
/// Compared as a signed number, as every implementation of the protocol does.
///
/// What is hidden in the documentation is for servers: programs compare zxids, and take none apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(i64);

impl Zxid {
    /// The state before the first transaction.
    pub const ZERO: Self = Self(0);

    /// A zxid from its parts.
    #[doc(hidden)]
    pub const fn new(epoch: Epoch, counter: Counter) -> Self {
        Self(((epoch.0 as i64) << 32) | counter.0 as i64)
    }

    /// A zxid as it is sent and stored.
    pub const fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The number that is sent and stored.
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// The reign it belongs to.
    #[doc(hidden)]
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as i32)
    }

    /// Its position in that reign.
    #[doc(hidden)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
    pub const fn counter(self) -> Counter {
        Counter(self.0 as u32)
    }

    /// The next position in the same epoch, or `None` when the epoch is used up and a new one has
    /// to be elected (the counter never spills into the epoch).
    #[doc(hidden)]
    pub const fn next(self) -> Option<Self> {
        match self.counter().0 {
            u32::MAX => None,
            _ => Some(Self(self.0 + 1)),
        }
    }

    /// The zxid after this one in the order of numbers, across an epoch's end if need be; for
    /// choosing where a replay starts, never for a new transaction.
    #[doc(hidden)]
    #[must_use]
    pub const fn successor(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{:#x}", self.epoch().0, self.counter().0)
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::LowerHex for Zxid {
    /// The whole number, as in the names of logs and snapshots.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_never_spills_into_the_epoch() {
        let last = Zxid::new(Epoch(5), Counter(u32::MAX));
        assert_eq!(last.next(), None);
        assert_eq!(last.successor(), Zxid::new(Epoch(6), Counter(0)));
        assert_eq!(Zxid::new(Epoch(5), Counter(1)).next(), Some(Zxid::from_raw(0x5_0000_0002)));
    }

    #[test]
    fn shows_epoch_and_counter() {
        let zxid = Zxid::from_raw(0x5_0000_001a);
        assert_eq!(zxid.to_string(), "0x5/0x1a");
        assert_eq!(format!("{zxid:x}"), "50000001a");
        assert_eq!((zxid.epoch(), zxid.counter()), (Epoch(5), Counter(0x1a)));
    }
}
