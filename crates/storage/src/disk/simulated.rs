//! A disk in memory that can lose power.
//!
//! Each file has what processes see and what is durable; sectors written since the last sync are
//! neither surely old nor surely new. [`SimulatedDisk::crash`] decides: each unsynced sector
//! independently keeps its old content, gets the new one, or is torn between the two; the length
//! is the old or the new one; each directory operation since the last directory sync happened or
//! did not, independently of the others. Everything else is kept. The decisions come from the
//! caller, so that a run can be repeated.
//!
//! Creating a directory is durable at once: what the server does with directories happens once in
//! its life, and a lost one is the same as a fresh start.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::faults::{FaultKind, FaultPlan, Operation};
use super::{Access, Disk, DiskFile};

/// The unit in which a device writes.
pub const SECTOR_BYTES: usize = 512;

/// A torn sector is torn at a multiple of this.
pub(super) const TEAR_BYTES: usize = 8;

/// Where a simulation's decisions come from.
pub trait Choices {
    /// A number from 0 to `bound` - 1; `bound` is at least 1.
    fn below(&mut self, bound: u64) -> u64;
}

impl<F: FnMut(u64) -> u64> Choices for F {
    fn below(&mut self, bound: u64) -> u64 {
        self(bound)
    }
}

/// A disk in memory. Clones are handles of the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    plan: FaultPlan,
}

#[derive(Debug, Default)]
struct State {
    /// Which crash the disk has survived; handles from before are dead.
    generation: u64,
    next_inode: u64,
    dirs: BTreeSet<PathBuf>,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    unsynced: Vec<DirChange>,
    locks: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug)]
enum DirChange {
    Link { path: PathBuf, inode: u64 },
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
    Unlink { path: PathBuf },
}

impl DirChange {
    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Link { path, .. } | Self::Unlink { path } | Self::Rename { to: path, .. } => {
                path.parent() == Some(dir)
            }
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link { path, inode } => {
                names.insert(path, inode);
            }
            Self::Rename { from, to, inode } => {
                names.remove(&from);
                names.insert(to, inode);
            }
            Self::Unlink { path } => {
                names.remove(&path);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Inode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors whose visible content is on its way to the device.
    unsynced: BTreeSet<usize>,
}

impl Inode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.visible.len() < end {
            self.visible.resize(end, 0);
        }
        self.visible[offset..end].copy_from_slice(bytes);
        self.unsynced.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    fn set_len(&mut self, len: usize) {
        let changed = self.visible.len().min(len)..self.visible.len().max(len);
        self.visible.resize(len, 0);
        self.unsynced.extend(changed.start / SECTOR_BYTES..changed.end.div_ceil(SECTOR_BYTES));
    }

    /// Only unsynced sectors reach the device: those that a failed sync dropped stay behind.
    fn sync(&mut self) {
        self.durable.resize(self.visible.len(), 0);
        for sector in std::mem::take(&mut self.unsynced) {
            let start = (sector * SECTOR_BYTES).min(self.visible.len());
            let end = (start + SECTOR_BYTES).min(self.visible.len());
            self.durable[start..end].copy_from_slice(&self.visible[start..end]);
        }
    }

    fn crash(&mut self, choices: &mut impl Choices) {
        let (old, new) = (&self.durable, &self.visible);
        let len = if choices.below(2) == 0 { old.len() } else { new.len() };
        let mut kept = old.clone();
        kept.resize(old.len().max(new.len()), 0);
        for &sector in &self.unsynced {
            let start = sector * SECTOR_BYTES;
            let tear = match choices.below(3) {
                0 => 0,
                1 => SECTOR_BYTES,
                _ => {
                    let pieces = choices.below((SECTOR_BYTES / TEAR_BYTES) as u64);
                    TEAR_BYTES * usize::try_from(pieces).expect("below the bound")
                }
            };
            let end = (start + tear).min(new.len());
            if start < end {
                kept[start..end].copy_from_slice(&new[start..end]);
            }
        }
        kept.resize(len, 0);
        self.visible.clone_from(&kept);
        self.durable = kept;
        self.unsynced.clear();
    }
}

