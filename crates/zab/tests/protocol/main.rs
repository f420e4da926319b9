//! The protocol, played: elections alone in `election`, whole peers with disks in `ensemble`. Each has
//! scripts, one for each behavior, and campaigns of chance. What the campaigns are worth is measured in
//! `mutants.rs`.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod election;
mod ensemble;
#[cfg(feature = "mutants")]
mod mutants;
mod support;
