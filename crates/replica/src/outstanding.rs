//! How many requests are with the replica, over all frontends.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests that were handed to the replica and not answered. Shared by the frontends; beyond the
/// limit they read only from connections that have none under way, so that what is heavy slows down
/// who sends it.
#[derive(Debug)]
pub struct Outstanding {
    count: AtomicU64,
    max: u64,
}

impl Outstanding {
    /// None yet, and up to `max` before connections are held back.
    pub const fn new(max: u64) -> Self {
        Self { count: AtomicU64::new(0), max }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether connections that have some under way are to be held back.
    pub(crate) fn is_too_many(&self) -> bool {
        self.count() > self.max
    }

    pub(crate) fn add_one(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, count: u32) {
        self.count.fetch_sub(u64::from(count), Ordering::Relaxed);
    }
}
