//! What this server has logged, how much of it is durable and how much committed; and the recent
//! past, for learners that come back.

use std::collections::VecDeque;
use std::sync::Arc;

use types::{Counter, Epoch, Zxid, mutant};
use wire::quorum::Proposal;
use wire::stored::LogBatch;

/// How many committed transactions are kept for learners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryBounds {
    /// So many at least, if so many are committed since the start; more while one needs them.
    pub txns_min: usize,
    /// ... unless they take more bytes than this.
    pub bytes_max: usize,
}

/// The order of transactions as far as this server knows it.
///
/// ```text
///            kept_after          last_committed     last_synced      last_logged
///  ... forgotten │ batches ...          │                │                │
///  ──────────────┴──────────────────────┴────────────────┴────────────────┘
/// ```
///
/// What is committed may be ahead of what is synced here: a quorum without this server has it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// In order and without gaps: all that was logged after `kept_after`.
    batches: VecDeque<Arc<LogBatch>>,
    /// How many transactions are in `batches`.
    kept: usize,
    /// How many bytes they take.
    kept_bytes: usize,
    bounds: HistoryBounds,
    kept_after: Zxid,
    last_logged: Zxid,
    last_synced: Zxid,
    last_committed: Zxid,
    /// As `last_committed`, but as some leader has said it since the start: a correct leader has all
    /// this.
    known_committed: Zxid,
}

impl History {
    /// The history of a server that starts: all it has recovered is durable, and is taken for
    /// committed until a leader says otherwise.
    pub(crate) const fn recovered(last_logged: Zxid, bounds: HistoryBounds) -> Self {
        Self {
            batches: VecDeque::new(),
            kept: 0,
            kept_bytes: 0,
            bounds,
            kept_after: last_logged,
            last_logged,
            last_synced: last_logged,
            last_committed: last_logged,
            known_committed: Zxid::ZERO,
        }
    }

    /// Adds transactions that are being logged.
    pub(crate) fn append(&mut self, batch: Arc<LogBatch>) {
        let (Some(first), Some(last)) = (batch.first_zxid(), batch.last_zxid()) else { return };
        assert!(first > self.last_logged, "{first} appended after {}", self.last_logged);
        self.last_logged = last;
        self.kept += batch.count();
        self.kept_bytes += batch.as_bytes().len();
        self.batches.push_back(batch);
    }

    /// Notes what the log says. Syncs of what was cut since are no news.
    pub(crate) fn synced(&mut self, zxid: Zxid) {
        self.last_synced = self.last_synced.max(zxid.min(self.last_logged));
    }

    /// Notes that everything up to a transaction is committed, and forgets what is old.
    /// What comes after `needed`, or is not durable, is kept in any case: what is forgotten is in the
    /// log.
    pub(crate) fn commit(&mut self, zxid: Zxid, needed: Zxid) {
        assert!(zxid >= self.last_committed, "commits are for good");
        assert!(zxid <= self.last_logged, "{zxid} committed, {} logged", self.last_logged);
        self.last_committed = zxid;
        self.known_committed = zxid;
        self.forget(zxid, needed);
    }

    /// Takes what is logged up to a transaction for committed, as after a start, until a leader says
    /// otherwise.
    pub(crate) fn assume_committed(&mut self, zxid: Zxid) {
        assert!(zxid <= self.last_logged, "{zxid} committed, {} logged", self.last_logged);
        self.last_committed = self.last_committed.max(zxid);
    }

    /// As [`Self::assume_committed`], of a history that is being received; and forgets what is old.
    pub(crate) fn receive_committed(&mut self, zxid: Zxid) {
        self.assume_committed(zxid);
        self.forget(zxid, zxid);
    }

    /// Forgets all after a transaction, which is not before [`Self::known_committed`].
    pub(crate) fn truncate(&mut self, keep: Zxid) {
        assert!(keep >= self.known_committed, "what is committed is never cut");
        while let Some(newest) = self.batches.pop_back() {
            self.kept -= newest.count();
            self.kept_bytes -= newest.as_bytes().len();
            if newest.first_zxid().is_none_or(|first| first > keep) {
                continue;
            }
            let mut rest = LogBatch::new();
            for proposal in newest.proposals().take_while(|proposal| proposal.zxid() <= keep) {
                rest.push_proposal(proposal);
            }
            self.kept += rest.count();
            self.kept_bytes += rest.as_bytes().len();
            self.batches.push_back(Arc::new(rest));
            break;
        }
        self.kept_after = self.kept_after.min(keep);
        self.last_logged = keep;
        if !mutant::active(17) {
            self.last_synced = self.last_synced.min(keep);
        }
        self.last_committed = self.last_committed.min(keep);
    }

