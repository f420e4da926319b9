//! How a learner gets the leader's history, and when it may say that it has it.
//!
//! ```text
//! AwaitsWay ──> Receives ──────> MakesDurable ──────> Adopts ─────────> AwaitsQuorum
//!   Diff          Proposal,        NewLeader came:      currentEpoch      AckNewLeader sent
//!   Truncate      Commit           cut, snapshot and    being stored      until UpToDate
//!   Snapshot                       log being synced
//! ```
//!
//! The order of the last three is what keeps acknowledged transactions: whoever has the epoch as its
//! current one has the history of that epoch's leader, durably; and whoever the leader counts has
//! both. (ZOOKEEPER-3911, 4643, 4646, 4685, 4785 are this order, broken in different ways.)
//!
//! What was received and not committed is logged, but not delivered before its commit comes
//! (ZOOKEEPER-4394). Of a long history, what the leader says is committed is delivered before the end, so
//! that it is never in memory as a whole; as after a start, it is not known yet that a quorum has it.

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::{info, warn};
use types::membership::Membership;
use types::{Epoch, Sid, Zxid, mutant};
use wire::quorum::{Proposal, ToLearner};

use super::not_due;
use super::reception::Reception;
use crate::effect::{Effect, LearnerPacket};
use crate::history::beginning;
use crate::input::Link;
use crate::limits::RECEPTION_BYTES_MAX;
use crate::memberships::{change_in, keeps_leader};
use crate::misbehaved::PeerMisbehaved;
use crate::peer::{Core, Course, Obstacle};

/// A learner that receives the leader's history.
#[derive(Clone, Debug)]
pub(super) struct Synchronization {
    epoch: Epoch,
    /// How far this server's history goes, by its word; `None` if only a snapshot can replace it.
    told: Option<Zxid>,
    step: Step,
    gets_snapshot: bool,
    reception: Reception,
    /// Received, not committed.
    proposed: VecDeque<Zxid>,
    /// The last transaction of which this leader said that it is committed, or that it was to be
    /// kept.
    committed: Zxid,
    /// What a snapshot contains may be sent once more behind it.
    skip_up_to: Zxid,
    /// Whether a snapshot may have what comes: until the leader has sent what it had when it was written.
    is_between_states: bool,
    /// The last transaction of this server's own history that is the leader's too.
    shared: Zxid,
    /// Where the leader's history ended when it had sent it. What came since it waits to be acknowledged,
    /// whether it is committed or not.
    history_end: Zxid,
    /// The newest membership that was received as a proposal.
    proposed_membership: Option<Arc<Membership>>,
    /// The newest membership that the leader has seen.
    told_membership: Option<Arc<Membership>>,
}

/// What a packet has brought a learner to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    GoesOn,
    /// A quorum follows.
    Follows {
        /// In this epoch.
        epoch: Epoch,
        /// With a history that ended with this transaction; what came since is to be acknowledged.
        history_end: Zxid,
    },
    /// The leader has to be told once more how far this server goes.
    ComesAgain,
    /// A new membership needs another role.
    Ends(Course),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    AwaitsWay,
    Receives,
    /// Until the log is durable up to this.
    MakesDurable(Zxid),
    Adopts,
    AwaitsQuorum,
}

impl Synchronization {
    pub(super) fn new(epoch: Epoch, told: Option<Zxid>) -> Self {
        Self {
            epoch,
            told,
            step: Step::AwaitsWay,
            gets_snapshot: false,
            reception: Reception::after(Zxid::ZERO, epoch),
            proposed: VecDeque::new(),
            committed: Zxid::ZERO,
            skip_up_to: Zxid::ZERO,
            is_between_states: false,
            shared: Zxid::ZERO,
            history_end: Zxid::ZERO,
            proposed_membership: None,
            told_membership: None,
        }
    }

