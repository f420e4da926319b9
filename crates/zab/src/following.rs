//! The learner's part: a follower's or an observer's.
//!
//! ```text
//! Hesitating ──> Connecting ──> Introduced ──> Invited ──────> Settling ─────> Synchronizing ──> Broadcasting
//! if it went                    waits for      until a late    accepted epoch   history, then     serves
//! wrong before                  an epoch       snapshot is in  and log stored   current epoch
//! ```

mod broadcast;
mod mastering;
mod reception;
mod synchronization;

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::{info, warn};
use types::membership::Membership;
use types::{Epoch, Instant, Now, Sid, mutant};
use wire::quorum::{Cuts, ToLearner};

use self::broadcast::Broadcast;
pub(crate) use self::mastering::Mastering;
use self::synchronization::{Progress, Synchronization};
use crate::effect::{CloseReason, Effect, LearnerKind, LearnerPacket};
use crate::input::Link;
use crate::limits::{EPOCH_JUMP_MAX, EPOCH_LAST};
use crate::memberships::has_transaction;
use crate::misbehaved::PeerMisbehaved;
use crate::options::ObserverMasters;
use crate::peer::{Core, Course, LeaveReason, Obstacle};

/// A server that elected another to lead.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    leader: Sid,
    /// From whom it learns, or tries to.
    teacher: Sid,
    /// From whom it may learn if it can not reach that one, in this order.
    others: VecDeque<Sid>,
    phase: Phase,
    /// Whether what it was sent has a hole.
    needs_snapshot: bool,
    /// Those who learn from it, while it serves and if it may have some.
    observers: Option<Mastering>,
    /// When it gives up, unless the leader says something before.
    patience_ends: Instant,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Waits until it is time to connect.
    Hesitating(Instant),
    /// Waits for a connection.
    Connecting,
    /// Waits for the leader's epoch.
    Introduced(Link),
    /// Waits until the epoch may be accepted.
    Invited(Link, Epoch),
    /// Waits until the epoch is durably accepted, and everything that is logged durable, to say how
    /// far it goes.
    Settling(Link, Epoch, Promise),
    /// Receives the history.
    Synchronizing(Link, Synchronization),
    /// Receives what is proposed and committed.
    Broadcasting(Link, Broadcast),
    /// The connection is over, and the role will be.
    Over,
}

/// Whether the epoch was accepted for this leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promise {
    /// It was: this server can be part of the quorum that begins the epoch.
    New,
    /// It had been accepted before.
    Old,
}

impl Following {
    pub(crate) fn new(core: &mut Core, leader: Sid, now: Now, effects: &mut Vec<Effect>) -> Self {
        let mut others = core.teachers(leader);
        let mut following = Self {
            leader,
            teacher: others.pop_front().unwrap_or(leader),
            others,
            phase: Phase::Hesitating(now.instant.after(core.hesitation())),
            needs_snapshot: false,
            observers: None,
            patience_ends: now.instant.after(core.patience_at_first()),
        };
        following.connect(now, effects);
        following
    }

    pub(crate) fn on_reached(
        &mut self,
        core: &Core,
        now: Now,
        link: Link,
        teacher: Sid,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(self.phase, Phase::Connecting) || teacher != self.teacher {
            effects.push(Effect::Close { link, reason: CloseReason::Replaced });
            return;
        }
        let packet = LearnerPacket::Info {
            accepted_epoch: core.epochs.accepted(),
            config_version: core.memberships().committed.version().0,
            kind: core.kind(),
            cuts: if core.is_cuttable { Cuts::Snapshots } else { Cuts::Nothing },
        };
        effects.push(Effect::ToLeader { link, packet });
        self.phase = Phase::Introduced(link);
        self.listen(core, now);
    }

    pub(crate) fn on_unreachable(
        &mut self,
        now: Now,
        teacher: Sid,
        effects: &mut Vec<Effect>,
    ) -> Course {
        if !matches!(self.phase, Phase::Connecting) || teacher != self.teacher {
            return Course::Stay;
        }
        self.try_next(now, effects)
    }

    pub(crate) fn on_closed(&mut self, now: Now, link: Link, effects: &mut Vec<Effect>) -> Course {
        if let Some(observers) = &mut self.observers {
            observers.on_closed(link);
        }
        if self.link() != Some(link) {
            return Course::Stay;
        }
        let was_refused = matches!(self.phase, Phase::Introduced(_));
        self.phase = Phase::Over;
        match was_refused {
            true => self.try_next(now, effects),
            false => Course::Leave(LeaveReason::LeaderGone),
        }
    }