    /// Forgets everything: a snapshot has taken its place.
    pub(crate) fn replace(&mut self, last_applied: Zxid) {
        let known_committed = self.known_committed;
        let new = Self { known_committed, ..Self::recovered(last_applied, self.bounds) };
        let old = std::mem::replace(self, new);
        if mutant::active(18) {
            (self.batches, self.kept, self.kept_bytes, self.kept_after) =
                (old.batches, old.kept, old.kept_bytes, old.kept_after);
        }
    }

    /// Loses the newest of what is kept. Only a planted bug does that.
    pub(crate) fn lose_newest(&mut self) {
        if let Some(batch) = self.batches.pop_back() {
            self.kept -= batch.count();
            self.kept_bytes -= batch.as_bytes().len();
        }
    }

    pub(crate) const fn last_logged(&self) -> Zxid {
        self.last_logged
    }

    pub(crate) const fn last_synced(&self) -> Zxid {
        self.last_synced
    }

    pub(crate) const fn last_committed(&self) -> Zxid {
        self.last_committed
    }

    /// Up to where this server knows from a leader that it is committed.
    pub(crate) const fn known_committed(&self) -> Zxid {
        self.known_committed
    }

    /// Whether all that is logged is durable.
    pub(crate) fn is_synced(&self) -> bool {
        self.last_synced == self.last_logged
    }

    /// The bytes of all that is kept.
    pub(crate) const fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// The bytes of what is kept after a transaction.
    pub(crate) fn bytes_after(&self, zxid: Zxid) -> usize {
        self.after(zxid).map(|batch| batch.as_bytes().len()).sum()
    }

    /// The oldest transaction behind which everything is kept; durable here.
    pub(crate) const fn kept_after(&self) -> Zxid {
        self.kept_after
    }

    /// The last transaction up to and including `zxid`, of those behind [`Self::kept_after`] and
    /// itself; `None` if that is forgotten.
    pub(crate) fn last_up_to(&self, zxid: Zxid) -> Option<Zxid> {
        if zxid < self.kept_after {
            return None;
        }
        let batch = self.batches.partition_point(|batch| batch.first_zxid() <= Some(zxid));
        let Some(batch) = batch.checked_sub(1).and_then(|index| self.batches.get(index)) else {
            return Some(self.kept_after);
        };
        batch.proposals().map(Proposal::zxid).take_while(|&it| it <= zxid).last()
    }

    /// The batches with everything after a transaction, oldest first. The first one may begin
    /// before it.
    pub(crate) fn after(&self, zxid: Zxid) -> impl Iterator<Item = &Arc<LogBatch>> {
        let first = self.batches.partition_point(|batch| batch.last_zxid() <= Some(zxid));
        self.batches.iter().skip(first)
    }

    /// Forgets what is committed up to a transaction, not needed, and more than has to be kept.
    fn forget(&mut self, zxid: Zxid, needed: Zxid) {
        let durable = if mutant::active(164) { zxid } else { self.last_synced };
        let kept_from = needed.min(zxid).min(durable);
        while let Some(oldest) = self.batches.front()
            && let Some(last) = oldest.last_zxid()
            && last <= kept_from
            && self.bounds.let_go(self.kept - oldest.count(), self.kept_bytes)
        {
            self.kept -= oldest.count();
            self.kept_bytes -= oldest.as_bytes().len();
            self.kept_after = last;
            self.batches.pop_front();
        }
    }
}

impl HistoryBounds {
    /// Whether the oldest batch may go, with which there are so many bytes, and without it so many
    /// transactions.
    const fn let_go(self, txns_left: usize, bytes: usize) -> bool {
        txns_left >= self.txns_min || bytes > self.bytes_max
    }
}

/// The transaction that has to follow `last` within an epoch, which may begin with it; `None` when
/// the epoch is used up.
pub(crate) fn next_in(epoch: Epoch, last: Zxid) -> Option<Zxid> {
    let before = if last.epoch() == epoch { last } else { beginning(epoch) };
    before.next()
}

