//! The leader's part.
//!
//! ```text
//! phase:    Gathering ──> Accepting ──> Proposed ──> Adopting ──> Synchronizing ──> Broadcasting
//!           a quorum's    epoch being   a quorum's   epoch being  a quorum has      serves
//!           epochs        stored        consent      made current the history
//!
//! learner:  Connected ──> Introduced ──> Invited ──> Agreed ──> TakesSnapshot ──> CatchesUp ──> Follows
//!                                                         ├────────────────────────^
//!                                                         └─────────> ReadsLog ────┘
//! ```
//!
//! A learner that comes late walks the same way behind the leader.

mod broadcast;
mod learner;
mod log_reading;
mod synchronization;

pub(crate) use self::broadcast::inform;
pub(crate) use self::learner::{Learner, Stage, replaced, surplus_newcomer};
pub(crate) use self::synchronization::{Way, begin, send_committed, way};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use types::membership::{ConfigVersion, Membership};
use types::{Epoch, Instant, Now, Sid, Zxid, mutant};
use wire::quorum::{LearnerInfo, ToLeader};
use wire::stored::LogBatch;

use self::broadcast::Broadcast;
use crate::effect::{CloseReason, Effect, LeaderPacket, LearnerKind};
use crate::history::beginning;
use crate::input::Link;
use crate::limits::{EPOCH_JUMP_MAX, EPOCH_LAST, STRANGE_LEARNERS_MAX};
use crate::misbehaved::PeerMisbehaved;
use crate::peer::{Core, Course, Learners, LeaveReason};
use crate::quorum::Quorum;

/// A server that was elected to lead.
#[derive(Clone, Debug)]
pub(crate) struct Leading {
    phase: Phase,
    learners: BTreeMap<Link, Learner>,
    /// This server's own claim: no learner of the quorum that consents may have more.
    claim: (Epoch, Zxid),
    began: Instant,
    /// When it gives up, unless a quorum has gone along to the next phase by then.
    patience_ends: Instant,
    next_ping: Instant,
    /// Whether a voter has promised not to follow in this epoch: it was about to lead in a later
    /// one, and has nobody to follow before there is a later one still.
    is_overtaken: bool,
    /// Whether the log had everything so far that was looked for in it.
    is_log_sound: bool,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Waits until a quorum has said which epochs it has accepted.
    Gathering,
    /// This epoch is being stored as accepted.
    Accepting(Epoch),
    /// Waits until a quorum has accepted this epoch.
    Proposed(Epoch),
    /// Waits until everything that is logged is durable.
    Settling(Epoch),
    /// This epoch is being stored as current.
    Adopting(Epoch),
    /// Waits until a quorum has the history.
    Synchronizing(Epoch),
    /// Proposes.
    Broadcasting(Broadcast),
}

impl Leading {
    pub(crate) fn new(core: &Core, now: Now, effects: &mut Vec<Effect>) -> Self {
        effects.push(Effect::AdmitLearners);
        Self {
            phase: Phase::Gathering,
            learners: BTreeMap::new(),
            claim: (core.epochs.current(), core.history.last_logged()),
            began: now.instant,
            patience_ends: now.instant.after(core.patience_at_first()),
            next_ping: now.instant.after(core.ping_interval()),
            is_overtaken: false,
            is_log_sound: true,
        }
    }

    pub(crate) fn on_connected(&mut self, now: Now, link: Link, effects: &mut Vec<Effect>) {
        self.learners.insert(link, Learner::new(now));
        if let Some(idlest) = surplus_newcomer(&self.learners) {
            self.dismiss(idlest, CloseReason::TooMany, effects);
        }
    }

    pub(crate) fn on_closed(&mut self, link: Link, effects: &mut Vec<Effect>) {
        if let Some(learner) = self.part(link, effects) {
            info!(sid = learner.sid.map(|sid| sid.0), "learner gone");
        }
    }

