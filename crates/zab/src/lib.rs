//! The protocol by which several servers agree on one order of transactions: Zab, as ZooKeeper's
//! servers speak it.
//!
//! # The promise
//!
//! All servers deliver the same transactions in the same order. What one of them has delivered is
//! never undone, as long as each quorum has a server whose disk did what it said. Transactions are
//! bytes here, with a place in the order, a [`types::Zxid`]: the epoch of the leader that proposed
//! it, and a counter within that epoch.
//!
//! # The phases
//!
//! ```text
//!            ┌───────────── nobody leads, or too few follow ─────────────┐
//!            v                                                           │
//!  Election ──> Discovery ──> Synchronization ──> Broadcast ─────────────┤
//!  who should   a new epoch   all have the        propose, log,          │
//!  lead?        begins        leader's history    acknowledge, commit ───┘
//! ```
//!
//! **Election.** Voters tell each other whom they propose: at first themselves, then whoever has
//! the latest history, by current epoch, then last zxid, then id. When a quorum proposes the same,
//! that one leads and the others follow. Nothing here is durable and nothing has to be right: it
//! only has to end, and to end well as a rule. Two servers may believe that they lead.
//!
//! **Discovery.** Learners tell the leader the last epoch they have accepted. When a quorum has, the
//! leader begins one that is higher than all. Each learner accepts it, durably, and thereby promises
//! to listen to no leader of an earlier epoch; and tells how far its history goes. If any goes further
//! than the leader's, the election ended badly and begins again. So at most one leader gets a quorum for
//! an epoch, and it has everything that was ever committed: whatever a quorum had logged, at
//! least one of this quorum has.
//!
//! **Synchronization.** Each learner is brought to the leader's history: by what it lacks, by cutting
//! what no quorum had, or by a snapshot. When that is durable it makes the epoch its current one,
//! durably, and says so. With a quorum of these the leader's whole history is committed.
//!
//! **Broadcast.** The leader proposes; voters log, sync and acknowledge; with a quorum the leader commits,
//! in order. It pings; when a quorum is silent for too long it gives up, and so do followers whose leader
//! is silent.
//!
//! **Reconfiguration.** Who votes is changed by a transaction too: see `memberships.rs`. While it is pending
//! each of these decisions needs a quorum of both memberships; when it is committed the leader puts the
//! new one in force, with the word of who leads in it. Usually that is itself. Otherwise everybody goes over to
//! the one it names, without an election.
//!
//! # What must be durable before what is said
//!
//! | before … | … this is durable |
//! |---|---|
//! | `LeaderInfo` leaves, `AckEpoch` leaves | the accepted epoch |
//! | `AckNewLeader` leaves | the history, and cuts and snapshots that were part of it; then the current epoch |
//! | `Ack` leaves, the leader counts itself | the transaction and all before it, which tell what membership is pending |
//!
//! Each of these is an [`Input`] from storage; there is no other way to the message.
//!
//! # Use
//!
//! A caller feeds a peer with [`Input`]s and carries out its [`Effect`]s in their order. `docs/design/0003-ensembles.md`
//! tells how a server does that.

mod effect;
mod election;
mod epochs;
mod following;
mod history;
mod input;
mod jitter;
mod leading;
mod limits;
mod memberships;
mod misbehaved;
mod options;
mod oracle;
mod packets;
mod peer;
mod quorum;

pub use effect::{Announcement, CloseReason, Effect, LeaderPacket, LearnerKind, LearnerPacket};
pub use election::{Candidate, Elected, Election, ElectionOptions};
pub use history::HistoryBounds;
pub use input::{CallFailure, Input, Link};
pub use limits::{CALL_DELAY_MAX, RECEIVED_BYTES_MAX};
pub use memberships::Memberships;
pub use misbehaved::PeerMisbehaved;
pub use options::{LogReading, ObserverMasters, ObserverPauses, Options, SynchronizationsMax};
pub use peer::{Learners, Peer, Recovered};
pub use quorum::{Oracle, Quorum, Quorums};
