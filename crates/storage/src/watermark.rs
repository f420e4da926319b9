//! The watermark: how far the log is known to have been synced.
//!
//! A small file `synced` beside the logs names a log, a byte in it and the last transaction before
//! that byte. It is written after a sync succeeded, together with the next group, and never synced
//! on its own account: it costs one small write into the page cache. So it is a lower bound, late by
//! one group while the operating system lives, and late by any time after a loss of power.
//!
//! Recovery takes what lies below it as synced: damage there is no torn tail. The file is ours
//! alone; Apache's server ignores it. When that server has cut the history meanwhile, the watermark
//! may claim too much; then the history usually has gone on in a later epoch, beyond the
//! watermark's transaction, and it does not bind.
//!
//! ```text
//! slot 0 at byte 0, slot 1 at byte 512, written in turn so that one always survives
//!   0  "RKSYNC01"
//!   8  last synced transaction   long
//!  16  first transaction (= name) of the log   long
//!  24  byte after the last synced entry   long
//!  32  CRC-32 of the 32 bytes before   int
//! ```

use std::io;
use std::path::Path;

use types::Zxid;

use crate::checksum::crc32;
use crate::disk::{Access, Disk, DiskFile, SECTOR_BYTES};
use crate::error::{Action, Context, Error};

/// The file's name.
pub(crate) const WATERMARK: &str = "synced";

const MAGIC: &[u8; 8] = b"RKSYNC01";
const SLOT_BYTES: usize = 36;
const SLOTS: u64 = 2;

/// A point up to which a log is surely durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    /// The last transaction before it.
    pub(crate) zxid: Zxid,
    /// The first transaction of the log, as in its name.
    pub(crate) log: Zxid,
    /// The byte after that transaction.
    pub(crate) offset: u64,
}

impl Mark {
    fn encode(self) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..16].copy_from_slice(&self.zxid.raw().to_be_bytes());
        slot[16..24].copy_from_slice(&self.log.raw().to_be_bytes());
        slot[24..32].copy_from_slice(&self.offset.to_be_bytes());
        let sum = crc32(&slot[..32]);
        slot[32..].copy_from_slice(&sum.to_be_bytes());
        slot
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let (content, sum) = slot.get(..SLOT_BYTES)?.split_at(32);
        if !content.starts_with(MAGIC) || sum != crc32(content).to_be_bytes() {
            return None;
        }
        let long = |at: usize| Some(u64::from_be_bytes(content.get(at..at + 8)?.try_into().ok()?));
        let zxid = |at| Some(Zxid::from_raw(long(at)?.cast_signed()));
        Some(Self { zxid: zxid(8)?, log: zxid(16)?, offset: long(24)? })
    }
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Watermark<F> {
    file: F,
    next_slot: u64,
}

impl<F: DiskFile> Watermark<F> {
    /// Opens or creates the file; what it says stays until the first write.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, dir: &Path) -> Result<Self, Error> {
        let path = dir.join(WATERMARK);
        let file = match disk.open(&path, Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(&path),
            result => result,
        };
        Ok(Self { file: file.during(Action::Open, &path)?, next_slot: 0 })
    }

    /// Writes a mark, without a sync.
    pub(crate) fn write(&mut self, mark: Mark) -> io::Result<()> {
        let offset = self.next_slot * SECTOR_BYTES as u64;
        self.next_slot = (self.next_slot + 1) % SLOTS;
        self.file.write_all_at(&mark.encode(), offset)
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map(drop)
    }
}

/// The mark on the disk; `None` when there is none or both slots are torn.
pub(crate) fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Mark>, Error> {
    let path = dir.join(WATERMARK);
    let file = match disk.open(&path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.during(Action::Open, &path)?,
    };
    let mut bytes = [0; SECTOR_BYTES + SLOT_BYTES];
    let read = file.read_full_at(&mut bytes, 0).during(Action::Read, &path)?;
    let slots = bytes[..read].chunks(SECTOR_BYTES);
    Ok(slots.filter_map(Mark::decode).max_by_key(|mark| mark.zxid))
}

/// Removes the mark durably: the history is about to be cut on purpose.
pub(crate) fn forget<D: Disk>(disk: &D, dir: &Path) -> Result<(), Error> {
    let path = dir.join(WATERMARK);
    match disk.unlink(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.during(Action::Remove, &path)?,
    }
    disk.sync_dir(dir).during(Action::SyncDirectory, dir)
}