    /// Takes what a learner says. What is not due ends its connection and changes nothing.
    pub(crate) fn on_packet(
        &mut self,
        core: &mut Core,
        now: Now,
        link: Link,
        packet: &ToLeader<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(learner) = self.learners.get_mut(&link) else { return };
        learner.heard = now.instant;
        let result = match packet {
            ToLeader::FollowerInfo(info) => {
                self.on_info(core, link, info, LearnerKind::Follower, effects)
            }
            ToLeader::ObserverInfo(info) => {
                self.on_info(core, link, info, LearnerKind::Observer, effects)
            }
            ToLeader::AckEpoch { last_logged, current_epoch } => {
                self.on_ack_epoch(core, now, link, *last_logged, *current_epoch, effects)
            }
            ToLeader::AckNewLeader { epoch } => {
                self.on_ack_new_leader(core, now, link, *epoch, effects)
            }
            ToLeader::Ack { zxid } => self.on_ack(core, link, *zxid),
            ToLeader::Ping { .. } => learner.pong(),
            // The replica's.
            ToLeader::Revalidate { .. } | ToLeader::Request(_) if learner.may_ask() => Ok(()),
            ToLeader::Revalidate { .. } => Err(learner.not_due("Revalidate")),
            ToLeader::Request(_) => Err(learner.not_due("Request")),
        };
        if let Err(misbehaved) = result {
            self.dismiss(link, CloseReason::Misbehaved(misbehaved), effects);
        }
    }

    /// A learner has been sent its snapshot: what it missed meanwhile follows.
    pub(crate) fn on_snapshot_sent(
        &mut self,
        core: &Core,
        now: Now,
        link: Link,
        effects: &mut Vec<Effect>,
    ) {
        let Some(learner) = self.learners.get_mut(&link) else { return };
        let Stage::TakesSnapshot { last_applied } = learner.stage else { return };
        learner.heard = now.instant;
        self.send_history(core, link, last_applied, effects);
        self.wait_on(core, now);
    }

    /// A learner has been sent a part of its snapshot. Others may be waiting for theirs to begin.
    pub(crate) fn on_snapshot_takes_more(&mut self, core: &Core, now: Now, link: Link) {
        if !self.learners.contains_key(&link) {
            return;
        }
        for learner in self.learners.values_mut().filter(|it| it.takes_snapshot()) {
            learner.heard = now.instant;
        }
        self.wait_on(core, now);
    }

    /// While nobody is served: a learner takes what it lacks. However long that is, a leader waits for those who would be a quorum with it, if
    /// no others are: the next one would have to begin again.
    pub(crate) fn wait_on(&mut self, core: &Core, now: Now) {
        let comes = |it: &Learner| it.is_following() || it.means().is_some();
        let is_waited_for = matches!(self.phase, Phase::Synchronizing(_))
            && self.has_quorum(core, comes)
            && !mutant::active(168);
        if is_waited_for {
            self.patience_ends = now.instant.after(core.patience());
        }
    }

