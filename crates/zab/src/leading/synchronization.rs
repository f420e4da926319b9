//! Which way a learner is brought to the leader's history.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::info;
use types::{Zxid, mutant};
use wire::quorum::Cuts;

use super::learner::{Learner, Means, Stage};
use super::{Leading, Phase, send};
use crate::effect::{CloseReason, Effect, LeaderPacket, LearnerKind};
use crate::history::History;
use crate::input::Link;
use crate::options::LogReading;
use crate::peer::Core;

/// How a learner gets what it lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// It keeps all it has.
    Diff {
        /// What follows this is sent.
        after: Zxid,
    },
    /// It cuts what it has.
    Truncate {
        /// The last transaction to keep; what follows it is sent.
        keep: Zxid,
    },
    /// What it has is older than what is in memory; the log may tell.
    Log,
    /// It forgets what it has.
    Snapshot,
}

impl Way {
    const fn means(self) -> Means {
        match self {
            Self::Diff { .. } | Self::Truncate { .. } | Self::Log => Means::Diff,
            Self::Snapshot => Means::Snapshot,
        }
    }

    /// Returns this way, or a snapshot for a learner that might cut in vain.
    ///
    /// A server of Apache takes a snapshot of what it has as soon as it is elected, before a quorum
    /// agrees. Told to cut that off, it reads the snapshot back, and has what nobody else has. But it
    /// replays what its log has behind a snapshot: one of `max`, where the leader's history ends, is of
    /// use only if that is later than what it has.
    pub(crate) fn fit_for(self, learner: &Learner, max: Zxid) -> Self {
        match self {
            Self::Truncate { keep } => match learner.cuts {
                Cuts::Snapshots => self,
                Cuts::Log if keep == max => self,
                Cuts::Log | Cuts::Nothing => Self::Snapshot,
            },
            Self::Diff { .. } | Self::Log | Self::Snapshot => self,
        }
    }
}

/// Begins to synchronize a learner this way. Returns false if it has to come again, as so many are being
/// synchronized.
pub(crate) fn begin(
    core: &Core,
    learners: &mut BTreeMap<Link, Learner>,
    link: Link,
    way: Way,
) -> bool {
    let means = way.means();
    let max = match means {
        Means::Diff => core.options.synchronizations_max.diffs,
        Means::Snapshot => core.options.synchronizations_max.snapshots,
    };
    let count = learners.values().filter(|learner| learner.means() == Some(means)).count();
    let Some(learner) = learners.get_mut(&link) else { return true };
    let is_voter = learner.sid.is_some_and(|sid| core.quorums.is_voter(sid));
    let may_begin = learner.kind() == LearnerKind::Follower || is_voter || count < max;
    if may_begin {
        learner.begin(means);
    }
    may_begin
}

/// Chooses the way for a learner whose log ends with `theirs`.
///
/// `max` is the end of what is committed, or will be as soon as a quorum has the leader's history. A
/// zxid with counter 0 stands for the state in which an epoch began; nothing was logged under it.
pub(crate) fn way(history: &History, max: Zxid, theirs: Option<Zxid>) -> Way {
    let Some(theirs) = theirs else { return Way::Snapshot };
    let begins_epoch = is_beginning(theirs) && !mutant::active(20);
    if theirs == max {
        return Way::Diff { after: theirs };
    }
    if theirs > max {
        return match begins_epoch || is_beginning(max) {
            // There is no transaction to cut behind.
            true => Way::Snapshot,
            false if mutant::active(16) => {
                Way::Truncate { keep: Zxid::from_raw(theirs.raw() - 1).max(max) }
            }
            false => Way::Truncate { keep: max },
        };
    }
    match history.last_up_to(theirs) {
        None => Way::Log,
        Some(before) if is_beginning(theirs) && before != theirs && mutant::active(20) => {
            Way::Truncate { keep: before }
        }
        Some(before) => way_behind(theirs, before),
    }
}

