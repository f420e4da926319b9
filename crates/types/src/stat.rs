//! What is known of a znode beside its data.

use crate::{Owner, SessionId, Zxid};

/// A znode's numbers as clients see them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The last transaction that set its data (or created it).
    pub mzxid: Zxid,
    /// When it was created: milliseconds since 1970 by the leader's clock.
    pub ctime_ms: i64,
    /// When its data was last set, by the same clock.
    pub mtime_ms: i64,
    /// How often its data was set.
    pub version: i32,
    /// How often its children changed: creations and deletions together.
    pub cversion: i32,
    /// How often its access control list was set.
    pub aversion: i32,
    /// The session it lives and dies with; `SessionId::NONE` for all other kinds.
    pub ephemeral_owner: SessionId,
    /// Bytes of data; 0 also for null data.
    pub data_length: i32,
    /// Direct children.
    pub num_children: i32,
    /// The last transaction that created or deleted a child (or created the znode).
    pub pzxid: Zxid,
}

/// A znode's numbers as they are stored in snapshots and hashed into the digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoredStat {
    /// As [`Stat::czxid`].
    pub czxid: Zxid,
    /// As [`Stat::mzxid`].
    pub mzxid: Zxid,
    /// As [`Stat::ctime_ms`].
    pub ctime_ms: i64,
    /// As [`Stat::mtime_ms`].
    pub mtime_ms: i64,
    /// As [`Stat::version`].
    pub version: i32,
    /// Creations of children so far; the next sequential child takes this number as its suffix.
    pub cversion: i32,
    /// As [`Stat::aversion`].
    pub aversion: i32,
    /// Which kind of znode it is, and for ephemerals whose; see [`Owner`].
    pub owner: Owner,
    /// As [`Stat::pzxid`].
    pub pzxid: Zxid,
}

impl StoredStat {
    /// The bytes that the digest covers, in its order (czxid, mzxid, pzxid, ctime, mtime, version,
    /// cversion, aversion, owner), big-endian.
    pub fn digest_bytes(&self) -> [u8; 60] {
        let mut bytes = [0; 60];
        let longs =
            [self.czxid.raw(), self.mzxid.raw(), self.pzxid.raw(), self.ctime_ms, self.mtime_ms];
        for (slot, long) in bytes.chunks_exact_mut(8).zip(longs) {
            slot.copy_from_slice(&long.to_be_bytes());
        }
        let ints = [self.version, self.cversion, self.aversion];
        for (slot, int) in bytes[40..52].chunks_exact_mut(4).zip(ints) {
            slot.copy_from_slice(&int.to_be_bytes());
        }
        bytes[52..].copy_from_slice(&self.owner.raw().to_be_bytes());
        bytes
    }
}
