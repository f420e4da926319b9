//! Real files under a cache that dies with the process.
//!
//! A process that is killed loses nothing of what it gave to the kernel. With this disk it loses what a
//! loss of power may take from a machine: bytes that were written and not synced, and names whose
//! directory was not synced, stay in the memory of the process until a sync. Only a part of them, drawn
//! at random, reaches the real files earlier, in any order and a sector torn now and then, as a kernel
//! writes back what it likes when it likes. So SIGKILL is a loss of power.
//!
//! ```text
//!   write ──> unsynced sectors ──── sync_data, or sooner ────> the real file
//!   create ─> a change of names ─── sync_dir,  or sooner ────> the real name
//! ```
//!
//! What may be missing after the end is what [`super::SimulatedDisk`] lets a crash take, but for one thing: of
//! two changes that concern the same name or the same file the earlier one reaches the directory first,
//! as in every file system that has a journal. Creating a directory is durable at once there and here.
//!
//! A new file lies in a subdirectory without a name of its own until it gets one that is durable. So a
//! name appears in one step with everything that was synced before. What is in this subdirectory when
//! a process first creates a file has lost its name for good, and is removed.

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::content::Content;
use super::real::{RealDisk, RealFile, RealLock};
use super::simulated::{Choices, SECTOR_BYTES, TEAR_BYTES};
use super::{Access, Disk, DiskFile};

/// Where files wait for their names, in the directory of these.
const NAMELESS: &str = ".nameless";
/// Of so many operations, some are followed by writing back.
const EAGERNESS_BOUND: u64 = 1_000;
/// After how many of them, in a life of the disk. In some lives nothing is written back before its sync, in
/// others nearly everything.
const EAGERNESS: [u64; 4] = [0, 100, 500, 900];
/// Things that reach the real files together at most.
const WRITTEN_BACK_MAX: usize = 64;
/// One of so many of them is a change of names, if there is any.
const KINDS: u64 = 4;

/// What has not reached the real files, and what has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Sectors that a loss of power would take now. Those that hold nothing but zeros do not count: space
    /// that is written ahead is no loss.
    pub sectors: u64,
    /// Changes of names that a loss of power would take now.
    pub names: u64,
    /// Sectors that were written back before their sync.
    pub sectors_early: u64,
    /// Changes of names that were written back before their sync.
    pub names_early: u64,
}

/// Who is told of each change of the tally, while nothing else happens to the disk.
pub type Observer = Box<dyn FnMut(Tally) + Send>;

/// A disk whose unsynced content is lost with the process. Clones are handles of the same disk.
///
/// For tests of whole processes; all who use the same files must use the same disk.
#[derive(Clone)]
pub struct VolatileDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    choices: Box<dyn Choices + Send>,
    eagerness: u64,
    observer: Option<Observer>,
    /// Whether syncs do nothing and say that they did it.
    is_lying: bool,
    /// How long syncs take.
    sync_time: Duration,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    /// Names that are in use or not as the real directories have them; `None` for those that are gone.
    names: BTreeMap<PathBuf, Option<u64>>,
    /// In the order in which they were made.
    changes: Vec<Change>,
    /// Directories in which files without names can be created.
    rooms: BTreeSet<PathBuf>,
    tally: Tally,
}

struct Inode {
    content: Content,
    /// How many open files there are of it.
    handles: usize,
}

/// A change of a directory that is not durable.
enum Change {
    Link { nameless: PathBuf, path: PathBuf, inode: u64 },
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
    Unlink { path: PathBuf, inode: u64 },
}

impl VolatileDisk {
    /// A disk whose luck comes from `choices`.
    pub fn new(mut choices: impl Choices + Send + 'static) -> Self {
        let which = choices.below(EAGERNESS.len() as u64);
        let eagerness = usize::try_from(which).ok().and_then(|which| EAGERNESS.get(which).copied());
        let state = State {
            choices: Box::new(choices),
            eagerness: eagerness.unwrap_or_default(),
            observer: None,
            is_lying: false,
            sync_time: Duration::ZERO,
            inodes: BTreeMap::new(),
            next_inode: 0,
            names: BTreeMap::new(),
            changes: Vec::new(),
            rooms: BTreeSet::new(),
            tally: Tally::default(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Tells somebody of every change of the tally from now on.
    pub fn observe(&self, observer: Observer) {
        self.state().observer = Some(observer);
    }

    /// Makes syncs take so long from now on.
    pub fn set_sync_time(&self, sync_time: Duration) {
        self.state().sync_time = sync_time;
    }

    /// Lets syncs do nothing from now on, and say that they did it, as some devices do.
    pub fn lie(&self) {
        self.state().is_lying = true;
    }

    /// Writes back what luck wants, as after each operation: for a disk that nobody uses just now.
    ///
    /// # Errors
    /// The real disk's.
    pub fn idle(&self) -> io::Result<()> {
        self.state().settle()
    }

    /// What has not reached the real files, and what has.
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, state: &mut State, id: u64) -> io::Result<VolatileFile> {
        state.inode(id)?.handles += 1;
        Ok(VolatileFile { disk: self.clone(), inode: id })
    }

    /// Waits as long as a sync takes; whether it does anything at all.
    fn begin_sync(&self) -> bool {
        let (sync_time, is_lying) = {
            let state = self.state();
            (state.sync_time, state.is_lying)
        };
        thread::sleep(sync_time);
        !is_lying
    }
}

impl fmt::Debug for VolatileDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolatileDisk").finish_non_exhaustive()
    }
}

