//! How far a server has come on its way into an epoch: as a follower, from its call to the leader until it
//! may serve clients; as a leader, from the epoch that it has accepted until it has served one.
//!
//! Read off what it sends, what arrives at it, and what its disk reports. Where it dies is counted by the
//! step that it has taken last.

use std::collections::BTreeSet;

use super::World;
use super::invariants::voters;
use super::node::NodeId;
use super::process::Admission;

/// A step of that way, in the order in which they are taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Step {
    LeaderCalled,
    FollowerInfoSent,
    LeaderInfoCame,
    /// Written, and maybe not durable.
    EpochWritten,
    EpochAccepted,
    AckEpochSent,
    /// It is known whether a difference, a cut or a snapshot comes.
    DirectionCame,
    /// A part of that has come.
    HistoryPartCame,
    NewLeaderCame,
    HistoryDurable,
    EpochAdopted,
    AckNewLeaderSent,
    /// Until the leader says more.
    UpToDateCame,
    LeaderAcceptedEpoch,
    LeaderInfoSent,
    QuorumAgreed,
    LeaderAdoptedEpoch,
    DirectionSent,
    NewLeaderSent,
    QuorumFollows,
    /// Until the leader sends more.
    UpToDateSent,
    /// Until the next one is.
    ClientServed,
}

impl Step {
    /// All of them.
    pub(super) const ALL: [Self; 22] = [
        Self::LeaderCalled,
        Self::FollowerInfoSent,
        Self::LeaderInfoCame,
        Self::EpochWritten,
        Self::EpochAccepted,
        Self::AckEpochSent,
        Self::DirectionCame,
        Self::HistoryPartCame,
        Self::NewLeaderCame,
        Self::HistoryDurable,
        Self::EpochAdopted,
        Self::AckNewLeaderSent,
        Self::UpToDateCame,
        Self::LeaderAcceptedEpoch,
        Self::LeaderInfoSent,
        Self::QuorumAgreed,
        Self::LeaderAdoptedEpoch,
        Self::DirectionSent,
        Self::NewLeaderSent,
        Self::QuorumFollows,
        Self::UpToDateSent,
        Self::ClientServed,
    ];

    /// What a crash is counted as when this is the last step that was taken.
    pub(super) const fn crash(self) -> &'static str {
        match self {
            Self::LeaderCalled => "crash of a follower: leader called",
            Self::FollowerInfoSent => "crash of a follower: FollowerInfo sent",
            Self::LeaderInfoCame => "crash of a follower: LeaderInfo came",
            Self::EpochWritten => "crash of a follower: accepted epoch written",
            Self::EpochAccepted => "crash of a follower: accepted epoch durable",
            Self::AckEpochSent => "crash of a follower: AckEpoch sent",
            Self::DirectionCame => "crash of a follower: way to the history came",
            Self::HistoryPartCame => "crash of a follower: part of the history came",
            Self::NewLeaderCame => "crash of a follower: NewLeader came",
            Self::HistoryDurable => "crash of a follower: history durable",
            Self::EpochAdopted => "crash of a follower: current epoch durable",
            Self::AckNewLeaderSent => "crash of a follower: AckNewLeader sent",
            Self::UpToDateCame => "crash of a follower: UpToDate came",
            Self::LeaderAcceptedEpoch => "crash of a leader: accepted epoch durable",
            Self::LeaderInfoSent => "crash of a leader: LeaderInfo sent",
            Self::QuorumAgreed => "crash of a leader: quorum of AckEpoch came",
            Self::LeaderAdoptedEpoch => "crash of a leader: current epoch durable",
            Self::DirectionSent => "crash of a leader: way to the history sent",
            Self::NewLeaderSent => "crash of a leader: NewLeader sent",
            Self::QuorumFollows => "crash of a leader: quorum of AckNewLeader came",
            Self::UpToDateSent => "crash of a leader: UpToDate sent",
            Self::ClientServed => "crash of a leader: client served",
        }
    }

    /// Whether it is over when more is said.
    const fn is_last(self) -> bool {
        matches!(self, Self::UpToDateCame | Self::UpToDateSent | Self::ClientServed)
    }
}

/// What a learner has agreed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Assent {
    ToEpoch,
    ToHistory,
}

/// How a leader was deposed that does not know it yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deposed {
    Awake,
    Asleep,
}

