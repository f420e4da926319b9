//! The steps of the protocol between servers: names of the moments at which something goes wrong, and
//! the means to let it go wrong just there.
//!
//! Somebody who dies at any moment dies while nothing happens, mostly. So the nemesis also chooses a
//! step: the next time that the server takes it, it dies, stands still, is alone, or its disk fails.

use replica::Effect;
use wire::limits::PACKET_BYTES_MAX;
use wire::quorum::{ToLeader, ToLearner};

use super::World;
use super::node::NodeId;
use super::way::{Assent, Step};
use crate::tape::Tape;

/// Every step that can be chosen.
const STEPS: &[&str] = &[
    "crash before a call to a leader",
    "crash before a learner's introduction",
    "crash after LeaderInfo came",
    "crash before accepting an epoch",
    "crash after accepting an epoch",
    "crash before AckEpoch",
    "crash after a way to the history came",
    "crash after Proposal came",
    "crash before a cut",
    "crash after a cut",
    "crash before a part of a leader's snapshot",
    "crash after a part of a leader's snapshot",
    "crash before an installation",
    "crash after an installation",
    "crash after NewLeader came",
    "crash before append",
    "crash after append",
    "crash before sync",
    "crash after sync",
    "crash before adopting an epoch",
    "crash after adopting an epoch",
    "crash before AckNewLeader",
    "crash after UpToDate came",
    "crash before Ack",
    "crash after Commit came",
    "crash before LeaderInfo",
    "crash before a learner's history",
    "crash while a snapshot is sent",
    "crash before NewLeader",
    "crash before UpToDate",
    "crash before Proposal",
    "crash before Commit",
];

/// Those that are seldom taken: who waits for a server to come there mostly waits in vain.
const RARE_STEPS: &[&str] = &[
    "crash before a cut",
    "crash after a cut",
    "crash before an installation",
    "crash after an installation",
    "crash before adopting an epoch",
    "crash after adopting an epoch",
    "crash before AckEpoch",
    "crash before CommitAndActivate",
];

/// Those behind which the disk does something that must not go wrong unnoticed.
const DISK_STEPS: &[&str] = &[
    "crash before a cut",
    "crash before an installation",
    "crash before accepting an epoch",
    "crash before adopting an epoch",
    "crash before append",
    "crash before sync",
];

/// Those of changes of the membership.
const STEPS_OF_CHANGES: &[&str] = &[
    "crash before storing memberships",
    "crash after storing memberships",
    "crash before CommitAndActivate",
    "crash after CommitAndActivate came",
];

/// In how many of 1000 cases a step is one of those, where the membership changes.
const CHANGES_PERMILLE: u64 = 400;

/// How often what happens at a step: the process dies, its disk fails, it stands still, it is alone.
const FATES: [u32; 4] = [9, 4, 3, 6];

/// How many effects a process outlives its step at most.
const EFFECTS_AFTER_MAX: u64 = 3;

/// A step that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Doom {
    step: &'static str,
    fate: Fate,
}

/// What happens at a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The process dies so many effects, writes and syncs later.
    Dies(u64),
    /// One of the next operations of the disk fails.
    DiskFails,
    /// The process does nothing more for a while.
    StandsStill,
    /// No other server hears of it any more, nor it of them, for a while.
    IsAlone,
}

impl Doom {
    /// What happens, if this is the step.
    fn strikes(self, step: &str) -> Option<Fate> {
        (self.step == step).then_some(self.fate)
    }
}

impl Fate {
    fn draw(tape: &mut Tape) -> Self {
        match tape.weighted(&FATES) {
            0 => Self::Dies(tape.range(0, EFFECTS_AFTER_MAX)),
            1 => Self::DiskFails,
            2 => Self::StandsStill,
            _ => Self::IsAlone,
        }
    }
}

impl World {
    /// Chooses a step that goes wrong at a server.
    pub(super) fn doom(&mut self, node: NodeId) {
        let fate = Fate::draw(&mut self.agenda.tape);
        let is_of_change =
            self.plan.servers.are_changing() && self.agenda.tape.chance(CHANGES_PERMILLE);
        let steps = match fate {
            _ if is_of_change => STEPS_OF_CHANGES,
            Fate::DiskFails => DISK_STEPS,
            Fate::Dies(_) | Fate::StandsStill | Fate::IsAlone => STEPS,
        };
        let step = *self.agenda.tape.pick(steps);
        self.nodes[node].doom = Some(Doom { step, fate });
    }

    /// What happens to a server that takes a step.
    pub(super) fn fate_at(&mut self, node: NodeId, step: &'static str) -> Option<Fate> {
        let fate = self.nodes[node].doom.and_then(|doom| doom.strikes(step));
        if fate.is_some() {
            self.nodes[node].doom = None;
        }
        let is_rare = !self.is_peaceful() && RARE_STEPS.contains(&step);
        match fate {
            None if is_rare && self.agenda.tape.chance(self.plan.faults.rare_step_permille) => {
                Some(Fate::draw(&mut self.agenda.tape))
            }
            fate => fate,
        }
    }
}