    /// Tries to learn from the next one, after one that takes nobody.
    fn try_next(&mut self, now: Now, effects: &mut Vec<Effect>) -> Course {
        let Some(next) = self.others.pop_front() else {
            return Course::Leave(LeaveReason::LeaderGone);
        };
        self.teacher = next;
        self.phase = Phase::Hesitating(now.instant);
        self.connect(now, effects);
        Course::Stay
    }

    /// Takes what the leader says. What is not due ends the role and changes nothing.
    pub(crate) fn on_packet(
        &mut self,
        core: &mut Core,
        now: Now,
        link: Link,
        packet: &ToLearner<'_>,
        effects: &mut Vec<Effect>,
    ) -> Course {
        if self.link() != Some(link) {
            return Course::Stay;
        }
        let result = match &mut self.phase {
            Phase::Hesitating(_) | Phase::Connecting | Phase::Over => Ok(Course::Stay),
            Phase::Introduced(_) => self.on_leader_info(core, link, packet).map(|()| Course::Stay),
            Phase::Invited(..) | Phase::Settling(..) => {
                Err(not_due(packet, "it has to wait for AckEpoch"))
            }
            Phase::Synchronizing(_, synchronization) => {
                match synchronization.on_packet(core, self.leader, link, packet, effects) {
                    Ok(Progress::Follows { epoch, history_end }) => {
                        let broadcast = Broadcast::new(core, epoch, history_end);
                        self.begin_broadcast(core, now, link, broadcast, effects);
                        Ok(Course::Stay)
                    }
                    Ok(Progress::GoesOn) => Ok(Course::Stay),
                    Ok(Progress::ComesAgain) => {
                        self.come_again(core, now, CloseReason::ComesAgain, effects);
                        Ok(Course::Stay)
                    }
                    Err(hole @ PeerMisbehaved::ProposalGap { .. })
                        if synchronization.is_without_snapshot() && !self.needs_snapshot =>
                    {
                        warn!(leader = self.leader.0, %hole, "a snapshot is needed");
                        self.needs_snapshot = true;
                        self.come_again(core, now, CloseReason::Misbehaved(hole), effects);
                        Ok(Course::Stay)
                    }
                    Ok(Progress::Ends(course)) => Ok(course),
                    Err(misbehaved) => Err(misbehaved),
                }
            }
            Phase::Broadcasting(_, broadcast) => {
                broadcast.on_packet(core, self.leader, link, packet, effects).map(|()| Course::Stay)
            }
        };
        self.listen(core, now);
        match result {
            Ok(course) => course,
            Err(misbehaved) => self.leave_misbehaving(core, misbehaved, effects),
        }
    }

    /// What the leader has sent can not be read.
    pub(crate) fn on_unreadable(
        &mut self,
        core: &mut Core,
        link: Link,
        how: PeerMisbehaved,
        effects: &mut Vec<Effect>,
    ) -> Course {
        match self.link() == Some(link) {
            true => self.leave_misbehaving(core, how, effects),
            false => Course::Stay,
        }
    }

    fn leave_misbehaving(
        &mut self,
        core: &mut Core,
        misbehaved: PeerMisbehaved,
        effects: &mut Vec<Effect>,
    ) -> Course {
        warn!(leader = self.leader.0, %misbehaved, "leader left");
        self.hang_up(core, CloseReason::Misbehaved(misbehaved), effects);
        Course::Leave(LeaveReason::LeaderMisbehaved)
    }

    /// The leader's snapshot is on its way, however long it takes: in between it can say nothing.
    pub(crate) fn on_snapshot_part(&mut self, core: &Core, now: Now, link: Link) {
        if self.link() == Some(link) {
            self.listen(core, now);
        }
    }

