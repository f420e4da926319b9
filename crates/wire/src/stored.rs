//! What is kept on disk: the transaction log and snapshots.
//!
//! | module | holds |
//! |---|---|
//! | [`txn`] | a transaction with its header and digest: the payload of entries and proposals |
//! | [`log`] | log entries: written in batches, read one by one |
//! | [`snapshot`] | the records of a snapshot |
//!
//! Both kinds of file begin with a [`FileHeader`]. Sums are Adler-32, see [`Checksum`].

pub mod log;
pub mod snapshot;
pub mod txn;

pub use self::log::{EntryEnd, EntryError, LogBatch, LogEntry, NextEntry, next_entry};
pub use self::txn::{SetDataTxn, decode_txn, encode_txn, without_digest};

use std::fmt;

use crate::jute::{self, DecodeError, Reader};

/// The first bytes of every file.
///
/// ```text
/// 0       4         8
/// | magic | version | database, 8 bytes |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHeader {
    /// What kind of file it is.
    pub kind: FileKind,
    /// The format's version. Not looked at.
    pub version: i32,
    /// The database's number. Not looked at.
    pub database: i64,
}

impl FileHeader {
    /// How many bytes it takes.
    pub const BYTES: usize = 16;

    /// The start of a log.
    pub const LOG: Self = Self { kind: FileKind::Log, version: 2, database: 0 };

    /// The start of a snapshot.
    pub const SNAPSHOT: Self = Self { kind: FileKind::Snapshot, version: 2, database: -1 };

    /// Takes a file's first bytes.
    ///
    /// # Errors
    /// When they are too few or begin neither kind of file.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let magic = reader.int()?;
        let kind = FileKind::from_magic(magic).ok_or_else(|| reader.unknown("magic", magic))?;
        Ok(Self { kind, version: reader.int()?, database: reader.long()? })
    }

    /// Appends it.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.kind.magic());
        jute::put_int(out, self.version);
        jute::put_long(out, self.database);
    }
}

/// The two kinds of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// Transactions in their order.
    Log,
    /// The state after some transaction.
    Snapshot,
}

impl FileKind {
    const fn magic(self) -> &'static [u8; 4] {
        match self {
            Self::Log => b"ZKLG",
            Self::Snapshot => b"ZKSN",
        }
    }

    fn from_magic(magic: i32) -> Option<Self> {
        [Self::Log, Self::Snapshot].into_iter().find(|kind| *kind.magic() == magic.to_be_bytes())
    }
}

/// An Adler-32 sum that grows with the bytes it covers.
#[derive(Clone, Default)]
pub struct Checksum(simd_adler32::Adler32);

impl Checksum {
    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> u32 {
        simd_adler32::adler32(&bytes)
    }

    /// Covers `bytes` too.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The sum so far.
    pub fn value(&self) -> u32 {
        self.0.finish()
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({:#010x})", self.value())
    }
}
