//! What a file holds: the real file, and sectors that are not in it yet.

use std::collections::BTreeMap;
use std::io;

use super::{Choices, DiskFile, RealFile, SECTOR_BYTES, TEAR_BYTES};

const SECTOR: u64 = SECTOR_BYTES as u64;
/// Unsynced sectors of a file at most: 64 MiB. A kernel does not keep more in memory either, but writes
/// it out.
const SECTORS_MAX: usize = 1 << 17;
/// One of so many sectors is torn.
const TORN_OF: u64 = 4;

type Sector = Box<[u8; SECTOR_BYTES]>;

/// The content of one file.
pub(super) struct Content {
    file: RealFile,
    /// As who reads it sees it.
    len: u64,
    /// Bytes of the real file.
    real_len: u64,
    /// What is not unsynced is in the real file up to here, and zeros from here on. At most `len`, and at
    /// most `real_len`, which is longer if the file was cut since.
    clean_len: u64,
    unsynced: BTreeMap<u64, Sector>,
}

impl Content {
    /// That of a file which is as it was synced.
    pub(super) fn new(file: RealFile) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, len, real_len: len, clean_len: len, unsynced: BTreeMap::new() })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the real file is the same.
    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && self.len == self.real_len && self.clean_len == self.len
    }

    /// Unsynced sectors that hold anything.
    pub(super) fn sectors_at_risk(&self) -> u64 {
        let holds = |sector: &&Sector| sector.iter().any(|&byte| byte != 0);
        self.unsynced.values().filter(holds).count() as u64
    }

    pub(super) fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = rest.min(into.len());
        let into = &mut into[..bytes];
        let end = offset + bytes as u64;
        let clean = usize::try_from(self.clean_len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (real, zeros) = into.split_at_mut(clean.min(bytes));
        let read = self.file.read_full_at(real, offset)?;
        real[read..].fill(0);
        zeros.fill(0);
        for (&number, sector) in self.unsynced.range(offset / SECTOR..end.div_ceil(SECTOR)) {
            let start = number * SECTOR;
            let (from, to) = (start.max(offset), (start + SECTOR).min(end));
            into[index(from - offset)..index(to - offset)]
                .copy_from_slice(&sector[index(from - start)..index(to - start)]);
        }
        Ok(bytes)
    }

    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset
            .checked_add(bytes.len() as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        for number in offset / SECTOR..end.div_ceil(SECTOR) {
            let start = number * SECTOR;
            let (from, to) = (start.max(offset), (start + SECTOR).min(end));
            let mut sector = match self.unsynced.remove(&number) {
                Some(sector) => sector,
                None => {
                    let mut sector = Box::new([0; SECTOR_BYTES]);
                    self.read_at(&mut sector[..], start)?;
                    sector
                }
            };
            sector[index(from - start)..index(to - start)]
                .copy_from_slice(&bytes[index(from - offset)..index(to - offset)]);
            self.unsynced.insert(number, sector);
        }
        self.len = self.len.max(end);
        if self.unsynced.len() > SECTORS_MAX {
            self.write_out()?;
        }
        Ok(bytes.len())
    }

    pub(super) fn set_len(&mut self, len: u64) {
        drop(self.unsynced.split_off(&len.div_ceil(SECTOR)));
        if let Some(sector) = self.unsynced.get_mut(&(len / SECTOR)) {
            sector[index(len % SECTOR)..].fill(0);
        }
        self.clean_len = self.clean_len.min(len);
        self.len = len;
    }

    /// Makes the real file the same.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        self.cut_real()?;
        for (&number, sector) in &self.unsynced {
            let start = number * SECTOR;
            let bytes = SECTOR.min(self.len.saturating_sub(start));
            self.file.write_all_at(&sector[..index(bytes)], start)?;
        }
        self.file.set_len(self.len)?;
        (self.real_len, self.clean_len) = (self.len, self.len);
        self.unsynced.clear();
        Ok(())
    }

    /// Lets a sector reach the real file, or a piece of it, or the length; how many sectors that were.
    pub(super) fn write_back(&mut self, choices: &mut dyn Choices) -> io::Result<u64> {
        let count = self.unsynced.len() as u64;
        // The length is one thing more.
        let wish = choices.below(count + 1);
        let chosen = match wish.checked_sub(1) {
            Some(wish) => {
                let mut numbers = self.unsynced.keys();
                numbers.nth(usize::try_from(wish).unwrap_or(usize::MAX)).copied()
            }
            None => None,
        };
        let Some(number) = chosen else {
            if self.clean_len < self.real_len {
                self.cut_real()?;
            } else {
                self.file.set_len(self.len)?;
                (self.real_len, self.clean_len) = (self.len, self.len);
            }
            return Ok(0);
        };
        let tear = match choices.below(TORN_OF) {
            0 => TEAR_BYTES as u64 * choices.below(SECTOR / TEAR_BYTES as u64),
            _ => SECTOR,
        };
        self.write_back_sector(number, tear)
    }

    fn write_back_sector(&mut self, number: u64, tear: u64) -> io::Result<u64> {
        let start = number * SECTOR;
        let Some(sector) = self.unsynced.get(&number) else { return Ok(0) };
        let bytes = tear.min(self.len.saturating_sub(start));
        self.file.write_all_at(&sector[..index(bytes)], start)?;
        let is_cut = self.clean_len == self.real_len;
        if bytes > 0 {
            self.real_len = self.real_len.max(start + bytes);
        }
        // What lies behind a cut that has not been made stays unsynced: the cut takes it along.
        if is_cut {
            self.clean_len = self.real_len;
            if tear == SECTOR {
                self.unsynced.remove(&number);
                return Ok(1);
            }
        }
        Ok(0)
    }

    /// Cuts off what was cut off since the last sync.
    fn cut_real(&mut self) -> io::Result<()> {
        if self.clean_len < self.real_len {
            self.file.set_len(self.clean_len)?;
            self.real_len = self.clean_len;
        }
        Ok(())
    }
}

/// A distance within a buffer or a sector.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("within a buffer")
}
