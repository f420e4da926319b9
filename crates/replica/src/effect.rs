//! Everything a replica has done outside of itself.

use std::sync::Arc;

use tree::SnapshotHead;
use types::{TxnDigest, Zxid};
use wire::stored::LogBatch;
use zab::Link;

use crate::published::FrontId;
use crate::view::Inspection;

/// One thing to do. Effects are carried out in their order.
#[derive(Debug)]
pub enum Effect {
    /// Write these entries to the log and make them durable; answered with
    /// [`crate::Input::LogSynced`]. Nothing in them was acknowledged to anyone.
    Append(Arc<LogBatch>),
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
    /// Give up the snapshot that is being written: it is of a database that is no more, or would show what may come to
    /// nothing. Answered with
    /// [`crate::Input::SnapshotAbandoned`].
    AbandonSnapshot,
    /// Tell the operator who asked with [`crate::Input::Inspect`].
    Inspected(Inspection),
    /// Tell a frontend that it has mail.
    Wake(FrontId),
    /// What the protocol between servers wants: connections, what is said over them, epochs, cuts.
    Peer(zab::Effect),
    /// Send whole packets over a connection of the quorum port.
    Packets {
        /// Which.
        link: Link,
        /// Encoded.
        bytes: Vec<u8>,
    },
    /// Begin to send a learner a snapshot; answered with [`crate::Input::SnapshotTakesMore`].
    StreamHead {
        /// The learner's connection.
        link: Link,
        /// The last transaction that is in it as a whole.
        last_applied: Zxid,
        /// What comes before the znodes.
        head: SnapshotHead,
    },
    /// Send the next znodes, as encoded records; answered as before.
    StreamPart {
        /// The learner's connection.
        link: Link,
        /// Encoded.
        bytes: Vec<u8>,
    },
    /// That was all; answered with [`zab::Input::SnapshotSent`].
    StreamEnd {
        /// The learner's connection.
        link: Link,
    },
}