    pub(super) fn on_packet(
        &mut self,
        core: &mut Core,
        leader: Sid,
        link: Link,
        packet: &ToLearner<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Progress, PeerMisbehaved> {
        match (self.step, packet) {
            // Pings are answered from `UpToDate` on.
            (_, ToLearner::Ping { .. }) => {}
            (Step::AwaitsWay, ToLearner::Diff { .. } | ToLearner::Truncate { .. })
                if self.told > Some(core.history.last_logged()) =>
            {
                return Ok(Progress::ComesAgain);
            }
            (Step::AwaitsWay, _) => self.begin(core, link, packet, effects)?,
            (_, ToLearner::Proposal(proposal)) => {
                return self.on_proposal(core, leader, *proposal, effects);
            }
            (_, ToLearner::Inform(proposal)) => {
                let progress = self.on_proposal(core, leader, *proposal, effects)?;
                self.on_commit(proposal.zxid())?;
                return Ok(progress);
            }
            (_, ToLearner::Commit { zxid }) => self.on_commit(*zxid)?,
            (_, ToLearner::InformAndActivate { proposal, designated_leader }) => {
                let progress = self.on_proposal(core, leader, *proposal, effects)?;
                self.on_commit(proposal.zxid())?;
                if progress != Progress::GoesOn {
                    return Ok(progress);
                }
                let designated = Some(*designated_leader);
                return Ok(self.on_change(core, leader, proposal.zxid(), designated, effects));
            }
            (_, ToLearner::CommitAndActivate { zxid, designated_leader }) => {
                self.on_commit(*zxid)?;
                let designated = Some(*designated_leader);
                return Ok(self.on_change(core, leader, *zxid, designated, effects));
            }
            (Step::Receives, ToLearner::NewLeader { epoch, config }) => {
                if *epoch != self.epoch {
                    let expected = self.epoch;
                    return Err(PeerMisbehaved::OtherEpoch { expected, found: *epoch });
                }
                if mutant::active(3) {
                    core.epochs.adopt(self.epoch, effects);
                }
                self.is_between_states = false;
                self.on_membership(core, config.as_deref(), effects);
                self.cut_tail(core, effects);
                self.history_end = self.reception.last();
                self.step = Step::MakesDurable(self.history_end);
            }
            (Step::AwaitsQuorum, ToLearner::UpToDate) => {
                return Ok(self.on_up_to_date(core, leader, link, effects));
            }
            _ => return Err(not_due(packet, "it has to send the history")),
        }
        Ok(Progress::GoesOn)
    }

    /// Logs what came, unless the log has to be cut or replaced before; and goes on when all of the
    /// history is durable.
    pub(super) fn settle(&mut self, core: &mut Core, link: Link, effects: &mut Vec<Effect>) {
        if core.obstacle.is_some() {
            return;
        }
        if !mutant::active(1) {
            self.reception.log(core, effects);
        }
        self.deliver_early(core, effects);
        if mutant::active(4) && core.history.last_synced().epoch() == self.epoch {
            let last = core.history.last_synced();
            let packet = LearnerPacket::Acks { first: last, last };
            effects.push(Effect::ToLeader { link, packet });
        }
        let may_adopt = [1, 2].into_iter().any(mutant::active);
        match self.step {
            Step::MakesDurable(last) if core.history.last_synced() >= last || may_adopt => {
                self.step = Step::Adopts;
                if mutant::active(6) {
                    core.history.lose_newest();
                }
                if !mutant::active(3) {
                    core.epochs.adopt(self.epoch, effects);
                }
            }
            Step::Adopts if core.epochs.are_stored() || mutant::active(2) => {
                self.step = Step::AwaitsQuorum;
                let packet = LearnerPacket::AckNewLeader(self.epoch);
                effects.push(Effect::ToLeader { link, packet });
            }
            _ => {}
        }
    }

    /// Delivers what has been received and is to be committed, if it is much. Nobody is served before a
    /// quorum has it, and if it comes to nothing it is cut again.
    fn deliver_early(&self, core: &mut Core, effects: &mut Vec<Effect>) {
        let (history, delivered) = (&core.history, core.history.last_committed());
        let received = self.committed.min(history.last_logged());
        let is_much = |bytes: usize| bytes > core.options.received_bytes_max;
        if received > delivered
            && is_much(history.kept_bytes())
            && is_much(history.bytes_after(delivered))
        {
            core.history.receive_committed(received);
            effects.push(Effect::Deliver(received));
        }
    }

    /// Whether more has come than is held back while the storage is at work, or behind with its work.
    pub(super) fn is_overrun(&self, core: &Core) -> bool {
        self.reception.bytes() > RECEPTION_BYTES_MAX
            || core.history.kept_bytes() > RECEPTION_BYTES_MAX
                && core.history.bytes_after(core.history.last_synced()) > RECEPTION_BYTES_MAX
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether the leader sends what this server lacks of its history, and has not said that this is all.
    pub(super) fn is_without_snapshot(&self) -> bool {
        self.step == Step::Receives && !self.gets_snapshot
    }

    /// Whether the next packet may begin a snapshot.
    pub(super) fn may_get_snapshot(&self) -> bool {
        self.step == Step::AwaitsWay
    }

    /// The newest membership of which the leader has spoken.
    pub(super) fn newest_membership(&self) -> Option<Arc<Membership>> {
        let newest = [&self.told_membership, &self.proposed_membership].into_iter().flatten();
        newest.max_by_key(|membership| membership.version()).cloned()
    }

    /// The leader has chosen how this server gets its history.
    fn begin(
        &mut self,
        core: &mut Core,
        link: Link,
        packet: &ToLearner<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        let last_logged = core.history.last_logged();
        let is_snapshot = matches!(packet, ToLearner::Snapshot { .. });
        if is_snapshot {
            // It is received whatever becomes of the role.
            core.obstacle = Some(Obstacle::Snapshot(link));
            core.recalled = None;
        } else if self.told.is_none() {
            return Err(not_due(packet, "it has to send a snapshot"));
        }
        let base = match *packet {
            ToLearner::Diff { .. } => last_logged,
            ToLearner::Truncate { keep } => {
                check_cut(core, keep)?;
                if !self.keeps_tail(core, keep) {
                    cut(core, keep, effects);
                }
                keep
            }
            ToLearner::Snapshot { last_applied } if last_applied.epoch() > self.epoch => {
                let (expected, found) = (self.epoch, last_applied.epoch());
                return Err(PeerMisbehaved::OtherEpoch { expected, found });
            }
            ToLearner::Snapshot { last_applied } => {
                if mutant::active(10) {
                    core.history.replace(last_applied);
                }
                self.skip_up_to = last_applied;
                last_applied
            }
            _ => return Err(not_due(packet, "it has to choose a way to its history")),
        };
        info!(%last_logged, way = packet.packet_type().name(), %base, "receiving the history");
        self.reception = match packet {
            ToLearner::Truncate { .. } => {
                Reception::again_after(base, self.epoch, core.history.last_logged())
            }
            _ => Reception::after(base, self.epoch),
        };
        self.gets_snapshot = is_snapshot;
        self.is_between_states = is_snapshot || core.is_between_states;
        // What is pending may be of a history that a snapshot has replaced, if that was not the end of it.
        self.shared = if self.is_between_states { Zxid::ZERO } else { base };
        self.committed = base;
        self.step = Step::Receives;
        Ok(())
    }

    /// Whether what the leader wants to be cut stays in the log, because the leader sends it again: it is
    /// so if the log reaches into the leader's epoch, since all of it is the leader's history then. To cut it
    /// would be to forget for a while what this server may have acknowledged. But what was delivered and is
    /// not committed has to be taken back.
    fn keeps_tail(&self, core: &Core, keep: Zxid) -> bool {
        core.history.last_logged().epoch() == self.epoch && core.history.last_committed() <= keep
    }

    /// The leader has sent what it wanted to be there: what goes beyond in the log comes later, to a
    /// server that is an observer now when it is committed.
    fn cut_tail(&mut self, core: &mut Core, effects: &mut Vec<Effect>) {
        let last = self.reception.last();
        if core.obstacle.is_none() && core.history.last_logged() > last {
            cut(core, last, effects);
            self.reception = Reception::after(last, self.epoch);
        }
    }

    fn on_proposal(
        &mut self,
        core: &mut Core,
        leader: Sid,
        proposal: Proposal<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Progress, PeerMisbehaved> {
        if proposal.zxid() <= self.skip_up_to {
            return Ok(Progress::GoesOn);
        }
        let zxid = self.reception.take(self.bare(proposal))?;
        self.proposed.push_back(zxid);
        let Some(membership) = change_in(proposal)? else { return Ok(Progress::GoesOn) };
        let course = self.confirm_change_before(core, leader, zxid, effects);
        self.proposed_membership = Some(Arc::clone(&membership));
        core.see(membership, effects);
        match course {
            Course::Stay => Ok(Progress::GoesOn),
            course => Ok(Progress::Ends(course)),
        }
    }

    /// A proposal as it is logged. What comes between a snapshot and `NewLeader` was decided while the leader
    /// wrote the snapshot, which may have it already; as may one that an earlier leader wrote, if this server
    /// lost that leader too soon. The tree is between two states, and whoever starts from these files,
    /// Apache's server too, would take every digest on the way for a tree that differs.
    fn bare<'a>(&self, proposal: Proposal<'a>) -> Proposal<'a> {
        if !self.is_between_states {
            return proposal;
        }
        // What can not be read is refused where it is applied.
        proposal.without_digest().unwrap_or(proposal)
    }

    /// Who proposes a change has every earlier one of its history in force. So this server has to as well,
    /// or it would not know by which quorum the transactions between the two were committed. What is pending
    /// beside a snapshot may be of a history that it has replaced, but not if it shows that itself.
    fn confirm_change_before(
        &self,
        core: &mut Core,
        leader: Sid,
        zxid: Zxid,
        effects: &mut Vec<Effect>,
    ) -> Course {
        let recalled = core.recalled.filter(|_| !mutant::active(176));
        let is_shared = |it: &&Arc<Membership>| {
            let version = it.version().zxid();
            version <= self.shared || Some(version) == recalled
        };
        let logged = || core.memberships().pending().filter(is_shared);
        let earlier = self.proposed_membership.as_ref().or_else(logged);
        match earlier.filter(|earlier| earlier.version().zxid() < zxid).cloned() {
            Some(earlier) => core.activate_on_learner(earlier, leader, None, effects),
            None => Course::Stay,
        }
    }

    /// A change of membership that was proposed to this server is committed.
    fn on_change(
        &self,
        core: &mut Core,
        leader: Sid,
        zxid: Zxid,
        designated: Option<Sid>,
        effects: &mut Vec<Effect>,
    ) -> Progress {
        let Some(pending) = core.pending_change(zxid) else { return Progress::GoesOn };
        match core.activate_on_learner(pending, leader, designated, effects) {
            Course::Stay => Progress::GoesOn,
            course => Progress::Ends(course),
        }
    }

    /// A quorum has the history.
    fn on_up_to_date(
        &mut self,
        core: &mut Core,
        leader: Sid,
        link: Link,
        effects: &mut Vec<Effect>,
    ) -> Progress {
        let course = self.activate_told(core, leader, effects);
        if course != Course::Stay {
            return Progress::Ends(course);
        }
        let packet = LearnerPacket::AckNewLeader(self.epoch);
        effects.push(Effect::ToLeader { link, packet });
        if mutant::active(7) {
            self.reception = Reception::after(core.history.last_logged(), self.epoch);
        }
        self.reception.log(core, effects);
        if mutant::active(5) {
            self.committed = core.history.last_logged();
        }
        core.history.commit(self.committed, self.committed);
        effects.push(Effect::Deliver(self.committed));
        core.is_between_states = false;
        let (epoch, history_end) = (self.epoch, self.history_end);
        Progress::Follows { epoch, history_end }
    }

    /// The leader tells the newest membership it has seen: what this server had seen from others
    /// before, and what the leader does not have, is no more.
    fn on_membership(&mut self, core: &mut Core, text: Option<&str>, effects: &mut Vec<Effect>) {
        let Some(text) = text else { return };
        match Membership::parse(text) {
            Ok(membership) => self.told_membership = Some(Arc::new(membership)),
            // Apache's servers follow as well, with the membership that they have.
            Err(problem) => warn!(?problem, "membership of the leader"),
        }
        let newest = self.newest_membership();
        if newest.is_some() {
            core.see_only(newest, effects);
        }
    }

    /// A quorum follows: what the leader had told is in force. But it tells who comes late of a change
    /// that is still to be committed as well.
    fn activate_told(&self, core: &mut Core, leader: Sid, effects: &mut Vec<Effect>) -> Course {
        let is_committed = |zxid: Zxid| zxid <= beginning(self.epoch).max(self.committed);
        match &self.told_membership {
            Some(membership) if is_committed(membership.version().zxid()) => {
                // The leader may not be able to do without who votes from here on, and nobody would tell that one
                // of a leader without a quorum.
                let stays = keeps_leader(&core.memberships().committed, membership, leader);
                let designated = stays.then_some(leader);
                core.activate_on_learner(Arc::clone(membership), leader, designated, effects)
            }
            Some(_) | None => Course::Stay,
        }
    }

    fn on_commit(&mut self, zxid: Zxid) -> Result<(), PeerMisbehaved> {
        if zxid <= self.skip_up_to {
            return Ok(());
        }
        let expected = self.proposed.front().copied();
        if expected != Some(zxid) {
            return Err(PeerMisbehaved::CommitOutOfOrder { expected, found: zxid });
        }
        self.proposed.pop_front();
        self.committed = zxid;
        Ok(())
    }
}

/// Whether the leader may ask for this cut.
fn check_cut(core: &Core, keep: Zxid) -> Result<(), PeerMisbehaved> {
    let last_logged = core.history.last_logged();
    if keep > last_logged {
        return Err(PeerMisbehaved::CutBeyondEnd { keep, last_logged });
    }
    let committed = core.history.known_committed();
    if keep < committed {
        return Err(PeerMisbehaved::CutOfCommitted { keep, committed });
    }
    Ok(())
}

/// Has the log cut.
fn cut(core: &mut Core, keep: Zxid, effects: &mut Vec<Effect>) {
    core.truncate(keep);
    effects.push(Effect::Truncate(keep));
    core.forget_unlogged(effects);
}
