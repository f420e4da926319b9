//! Z11, Z12, Z14: what leaders and learners say to each other comes in the order of the protocol.

use types::{Epoch, Zxid};
use wire::quorum::ToLearner;
use zab::LearnerPacket;

use crate::checkers::{Promise, Violation};

/// What was said over one connection between a learner and its leader, on the learner's side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::world) struct Conversation {
    /// The leader's epoch, once it has told.
    pub(super) epoch: Option<Epoch>,
    /// Whether the learner has agreed to it.
    has_agreed: bool,
    /// Whether the leader has chosen a way to its history.
    is_under_way: bool,
    /// Whether the learner had to cut its own.
    is_cut: bool,
    /// Whether it has got a snapshot.
    is_snapshot: bool,
    /// Whether it has got transactions before it was told that this is all.
    has_difference: bool,
    /// The end of the learner's history with all that was sent so far; `None` if it has none.
    received: Option<Zxid>,
    /// The last transaction that was said to be committed.
    committed: Zxid,
    /// Where the history ended with which the epoch began, once the leader has said that it is all.
    pub(super) history_end: Option<Zxid>,
    /// Whether the learner has acknowledged that.
    has_history: bool,
    /// The last transaction that it has acknowledged.
    acknowledged: Option<Zxid>,
}

impl Conversation {
    /// Takes down what the leader says.
    pub(in crate::world) fn hear(&mut self, packet: &ToLearner<'_>) -> Result<(), Violation> {
        match packet {
            ToLearner::LeaderInfo { epoch } => {
                require(Promise::Z11, self.epoch.is_none(), "LeaderInfo comes once", self)?;
                self.epoch = Some(*epoch);
            }
            ToLearner::Diff { .. } => self.get_under_way(self.received)?,
            ToLearner::Truncate { keep } => {
                self.get_under_way(Some(*keep))?;
                self.is_cut = true;
            }
            ToLearner::Snapshot { last_applied } => {
                self.get_under_way(Some(*last_applied))?;
                self.is_snapshot = true;
            }
            ToLearner::Proposal(proposal) | ToLearner::Inform(proposal) => {
                self.receive(proposal.zxid())?;
            }
            ToLearner::InformAndActivate { proposal, .. } => self.receive(proposal.zxid())?,
            ToLearner::Commit { zxid } | ToLearner::CommitAndActivate { zxid, .. } => {
                let is_next = *zxid > self.committed;
                let is_known = self.received.is_some_and(|received| *zxid <= received);
                require(Promise::Z13, is_next && is_known, &format!("Commit of {zxid}"), self)?;
                self.committed = *zxid;
            }
            ToLearner::NewLeader { epoch, .. } => {
                let is_due = self.is_under_way && self.history_end.is_none();
                let is_due = is_due && self.epoch == Some(*epoch);
                require(Promise::Z11, is_due, "NewLeader comes after the history, once", self)?;
                self.history_end = Some(self.received.unwrap_or_default());
            }
            ToLearner::UpToDate => {
                require(Promise::Z11, self.has_history, "UpToDate comes after the answer", self)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What the way to the leader's history is counted as.
    pub(in crate::world) const fn way(&self) -> &'static str {
        match (self.is_snapshot, self.is_cut, self.has_difference) {
            (true, ..) => "history by a snapshot",
            (false, true, true) => "history by a cut and a difference",
            (false, true, false) => "history by a cut",
            (false, false, true) => "history by a difference",
            (false, false, false) => "history that was there",
        }
    }

    /// Whether the leader has said that it has told all of its history.
    pub(in crate::world) const fn is_told(&self) -> bool {
        self.history_end.is_some()
    }

    /// Where the history ends with which this epoch began, once the leader has said that it is all.
    pub(in crate::world) fn history_end_in(&self, epoch: Epoch) -> Option<Zxid> {
        self.history_end.filter(|_| self.epoch == Some(epoch))
    }

    /// Takes down what the learner says.
    pub(in crate::world) fn say(&mut self, packet: LearnerPacket) -> Result<(), Violation> {
        match packet {
            LearnerPacket::Info { .. } => {}
            LearnerPacket::AckEpoch { last_logged: told, .. } => {
                self.has_agreed = true;
                self.received = told;
            }
            LearnerPacket::AckNewLeader(epoch) => {
                let is_due = self.history_end.is_some() && self.epoch == Some(epoch);
                require(Promise::Z14, is_due, "AckNewLeader is of this epoch", self)?;
                self.has_history = true;
            }
            LearnerPacket::Acks { first, last } => {
                let follows = self.acknowledged.is_none_or(|it| it.next() == Some(first));
                let is_known = self.received.is_some_and(|received| last <= received);
                let is_due = self.has_history && follows && is_known;
                require(Promise::Z14, is_due, &format!("Ack of {first} to {last}"), self)?;
                self.acknowledged = Some(last);
            }
        }
        Ok(())
    }

    fn get_under_way(&mut self, received: Option<Zxid>) -> Result<(), Violation> {
        let is_due = self.has_agreed && !self.is_under_way;
        require(Promise::Z11, is_due, "one way is chosen, after AckEpoch", self)?;
        self.is_under_way = true;
        self.received = received;
        Ok(())
    }

    fn receive(&mut self, zxid: Zxid) -> Result<(), Violation> {
        require(Promise::Z11, self.is_under_way, "a history has a beginning", self)?;
        let follows = self.received.is_none_or(|it| is_next(it, zxid));
        require(Promise::Z12, follows, &format!("{zxid} comes next"), self)?;
        let is_new = self.history_end.is_none() || self.epoch == Some(zxid.epoch());
        require(Promise::Z12, is_new, &format!("{zxid} comes before NewLeader"), self)?;
        self.received = Some(zxid);
        self.has_difference |= self.history_end.is_none();
        Ok(())
    }
}

/// Whether one transaction can come after another in a history.
pub(in crate::world) fn is_next(before: Zxid, zxid: Zxid) -> bool {
    before.next() == Some(zxid) || zxid.epoch() > before.epoch() && zxid.counter().0 == 1
}

fn require(
    promise: Promise,
    holds: bool,
    what: &str,
    conversation: &Conversation,
) -> Result<(), Violation> {
    if holds {
        return Ok(());
    }
    Err(Violation::new(promise, format!("not so: {what}, in {conversation:?}")))
}
