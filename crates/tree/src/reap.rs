//! Which containers and znodes with a time to live have had their time.

use types::{NodeKind, StoredStat, mutant};

use crate::snapshot::SliceEnd;
use crate::tree::Tree;

/// When a znode is to be reaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReapRules {
    /// The wall clock: milliseconds since 1970.
    pub now_ms: i64,
    /// How long a container that never had a child may stay; `None` is for ever.
    pub never_used_max_ms: Option<i64>,
}

impl Tree {
    /// Starts a round over all containers and znodes with a time to live.
    pub fn start_reaping(&mut self) {
        self.owners.start_reaping();
    }

    /// Looks at the next `examine_max` znodes of the round and tells `found` the paths of those that
    /// are to be deleted now. Transactions may be applied between two slices.
    pub fn reap_slice(
        &mut self,
        rules: ReapRules,
        examine_max: usize,
        found: &mut impl FnMut(String),
    ) -> SliceEnd {
        for _ in 0..examine_max {
            let Some(id) = self.owners.reap_next() else { return SliceEnd::Done };
            let node = self.node(id);
            let stat = node.stored_stat();
            if node.num_children() == 0 && rules.are_met(node.kind(), &stat) {
                found(node.path());
            }
        }
        if self.owners.is_reaping() { SliceEnd::More } else { SliceEnd::Done }
    }
}

impl ReapRules {
    /// Whether the time of a znode without children is over.
    pub fn are_met(self, kind: NodeKind, stat: &StoredStat) -> bool {
        let since_ms = if mutant::active(163) { stat.ctime_ms } else { stat.mtime_ms };
        let age_ms = self.now_ms.saturating_sub(since_ms);
        match kind {
            NodeKind::Container if stat.cversion != 0 || mutant::active(162) => true,
            NodeKind::Container => self.never_used_max_ms.is_some_and(|max_ms| age_ms > max_ms),
            // A time to live of zero, which only the layout of 3.5.3 can say, never ends.
            NodeKind::Ttl(ttl) if ttl.is_zero() => false,
            NodeKind::Ttl(ttl) => i128::from(age_ms) > ttl.as_millis().cast_signed(),
            NodeKind::Persistent | NodeKind::Ephemeral(_) => false,
        }
    }
}
