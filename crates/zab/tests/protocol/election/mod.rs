//! Elections of whole ensembles, over a network in virtual time.
//!
//! `scripts.rs` plays the scripts in `tests/scripts/election`, one for each behavior; `campaign.rs`
//! plays with chance. Both drive the ensemble of `ensemble.rs`, and what servers decide is checked
//! there each time, from what they have heard.

pub(crate) mod campaign;
mod checks;
mod ensemble;
mod scripts;