    /// Derives what follows from everything that was taken in.
    pub(crate) fn settle(
        &mut self,
        core: &mut Core,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Course {
        self.connect(now, effects);
        if core.votes() && self.phase.epoch().is_some_and(|epoch| epoch < core.epochs.accepted()) {
            return Course::Leave(LeaveReason::LaterEpoch);
        }
        self.accept(core, effects);
        match &mut self.phase {
            Phase::Settling(link, epoch, promise) if core.is_settled() || mutant::active(25) => {
                let is_new = *promise == Promise::New;
                // Another reign may have another history.
                self.needs_snapshot &= !is_new;
                let last_logged = match mutant::active(8) {
                    true => Some(core.history.last_committed()),
                    false if self.needs_snapshot => None,
                    false => core.claim(is_new),
                };
                // Leaders of release 3.5 and older count everybody who names an epoch.
                let agrees = is_new && last_logged.is_some();
                let current_epoch = agrees.then_some(core.epochs.current());
                let packet = LearnerPacket::AckEpoch { last_logged, current_epoch };
                effects.push(Effect::ToLeader { link: *link, packet });
                let synchronization = Synchronization::new(*epoch, last_logged);
                self.phase = Phase::Synchronizing(*link, synchronization);
            }
            Phase::Synchronizing(link, synchronization) => {
                synchronization.settle(core, *link, effects);
                if synchronization.is_overrun(core) {
                    return Course::Leave(LeaveReason::Overrun);
                }
            }
            Phase::Broadcasting(link, broadcast) => {
                broadcast.settle(core, *link, self.observers.as_ref(), effects);
                if let Some(course) = broadcast.end() {
                    return course;
                }
            }
            _ => {}
        }
        if let Some(observers) = &mut self.observers {
            observers.settle(core, now, effects);
        }
        match now.instant >= self.patience_ends {
            true => Course::Leave(LeaveReason::LeaderSilent),
            false => Course::Stay,
        }
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        match self.phase {
            Phase::Hesitating(until) => until.min(self.patience_ends),
            _ => match &self.observers {
                Some(observers) => observers.next_deadline().min(self.patience_ends),
                None => self.patience_ends,
            },
        }
    }

    /// Those who learn from it, if it may have some now.
    pub(crate) fn observers(&self) -> Option<&Mastering> {
        self.observers.as_ref()
    }

    /// The same, to be told what they say.
    pub(crate) fn observers_mut(&mut self) -> Option<&mut Mastering> {
        self.observers.as_mut()
    }

    /// The epoch, once this server follows in it.
    pub(crate) const fn reign(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Broadcasting(_, broadcast) => Some(broadcast.epoch()),
            _ => None,
        }
    }

    /// The newest membership of which the leader has spoken while it sends its history.
    pub(crate) fn told_membership(&self) -> Option<Arc<Membership>> {
        match &self.phase {
            Phase::Synchronizing(_, synchronization) => synchronization.newest_membership(),
            _ => None,
        }
    }

    /// The leader's history has come in a snapshot, with a membership that is in force if the leader has spoken
    /// of a later change.
    pub(crate) fn confirm_installed(
        &self,
        core: &mut Core,
        installed: &Arc<Membership>,
        told: &Membership,
        effects: &mut Vec<Effect>,
    ) -> Course {
        let is_change = has_transaction(told.version().zxid());
        match is_change && installed.version() < told.version() {
            true => core.activate_on_learner(Arc::clone(installed), self.leader, None, effects),
            false => Course::Stay,
        }
    }

    /// Ends the role.
    pub(crate) fn leave(mut self, core: &mut Core, effects: &mut Vec<Effect>) {
        if let Some(observers) = self.observers.take() {
            observers.leave(effects);
        }
        self.hang_up(core, CloseReason::RoleEnded, effects);
    }

    /// The connection to the leader, if it is there.
    pub(crate) const fn link(&self) -> Option<Link> {
        match &self.phase {
            Phase::Hesitating(_) | Phase::Connecting | Phase::Over => None,
            Phase::Introduced(link)
            | Phase::Invited(link, _)
            | Phase::Settling(link, ..)
            | Phase::Synchronizing(link, _)
            | Phase::Broadcasting(link, _) => Some(*link),
        }
    }

    fn connect(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Phase::Hesitating(until) = self.phase
            && now.instant >= until
        {
            effects.push(match self.teacher == self.leader {
                true => Effect::ConnectToLeader(self.leader),
                false => Effect::ConnectToMaster(self.teacher),
            });
            self.phase = Phase::Connecting;
        }
    }

