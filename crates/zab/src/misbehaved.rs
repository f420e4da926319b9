//! What no correct peer does.

use thiserror::Error;
use types::{Epoch, Sid, Zxid};
use wire::jute::DecodeError;

/// Why a peer is not listened to any longer. The state is as if it had said nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PeerMisbehaved {
    /// A packet that is not due in this phase.
    #[error("{packet} is not due now: {phase}")]
    NotDue {
        /// Its name.
        packet: &'static str,
        /// What was expected instead.
        phase: &'static str,
    },
    /// The leader's epoch is behind one that this server has accepted.
    #[error("the leader's epoch {} is behind the accepted {}", offered.0, accepted.0)]
    StaleEpoch {
        /// What it offered.
        offered: Epoch,
        /// What this server has accepted.
        accepted: Epoch,
    },
    /// A learner has more history than the leader: it should lead.
    #[error("learner {} has a later history: epoch {}, last logged {last_logged}", sid.0, epoch.0)]
    LaterHistory {
        /// Who.
        sid: Sid,
        /// The epoch of the leader that it last followed.
        epoch: Epoch,
        /// Its last transaction.
        last_logged: Zxid,
    },
    /// A learner has a membership that the leader does not know.
    #[error("learner {} has membership {theirs:x}, the leader only {ours:x}", sid.0)]
    LaterMembership {
        /// Who.
        sid: Sid,
        /// The version of its membership.
        theirs: i64,
        /// The version of the leader's.
        ours: i64,
    },
    /// Who votes, or wants to, learns from the leader.
    #[error("learner {} is no observer", .0.0)]
    NoObserver(Sid),
    /// A change of the membership into one that this server does not understand.
    #[error("transaction {zxid} changes the membership into one that can not be read")]
    UnreadableMembership {
        /// Its place.
        zxid: Zxid,
    },
    /// A transaction that this server does not understand, and so can not apply.
    #[error("transaction {zxid} can not be read: {problem}")]
    UnreadableTxn {
        /// Its place.
        zxid: Zxid,
        /// What is wrong with it.
        problem: DecodeError,
    },
    /// A proposal that does not follow the one before.
    #[error("proposal {found} does not follow {last}")]
    ProposalGap {
        /// The last one before.
        last: Zxid,
        /// This one.
        found: Zxid,
    },
    /// A commit of something that is not next.
    #[error("commit of {found}, but {expected:?} is next")]
    CommitOutOfOrder {
        /// What would be next; `None` if nothing is proposed.
        expected: Option<Zxid>,
        /// What it names.
        found: Zxid,
    },
    /// An acknowledgement of something that was never proposed.
    #[error("acknowledgement of {found}, but the last proposal is {last}")]
    AckBeyondLastProposed {
        /// The last proposal.
        last: Zxid,
        /// What it names.
        found: Zxid,
    },
    /// A cut of what is committed.
    #[error("cut behind {keep}, but {committed} is committed here")]
    CutOfCommitted {
        /// The last transaction to keep.
        keep: Zxid,
        /// The last that was delivered.
        committed: Zxid,
    },
    /// A cut behind the end.
    #[error("cut behind {keep}, but the last logged is {last_logged}")]
    CutBeyondEnd {
        /// The last transaction to keep.
        keep: Zxid,
        /// The last transaction there is.
        last_logged: Zxid,
    },
    /// Two servers with one id.
    #[error("learner has this server's own id {}: see the files myid", .0.0)]
    OwnId(Sid),
    /// An epoch that is too far ahead to have come about by elections.
    #[error(
        "learner {} has accepted epoch {}, this server {}: is it of another ensemble?",
        sid.0, theirs.0, ours.0
    )]
    EpochFromNowhere {
        /// Who.
        sid: Sid,
        /// What it has accepted.
        theirs: Epoch,
        /// What this server has accepted.
        ours: Epoch,
    },
    /// A leader's epoch that is too far ahead to have come about by elections.
    #[error(
        "the leader's epoch is {}, this server has accepted {}: is it of another ensemble?",
        offered.0, accepted.0
    )]
    LeaderFromNowhere {
        /// What it offered.
        offered: Epoch,
        /// What this server has accepted.
        accepted: Epoch,
    },
    /// An epoch that is not the one agreed.
    #[error("epoch {} instead of {}", found.0, expected.0)]
    OtherEpoch {
        /// The one agreed.
        expected: Epoch,
        /// The one it names.
        found: Epoch,
    },
}
