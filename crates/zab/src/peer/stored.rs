//! What the storage has of all that was acknowledged, and what may be based on it.
//!
//! A server's vote, and its word on how far it goes, stand for its log. So they have to wait while a leader's
//! snapshot replaces that, and to go by what was there as long as a part is missing that a leader has taken away:
//! `docs/design/0003-ensembles.md` tells when that is so, and why others that have it may be voted for.

use types::{Memory, Zxid, mutant};
use wire::quorum::ToLearner;

use super::{Core, Obstacle};
use crate::effect::Effect;
use crate::election::Candidate;
use crate::input::Input;

impl Core {
    /// What this server is in an election. If something is missing that it had acknowledged, it is for those
    /// for whom it would have been with it.
    pub(super) fn candidate(&self) -> Candidate {
        let (had, may_lead) = match self.memory() {
            Memory::Whole => (Some(self.history.last_logged()), true),
            Memory::Shortened { .. } if mutant::active(171) => {
                (Some(self.history.last_logged()), false)
            }
            Memory::Shortened { had } => (had, false),
        };
        let last_logged = had.filter(|_| !self.is_being_replaced() && !self.is_disk_stuck);
        Candidate { last_logged, epoch: self.epochs.current(), may_lead }
    }

    /// Whether everything that was acknowledged is there, with the history as far as it goes now.
    fn memory(&self) -> Memory {
        self.memory.of_history(self.history.last_logged(), self.epochs.current())
    }

    /// What a vote for this server can be based on; `None` if it may have lost something, or is about to.
    pub(crate) fn sound_last_logged(&self) -> Option<Zxid> {
        let is_sound = self.memory() == Memory::Whole && !self.is_being_replaced();
        is_sound.then(|| self.history.last_logged())
    }

    /// How far this server goes, by its word to a leader. For a new epoch that is what it had, whatever is left of
    /// it: its leader counts on nobody of a quorum having more. Otherwise nobody counts on it, and the leader sends
    /// what it lacks. `None` if it is not known how much it had: only a snapshot helps then.
    pub(crate) fn claim(&self, is_new_epoch: bool) -> Option<Zxid> {
        let last_logged = self.history.last_logged();
        let had = match self.memory() {
            Memory::Whole => Some(last_logged),
            Memory::Shortened { had } if is_new_epoch && !mutant::active(172) => had,
            Memory::Shortened { had } => had.map(|_| last_logged),
        };
        had.filter(|_| !self.is_being_replaced())
    }

    const fn is_being_replaced(&self) -> bool {
        matches!(self.obstacle, Some(Obstacle::Snapshot(_)))
    }

    /// Whether another epoch may be accepted. The storage judges what a snapshot takes away by the epoch
    /// that was accepted for the leader who sent it, and that must be the last one until it has.
    pub(crate) const fn may_accept(&self) -> bool {
        !matches!(self.obstacle, Some(Obstacle::Snapshot(_) | Obstacle::Closing(_)))
    }

    /// Ends the history with a transaction; the storage has to follow.
    pub(crate) fn truncate(&mut self, keep: Zxid) {
        self.note_what_is_taken(keep);
        self.history.truncate(keep);
        self.obstacle = Some(Obstacle::Cut(keep));
        let passed_over = self.passed_over.clone();
        self.passed_over.take_if(|change| change.version().zxid() > keep);
        self.changes_before_cut = [self.memberships.pending().cloned(), passed_over];
    }

    /// The history stays as it was, though a leader wants its end to be cut off: it is taken for what is
    /// recovered by a start.
    pub(super) fn keep_uncut(&mut self, last_logged: Zxid, effects: &mut Vec<Effect>) {
        effects.push(Effect::Deliver(last_logged));
        let [pending, passed_over] = std::mem::take(&mut self.changes_before_cut);
        self.passed_over = passed_over;
        if let Some(pending) = pending {
            self.see(pending, effects);
        }
    }

    /// Notes, if it is so, that this server loses what others may count on it for, as its history is to end with
    /// a transaction that a leader names. The leader has all of earlier epochs that is committed, or ever
    /// will be; of its own, what this server has acknowledged may be committed beyond what it names.
    fn note_what_is_taken(&mut self, last: Zxid) {
        let last_logged = self.history.last_logged();
        if last_logged > last && last_logged.epoch() >= self.epochs.accepted() {
            self.memory = self.memory.shortened_from(last_logged);
        }
    }

    /// Sees what still comes over a connection that was given up. The storage receives a snapshot
    /// whatever became of the role, so nothing else may be based on the log before it is done.
    pub(super) fn watch_for_late_snapshot(&mut self, input: &Input<'_>) {
        match *input {
            Input::FromLeader { link, packet: ToLearner::Snapshot { .. } }
                if self.obstacle == Some(Obstacle::Closing(link)) =>
            {
                self.obstacle = Some(Obstacle::Snapshot(link));
            }
            Input::QuorumLinkClosed { link } if self.obstacle == Some(Obstacle::Closing(link)) => {
                self.obstacle = None;
            }
            _ => {}
        }
    }

    pub(super) fn take_from_storage(&mut self, input: &Input<'_>) {
        match *input {
            Input::LogSynced { zxid } => self.history.synced(zxid),
            Input::AcceptedEpochStored(epoch) => self.epochs.accepted_is_stored(epoch),
            Input::CurrentEpochStored(epoch) => {
                self.epochs.current_is_stored(epoch);
                // Before that comes all of a leader's history.
                self.memory = Memory::Whole;
                self.is_cuttable = true;
            }
            Input::Truncated { last_logged } => {
                assert_eq!(
                    last_logged,
                    self.history.last_logged(),
                    "the log ends where it was cut"
                );
                assert_eq!(self.obstacle, Some(Obstacle::Cut(last_logged)), "one cut at a time");
                self.obstacle = None;
                self.changes_before_cut = [None, None];
            }
            Input::NotTruncated { last_logged } => {
                assert!(matches!(self.obstacle, Some(Obstacle::Cut(_))), "a cut was wanted");
                self.obstacle = None;
                // It still has all that it had. Only a snapshot takes away what the leader does not have: a
                // leader that does not send one to who asks for it has to be told that there is nothing.
                if !self.is_cuttable {
                    self.memory = Memory::Shortened { had: None };
                }
                self.is_cuttable = false;
                self.history.replace(last_logged);
            }
            Input::SnapshotInstalled { link, last_applied, .. } => {
                assert_eq!(self.obstacle, Some(Obstacle::Snapshot(link)), "one snapshot at a time");
                self.obstacle = None;
                self.note_what_is_taken(last_applied);
                self.is_between_states = true;
                self.history.replace(last_applied);
            }
            Input::SnapshotGivenUp { link } if self.obstacle == Some(Obstacle::Snapshot(link)) => {
                self.obstacle = None;
            }
            _ => {}
        }
    }
}