impl SimulatedDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The failures to come on this disk.
    pub fn faults(&self) -> &FaultPlan {
        &self.plan
    }

    /// Loses power and comes back: see the module's text. Open files and locks of the time before
    /// are dead.
    pub fn crash(&self, choices: &mut impl Choices) {
        let mut state = self.state();
        state.generation += 1;
        state.locks.clear();
        for change in std::mem::take(&mut state.unsynced) {
            if choices.below(2) == 1 {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.inodes.retain(|inode, _| named.contains(inode));
        for inode in state.inodes.values_mut() {
            inode.crash(choices);
        }
    }

    /// Ends all processes without loss of power: what they wrote stays, open files and locks are
    /// dead.
    pub fn kill(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.locks.clear();
    }

    /// A copy of the disk as it is, unsynced state included; faults are not copied.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state();
        let inodes = state.inodes.iter().map(|(&id, inode)| {
            let (visible, durable) = (inode.visible.clone(), inode.durable.clone());
            (id, Inode { visible, durable, unsynced: inode.unsynced.clone() })
        });
        let copy = State {
            generation: 0,
            next_inode: state.next_inode,
            dirs: state.dirs.clone(),
            inodes: inodes.collect(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            unsynced: state.unsynced.clone(),
            locks: BTreeSet::new(),
        };
        Self { state: Arc::new(Mutex::new(copy)), plan: FaultPlan::default() }
    }

    /// A file's content as processes see it.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let inode = state.named(path)?;
        Ok(state.inode(inode)?.visible.clone())
    }

    /// Replaces a file's content durably, or creates it: a state left by someone else.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let id = state.next_inode;
        state.next_inode += 1;
        let inode =
            Inode { visible: bytes.to_vec(), durable: bytes.to_vec(), unsynced: BTreeSet::new() };
        state.inodes.insert(id, inode);
        state.names.insert(path.to_owned(), id);
        state.durable_names.insert(path.to_owned(), id);
    }

    /// Rots one bit of a file, on the device and in the page cache.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.named(path)?;
        let inode = state.inode(inode)?;
        let index = offset_of(byte)?;
        for image in [&mut inode.visible, &mut inode.durable] {
            if let Some(byte) = image.get_mut(index) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, state: &State, inode: u64) -> SimulatedFile {
        SimulatedFile { disk: self.clone(), inode, generation: state.generation }
    }
}

