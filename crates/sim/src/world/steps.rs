//! The steps of the protocol between servers: names of the moments at which processes die, and the
//! means to let one die just there.
//!
//! Somebody who dies at any moment dies while nothing happens, mostly. So the nemesis also chooses a
//! step, and the next time that the server takes it is one of its last.

use replica::Effect;
use wire::quorum::ToLearner;

use super::World;
use super::node::NodeId;

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

/// In how many of 1000 cases it is the disk that fails.
const DISK_FAILS_PERMILLE: u64 = 250;

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
}

impl Doom {
    /// What happens, if this is the step.
    pub(super) fn strikes(self, step: &str) -> Option<Fate> {
        (self.step == step).then_some(self.fate)
    }
}

impl World {
    /// Chooses a step that goes wrong at a server.
    pub(super) fn doom(&mut self, node: NodeId) {
        let tape = &mut self.agenda.tape;
        let is_of_change = self.plan.servers.are_changing() && tape.chance(CHANGES_PERMILLE);
        let (steps, fate) = match tape.chance(DISK_FAILS_PERMILLE) {
            true => (DISK_STEPS, Fate::DiskFails),
            false => (STEPS, Fate::Dies(tape.range(0, EFFECTS_AFTER_MAX))),
        };
        let steps = if is_of_change { STEPS_OF_CHANGES } else { steps };
        let step = *tape.pick(steps);
        self.nodes[node].doom = Some(Doom { step, fate });
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