impl Disk for VolatileDisk {
    type File = VolatileFile;
    type Lock = RealLock;

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let mut names: BTreeSet<String> = RealDisk.list(dir)?.into_iter().collect();
        names.remove(NAMELESS);
        for (path, inode) in state.names.iter().filter(|(path, _)| path.parent() == Some(dir)) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            match inode {
                Some(_) => names.insert(name.to_owned()),
                None => names.remove(name),
            };
        }
        Ok(names.into_iter().collect())
    }

    fn create(&self, path: &Path) -> io::Result<VolatileFile> {
        let mut state = self.state();
        let id = match state.named(path) {
            Ok(id) => {
                state.inode(id)?.content.set_len(0);
                id
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => state.create(path)?,
            Err(error) => return Err(error),
        };
        // Before the disk settles: what nobody has open may be forgotten.
        let file = self.file(&mut state, id)?;
        let settled = state.settle();
        drop(state);
        settled.map(|()| file)
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<VolatileFile> {
        let mut state = self.state();
        let id = state.named(path)?;
        self.file(&mut state, id)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.named(from)?;
        require_dir(to)?;
        let (from, to) = (from.to_owned(), to.to_owned());
        state.names.insert(from.clone(), None);
        state.names.insert(to.clone(), Some(inode));
        state.changes.push(Change::Rename { from, to, inode });
        state.settle()
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.named(path)?;
        state.names.insert(path.to_owned(), None);
        state.changes.push(Change::Unlink { path: path.to_owned(), inode });
        state.settle()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::metadata(dir)?;
        if !self.begin_sync() {
            return Ok(());
        }
        let mut state = self.state();
        state.make_names_durable(dir)?;
        state.settle()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<RealLock>> {
        RealDisk.lock(path)
    }
}

impl State {
    fn inode(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The file of that name.
    fn named(&mut self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Some(id)) => Ok(*id),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => {
                let file = RealDisk.open(path, Access::ReadWrite)?;
                self.add(path, file)
            }
        }
    }

    fn add(&mut self, path: &Path, file: RealFile) -> io::Result<u64> {
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, Inode { content: Content::new(file)?, handles: 0 });
        self.names.insert(path.to_owned(), Some(id));
        Ok(id)
    }

    /// A new file, whose name is not durable.
    fn create(&mut self, path: &Path) -> io::Result<u64> {
        let room = require_dir(path)?.join(NAMELESS);
        if self.rooms.insert(room.clone()) {
            match fs::remove_dir_all(&room) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            RealDisk.create_dir_all(&room)?;
        }
        let nameless = room.join(self.next_inode.to_string());
        let inode = self.add(path, RealDisk.create(&nameless)?)?;
        self.changes.push(Change::Link { nameless, path: path.to_owned(), inode });
        Ok(inode)
    }

    /// Makes the changes of a directory durable, and those before which they can not be.
    fn make_names_durable(&mut self, dir: &Path) -> io::Result<()> {
        let mut wanted: Vec<usize> = Vec::new();
        for (index, change) in self.changes.iter().enumerate().rev() {
            let is_first = |&later: &usize| change.goes_before(&self.changes[later]);
            if change.is_in(dir) || wanted.iter().any(is_first) {
                wanted.push(index);
            }
        }
        // From the end: each removal leaves the places of those before as they are.
        let mut due = Vec::new();
        for index in wanted {
            due.push(self.changes.remove(index));
        }
        due.iter().rev().try_for_each(Change::carry_out)
    }

    /// What comes after each operation: luck, forgetting what is as in the real files, and the tally.
    fn settle(&mut self) -> io::Result<()> {
        for _ in 0..WRITTEN_BACK_MAX {
            if self.choices.below(EAGERNESS_BOUND) >= self.eagerness || !self.write_back()? {
                break;
            }
        }
        self.forget();
        let sectors = self.inodes.values().map(|inode| inode.content.sectors_at_risk()).sum();
        self.tally = Tally { sectors, names: self.changes.len() as u64, ..self.tally };
        if let Some(observer) = &mut self.observer {
            observer(self.tally);
        }
        Ok(())
    }

    /// Lets one thing reach the real files; whether there was any.
    fn write_back(&mut self) -> io::Result<bool> {
        let is_name = self.choices.below(KINDS) == 0;
        if is_name && !self.changes.is_empty() {
            let index = self.choose(self.changes.len());
            let chosen = &self.changes[index];
            let is_first = !self.changes[..index].iter().any(|it| it.goes_before(chosen));
            if is_first {
                self.changes[index].carry_out()?;
                self.changes.remove(index);
                self.tally.names_early += 1;
            }
            return Ok(true);
        }
        let is_unsynced = |inode: &&mut Inode| !inode.content.is_synced();
        let count = self.inodes.values_mut().filter(is_unsynced).count();
        if count == 0 {
            return Ok(!self.changes.is_empty());
        }
        let index = self.choose(count);
        let Some(inode) = self.inodes.values_mut().filter(is_unsynced).nth(index) else {
            return Ok(false);
        };
        self.tally.sectors_early += inode.content.write_back(&mut *self.choices)?;
        Ok(true)
    }

    fn choose(&mut self, count: usize) -> usize {
        usize::try_from(self.choices.below(count as u64)).unwrap_or_default()
    }

    /// Drops what is the same in the real files, so that a disk that is in use for long holds no more of it
    /// than one that is not.
    fn forget(&mut self) {
        let Self { names, inodes, changes, .. } = self;
        names.retain(|path, id| {
            let is_held = id.and_then(|id| inodes.get(&id)).is_some_and(Inode::is_held);
            is_held || changes.iter().any(|change| change.concerns(path))
        });
        let named: BTreeSet<u64> = names.values().filter_map(|id| *id).collect();
        inodes.retain(|id, inode| inode.handles > 0 || named.contains(id));
    }
}

