//! The tree as a whole: what it holds and how to read it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use types::{Acl, AclList, ExtendedTypes, Id, Owner, Perms, SessionId, StoredStat, Zxid};

use crate::acl::{AclSlot, AclTable};
use crate::arena::{Flags, NodeId, Record};
use crate::digest;
use crate::node::Node;
use crate::owners::Owners;
use crate::payload::Payload;
use crate::store::Store;

const ZOOKEEPER: &str = "/zookeeper";
const CONFIG: &str = "/zookeeper/config";

/// What a tree is told when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Which owners are recognised beyond sessions and containers.
    pub extended_types: ExtendedTypes,
    /// Whether the digest is kept up to date.
    pub digest: bool,
    /// Decides where the lookup tables put their entries and nothing else. Unknown to clients, so
    /// that they can not choose names that collide.
    pub hash_seed: u64,
}

/// The state that the ensemble agrees on.
///
/// One thread applies transactions; any number may read between two of them.
pub struct Tree {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) acls: AclTable,
    pub(crate) owners: Owners,
    /// Global sessions and their timeouts in milliseconds.
    pub(crate) sessions: BTreeMap<SessionId, i32>,
    /// Tops of the subtrees that have a quota.
    pub(crate) quotas: BTreeSet<Box<str>>,
    /// The sum of the digests of all znodes that count.
    pub(crate) digest: u64,
    /// Bytes of all paths and data.
    pub(crate) data_size: u64,
    pub(crate) last_applied: Zxid,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("last_applied", &self.last_applied)
            .field("znodes", &self.node_count())
            .finish_non_exhaustive()
    }
}

impl Tree {
    /// A fresh database: the root, `/zookeeper`, `/zookeeper/quota` and `/zookeeper/config`, which
    /// only the superuser may write.
    pub fn new(options: Options) -> Self {
        let mut tree = Self::bare(options);
        let empty: Option<&[u8]> = Some(b"");
        for path in [ZOOKEEPER, "/zookeeper/quota"] {
            tree.acls.acquire_slot(AclSlot::OPEN);
            tree.insert(path, empty, AclSlot::OPEN, &StoredStat::default());
        }
        tree.insert_config();
        tree
    }

    /// Writes the membership of the ensemble where clients read it, as every member does when it
    /// starts: without a transaction. `version` is the zxid that made this membership, `now_ms` the
    /// wall clock.
    pub fn write_config(&mut self, membership: &[u8], version: Zxid, now_ms: i64) {
        let id = match self.store.find(CONFIG) {
            Some(id) => id,
            None if self.store.find(ZOOKEEPER).is_some() => self.insert_config(),
            None => return,
        };
        self.set_data(id, CONFIG, Some(membership), |record| {
            record.version = -1;
            record.mzxid = version;
            record.mtime_ms = now_ms;
        });
    }

