//! One learner, as its leader sees it.

use std::collections::BTreeMap;

use types::{Epoch, Instant, Now, Sid, Zxid, mutant};
use wire::quorum::{Cuts, LearnerInfo};

use super::send;
use crate::effect::{CloseReason, Effect, LeaderPacket, LearnerKind};
use crate::history::beginning;
use crate::input::Link;
use crate::limits::NEWCOMERS_MAX;
use crate::misbehaved::PeerMisbehaved;
use crate::peer::Core;

/// A connection to the quorum port.
#[derive(Clone, Debug)]
pub(crate) struct Learner {
    /// Who; `None` until it has said so.
    pub(crate) sid: Option<Sid>,
    kind: LearnerKind,
    /// What it can cut off.
    pub(crate) cuts: Cuts,
    pub(crate) stage: Stage,
    /// How it is being synchronized, until it follows.
    means: Option<Means>,
    /// When it last said something, or took a part of what takes it long to answer.
    pub(crate) heard: Instant,
    pings: Pings,
    /// A proposal that it has not acknowledged, and when that was sent; and one that was
    /// sent after it.
    unacknowledged: [Option<(Zxid, Instant)>; 2],
    /// What it has acknowledged before it said that it has the history. Servers of Apache from 3.6.3 to
    /// 3.9.1 may do that (ZOOKEEPER-4685); it counts when they have said so.
    acknowledged_early: Option<Zxid>,
}

/// How a learner gets what it lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Means {
    /// By transactions, and maybe a cut.
    Diff,
    /// By a snapshot.
    Snapshot,
}

/// How far a learner has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// It is connected.
    Connected,
    /// It has said who it is, and waits for an epoch.
    Introduced {
        /// The latest epoch it has accepted.
        accepted_epoch: Epoch,
    },
    /// It was told the epoch.
    Invited,
    /// It has accepted the epoch, and waits for the history.
    Agreed {
        /// The end of its own.
        last_logged: Option<Zxid>,
        /// Its current epoch. Without one it is not part of the quorum: it had accepted the epoch before.
        current_epoch: Option<Epoch>,
    },
    /// It is being sent a snapshot.
    TakesSnapshot {
        /// The last transaction that is in it as a whole.
        last_applied: Zxid,
    },
    /// It is being sent what the log has.
    ReadsLog {
        /// The last transaction that it has, or that it was sent.
        after: Zxid,
        /// The last one that is read this time.
        up_to: Zxid,
        /// Whether it was told how it gets the history; before, nothing is sent.
        is_told: bool,
        /// Whether what follows `up_to` is kept in memory for it.
        is_kept: bool,
    },
    /// It has been sent the history, and is sent what is proposed and committed from here on.
    CatchesUp,
    /// It has made the history durable.
    Follows {
        /// The last transaction that it has acknowledged; of this epoch.
        acknowledged: Zxid,
    },
}

/// Pings over one connection. They are answered in order, from the moment at which the learner was
/// told that it is up to date.
#[derive(Clone, Copy, Default, Debug)]
struct Pings {
    is_told: bool,
    sent: u64,
    answered: u64,
    /// The number of the ping whose answer confirms the leadership.
    awaited: u64,
}

impl Learner {
    pub(crate) fn new(now: Now) -> Self {
        Self {
            sid: None,
            kind: LearnerKind::Observer,
            cuts: Cuts::Log,
            stage: Stage::Connected,
            means: None,
            heard: now.instant,
            pings: Pings::default(),
            unacknowledged: [None; 2],
            acknowledged_early: None,
        }
    }

    pub(crate) fn introduce(
        &mut self,
        info: &LearnerInfo,
        kind: LearnerKind,
    ) -> Result<(), PeerMisbehaved> {
        let Stage::Connected = self.stage else { return Err(self.not_due("FollowerInfo")) };
        self.sid = Some(info.sid);
        self.kind = kind;
        self.cuts = info.cuts;
        self.stage = Stage::Introduced { accepted_epoch: info.accepted_epoch };
        Ok(())
    }

    pub(crate) fn invite(&mut self, link: Link, epoch: Epoch, effects: &mut Vec<Effect>) {
        self.stage = Stage::Invited;
        send(link, LeaderPacket::LeaderInfo(epoch), effects);
    }

    /// Returns who has agreed.
    pub(crate) fn agree(
        &mut self,
        last_logged: Option<Zxid>,
        current_epoch: Option<Epoch>,
    ) -> Result<Sid, PeerMisbehaved> {
        let (Stage::Invited, Some(sid)) = (self.stage, self.sid) else {
            return Err(self.not_due("AckEpoch"));
        };
        let current_epoch = match mutant::active(23) {
            true => Some(current_epoch.unwrap_or_default()),
            false => current_epoch,
        };
        self.stage = Stage::Agreed { last_logged, current_epoch };
        Ok(sid)
    }