/// The state in which an epoch begins; nothing is logged under this zxid.
pub(crate) const fn beginning(epoch: Epoch) -> Zxid {
    Zxid::new(epoch, Counter(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: i32, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), Counter(counter))
    }

    fn batch(zxids: &[Zxid]) -> Arc<LogBatch> {
        let mut batch = LogBatch::new();
        for zxid in zxids {
            let mut payload = vec![0; 12];
            payload.extend_from_slice(&zxid.raw().to_be_bytes());
            batch.push_proposal(Proposal::new(&payload).expect("long enough"));
        }
        Arc::new(batch)
    }

    fn history() -> History {
        let bounds = HistoryBounds { txns_min: 2, bytes_max: 1000 };
        let mut history = History::recovered(at(1, 3), bounds);
        history.append(batch(&[at(1, 4), at(1, 5)]));
        history.append(batch(&[at(2, 1), at(2, 2), at(2, 3)]));
        history.append(batch(&[at(2, 4)]));
        history
    }

    fn zxids(history: &History, after: Zxid) -> Vec<Zxid> {
        history
            .after(after)
            .flat_map(|batch| batch.proposals().map(Proposal::zxid).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn finds_neighbors_across_batches_and_epochs() {
        let history = history();
        assert_eq!(history.last_up_to(at(1, 2)), None);
        assert_eq!(history.last_up_to(at(1, 3)), Some(at(1, 3)));
        assert_eq!(history.last_up_to(at(1, 9)), Some(at(1, 5)));
        assert_eq!(history.last_up_to(at(2, 2)), Some(at(2, 2)));
        assert_eq!(history.last_up_to(at(2, 9)), Some(at(2, 4)));
        assert_eq!(zxids(&history, at(2, 3)), [at(2, 4)]);
        assert_eq!(zxids(&history, at(2, 1)), [at(2, 1), at(2, 2), at(2, 3), at(2, 4)]);
    }

    #[test]
    fn forgets_what_is_committed_and_not_needed_and_not_among_the_newest() {
        let mut history = history();
        history.synced(at(2, 4));
        history.commit(at(2, 3), at(1, 4));
        assert_eq!(history.kept_after(), at(1, 3), "needed");
        history.commit(at(2, 3), at(2, 3));
        assert_eq!(history.kept_after(), at(1, 5), "two have to stay, batches stay whole");
        history.append(batch(&[at(2, 5)]));
        history.commit(at(2, 3), at(2, 3));
        assert_eq!(history.kept_after(), at(2, 3));
        assert_eq!(zxids(&history, at(2, 3)), [at(2, 4), at(2, 5)]);
    }

    #[test]
    fn keeps_what_is_committed_and_not_durable_here() {
        let mut history = history();
        history.synced(at(1, 5));
        history.commit(at(2, 4), at(2, 4));
        assert_eq!(history.kept_after(), at(1, 5), "the log is read up to there");
        history.synced(at(2, 4));
        history.commit(at(2, 4), at(2, 4));
        assert_eq!(history.kept_after(), at(1, 5), "two have to stay");
        history.append(batch(&[at(2, 5)]));
        history.commit(at(2, 4), at(2, 4));
        assert_eq!(history.kept_after(), at(2, 3));
    }

    #[test]
    fn keeps_few_if_they_are_long() {
        let entry = batch(&[at(2, 4)]).as_bytes().len();
        let bounds = HistoryBounds { txns_min: 100, bytes_max: 2 * entry };
        let mut history = History::recovered(at(1, 0), bounds);
        for counter in 1..=5 {
            history.append(batch(&[at(1, counter)]));
        }
        history.synced(at(1, 5));
        history.commit(at(1, 4), at(1, 1));
        assert_eq!(history.kept_after(), at(1, 1), "a learner needs them");
        history.commit(at(1, 4), at(1, 4));
        assert_eq!(zxids(&history, at(1, 3)), [at(1, 4), at(1, 5)]);
        assert_eq!(history.kept_after(), at(1, 3));
    }

    #[test]
    fn counts_the_bytes_of_what_came_after_a_transaction() {
        let history = history();
        let entry = batch(&[at(2, 4)]).as_bytes().len();
        assert_eq!(history.bytes_after(at(2, 4)), 0);
        assert_eq!(history.bytes_after(at(2, 3)), entry);
        assert_eq!(history.bytes_after(at(1, 3)), history.kept_bytes());
    }

    #[test]
    fn a_cut_goes_through_the_middle_of_a_batch() {
        let mut history = history();
        history.synced(at(2, 4));
        history.truncate(at(2, 1));
        assert_eq!(zxids(&history, at(1, 3)), [at(1, 4), at(1, 5), at(2, 1)]);
        assert_eq!((history.last_logged(), history.last_synced()), (at(2, 1), at(2, 1)));
        history.synced(at(2, 4));
        assert_eq!(history.last_synced(), at(2, 1), "a sync of what was cut is no news");
        history.truncate(at(1, 1));
        assert_eq!((history.kept_after(), history.last_committed()), (at(1, 1), at(1, 1)));
        assert_eq!(zxids(&history, at(1, 1)), []);
    }

    #[test]
    fn an_epoch_begins_with_one_and_ends() {
        assert_eq!(next_in(Epoch(2), at(1, 7)), Some(at(2, 1)));
        assert_eq!(next_in(Epoch(2), at(2, 7)), Some(at(2, 8)));
        assert_eq!(next_in(Epoch(2), at(2, u32::MAX)), None);
    }
}
