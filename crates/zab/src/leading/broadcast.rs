//! Proposing, counting acknowledgements, committing; and knowing that one still leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Epoch, Instant, Now, Zxid, mutant};
use wire::stored::LogBatch;

use super::learner::Learner;
use super::synchronization::first_behind;
use super::{
    has_another_voter, has_quorum, last_proposed, may_decide_alone, needed, ping_all, send,
};
use crate::effect::{Effect, LeaderPacket, LearnerKind};
use crate::history::next_in;
use crate::input::Link;
use crate::peer::Core;
use crate::quorum::Oracle;

/// What a leader knows once it is established.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    epoch: Epoch,
    /// When it last looked whether a quorum is still there.
    looked: Instant,
    confirmation: Confirmation,
}

/// Whether this server leads is asked of a quorum, for all who want to know at the same time.
#[derive(Clone, Default, Debug)]
struct Confirmation {
    /// Who asked since the round began.
    waiting: usize,
    /// Whom the round under way will answer; `None` without one.
    asked: Option<usize>,
}

impl Broadcast {
    pub(super) fn new(epoch: Epoch, now: Now) -> Self {
        Self { epoch, looked: now.instant, confirmation: Confirmation::default() }
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Logs and proposes transactions.
    pub(crate) fn propose(
        &self,
        core: &mut Core,
        now: Now,
        learners: &mut BTreeMap<Link, Learner>,
        batch: Arc<LogBatch>,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(first), Some(last)) = (batch.first_zxid(), batch.last_zxid()) else { return };
        let next = next_in(self.epoch, core.history.last_logged());
        assert_eq!(Some(first), next, "proposals follow each other");
        core.history.append(Arc::clone(&batch));
        effects.push(Effect::Append(Arc::clone(&batch)));
        for (&link, learner) in learners {
            if learner.is_served() && learner.kind() == LearnerKind::Follower {
                learner.propose(now.instant, last);
                let batch = Arc::clone(&batch);
                send(link, LeaderPacket::Proposals { batch, first }, effects);
            }
        }
    }

    /// Asks for a confirmation that this server leads.
    pub(crate) fn confirm(&mut self) {
        self.confirmation.waiting += 1;
    }

    pub(super) fn settle(
        &mut self,
        core: &mut Core,
        learners: &mut BTreeMap<Link, Learner>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(committed) = self.newly_committed(core, learners) {
            self.commit(core, learners, committed, effects);
        }
        self.settle_confirmation(core, learners, effects);
    }

    /// Pings all learners; every other time sees whether a quorum has been heard of, and returns
    /// false if not.
    pub(super) fn ping(
        &mut self,
        core: &Core,
        now: Now,
        learners: &mut BTreeMap<Link, Learner>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        ping_all(core, self.epoch, learners, effects);
        if now.instant.since(self.looked) < core.options.tick {
            return true;
        }
        self.looked = now.instant;
        let limit = core.options.tick * core.options.sync_limit;
        mutant::active(33)
            || has_quorum(core, learners, |it| {
                it.is_following() && now.instant.since(it.heard) <= limit
            })
            || may_be_let_alone(core, now, learners)
    }

    /// The last transaction that a quorum has durably, if that is more than is committed. This
    /// server counts like any other: as soon as its log is synced.
    fn newly_committed(&self, core: &Core, learners: &BTreeMap<Link, Learner>) -> Option<Zxid> {
        let own = match mutant::active(21) {
            true => core.history.last_logged(),
            false => core.history.last_synced(),
        };
        let first = next_in(self.epoch, core.history.last_committed())?;
        let is_committed = |zxid: Zxid| {
            let zxid = if mutant::active(22) { first } else { zxid };
            let is_quorum = core.quorums.is_quorum(|sid| match sid == core.options.sid {
                true => own >= zxid,
                false => learners.values().any(|it| {
                    it.sid == Some(sid) && it.may_vote() && it.acknowledged() >= Some(zxid)
                }),
            });
            is_quorum || own >= zxid && may_decide_alone(core, learners)
        };
        let acknowledged = learners.values().filter_map(Learner::acknowledged);
        acknowledged.chain([own]).filter(|&zxid| zxid >= first && is_committed(zxid)).max()
    }

    fn commit(
        &self,
        core: &mut Core,
        learners: &BTreeMap<Link, Learner>,
        last: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        let before = core.history.last_committed();
        let Some(first) = next_in(self.epoch, before) else { return };
        effects.push(Effect::Deliver(last));
        for (&link, learner) in learners.iter().filter(|(_, learner)| learner.is_served()) {
            match learner.kind() {
                LearnerKind::Follower => {
                    send(link, LeaderPacket::Commits { first, last }, effects);
                }
                LearnerKind::Observer => inform(core, link, before, last, effects),
            }
        }
        core.history.commit(last, needed(learners));
    }

    fn settle_confirmation(
        &mut self,
        core: &Core,
        learners: &mut BTreeMap<Link, Learner>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(count) = self.confirmation.asked
            && has_quorum(core, learners, Learner::has_confirmed)
        {
            self.confirmation.asked = None;
            effects.push(Effect::LeadershipConfirmed { count });
        }
        if self.confirmation.asked.is_some() || self.confirmation.waiting == 0 {
            return;
        }
        let count = std::mem::take(&mut self.confirmation.waiting);
        self.confirmation.asked = Some(count);
        let last_proposed = last_proposed(core, self.epoch);
        for (&link, learner) in &mut *learners {
            learner.await_confirmation();
            if learner.is_following() && learner.may_vote() {
                learner.ping(link, last_proposed, effects);
            }
        }
        let is_enough = core.quorums.is_quorum(|sid| sid == core.options.sid);
        if is_enough || may_decide_alone(core, learners) || mutant::active(34) {
            self.confirmation.asked = None;
            effects.push(Effect::LeadershipConfirmed { count });
        }
    }
}

/// Whether the other one of two voters is gone, and the oracle has not said yet what that means.
fn may_be_let_alone(core: &Core, now: Now, learners: &BTreeMap<Link, Learner>) -> bool {
    core.options.has_oracle
        && core.quorums.committed.is_lone_voter_enough(Oracle::MayDecideAlone)
        && !has_another_voter(core, learners)
        && core.consultation.is_open(now.instant, core.options.tick)
}

/// Sends an observer what was committed.
pub(crate) fn inform(core: &Core, link: Link, before: Zxid, last: Zxid, effects: &mut Vec<Effect>) {
    for batch in core.history.after(before) {
        let Some(first) = first_behind(batch, before).filter(|&first| first <= last) else {
            return;
        };
        let Some(end) = batch.last_zxid() else { return };
        let batch = Arc::clone(batch);
        send(link, LeaderPacket::Informs { batch, first, last: end.min(last) }, effects);
    }
}
