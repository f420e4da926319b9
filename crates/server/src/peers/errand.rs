//! What the thread of the connections is asked to do.

use std::io;
use std::net::SocketAddr;

use super::limits::BRIEF_BYTES_MAX;
use types::membership::HostPort;
use types::{Sid, Zxid};
use zab::{Announcement, CloseReason, Effect, LeaderPacket, LearnerPacket, Link, Memberships};

/// One thing to do. Errands are run in their order.
#[derive(Debug)]
pub(crate) enum Errand {
    /// The servers are found where these say, this one too.
    Memberships(Memberships),
    /// [`Effect::Call`].
    Call {
        /// Whom.
        to: Sid,
        /// Where, as `host:port`; empty: where the membership says.
        addresses: Vec<String>,
    },
    /// [`Effect::Notify`].
    Notify {
        /// Over which connection.
        link: Link,
        /// What.
        announcement: Announcement,
    },
    /// [`Effect::Close`].
    Close {
        /// Which.
        link: Link,
        /// Why.
        reason: CloseReason,
    },
    /// [`Effect::ConnectToLeader`].
    ConnectToLeader(Sid),
    /// [`Effect::ConnectToMaster`].
    ConnectToMaster(Sid),
    /// [`Effect::AdmitLearners`] and its opposites.
    Learners(Admission),
    /// [`Effect::AdmitObservers`] and its opposite.
    Observers(Admission),
    /// [`Effect::ToLeader`].
    ToLeader {
        /// Over which connection.
        link: Link,
        /// What.
        packet: LearnerPacket,
    },
    /// [`Effect::ToLearner`].
    ToLearner {
        /// Over which connection.
        link: Link,
        /// What.
        packet: LeaderPacket,
    },
    /// Send packets that the replica has encoded: what has a meaning for clients.
    Packets {
        /// Over which connection of the quorum port.
        link: Link,
        /// Whole packets.
        bytes: Vec<u8>,
    },
    /// Send a part of a snapshot.
    SnapshotPart {
        /// To whom.
        link: Link,
        /// Which.
        part: SnapshotPart,
    },
    /// [`Effect::ReadOn`]: tell when all that was to be sent before has left.
    TellWhenSent {
        /// To whom.
        link: Link,
    },
    /// What became of the part of a snapshot that was received last.
    StreamProgress {
        /// Over which connection it came.
        link: Link,
        /// What.
        progress: StreamProgress,
    },
    /// Names were looked up. Only threads that look up names send this.
    LookedUp {
        /// For whom.
        asker: Asker,
        /// What.
        places: Vec<HostPort>,
        /// Where they are.
        addresses: io::Result<Vec<SocketAddr>>,
    },
}

impl Errand {
    /// Whether it is only to send something, and so little that whoever has it can do that as fast as
    /// wake a thread for it.
    pub(super) fn is_brief(&self) -> bool {
        match self {
            Self::ToLeader { .. } => true,
            Self::Packets { bytes, .. } => bytes.len() <= BRIEF_BYTES_MAX,
            Self::ToLearner { packet, .. } => match packet {
                LeaderPacket::Commits { .. } | LeaderPacket::Ping { .. } => true,
                packet => {
                    packet.batch().is_some_and(|batch| batch.as_bytes().len() <= BRIEF_BYTES_MAX)
                }
            },
            Self::Memberships(_)
            | Self::Call { .. }
            | Self::Notify { .. }
            | Self::Close { .. }
            | Self::ConnectToLeader(_)
            | Self::ConnectToMaster(_)
            | Self::Learners(_)
            | Self::Observers(_)
            | Self::SnapshotPart { .. }
            | Self::TellWhenSent { .. }
            | Self::StreamProgress { .. }
            | Self::LookedUp { .. } => false,
        }
    }

