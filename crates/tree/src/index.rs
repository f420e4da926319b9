//! Finds a child by its parent and name.
//!
//! The table stores ids with their hashes; names are compared where they are. With the hash at hand
//! a shard grows without touching a single znode, of which each would be a miss of the cache. The
//! table is spread over many shards, so that no growth pauses the server for long. Shards are of unequal size, the largest
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
    shards: Box<[HashTable<Filed>]>,
    state: FixedState,
}

/// A znode under the hash of its parent and name.
#[derive(Clone, Copy)]
struct Filed {
    id: NodeId,
    hash: ChildHash,
}

/// The hash of a parent and a name. 32 bits are enough to tell a billion children apart with few
/// comparisons, and take half of the room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChildHash(u32);

impl Index {
    /// An empty table. Names chosen to collide under one seed do not collide under another.
    pub(crate) fn new(hash_seed: u64) -> Self {
        Self {
            shards: (0..INDEX_SHARDS).map(|_| HashTable::new()).collect(),
            state: FixedState::with_seed(hash_seed),
        }
    }

    /// Makes room for many more entries, given their hashes.
    pub(crate) fn reserve(&mut self, additional: &[ChildHash]) {
        let mut per_shard = [0; INDEX_SHARDS];
        for hash in additional {
            per_shard[hash.shard()] += 1;
        }
        for (shard, additional) in self.shards.iter_mut().zip(per_shard) {
            shard.reserve(additional, Filed::spread);
        }
    }

    /// Adds an entry, unless one that `is_same` accepts is there already; then returns that.
    pub(crate) fn insert(
        &mut self,
        hash: ChildHash,
        id: NodeId,
        is_same: impl Fn(NodeId) -> bool,
    ) -> Result<(), NodeId> {
        let shard = &mut self.shards[hash.shard()];
        let is_same = |other: &Filed| other.hash == hash && is_same(other.id);
        match shard.entry(hash.spread(), is_same, Filed::spread) {
            Entry::Occupied(entry) => Err(entry.get().id),
            Entry::Vacant(entry) => {
                entry.insert(Filed { id, hash });
                Ok(())
            }
        }
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, hash: ChildHash, id: NodeId) {
        let shard = &mut self.shards[hash.shard()];
        if let Ok(entry) = shard.find_entry(hash.spread(), |other| other.id == id) {
            entry.remove();
        }
    }

    /// The entry that `is_match` accepts among those with this hash.
    pub(crate) fn find(
        &self,
        hash: ChildHash,
        is_match: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        let is_match = |filed: &Filed| filed.hash == hash && is_match(filed.id);
        self.shards[hash.shard()].find(hash.spread(), is_match).map(|filed| filed.id)
    }

    /// The hash under which a child is filed.
    pub(crate) fn hash(&self, parent: NodeId, name: &[u8]) -> ChildHash {
        hash(&self.state, parent, name)
    }
}

impl Filed {
    const fn spread(&self) -> u64 {
        self.hash.spread()
    }
}

impl ChildHash {
    /// Which shard. The upper bits, a number u from 0 to 1, are stretched to u (4 - u) / 3, which is
    /// twice as steep at 0 as at 1.
    const fn shard(self) -> usize {
        const BITS: u32 = 24;
        let u = (self.0 >> (u32::BITS - BITS)) as u64;
        let stretched = u * ((4 << BITS) - u) / 3;
        (stretched >> (2 * BITS - INDEX_SHARDS.ilog2())) as usize
    }

    /// What the tables go by: their lowest and highest bits depend on all of the hash.
    const fn spread(self) -> u64 {
        (self.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

fn hash(state: &FixedState, parent: NodeId, name: &[u8]) -> ChildHash {
    let mut hasher = state.build_hasher();
    hasher.write_u32(parent.raw());
    hasher.write(name);
    // Of the hash, every part is as good as another.
    ChildHash((hasher.finish() >> 32) as u32)
}
