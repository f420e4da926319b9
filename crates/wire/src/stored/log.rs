//! Entries of the transaction log.
//!
//! ```text
//! log:   | header, 16 bytes | entry | entry | ... | zeros, to the end of what was reserved |
//!
//! entry: 0            8       12
//!        | long sum   | bytes | payload ...      | 'B' |
//! ```
//!
//! The sum is the Adler-32 of the payload. The payload is what [`super::txn`] describes.
//!
//! A log ends where an entry does not: at the end of the file, at zeros, or in an entry that was
//! being written when the server died (an [`EntryEnd`]). An entry that is all there but does not
//! sum up was damaged later (an [`EntryError`]).

use std::ops::Range;

use types::{Txn, TxnDigest, TxnHeader, Zxid};

use super::{Checksum, txn};
use crate::jute;
use crate::limits::BATCH_ROOM_BYTES_MAX;
use crate::quorum::Proposal;

const SUM_BYTES: usize = 8;
const LENGTH_BYTES: usize = 4;

/// The last byte of an entry.
const END_MARK: u8 = b'B';

/// Entries encoded one after the other, to be written in one piece.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogBatch {
    bytes: Vec<u8>,
    /// `None` exactly if there are no entries.
    zxids: Option<(Zxid, Zxid)>,
    count: usize,
}

impl LogBatch {
    /// A batch without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry. Returns where its payload lies in [`Self::as_bytes`]: a proposal carries
    /// the same bytes.
    pub fn push(
        &mut self,
        header: &TxnHeader,
        txn: &Txn,
        digest: Option<TxnDigest>,
    ) -> Range<usize> {
        let start = self.begin();
        txn::encode_txn(&mut self.bytes, header, txn, digest);
        self.finish(start, header.zxid)
    }

    /// Appends an entry that was encoded elsewhere, by the leader for example.
    pub fn push_proposal(&mut self, proposal: Proposal<'_>) -> Range<usize> {
        let start = self.begin();
        self.bytes.extend_from_slice(proposal.payload());
        self.finish(start, proposal.zxid())
    }

    /// Takes all entries out, and leaves room for about as many.
    pub fn take(&mut self) -> Self {
        let room = self.bytes.len().min(BATCH_ROOM_BYTES_MAX);
        let next = Self { bytes: Vec::with_capacity(room), ..Self::default() };
        let mut taken = std::mem::replace(self, next);
        // It may be kept for long, and what it does not use with it.
        if taken.bytes.capacity() / 2 > taken.bytes.len() {
            taken.bytes.shrink_to_fit();
        }
        taken
    }

    /// Removes all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.zxids = None;
        self.count = 0;
    }

    /// The zxid of the first entry, after which a new log is named.
    pub fn first_zxid(&self) -> Option<Zxid> {
        self.zxids.map(|(first, _)| first)
    }

    /// The zxid of the last entry.
    pub fn last_zxid(&self) -> Option<Zxid> {
        self.zxids.map(|(_, last)| last)
    }

    /// How many entries there are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries as they go into the log.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entries as a leader proposes them.
    pub fn proposals(&self) -> impl Iterator<Item = Proposal<'_>> {
        self.entries().map(|(_, proposal)| proposal)
    }

    /// The entries as a leader proposes them, each with where its payload lies in [`Self::as_bytes`].
    pub fn entries(&self) -> impl Iterator<Item = (Range<usize>, Proposal<'_>)> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let (_sum, behind) = self.bytes.get(start..)?.split_first_chunk::<SUM_BYTES>()?;
            let (length, behind) = behind.split_first_chunk::<LENGTH_BYTES>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let payload = behind.get(..length)?;
            let from = start + SUM_BYTES + LENGTH_BYTES;
            start = from + length + size_of_val(&END_MARK);
            Some((from..from + length, Proposal::new(payload).ok()?))
        })
    }

    fn begin(&mut self) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; SUM_BYTES + LENGTH_BYTES]);
        start
    }

    fn finish(&mut self, start: usize, zxid: Zxid) -> Range<usize> {
        let payload = start + SUM_BYTES + LENGTH_BYTES..self.bytes.len();
        let sum = u64::from(Checksum::of(&self.bytes[payload.clone()]));
        self.bytes[start..start + SUM_BYTES].copy_from_slice(&sum.to_be_bytes());
        jute::patch_count(&mut self.bytes, start + SUM_BYTES, payload.len());
        self.bytes.push(END_MARK);
        let first = self.zxids.map_or(zxid, |(first, _)| first);
        self.zxids = Some((first, zxid));
        self.count += 1;
        payload
    }
}

