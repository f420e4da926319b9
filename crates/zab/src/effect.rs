//! Everything a peer has done outside of itself.

use std::sync::Arc;

use types::{Epoch, Sid, Zxid};
use wire::election::{ElectionRound, LastLogged, ServerState};
use wire::quorum::Cuts;
use wire::stored::LogBatch;

use crate::input::Link;
use crate::memberships::Memberships;
use crate::misbehaved::PeerMisbehaved;

/// One thing to do. Effects are carried out in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Connect to a server's election port, and say who this server is; answered with
    /// [`crate::Input::CallThrough`] or [`crate::Input::CallFailed`].
    Call {
        /// Whom.
        to: Sid,
        /// Where it said that it can be called, as `host:port`; empty: where the membership says.
        addresses: Vec<String>,
    },
    /// Send a vote or an answer. While an earlier one waits for room on the connection, the later
    /// one takes its place.
    Notify {
        /// Over which connection.
        link: Link,
        /// What.
        announcement: Announcement,
    },
    /// End a connection; answered with [`crate::Input::ElectionLinkClosed`] or
    /// [`crate::Input::QuorumLinkClosed`].
    Close {
        /// Which.
        link: Link,
        /// Why.
        reason: CloseReason,
    },

    /// Connect to the quorum port of the leader; answered with [`crate::Input::LeaderReached`] or
    /// [`crate::Input::LeaderUnreachable`]. An attempt for another server is given up.
    ConnectToLeader(Sid),
    /// Connect to a follower that has observers of its own, at its port for that; answered as
    /// [`Self::ConnectToLeader`], with the follower's id. An attempt for another server is given up.
    ConnectToMaster(Sid),
    /// Let observers connect to the port for those that learn from a follower: this server follows.
    AdmitObservers,
    /// Turn them away, as at the start.
    RefuseObservers,
    /// Let learners connect, and those that wait: this server leads.
    AdmitLearners,
    /// Turn learners away, those that wait and those that come: somebody else leads.
    RefuseLearners,
    /// Let learners wait that come from now on: it is not known yet whether this server leads. So
    /// it is at the start.
    LetLearnersWait,
    /// Send the leader a packet.
    ToLeader {
        /// Over which connection.
        link: Link,
        /// What.
        packet: LearnerPacket,
    },
    /// Send a learner a packet.
    ToLearner {
        /// Over which connection.
        link: Link,
        /// What.
        packet: LeaderPacket,
    },
    /// Send a learner the header and stream of a snapshot of the state as it is now; answered with
    /// [`crate::Input::SnapshotSent`]. Nothing else is sent to it before.
    SendSnapshot {
        /// The learner's connection.
        link: Link,
        /// The last transaction that has been delivered, for the header.
        last_applied: Zxid,
    },
    /// Look in the log for what a learner lacks; answered with [`crate::Input::LogFound`] or
    /// [`crate::Input::LogLacks`]. What was read for it before is not needed any more.
    ReadLog {
        /// The learner's connection.
        link: Link,
        /// The end of the learner's history: what follows it is looked for.
        after: Zxid,
        /// The last transaction to be read; durable.
        up_to: Zxid,
    },
    /// Read on in the log for a learner, when its connection has taken everything that was sent over
    /// it; answered with [`crate::Input::LogRead`] or [`crate::Input::LogLacks`].
    ReadOn {
        /// The learner's connection.
        link: Link,
    },
    /// Read nothing more for a learner; it does not matter if nothing was.
    StopReading {
        /// The learner's connection.
        link: Link,
    },
    /// Send the leader its ping back, with the sessions that showed signs of life.
    AnswerPing {
        /// Over which connection.
        link: Link,
        /// What the ping said.
        last_proposed: Zxid,
    },

    /// Log these transactions, and make them durable; answered with [`crate::Input::LogSynced`].
    /// On a learner they are new to the replica too, and wait there to be delivered.
    Append(Arc<LogBatch>),
    /// Store the accepted epoch; answered with [`crate::Input::AcceptedEpochStored`].
    StoreAcceptedEpoch(Epoch),
    /// Store the current epoch; answered with [`crate::Input::CurrentEpochStored`].
    StoreCurrentEpoch(Epoch),
    /// Cut the log behind this transaction, and set the database back to it; answered with
    /// [`crate::Input::Truncated`] or [`crate::Input::NotTruncated`]. Until then nothing may be lost that
    /// waits to be delivered.
    Truncate(Zxid),

    /// Apply everything logged up to this transaction: it is committed. Or, between [`Self::Look`] and
    /// [`Self::Lead`] or [`Self::Follow`], this server takes it for committed, as it does after a start:
    /// in order to send a snapshot of it to those who are to commit it, because its leader is about to
    /// commit it, or because it could not be cut off.
    Deliver(Zxid),
    /// This server looks for a leader: serve nobody who writes, end the sessions' connections.
    Look,
    /// This server leads: propose.
    Lead {
        /// The epoch of its reign, which has its first zxid with counter 1.
        epoch: Epoch,
    },
    /// This server follows: serve clients.
    Follow {
        /// The connection over which it learns.
        link: Link,
        /// Who was elected. An observer that learns from a follower is not told if that has another
        /// leader by now.
        leader: Sid,
        /// Whose connection it is: the leader's, or that of a follower which has observers of its own.
        teacher: Sid,
        /// The epoch of its reign.
        epoch: Epoch,
    },
    /// This server has led all the time since the first unanswered
    /// [`crate::Input::ConfirmLeadership`] that came before the last one was answered.
    LeadershipConfirmed {
        /// How many of the unanswered ones, oldest first, this answers.
        count: usize,
    },
    /// From here on these memberships hold: servers are found where they say. Store them, before
    /// anything that is to be stored by a later effect.
    StoreMemberships(Memberships),
    /// Find out what the oracle says; answered with [`crate::Input::OracleSays`]. Only with
    /// [`crate::Options::has_oracle`].
    AskOracle,
}

