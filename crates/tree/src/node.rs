//! A znode as readers see it.

use std::fmt;

use types::{AclList, NodeKind, Owner, SessionId, Stat, StoredStat};

use crate::Tree;
use crate::acl::AclSlot;
use crate::arena::{Flags, NodeId, Record};

/// One znode, for reading.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree,
    id: NodeId,
}

impl<'t> Node<'t> {
    pub(crate) const fn new(tree: &'t Tree, id: NodeId) -> Self {
        Self { tree, id }
    }

    /// Its place, for [`Tree::node`].
    pub const fn id(self) -> NodeId {
        self.id
    }

    /// Its last name; empty for the root.
    pub fn name(self) -> &'t str {
        self.tree.store.name(self.id)
    }

    /// Its path, put together from its ancestors' names; "" for the root.
    pub fn path(self) -> String {
        self.tree.store.path(self.id)
    }

    /// Its parent; `None` for the root.
    pub fn parent(self) -> Option<Self> {
        self.record().parent.map(|id| Self { id, ..self })
    }

    /// Its children, newest first; clients are promised no order.
    pub fn children(self) -> impl Iterator<Item = Self> {
        self.tree.store.children(self.id).map(move |id| Self { id, ..self })
    }

    /// How many direct children it has.
    pub fn num_children(self) -> u32 {
        self.record().num_children
    }

    /// How many znodes lie below it, at any depth.
    pub fn num_descendants(self) -> usize {
        if self.id == NodeId::ROOT {
            return self.tree.node_count() - 1;
        }
        self.record().descendants as usize
    }

    /// Its data; null data is `None`.
    pub fn data(self) -> Option<&'t [u8]> {
        self.tree.store.data(self.id)
    }

    /// Bytes of data; 0 for null data.
    pub fn data_bytes(self) -> usize {
        self.record().payload.data_bytes()
    }

    /// Its access control list. It allows nobody anything if a snapshot lacked it; see
    /// [`Tree::unresolved_acls`].
    pub fn acl(self) -> &'t AclList {
        self.tree.acls.list(self.record().acl)
    }

    /// Whether its access control list is `world:anyone` with all permissions, so that there is
    /// nothing to check.
    pub fn is_open(self) -> bool {
        self.record().acl == AclSlot::OPEN
    }

    /// The id of its access control list in a snapshot: -1 if [`Node::is_open`], else positive.
    pub fn acl_id(self) -> i64 {
        self.tree.acls.id(self.record().acl)
    }

    /// What kind of znode it is.
    pub fn kind(self) -> NodeKind {
        self.owner().kind(self.tree.options.extended_types)
    }

    /// Its numbers as clients see them.
    pub fn stat(self) -> Stat {
        let record = self.record();
        let children = i32::try_from(record.num_children).unwrap_or(i32::MAX);
        let ephemeral_owner = match self.kind() {
            NodeKind::Ephemeral(session) => session,
            NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => SessionId::NONE,
        };
        Stat {
            czxid: record.czxid,
            mzxid: record.mzxid,
            ctime_ms: record.ctime_ms,
            mtime_ms: record.mtime_ms,
            version: record.version,
            // Each child counts once when created; those that are gone count again.
            cversion: record.cversion.wrapping_mul(2).wrapping_sub(children),
            aversion: record.aversion,
            ephemeral_owner,
            data_length: i32::try_from(record.payload.data_bytes()).unwrap_or(i32::MAX),
            num_children: children,
            pzxid: record.pzxid,
        }
    }

    /// Its numbers as they are stored and hashed.
    pub fn stored_stat(self) -> StoredStat {
        let record = self.record();
        StoredStat {
            czxid: record.czxid,
            mzxid: record.mzxid,
            ctime_ms: record.ctime_ms,
            mtime_ms: record.mtime_ms,
            version: record.version,
            cversion: record.cversion,
            aversion: record.aversion,
            owner: self.owner(),
            pzxid: record.pzxid,
        }
    }

    /// Its digest ([`crate::digest::node`]), whether it counts or not; 0 if digests are off.
    pub fn digest(self) -> u32 {
        self.record().digest
    }

    /// Its share in [`Tree::digest`]; 0 below `/zookeeper`.
    pub(crate) fn digest_share(self) -> u64 {
        if self.record().flags.contains(Flags::UNDIGESTED) { 0 } else { self.digest().into() }
    }

    fn owner(self) -> Owner {
        if self.record().flags.contains(Flags::OWNED) {
            self.tree.owners.owner(self.id)
        } else {
            Owner::PERSISTENT
        }
    }

    fn record(self) -> &'t Record {
        self.tree.store.record(self.id)
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("path", &self.path()).field("stat", &self.stat()).finish()
    }
}
