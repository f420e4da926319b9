//! Sends the same random requests to two servers and compares every field of every answer.
//!
//! ```text
//! differential --seeds 1..51 --ops 20000 --left 127.0.0.1:2181 --right 127.0.0.1:2182
//! ```
//!
//! Both servers start in the same state, best an empty one, and serve nobody else. For each seed a
//! [`plan`] opens some sessions and goes on step by step; a step is taken on both servers before the
//! next one begins, so that everything a server tells is determined. What may rightly differ (times,
//! ids, orders that nobody promises) is normalized in [`answer`]; the rest of what is let through has
//! a name in [`known`].
//!
//! The servers have to be set up alike: a superuser `super:test`, extended types, long session
//! timeouts, and no reaping of containers while the tool runs; `interop/differential/run` does that.

pub mod answer;
pub mod ask;
pub mod known;
pub mod lockstep;
pub mod plan;
pub mod random;
pub mod side;
