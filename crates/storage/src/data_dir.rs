//! The directories of one server, checked and locked.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::{Zxid, mutant};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Action, Context, Error};
use crate::layout::{
    Directories, LOCK, LogFile, SnapshotFile, UNFINISHED, VERSION_DIR, logs, looks_like_log,
    looks_like_snapshot, snapshots,
};
use crate::log::{HistoryEnd, Log, LogOptions};
use crate::snapshot::{Compression, SnapshotWriter};

/// The directories of one server, held against all other processes until this is dropped.
///
/// ```text
/// open ──> recover ──> log ──> append, sync ...
///    │         └─────> start_snapshot ──> write, finish
///    └─> truncate (then recover again), purge          rewind <──┘
/// ```
#[derive(Debug)]
pub struct DataDir<D: Disk> {
    pub(crate) disk: D,
    pub(crate) directories: Directories,
    branch: SharedBranch,
    /// One for each directory.
    _locks: Vec<D::Lock>,
}

/// The branch of history that the files hold: what this run knows of it.
#[derive(Debug, Default)]
pub(crate) struct Branch {
    /// Grows when the history is cut or replaced: what was begun before must not be finished.
    pub(crate) number: u64,
    /// Where the last replay began: everything in the logs from there on led to the state that this
    /// run goes on from. `None` before a recovery.
    pub(crate) replayed_from: Option<Zxid>,
    /// Whether damage lies behind the end of the history that was recovered, so that nothing may be
    /// logged before it is cut off or replaced.
    pub(crate) ends_at_damage: bool,
}

/// A branch, as those share it who write to the directories.
pub(crate) type SharedBranch = Arc<Mutex<Branch>>;

/// Waits until nobody else holds the branch.
pub(crate) fn hold(branch: &SharedBranch) -> MutexGuard<'_, Branch> {
    branch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What to do about a directory that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MissingDirectory {
    /// Create it (`zookeeper.datadir.autocreate`, the default).
    Create,
    /// Refuse to start.
    Refuse,
}

impl<D: Disk> DataDir<D> {
    /// Takes the directories: creates what is missing, refuses exchanged ones, locks them, removes
    /// what an interrupted write of ours has left, and brings an interrupted installation to its end.
    ///
    /// # Errors
    /// When a directory is missing and must not be created, is in use, holds the other one's files,
    /// or when the disk fails.
    pub fn open(
        disk: D,
        directories: Directories,
        missing: MissingDirectory,
    ) -> Result<Self, Error> {
        let mut dirs = vec![directories.snapshot_dir()];
        if !directories.is_shared() {
            dirs.push(directories.log_dir());
        }
        let mut locks = Vec::with_capacity(dirs.len());
        for dir in &dirs {
            require_dir(&disk, dir, missing)?;
            let path = dir.join(LOCK);
            let lock = disk.lock(&path).during(Action::Lock, &path)?;
            locks.push(lock.ok_or_else(|| Error::Locked { dir: dir.clone() })?);
        }
        let data_dir = Self { disk, directories, branch: Arc::default(), _locks: locks };
        data_dir.refuse_exchanged()?;
        for dir in &dirs {
            data_dir.remove_unfinished(dir)?;
        }
        data_dir.settle_installation()?;
        Ok(data_dir)
    }

    /// The log, to go on after `last_logged`: the last transaction that recovery found, or an epoch
    /// that began later. After a recovery that found damage ([`DataDir::recover_member`]) it takes
    /// nothing, and is only good for [`DataDir::rewind`] or [`DataDir::install`].
    ///
    /// # Errors
    /// When the disk fails.
    pub fn log(&self, options: LogOptions, last_logged: Zxid) -> Result<Log<D>, Error> {
        let end = match self.branch().ends_at_damage {
            true => HistoryEnd::Damaged,
            false => HistoryEnd::Sound,
        };
        Log::new(self.disk.clone(), self.directories.log_dir(), options, last_logged, end)
    }