    /// The znode of this path, or `None`. The root is both "" and "/".
    pub fn find(&self, path: &str) -> Option<Node<'_>> {
        self.store.find(path).map(|id| Node::new(self, id))
    }

    /// The znode of this id, which must not have been deleted since the id was obtained.
    pub const fn node(&self, id: NodeId) -> Node<'_> {
        Node::new(self, id)
    }

    /// The last transaction that was applied; all of it was.
    pub const fn last_applied(&self) -> Zxid {
        self.last_applied
    }

    /// What the tree was made with.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The digest of the whole tree, unless it was made without.
    pub fn digest(&self) -> Option<u64> {
        self.options.digest.then_some(self.digest)
    }

    /// The digest computed from every znode, to check [`Tree::digest`]. Visits the whole tree.
    pub fn recomputed_digest(&self) -> u64 {
        self.nodes()
            .filter(|node| digest::counts(&node.path()))
            .map(|node| digest::node(&node.path(), node.data(), &node.stored_stat()))
            .fold(0, |sum, digest| sum.wrapping_add(digest.into()))
    }

    /// Every znode, parents before their children.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        std::iter::successors(Some(NodeId::ROOT), |&id| self.store.next_in_preorder(id))
            .map(|id| Node::new(self, id))
    }

    /// Znodes, the root included. Java members report one more, because they file the root twice.
    pub fn node_count(&self) -> usize {
        self.store.len()
    }

    /// Bytes of all paths and data together. Java members report one more, for the root's second
    /// name.
    pub const fn data_size(&self) -> u64 {
        self.data_size
    }

    /// Global sessions and their timeouts in milliseconds, by id.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = (SessionId, i32)> {
        self.sessions.iter().map(|(&session, &timeout_ms)| (session, timeout_ms))
    }

    /// The timeout of a global session in milliseconds; `None` if there is no such session.
    pub fn session_timeout(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session).copied()
    }

    /// Paths of the ephemerals of a session, newest first.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = String> {
        self.owners.ephemerals(session).map(|id| self.store.path(id))
    }

    /// Ephemerals of all sessions.
    pub fn ephemeral_count(&self) -> usize {
        self.owners.ephemeral_count()
    }

    /// Sessions that own ephemerals, and how many each.
    pub fn sessions_with_ephemerals(&self) -> impl Iterator<Item = (SessionId, usize)> {
        self.owners.sessions()
    }

    /// Owners of ephemerals that are not in the table of sessions. After a recovery the leader, or
    /// a standalone server, ends each with [`Tree::kill_session`].
    pub fn dead_ephemeral_owners(&self) -> impl Iterator<Item = SessionId> {
        let owners = self.owners.sessions().map(|(session, _)| session);
        owners.filter(|session| !self.sessions.contains_key(session))
    }

    /// Containers.
    pub const fn container_count(&self) -> usize {
        self.owners.container_count()
    }

    /// Znodes with a time to live.
    pub const fn ttl_count(&self) -> usize {
        self.owners.ttl_count()
    }

    /// Access control lists that a snapshot refers to and does not have. After the replay there are
    /// none, unless the snapshot was damaged; the znodes concerned are closed to everybody.
    pub fn unresolved_acls(&self) -> usize {
        self.acls.unresolved()
    }

    /// A root and nothing else.
    pub(crate) fn bare(options: Options) -> Self {
        let Options { extended_types, digest, hash_seed } = options;
        let stat = StoredStat::default();
        let digest = if digest { digest::node("", Some(b""), &stat) } else { 0 };
        let root = record(&stat, AclSlot::OPEN, digest, Flags::default());
        let mut tree = Self {
            options,
            store: Store::new(hash_seed, root, Some(b"")),
            acls: AclTable::new(hash_seed),
            owners: Owners::new(extended_types, hash_seed),
            sessions: BTreeMap::new(),
            quotas: BTreeSet::new(),
            digest: digest.into(),
            data_size: 0,
            last_applied: Zxid::ZERO,
        };
        tree.acls.acquire_slot(AclSlot::OPEN);
        tree
    }

    /// Adds a znode whose parent exists and whose path does not; its use of `acl` is counted.
    pub(crate) fn insert(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl: AclSlot,
        stat: &StoredStat,
    ) -> NodeId {
        let (parent, name) = split(path).expect("the caller found the parent");
        let parent = self.store.find(parent).expect("the caller found the parent");
        self.insert_below(parent, path, name, data, acl, stat)
    }

    /// As [`Tree::insert`], for a parent that is known.
    pub(crate) fn insert_below(
        &mut self,
        parent: NodeId,
        path: &str,
        name: &str,
        data: Option<&[u8]>,
        acl: AclSlot,
        stat: &StoredStat,
    ) -> NodeId {
        let record = self.new_record(path, data, acl, stat);
        let id = self.store.insert(parent, name, data, record);
        self.count_in(id, path, data, stat.owner);
        id
    }

    /// The record of a znode to be added.
    pub(crate) fn new_record(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: AclSlot,
        stat: &StoredStat,
    ) -> Record {
        let digest = if self.options.digest { digest::node(path, data, stat) } else { 0 };
        let flags = Flags::default()
            .with(Flags::OWNED, stat.owner != Owner::PERSISTENT)
            .with(Flags::UNDIGESTED, !digest::counts(path));
        record(stat, acl, digest, flags)
    }

    /// Enters a znode that has just been added in everything that counts znodes.
    pub(crate) fn count_in(&mut self, id: NodeId, path: &str, data: Option<&[u8]>, owner: Owner) {
        if owner != Owner::PERSISTENT {
            self.owners.insert(id, owner);
        }
        self.digest = self.digest.wrapping_add(self.node(id).digest_share());
        self.data_size += path.len() as u64 + data.unwrap_or_default().len() as u64;
    }

    /// Replaces a znode's data and whatever `change` changes with it.
    pub(crate) fn set_data(
        &mut self,
        id: NodeId,
        path: &str,
        data: Option<&[u8]>,
        change: impl FnOnce(&mut Record),
    ) {
        let old_bytes = self.store.record(id).payload.data_bytes() as u64;
        self.store.set_data(id, data);
        change(self.store.record_mut(id));
        if self.options.digest {
            let digest = digest::node(path, data, &self.node(id).stored_stat());
            self.set_digest(id, digest);
        }
        self.data_size = self.data_size - old_bytes + data.unwrap_or_default().len() as u64;
    }

    /// Changes a znode's numbers.
    pub(crate) fn change(&mut self, id: NodeId, change: impl FnOnce(&mut Record)) {
        let before = self.node(id).stored_stat();
        change(self.store.record_mut(id));
        if self.options.digest {
            let node = self.node(id);
            let digest = digest::renumbered(node.digest(), &before, &node.stored_stat());
            self.set_digest(id, digest);
        }
    }

    /// Gives a znode another digest, and so the tree.
    fn set_digest(&mut self, id: NodeId, digest: u32) {
        let old = self.node(id).digest_share();
        self.store.record_mut(id).digest = digest;
        let new = self.node(id).digest_share();
        self.digest = self.digest.wrapping_sub(old).wrapping_add(new);
    }

    /// A znode and everything below it, parents before their children.
    pub(crate) fn subtree(&self, top: NodeId) -> impl Iterator<Item = NodeId> {
        let end = self.store.next_outside(top);
        std::iter::successors(Some(top), |&id| self.store.next_in_preorder(id))
            .take_while(move |&id| Some(id) != end)
    }

    /// Adds the znode that holds the membership. Its list of permissions counts as set once more
    /// than never before, so that its count begins at -1.
    fn insert_config(&mut self) -> NodeId {
        let readable = Acl { perms: Perms::READ, id: Id::new("world", "anyone") };
        let acl = self.acls.acquire(&AclList::from(vec![readable]));
        let stat = StoredStat { aversion: -1, ..StoredStat::default() };
        self.insert(CONFIG, Some(b""), acl, &stat)
    }
}

/// The parent's path and the last name of a znode other than the root; `None` if no znode has such a
/// path. The parent "/" is refused, for the root is "" wherever something comes after it.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    types::path::split(path).filter(|&(parent, name)| {
        !name.is_empty() && (parent.is_empty() || (parent.starts_with('/') && parent.len() > 1))
    })
}

/// A record of these numbers, linked to nothing.
pub(crate) fn record(stat: &StoredStat, acl: AclSlot, digest: u32, flags: Flags) -> Record {
    Record {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        pzxid: stat.pzxid,
        ctime_ms: stat.ctime_ms,
        mtime_ms: stat.mtime_ms,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        acl,
        digest,
        num_children: 0,
        descendants: 0,
        parent: None,
        first_child: None,
        previous_sibling: None,
        next_sibling: None,
        payload: Payload::NOWHERE,
        flags,
    }
}