    /// Calls the leader once more, for another way to its history: it has chosen one that leads nowhere, so nothing of
    /// use comes any more. That this server agrees to the epoch is said, and counts.
    fn come_again(
        &mut self,
        core: &mut Core,
        now: Now,
        reason: CloseReason,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.link() else { return };
        effects.push(Effect::Close { link, reason });
        core.forget_unlogged(effects);
        self.phase = Phase::Hesitating(now.instant);
    }

    fn hang_up(&mut self, core: &mut Core, reason: CloseReason, effects: &mut Vec<Effect>) {
        let Some(link) = self.link() else { return };
        if let Phase::Synchronizing(_, synchronization) = &self.phase
            && synchronization.may_get_snapshot()
            && core.obstacle.is_none()
        {
            core.obstacle = Some(Obstacle::Closing(link)).filter(|_| !mutant::active(130));
        }
        effects.push(Effect::Close { link, reason });
        self.phase = Phase::Over;
    }

    fn on_leader_info(
        &mut self,
        core: &Core,
        link: Link,
        packet: &ToLearner<'_>,
    ) -> Result<(), PeerMisbehaved> {
        let ToLearner::LeaderInfo { epoch: offered } = *packet else {
            return Err(not_due(packet, "it has to name its epoch"));
        };
        let accepted = core.epochs.accepted();
        // What a server had accepted while it voted binds it when it votes again. Until then it follows
        // whoever leads, for nobody begins a later epoch for its sake.
        let bound = match core.votes() {
            true => accepted,
            false => core.epochs.current(),
        };
        if offered < bound {
            return Err(PeerMisbehaved::StaleEpoch { offered, accepted });
        }
        // A server that has never been part of an ensemble can not tell.
        let is_far = accepted.0 > 0 && offered.0.saturating_sub(accepted.0) > EPOCH_JUMP_MAX;
        if is_far || offered.0 > EPOCH_LAST {
            return Err(PeerMisbehaved::LeaderFromNowhere { offered, accepted });
        }
        self.phase = Phase::Invited(link, offered);
        Ok(())
    }

    /// Accepts the leader's epoch, if there is one and it is time.
    fn accept(&mut self, core: &mut Core, effects: &mut Vec<Effect>) {
        let Phase::Invited(link, offered) = self.phase else { return };
        let promise = match offered > core.epochs.accepted() {
            true => Promise::New,
            false => Promise::Old,
        };
        if promise == Promise::New {
            if !core.may_accept() {
                return;
            }
            core.epochs.accept(offered, effects);
        }
        self.phase = Phase::Settling(link, offered, promise);
    }

    fn begin_broadcast(
        &mut self,
        core: &Core,
        now: Now,
        link: Link,
        broadcast: Broadcast,
        effects: &mut Vec<Effect>,
    ) {
        let (epoch, committed) = (broadcast.epoch(), core.history.last_committed());
        let (leader, teacher) = (self.leader, self.teacher);
        info!(
            leader = leader.0,
            teacher = teacher.0,
            epoch = epoch.0,
            %committed,
            "following"
        );
        effects.push(Effect::Follow { link, leader, teacher, epoch });
        let masters = core.options.observer_masters == ObserverMasters::Followers;
        if masters && core.kind() == LearnerKind::Follower {
            self.observers = Some(Mastering::new(core, epoch, now, effects));
        }
        self.phase = Phase::Broadcasting(link, broadcast);
    }

    /// The leader has said something: it has its time again.
    fn listen(&mut self, core: &Core, now: Now) {
        let patience = match &self.phase {
            Phase::Broadcasting(..) => core.options.tick * core.options.sync_limit,
            // Others of the quorum may need all that time, and the leader waits for them.
            _ => core.patience_at_first(),
        };
        self.patience_ends = now.instant.after(patience);
    }
}

impl Phase {
    /// The leader's epoch, once it has named it.
    const fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Hesitating(_) | Self::Connecting | Self::Introduced(_) | Self::Over => None,
            Self::Invited(_, epoch) | Self::Settling(_, epoch, _) => Some(*epoch),
            Self::Synchronizing(_, synchronization) => Some(synchronization.epoch()),
            Self::Broadcasting(_, broadcast) => Some(broadcast.epoch()),
        }
    }
}

/// What the leader said is not due.
fn not_due(packet: &ToLearner<'_>, phase: &'static str) -> PeerMisbehaved {
    PeerMisbehaved::NotDue { packet: packet.packet_type().name(), phase }
}
