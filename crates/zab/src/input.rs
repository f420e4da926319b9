//! Everything that can happen to a peer.

use std::sync::Arc;

use types::membership::Membership;
use types::{Epoch, Sid, Zxid};
use wire::election::Notification;
use wire::quorum::{ToLeader, ToLearner};
use wire::stored::LogBatch;

use crate::misbehaved::PeerMisbehaved;
use crate::quorum::Oracle;

/// A connection between two servers. Numbers are never used twice, so that what still arrives from
/// an old connection is told from what comes over a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Link(pub u64);

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Somebody has connected to the election port and said who it is.
    Called {
        /// The new connection.
        link: Link,
        /// Who.
        from: Sid,
        /// Where it says that it can be called, as `host:port`; empty if it does not say.
        addresses: Vec<String>,
    },
    /// A call is through, and this server has said who it is.
    CallThrough {
        /// The new connection.
        link: Link,
        /// Who was called.
        to: Sid,
    },
    /// A call did not get through.
    CallFailed {
        /// Who was called.
        to: Sid,
        /// What that says about it.
        reason: CallFailure,
    },
    /// A vote, or an answer to one.
    Notified {
        /// Over which connection.
        link: Link,
        /// What it says.
        notification: Notification<'a>,
    },
    /// A connection of the election port has ended, whoever ended it.
    ElectionLinkClosed {
        /// Which.
        link: Link,
    },

    /// A connection to the leader's quorum port is there.
    LeaderReached {
        /// The new connection.
        link: Link,
        /// Whom it leads to.
        leader: Sid,
    },
    /// The leader could not be reached at any of its addresses.
    LeaderUnreachable {
        /// Who was tried.
        leader: Sid,
    },
    /// The leader says something.
    FromLeader {
        /// Over which connection.
        link: Link,
        /// What.
        packet: ToLearner<'a>,
    },
    /// The leader has sent what nobody can read. Nothing that comes behind it may be logged.
    LeaderUnreadable {
        /// Over which connection.
        link: Link,
        /// What is wrong with it.
        how: PeerMisbehaved,
    },
    /// Somebody has connected to the quorum port.
    LearnerConnected {
        /// The new connection.
        link: Link,
    },
    /// A learner says something.
    FromLearner {
        /// Over which connection.
        link: Link,
        /// What.
        packet: ToLeader<'a>,
    },
    /// A connection of the quorum port has ended, on either side.
    QuorumLinkClosed {
        /// Which.
        link: Link,
    },
    /// A learner has been sent a part of the snapshot, and takes more.
    SnapshotTakesMore {
        /// The learner's connection.
        link: Link,
    },
    /// A learner has been sent the whole snapshot.
    SnapshotSent {
        /// The learner's connection.
        link: Link,
    },

    /// The log has what a learner lacks.
    LogFound {
        /// The learner's connection.
        link: Link,
        /// The last transaction in the log up to the one that was asked for: what is read follows it.
        after: Zxid,
        /// Bytes of log from there to the end of what is to be read, or a little more.
        bytes: u64,
        /// The length of the newest snapshot; `None` without one.
        snapshot_bytes: Option<u64>,
    },
    /// More of the log was read for a learner. What was asked for ends when its last transaction is
    /// there.
    LogRead {
        /// The learner's connection.
        link: Link,
        /// What follows, without a gap: one transaction at least, none beyond what was asked for.
        batch: Arc<LogBatch>,
    },
    /// The log does not have what a learner lacks, or not in one piece, or it can not be read.
    LogLacks {
        /// The learner's connection.
        link: Link,
    },

    /// Everything in the log up to this transaction is durable.
    LogSynced {
        /// The last of them.
        zxid: Zxid,
    },
    /// This epoch is the accepted one, durably.
    AcceptedEpochStored(Epoch),
    /// This epoch is the current one, durably.
    CurrentEpochStored(Epoch),
    /// The log ends with this transaction, durably, and the database is back at it.
    Truncated {
        /// The last transaction that is left.
        last_logged: Zxid,
    },
    /// The log can not be cut where [`crate::Effect::Truncate`] wants it: nothing was changed. This server
    /// asks for a snapshot.
    NotTruncated {
        /// The last transaction in the log, as before.
        last_logged: Zxid,
    },
    /// A part of the leader's snapshot has arrived, and it is not the last.
    SnapshotPart {
        /// The connection over which it came.
        link: Link,
    },
    /// The leader's snapshot has replaced the database, durably.
    SnapshotInstalled {
        /// The connection over which it came.
        link: Link,
        /// The last transaction that is in it as a whole.
        last_applied: Zxid,
        /// The newest membership that is in it, committed or not.
        membership: Option<Arc<Membership>>,
    },

    /// The leader's snapshot did not arrive as a whole; the database is what it was.
    SnapshotGivenUp {
        /// The connection over which it came.
        link: Link,
    },

    /// The replica, whose peer leads, proposes these transactions. Their zxids follow those
    /// proposed before.
    Propose(Arc<LogBatch>),
    /// The replica, whose peer leads, has no more zxids in this epoch: another has to begin.
    EpochUsedUp,
    /// The replica wants to know whether this server still leads.
    ConfirmLeadership,
    /// What the oracle says now.
    OracleSays(Oracle),
    /// Time has passed.
    Deadline,
}

/// What a failed call says about who was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallFailure {
    /// Nobody listens there: the server is not running.
    Refused,
    /// It is not known whether it runs: no answer, no route, no address for the name.
    Unknown,
}