    pub(crate) fn follow(&mut self, epoch: Epoch) -> Result<(), PeerMisbehaved> {
        let Stage::CatchesUp = self.stage else { return Err(self.not_due("AckNewLeader")) };
        self.stage = Stage::Follows { acknowledged: beginning(epoch) };
        self.means = None;
        self.acknowledged_early.take().map_or(Ok(()), |zxid| self.acknowledge(zxid))
    }

    /// Tells it that a quorum follows. From here on it answers pings, and acknowledges what it was
    /// sent meanwhile: its time for both begins.
    pub(crate) fn tell(&mut self, now: Now, link: Link, effects: &mut Vec<Effect>) {
        self.pings.is_told = true;
        self.heard = now.instant;
        for (_, sent) in self.unacknowledged.iter_mut().flatten() {
            *sent = now.instant;
        }
        send(link, LeaderPacket::UpToDate, effects);
    }

    /// Notes that it has everything up to a proposal durably. Acknowledgements of what it
    /// acknowledged before, or of earlier epochs, are nothing new.
    pub(crate) fn acknowledge(&mut self, zxid: Zxid) -> Result<(), PeerMisbehaved> {
        match &mut self.stage {
            Stage::Follows { acknowledged } => *acknowledged = zxid.max(*acknowledged),
            Stage::CatchesUp => {
                self.acknowledged_early = self.acknowledged_early.max(Some(zxid));
                return Ok(());
            }
            _ => return Err(self.not_due("Ack")),
        }
        let is_acknowledged = |sent: &Option<(Zxid, _)>| sent.is_some_and(|(it, _)| it <= zxid);
        if is_acknowledged(&self.unacknowledged[0]) {
            self.unacknowledged = [self.unacknowledged[1].filter(|&(it, _)| it > zxid), None];
        }
        Ok(())
    }

    /// Notes that it is sent a proposal.
    pub(crate) fn propose(&mut self, now: Instant, zxid: Zxid) {
        let [first, second] = &mut self.unacknowledged;
        let free = if first.is_none() { first } else { second };
        if free.is_none() {
            *free = Some((zxid, now));
        }
    }

    /// Sends a ping.
    pub(crate) fn ping(&mut self, link: Link, last_proposed: Zxid, effects: &mut Vec<Effect>) {
        self.pings.sent += u64::from(self.pings.is_told);
        send(link, LeaderPacket::Ping { last_proposed }, effects);
    }

    /// Notes the answer to the oldest ping that has none.
    pub(crate) fn pong(&mut self) -> Result<(), PeerMisbehaved> {
        if !self.is_following() {
            return Err(self.not_due("Ping"));
        }
        self.pings.answered = (self.pings.answered + 1).min(self.pings.sent);
        Ok(())
    }

    /// From here on only answers to pings that are still to be sent confirm the leadership.
    pub(crate) fn await_confirmation(&mut self) {
        self.pings.awaited = self.pings.sent + 1;
    }

    /// Whether it is a follower that has answered a ping that was sent since confirmation was asked for.
    pub(crate) fn has_confirmed(&self) -> bool {
        self.may_vote() && self.is_following() && self.pings.answered >= self.pings.awaited
    }

    /// Why it has to go, if it has.
    pub(crate) fn reason_to_part(&self, core: &Core, now: Instant) -> Option<CloseReason> {
        let ticks = |count: u32| core.options.tick * count;
        let limit = match self.stage {
            Stage::TakesSnapshot { .. } => return None,
            // It has said what it had to say, and waits for others.
            Stage::Follows { .. } if !self.pings.is_told => return None,
            Stage::Follows { .. } => ticks(core.options.sync_limit),
            _ => ticks(core.options.init_limit),
        };
        let slow = self.unacknowledged[0]
            .filter(|_| self.is_following())
            .is_some_and(|(_, sent)| now.since(sent) > ticks(core.options.sync_limit));
        if now.since(self.heard) > limit {
            Some(CloseReason::Silent)
        } else {
            slow.then_some(CloseReason::Slow)
        }
    }

    /// Whether it gets on with what a learner does until it follows. It is waited for: who led next would have to
    /// begin again with it.
    pub(crate) fn is_on_its_way(&self, core: &Core, now: Instant) -> bool {
        let limit = core.options.tick * core.options.init_limit;
        let comes = !matches!(self.stage, Stage::Connected | Stage::Follows { .. });
        comes && now.since(self.heard) <= limit && !mutant::active(170)
    }

    pub(crate) fn accepted_epoch(&self) -> Option<Epoch> {
        match self.stage {
            Stage::Introduced { accepted_epoch } => Some(accepted_epoch),
            _ => None,
        }
    }

