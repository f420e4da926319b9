//! Torn or damaged: what the end of a log means.
//!
//! A crash leaves the last group of entries in any state, since the device writes its sectors in any
//! order: cut, with holes of zeros, with whole entries behind a hole. That is no damage, nobody was
//! told that these entries are durable, and the file is cut before the first that is not whole.
//! Everything else that is not whole was durable once and is damage.
//!
//! The rules, for a place after which there is no whole entry:
//!
//! 1. Below the watermark it is damage, always.
//! 2. An entry that is all there, with its end mark and without a trace of a sector that was never
//!    written, but with a wrong checksum: damage.
//! 3. If no whole entry follows it is torn.
//! 4. If one does, it is torn only if the bytes between show a sector that was never written: it
//!    reads as zeros, as files are only ever written into zeros. Otherwise damage.
//!
//! In a log that is not the newest, an end within an entry is taken as an end, as in Apache's server:
//! if something is missing, the next log does not follow. A wrong checksum there is damage. But the
//! first log of a later epoch follows any other; what comes before it ends with a whole entry, and
//! with zeros behind that, or is damage. And logs without entries show nothing: the last one with
//! entries is judged as the newest.

use types::{Zxid, mutant};

use crate::disk::{DiskFile, SECTOR_BYTES};
use crate::error::{Damage, Error};
use crate::log::{End, EndKind, LogReader};

/// Zeros at the end of a sector that show that the device had not got to them. An entry's checksum
/// and length alone bring seven zeros in a row.
const UNWRITTEN_BYTES: usize = 8;
/// The first bytes of an entry, zeros also when they were written.
const ZERO_BYTES_OF_ENTRY: u64 = 4;

/// The end of a log.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) end: End,
    /// The last transaction before it.
    pub(super) last: Zxid,
    /// Where the watermark is in this file.
    pub(super) synced_to: Option<u64>,
}

/// What an end means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The file ends here.
    Complete,
    /// A crash interrupted the writing here.
    Torn { offset: u64, damage: Damage },
}

impl Tail {
    /// Judges the end of a log that others follow, of which the next begins with `next`; `Err` is
    /// damage.
    pub(super) fn judge_covered<F: DiskFile>(
        self,
        reader: &mut LogReader<F>,
        next: Zxid,
    ) -> Result<(), Error> {
        let would_gap_show = next.epoch() == self.last.epoch();
        match &self.end.kind {
            EndKind::Padding | EndKind::Damaged(_)
                if !would_gap_show && !reader.is_zero_from(self.end.offset)? =>
            {
                let damage = match &self.end.kind {
                    EndKind::Damaged(damage) => damage.clone(),
                    EndKind::Clean | EndKind::Padding => Damage::Zeros,
                };
                Err(self.corrupt(reader, damage))
            }
            EndKind::Clean => Ok(()),
            EndKind::Padding => self.require_unsynced(reader, &Damage::Zeros),
            EndKind::Damaged(damage @ (Damage::Cut | Damage::EndMark)) => {
                self.require_unsynced(reader, damage)
            }
            EndKind::Damaged(damage) => Err(self.corrupt(reader, damage.clone())),
        }
    }

    /// Judges the end of the newest log; `Err` is damage.
    pub(super) fn judge_newest<F: DiskFile>(
        self,
        reader: &mut LogReader<F>,
    ) -> Result<Verdict, Error> {
        let damage = match &self.end.kind {
            EndKind::Clean => return Ok(Verdict::Complete),
            EndKind::Padding => Damage::Zeros,
            EndKind::Damaged(damage) => damage.clone(),
        };
        self.require_unsynced(reader, &damage)?;
        let offset = self.end.offset;
        let follower = reader.find_entry_behind(offset, self.last)?;
        let torn = match (follower, &damage) {
            (None, Damage::Zeros) if reader.is_zero_from(offset)? => return Ok(Verdict::Complete),
            (None, Damage::Checksum { .. }) => {
                let end = reader.claimed_end(offset)?;
                has_unwritten_sector(reader, offset, end)?
            }
            (None, _) => true,
            // The first bytes of the follower may lie in the sector that was not written.
            (Some(behind), _) => {
                has_unwritten_sector(reader, offset, behind + ZERO_BYTES_OF_ENTRY)?
            }
        };
        match torn || mutant::active(37) {
            true => Ok(Verdict::Torn { offset, damage }),
            false => Err(self.corrupt(reader, damage)),
        }
    }

    fn require_unsynced<F: DiskFile>(
        &self,
        reader: &LogReader<F>,
        damage: &Damage,
    ) -> Result<(), Error> {
        match self.synced_to {
            Some(synced_to) if self.end.offset < synced_to && !mutant::active(37) => {
                Err(self.corrupt(reader, damage.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn corrupt<F: DiskFile>(&self, reader: &LogReader<F>, damage: Damage) -> Error {
        let (file, offset) = (reader.path().to_owned(), self.end.offset);
        Error::Corrupt { file, offset, damage }
    }
}

/// Whether a file that has no header has no content either: zeros, or the start of a header.
pub(super) fn is_blank<F: DiskFile>(reader: &mut LogReader<F>) -> Result<bool, Error> {
    use wire::stored::FileHeader;
    let mut header = Vec::with_capacity(FileHeader::BYTES);
    FileHeader::LOG.encode(&mut header);
    let head = reader.bytes_at(0, FileHeader::BYTES)?;
    let head = &head[..head.len().min(FileHeader::BYTES)];
    let written = head.iter().zip(&header).take_while(|(a, b)| a == b).count();
    Ok(head[written..].iter().all(|&byte| byte == 0)
        && reader.is_zero_from(FileHeader::BYTES as u64)?)
}

/// Whether the bytes from the bad entry at `start` to `end` hold a sector that the device did not
/// write to its end.
fn has_unwritten_sector<F: DiskFile>(
    reader: &mut LogReader<F>,
    start: u64,
    end: u64,
) -> Result<bool, Error> {
    let sector = SECTOR_BYTES as u64;
    let mut offset = start + ZERO_BYTES_OF_ENTRY;
    while offset < end {
        let next = (offset / sector + 1) * sector;
        let bytes = usize::try_from(next.min(end) - offset).unwrap_or(SECTOR_BYTES);
        let loaded = reader.bytes_at(offset, bytes)?;
        let part = &loaded[..bytes.min(loaded.len())];
        let zeros = part.iter().rev().take_while(|&&byte| byte == 0).count();
        if next <= end && zeros >= UNWRITTEN_BYTES.min(part.len()) {
            return Ok(true);
        }
        offset = next;
    }
    Ok(false)
}
