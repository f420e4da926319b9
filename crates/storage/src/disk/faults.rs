//! Disks that fail as planned.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::{Access, Disk, DiskFile};

/// What is asked of a disk, as far as faults tell it apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Creating a file, or emptying one.
    Create,
    /// Opening a file that exists.
    Open,
    /// Reading, and asking for a length.
    Read,
    /// Writing.
    Write,
    /// Cutting or growing.
    SetLen,
    /// Making a file durable.
    Sync,
    /// Making a directory durable.
    SyncDir,
    /// Renaming.
    Rename,
    /// Removing.
    Unlink,
    /// Listing a directory.
    List,
}

impl Operation {
    /// All of them, for tests that fail each in turn.
    pub const ALL: [Self; 10] = [
        Self::Create,
        Self::Open,
        Self::Read,
        Self::Write,
        Self::SetLen,
        Self::Sync,
        Self::SyncDir,
        Self::Rename,
        Self::Unlink,
        Self::List,
    ];
}

/// How an operation fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// The device reports an error; nothing was done.
    Io,
    /// There is no space left; nothing was done.
    NoSpace,
    /// A write stores only that many bytes and says so; a read returns only that many.
    Short(usize),
    /// A sync fails and the pages are marked clean although they never reached the device, as
    /// ext4 and XFS do: the process still sees them, the next sync succeeds, a crash loses them.
    PagesDropped,
}

impl FaultKind {
    pub(super) fn error(self) -> io::Error {
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        io::Error::from_raw_os_error(if self == Self::NoSpace { ENOSPC } else { EIO })
    }
}

/// One planned failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Of what.
    pub operation: Operation,
    /// Only of files whose name starts with this; empty for all.
    pub name_prefix: String,
    /// How many matching operations succeed before.
    pub after: u64,
    /// How it fails.
    pub kind: FaultKind,
}

/// A failure that has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Struck {
    /// Of what.
    pub operation: Operation,
    /// The name of the file, or of the directory.
    pub name: String,
    /// How it failed.
    pub kind: FaultKind,
}

/// Failures to come, shared by all handles of a disk. Each happens once.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    faults: Arc<Mutex<VecDeque<Fault>>>,
    struck: Arc<Mutex<Option<Struck>>>,
}

impl FaultPlan {
    /// Adds a failure.
    pub fn add(&self, fault: Fault) {
        lock(&self.faults).push_back(fault);
    }

    /// Drops all failures that did not happen yet; returns how many.
    pub fn clear(&self) -> usize {
        let mut faults = lock(&self.faults);
        std::mem::take(&mut *faults).len()
    }

    /// Returns the last failure that has happened, once.
    pub fn take_struck(&self) -> Option<Struck> {
        lock(&self.struck).take()
    }

    /// Counts an operation on `path` and returns the failure that is due.
    pub(super) fn strike(&self, operation: Operation, path: &Path) -> Option<FaultKind> {
        let mut faults = lock(&self.faults);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut due = None;
        for (index, fault) in faults.iter_mut().enumerate() {
            if fault.operation != operation || !name.starts_with(&fault.name_prefix) {
                continue;
            }
            match fault.after.checked_sub(1) {
                Some(after) => fault.after = after,
                None => due = due.or(Some(index)),
            }
        }
        let kind = due.and_then(|index| faults.remove(index))?.kind;
        *lock(&self.struck) = Some(Struck { operation, name: name.to_owned(), kind });
        Some(kind)
    }

    /// As [`FaultPlan::strike`], for operations that fail wholly or not at all.
    pub(super) fn check(&self, operation: Operation, path: &Path) -> io::Result<()> {
        match self.strike(operation, path) {
            Some(kind) => Err(kind.error()),
            None => Ok(()),
        }
    }

    /// As [`FaultPlan::strike`], for transfers: the number of bytes to move at most.
    pub(super) fn limit(
        &self,
        operation: Operation,
        path: &Path,
        bytes: usize,
    ) -> io::Result<usize> {
        match self.strike(operation, path) {
            Some(FaultKind::Short(limit)) => Ok(limit.clamp(1, bytes.max(1)).min(bytes)),
            Some(kind) => Err(kind.error()),
            None => Ok(bytes),
        }
    }
}

/// A disk that passes everything on to another one, except for the planned failures.
///
/// For tests of whole processes on real files. It can not drop pages: a planned
/// [`FaultKind::PagesDropped`] fails the sync without passing it on.
#[derive(Clone, Debug)]
pub struct FaultyDisk<D> {
    disk: D,
    plan: FaultPlan,
    /// The names of open files, which change when one is renamed.
    open_files: Arc<Mutex<Vec<Weak<Mutex<PathBuf>>>>>,
}

impl<D: Disk> FaultyDisk<D> {
    /// A disk over `disk` that fails as `plan` says.
    pub fn new(disk: D, plan: FaultPlan) -> Self {
        Self { disk, plan, open_files: Arc::default() }
    }

    fn file(&self, file: D::File, path: &Path) -> FaultyFile<D::File> {
        let path = Arc::new(Mutex::new(path.to_owned()));
        let mut open_files = lock(&self.open_files);
        open_files.retain(|path| path.strong_count() > 0);
        open_files.push(Arc::downgrade(&path));
        FaultyFile { file, path, plan: self.plan.clone() }
    }
}

impl<D: Disk> Disk for FaultyDisk<D> {
    type File = FaultyFile<D::File>;
    type Lock = D::Lock;

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.plan.check(Operation::List, dir)?;
        self.disk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Self::File> {
        self.plan.check(Operation::Create, path)?;
        Ok(self.file(self.disk.create(path)?, path))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File> {
        self.plan.check(Operation::Open, path)?;
        Ok(self.file(self.disk.open(path, access)?, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(Operation::Rename, to)?;
        self.disk.rename(from, to)?;
        for path in lock(&self.open_files).iter().filter_map(Weak::upgrade) {
            let mut path = lock(&path);
            if *path == from {
                to.clone_into(&mut path);
            }
        }
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::Unlink, path)?;
        self.disk.unlink(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check(Operation::SyncDir, dir)?;
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        self.disk.lock(path)
    }
}

/// An open file of a [`FaultyDisk`].
#[derive(Debug)]
pub struct FaultyFile<F> {
    file: F,
    path: Arc<Mutex<PathBuf>>,
    plan: FaultPlan,
}

impl<F: DiskFile> DiskFile for FaultyFile<F> {
    fn len(&self) -> io::Result<u64> {
        self.plan.check(Operation::Read, &lock(&self.path))?;
        self.file.len()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let limit = self.plan.limit(Operation::Read, &lock(&self.path), into.len())?;
        self.file.read_at(&mut into[..limit], offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let limit = self.plan.limit(Operation::Write, &lock(&self.path), bytes.len())?;
        self.file.write_at(&bytes[..limit], offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.plan.check(Operation::SetLen, &lock(&self.path))?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<Duration> {
        self.plan.check(Operation::Sync, &lock(&self.path))?;
        self.file.sync_data()
    }
}

/// What a panic elsewhere left is still true: nothing here is changed in two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
