//! The shape of the tree: records, names, data and the links between them.
//!
//! Nothing here knows what a version, an owner or a quota is; [`crate::Tree`] does. Children form a
//! list with the newest first. That order has a purpose: a walk in progress that is past the first
//! child of a znode never meets a child created later, so it ends, and meets no path twice.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::arena::{Arena, Flags, NodeId, Record};
use crate::index::{ChildHash, Index};
use crate::payload::Payloads;

/// Records, bytes and lookup, kept consistent with each other.
pub(crate) struct Store {
    arena: Arena,
    payloads: Payloads,
    index: Index,
    /// The next znode of the walk in progress. Deleting that znode moves it on.
    walk: Cursor,
    /// The parent of the znode that was changed last: the next is likely one of its children, too.
    recent: NodeId,
}

/// A place in the tree that moves although its holder may only read; or none.
///
/// Readers share the tree, so the one that walks it can not have it to itself. Orderings are relaxed:
/// whoever shares the tree between threads also orders their accesses.
#[derive(Debug, Default)]
struct Cursor(AtomicU32);

impl Cursor {
    fn place(&self) -> Option<NodeId> {
        NodeId::from_raw(self.0.load(Ordering::Relaxed))
    }

    fn move_to(&self, place: Option<NodeId>) {
        self.0.store(place.map_or(0, NodeId::raw), Ordering::Relaxed);
    }
}

impl Store {
    /// A tree of the given root.
    pub(crate) fn new(hash_seed: u64, root: Record, data: Option<&[u8]>) -> Self {
        let mut store = Self {
            arena: Arena::default(),
            payloads: Payloads::new(),
            index: Index::new(hash_seed),
            walk: Cursor::default(),
            recent: NodeId::ROOT,
        };
        let root = store.place(root, "", data);
        assert_eq!(root, NodeId::ROOT);
        store
    }

    /// Adds a child whose name is not taken.
    pub(crate) fn insert(
        &mut self,
        parent: NodeId,
        name: &str,
        data: Option<&[u8]>,
        record: Record,
    ) -> NodeId {
        let id = self.insert_unindexed(parent, name, data, record);
        self.index_one(id, self.child_hash(id)).expect("the name is not taken");
        id
    }

    /// Adds a child that can not be found until [`Store::index_from`] is called.
    pub(crate) fn insert_unindexed(
        &mut self,
        parent: NodeId,
        name: &str,
        data: Option<&[u8]>,
        record: Record,
    ) -> NodeId {
        let next_sibling = self.arena[parent].first_child;
        let record = Record { parent: Some(parent), next_sibling, ..record };
        let id = self.place(record, name, data);
        if let Some(next) = next_sibling {
            self.arena[next].previous_sibling = Some(id);
        }
        self.recent = parent;
        let above = &mut self.arena[parent];
        above.first_child = Some(id);
        above.num_children += 1;
        self.count_above(parent, |descendants| descendants + 1);
        id
    }

    /// Makes every znode findable that was added after the first `indexed` ones, which include the
    /// root. Only while nothing has ever been removed.
    ///
    /// # Errors
    /// A znode whose parent has another child of that name.
    pub(crate) fn index_from(&mut self, indexed: usize) -> Result<(), NodeId> {
        let hash = |id| self.child_hash(id);
        let hashes: Vec<ChildHash> = self.arena.ids_from(indexed).map(hash).collect();
        self.index.reserve(&hashes);
        for (id, hash) in self.arena.ids_from(indexed).zip(hashes) {
            self.index_one(id, hash).map_err(|_| id)?;
        }
        Ok(())
    }

    /// Removes a znode without children, which is not the root.
    pub(crate) fn remove(&mut self, id: NodeId) {
        if self.walk.place() == Some(id) {
            self.walk.move_to(self.next_outside(id));
        }
        let hash = self.child_hash(id);
        self.index.remove(hash, id);
        let Record { parent, previous_sibling, next_sibling, payload, num_children, .. } =
            self.arena[id];
        assert_eq!(num_children, 0, "children are removed before their parent");
        let parent = parent.expect("the root is never removed");
        self.recent = parent;
        let above = &mut self.arena[parent];
        above.num_children -= 1;
        match previous_sibling {
            None => above.first_child = next_sibling,
            Some(previous) => self.arena[previous].next_sibling = next_sibling,
        }
        self.count_above(parent, |descendants| descendants - 1);
        if let Some(next) = next_sibling {
            self.arena[next].previous_sibling = previous_sibling;
        }
        self.payloads.free(payload);
        self.arena.free(id);
    }

    /// Replaces a znode's data.
    pub(crate) fn set_data(&mut self, id: NodeId, data: Option<&[u8]>) {
        let record = &mut self.arena[id];
        self.recent = record.parent.unwrap_or(NodeId::ROOT);
        record.payload = self.payloads.replace_data(record.payload, data.unwrap_or_default());
        record.flags = record.flags.with(Flags::NULL_DATA, data.is_none());
    }

    /// What is stored of a znode, to be changed; links and payload are for this module only.
    pub(crate) fn record_mut(&mut self, id: NodeId) -> &mut Record {
        &mut self.arena[id]
    }

    /// What is stored of a znode.
    pub(crate) fn record(&self, id: NodeId) -> &Record {
        &self.arena[id]
    }

