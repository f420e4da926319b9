//! Locks and atomics of what `crates/interleavings` builds once more with others, to run it in every order.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};
