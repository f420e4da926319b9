//! Reading a snapshot.

use std::io::{self, BufReader, Read};

use flate2::read::GzDecoder;
use tree::{Tree, TreeLoader};
use types::Zxid;
use wire::jute::{DecodeError, Reader};
use wire::limits::STORED_BYTES_MAX;
use wire::stored::snapshot::{self as stored, StoredDigest};
use wire::stored::{Checksum, FileHeader, FileKind};

use super::Compression;
use super::records::{Reach, RecordSink, Records, Stopped};
use super::stream::{FileSource, GZIP_MAGIC, SNAPPY_MAGIC, SnappySource};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::SnapshotDamage;
use crate::layout::SnapshotFile;
use crate::limits::READ_WINDOW_BYTES;

/// What a seal ends with, and so every uncompressed snapshot.
const LAST_BYTES: &[u8] = &[0, 0, 0, 1, b'/'];
/// Fewest bytes of an uncompressed snapshot.
const BYTES_MIN: u64 = 10;
/// Bytes of the last block with its seal.
const LAST_ZXID_BLOCK_BYTES: usize = 8 + 13;
/// How much smaller a packed snapshot is, about.
const UNPACKED_PER_BYTE: usize = 8;

/// What a snapshot holds.
pub(crate) struct Contents {
    pub(crate) tree: Tree,
    /// The digest that the tree has once the log is replayed up to some transaction; `None` if the
    /// snapshot does not say where the tree is in the state after one transaction.
    pub(crate) digest: Option<StoredDigest>,
}

/// Whether a file can be a finished snapshot, judged by a few bytes.
pub(crate) fn looks_finished<D: Disk>(
    disk: &D,
    snapshot: &SnapshotFile,
) -> Result<bool, SnapshotDamage> {
    let file = disk.open(&snapshot.path, Access::Read)?;
    let mut bytes = [0; 8];
    Ok(match snapshot.compression {
        Compression::None => {
            let len = file.len()?;
            let tail = &mut bytes[..LAST_BYTES.len()];
            len >= BYTES_MIN
                && file.read_full_at(tail, len - LAST_BYTES.len() as u64)? == tail.len()
                && tail == LAST_BYTES
        }
        Compression::Gzip => file.read_full_at(&mut bytes, 0)? > 1 && bytes.starts_with(GZIP_MAGIC),
        Compression::Snappy => {
            file.read_full_at(&mut bytes, 0)? == bytes.len() && bytes == *SNAPPY_MAGIC
        }
    })
}

/// Reads a whole snapshot.
///
/// # Errors
/// When anything about it is wrong: it is not used then.
pub(crate) fn read<D: Disk>(
    disk: &D,
    snapshot: &SnapshotFile,
    options: tree::Options,
) -> Result<Contents, SnapshotDamage> {
    let mut loader = TreeLoader::new(options);
    let Ends { digest, .. } = read_file(disk, snapshot, &mut loader)?;
    Ok(Contents { tree: loader.finish(snapshot.zxid)?, digest })
}

/// Checks a whole snapshot without keeping anything of it. Returns the last transaction of which it
/// shows a trace: at least the one it is named after.
///
/// # Errors
/// When anything about it is wrong.
pub(crate) fn verify<D: Disk>(disk: &D, snapshot: &SnapshotFile) -> Result<Zxid, SnapshotDamage> {
    let mut reach = Reach(snapshot.zxid);
    // Not every transaction leaves a trace in a znode.
    let Ends { digest, last_zxid } = read_file(disk, snapshot, &mut reach)?;
    let others = [digest.map(|digest| digest.zxid), last_zxid];
    Ok(others.into_iter().flatten().fold(reach.0, Zxid::max))
}

fn read_file<D: Disk>(
    disk: &D,
    snapshot: &SnapshotFile,
    sink: &mut impl RecordSink,
) -> Result<Ends, SnapshotDamage> {
    if !looks_finished(disk, snapshot)? {
        return Err(SnapshotDamage::Unfinished);
    }
    let file = disk.open(&snapshot.path, Access::Read)?;
    let window = window_for(file.len()?);
    let file = FileSource::new(file);
    match snapshot.compression {
        Compression::None => read_records(file, window, sink),
        Compression::Gzip => {
            let packed = BufReader::with_capacity(window, file);
            read_records(GzDecoder::new(packed), window, sink)
        }
        Compression::Snappy => {
            let packed = BufReader::with_capacity(window, file);
            read_records(SnappySource::new(packed)?, window, sink)
        }
    }
}

/// How many bytes of a file's content to hold at a time: a small file needs no large window, even if its
/// content is packed.
fn window_for(bytes: u64) -> usize {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    bytes.saturating_mul(UNPACKED_PER_BYTE).clamp(1, READ_WINDOW_BYTES)
}