/// Chooses the way for a learner whose log ends with `theirs`, when `before` is the last transaction
/// of this history that is not later.
pub(super) fn way_behind(theirs: Zxid, before: Zxid) -> Way {
    if before == theirs {
        return Way::Diff { after: theirs };
    }
    if is_beginning(theirs) {
        // All of the epochs before, and nothing of this one: it has `before`.
        return Way::Diff { after: before };
    }
    // It has something that the leader never had. Transactions of one epoch are the same wherever
    // they are, and so is everything before the first of them: the two part behind `before` if it is
    // of that epoch. Otherwise they part somewhere in an earlier one.
    match before.epoch() == theirs.epoch() && !is_beginning(before) {
        true => Way::Truncate { keep: before },
        false => Way::Snapshot,
    }
}

/// Whether it stands for the state in which an epoch began.
fn is_beginning(zxid: Zxid) -> bool {
    zxid.counter().0 == 0
}

impl Leading {
    /// Begins to bring a learner to this server's history.
    pub(super) fn synchronize(
        &mut self,
        core: &mut Core,
        link: Link,
        theirs: Option<Zxid>,
        effects: &mut Vec<Effect>,
    ) {
        let max = self.history_end(core);
        let Some(learner) = self.learners.get(&link) else { return };
        let way = match core.options.snapshots_only {
            true => Way::Snapshot,
            false => match way(&core.history, max, theirs) {
                Way::Log if !self.reads_log(core) => Way::Snapshot,
                way => way.fit_for(learner, max),
            },
        };
        if !begin(core, &mut self.learners, link, way) {
            return self.dismiss(link, CloseReason::Crowded, effects);
        }
        let Some(learner) = self.learners.get(&link) else { return };
        let (sid, told) = (learner.sid.map(|sid| sid.0), theirs.map(tracing::field::display));
        info!(sid, theirs = told, ours = %max, ?way, "synchronizing a learner");
        let after = match way {
            Way::Diff { after } => {
                send(link, LeaderPacket::Diff { last_committed: max }, effects);
                after
            }
            Way::Truncate { keep } => {
                send(link, LeaderPacket::Truncate { keep }, effects);
                keep
            }
            Way::Log => return self.look_in_log(core, link, theirs, effects),
            Way::Snapshot => return self.send_snapshot(core, link, effects),
        };
        self.send_history(core, link, after, effects);
    }

    /// Sends a learner a snapshot of all that is committed, or will be.
    pub(super) fn send_snapshot(&mut self, core: &mut Core, link: Link, effects: &mut Vec<Effect>) {
        let max = self.history_end(core);
        let Some(learner) = self.learners.get_mut(&link) else { return };
        if core.history.last_committed() < max && !mutant::active(131) {
            // The learner forgets what it has, and may be one of few that have it: it must get
            // no less.
            core.history.assume_committed(max);
            effects.push(Effect::Deliver(max));
        }
        let last_applied = match mutant::active(11) {
            true => core.history.last_logged(),
            false => core.history.last_committed(),
        };
        learner.stage = Stage::TakesSnapshot { last_applied };
        effects.push(Effect::SendSnapshot { link, last_applied });
    }

    /// Whether learners may get what they lack out of the log. It does not show where an epoch begins in
    /// which nothing was logged.
    fn reads_log(&self, core: &Core) -> bool {
        self.is_log_sound
            && core.options.log_reading != LogReading::Off
            && !is_beginning(core.history.kept_after())
    }

    /// Sends everything behind a transaction: what is committed, and to a follower what is proposed
    /// too. From here on the learner gets everything as it comes.
    pub(super) fn send_history(
        &mut self,
        core: &Core,
        link: Link,
        after: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        let max = self.history_end(core);
        let epoch = match &self.phase {
            Phase::Synchronizing(epoch) => *epoch,
            Phase::Broadcasting(broadcast) => broadcast.epoch(),
            // A learner that agreed waits until one of these is reached.
            _ => return,
        };
        let Some(learner) = self.learners.get_mut(&link) else { return };
        learner.stage = Stage::CatchesUp;
        let kind = learner.kind();
        let config = core.memberships().newest().to_string().into();
        let end = LeaderPacket::NewLeader { epoch, config };
        if mutant::active(9) {
            send(link, end.clone(), effects);
        }
        let mut after = after;
        for batch in core.history.after(after) {
            let Some(last) = batch.last_zxid() else { continue };
            if let Some(first) = first_behind(batch, after)
                && first <= max
            {
                let last = last.min(max);
                let batch = Arc::clone(batch);
                send(link, LeaderPacket::Committed { batch, first, last }, effects);
            }
            if let Some(first) = first_behind(batch, after.max(max))
                && kind == LearnerKind::Follower
            {
                let batch = Arc::clone(batch);
                send(link, LeaderPacket::Proposals { batch, first }, effects);
            }
            after = last;
        }
        if !mutant::active(9) {
            send(link, end, effects);
        }
    }