    /// Derives what follows from everything that was taken in.
    pub(crate) fn settle(
        &mut self,
        core: &mut Core,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Course {
        if self.is_overtaken {
            return Course::Leave(LeaveReason::LaterEpoch);
        }
        while self.advance(core, now, effects) {}
        self.bound_history(core, effects);
        if let Phase::Broadcasting(broadcast) = &mut self.phase
            && let Some(course) = broadcast.settle(core, now, &mut self.learners, effects)
        {
            return course;
        }
        if matches!(self.phase, Phase::Broadcasting(_)) {
            self.synchronize_all(core, now, effects);
        }
        if now.instant >= self.next_ping {
            self.next_ping = now.instant.after(core.ping_interval());
            self.send_away_the_silent(core, now, effects);
            let course = match &mut self.phase {
                Phase::Broadcasting(broadcast) => {
                    broadcast.ping(core, now, &mut self.learners, effects)
                }
                Phase::Synchronizing(epoch) => {
                    // Those that are done wait for the others, Apache's not longer than for silence.
                    ping_all(core, *epoch, &mut self.learners, effects);
                    Course::Stay
                }
                _ => Course::Stay,
            };
            if course != Course::Stay {
                return course;
            }
        }
        match self.phase {
            Phase::Broadcasting(_) => Course::Stay,
            _ if now.instant >= self.patience_ends => Course::Leave(LeaveReason::NoQuorum),
            _ => Course::Stay,
        }
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        match self.phase {
            Phase::Broadcasting(_) => self.next_ping,
            _ => self.next_ping.min(self.patience_ends),
        }
    }

    /// Whether a connection is one of a learner that follows and knows that a quorum does.
    pub(crate) fn has_learner(&self, link: Link) -> bool {
        self.learners.get(&link).is_some_and(Learner::may_ask)
    }

    /// Since when it waits for a quorum to say which epochs it has accepted, if it does.
    pub(crate) fn gathers_since(&self) -> Option<Instant> {
        matches!(self.phase, Phase::Gathering).then_some(self.began)
    }

    /// Whether no other voter is there to follow this server.
    pub(crate) fn lacks_the_other_voter(&self, core: &Core) -> bool {
        !has_another_voter(core, &self.learners)
    }

    /// How many there are of each kind.
    pub(crate) fn learners(&self, core: &Core) -> Learners {
        let mut learners = Learners { connected: self.learners.len(), ..Learners::default() };
        for learner in self.learners.values().filter(|learner| learner.is_following()) {
            match learner.kind() {
                LearnerKind::Observer => learners.observers += 1,
                LearnerKind::Follower => {
                    match learner.sid.is_some_and(|sid| core.quorums.is_voter(sid)) {
                        true => learners.voters += 1,
                        false => learners.others += 1,
                    }
                }
            }
        }
        learners
    }

    /// Whether enough voters of a membership follow, this server included if it is one. Who is an
    /// observer in the one in force may not have left yet, and comes back as one.
    pub(crate) fn is_followed_by(&self, core: &Core, quorum: &Quorum) -> bool {
        let may_vote = |sid| core.memberships().kind(sid) == LearnerKind::Follower;
        let follows = |it: &Learner| it.may_vote() && it.is_following();
        let has = |sid: Sid| {
            let mut learners = self.learners.values();
            sid == core.options.sid || learners.any(|it| it.sid == Some(sid) && follows(it))
        };
        quorum.is_quorum(|sid| may_vote(sid) && has(sid))
    }

    /// Whether this server has come to follow.
    pub(crate) fn has_come(&self, sid: Sid) -> bool {
        self.learners.values().any(|learner| learner.sid == Some(sid) && learner.may_assent())
    }

    /// The epoch, once a quorum follows.
    pub(crate) const fn reign(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Broadcasting(broadcast) => Some(broadcast.epoch()),
            _ => None,
        }
    }

    /// Ends the role: every learner is disconnected.
    pub(crate) fn leave(mut self, effects: &mut Vec<Effect>) {
        for link in self.learners.keys().copied().collect::<Vec<_>>() {
            self.part(link, effects);
            effects.push(Effect::Close { link, reason: CloseReason::RoleEnded });
        }
    }

    /// Logs and proposes transactions.
    pub(crate) fn propose(
        &mut self,
        core: &mut Core,
        now: Now,
        batch: Arc<LogBatch>,
        effects: &mut Vec<Effect>,
    ) {
        if let Phase::Broadcasting(broadcast) = &mut self.phase {
            broadcast.propose(core, now, &mut self.learners, batch, effects);
        }
    }

    /// Asks whether this server leads.
    pub(crate) fn confirm(&mut self) {
        if let Phase::Broadcasting(broadcast) = &mut self.phase {
            broadcast.confirm();
        }
    }

