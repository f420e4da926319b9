//! Walking the tree for a snapshot while transactions go on.

use types::{AclList, SessionId, StoredStat, Zxid, mutant};

use crate::arena::NodeId;
use crate::tree::Tree;

/// What a znode takes in a snapshot beside path and data.
const NODE_OVERHEAD_BYTES: usize = 76;

/// What comes first in a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotHead {
    /// The last transaction that is wholly contained; the replay starts with the next one.
    pub zxid: Zxid,
    /// Global sessions with their timeouts in milliseconds.
    pub sessions: Vec<(SessionId, i32)>,
    /// Access control lists by id.
    pub acls: Vec<(i64, AclList)>,
}

/// Whether a slice was the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SliceEnd {
    /// More is to come.
    More,
    /// That was all.
    Done,
}

impl Tree {
    /// Begins a snapshot; one that was under way is abandoned. The znodes follow from
    /// [`Tree::snapshot_slice`].
    pub fn begin_snapshot(&mut self) -> SnapshotHead {
        self.store.set_walk(Some(NodeId::ROOT));
        SnapshotHead {
            zxid: if mutant::active(101) {
                self.last_applied.successor()
            } else {
                self.last_applied
            },
            sessions: self.sessions().skip(usize::from(mutant::active(42))).collect(),
            acls: self
                .acls
                .stored()
                .skip(usize::from(mutant::active(156)))
                .map(|(id, list)| (id, list.clone()))
                .collect(),
        }
    }

    /// Emits the next znodes as path, data, id of the access control list (-1: the open list) and
    /// numbers, the root first and parents before children: about `bytes_max` bytes of them, and at
    /// least one. Transactions may be applied between two slices.
    ///
    /// Other readers may use the tree meanwhile, but only one caller at a time may take slices.
    pub fn snapshot_slice(
        &self,
        bytes_max: usize,
        emit: &mut impl FnMut(&str, Option<&[u8]>, i64, &StoredStat),
    ) -> SliceEnd {
        let Some(mut id) = self.store.walk() else { return SliceEnd::Done };
        let mut path = self.store.path(id);
        let mut bytes = 0;
        loop {
            let node = self.node(id);
            let data = node.data();
            emit(&path, data, node.acl_id(), &node.stored_stat());
            bytes += NODE_OVERHEAD_BYTES + path.len() + data.unwrap_or_default().len();
            let Some(next) = self.store.next_in_preorder(id) else {
                self.store.set_walk(None);
                return SliceEnd::Done;
            };
            if bytes >= bytes_max {
                self.store.set_walk(Some(next));
                return SliceEnd::More;
            }
            self.walk_path(&mut path, id, next);
            id = next;
        }
    }

    /// Abandons the snapshot under way, if any.
    pub fn abort_snapshot(&mut self) {
        self.store.set_walk(None);
    }

    /// Turns the path of one znode into that of the next.
    fn walk_path(&self, path: &mut String, from: NodeId, to: NodeId) {
        let parent = self.store.record(to).parent;
        let mut at = from;
        while Some(at) != parent {
            path.truncate(path.len() - self.store.name(at).len() - 1);
            at = self.store.record(at).parent.expect("the next znode's parent is an ancestor");
        }
        path.push('/');
        path.push_str(self.store.name(to));
    }
}
