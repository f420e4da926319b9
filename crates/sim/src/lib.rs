//! A world in one thread that runs the real server and tries to break its promises.
//!
//! A run is a function of its [`tape`]: from it come the workload, the faults, the sizes and the
//! order of events. The run leaves a [`history`], which [`checkers`] compare with the [`model`].
//! They know nothing of the server, and are themselves tested with spoiled histories.

pub mod checkers;
pub mod history;
pub mod model;
pub mod operations;
pub mod tape;