/// What follows in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextEntry<'a> {
    /// A whole entry.
    Entry(LogEntry<'a>),
    /// Nothing more in this file.
    End(EntryEnd),
}

/// An entry whose sum is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEntry<'a> {
    /// The transaction, for [`super::decode_txn`].
    pub payload: &'a [u8],
    /// How many bytes of input the entry took.
    pub consumed: usize,
}

/// How a log ends without being damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryEnd {
    /// The file ends with the last entry.
    Clean,
    /// Zeros follow: what was reserved and not yet written.
    Padding,
    /// The file, or the input so far, ends within an entry.
    Truncated {
        /// How many more bytes are needed at least.
        needed: usize,
    },
    /// The entry's last byte is another one: it was not written to its end.
    Unfinished,
}

/// How an entry is damaged.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryError {
    /// The length is one that no entry has.
    #[error("unreasonable length {length} of a log entry, at most {bytes_max}")]
    UnreasonableLength {
        /// What it says.
        length: i32,
        /// The limit.
        bytes_max: usize,
    },
    /// The payload is not what was summed up.
    #[error("log entry sums up to {computed:#x} instead of {stored:#x}")]
    Checksum {
        /// The sum in the entry.
        stored: u64,
        /// The sum of the payload.
        computed: u32,
    },
}

/// Finds the first entry of `input`, which starts where the one before it ended.
///
/// `payload_bytes_max` tells a damaged length from a long entry; see
/// [`crate::limits::STORED_BYTES_MAX`].
///
/// # Errors
/// When the entry is damaged, as opposed to missing or half written.
pub fn next_entry(input: &[u8], payload_bytes_max: usize) -> Result<NextEntry<'_>, EntryError> {
    if input.is_empty() {
        return Ok(NextEntry::End(EntryEnd::Clean));
    }
    let truncated = |bytes: usize| {
        let needed = bytes.saturating_sub(input.len());
        Ok(NextEntry::End(EntryEnd::Truncated { needed }))
    };
    let Some((stored, rest)) = input.split_first_chunk() else {
        return truncated(SUM_BYTES + LENGTH_BYTES);
    };
    let Some((length, rest)) = rest.split_first_chunk() else {
        return truncated(SUM_BYTES + LENGTH_BYTES);
    };
    let stored = u64::from_be_bytes(*stored);
    let length = i32::from_be_bytes(*length);
    let unreasonable = EntryError::UnreasonableLength { length, bytes_max: payload_bytes_max };
    let bytes = usize::try_from(length).map_err(|_| unreasonable)?;
    if bytes > payload_bytes_max {
        return Err(unreasonable);
    }
    if bytes == 0 {
        return Ok(NextEntry::End(EntryEnd::Padding));
    }
    let consumed = SUM_BYTES + LENGTH_BYTES + bytes + 1;
    let (Some(payload), Some(&mark)) = (rest.get(..bytes), rest.get(bytes)) else {
        return truncated(consumed);
    };
    if mark != END_MARK {
        return Ok(NextEntry::End(EntryEnd::Unfinished));
    }
    let computed = Checksum::of(payload);
    if u64::from(computed) != stored {
        return Err(EntryError::Checksum { stored, computed });
    }
    Ok(NextEntry::Entry(LogEntry { payload, consumed }))
}