    /// Znodes, the root included.
    pub(crate) fn len(&self) -> usize {
        self.arena.len()
    }

    /// A znode's last name; empty for the root.
    pub(crate) fn name(&self, id: NodeId) -> &str {
        std::str::from_utf8(self.payloads.name(self.arena[id].payload))
            .expect("names are stored from text")
    }

    /// A znode's data.
    pub(crate) fn data(&self, id: NodeId) -> Option<&[u8]> {
        let record = &self.arena[id];
        (!record.flags.contains(Flags::NULL_DATA)).then(|| self.payloads.data(record.payload))
    }

    /// The znode of that path. The root is both "" and "/".
    pub(crate) fn find(&self, path: &str) -> Option<NodeId> {
        if path.is_empty() || path == "/" {
            return Some(NodeId::ROOT);
        }
        let path = path.as_bytes();
        let slash = path.iter().rposition(|&byte| byte == b'/')?;
        let (parent, name) = (&path[..slash], &path[slash + 1..]);
        let parent = match self.is_at(self.recent, parent) {
            true => self.recent,
            false => self.descend(parent)?,
        };
        self.child_named(parent, name)
    }

    /// As [`Store::find`], for the parent of a znode that is to be changed.
    pub(crate) fn find_parent(&self, path: &str) -> Option<NodeId> {
        let is_recent = self.is_at(self.recent, path.as_bytes());
        if is_recent { Some(self.recent) } else { self.find(path) }
    }

    /// The child of that name.
    pub(crate) fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.child_named(parent, name.as_bytes())
    }

    /// The znode at a path from the root, which is "" here.
    fn descend(&self, path: &[u8]) -> Option<NodeId> {
        if path.is_empty() {
            return Some(NodeId::ROOT);
        }
        let mut names = path.strip_prefix(b"/")?.split(|&byte| byte == b'/');
        names.try_fold(NodeId::ROOT, |parent, name| self.child_named(parent, name))
    }

    fn child_named(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.index.find(self.index.hash(parent, name), |id| {
            let record = &self.arena[id];
            record.parent == Some(parent) && self.payloads.name(record.payload) == name
        })
    }

    /// Whether a path leads to this znode; that of the root is "". Takes far less than to look each name up.
    fn is_at(&self, id: NodeId, path: &[u8]) -> bool {
        let mut rest = path;
        let mut next = id;
        while next != NodeId::ROOT {
            let Record { parent, payload, .. } = self.arena[next];
            let above = rest.strip_suffix(self.payloads.name(payload));
            let (Some(above), Some(parent)) = (above.and_then(|it| it.strip_suffix(b"/")), parent)
            else {
                return false;
            };
            (rest, next) = (above, parent);
        }
        rest.is_empty()
    }

    /// A znode's path; "" for the root.
    pub(crate) fn path(&self, id: NodeId) -> String {
        let mut names = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|&id| id != NodeId::ROOT) {
            names.push(self.name(id));
            next = self.arena[id].parent;
        }
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.into_iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    /// The children, newest first.
    pub(crate) fn children(&self, parent: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(self.arena[parent].first_child, |&id| self.arena[id].next_sibling)
    }

    /// The znode after this one in an order that has parents before their children.
    pub(crate) fn next_in_preorder(&self, id: NodeId) -> Option<NodeId> {
        self.arena[id].first_child.or_else(|| self.next_outside(id))
    }

    /// The znode after this one and everything below it, in the same order.
    pub(crate) fn next_outside(&self, id: NodeId) -> Option<NodeId> {
        let mut id = id;
        loop {
            let record = &self.arena[id];
            if record.next_sibling.is_some() {
                return record.next_sibling;
            }
            id = record.parent?;
        }
    }

    /// Where the walk is; see [`Store::set_walk`].
    pub(crate) fn walk(&self) -> Option<NodeId> {
        self.walk.place()
    }

    /// Puts the walk to a znode, or ends it. There is one walk at a time.
    pub(crate) fn set_walk(&self, place: Option<NodeId>) {
        self.walk.move_to(place);
    }

    /// Changes the number of descendants of a znode and of all above it but the root.
    fn count_above(&mut self, lowest: NodeId, change: impl Fn(u32) -> u32) {
        let mut id = lowest;
        while let Record { parent: Some(parent), ref mut descendants, .. } = self.arena[id] {
            *descendants = change(*descendants);
            id = parent;
        }
    }

    fn place(&mut self, record: Record, name: &str, data: Option<&[u8]>) -> NodeId {
        let payload = self.payloads.insert(name.as_bytes(), data.unwrap_or_default());
        let flags = record.flags.with(Flags::NULL_DATA, data.is_none());
        self.arena.insert(Record { payload, flags, ..record })
    }

    fn index_one(&mut self, id: NodeId, hash: ChildHash) -> Result<(), NodeId> {
        let Self { arena, payloads, index, .. } = self;
        let Record { parent, payload, .. } = arena[id];
        index.insert(hash, id, |other| {
            let record = &arena[other];
            record.parent == parent && payloads.name(record.payload) == payloads.name(payload)
        })
    }

    fn child_hash(&self, id: NodeId) -> ChildHash {
        let Record { parent, payload, .. } = self.arena[id];
        self.index.hash(parent.expect("the root is not indexed"), self.payloads.name(payload))
    }
}
