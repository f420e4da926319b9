//! The replicated state machine: znodes, access control lists, sessions, quotas and the digest.
//!
//! Every server of an ensemble feeds the same transactions in the same order to a [`Tree`] of its
//! own and gets the same state. Whether something may happen was decided before, when the leader made
//! the transaction; here it happens. So [`Tree::apply`] can not fail, and neither does it when the
//! tree already holds part of what is being applied, which is normal after a *fuzzy* snapshot: one
//! whose znodes were written while transactions went on.
//!
//! ```text
//!            TreeLoader            a snapshot's sessions, lists and znodes
//!                │ finish(zxid)
//!                ▼
//!   apply(txn) → Tree → find(path)           one writer, or many readers
//!                │
//!                ▼ begin_snapshot, snapshot_slice…
//!            sessions, lists, znodes         parents before children
//! ```
//!
//! # Fuzzy snapshots
//!
//! [`Tree::begin_snapshot`] copies sessions and access control lists; the znodes follow in slices,
//! each as it is at that moment. Replaying every transaction from the beginning of the snapshot on
//! leads to the very state of the live tree, for these reasons:
//!
//! * Versions are absolute in transactions, so the last replay of each wins.
//! * A parent's count of creations only rises, so a replayed creation does not lower it; a znode
//!   that exists already still raises it, because the parent may have been written before.
//! * What a replayed deletion misses was deleted before the snapshot came to it. What it finds too
//!   much (children that a later znode of that name had) is created again by later transactions.
//! * The walk meets no path twice: new children are put before older ones, so a walk that has passed
//!   a parent never sees them.
//!
//! # Memory
//!
//! A znode costs a fixed record, a slot of bytes for name and data without a header, and one entry
//! of a lookup table: about 220 bytes with 100 bytes of data. Children are linked, not listed; paths
//! are nowhere stored.

mod acl;
mod apply;
mod arena;
mod diff;
pub mod digest;
mod index;
mod limits;
mod load;
mod node;
mod owners;
mod payload;
pub mod quota;
mod reap;
mod snapshot;
mod store;
mod tree;
mod usage;

pub use apply::{Applied, Change};
pub use arena::NodeId;
pub use diff::Difference;
pub use load::{LoadError, TreeLoader};
pub use node::Node;
pub use reap::ReapRules;
pub use snapshot::{SliceEnd, SnapshotHead};
pub use tree::{Options, Tree};