impl State {
    fn named(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn require_dir(&self, dir: Option<&Path>) -> io::Result<()> {
        match dir {
            Some(dir) if self.dirs.contains(dir) => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.state().dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.plan.check(Operation::List, dir)?;
        let state = self.state();
        state.require_dir(Some(dir))?;
        let paths = state.names.keys().chain(&state.dirs);
        let inside = paths.filter(|path| path.parent() == Some(dir));
        let mut names: Vec<String> = inside
            .filter_map(|path| path.file_name().and_then(|name| name.to_str()))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        self.plan.check(Operation::Create, path)?;
        let mut state = self.state();
        state.require_dir(path.parent())?;
        let inode = match state.names.get(path) {
            Some(&inode) => {
                state.inode(inode)?.set_len(0);
                inode
            }
            None => {
                let inode = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(inode, Inode::default());
                state.names.insert(path.to_owned(), inode);
                state.unsynced.push(DirChange::Link { path: path.to_owned(), inode });
                inode
            }
        };
        Ok(self.file(&state, inode))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<SimulatedFile> {
        self.plan.check(Operation::Open, path)?;
        let state = self.state();
        Ok(self.file(&state, state.named(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(Operation::Rename, to)?;
        let mut state = self.state();
        state.require_dir(to.parent())?;
        let inode = state.named(from)?;
        let change = DirChange::Rename { from: from.to_owned(), to: to.to_owned(), inode };
        change.clone().apply(&mut state.names);
        state.unsynced.push(change);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Operation::Unlink, path)?;
        let mut state = self.state();
        state.named(path)?;
        let change = DirChange::Unlink { path: path.to_owned() };
        change.clone().apply(&mut state.names);
        state.unsynced.push(change);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check(Operation::SyncDir, dir)?;
        let mut state = self.state();
        state.require_dir(Some(dir))?;
        let (done, rest) =
            std::mem::take(&mut state.unsynced).into_iter().partition(|change| change.is_in(dir));
        state.unsynced = rest;
        let done: Vec<DirChange> = done;
        for change in done {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<SimulatedLock>> {
        let mut state = self.state();
        state.require_dir(path.parent())?;
        if !state.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        let (disk, generation) = (self.clone(), state.generation);
        Ok(Some(SimulatedLock { disk, generation, path: path.to_owned() }))
    }
}

/// An open file of a [`SimulatedDisk`]; dead after a crash.
#[derive(Debug)]
pub struct SimulatedFile {
    disk: SimulatedDisk,
    inode: u64,
    generation: u64,
}

impl SimulatedFile {
    /// The file's present name, by which faults are planned; the empty path once it is removed.
    fn path(&self) -> PathBuf {
        let state = self.disk.state();
        let named = state.names.iter().find(|&(_, &inode)| inode == self.inode);
        named.map(|(path, _)| path.clone()).unwrap_or_default()
    }

    fn with_inode<T>(&self, act: impl FnOnce(&mut Inode) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.generation != self.generation {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        act(state.inode(self.inode)?)
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.plan.check(Operation::Read, &self.path())?;
        self.with_inode(|inode| Ok(inode.visible.len() as u64))
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let limit = self.disk.plan.limit(Operation::Read, &self.path(), into.len())?;
        let offset = offset_of(offset)?;
        self.with_inode(|inode| {
            let rest = inode.visible.get(offset..).unwrap_or_default();
            let bytes = rest.len().min(limit);
            into[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(bytes)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let limit = self.disk.plan.limit(Operation::Write, &self.path(), bytes.len())?;
        let offset = offset_of(offset)?;
        self.with_inode(|inode| {
            inode.write(&bytes[..limit], offset);
            Ok(limit)
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.plan.check(Operation::SetLen, &self.path())?;
        let len = offset_of(len)?;
        self.with_inode(|inode| {
            inode.set_len(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<Duration> {
        if let Some(kind) = self.disk.plan.strike(Operation::Sync, &self.path()) {
            if kind == FaultKind::PagesDropped {
                self.with_inode(|inode| {
                    inode.unsynced.clear();
                    Ok(())
                })?;
            }
            return Err(kind.error());
        }
        self.with_inode(|inode| {
            inode.sync();
            Ok(Duration::ZERO)
        })
    }
}

/// A lock on a file of a [`SimulatedDisk`].
#[derive(Debug)]
pub struct SimulatedLock {
    disk: SimulatedDisk,
    generation: u64,
    path: PathBuf,
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.generation == self.generation {
            state.locks.remove(&self.path);
        }
    }
}

fn offset_of(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Fault;

    fn disk() -> (SimulatedDisk, PathBuf) {
        let disk = SimulatedDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        (disk, PathBuf::from("/d/file"))
    }

    /// A file whose name and first content are durable.
    fn durable(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) -> SimulatedFile {
        let file = disk.create(path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file
    }

    #[test]
    fn synced_bytes_under_a_synced_name_survive_every_crash() {
        let (disk, path) = disk();
        durable(&disk, &path, &[7; 2000]);
        for choice in 0..3 {
            disk.crash(&mut |bound: u64| choice.min(bound - 1));
            assert_eq!(disk.contents(&path).unwrap(), [7; 2000]);
        }
    }

    #[test]
    fn name_is_durable_only_with_its_directory() {
        let (disk, path) = disk();
        disk.create(&path).unwrap().sync_data().unwrap();
        let other = disk.fork();
        disk.crash(&mut |_: u64| 0);
        assert!(!disk.exists(&path).unwrap());
        other.crash(&mut |_: u64| 1);
        assert!(other.exists(&path).unwrap());
    }

    #[test]
    fn unsynced_sectors_are_old_new_or_torn_one_by_one() {
        let (disk, path) = disk();
        let file = durable(&disk, &path, &[1; 3 * SECTOR_BYTES]);
        file.write_all_at(&[2; 3 * SECTOR_BYTES], 0).unwrap();
        // The length; then for each sector: old; new; torn after two pieces.
        let mut choices = [0, 0, 1, 2, 2].into_iter();
        disk.crash(&mut |_: u64| choices.next().unwrap());
        let bytes = disk.contents(&path).unwrap();
        assert_eq!(bytes[..SECTOR_BYTES], [1; SECTOR_BYTES]);
        assert_eq!(bytes[SECTOR_BYTES..2 * SECTOR_BYTES], [2; SECTOR_BYTES]);
        let torn = &bytes[2 * SECTOR_BYTES..];
        assert_eq!(torn[..2 * TEAR_BYTES], [2; 2 * TEAR_BYTES]);
        assert_eq!(torn[2 * TEAR_BYTES..], [1; SECTOR_BYTES - 2 * TEAR_BYTES]);
    }

    #[test]
    fn pages_that_a_failed_sync_dropped_stay_lost_after_one_that_succeeds() {
        let (disk, path) = disk();
        let file = durable(&disk, &path, b"old");
        file.write_all_at(b"new", 0).unwrap();
        let (operation, kind) = (Operation::Sync, FaultKind::PagesDropped);
        let name_prefix = String::new();
        disk.faults().add(Fault { operation, name_prefix, after: 0, kind });
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(disk.contents(&path).unwrap(), b"new", "the process still sees it");
        disk.crash(&mut |bound: u64| bound - 1);
        assert_eq!(disk.contents(&path).unwrap(), b"old");
    }

    #[test]
    fn crash_and_kill_end_open_files_and_locks_and_only_a_crash_loses_bytes() {
        let (disk, path) = disk();
        let file = durable(&disk, &path, b"old");
        let lock = disk.lock(Path::new("/d/lock")).unwrap();
        assert!(lock.is_some());
        assert!(disk.lock(Path::new("/d/lock")).unwrap().is_none());
        file.write_all_at(b"new", 0).unwrap();
        disk.kill();
        assert!(file.write_all_at(b"late", 0).is_err());
        assert_eq!(disk.contents(&path).unwrap(), b"new");
        let again = disk.lock(Path::new("/d/lock")).unwrap();
        drop(lock);
        assert!(again.is_some());
        assert!(disk.lock(Path::new("/d/lock")).unwrap().is_none(), "the dead lock frees nothing");
        disk.crash(&mut |_: u64| 0);
        assert_eq!(disk.contents(&path).unwrap(), b"old");
    }
}
