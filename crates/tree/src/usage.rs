//! Keeps the usage of quotas up to date.

use crate::arena::NodeId;
use crate::quota::{self, Quota, QuotaLimits, QuotaNode, QuotaUsage};
use crate::tree::Tree;

impl Tree {
    /// The quota that governs this path, which need not exist: the deepest one on the path or above.
    pub fn quota_of(&self, path: &str) -> Option<Quota> {
        let path = self.deepest_quota(path)?;
        let data = |path: &str| self.find(path).and_then(|node| node.data()).unwrap_or_default();
        Some(Quota {
            path: path.to_owned(),
            limits: QuotaLimits::parse(data(&quota::limits_path(path))),
            usage: QuotaUsage::parse(data(&quota::stats_path(path))),
        })
    }

    /// Tops of the subtrees that have a quota.
    pub fn quotas(&self) -> impl Iterator<Item = &str> {
        self.quotas.iter().map(|path| &**path)
    }

    /// Counts a znode that was created; if it is one of a quota's own, does what that means.
    pub(crate) fn count_created_in_quotas(&mut self, path: &str, data_bytes: usize) {
        match QuotaNode::of(path) {
            Some(QuotaNode::Limits(subtree)) => {
                self.quotas.insert(subtree.into());
            }
            Some(QuotaNode::Stats(subtree)) => self.recount(subtree),
            None => {}
        }
        let bytes = i64::try_from(data_bytes).expect("no allocation is larger than that");
        self.count_in_quota(path, 1, bytes);
    }

    /// Adds to the usage of the deepest quota on a path or above.
    pub(crate) fn count_in_quota(&mut self, path: &str, count: i64, bytes: i64) {
        let Some(subtree) = self.deepest_quota(path) else { return };
        let stats_path = quota::stats_path(subtree);
        let Some(id) = self.store.find(&stats_path) else { return };
        let usage = QuotaUsage::parse(self.store.data(id).unwrap_or_default());
        let usage = QuotaUsage {
            count: usage.count.wrapping_add(count),
            bytes: usage.bytes.wrapping_add(bytes),
        };
        self.write_usage(id, &stats_path, usage);
    }

    /// Finds all quotas in a tree that was just loaded and recounts what they govern.
    pub(crate) fn rebuild_quotas(&mut self) {
        let Some(top) = self.store.find("/zookeeper/quota") else { return };
        let paths: Vec<String> = self.subtree(top).map(|id| self.store.path(id)).collect();
        for path in &paths {
            if let Some(QuotaNode::Limits(subtree)) = QuotaNode::of(path) {
                self.quotas.insert(subtree.into());
                self.recount(subtree);
            }
        }
    }

    /// Counts a subtree and writes the result to its quota, if that has a place for it.
    fn recount(&mut self, subtree: &str) {
        let stats_path = quota::stats_path(subtree);
        let Some(id) = self.store.find(&stats_path) else { return };
        let mut usage = QuotaUsage::default();
        if let Some(top) = self.store.find(subtree) {
            for id in self.subtree(top) {
                usage.count += 1;
                let bytes = self.store.record(id).payload.data_bytes();
                usage.bytes += i64::try_from(bytes).expect("no allocation is larger than that");
            }
        }
        self.write_usage(id, &stats_path, usage);
    }

    fn write_usage(&mut self, id: NodeId, stats_path: &str, usage: QuotaUsage) {
        self.set_data(id, stats_path, Some(usage.to_string().as_bytes()), |_| {});
    }

    fn deepest_quota<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.quotas.is_empty() {
            return None;
        }
        quota::self_and_ancestors(path).find(|&path| self.quotas.contains(path))
    }
}
