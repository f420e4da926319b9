//! How many bytes of large requests may be under way in the whole server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The account of them, which all frontends share.
#[derive(Debug)]
pub struct LargeRequests {
    /// A request with more bytes is a large one.
    threshold_bytes: u64,
    bytes_max: u64,
    under_way_bytes: AtomicU64,
}

/// A large request that does not fit.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("large request of {bytes} bytes, while {under_way_bytes} of {bytes_max} bytes are in use")]
pub(crate) struct NoRoom {
    bytes: u64,
    under_way_bytes: u64,
    bytes_max: u64,
}

/// The room that a large request takes until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    account: Arc<LargeRequests>,
    bytes: u64,
}

impl LargeRequests {
    /// An account without requests (`largeRequestThreshold`, `largeRequestMaxBytes`).
    pub fn new(threshold_bytes: u64, bytes_max: u64) -> Self {
        Self { threshold_bytes, bytes_max, under_way_bytes: AtomicU64::new(0) }
    }

    /// Whether a request would fit now: asked as soon as its length is known, before the rest of it
    /// has come.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), NoRoom> {
        let under_way_bytes = self.under_way_bytes.load(Ordering::Relaxed);
        if bytes <= self.threshold_bytes || under_way_bytes + bytes <= self.bytes_max {
            return Ok(());
        }
        Err(NoRoom { bytes, under_way_bytes, bytes_max: self.bytes_max })
    }

    /// Takes the room for a request; `None` if it is not a large one.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Result<Option<Room>, NoRoom> {
        if bytes <= self.threshold_bytes {
            return Ok(None);
        }
        let before = self.under_way_bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { account: Arc::clone(self), bytes };
        if before + bytes <= self.bytes_max {
            return Ok(Some(room));
        }
        Err(NoRoom { bytes, under_way_bytes: before, bytes_max: self.bytes_max })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.account.under_way_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_requests_need_room_and_give_it_back() {
        let account = Arc::new(LargeRequests::new(10, 25));
        assert!(account.take(10).expect("small").is_none());
        let first = account.take(11).expect("room").expect("large");
        let second = account.take(14).expect("room").expect("large");
        assert_eq!(account.check(10), Ok(()));
        let refusal = account.check(11).expect_err("full");
        assert_eq!(refusal, NoRoom { bytes: 11, under_way_bytes: 25, bytes_max: 25 });
        assert_eq!(account.take(11).expect_err("full"), refusal);
        drop(first);
        assert_eq!(account.check(11), Ok(()));
        drop(second);
        assert_eq!(account.under_way_bytes.load(Ordering::Relaxed), 0);
    }
}
