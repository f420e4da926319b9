//! The floor under durable writes: what changes something is in a file before it is answered.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of the file, all written in advance; a log that reaches the end begins again.
const FILE_BYTES: usize = 64 * 1024 * 1024;

/// A file that is overwritten in a circle: nobody reads it.
#[derive(Debug)]
pub struct Log {
    file: File,
    end: u64,
    /// What is to be written with the next sync.
    waiting: Vec<u8>,
}

impl Log {
    /// Creates the file at `path` and fills it, so that no later sync changes its metadata.
    ///
    /// # Errors
    /// If the disk fails, or the file is there already.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        let zeros = vec![0; FILE_BYTES];
        file.write_all_at(&zeros, 0)?;
        file.sync_all()?;
        Ok(Self { file, end: 0, waiting: Vec::new() })
    }

    /// Lets `frame` be written with the next sync.
    pub fn append(&mut self, frame: &[u8]) {
        self.waiting.extend_from_slice(frame);
    }

    /// Writes what waits in one call, and makes it durable in another; neither if nothing waits.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.end + self.waiting.len() as u64 > FILE_BYTES as u64 {
            self.end = 0;
        }
        self.file.write_all_at(&self.waiting, self.end)?;
        self.end += self.waiting.len() as u64;
        self.waiting.clear();
        self.file.sync_data()
    }
}
