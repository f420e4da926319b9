//! Which packets of the wire stand for what a peer says.
//!
//! A peer says things about whole batches, on the wire each transaction has its packets: Apache's servers
//! count them. How a packet is encoded is the wire's own matter.

use std::borrow::Cow;
use std::sync::Arc;

use types::{Sid, Zxid};
use wire::election::{Form, Notification};
use wire::quorum::{LearnerInfo, Proposal, ToLeader, ToLearner};
use wire::stored::LogBatch;

use crate::effect::{Announcement, LeaderPacket, LearnerKind, LearnerPacket};

impl Announcement {
    /// The notification that says it.
    pub fn notification(&self) -> Notification<'_> {
        Notification {
            state: self.state,
            leader: self.leader,
            last_logged: self.last_logged,
            round: self.round,
            epoch: self.epoch,
            form: Form::WithConfig { config: Cow::Borrowed(&self.config) },
        }
    }
}

impl LeaderPacket {
    /// The batch of which it carries transactions; `None` if it carries none, or only a change of the
    /// membership.
    pub fn batch(&self) -> Option<&Arc<LogBatch>> {
        match self {
            Self::Proposals { batch, .. }
            | Self::Committed { batch, .. }
            | Self::Informs { batch, .. } => Some(batch),
            Self::InformAndActivate { .. }
            | Self::LeaderInfo(_)
            | Self::Diff { .. }
            | Self::Truncate { .. }
            | Self::NewLeader { .. }
            | Self::UpToDate
            | Self::Commits { .. }
            | Self::CommitAndActivate { .. }
            | Self::Ping { .. } => None,
        }
    }

    /// Tells each packet that a learner is sent, in their order.
    pub fn unfold(&self, mut tell: impl FnMut(&ToLearner<'_>)) {
        match self {
            &Self::LeaderInfo(epoch) => tell(&ToLearner::LeaderInfo { epoch }),
            &Self::Diff { last_committed } => tell(&ToLearner::Diff { last_committed }),
            &Self::Truncate { keep } => tell(&ToLearner::Truncate { keep }),
            Self::NewLeader { epoch, config } => {
                let config = Some(Cow::Borrowed(&**config));
                tell(&ToLearner::NewLeader { epoch: *epoch, config });
            }
            Self::UpToDate => tell(&ToLearner::UpToDate),
            Self::Proposals { batch, first } => {
                for proposal in batch.proposals().skip_while(|it| it.zxid() < *first) {
                    tell(&ToLearner::Proposal(proposal));
                }
            }
            &Self::Commits { first, last } => {
                through(first, last).for_each(|zxid| tell(&ToLearner::Commit { zxid }));
            }
            Self::Committed { batch, first, last } => {
                for proposal in within(batch, *first, *last) {
                    tell(&ToLearner::Proposal(proposal));
                    tell(&ToLearner::Commit { zxid: proposal.zxid() });
                }
            }
            Self::Informs { batch, first, last } => {
                within(batch, *first, *last).for_each(|it| tell(&ToLearner::Inform(it)));
            }
            &Self::CommitAndActivate { zxid, designated_leader } => {
                tell(&ToLearner::CommitAndActivate { zxid, designated_leader });
            }
            &Self::InformAndActivate { ref batch, zxid, designated_leader } => {
                for proposal in within(batch, zxid, zxid) {
                    tell(&ToLearner::InformAndActivate { proposal, designated_leader });
                }
            }
            &Self::Ping { last_proposed } => tell(&ToLearner::Ping { last_proposed }),
        }
    }
}

impl LearnerPacket {
    /// Tells each packet that learner `sid` sends its leader, in their order.
    pub fn unfold(&self, sid: Sid, mut tell: impl FnMut(&ToLeader<'_>)) {
        match *self {
            Self::Info { accepted_epoch, config_version, kind, cuts } => {
                let config_version = Some(config_version);
                let info = LearnerInfo { sid, accepted_epoch, config_version, cuts };
                tell(&match kind {
                    LearnerKind::Follower => ToLeader::FollowerInfo(info),
                    LearnerKind::Observer => ToLeader::ObserverInfo(info),
                });
            }
            Self::AckEpoch { last_logged, current_epoch } => {
                tell(&ToLeader::AckEpoch { last_logged, current_epoch });
            }
            Self::AckNewLeader(epoch) => tell(&ToLeader::AckNewLeader { epoch }),
            Self::Acks { first, last } => {
                through(first, last).for_each(|zxid| tell(&ToLeader::Ack { zxid }));
            }
        }
    }
}

/// The transactions of a batch from one to another.
fn within(batch: &LogBatch, first: Zxid, last: Zxid) -> impl Iterator<Item = Proposal<'_>> {
    batch.proposals().filter(move |it| (first..=last).contains(&it.zxid()))
}

/// The zxids from one to another of the same epoch.
fn through(first: Zxid, last: Zxid) -> impl Iterator<Item = Zxid> {
    std::iter::successors(Some(first), |zxid| zxid.next()).take_while(move |&zxid| zxid <= last)
}