/// What a crash before an effect is counted as.
pub(super) fn before(effect: &Effect) -> &'static str {
    match effect {
        Effect::Peer(zab::Effect::ToLeader { packet, .. }) => match packet {
            zab::LearnerPacket::Info { .. } => "crash before a learner's introduction",
            zab::LearnerPacket::AckEpoch { .. } => "crash before AckEpoch",
            zab::LearnerPacket::AckNewLeader(_) => "crash before AckNewLeader",
            zab::LearnerPacket::Acks { .. } => "crash before Ack",
        },
        Effect::Peer(zab::Effect::ToLearner { packet, .. }) => match packet {
            zab::LeaderPacket::LeaderInfo(_) => "crash before LeaderInfo",
            zab::LeaderPacket::NewLeader { .. } => "crash before NewLeader",
            zab::LeaderPacket::UpToDate => "crash before UpToDate",
            zab::LeaderPacket::Proposals { .. } => "crash before Proposal",
            zab::LeaderPacket::Commits { .. } => "crash before Commit",
            zab::LeaderPacket::CommitAndActivate { .. } => "crash before CommitAndActivate",
            zab::LeaderPacket::Diff { .. }
            | zab::LeaderPacket::Truncate { .. }
            | zab::LeaderPacket::Committed { .. } => "crash before a learner's history",
            zab::LeaderPacket::Informs { .. }
            | zab::LeaderPacket::InformAndActivate { .. }
            | zab::LeaderPacket::Ping { .. } => "crash before Inform or Ping",
        },
        Effect::Peer(zab::Effect::ConnectToLeader(_)) => "crash before a call to a leader",
        Effect::Peer(_) => "crash before an effect of the peer",
        Effect::StreamHead { .. } | Effect::StreamPart { .. } | Effect::StreamEnd { .. } => {
            "crash while a snapshot is sent"
        }
        _ => "crash before another effect",
    }
}

/// What a crash is counted as after a leader's packet has come.
pub(super) fn after(packet: &ToLearner<'_>) -> &'static str {
    match packet {
        ToLearner::LeaderInfo { .. } => "crash after LeaderInfo came",
        ToLearner::Diff { .. } | ToLearner::Truncate { .. } | ToLearner::Snapshot { .. } => {
            "crash after a way to the history came"
        }
        ToLearner::Proposal(_) => "crash after Proposal came",
        ToLearner::NewLeader { .. } => "crash after NewLeader came",
        ToLearner::UpToDate => "crash after UpToDate came",
        ToLearner::Commit { .. } => "crash after Commit came",
        ToLearner::CommitAndActivate { .. } => "crash after CommitAndActivate came",
        _ => "crash after another packet came",
    }
}

/// The step that a learner takes by sending something to its leader.
pub(super) const fn told_leader(packet: zab::LearnerPacket) -> Option<Step> {
    match packet {
        zab::LearnerPacket::Info { .. } => Some(Step::FollowerInfoSent),
        zab::LearnerPacket::AckEpoch { .. } => Some(Step::AckEpochSent),
        zab::LearnerPacket::AckNewLeader(_) => Some(Step::AckNewLeaderSent),
        zab::LearnerPacket::Acks { .. } => None,
    }
}

/// The step that a leader takes by sending something to the first of its learners.
pub(super) const fn told_learner(packet: &zab::LeaderPacket) -> Option<Step> {
    match packet {
        zab::LeaderPacket::LeaderInfo(_) => Some(Step::LeaderInfoSent),
        zab::LeaderPacket::Diff { .. } | zab::LeaderPacket::Truncate { .. } => {
            Some(Step::DirectionSent)
        }
        zab::LeaderPacket::NewLeader { .. } => Some(Step::NewLeaderSent),
        zab::LeaderPacket::UpToDate => Some(Step::UpToDateSent),
        _ => None,
    }
}

/// The step that it is for a learner when something comes from its leader, by whether it has been told all
/// of the history.
pub(super) const fn heard(packet: &ToLearner<'_>, is_told: bool) -> Option<Step> {
    match packet {
        ToLearner::LeaderInfo { .. } => Some(Step::LeaderInfoCame),
        ToLearner::Diff { .. } | ToLearner::Truncate { .. } | ToLearner::Snapshot { .. } => {
            Some(Step::DirectionCame)
        }
        ToLearner::Proposal(_) | ToLearner::Inform(_) if !is_told => Some(Step::HistoryPartCame),
        ToLearner::NewLeader { .. } => Some(Step::NewLeaderCame),
        ToLearner::UpToDate => Some(Step::UpToDateCame),
        _ => None,
    }
}

/// What a learner agrees to with a packet.
pub(super) fn assent(bytes: &[u8]) -> Option<Assent> {
    match ToLeader::decode(bytes, PACKET_BYTES_MAX) {
        Ok(Some((ToLeader::AckEpoch { .. }, _))) => Some(Assent::ToEpoch),
        Ok(Some((ToLeader::AckNewLeader { .. }, _))) => Some(Assent::ToHistory),
        _ => None,
    }
}
