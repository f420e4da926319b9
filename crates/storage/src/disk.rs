//! The one seam between this crate and the operating system.
//!
//! [`Disk`] names files and directories, [`DiskFile`] is an open file. Nothing here is buffered
//! and nothing is durable until it is synced: the bytes and the length of a file by
//! [`DiskFile::sync_data`], its name by [`Disk::sync_dir`] of its directory. Every operation may
//! fail; there is no infallible variant.
//!
//! Four implementations: [`RealDisk`], [`SimulatedDisk`] (in memory, may lose power),
//! [`VolatileDisk`] (real files, of which the end of the process takes what is not synced),
//! [`FaultyDisk`] (wraps another one and fails as planned).

mod faults;
mod real;
mod simulated;
mod volatile;

use std::io;
use std::path::Path;
use std::time::Duration;

pub use faults::{Fault, FaultKind, FaultPlan, FaultyDisk, FaultyFile, Operation, Struck};
pub use real::{RealDisk, RealFile, RealLock};
pub use simulated::{Choices, SECTOR_BYTES, SimulatedDisk, SimulatedFile, SimulatedLock};
pub use volatile::{Observer, Tally, VolatileDisk, VolatileFile};

/// Files in directories. Clones are handles of the same disk.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// Proof of having locked a file; the lock ends when it is dropped.
    type Lock: Send + Sync + 'static;

    /// Creates a directory and those above it, durably; one that exists is fine.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names of all entries of a directory, sorted; names that are not UTF-8 are left out,
    /// none of ours is.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens a new file for reading and writing; an old one of that name is emptied.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file that exists.
    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;

    /// Gives a file another name in one step, replacing what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file, creating it if need be; `None` when another process (or another handle in
    /// this one) holds the lock.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;

    /// Whether a file of that name exists.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.open(path, Access::Read) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// An open file, addressed by offset: there is no cursor.
#[expect(clippy::len_without_is_empty, reason = "a length that may fail; emptiness is no case")]
pub trait DiskFile: Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Reads up to `into.len()` bytes from `offset` on; 0 at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of the bytes at `offset`, growing the file; a gap before reads as zeros.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Sets the length: cuts, or adds zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable; returns how long that took (zero in a simulation).
    ///
    /// An error is final: what was written since the last success may be lost although a later
    /// call succeeds.
    fn sync_data(&self) -> io::Result<Duration>;

    /// Reads until `into` is full or the file ends; returns the bytes read.
    fn read_full_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.read_at(&mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    /// Writes all of the bytes at `offset`; short and interrupted writes are continued.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match self.write_at(&bytes[written..], offset + written as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What an existing file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}
