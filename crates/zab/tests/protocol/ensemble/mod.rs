//! Whole ensembles of peers over a simulated network and simulated disks.
//!
//! `scripts.rs` plays the scripts in `tests/scripts/protocol`, one for each behavior; `campaign.rs` plays
//! with chance and faults: nothing that was committed is ever lost or reordered, and when the faults
//! end all servers agree again. Both drive the servers of `world.rs`.

pub(crate) mod campaign;
mod hostile;
pub(crate) mod scripts;
pub(crate) mod world;
