//! Where the fixed-size part of every znode lives.
//!
//! Records sit in chunks that never move, so growing costs one chunk and never a copy of the tree.
//! A freed record is kept for the next znode.

use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use types::Zxid;

use crate::acl::AclSlot;
use crate::limits::ARENA_CHUNK_RECORDS;
use crate::payload::Payload;

/// A znode's place in the tree. Valid until that znode is deleted; then it may come to mean another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// The root, which is never deleted.
    pub const ROOT: Self = Self(NonZeroU32::MIN);

    /// The number behind it, for places that hold plain integers.
    pub(crate) const fn raw(self) -> u32 {
        self.0.get()
    }

    /// The id with this number; 0 is no id.
    pub(crate) const fn from_raw(raw: u32) -> Option<Self> {
        match NonZeroU32::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// What is stored of every znode. Owners, which few znodes have, are kept aside.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    pub(crate) pzxid: Zxid,
    pub(crate) ctime_ms: i64,
    pub(crate) mtime_ms: i64,
    pub(crate) version: i32,
    /// Creations of children.
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
    pub(crate) acl: AclSlot,
    /// CRC-32 of path, data and numbers ([`crate::digest::node`]); 0 if digests are off.
    pub(crate) digest: u32,
    pub(crate) num_children: u32,
    /// Znodes below it at any depth. Not counted for the root, below which everything lies.
    pub(crate) descendants: u32,
    pub(crate) parent: Option<NodeId>,
    /// The newest child; the others follow through `next_sibling`.
    pub(crate) first_child: Option<NodeId>,
    pub(crate) previous_sibling: Option<NodeId>,
    /// The next older sibling. In a freed record: the next freed one.
    pub(crate) next_sibling: Option<NodeId>,
    /// Name and data.
    pub(crate) payload: Payload,
    pub(crate) flags: Flags,
}

/// What is true of few znodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    /// Its data is null, which is not the same as empty.
    pub(crate) const NULL_DATA: Self = Self(1);
    /// It has an owner: it is an ephemeral, a container or has a time to live.
    pub(crate) const OWNED: Self = Self(2);
    /// It lies below `/zookeeper` and does not count in the digest.
    pub(crate) const UNDIGESTED: Self = Self(4);

    pub(crate) const fn contains(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(crate) const fn with(self, flag: Self, on: bool) -> Self {
        if on { Self(self.0 | flag.0) } else { Self(self.0 & !flag.0) }
    }
}

const _: () = assert!(size_of::<Record>() == 104);

/// All records.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    /// Each holds `ARENA_CHUNK_RECORDS`, the last one possibly fewer.
    chunks: Vec<Vec<Record>>,
    first_free: Option<NodeId>,
    freed: usize,
}

impl Arena {
    /// Stores a record and returns its id.
    pub(crate) fn insert(&mut self, record: Record) -> NodeId {
        if let Some(id) = self.first_free {
            self.first_free = self[id].next_sibling;
            self.freed -= 1;
            self[id] = record;
            return id;
        }
        let raw = u32::try_from(self.slots() + 1).expect("memory ends before 2^32 records");
        if self.chunks.last().is_none_or(|chunk| chunk.len() == ARENA_CHUNK_RECORDS) {
            self.chunks.push(Vec::with_capacity(ARENA_CHUNK_RECORDS));
        }
        self.chunks.last_mut().expect("pushed above").push(record);
        NodeId::from_raw(raw).expect("counted from 1")
    }

    /// Gives a record's place back.
    pub(crate) fn free(&mut self, id: NodeId) {
        self[id].next_sibling = self.first_free;
        self.first_free = Some(id);
        self.freed += 1;
    }

    /// Records in use.
    pub(crate) fn len(&self) -> usize {
        self.slots() - self.freed
    }

    /// Ids of all places ever used, in the order in which they were first used. Only if nothing
    /// was ever freed are all of them in use.
    pub(crate) fn ids_from(&self, first: usize) -> impl Iterator<Item = NodeId> + use<> {
        let end = self.slots();
        (first..end).filter_map(|index| NodeId::from_raw(u32::try_from(index + 1).ok()?))
    }

    /// Places ever used.
    pub(crate) fn slots(&self) -> usize {
        match self.chunks.last() {
            Some(last) => (self.chunks.len() - 1) * ARENA_CHUNK_RECORDS + last.len(),
            None => 0,
        }
    }
}

impl Index<NodeId> for Arena {
    type Output = Record;

    fn index(&self, id: NodeId) -> &Record {
        &self.chunks[id.index() / ARENA_CHUNK_RECORDS][id.index() % ARENA_CHUNK_RECORDS]
    }
}

impl IndexMut<NodeId> for Arena {
    fn index_mut(&mut self, id: NodeId) -> &mut Record {
        &mut self.chunks[id.index() / ARENA_CHUNK_RECORDS][id.index() % ARENA_CHUNK_RECORDS]
    }
}
