//! A learner with its leader's history: logs, acknowledges, delivers.

use types::{Epoch, Zxid};
use wire::quorum::ToLearner;

use super::mastering::Mastering;
use super::not_due;
use super::reception::Reception;
use crate::effect::{Effect, LearnerKind, LearnerPacket};
use crate::history::{beginning, next_in};
use crate::input::Link;
use crate::misbehaved::PeerMisbehaved;
use crate::peer::Core;

/// What a learner knows while it follows.
#[derive(Clone, Debug)]
pub(super) struct Broadcast {
    epoch: Epoch,
    reception: Reception,
    /// The last transaction of which the leader said that it is committed.
    committed: Zxid,
    /// The last transaction that was acknowledged, or needs not be; of this epoch.
    acknowledged: Zxid,
}

impl Broadcast {
    /// What is committed is delivered, and more may be logged.
    pub(super) fn new(core: &Core, epoch: Epoch) -> Self {
        let committed = core.history.last_committed();
        Self {
            epoch,
            reception: Reception::after(core.history.last_logged(), epoch),
            committed,
            acknowledged: committed.max(beginning(epoch)),
        }
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn on_packet(
        &mut self,
        link: Link,
        packet: &ToLearner<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        match packet {
            ToLearner::Proposal(proposal) => {
                self.reception.take(*proposal)?;
            }
            ToLearner::Inform(proposal) | ToLearner::InformAndActivate { proposal, .. } => {
                let zxid = self.reception.take(*proposal)?;
                self.on_commit(zxid)?;
            }
            ToLearner::Commit { zxid } | ToLearner::CommitAndActivate { zxid, .. } => {
                self.on_commit(*zxid)?;
            }
            ToLearner::Ping { last_proposed } => {
                effects.push(Effect::AnswerPing { link, last_proposed: *last_proposed });
            }
            // The replica's.
            ToLearner::Sync | ToLearner::Revalidated { .. } => {}
            ToLearner::LeaderInfo { .. }
            | ToLearner::Diff { .. }
            | ToLearner::Truncate { .. }
            | ToLearner::Snapshot { .. }
            | ToLearner::NewLeader { .. }
            | ToLearner::UpToDate => return Err(not_due(packet, "it has to propose")),
        }
        Ok(())
    }

    /// Logs what came, delivers what is committed, also to the observers of this server, and acknowledges
    /// what is durable.
    pub(super) fn settle(
        &mut self,
        core: &mut Core,
        link: Link,
        observers: Option<&Mastering>,
        effects: &mut Vec<Effect>,
    ) {
        self.reception.log(core, effects);
        let before = core.history.last_committed();
        if self.committed > before {
            effects.push(Effect::Deliver(self.committed));
            if let Some(observers) = observers {
                observers.inform(core, before, self.committed, effects);
            }
            let needed = observers.map_or(self.committed, Mastering::needed);
            core.history.commit(self.committed, needed);
        }
        let durable = core.history.last_synced();
        if core.options.kind == LearnerKind::Follower
            && durable > self.acknowledged
            && let Some(first) = next_in(self.epoch, self.acknowledged)
        {
            self.acknowledged = durable;
            let packet = LearnerPacket::Acks { first, last: durable };
            effects.push(Effect::ToLeader { link, packet });
        }
    }

    fn on_commit(&mut self, zxid: Zxid) -> Result<(), PeerMisbehaved> {
        let is_proposed = |next: &Zxid| *next <= self.reception.last();
        let expected = next_in(self.epoch, self.committed).filter(is_proposed);
        if expected != Some(zxid) {
            return Err(PeerMisbehaved::CommitOutOfOrder { expected, found: zxid });
        }
        self.committed = zxid;
        Ok(())
    }
}
