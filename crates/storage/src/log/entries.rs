//! Reading a log file entry by entry.

use std::io;
use std::path::{Path, PathBuf};

use types::Zxid;
use wire::jute::Reader;
use wire::limits::STORED_BYTES_MAX;
use wire::stored::{EntryEnd, EntryError, FileHeader, FileKind, NextEntry, next_entry};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Action, Context, Damage, Error};
use crate::limits::{EPOCHS_PASSED_MAX, LOG_ENTRY_BYTES_MIN, READ_WINDOW_BYTES};

/// Where the zxid lies in an entry's payload: after the session and the request's number.
const ZXID_RANGE: std::ops::Range<usize> = 12..20;
/// Checksum and length.
const ENTRY_HEAD_BYTES: usize = 12;

/// What a file turned out to be when it was opened.
#[derive(Debug)]
pub(crate) enum Opened<F> {
    /// A log.
    Log(LogReader<F>),
    /// A file without a single byte.
    Empty,
    /// A file without a log's header.
    NoHeader(LogReader<F>),
}

/// A log file being read.
#[derive(Debug)]
pub(crate) struct LogReader<F> {
    window: Window<F>,
    path: PathBuf,
    /// Where the next entry starts.
    offset: u64,
}

/// What comes next in a log.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Entry(Entry<'a>),
    End(End),
}

/// An entry whose checksum is right.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) zxid: Zxid,
    /// Where it starts in the file.
    pub(crate) offset: u64,
    pub(crate) payload: &'a [u8],
}

/// Where an entry is whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    pub(crate) zxid: Zxid,
    /// Where it starts in the file.
    pub(crate) offset: u64,
    /// With its checksum, its length and its end mark.
    bytes: usize,
}

/// The place after the last good entry, and what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct End {
    pub(crate) offset: u64,
    pub(crate) kind: EndKind,
}

/// How a file's entries end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum EndKind {
    /// With the file.
    Clean,
    /// With an empty entry: zeros, usually.
    Padding,
    /// With an entry that is not whole.
    Damaged(Damage),
}

impl<F: DiskFile> LogReader<F> {
    /// Opens a log and checks its header.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, path: &Path) -> Result<Opened<F>, Error> {
        let file = disk.open(path, Access::Read).during(Action::Open, path)?;
        Self::over(file, path.to_owned())
    }

    /// Checks the header of an open file.
    pub(crate) fn over(file: F, path: PathBuf) -> Result<Opened<F>, Error> {
        let window = Window::new(file).during(Action::Read, &path)?;
        let offset = FileHeader::BYTES as u64;
        if window.len == 0 {
            return Ok(Opened::Empty);
        }
        let mut reader = Self { window, path, offset };
        let head = reader.bytes_at(0, FileHeader::BYTES)?;
        match FileHeader::decode(&mut Reader::new(head)) {
            Ok(header) if header.kind == FileKind::Log => Ok(Opened::Log(reader)),
            Ok(_) | Err(_) => Ok(Opened::NoHeader(reader)),
        }
    }

    /// The file's length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.window.len
    }

    /// Where the next entry starts, in bytes from the start of the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the next entry. After an end the same end comes again.
    pub(crate) fn next(&mut self) -> Result<Next<'_>, Error> {
        Ok(match self.advance()? {
            Ok(entry) => {
                let Located { zxid, offset, .. } = entry;
                Next::Entry(Entry { zxid, offset, payload: self.payload(entry) })
            }
            Err(end) => Next::End(end),
        })
    }

    /// As [`Self::next`], without a borrow of the entry.
    pub(crate) fn advance(&mut self) -> Result<Result<Located, End>, Error> {
        let offset = self.offset;
        Ok(match self.entry_at(offset)? {
            Ok((zxid, bytes)) => {
                self.offset += bytes as u64;
                Ok(Located { zxid, offset, bytes })
            }
            Err(kind) => Err(End { offset, kind }),
        })
    }

    /// The payload of the entry that was taken last.
    pub(crate) fn payload(&self, entry: Located) -> &[u8] {
        &self.window.loaded(entry.offset)[ENTRY_HEAD_BYTES..entry.bytes - 1]
    }

    /// Goes back to an entry that was taken, which is the next one then.
    pub(crate) fn back_to(&mut self, offset: u64) {
        debug_assert!(offset <= self.offset);
        self.offset = offset;
    }

    /// Finds a whole entry that starts behind `offset`, as a sign that the bytes at `offset` were
    /// once followed by others. Only an entry with a plausible transaction counts: one after `last`,
    /// not too many epochs later; bytes that clients store may look like entries.
    pub(crate) fn find_entry_behind(
        &mut self,
        offset: u64,
        last: Zxid,
    ) -> Result<Option<u64>, Error> {
        let mut from = offset + 1;
        while from + LOG_ENTRY_BYTES_MIN as u64 <= self.len() {
            let loaded = self.bytes_at(from, READ_WINDOW_BYTES)?;
            match candidate(loaded) {
                Some(distance) => from += distance as u64,
                None => {
                    from += (loaded.len() - (ENTRY_HEAD_BYTES - 1)) as u64;
                    continue;
                }
            }
            if let Ok((zxid, _)) = self.entry_at(from)?
                && zxid > last
                && zxid.epoch().0 - last.epoch().0 <= EPOCHS_PASSED_MAX
            {
                return Ok(Some(from));
            }
            from += 1;
        }
        Ok(None)
    }

    /// Where the entry at `offset` ends if its length is right.
    pub(crate) fn claimed_end(&mut self, offset: u64) -> Result<u64, Error> {
        let bytes = length_in(self.bytes_at(offset, ENTRY_HEAD_BYTES)?).unwrap_or(0);
        Ok((offset + (ENTRY_HEAD_BYTES + bytes + 1) as u64).min(self.len()))
    }

    /// At least `bytes` bytes from `offset` on, fewer only where the file ends.
    pub(crate) fn bytes_at(&mut self, offset: u64, bytes: usize) -> Result<&[u8], Error> {
        self.window.load(offset, bytes).during(Action::Read, &self.path)?;
        Ok(self.window.loaded(offset))
    }

    /// Whether there are only zeros from `offset` to the end of the file.
    pub(crate) fn is_zero_from(&mut self, mut offset: u64) -> Result<bool, Error> {
        while offset < self.len() {
            let bytes = self.bytes_at(offset, READ_WINDOW_BYTES)?;
            if bytes.is_empty() || bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            offset += bytes.len() as u64;
        }
        Ok(true)
    }

    /// The zxid and the length of the entry at `offset`, whose bytes are loaded then.
    fn entry_at(&mut self, offset: u64) -> Result<Result<(Zxid, usize), EndKind>, Error> {
        let head = self.bytes_at(offset, ENTRY_HEAD_BYTES)?;
        let needed = length_in(head).unwrap_or(0) + ENTRY_HEAD_BYTES + 1;
        let input = self.bytes_at(offset, needed)?;
        let damage = match next_entry(input, STORED_BYTES_MAX) {
            Ok(NextEntry::Entry(entry)) => match entry.payload.get(ZXID_RANGE) {
                Some(zxid) => {
                    let raw = zxid.try_into().map(i64::from_be_bytes).unwrap_or_default();
                    return Ok(Ok((Zxid::from_raw(raw), entry.consumed)));
                }
                None => Damage::Length { length: i32::try_from(entry.payload.len()).unwrap_or(0) },
            },
            Ok(NextEntry::End(EntryEnd::Clean)) => return Ok(Err(EndKind::Clean)),
            Ok(NextEntry::End(EntryEnd::Padding)) => return Ok(Err(EndKind::Padding)),
            Ok(NextEntry::End(EntryEnd::Truncated { .. })) => Damage::Cut,
            Ok(NextEntry::End(EntryEnd::Unfinished)) => Damage::EndMark,
            Err(EntryError::Checksum { stored, computed }) => Damage::Checksum { stored, computed },
            Err(EntryError::UnreasonableLength { length, .. }) => Damage::Length { length },
        };
        Ok(Err(EndKind::Damaged(damage)))
    }
}