    /// Begins to synchronize it.
    pub(crate) fn begin(&mut self, means: Means) {
        self.means = Some(means);
    }

    /// How it is being synchronized, if it is.
    pub(crate) fn means(&self) -> Option<Means> {
        self.means
    }

    pub(crate) fn kind(&self) -> LearnerKind {
        self.kind
    }

    /// Whether it is a follower; whether it is a voter too is the membership's matter.
    pub(crate) fn may_vote(&self) -> bool {
        self.kind == LearnerKind::Follower
    }

    /// Whether what it agrees to before this server serves is as good as a voter's word, if it is to vote and has not
    /// heard of that. Observers of Apache confirm a history that they have not logged.
    pub(crate) fn may_assent(&self) -> bool {
        self.may_vote() || self.cuts != Cuts::Log || mutant::active(173)
    }

    pub(crate) fn is_introduced(&self) -> bool {
        matches!(self.stage, Stage::Introduced { .. })
    }

    pub(crate) fn has_agreed(&self) -> bool {
        self.claim().is_some()
    }

    /// Whether it has agreed, and has nothing beyond this.
    pub(crate) fn has_agreed_up_to(&self, last: (Epoch, Zxid)) -> bool {
        self.claim().is_some_and(|claim| claim <= last)
    }

    /// What it has promised with: its current epoch, and the end of its history.
    fn claim(&self) -> Option<(Epoch, Zxid)> {
        match self.stage {
            Stage::Agreed { last_logged, current_epoch } => current_epoch.zip(last_logged),
            _ => None,
        }
    }

    /// Whether it gets what is proposed and committed.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.stage, Stage::CatchesUp | Stage::Follows { .. })
    }

    /// Whether it is being sent a snapshot, or will be.
    pub(crate) fn takes_snapshot(&self) -> bool {
        matches!(self.stage, Stage::TakesSnapshot { .. })
    }

    pub(crate) fn reads_log(&self) -> bool {
        matches!(self.stage, Stage::ReadsLog { .. })
    }

    pub(crate) fn is_following(&self) -> bool {
        matches!(self.stage, Stage::Follows { .. })
    }

    /// Whether it was told that a quorum follows: from then on it may ask, for its clients.
    pub(crate) fn may_ask(&self) -> bool {
        self.is_following() && self.pings.is_told
    }

    /// The last proposal of this epoch that it has durably.
    pub(crate) fn acknowledged(&self) -> Option<Zxid> {
        match self.stage {
            Stage::Follows { acknowledged } => Some(acknowledged),
            _ => None,
        }
    }

    /// What it said is not due.
    pub(crate) fn not_due(&self, packet: &'static str) -> PeerMisbehaved {
        let phase = match self.stage {
            Stage::Connected => "it has not said who it is",
            Stage::Introduced { .. } => "it waits for an epoch",
            Stage::Invited => "it has to accept the epoch",
            Stage::Agreed { .. } | Stage::TakesSnapshot { .. } | Stage::ReadsLog { .. } => {
                "it waits for the history"
            }
            Stage::CatchesUp => "it has to make the history durable",
            Stage::Follows { .. } if !self.pings.is_told => "it waits for a quorum",
            Stage::Follows { .. } => "it follows",
        };
        PeerMisbehaved::NotDue { packet, phase }
    }
}

impl Core {
    /// Whether somebody that introduces itself so can learn from this server.
    pub(crate) fn check_learner(&self, info: &LearnerInfo) -> Result<(), PeerMisbehaved> {
        let &LearnerInfo { sid, config_version, .. } = info;
        let ours = self.memberships().committed.version().0;
        if let Some(theirs) = config_version
            && theirs > ours
        {
            return Err(PeerMisbehaved::LaterMembership { sid, theirs, ours });
        }
        match sid == self.options.sid {
            true => Err(PeerMisbehaved::OwnId(sid)),
            false => Ok(()),
        }
    }
}

/// Of those that have not said who they are the one that was silent longest, if there are too many.
pub(crate) fn surplus_newcomer(learners: &BTreeMap<Link, Learner>) -> Option<Link> {
    let newcomers = || learners.iter().filter(|(_, learner)| learner.sid.is_none());
    let idlest = newcomers().min_by_key(|(_, learner)| learner.heard).map(|(&link, _)| link);
    idlest.filter(|_| newcomers().count() > NEWCOMERS_MAX)
}

/// The connection that a learner had before this one.
pub(crate) fn replaced(learners: &BTreeMap<Link, Learner>, sid: Sid, by: Link) -> Option<Link> {
    let mut links = learners.iter().filter(|(_, learner)| learner.sid == Some(sid));
    links.find(|&(&link, _)| link != by).map(|(&link, _)| link)
}