impl Inode {
    /// Whether the real file is not enough for whoever looks for it.
    fn is_held(&self) -> bool {
        self.handles > 0 || !self.content.is_synced()
    }
}

impl Change {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let (first, second) = match self {
            Self::Link { path, .. } | Self::Unlink { path, .. } => (path, None),
            Self::Rename { from, to, .. } => (to, Some(from)),
        };
        [Some(first), second].into_iter().flatten().map(PathBuf::as_path)
    }

    fn inode(&self) -> u64 {
        match self {
            Self::Link { inode, .. } | Self::Rename { inode, .. } | Self::Unlink { inode, .. } => {
                *inode
            }
        }
    }

    fn concerns(&self, path: &Path) -> bool {
        self.paths().any(|own| own == path)
    }

    fn is_in(&self, dir: &Path) -> bool {
        self.paths().next().and_then(Path::parent) == Some(dir)
    }

    /// Whether it has to be durable before a later one can be.
    fn goes_before(&self, later: &Self) -> bool {
        self.inode() == later.inode() || self.paths().any(|path| later.concerns(path))
    }

    /// Does it to the real files.
    fn carry_out(&self) -> io::Result<()> {
        match self {
            Self::Link { nameless, path, .. } => RealDisk.rename(nameless, path),
            Self::Rename { from, to, .. } => RealDisk.rename(from, to),
            Self::Unlink { path, .. } => RealDisk.unlink(path),
        }
    }
}

/// The directory of a path, which must be there.
fn require_dir(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(dir) if dir.is_dir() => Ok(dir),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// An open file of a [`VolatileDisk`].
#[derive(Debug)]
pub struct VolatileFile {
    disk: VolatileDisk,
    inode: u64,
}

impl VolatileFile {
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        let changed = change(&mut state.inode(self.inode)?.content)?;
        state.settle()?;
        Ok(changed)
    }
}

impl DiskFile for VolatileFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().inode(self.inode)?.content.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.state().inode(self.inode)?.content.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.change(|content| content.write_at(bytes, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|content| {
            content.set_len(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<Duration> {
        let start = Instant::now();
        if self.disk.begin_sync() {
            self.change(Content::write_out)?;
        }
        Ok(start.elapsed())
    }
}

impl Drop for VolatileFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if let Ok(inode) = state.inode(self.inode) {
            inode.handles -= 1;
        }
        state.forget();
    }
}
