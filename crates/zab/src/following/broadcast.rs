//! A learner with its leader's history: logs, acknowledges, delivers.

use types::{Epoch, Sid, Zxid};
use wire::quorum::ToLearner;

use super::mastering::Mastering;
use super::not_due;
use super::reception::Reception;
use crate::effect::{Effect, LearnerKind, LearnerPacket};
use crate::history::{beginning, next_in};
use crate::input::Link;
use crate::memberships::change_in;
use crate::misbehaved::PeerMisbehaved;
use crate::peer::{Core, Course};

/// What a learner knows while it follows.
#[derive(Clone, Debug)]
pub(super) struct Broadcast {
    epoch: Epoch,
    kind: LearnerKind,
    reception: Reception,
    /// How the role ends, when a new membership needs another one.
    course: Course,
    /// The last change of the membership that was committed, and who leads since.
    change: Option<(Zxid, Sid)>,
    /// The last transaction of which the leader said that it is committed.
    committed: Zxid,
    /// The last transaction that was acknowledged, or needs not be; of this epoch.
    acknowledged: Zxid,
}

impl Broadcast {
    /// What is committed is delivered, and more may be logged. What the leader has proposed since it had sent
    /// its history, which ended with `history_end`, is acknowledged though it is committed: Apache's leaders
    /// wait for that, and would take this server for too slow.
    pub(super) fn new(core: &Core, epoch: Epoch, history_end: Zxid) -> Self {
        let committed = core.history.last_committed();
        Self {
            epoch,
            kind: core.kind(),
            course: Course::Stay,
            change: None,
            reception: Reception::after(core.history.last_logged(), epoch),
            committed,
            acknowledged: committed.min(history_end).max(beginning(epoch)),
        }
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn on_packet(
        &mut self,
        core: &mut Core,
        leader: Sid,
        link: Link,
        packet: &ToLearner<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        match packet {
            ToLearner::Proposal(proposal) => {
                self.reception.take(*proposal)?;
                if let Some(membership) = change_in(*proposal)? {
                    core.see(membership, effects);
                }
            }
            ToLearner::Inform(proposal) => {
                let zxid = self.reception.take(*proposal)?;
                self.on_commit(zxid)?;
            }
            ToLearner::InformAndActivate { proposal, designated_leader } => {
                let zxid = self.reception.take(*proposal)?;
                self.on_commit(zxid)?;
                if let Some(membership) = change_in(*proposal)? {
                    let designated = Some(*designated_leader);
                    self.course = core.activate_on_learner(membership, leader, designated, effects);
                }
            }
            ToLearner::CommitAndActivate { zxid, designated_leader } => {
                self.on_commit(*zxid)?;
                self.change = Some((*zxid, *designated_leader));
                if let Some(pending) = core.pending_change(*zxid) {
                    let designated = Some(*designated_leader);
                    self.course = core.activate_on_learner(pending, leader, designated, effects);
                }
            }
            ToLearner::Commit { zxid } => self.on_commit(*zxid)?,
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
                self.inform(core, before, observers, effects);
            }
            let needed = observers.map_or(self.committed, Mastering::needed);
            core.history.commit(self.committed, needed);
        }
        let durable = core.history.last_synced();
        if self.kind == LearnerKind::Follower
            && durable > self.acknowledged
            && let Some(first) = next_in(self.epoch, self.acknowledged)
        {
            self.acknowledged = durable;
            let packet = LearnerPacket::Acks { first, last: durable };
            effects.push(Effect::ToLeader { link, packet });
        }
    }

    /// How the role ends, if it has to.
    pub(super) fn end(&self) -> Option<Course> {
        Some(self.course).filter(|&course| course != Course::Stay)
    }

    /// Tells the observers of this server what is committed behind a transaction.
    fn inform(&self, core: &Core, before: Zxid, observers: &Mastering, effects: &mut Vec<Effect>) {
        let Some((change, leader)) = self.change.filter(|&(change, _)| change > before) else {
            return observers.inform(core, before, self.committed, effects);
        };
        observers.inform(core, before, Zxid::from_raw(change.raw() - 1), effects);
        observers.inform_of_change(core, change, leader, effects);
        observers.inform(core, change, self.committed, effects);
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
