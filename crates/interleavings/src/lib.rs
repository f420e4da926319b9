//! What threads of the server share, in many of the orders in which they can get at it.
//!
//! The files `server/src/{inbox,letterbox}.rs` and `replica/src/published.rs` are built once more here, with
//! the locks and atomics of [shuttle](https://docs.rs/shuttle) in place of those of the standard library, which
//! they name through `crate::sync`. Each function is a small piece of work for two or three threads, of which
//! one runs at a time; before each step at what they share, shuttle chooses which. Who waits for ever has
//! missed a wake-up: that is a deadlock, and a panic, which tells how to see it again. Memory is taken to be in order:
//! of what a processor may reorder nothing is found here.
//!
//! [`helm`] is a copy of what `server/src/helm.rs` does with its locks, since that file holds all of the server.
//!
//! **Absent by design**: the meaning of what is handed over; a use outside of tests.

// The tests of the files that are built once more need what is left out here.
#![cfg(not(test))]

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

// So that `letterbox.rs`, which imports from `mio`, gets a waker that is known here.
extern crate self as mio;

pub mod helm;
pub mod mail;
mod poll;
pub mod queues;

#[allow(dead_code, reason = "the file of another crate, of which a part is used")]
#[path = "../../server/src/inbox.rs"]
mod inbox;
#[allow(dead_code, reason = "the file of another crate, of which a part is used")]
#[path = "../../server/src/letterbox.rs"]
mod letterbox;
#[allow(
    dead_code,
    unreachable_pub,
    unused_qualifications,
    reason = "the file of another crate, of which a part is used"
)]
#[path = "../../replica/src/published.rs"]
mod published;

pub use poll::{Registry, Token, Waker};

/// Orders in which each piece of work is done, unless the environment says otherwise by `ITERATIONS`.
const ITERATIONS: usize = 2_000;
/// Steps at certain places that it takes to make a mistake show.
const DEPTH: usize = 3;
/// The stack of each thread, in which the tree applies transactions.
const STACK_BYTES: usize = 512 << 10;

/// Locks and atomics, as the files name them that are built once more.
mod sync {
    pub(crate) use shuttle::sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic,
    };
}

/// As in `replica`.
mod limits {
    pub(crate) const SPARE_MAIL_BYTES_MAX: usize = 1 << 16;
}

/// As in `replica`, of which nothing is used here.
mod session {
    #[derive(Debug)]
    pub(crate) struct Heartbeat;
}

/// As in `replica`.
mod watch {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum WatchKind {
        Data,
    }
}

/// Whether the work is done as the server does it, or with a mistake that has to be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Care {
    /// As the server.
    Taken,
    /// What has to be looked at last is looked at first.
    LooksTooEarly,
}

/// Runs a piece of work in many orders: half of them drawn evenly, half with priorities that change three
/// times, which finds what takes a few steps at certain places.
fn in_many_orders(work: impl Fn() + Sync + Send + 'static) {
    let work = Arc::new(work);
    let iterations = std::env::var("ITERATIONS").ok().and_then(|number| number.parse().ok());
    let iterations = iterations.unwrap_or(ITERATIONS).div_ceil(2);
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    let again = Arc::clone(&work);
    Runner::new(RandomScheduler::new(iterations), config.clone()).run(move || again());
    Runner::new(PctScheduler::new(DEPTH, iterations), config).run(move || work());
}