    fn on_info(
        &mut self,
        core: &mut Core,
        link: Link,
        info: &LearnerInfo,
        kind: LearnerKind,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        core.check_learner(info)?;
        let LearnerInfo { sid, accepted_epoch, .. } = *info;
        let jump_max = core.epochs.accepted().0.saturating_add(EPOCH_JUMP_MAX).min(EPOCH_LAST);
        if accepted_epoch.0 > jump_max {
            let (theirs, ours) = (accepted_epoch, core.epochs.accepted());
            return Err(PeerMisbehaved::EpochFromNowhere { sid, theirs, ours });
        }
        let Some(learner) = self.learners.get_mut(&link) else { return Ok(()) };
        learner.introduce(info, kind)?;
        let is_stranger = |sid: Sid| !core.quorums.is_voter(sid);
        let strangers = self.learners.values().filter(|it| it.sid.is_some_and(is_stranger));
        if is_stranger(sid) && strangers.count() > STRANGE_LEARNERS_MAX {
            self.dismiss(link, CloseReason::TooMany, effects);
            return Ok(());
        }
        if core.quorums.is_voter(sid) {
            core.latest_accepted = core.latest_accepted.max(accepted_epoch);
        }
        let Some(learner) = self.learners.get_mut(&link) else { return Ok(()) };
        if let Some(epoch) = self.phase.epoch() {
            self.is_overtaken |= core.latest_accepted > epoch;
            if !matches!(self.phase, Phase::Accepting(_)) {
                learner.invite(link, epoch, effects);
            }
        }
        if let Some(old) = replaced(&self.learners, sid, link).filter(|_| !mutant::active(64)) {
            self.dismiss(old, CloseReason::Replaced, effects);
        }
        Ok(())
    }

    fn on_ack_epoch(
        &mut self,
        core: &mut Core,
        now: Now,
        link: Link,
        last_logged: Option<Zxid>,
        current_epoch: Option<Epoch>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        let Some(learner) = self.learners.get_mut(&link) else { return Ok(()) };
        let sid = learner.agree(last_logged, current_epoch)?;
        if let (Phase::Proposed(_), Some(epoch), Some(last_logged)) =
            (&self.phase, current_epoch, last_logged)
            && (epoch, last_logged) > self.claim
            && !core.quorums.is_only_pending(sid)
            && !mutant::active(28)
        {
            return Err(PeerMisbehaved::LaterHistory { sid, epoch, last_logged });
        }
        if matches!(self.phase, Phase::Synchronizing(_) | Phase::Broadcasting(_)) {
            self.synchronize_all(core, now, effects);
        }
        Ok(())
    }

    fn on_ack_new_leader(
        &mut self,
        core: &Core,
        now: Now,
        link: Link,
        epoch: Epoch,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        let Some(learner) = self.learners.get_mut(&link) else { return Ok(()) };
        let ours = match &self.phase {
            Phase::Synchronizing(ours) => *ours,
            Phase::Broadcasting(broadcast) => broadcast.epoch(),
            _ => return Err(learner.not_due("AckNewLeader")),
        };
        if epoch != ours {
            return Err(PeerMisbehaved::OtherEpoch { expected: ours, found: epoch });
        }
        if learner.is_following() {
            // Sent a second time after `UpToDate`, as Apache's servers do.
            return Ok(());
        }
        learner.follow(epoch)?;
        let (sid, last_logged) = (learner.sid.map(|sid| sid.0), core.history.last_logged());
        info!(sid, %last_logged, "learner follows");
        if matches!(self.phase, Phase::Broadcasting(_)) {
            learner.tell(now, link, effects);
        }
        Ok(())
    }

    fn on_ack(&mut self, core: &Core, link: Link, zxid: Zxid) -> Result<(), PeerMisbehaved> {
        let Some(learner) = self.learners.get_mut(&link) else { return Ok(()) };
        let last = core.history.last_logged();
        if zxid > last {
            return Err(PeerMisbehaved::AckBeyondLastProposed { last, found: zxid });
        }
        learner.acknowledge(zxid)
    }

