//! What tests of the protocol have in common: a network, chance from a seed, and scripts.

pub(crate) mod chance;
pub(crate) mod network;
pub(crate) mod script;
