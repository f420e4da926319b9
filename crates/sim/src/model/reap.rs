//! What a server removes by itself.

use types::NodeKind;

use super::Model;

/// What is known of the clocks that say how old a znode is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WallClocks {
    /// They go on.
    GoOn,
    /// They jump: what is young now may have been old.
    Jump,
}

impl Model {
    /// Whether a server may remove a znode that nobody asks it to remove: a container whose last child is
    /// gone, or a znode that was not written for longer than it was to live.
    pub fn is_used_up(&self, path: &str, now_ms: i64, clocks: WallClocks) -> bool {
        let Some(node) = self.node(path) else { return false };
        match self.kind(node) {
            NodeKind::Container => node.children.is_empty() && node.stat.cversion != 0,
            NodeKind::Ttl(_) if clocks == WallClocks::Jump => node.children.is_empty(),
            NodeKind::Ttl(ttl) => {
                let age_ms = now_ms.saturating_sub(node.stat.mtime_ms);
                node.children.is_empty() && i128::from(age_ms) > ttl.as_millis().cast_signed()
            }
            NodeKind::Persistent | NodeKind::Ephemeral(_) => false,
        }
    }
}
