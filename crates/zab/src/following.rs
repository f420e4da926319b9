//! The learner's part: a follower's or an observer's.
//!
//! ```text
//! Connecting ──> Introduced ──> Settling ─────> Synchronizing ──> Broadcasting
//!                waits for      accepted epoch   history, then     serves
//!                an epoch       and log stored   current epoch
//! ```

mod broadcast;
mod reception;
mod synchronization;

use tracing::{info, warn};
use types::{Epoch, Instant, Now, Sid};
use wire::quorum::ToLearner;

use self::broadcast::Broadcast;
use self::synchronization::Synchronization;
use crate::effect::{CloseReason, Effect, LearnerPacket};
use crate::input::Link;
use crate::misbehaved::PeerMisbehaved;
use crate::peer::{Core, Course, LeaveReason};

/// A server that elected another to lead.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    leader: Sid,
    phase: Phase,
    /// When it gives up, unless the leader says something before.
    patience_ends: Instant,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Waits for a connection.
    Connecting,
    /// Waits for the leader's epoch.
    Introduced(Link),
    /// Waits until the epoch is durably accepted, and everything that is logged durable, to say how
    /// far it goes.
    Settling(Link, Epoch, Promise),
    /// Receives the history.
    Synchronizing(Link, Synchronization),
    /// Receives what is proposed and committed.
    Broadcasting(Link, Broadcast),
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
    pub(crate) fn new(core: &Core, leader: Sid, now: Now, effects: &mut Vec<Effect>) -> Self {
        effects.push(Effect::ConnectToLeader(leader));
        let patience = core.options.tick * core.options.init_limit;
        Self { leader, phase: Phase::Connecting, patience_ends: now.instant.after(patience) }
    }

    pub(crate) fn on_reached(
        &mut self,
        core: &Core,
        now: Now,
        link: Link,
        leader: Sid,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(self.phase, Phase::Connecting) || leader != self.leader {
            effects.push(Effect::Close { link, reason: CloseReason::Replaced });
            return;
        }
        let packet = LearnerPacket::Info {
            accepted_epoch: core.epochs.accepted(),
            config_version: core.options.config_version,
            kind: core.options.kind,
        };
        effects.push(Effect::ToLeader { link, packet });
        self.phase = Phase::Introduced(link);
        self.listen(core, now);
    }

    pub(crate) fn on_unreachable(&self, leader: Sid) -> Course {
        match self.phase {
            Phase::Connecting if leader == self.leader => Course::Leave(LeaveReason::LeaderGone),
            _ => Course::Stay,
        }
    }

    pub(crate) fn on_closed(&self, link: Link) -> Course {
        match self.link() {
            Some(ours) if ours == link => Course::Leave(LeaveReason::LeaderGone),
            _ => Course::Stay,
        }
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
        self.listen(core, now);
        let result = match &mut self.phase {
            Phase::Connecting => Ok(()),
            Phase::Introduced(_) => self.on_leader_info(core, link, packet, effects),
            Phase::Settling(..) => Err(not_due(packet, "it has to wait for AckEpoch")),
            Phase::Synchronizing(_, synchronization) => {
                match synchronization.on_packet(core, link, packet, effects) {
                    Ok(Some(epoch)) => {
                        self.begin_broadcast(core, link, epoch, effects);
                        Ok(())
                    }
                    Ok(None) => Ok(()),
                    Err(misbehaved) => Err(misbehaved),
                }
            }
            Phase::Broadcasting(_, broadcast) => broadcast.on_packet(link, packet, effects),
        };
        match result {
            Ok(()) => Course::Stay,
            Err(misbehaved) => {
                warn!(leader = ?self.leader, %misbehaved, "leader left");
                effects.push(Effect::Close { link, reason: CloseReason::Misbehaved(misbehaved) });
                Course::Leave(LeaveReason::LeaderMisbehaved)
            }
        }
    }

    /// Derives what follows from everything that was taken in.
    pub(crate) fn settle(
        &mut self,
        core: &mut Core,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Course {
        match &mut self.phase {
            Phase::Settling(link, epoch, promise) if core.is_settled() => {
                let current_epoch = (*promise == Promise::New).then_some(core.epochs.current());
                let last_logged = core.sound_last_logged();
                let packet = LearnerPacket::AckEpoch { last_logged, current_epoch };
                effects.push(Effect::ToLeader { link: *link, packet });
                self.phase = Phase::Synchronizing(*link, Synchronization::new(*epoch));
            }
            Phase::Synchronizing(link, synchronization) => {
                synchronization.settle(core, *link, effects);
            }
            Phase::Broadcasting(link, broadcast) => broadcast.settle(core, *link, effects),
            _ => {}
        }
        match now.instant >= self.patience_ends {
            true => Course::Leave(LeaveReason::LeaderSilent),
            false => Course::Stay,
        }
    }

    pub(crate) const fn next_deadline(&self) -> Instant {
        self.patience_ends
    }

    /// The epoch, once this server follows in it.
    pub(crate) const fn reign(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Broadcasting(_, broadcast) => Some(broadcast.epoch()),
            _ => None,
        }
    }

    /// Ends the role.
    pub(crate) fn leave(self, effects: &mut Vec<Effect>) {
        if let Some(link) = self.link() {
            effects.push(Effect::Close { link, reason: CloseReason::RoleEnded });
        }
    }

    fn on_leader_info(
        &mut self,
        core: &mut Core,
        link: Link,
        packet: &ToLearner<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        let ToLearner::LeaderInfo { epoch: offered } = *packet else {
            return Err(not_due(packet, "it has to name its epoch"));
        };
        let accepted = core.epochs.accepted();
        if offered < accepted {
            return Err(PeerMisbehaved::StaleEpoch { offered, accepted });
        }
        let promise = if offered > accepted { Promise::New } else { Promise::Old };
        if promise == Promise::New {
            core.epochs.accept(offered, effects);
        }
        self.phase = Phase::Settling(link, offered, promise);
        Ok(())
    }

    fn begin_broadcast(
        &mut self,
        core: &Core,
        link: Link,
        epoch: Epoch,
        effects: &mut Vec<Effect>,
    ) {
        let committed = core.history.last_committed();
        info!(leader = ?self.leader, ?epoch, %committed, "following");
        effects.push(Effect::Follow { link, leader: self.leader, epoch });
        self.phase = Phase::Broadcasting(link, Broadcast::new(core, epoch));
    }

    /// The leader has said something: it has its time again.
    fn listen(&mut self, core: &Core, now: Now) {
        let ticks = match &self.phase {
            Phase::Broadcasting(..) => core.options.sync_limit,
            Phase::Synchronizing(_, synchronization) if synchronization.has_history() => {
                core.options.sync_limit
            }
            _ => core.options.init_limit,
        };
        self.patience_ends = now.instant.after(core.options.tick * ticks);
    }

    const fn link(&self) -> Option<Link> {
        match &self.phase {
            Phase::Connecting => None,
            Phase::Introduced(link)
            | Phase::Settling(link, ..)
            | Phase::Synchronizing(link, _)
            | Phase::Broadcasting(link, _) => Some(*link),
        }
    }
}

/// What the leader said is not due.
fn not_due(packet: &ToLearner<'_>, phase: &'static str) -> PeerMisbehaved {
    PeerMisbehaved::NotDue { packet: packet.packet_type().name(), phase }
}
