//! A world in one thread that runs the real server and tries to break its promises.
//!
//! A run is a function of its [`tape`]: from it come the workload, the faults, the sizes and the
//! order of events. The [`world`] leaves a [`history`], which [`checkers`] compare with the
//! [`model`]. They know nothing of the server, and are themselves tested with spoiled histories.
//!
//! | module | holds |
//! |---|---|
//! | [`tape`] | every choice of a run |
//! | [`world`] | the run: server, disk, clients, faults |
//! | [`history`] | what clients saw, and the log |
//! | [`model`] | what they should have seen |
//! | [`checkers`] | one promise each |
//! | [`campaign`], [`shrink`] | many runs; one made small |
//! | [`mutants`] | bugs planted in the server to test all this |

pub mod campaign;
pub mod checkers;
pub mod history;
pub mod model;
pub mod mutants;
pub mod operations;
pub mod shrink;
pub mod tape;
pub mod world;
