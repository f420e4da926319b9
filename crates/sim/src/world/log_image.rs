//! The files of the log as bytes, read without the server's own code: where entries begin and end,
//! and how far the log is known to be synced.

use std::ops::Range;
use std::path::PathBuf;

use storage::{Disk, SECTOR_BYTES, SimulatedDisk};
use types::Zxid;

use super::process::directories;

/// The bytes of a log before its first entry.
const HEADER_BYTES: usize = 16;
/// The checksum and the length before the content of an entry.
const PREFIX_BYTES: usize = 12;
/// Where in the content of an entry its zxid is.
const ZXID_AT: Range<usize> = 12..20;
/// The byte that ends an entry.
const END_MARK: u8 = 0x42;
/// Zeros at the end of a sector that may mean that it was never written.
const UNWRITTEN_BYTES: usize = 8;

/// A log as it lies on a disk.
#[derive(Debug)]
pub(super) struct LogImage {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<Entry>,
}

/// An entry of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) zxid: Zxid,
    pub(super) bytes: Range<usize>,
    /// Its checksum is right: no sector of it was lost with the power.
    pub(super) is_whole: bool,
}

impl LogImage {
    /// All logs of a disk, the oldest first.
    pub(super) fn all(disk: &SimulatedDisk) -> Vec<Self> {
        let dir = directories().log_dir();
        let names = disk.list(&dir).unwrap_or_default();
        let first = |name: &str| i64::from_str_radix(name.strip_prefix("log.")?, 16).ok();
        let mut logs: Vec<_> =
            names.iter().filter_map(|name| Some((first(name)?, dir.join(name)))).collect();
        logs.sort_unstable();
        let image = |(_, path): (i64, PathBuf)| {
            let bytes = disk.contents(&path).ok()?;
            Some(Self { entries: entries(&bytes), bytes, path })
        };
        logs.into_iter().filter_map(image).collect()
    }

    /// Whether something was written from the entry on that has changed at this byte, as the file is
    /// afterwards.
    pub(super) fn is_written_behind(&self, changed: usize, bytes: &[u8]) -> bool {
        let touched = self.entries.iter().find(|entry| entry.bytes.end > changed);
        let behind = touched.and_then(|entry| bytes.get(entry.bytes.start..));
        behind.is_some_and(|behind| behind.iter().any(|&byte| byte != 0))
    }

    /// Whether a change of a bit in this entry can not be taken for the end of what was written: a
    /// whole entry follows, and there is no sign of a sector between that was never written.
    pub(super) fn is_surely_written(&self, index: usize) -> bool {
        let (Some(entry), Some(next)) = (self.entries.get(index), self.entries.get(index + 1))
        else {
            return false;
        };
        if !next.is_whole {
            return false;
        }
        // The first bytes of an entry are zeros anyway.
        let range = entry.bytes.start + 4..next.bytes.start + 4;
        let first = range.start / SECTOR_BYTES + 1;
        (first..).map(|sector| sector * SECTOR_BYTES).take_while(|end| *end <= range.end).all(
            |end| {
                let start = end.saturating_sub(UNWRITTEN_BYTES).max(range.start);
                self.bytes[start..end].iter().any(|&byte| byte != 0)
            },
        )
    }
}

/// The last transaction that is known to be durable, as the small file beside the logs says; zero if
/// it says nothing.
pub(super) fn watermark(disk: &SimulatedDisk) -> Zxid {
    let bytes = disk.contents(&directories().log_dir().join("synced")).unwrap_or_default();
    let slots = bytes.chunks(SECTOR_BYTES).filter_map(|slot| slot.get(..36));
    let marks = slots.filter_map(|slot| {
        let (content, sum) = slot.split_at(32);
        let is_good = content.starts_with(b"RKSYNC01") && sum == crc(content).to_be_bytes();
        is_good.then(|| zxid(&content[8..16]))?
    });
    marks.max().unwrap_or(Zxid::ZERO)
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut at = HEADER_BYTES;
    while let Some(prefix) = bytes.get(at..at + PREFIX_BYTES) {
        let length = prefix[8..].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let end = at + PREFIX_BYTES + length;
        let content = bytes.get(at + PREFIX_BYTES..end);
        let Some(content) = content else { break };
        let Some(zxid) = content.get(ZXID_AT).and_then(zxid) else { break };
        if bytes.get(end) != Some(&END_MARK) {
            break;
        }
        let is_whole = prefix[..8] == u64::from(adler(content)).to_be_bytes();
        entries.push(Entry { zxid, bytes: at..end + 1, is_whole });
        at = end + 1;
    }
    entries
}

fn zxid(bytes: &[u8]) -> Option<Zxid> {
    Some(Zxid::from_raw(i64::from_be_bytes(bytes.try_into().ok()?)))
}

/// CRC-32 as in IEEE 802.3.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 }
        })
    })
}

/// Adler-32 as in RFC 1950.
fn adler(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (one, two) = bytes.iter().fold((1, 0), |(one, two), &byte| {
        let one = (one + u32::from(byte)) % MODULUS;
        (one, (two + one) % MODULUS)
    });
    two << 16 | one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_usual_ones() {
        assert_eq!(crc(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc(b""), 0);
        assert_eq!(adler(b"Wikipedia"), 0x11E6_0398);
        assert_eq!(adler(b""), 1);
    }

    #[test]
    fn entries_end_where_the_space_begins() {
        let mut bytes = vec![0; HEADER_BYTES];
        for zxid in [7_i64, 8] {
            let mut content = vec![1; 12];
            content.extend(zxid.to_be_bytes());
            let sum = if zxid == 7 { adler(&content) } else { 0 };
            bytes.extend(u64::from(sum).to_be_bytes());
            bytes.extend(20_u32.to_be_bytes());
            bytes.extend(content);
            bytes.push(END_MARK);
        }
        bytes.extend([0; 100]);
        let entry = |zxid, bytes, is_whole| Entry { zxid: Zxid::from_raw(zxid), bytes, is_whole };
        assert_eq!(entries(&bytes), [entry(7, 16..49, true), entry(8, 49..82, false)]);
    }
}
