//! The protocol, played: elections alone in `election`, whole peers with disks in `ensemble`. Each has
//! scripts, one for each behavior, and campaigns of chance.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod election;
mod ensemble;
mod support;
