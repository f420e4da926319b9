//! Everything a replica has done outside of itself.

use tree::SnapshotHead;
use types::{TxnDigest, Zxid};
use wire::stored::LogBatch;

use crate::published::FrontId;
use crate::view::Inspection;

/// One thing to do. Effects are carried out in their order.
#[derive(Debug)]
pub enum Effect {
    /// Write these entries to the log and make them durable; answered with
    /// [`crate::Input::LogSynced`]. Nothing in them was acknowledged to anyone.
    Append(LogBatch),
    /// Start a new log file with the next entries.
    RollLog,
    /// Start to write a snapshot, with this head; answered with
    /// [`crate::Input::SnapshotTakesMore`].
    BeginSnapshot(SnapshotHead),
    /// Write the next znodes of the snapshot, as encoded records; answered with
    /// [`crate::Input::SnapshotTakesMore`].
    SnapshotPart(Vec<u8>),
    /// Finish the snapshot and make it durable; answered with [`crate::Input::SnapshotOver`].
    EndSnapshot {
        /// The last transaction applied now.
        last_applied: Zxid,
        /// The digest of the tree after it, unless digests are off.
        digest: Option<TxnDigest>,
    },
    /// Tell the operator who asked with [`crate::Input::Inspect`].
    Inspected(Inspection),
    /// Tell a frontend that it has mail.
    Wake(FrontId),
}
