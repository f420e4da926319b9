//! Proposing, counting acknowledgements, committing; and knowing that one still leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::info;
use types::membership::Membership;
use types::{Counter, Epoch, Instant, Now, Sid, Zxid, mutant};
use wire::stored::LogBatch;

use super::learner::Learner;
use super::synchronization::first_behind;
use super::{
    has_another_voter, has_quorum, have_quorum_without_leader, last_proposed, may_decide_alone,
    needed, ping_all, send,
};
use crate::effect::{Effect, LeaderPacket, LearnerKind};
use crate::history::next_in;
use crate::input::Link;
use crate::memberships::{change_in, keeps_leader};
use crate::peer::{Core, Course, LeaveReason};
use crate::quorum::{Oracle, Quorum};

/// What a leader knows once it is established.
#[derive(Clone, Debug)]
pub(crate) struct Broadcast {
    epoch: Epoch,
    /// When it last looked whether a quorum is still there.
    looked: Instant,
    /// Something that was proposed and is not durable here, as far as is known, and since when.
    undurable: Option<(Zxid, Instant)>,
    confirmation: Confirmation,
    hand_over: Option<HandOver>,
}

/// The membership in force has another leader: this one commits nothing more. It waits for the
/// followers to leave, as they do when they hear of it; what would end their connections sooner might
/// keep them from hearing.
#[derive(Clone, Copy, Debug)]
struct HandOver {
    /// Who leads; `None` if there has to be an election.
    to: Option<Sid>,
    until: Instant,
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
        let confirmation = Confirmation::default();
        let undurable = None;
        Self { epoch, looked: now.instant, undurable, confirmation, hand_over: None }
    }

    /// Puts in force what was pending at the beginning of the reign: a quorum of both has it.
    pub(super) fn begin(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let Some(pending) = core.memberships().pending().cloned() else { return };
        let stays = keeps_leader(&core.memberships().committed, &pending, core.options.sid);
        core.activate(pending, effects);
        if !stays {
            // The others have not been told whom to follow.
            self.hand_over =
                Some(HandOver { to: None, until: now.instant.after(core.options.tick) });
        }
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Logs and proposes transactions.
    pub(crate) fn propose(
        &mut self,
        core: &mut Core,
        now: Now,
        learners: &mut BTreeMap<Link, Learner>,
        batch: Arc<LogBatch>,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(first), Some(last)) = (batch.first_zxid(), batch.last_zxid()) else { return };
        let next = next_in(self.epoch, core.history.last_logged());
        assert_eq!(Some(first), next, "proposals follow each other");
        for proposal in batch.proposals() {
            if let Some(membership) = change_in(proposal).expect("the replica has made it") {
                core.see(membership, effects);
            }
        }
        core.history.append(Arc::clone(&batch));
        self.undurable.get_or_insert((last, now.instant));
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

    /// Derives what follows. Returns how the role ends, if another leader has taken over.
    pub(super) fn settle(
        &mut self,
        core: &mut Core,
        now: Now,
        learners: &mut BTreeMap<Link, Learner>,
        effects: &mut Vec<Effect>,
    ) -> Option<Course> {
        while self.hand_over.is_none()
            && let Some(last) = self.newly_committed(core, learners)
        {
            let change = core.memberships().pending().cloned();
            match change.filter(|change| change.version().zxid() <= last) {
                None => commit(core, self.epoch, learners, last, effects),
                Some(change) => self.commit_change(core, now, learners, change, effects),
            }
        }
        let Some(HandOver { to, until }) = self.hand_over else {
            self.settle_confirmation(core, learners, effects);
            return None;
        };
        let is_there = |sid| learners.values().any(|it| it.sid == Some(sid) && it.is_served());
        if core.quorums.is_quorum(is_there) && now.instant < until {
            return None;
        }
        Some(to.map_or(Course::Leave(LeaveReason::MembershipChanged), Course::Turn))
    }

    /// Pings all learners; every other time sees whether a quorum has been heard of, and whether this
    /// server's disk does its work.
    pub(super) fn ping(
        &mut self,
        core: &Core,
        now: Now,
        learners: &mut BTreeMap<Link, Learner>,
        effects: &mut Vec<Effect>,
    ) -> Course {
        ping_all(core, self.epoch, learners, effects);
        if now.instant.since(self.looked) < core.options.tick {
            return Course::Stay;
        }
        self.looked = now.instant;
        let limit = core.options.tick * core.options.sync_limit;
        let is_heard = |it: &Learner| it.is_following() && now.instant.since(it.heard) <= limit;
        let is_there =
            |it: &Learner| it.may_vote() && (is_heard(it) || it.is_on_its_way(core, now.instant));
        let has_quorum = has_quorum(core, learners, is_there)
            || may_be_let_alone(core, now, learners)
            || mutant::active(33);
        if !has_quorum {
            return Course::Leave(LeaveReason::NoQuorum);
        }
        self.look_after_disk(core, now);
        let is_late = self.undurable.is_some_and(|(_, since)| now.instant.since(since) > limit);
        match is_late && have_quorum_without_leader(core, learners, is_heard) {
            true => Course::Leave(LeaveReason::DiskStuck),
            false => Course::Stay,
        }
    }

    /// Notes how far the disk has come.
    fn look_after_disk(&mut self, core: &Core, now: Now) {
        let durable = core.history.last_synced();
        if self.undurable.is_some_and(|(zxid, _)| zxid <= durable) {
            let last = core.history.last_logged();
            self.undurable = (last > durable).then_some((last, now.instant));
        }
    }

    /// The last transaction that a quorum has durably, if that is more than is committed; of a
    /// pending change of membership, and of all behind it, a quorum of both. This server counts like
    /// any other: as soon as its log is synced.
    fn newly_committed(&self, core: &Core, learners: &BTreeMap<Link, Learner>) -> Option<Zxid> {
        let own = match mutant::active(21) {
            true => core.history.last_logged(),
            false => core.history.last_synced(),
        };
        let first = next_in(self.epoch, core.history.last_committed())?;
        let change = core.memberships().pending().map(|pending| pending.version().zxid());
        let is_committed = |zxid: Zxid| {
            let zxid = if mutant::active(22) { first } else { zxid };
            let has = |sid| match sid == core.options.sid {
                true => own >= zxid,
                false => learners.values().any(|it| {
                    it.sid == Some(sid) && it.may_vote() && it.acknowledged() >= Some(zxid)
                }),
            };
            let is_behind = |change| zxid >= change && !(mutant::active(60) && zxid > change);
            let is_quorum = match (change.is_some_and(is_behind), &core.quorums.pending) {
                (true, Some(new)) if mutant::active(59) => new.is_quorum(has),
                (true, _) => core.quorums.is_quorum(has),
                (false, _) => core.quorums.committed.is_quorum(has),
            };
            is_quorum || own >= zxid && may_decide_alone(core, learners)
        };
        let acknowledged = learners.values().filter_map(Learner::acknowledged).chain([own]);
        let before_change = change.map(|change| Zxid::from_raw(change.raw() - 1));
        let candidates = acknowledged.chain(before_change);
        candidates.filter(|&zxid| zxid >= first && is_committed(zxid)).max()
    }

    /// Commits a change of membership and what was proposed before it, and puts it in force.
    fn commit_change(
        &mut self,
        core: &mut Core,
        now: Now,
        learners: &BTreeMap<Link, Learner>,
        change: Arc<Membership>,
        effects: &mut Vec<Effect>,
    ) {
        let zxid = change.version().zxid();
        let before = Zxid::from_raw(zxid.raw() - 1);
        if before > core.history.last_committed() && before.counter() != Counter(0) {
            commit(core, self.epoch, learners, before, effects);
        }
        let designated_leader = designate(core, learners, &change);
        let me = core.options.sid;
        info!(version = %change.version(), leader = designated_leader.0, "membership committed");
        core.activate(change, effects);
        if designated_leader != me {
            let (to, until) = (Some(designated_leader), now.instant.after(core.options.tick));
            self.hand_over = Some(HandOver { to, until });
        }
        effects.push(Effect::Deliver(zxid));
        for (&link, learner) in learners.iter().filter(|(_, learner)| learner.is_served()) {
            let packet = match learner.kind() {
                LearnerKind::Follower => {
                    LeaderPacket::CommitAndActivate { zxid, designated_leader }
                }
                LearnerKind::Observer => {
                    let Some(batch) = core.history.after(before).next() else { continue };
                    let batch = Arc::clone(batch);
                    LeaderPacket::InformAndActivate { batch, zxid, designated_leader }
                }
            };
            send(link, packet, effects);
        }
        core.history.commit(zxid, needed(learners));
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

/// Commits everything up to a transaction, which is no change of membership, and nor is what comes
/// before it.
fn commit(
    core: &mut Core,
    epoch: Epoch,
    learners: &BTreeMap<Link, Learner>,
    last: Zxid,
    effects: &mut Vec<Effect>,
) {
    let before = core.history.last_committed();
    let Some(first) = next_in(epoch, before) else { return };
    effects.push(Effect::Deliver(last));
    for (&link, learner) in learners.iter().filter(|(_, learner)| learner.is_served()) {
        match learner.kind() {
            LearnerKind::Follower => send(link, LeaderPacket::Commits { first, last }, effects),
            LearnerKind::Observer => inform(core, link, before, last, effects),
        }
    }
    core.history.commit(last, needed(learners));
}

/// Who leads in a membership that a quorum has logged: this server, if it votes there and is found
/// where it was. Otherwise the voter that has acknowledged most, so that little is lost.
fn designate(core: &Core, learners: &BTreeMap<Link, Learner>, membership: &Membership) -> Sid {
    let me = core.options.sid;
    if keeps_leader(&core.memberships().committed, membership, me) {
        return me;
    }
    let change = membership.version().zxid();
    let quorum = Quorum::from(membership);
    let may_lead = |sid: Sid| sid != me && quorum.is_voter(sid) && quorum.weight(sid) > 0;
    let followers = learners.values().filter(|learner| learner.may_vote());
    let candidates = followers.filter_map(|it| Some((it.acknowledged()?, it.sid?)));
    let candidates = candidates.filter(|&(last, sid)| last >= change && may_lead(sid));
    candidates.max().map_or(me, |(_, sid)| sid)
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
