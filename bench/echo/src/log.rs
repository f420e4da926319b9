//! The floor under durable writes: what changes something is in a file before it is answered.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of the file, all written in advance; a log that reaches the end begins again.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// A file that is overwritten in a circle: nobody reads it.
///
/// What is in it depends on what was appended alone, not on what was synced together.
#[derive(Debug)]
pub struct Log {
    file: File,
    file_bytes: usize,
    /// Where in the file the next bytes go; less than its size.
    end: usize,
    /// Bytes that were ever made durable.
    synced: u64,
    /// What is to be written with the next sync.
    waiting: Vec<u8>,
}

impl Log {
    /// Creates the file at `path` and fills it, so that no later sync changes its metadata.
    ///
    /// # Errors
    /// If the disk fails, or the file is there already.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::with_size(path, FILE_BYTES)
    }

    /// A log that begins again after `file_bytes` bytes.
    pub(crate) fn with_size(path: &Path, file_bytes: usize) -> io::Result<Self> {
        let file = File::create_new(path)?;
        file.write_all_at(&vec![0; file_bytes], 0)?;
        file.sync_all()?;
        Ok(Self { file, file_bytes, end: 0, synced: 0, waiting: Vec::new() })
    }

    /// Lets `bytes` be written with the next sync.
    pub fn append(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Writes what waits in one call, or in two where the file begins again, and makes it durable in
    /// another; nothing if nothing waits.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut rest = &self.waiting[..];
        while !rest.is_empty() {
            let room = self.file_bytes - self.end;
            let (first, following) = rest.split_at(rest.len().min(room));
            self.file.write_all_at(first, self.end as u64)?;
            self.end = (self.end + first.len()) % self.file_bytes;
            rest = following;
        }
        self.file.sync_data()?;
        self.synced += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// What the next sync will write.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.waiting
    }

    /// Returns how many bytes were ever made durable.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_again_wherever_syncs_fall() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let mut one_by_one = Log::with_size(&path("one by one"), 8).unwrap();
        let mut together = Log::with_size(&path("together"), 8).unwrap();
        for bytes in ["abcde", "fghijk", "lmnopqrstuv"] {
            one_by_one.append(bytes.as_bytes());
            one_by_one.sync().unwrap();
            together.append(bytes.as_bytes());
        }
        together.sync().unwrap();
        assert_eq!(std::fs::read(path("one by one")).unwrap(), b"qrstuvop");
        assert_eq!(std::fs::read(path("together")).unwrap(), b"qrstuvop");
        assert_eq!((one_by_one.synced(), together.synced()), (22, 22));
    }
}