/// Whether a history may go on from `last` to `next`: to the next number, or to the first of a later
/// epoch. Logs of Apache's server can repeat a number, for a request that could not be decoded.
pub(crate) fn follows(last: Zxid, next: Zxid) -> bool {
    if next.epoch() == last.epoch() {
        return next == last || last.next() == Some(next);
    }
    next > last && next.counter().0 <= 1
}

/// The length in an entry's first bytes, if it is one that an entry can have.
fn length_in(head: &[u8]) -> Option<usize> {
    let length = head.get(8..ENTRY_HEAD_BYTES)?.try_into().ok().map(i32::from_be_bytes)?;
    usize::try_from(length).ok().filter(|&bytes| bytes <= STORED_BYTES_MAX)
}

/// Where the first bytes are that could start an entry: a sum of 32 bits in 64, a length.
fn candidate(bytes: &[u8]) -> Option<usize> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut at = 0;
    while at + ENTRY_HEAD_BYTES <= bytes.len() {
        if bytes[at..].starts_with(&ZEROS) {
            at += ZEROS.len() - ENTRY_HEAD_BYTES;
            continue;
        }
        let head = &bytes[at..at + ENTRY_HEAD_BYTES];
        let length_min = LOG_ENTRY_BYTES_MIN - ENTRY_HEAD_BYTES - 1;
        if head.starts_with(&[0; 4]) && length_in(head).is_some_and(|bytes| bytes >= length_min) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// A part of a file in memory.
#[derive(Debug)]
struct Window<F> {
    file: F,
    len: u64,
    buffer: Vec<u8>,
    /// Where the buffer's first byte lies in the file.
    start: u64,
    /// Bytes of the buffer that are filled.
    filled: usize,
}

impl<F: DiskFile> Window<F> {
    fn new(file: F) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len, buffer: Vec::new(), start: 0, filled: 0 })
    }

    /// Loads `bytes` bytes from `offset` on, as far as the file has them.
    fn load(&mut self, offset: u64, bytes: usize) -> io::Result<()> {
        let end = offset.saturating_add(bytes as u64).min(self.len);
        if offset >= self.start && end <= self.start + self.filled as u64 {
            return Ok(());
        }
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = bytes.max(READ_WINDOW_BYTES).min(rest);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        (self.start, self.filled) = (offset, 0);
        self.filled = self.file.read_full_at(&mut self.buffer[..wanted], offset)?;
        Ok(())
    }

    /// What is loaded from `offset` on.
    fn loaded(&self, offset: u64) -> &[u8] {
        let skip = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.buffer[..self.filled].get(skip..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_goes_on_with_the_next_number_or_a_later_epoch() {
        let check = |last: i64, next: i64| follows(Zxid::from_raw(last), Zxid::from_raw(next));
        assert!(check(0, 1));
        assert!(check(0x1_0000_0005, 0x1_0000_0006));
        assert!(check(0x1_0000_0005, 0x1_0000_0005));
        assert!(check(0x1_0000_0005, 0x3_0000_0001));
        assert!(!check(0, 2));
        assert!(!check(0x1_0000_0005, 0x1_0000_0007));
        assert!(!check(0x1_0000_0005, 0x1_0000_0004));
        assert!(!check(0x1_0000_0005, 0x2_0000_0002));
        assert!(!check(0x2_0000_0005, 0x1_0000_0001));
    }
}
