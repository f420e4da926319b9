//! Quotas, as far as they can refuse a write.

use tracing::warn;
use types::ErrorCode;

use super::Preparation;

impl Preparation<'_> {
    /// Whether so many more znodes and bytes fit into the quota that covers the path. Usage is
    /// that of the applied tree, as in Java; a write that adds nothing always fits.
    pub(super) fn check_quota(
        &self,
        path: &str,
        more_nodes: i64,
        more_bytes: i64,
    ) -> Result<(), ErrorCode> {
        if !self.options.enforce_quota {
            return Ok(());
        }
        let Some(quota) = self.tree.quota_of(path) else { return Ok(()) };
        let limits = [
            ("count", more_nodes, quota.usage.count, quota.limits.count_hard, quota.limits.count),
            ("bytes", more_bytes, quota.usage.bytes, quota.limits.bytes_hard, quota.limits.bytes),
        ];
        for (kind, more, used, hard, soft) in limits {
            if more == 0 {
                continue;
            }
            let after = used.saturating_add(more);
            match (hard, soft) {
                (Some(hard), _) if after > hard => return Err(ErrorCode::QuotaExceeded),
                (None, Some(soft)) if after > soft => {
                    if let Some(suppressed) = self.over_quota.admit(self.now.instant) {
                        warn!(path, quota = %quota.path, kind, limit = soft, after, suppressed,
                            "over soft quota");
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
