//! Whole ensembles of peers over a simulated network and simulated disks.
//!
//! `scripts.rs` plays the scripts in `tests/scripts/protocol`, one for each behavior; `campaign.rs` plays
//! with chance and faults: nothing that was committed is ever lost or reordered, and when the faults
//! end all servers agree again; `small_scope.rs` tries every order of a synchronization and every place
//! of a crash in it. `between_states.rs` looks at what a learner logs behind a snapshot. All drive the servers of `world.rs`.

pub(crate) mod between_states;
pub(crate) mod campaign;
mod hostile;
pub(crate) mod scripts;
pub(crate) mod small_scope;
pub(crate) mod world;