    /// The end of what learners may take for committed once they follow.
    pub(super) fn history_end(&self, core: &Core) -> Zxid {
        match &self.phase {
            Phase::Broadcasting(_) => core.history.last_committed(),
            _ => core.history.last_logged(),
        }
    }
}

/// Sends what is committed behind a transaction, up to another.
pub(crate) fn send_committed(
    history: &History,
    link: Link,
    after: Zxid,
    up_to: Zxid,
    effects: &mut Vec<Effect>,
) {
    let mut after = after;
    for batch in history.after(after) {
        let Some(last) = batch.last_zxid() else { continue };
        if let Some(first) = first_behind(batch, after)
            && first <= up_to
        {
            let last = last.min(up_to);
            let batch = Arc::clone(batch);
            send(link, LeaderPacket::Committed { batch, first, last }, effects);
        }
        after = last;
    }
}

/// The first transaction of a batch that comes after another.
pub(super) fn first_behind(batch: &wire::stored::LogBatch, after: Zxid) -> Option<Zxid> {
    match batch.first_zxid() {
        Some(first) if first > after => Some(first),
        _ if batch.last_zxid() <= Some(after) || mutant::active(153) => None,
        _ => batch.proposals().map(wire::quorum::Proposal::zxid).find(|&zxid| zxid > after),
    }
}

#[cfg(test)]
mod tests {
    use types::{Counter, Epoch};
    use wire::quorum::Proposal;
    use wire::stored::LogBatch;

    use super::*;
    use crate::history::HistoryBounds;

    fn at(epoch: i32, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), Counter(counter))
    }

    /// A leader that has forgotten what was before 2/3.
    fn history() -> History {
        let mut history =
            History::recovered(at(2, 3), HistoryBounds { txns_min: 10, bytes_max: 1000 });
        let mut batch = LogBatch::new();
        for zxid in [at(2, 4), at(2, 5), at(4, 1), at(4, 2)] {
            let mut payload = vec![0; 12];
            payload.extend_from_slice(&zxid.raw().to_be_bytes());
            batch.push_proposal(Proposal::new(&payload).expect("long enough"));
        }
        history.append(Arc::new(batch));
        history
    }

    #[test]
    fn each_end_of_a_log_has_its_way() {
        let history = history();
        let max = at(4, 2);
        for (theirs, expected) in [
            (at(4, 2), Way::Diff { after: at(4, 2) }),
            (at(4, 1), Way::Diff { after: at(4, 1) }),
            (at(2, 4), Way::Diff { after: at(2, 4) }),
            (at(2, 3), Way::Diff { after: at(2, 3) }),
            (at(2, 2), Way::Log),
            (at(0, 0), Way::Log),
            // It logged what nobody else did.
            (at(4, 3), Way::Truncate { keep: at(4, 2) }),
            (at(2, 6), Way::Truncate { keep: at(2, 5) }),
            // So did the leader of that epoch, maybe: it is not known where the two part.
            (at(3, 1), Way::Snapshot),
            // It followed a leader of that epoch that had proposed nothing yet.
            (at(4, 0), Way::Diff { after: at(2, 5) }),
            (at(3, 0), Way::Diff { after: at(2, 5) }),
            (at(5, 0), Way::Snapshot),
        ] {
            assert_eq!(way(&history, max, Some(theirs)), expected, "{theirs}");
        }
        assert_eq!(way(&history, max, None), Way::Snapshot);
    }
}
