//! What must hold after every step.

use std::collections::BTreeMap;

use types::{Epoch, Sid, Zxid};

use crate::disk::Entry;

/// What is known of the run from the outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Everything that any server has delivered, in order.
    pub(crate) committed: Vec<Entry>,
    /// Who has led in which epoch.
    leaders: BTreeMap<Epoch, Sid>,
    /// Elections that led to a reign.
    pub(crate) reigns: u64,
}

impl Ledger {
    /// A server has delivered everything up to the end of `log`.
    pub(crate) fn delivered(&mut self, who: Sid, log: &[Entry]) {
        let both = self.committed.len().min(log.len());
        for (ours, theirs) in self.committed.iter().zip(log).take(both) {
            assert_eq!(ours, theirs, "{who:?} delivers another transaction than others");
        }
        self.committed.extend_from_slice(&log[both..]);
    }

    /// A server leads, with this history. It has everything that was ever committed of epochs before its
    /// own; of later ones it knows nothing, if it comes too late.
    pub(crate) fn leads(&mut self, who: Sid, epoch: Epoch, log: &[Entry]) {
        let before = self.leaders.insert(epoch, who);
        assert!(before.is_none_or(|it| it == who), "{before:?} and {who:?} lead in {epoch:?}");
        let before = self.committed.partition_point(|entry| entry.zxid.epoch() < epoch);
        assert!(log.len() >= before, "{who:?} leads with {} of {before} transactions", log.len());
        self.reigns += 1;
    }

    /// The last transaction that any server has delivered.
    pub(crate) fn last(&self) -> Zxid {
        self.committed.last().map_or(Zxid::ZERO, |entry| entry.zxid)
    }
}
