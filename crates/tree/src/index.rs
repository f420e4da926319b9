//! Finds a child by its parent and name.
//!
//! The table stores bare ids; names are hashed and compared where they are. It is spread over many
//! shards, so that no growth pauses the server for long. Shards are of unequal size, the largest
//! getting twice the entries of the smallest: they grow one after the other as the tree does, and
//! the share of empty space is always about the same.

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

    /// Makes room for many more entries, given their hashes.
    pub(crate) fn reserve(
        &mut self,
        additional: &[ChildHash],
        rehash: impl Fn(NodeId) -> ChildHash,
    ) {
        let mut per_shard = [0; INDEX_SHARDS];
        for hash in additional {
            per_shard[hash.shard()] += 1;
        }
        for (shard, additional) in self.shards.iter_mut().zip(per_shard) {
            shard.reserve(additional, |&id| rehash(id).0);
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
    /// Which shard. The tables use the lowest and the highest bits of the hash; this takes some
    /// between them, a number u from 0 to 1, and stretches it to u (4 - u) / 3, which is twice as
    /// steep at 0 as at 1.
    const fn shard(self) -> usize {
        const BITS: u32 = 24;
        let u = (self.0 >> 24) & ((1 << BITS) - 1);
        let stretched = u * ((4 << BITS) - u) / 3;
        (stretched >> (2 * BITS - INDEX_SHARDS.ilog2())) as usize
    }
}

fn hash(state: &FixedState, parent: NodeId, name: &[u8]) -> ChildHash {
    let mut hasher = state.build_hasher();
    hasher.write_u32(parent.raw());
    hasher.write(name);
    ChildHash(hasher.finish())
}