    /// What an effect means for the connections.
    ///
    /// # Errors
    /// The effect itself if it is for others: for storage, or for the replica, which knows sessions
    /// and can make a snapshot.
    pub(crate) fn of(effect: Effect) -> Result<Self, Effect> {
        Ok(match effect {
            Effect::Call { to, addresses } => Self::Call { to, addresses },
            Effect::Notify { link, announcement } => Self::Notify { link, announcement },
            Effect::Close { link, reason } => Self::Close { link, reason },
            Effect::ConnectToLeader(leader) => Self::ConnectToLeader(leader),
            Effect::ConnectToMaster(master) => Self::ConnectToMaster(master),
            Effect::AdmitObservers => Self::Observers(Admission::Admit),
            Effect::RefuseObservers => Self::Observers(Admission::Refuse),
            Effect::AdmitLearners => Self::Learners(Admission::Admit),
            Effect::RefuseLearners => Self::Learners(Admission::Refuse),
            Effect::LetLearnersWait => Self::Learners(Admission::Wait),
            Effect::ToLeader { link, packet } => Self::ToLeader { link, packet },
            Effect::ToLearner { link, packet } => Self::ToLearner { link, packet },
            Effect::StoreMemberships(memberships) => Self::Memberships(memberships),
            Effect::ReadOn { link } => Self::TellWhenSent { link },
            Effect::SendSnapshot { .. }
            | Effect::ReadLog { .. }
            | Effect::StopReading { .. }
            | Effect::AnswerPing { .. }
            | Effect::Append(_)
            | Effect::StoreAcceptedEpoch(_)
            | Effect::StoreCurrentEpoch(_)
            | Effect::Truncate(_)
            | Effect::Deliver(_)
            | Effect::Look
            | Effect::Lead { .. }
            | Effect::Follow { .. }
            | Effect::LeadershipConfirmed { .. }
            | Effect::AskOracle => return Err(effect),
        })
    }
}

/// What is done with learners that connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Admission {
    /// They are let in.
    Admit,
    /// They are turned away.
    Refuse,
    /// They wait outside until it is known which of the two.
    #[default]
    Wait,
}

/// A snapshot in the order in which it is sent. The next part may follow when
/// [`super::news::News::SnapshotTakesMore`] says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SnapshotPart {
    /// The packet that announces it, and what comes before the znodes.
    Head {
        /// The last transaction that is in it as a whole.
        last_applied: Zxid,
        /// From the number of sessions on; may be empty.
        records: Vec<u8>,
    },
    /// The next znodes.
    Records(Vec<u8>),
    /// Nothing more; the end mark and the signature follow.
    End,
}

/// What became of a part of a snapshot that was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum StreamProgress {
    /// It was taken as a whole; the snapshot goes on.
    TakesMore,
    /// The snapshot ended, its signature included, and these bytes are left of the part.
    Ended {
        /// Packets.
        rest: Vec<u8>,
    },
    /// This is no snapshot, or it can not be stored.
    GivenUp,
}

/// On whose behalf names are looked up: one lookup is under way for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Asker {
    /// Whoever wants to reach a server.
    Goal(Goal),
    /// A port that is to be opened, by its number.
    Door(usize),
}

/// Whom to reach, and at which of its ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Goal {
    /// This server, for an election.
    Call(Sid),
    /// This server, to learn from it as it leads.
    Leader(Sid),
    /// This server, to learn from it as it follows.
    Master(Sid),
}

#[cfg(test)]
mod tests {
    use types::Epoch;

    use super::*;

    #[test]
    fn effects_for_others_are_handed_back() {
        let others = [
            Effect::SendSnapshot { link: Link(1), last_applied: Zxid::ZERO },
            Effect::AnswerPing { link: Link(1), last_proposed: Zxid::ZERO },
            Effect::StoreAcceptedEpoch(Epoch(1)),
            Effect::Look,
        ];
        for effect in others {
            assert_eq!(Errand::of(effect.clone()).expect_err("not for connections"), effect);
        }
    }

    #[test]
    fn effects_on_connections_become_errands() {
        let errand = |effect| Errand::of(effect).expect("for connections");
        for (effect, expected) in [
            (Effect::AdmitLearners, Admission::Admit),
            (Effect::RefuseLearners, Admission::Refuse),
            (Effect::LetLearnersWait, Admission::Wait),
        ] {
            assert!(matches!(errand(effect), Errand::Learners(it) if it == expected));
        }
        assert!(matches!(
            errand(Effect::ReadOn { link: Link(2) }),
            Errand::TellWhenSent { link: Link(2) }
        ));
        let close = Effect::Close { link: Link(3), reason: CloseReason::Silent };
        assert!(matches!(
            errand(close),
            Errand::Close { link: Link(3), reason: CloseReason::Silent }
        ));
    }
}