    /// Starts a snapshot; `zxid` is the last transaction that is wholly contained in it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn start_snapshot(
        &self,
        zxid: Zxid,
        compression: Compression,
    ) -> Result<SnapshotWriter<D>, Error> {
        self.start_writing(UNFINISHED, zxid, compression)
    }

    /// The two directories.
    pub fn directories(&self) -> &Directories {
        &self.directories
    }

    /// Starts a snapshot whose name has a prefix until it is finished; it begins with
    /// [`UNFINISHED`], so that a start removes what a crash has left.
    pub(crate) fn start_writing(
        &self,
        prefix: &str,
        zxid: Zxid,
        compression: Compression,
    ) -> Result<SnapshotWriter<D>, Error> {
        debug_assert!(prefix.starts_with(UNFINISHED));
        let place = (self.directories.snapshot_dir(), prefix);
        SnapshotWriter::create(self.disk.clone(), place, zxid, compression, &self.branch)
    }

    /// The logs, in ascending order.
    pub(crate) fn list_logs(&self) -> Result<Vec<LogFile>, Error> {
        let dir = self.directories.log_dir();
        Ok(logs(&dir, &self.list(&dir)?))
    }

    /// The snapshots, the newest first.
    pub(crate) fn list_snapshots(&self) -> Result<Vec<SnapshotFile>, Error> {
        let dir = self.directories.snapshot_dir();
        Ok(snapshots(&dir, &self.list(&dir)?))
    }

    /// The branch of history that the files hold. While this is held nobody else removes files or
    /// gives a snapshot its name.
    pub(crate) fn branch(&self) -> MutexGuard<'_, Branch> {
        hold(&self.branch)
    }

    /// Removes a file; the directory is not synced yet.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        self.disk.unlink(path).during(Action::Remove, path)
    }

    /// Whether there is such a file.
    pub(crate) fn is_there(&self, path: &Path) -> Result<bool, Error> {
        match self.disk.open(path, Access::Read) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).during(Action::Open, path),
        }
    }

    /// Removes a file durably, unless it is gone.
    pub(crate) fn remove_if_there(&self, dir: &Path, name: &str) -> Result<(), Error> {
        let path = dir.join(name);
        match self.disk.unlink(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result.during(Action::Remove, &path)?,
        }
        self.sync_dir(dir)
    }

    /// Makes a file durable that someone else has written.
    pub(crate) fn sync_file(&self, path: &Path) -> Result<(), Error> {
        let file = self.disk.open(path, Access::ReadWrite).during(Action::Open, path)?;
        file.sync_data().during(Action::Sync, path).map(drop)
    }

    /// Makes creations, renames and removals durable.
    pub(crate) fn sync_dir(&self, dir: &Path) -> Result<(), Error> {
        self.disk.sync_dir(dir).during(Action::SyncDirectory, dir)
    }

    /// The first `bytes_max` bytes of a file; `None` if there is none of that name.
    pub(crate) fn read_small(
        &self,
        path: &Path,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let file = match self.disk.open(path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.during(Action::Open, path)?,
        };
        let mut bytes = vec![0; bytes_max];
        let read = file.read_full_at(&mut bytes, 0).during(Action::Read, path)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }

    /// Gives a small file new content, durably: after a crash it has the old or the new one.
    pub(crate) fn replace_file(&self, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = dir.join(name);
        let unfinished = dir.join(format!("{UNFINISHED}{name}"));
        let file = self.disk.create(&unfinished).during(Action::Create, &unfinished)?;
        file.write_all_at(bytes, 0).during(Action::Write, &unfinished)?;
        file.sync_data().during(Action::Sync, &unfinished)?;
        self.disk.rename(&unfinished, &path).during(Action::Rename, &path)?;
        if mutant::active(155) {
            return Ok(());
        }
        self.sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, Error> {
        self.disk.list(dir).during(Action::List, dir)
    }

    /// With two directories, a log among the snapshots or the reverse means that they were
    /// exchanged: starting would look like starting empty.
    fn refuse_exchanged(&self) -> Result<(), Error> {
        if self.directories.is_shared() {
            return Ok(());
        }
        let (logs, snapshots) = (self.directories.log_dir(), self.directories.snapshot_dir());
        let in_logs = self.list(&logs)?.into_iter().find(|name| looks_like_snapshot(name));
        let in_snapshots = self.list(&snapshots)?.into_iter().find(|name| looks_like_log(name));
        let misplaced = in_logs.map(|name| logs.join(name));
        match misplaced.or_else(|| in_snapshots.map(|name| snapshots.join(name))) {
            Some(file) => Err(Error::Misplaced { file }),
            None => Ok(()),
        }
    }

    fn remove_unfinished(&self, dir: &Path) -> Result<(), Error> {
        for name in self.list(dir)?.iter().filter(|name| name.starts_with(UNFINISHED)) {
            self.remove(&dir.join(name))?;
        }
        Ok(())
    }
}

/// The directory above `version-2` has to be there too, unless it may be created.
fn require_dir<D: Disk>(disk: &D, dir: &Path, missing: MissingDirectory) -> Result<(), Error> {
    debug_assert!(dir.ends_with(VERSION_DIR));
    match missing {
        MissingDirectory::Create => disk.create_dir_all(dir).during(Action::CreateDirectory, dir),
        MissingDirectory::Refuse => match disk.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::MissingDirectory { dir: dir.to_owned() })
            }
            result => result.during(Action::List, dir).map(drop),
        },
    }
}