/// A notification that owns what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// What this server is doing.
    pub state: ServerState,
    /// The leader that it proposes, or has.
    pub leader: Option<Sid>,
    /// How far that leader's history went when the vote was cast.
    pub last_logged: LastLogged,
    /// The round of the vote.
    pub round: ElectionRound,
    /// The epoch of the vote.
    pub epoch: Option<Epoch>,
    /// The membership in force, as text.
    pub config: Arc<str>,
}

/// What a leader sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeaderPacket {
    /// [`wire::quorum::ToLearner::LeaderInfo`].
    LeaderInfo(Epoch),
    /// [`wire::quorum::ToLearner::Diff`].
    Diff {
        /// The last committed transaction.
        last_committed: Zxid,
    },
    /// [`wire::quorum::ToLearner::Truncate`].
    Truncate {
        /// The last transaction to keep.
        keep: Zxid,
    },
    /// [`wire::quorum::ToLearner::NewLeader`].
    NewLeader {
        /// The leader's.
        epoch: Epoch,
        /// The last membership that it has seen.
        config: Arc<str>,
    },
    /// [`wire::quorum::ToLearner::UpToDate`].
    UpToDate,
    /// [`wire::quorum::ToLearner::Proposal`], for each transaction of a batch from `first` on.
    Proposals {
        /// The batch.
        batch: Arc<LogBatch>,
        /// The first of its transactions that is sent.
        first: Zxid,
    },
    /// [`wire::quorum::ToLearner::Commit`], for each transaction from `first` to `last`, which are
    /// of one epoch.
    Commits {
        /// The first.
        first: Zxid,
        /// The last.
        last: Zxid,
    },
    /// [`wire::quorum::ToLearner::CommitAndActivate`].
    CommitAndActivate {
        /// The change of the membership.
        zxid: Zxid,
        /// Who leads from here on.
        designated_leader: Sid,
    },
    /// [`wire::quorum::ToLearner::Proposal`] and [`wire::quorum::ToLearner::Commit`] in turn: history
    /// for a learner that lacks it.
    Committed {
        /// The batch.
        batch: Arc<LogBatch>,
        /// The first of its transactions that is sent.
        first: Zxid,
        /// The last.
        last: Zxid,
    },
    /// [`wire::quorum::ToLearner::Inform`], for each transaction of a batch from `first` to `last`.
    Informs {
        /// The batch.
        batch: Arc<LogBatch>,
        /// The first of its transactions that is sent.
        first: Zxid,
        /// The last.
        last: Zxid,
    },
    /// [`wire::quorum::ToLearner::InformAndActivate`].
    InformAndActivate {
        /// The batch.
        batch: Arc<LogBatch>,
        /// Which of its transactions is the change of the membership.
        zxid: Zxid,
        /// Who leads from here on.
        designated_leader: Sid,
    },
    /// [`wire::quorum::ToLearner::Ping`].
    Ping {
        /// The last transaction that was proposed.
        last_proposed: Zxid,
    },
}

/// What a learner sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LearnerPacket {
    /// [`wire::quorum::ToLeader::FollowerInfo`], or `ObserverInfo` from one that does not vote.
    Info {
        /// The latest epoch that it has accepted.
        accepted_epoch: Epoch,
        /// The version of its membership.
        config_version: i64,
        /// Whether it votes.
        kind: LearnerKind,
        /// What it can cut off.
        cuts: Cuts,
    },
    /// [`wire::quorum::ToLeader::AckEpoch`].
    AckEpoch {
        /// The last transaction that it had in its log, or for an epoch that it had accepted before, that it has;
        /// `None` without a database, if it may have had more than anybody knows, or if only a snapshot helps.
        last_logged: Option<Zxid>,
        /// The epoch of the leader that it last followed; `None` if it had accepted this one before, or has no say.
        current_epoch: Option<Epoch>,
    },
    /// [`wire::quorum::ToLeader::AckNewLeader`].
    AckNewLeader(Epoch),
    /// [`wire::quorum::ToLeader::Ack`], for each transaction from `first` to `last`, which are of
    /// one epoch.
    Acks {
        /// The first.
        first: Zxid,
        /// The last.
        last: Zxid,
    },
}

/// Whether a learner votes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LearnerKind {
    /// It does.
    Follower,
    /// It does not.
    Observer,
}

/// Why a connection is ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The server with the larger id calls, and this is the other's call.
    OtherSideCalls,
    /// A newer connection has taken its place.
    Replaced,
    /// The server left the role in which it had the connection.
    RoleEnded,
    /// The other was silent for too long.
    Silent,
    /// The other did not acknowledge a proposal for too long.
    Slow,
    /// The other takes so long to receive a snapshot that what it misses is too much.
    FarBehind,
    /// This server lacks what the leader wants to build on, and says at once what it has.
    ComesAgain,
    /// The log, out of which the other was being sent the history, can not be read on.
    LogUnreadable,
    /// The other says that it has this server's id.
    OwnId,
    /// There are too many connections with servers that do not vote.
    TooMany,
    /// So many learners are being synchronized that an observer has to come again.
    Crowded,
    /// The other said what no correct server says.
    Misbehaved(PeerMisbehaved),
}