/// The way of one process into the epoch that it is in, or will be in.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The last step; `None` before the first one and behind the last one.
    step: Option<Step>,
    furthest: Option<Step>,
    have_agreed: BTreeSet<NodeId>,
    have_history: BTreeSet<NodeId>,
    deposed: Option<Deposed>,
}

impl Way {
    /// Takes a step; tells whether it is news. What is still done for an earlier epoch is none.
    fn take(&mut self, step: Step) -> bool {
        let is_news = match self.furthest {
            None => matches!(step, Step::LeaderCalled | Step::LeaderAcceptedEpoch),
            Some(furthest) => furthest < step,
        };
        if is_news {
            (self.step, self.furthest) = (Some(step), Some(step));
        }
        is_news
    }

    /// The step at which it is.
    pub(super) const fn step(&self) -> Option<Step> {
        self.step
    }

    /// Whether somebody leads in a later epoch, and it has answered nobody since.
    pub(super) const fn is_deposed(&self) -> bool {
        self.deposed.is_some()
    }

    /// More has come, or was sent, of what comes behind the last step.
    fn go_on(&mut self) {
        self.step = self.step.filter(|step| !step.is_last());
    }
}

impl World {
    /// A server takes a step.
    pub(super) fn take_step(&mut self, node: NodeId, step: Step) {
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.way.take(step) {
            self.lie_in_wait(node, step);
        }
    }

    /// A server has no leader any longer, or is about to have another one.
    pub(super) fn turn_back(&mut self, node: NodeId) {
        if let Some(process) = &mut self.nodes[node].process {
            process.way = Way::default();
        }
    }

    /// A server has said or heard something that is no step.
    pub(super) fn go_on(&mut self, node: NodeId) {
        if let Some(process) = &mut self.nodes[node].process {
            process.way.go_on();
        }
    }

    /// Whether a server has called a leader, or is one.
    pub(super) fn has_leader(&self, node: NodeId) -> bool {
        self.nodes[node].process.as_ref().is_some_and(|process| process.way.furthest.is_some())
    }

    /// A learner's assent has come to a leader.
    pub(super) fn note_assent(&mut self, node: NodeId, learner: NodeId, assent: Assent) {
        let membership = self.in_force();
        let Some(process) = &mut self.nodes[node].process else { return };
        let (who, step) = match assent {
            Assent::ToEpoch => (&mut process.way.have_agreed, Step::QuorumAgreed),
            Assent::ToHistory => (&mut process.way.have_history, Step::QuorumFollows),
        };
        who.insert(learner);
        // The leader itself has agreed before it asks others.
        let assenting = voters(&membership).filter(|voter| *voter == node || who.contains(voter));
        if assenting.count() > voters(&membership).count() / 2 {
            self.take_step(node, step);
        }
    }

    /// Somebody leads in a later epoch, and earlier leaders may not know it.
    pub(super) fn depose_others(&mut self, leader: NodeId) {
        let now = self.agenda.now();
        for node in self.nodes.ids().filter(|&node| node != leader) {
            let is_asleep = now < self.nodes[node].paused_until;
            let Some(process) = &mut self.nodes[node].process else { continue };
            let has_led = process.way.furthest >= Some(Step::UpToDateSent);
            if process.admission == Admission::Admit && has_led {
                process.way.deposed =
                    Some(if is_asleep { Deposed::Asleep } else { Deposed::Awake });
            }
        }
    }

    /// A server answers requests of clients.
    pub(super) fn note_answers(&mut self, node: NodeId) {
        let Some(process) = &mut self.nodes[node].process else { return };
        if process.admission != Admission::Admit {
            return;
        }
        match process.way.deposed.take() {
            Some(Deposed::Awake) => self.counters.count("deposed leader answered a client"),
            Some(Deposed::Asleep) => {
                self.counters.count("deposed leader answered a client after waking");
            }
            None => {}
        }
        process.way.go_on();
        if process.way.furthest >= Some(Step::UpToDateSent) {
            self.take_step(node, Step::ClientServed);
        }
    }

    /// Whether a server leads, and has served clients.
    pub(super) fn is_serving_leader(&self, node: NodeId) -> bool {
        let way = self.nodes[node].process.as_ref().map(|process| &process.way);
        self.is_leading(node) && way.is_some_and(|it| it.furthest == Some(Step::ClientServed))
    }
}