    /// Goes to the next phase if quorums and the storage allow it. Returns whether it did.
    fn advance(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) -> bool {
        match self.phase {
            Phase::Gathering
                if core.may_accept() && self.has_quorum(core, Learner::is_introduced) =>
            {
                let accepted = self.learners.values().filter_map(Learner::accepted_epoch);
                let heard = core.latest_accepted;
                let heard = if mutant::active(132) { Epoch::default() } else { heard };
                let ours = core.epochs.accepted().max(heard);
                let latest = accepted.max().unwrap_or_default().max(ours);
                let Some(next) = latest.0.checked_add(1).map(Epoch) else { return false };
                let is_ahead = latest > core.epochs.accepted();
                let epoch = if mutant::active(27) && is_ahead { latest } else { next };
                self.phase = Phase::Accepting(epoch);
                core.epochs.accept(epoch, effects);
                number_membership(core, epoch, effects);
            }
            Phase::Accepting(epoch) if core.epochs.are_stored() => {
                self.phase = Phase::Proposed(epoch);
                self.patience_ends = now.instant.after(core.patience());
                for (&link, learner) in &mut self.learners {
                    if learner.is_introduced() {
                        learner.invite(link, epoch, effects);
                    }
                }
            }
            Phase::Proposed(epoch) if self.has_agreement(core) => {
                self.phase = Phase::Settling(epoch);
            }
            Phase::Settling(epoch) if core.is_settled() || mutant::active(154) => {
                self.phase = Phase::Adopting(epoch);
                core.epochs.adopt(epoch, effects);
            }
            Phase::Adopting(epoch) if core.epochs.are_stored() => {
                self.phase = Phase::Synchronizing(epoch);
                self.patience_ends = now.instant.after(core.patience());
                self.synchronize_all(core, now, effects);
            }
            Phase::Synchronizing(epoch) if self.has_quorum(core, Learner::is_following) => {
                self.establish(core, now, epoch, effects);
            }
            _ => return false,
        }
        true
    }

    /// Begins to bring everyone who has agreed to this server's history, but for those who are ahead of what it
    /// commits soon.
    fn synchronize_all(&mut self, core: &mut Core, now: Now, effects: &mut Vec<Effect>) {
        let agreed = self.learners.iter().filter_map(|(&link, learner)| match learner.stage {
            Stage::Agreed { last_logged, .. } => Some((link, last_logged, learner.heard)),
            _ => None,
        });
        for (link, last_logged, agreed) in agreed.collect::<Vec<_>>() {
            if !self.may_commit_soon(core, now, last_logged, agreed) {
                self.synchronize(core, link, last_logged, effects);
            }
        }
    }

    /// Whether the log of a learner that comes back ends with what this server has proposed, and others may be about
    /// to commit. It waits for that: to cut it off would take away what the learner has acknowledged, and which may
    /// count already. But not for long, as it may be this learner that they lack.
    fn may_commit_soon(
        &self,
        core: &Core,
        now: Now,
        theirs: Option<Zxid>,
        agreed: Instant,
    ) -> bool {
        let Phase::Broadcasting(broadcast) = &self.phase else { return false };
        let history = &core.history;
        let is_proposed = |zxid: Zxid| {
            zxid > history.last_committed()
                && zxid <= history.last_logged()
                && zxid.epoch() == broadcast.epoch()
        };
        theirs.is_some_and(is_proposed)
            && now.instant.since(agreed) < core.options.tick
            && self.has_quorum(core, |it| it.may_vote() && it.is_following())
    }

