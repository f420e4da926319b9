//! Finds a child by its parent and name.
//!
//! The table stores bare ids; names are hashed and compared where they are. It is spread over many
//! shards, so that no growth pauses the server for long and half-empty space never doubles at once.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::arena::NodeId;
use crate::limits::INDEX_SHARDS;

/// The lookup table.
pub(crate) struct Index {
    shards: Box<[HashTable<NodeId>]>,
    state: FixedState,
}

/// The hash of a parent and a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildHash(u64);

impl Index {
    /// An empty table. Names chosen to collide under one seed do not collide under another.
    pub(crate) fn new(hash_seed: u64) -> Self {
        Self {
            shards: (0..INDEX_SHARDS).map(|_| HashTable::new()).collect(),
            state: FixedState::with_seed(hash_seed),
        }
    }

    /// Makes room for that many more entries at once.
    pub(crate) fn reserve(&mut self, additional: usize, hash: impl Fn(NodeId) -> ChildHash) {
        // Shards fill evenly but not equally: an eighth more covers nearly all of them.
        let per_shard = additional / INDEX_SHARDS;
        for shard in &mut self.shards {
            shard.reserve(per_shard + per_shard / 8, |&id| hash(id).0);
        }
    }

    /// Adds an entry, unless one that `is_same` accepts is there already; then returns that.
    pub(crate) fn insert(
        &mut self,
        hash: ChildHash,
        id: NodeId,
        is_same: impl Fn(NodeId) -> bool,
        rehash: impl Fn(NodeId) -> ChildHash,
    ) -> Result<(), NodeId> {
        let shard = &mut self.shards[hash.shard()];
        match shard.entry(hash.0, |&other| is_same(other), |&other| rehash(other).0) {
            Entry::Occupied(entry) => Err(*entry.get()),
            Entry::Vacant(entry) => {
                entry.insert(id);
                Ok(())
            }
        }
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, hash: ChildHash, id: NodeId) {
        if let Ok(entry) = self.shards[hash.shard()].find_entry(hash.0, |&other| other == id) {
            entry.remove();
        }
    }

    /// The entry that `is_match` accepts among those with this hash.
    pub(crate) fn find(
        &self,
        hash: ChildHash,
        is_match: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        self.shards[hash.shard()].find(hash.0, |&id| is_match(id)).copied()
    }

    /// The hash under which a child is filed.
    pub(crate) fn hash(&self, parent: NodeId, name: &[u8]) -> ChildHash {
        hash(&self.state, parent, name)
    }

    /// The same function as [`Index::hash`], for use while the table is being changed.
    pub(crate) fn hasher(&self) -> impl Fn(NodeId, &[u8]) -> ChildHash + use<> {
        let state = self.state.clone();
        move |parent, name| hash(&state, parent, name)
    }
}

impl ChildHash {
    /// The tables use the lowest and the highest bits; the shard takes bits between them.
    const fn shard(self) -> usize {
        (self.0 >> 40) as usize % INDEX_SHARDS
    }
}

fn hash(state: &FixedState, parent: NodeId, name: &[u8]) -> ChildHash {
    let mut hasher = state.build_hasher();
    hasher.write_u32(parent.raw());
    hasher.write(name);
    ChildHash(hasher.finish())
}