fn read_records(
    source: impl Read,
    window: usize,
    sink: &mut impl RecordSink,
) -> Result<Ends, SnapshotDamage> {
    let mut content = Content::new(source, window);
    let header = content.take(FileHeader::decode)?;
    if header.kind != FileKind::Snapshot {
        return Err(SnapshotDamage::Unfinished);
    }
    content.take_records(sink)?;
    content.take_seal()?;
    let mut ends = Ends { digest: None, last_zxid: None };
    let mut rest = content.rest(LAST_ZXID_BLOCK_BYTES)?;
    if rest > 0 && rest != LAST_ZXID_BLOCK_BYTES {
        ends.digest = Some(content.take(stored::decode_digest)?);
        content.take_seal()?;
        rest = content.rest(LAST_ZXID_BLOCK_BYTES)?;
    }
    if rest > 0 {
        // The name of the file decides where a recovery goes on, as in Apache's server.
        ends.last_zxid = Some(content.take(stored::decode_last_zxid)?);
        content.take_seal()?;
        rest = content.rest(0)?;
    }
    if rest > 0 {
        return Err(SnapshotDamage::TrailingBytes { offset: content.offset() });
    }
    Ok(ends)
}

/// What a snapshot says behind its tree of when it was complete.
struct Ends {
    digest: Option<StoredDigest>,
    /// The last transaction that was applied then.
    last_zxid: Option<Zxid>,
}

/// A snapshot's uncompressed bytes, as far as they are in memory.
struct Content<R> {
    source: R,
    buffer: Vec<u8>,
    /// The bytes of the buffer not decoded yet: `start..end`.
    start: usize,
    end: usize,
    /// Bytes of the buffer that the sum covers; at most `start`.
    summed: usize,
    /// Where the buffer's first byte lies in the content.
    offset: u64,
    sum: Checksum,
}

impl<R: Read> Content<R> {
    fn new(source: R, window: usize) -> Self {
        let buffer = vec![0; window];
        let sum = Checksum::default();
        Self { source, buffer, start: 0, end: 0, summed: 0, offset: 0, sum }
    }

    /// Takes one record.
    fn take<T>(
        &mut self,
        decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<T, SnapshotDamage> {
        loop {
            let input = &self.buffer[self.start..self.end];
            let mut reader = Reader::with_limit(input, STORED_BYTES_MAX);
            match decode(&mut reader) {
                Ok(record) => {
                    self.start += reader.position();
                    return Ok(record);
                }
                Err(error) => self.refill_after(error)?,
            }
        }
    }

    /// Takes all records and the mark after them.
    fn take_records(&mut self, sink: &mut impl RecordSink) -> Result<(), SnapshotDamage> {
        let mut records = Records::new();
        loop {
            let (taken, result) = records.take(&self.buffer[self.start..self.end], sink);
            self.start += taken;
            match result {
                Ok(()) => return Ok(()),
                Err(Stopped::Undecodable(error)) => self.refill_after(error)?,
                Err(Stopped::NoTree(error)) => return Err(error.into()),
            }
        }
    }

    /// Takes a seal and compares it with the bytes before it.
    fn take_seal(&mut self) -> Result<(), SnapshotDamage> {
        self.sum_up();
        let (computed, offset) = (self.sum.value(), self.offset());
        let stored = self.take(stored::decode_seal)?;
        if stored != computed {
            return Err(SnapshotDamage::Checksum { offset, stored, computed });
        }
        Ok(())
    }

    /// How many bytes are left, up to one more than `bytes_max`.
    fn rest(&mut self, bytes_max: usize) -> Result<usize, SnapshotDamage> {
        while self.end - self.start <= bytes_max && self.refill(bytes_max + 1)? {}
        Ok((self.end - self.start).min(bytes_max + 1))
    }

    fn offset(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// Reads on if that is what a record needs.
    fn refill_after(&mut self, error: DecodeError) -> Result<(), SnapshotDamage> {
        if let DecodeError::Truncated { needed, .. } = error
            && self.refill(self.end - self.start + needed)?
        {
            return Ok(());
        }
        Err(SnapshotDamage::Undecodable { offset: self.offset(), source: error })
    }

    /// Reads more behind what is not decoded yet, with room for `wanted` bytes of it; false at the
    /// end. The buffer grows only as fast as bytes come in.
    fn refill(&mut self, wanted: usize) -> Result<bool, SnapshotDamage> {
        self.sum_up();
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += self.start as u64;
        (self.start, self.summed, self.end) = (0, 0, self.end - self.start);
        if self.end == self.buffer.len() {
            let len = wanted.clamp(self.end + 1, 2 * self.end);
            self.buffer.resize(len, 0);
        }
        let before = self.end;
        while self.end < self.buffer.len() {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.end > before)
    }

    fn sum_up(&mut self) {
        self.sum.update(&self.buffer[self.summed..self.start]);
        self.summed = self.start;
    }
}