    /// The history of the quorum is committed; this server serves.
    fn establish(&mut self, core: &mut Core, now: Now, epoch: Epoch, effects: &mut Vec<Effect>) {
        let last_logged = core.history.last_logged();
        info!(epoch = epoch.0, %last_logged, "leading");
        core.history.commit(last_logged, self.needed());
        let mut broadcast = Broadcast::new(epoch, now);
        broadcast.begin(core, now, effects);
        effects.push(Effect::Deliver(last_logged));
        effects.push(Effect::Lead { epoch });
        self.phase = Phase::Broadcasting(broadcast);
        for (&link, learner) in &mut self.learners {
            if learner.is_following() {
                learner.tell(now, link, effects);
            }
        }
    }

    /// Whether this server and the learners of whom `has` is true are a quorum.
    ///
    /// Until it serves, who votes counts also if it comes as an observer, as it has not heard of the membership that
    /// makes it a voter. Such a server is bound by its current epoch only; but no leader of an earlier epoch that knows
    /// it as a voter counts on it afterwards: it is overtaken as soon as it hears what that one has accepted.
    fn has_quorum(&self, core: &Core, has: impl Fn(&Learner) -> bool) -> bool {
        has_quorum(core, &self.learners, |it| it.may_assent() && has(it))
    }

    /// Whether a quorum has promised to follow nobody of an earlier epoch, and has nothing committed that this
    /// server lacks.
    ///
    /// Who is to vote only once a pending membership is in force may have more, and no quorum without it. Yet what
    /// only such servers have was not committed if no quorum of that membership can do without those who
    /// have nothing more, and never will be: they have promised that.
    fn has_agreement(&self, core: &Core) -> bool {
        let has_nothing_more = |learner: &Learner| {
            learner.has_agreed_up_to(self.claim) || mutant::active(28) && learner.has_agreed()
        };
        let is_without = |sid: Sid| {
            let is_it = |it: &&Learner| it.sid == Some(sid) && it.may_assent();
            sid == core.options.sid || self.learners.values().filter(is_it).any(has_nothing_more)
        };
        self.has_quorum(core, has_nothing_more)
            || (core.quorums.none_decides_without(is_without) || mutant::active(166))
                && self.has_quorum(core, Learner::has_agreed)
    }

    /// What must be kept of the history: everything after this.
    fn needed(&self) -> Zxid {
        needed(&self.learners)
    }

    fn send_away_the_silent(&mut self, core: &Core, now: Now, effects: &mut Vec<Effect>) {
        let reason = |learner: &Learner| learner.reason_to_part(core, now.instant);
        let parting = self.learners.iter().filter_map(|(&link, it)| Some((link, reason(it)?)));
        for (link, reason) in parting.collect::<Vec<_>>() {
            self.dismiss(link, reason, effects);
        }
    }

    fn dismiss(&mut self, link: Link, reason: CloseReason, effects: &mut Vec<Effect>) {
        if let Some(learner) = self.part(link, effects) {
            warn!(sid = learner.sid.map(|sid| sid.0), ?reason, "learner sent away");
            effects.push(Effect::Close { link, reason });
        }
    }

    /// Forgets a learner; nothing more is read for it.
    fn part(&mut self, link: Link, effects: &mut Vec<Effect>) -> Option<Learner> {
        let learner = self.learners.remove(&link)?;
        if learner.reads_log() {
            effects.push(Effect::StopReading { link });
        }
        Some(learner)
    }
}

impl Phase {
    /// The epoch of the reign, once it is chosen.
    const fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Gathering => None,
            Self::Accepting(epoch)
            | Self::Proposed(epoch)
            | Self::Settling(epoch)
            | Self::Adopting(epoch)
            | Self::Synchronizing(epoch) => Some(*epoch),
            Self::Broadcasting(broadcast) => Some(broadcast.epoch()),
        }
    }
}

impl Core {
    pub(crate) fn ping_interval(&self) -> Duration {
        self.options.tick / 2
    }

    /// How long a server waits for the other side when its election is over. Theirs may not be: they may wait
    /// for a better candidate, and would wait anew if this server began another round before that.
    pub(crate) fn patience_at_first(&self) -> Duration {
        self.patience() + self.options.election.finalize
    }

