//! The recipes under faults: participants, what they saw, and whether that is what was promised.
//!
//! Programs that use a recipe are killed, cut off and separated from the servers, and these fail as well.
//! The participants run the recipes and the client as they ship; only the connections are given to
//! them, over which everything goes wrong.
//!
//! | module | holds |
//! |---|---|
//! | [`play`] | which recipe, by how many, under which faults |
//! | [`cast`] | what a participant does |
//! | [`performance`] | one run: faults, peace, inspection |
//! | [`history`] | what participants saw |
//! | [`checkers`] | one promise each |
//! | [`mutants`] | bugs planted in recipes to test all this |
//! | [`gate`] | a participant's way to the servers, which can be closed |
//! | [`simulated`] | runs in a world of virtual time, each a function of its seed |

pub mod cast;
pub mod checkers;
pub mod gate;
pub mod history;
pub mod mutants;
pub mod performance;
pub mod play;
pub mod random;
pub mod simulated;