    /// How long a leader waits for a quorum in each phase before it serves.
    fn patience(&self) -> Duration {
        self.options.tick * self.options.init_limit
    }
}

/// Gives a membership that was written by hand the place of this reign's beginning, if a quorum agrees.
fn number_membership(core: &mut Core, epoch: Epoch, effects: &mut Vec<Effect>) {
    let newest = core.memberships().newest();
    if newest.version() == ConfigVersion::default() {
        let version = ConfigVersion(beginning(epoch).raw());
        let numbered = Membership::clone(newest).with_version(version);
        core.see(Arc::new(numbered), effects);
    }
}

/// Whether this server and the learners of whom `has` is true are a quorum.
fn has_quorum(
    core: &Core,
    learners: &BTreeMap<Link, Learner>,
    has: impl Fn(&Learner) -> bool,
) -> bool {
    if mutant::active(24) {
        let count = learners.values().filter(|it| has(it)).count() + 1;
        return count > core.quorums.voters().count() / 2;
    }
    let has_sid = |sid: Sid| {
        sid == core.options.sid || learners.values().any(|it| it.sid == Some(sid) && has(it))
    };
    core.quorums.is_quorum(has_sid) || may_decide_alone(core, learners)
}

/// Whether the oracle lets this server decide without the other one of two voters, which does not
/// follow it.
fn may_decide_alone(core: &Core, learners: &BTreeMap<Link, Learner>) -> bool {
    core.quorums.pending.is_none()
        && core.quorums.is_voter(core.options.sid)
        && core
            .consultation
            .answer()
            .is_some_and(|it| core.quorums.committed.is_lone_voter_enough(it))
        && !has_another_voter(core, learners)
}

/// Whether another voter is connected as a follower, be it one that has to catch up: then it is waited
/// for.
fn has_another_voter(core: &Core, learners: &BTreeMap<Link, Learner>) -> bool {
    let is_voter = |sid: Sid| core.quorums.is_voter(sid);
    learners.values().any(|learner| learner.may_vote() && learner.sid.is_some_and(is_voter))
}

/// Whether the learners of whom `has` is true are a quorum that does not need this server.
fn have_quorum_without_leader(
    core: &Core,
    learners: &BTreeMap<Link, Learner>,
    has: impl Fn(&Learner) -> bool,
) -> bool {
    core.quorums.is_quorum(|sid| {
        sid != core.options.sid
            && learners.values().any(|it| it.sid == Some(sid) && it.may_vote() && has(it))
    })
}

/// Pings all learners that are sent what is proposed.
fn ping_all(
    core: &Core,
    epoch: Epoch,
    learners: &mut BTreeMap<Link, Learner>,
    effects: &mut Vec<Effect>,
) {
    let last_proposed = last_proposed(core, epoch);
    for (&link, learner) in learners.iter_mut().filter(|(_, learner)| learner.is_served()) {
        learner.ping(link, last_proposed, effects);
    }
}

/// What pings say; the epoch's beginning while nothing was proposed in it.
fn last_proposed(core: &Core, epoch: Epoch) -> Zxid {
    core.history.last_logged().max(beginning(epoch))
}

/// The first transaction that no learner needs the history of any more.
pub(crate) fn needed(learners: &BTreeMap<Link, Learner>) -> Zxid {
    let starts = learners.values().filter_map(|learner| match learner.stage {
        Stage::TakesSnapshot { last_applied } => Some(last_applied),
        Stage::ReadsLog { up_to, is_kept: true, .. } => Some(up_to),
        _ => None,
    });
    starts.min().unwrap_or(Zxid::from_raw(i64::MAX))
}

/// Sends the packet to a learner.
pub(crate) fn send(link: Link, packet: LeaderPacket, effects: &mut Vec<Effect>) {
    effects.push(Effect::ToLearner { link, packet });
}
