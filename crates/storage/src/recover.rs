//! From files to a tree: what the server knows when it starts.
//!
//! ```text
//! newest snapshot that can be read ── Z      none: empty database rules
//!        │
//! logs from the one that may hold Z + 1 on
//!        │  each entry after Z: next in order? ── no ──> Error::Gap
//!        │  apply, compare digests
//!        ▼
//! end of the newest log ── torn by a crash ──> trim, sync
//!        │              └─ damaged ─────────> Error::Corrupt, nothing is changed
//!        ▼
//! the directory of the logs that it was? ── no ──> Error::LogDirectoryLost
//! watermark reached? ── no ──> Error::SyncedHistoryLost
//!        ▼
//! sync what was read
//! ```
//!
//! At damage a member of an ensemble starts with what comes before it: see [`member`].
//!
//! **Invariants.** The result is a function of what is durable: recovering twice, or after a crash
//! within a recovery, gives the same. A history with a gap is never loaded. Nothing that may have
//! been acknowledged is cut: see [`tail`].

mod member;
mod replay;
mod tail;

use std::ops::Range;
use std::path::{Path, PathBuf};

use tree::Tree;
use types::{Zxid, mutant};
use wire::stored::snapshot::StoredDigest;

use crate::data_dir::DataDir;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Action, Context, Damage, Error, SnapshotDamage};
use crate::layout::{INITIALIZE, LogFile, SnapshotFile, log_name};
use crate::limits::{READ_WINDOW_BYTES, SNAPSHOTS_TRIED_MAX};
use crate::log::{EndKind, LogReader, Next, Opened};
use crate::snapshot::{self, Compression, Contents};
use crate::watermark::{self, Mark, WATERMARK};
pub use member::RecoveredMember;
use replay::Replay;
use tail::{Tail, Verdict};

/// How an empty or incomplete database is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecoverOptions {
    /// How the tree is made.
    pub tree: tree::Options,
    /// What logs without a snapshot mean (`zookeeper.snapshot.trust.empty`).
    pub without_snapshot: WithoutSnapshot,
    /// What an empty directory means (`zookeeper.db.autocreate`).
    pub empty: EmptyDatabase,
}

/// What logs without a snapshot mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WithoutSnapshot {
    /// A lost snapshot: refuse to start. The default.
    Refuse,
    /// A server that never wrote one: replay from nothing.
    Replay,
}

/// What a directory without any snapshot or log means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmptyDatabase {
    /// A new server: create a database. The default.
    Create,
    /// A new server only if the file `initialize` says so; otherwise one that lost its disk.
    RequireMarker,
}

/// What the disk held.
pub struct Recovered {
    /// The state after `last_logged`.
    pub tree: Tree,
    /// The last transaction of the history; what is appended comes after it.
    pub last_logged: Zxid,
    /// Where the state came from.
    pub origin: Origin,
    /// Transactions applied on top of the snapshot.
    pub txns_replayed: u64,
    /// Comparisons of the tree's digest with a stored one that failed.
    pub digest_mismatches: u64,
    /// Newer snapshots that could not be read, with the reason.
    pub unreadable_snapshots: Unreadable,
    /// What a crash had left at the end of the newest log, now removed.
    pub trimmed: Option<Trimmed>,
}

/// Snapshots that can not be read, the newest first, with the reasons.
pub type Unreadable = Vec<(PathBuf, SnapshotDamage)>;

/// Where a recovered state came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A snapshot, named after this transaction, and the logs.
    Snapshot(Zxid),
    /// Logs alone, see [`WithoutSnapshot::Replay`]: take a snapshot before anything else.
    Logs,
    /// Nothing: a new database, whose first snapshot is on the disk now.
    Created,
    /// Nothing, and nothing was created: this server may have been wiped. It must not vote before
    /// it has got the state from a leader.
    Unknown,
}

/// The remains of a write that a crash interrupted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trimmed {
    /// The log.
    pub file: PathBuf,
    /// Its new length in bytes; `None` if it held nothing and was removed.
    pub bytes: Option<u64>,
    /// What was there.
    pub damage: Damage,
}

impl<D: Disk> DataDir<D> {
    /// Reads everything.
    ///
    /// # Errors
    /// When the history can not be read to its end; then nothing was changed.
    pub fn recover(&self, options: &RecoverOptions) -> Result<Recovered, Error> {
        let mut found = self.find(options)?;
        match found.loss.take() {
            Some(loss) => Err(loss),
            None => self.settle(found),
        }
    }

    /// Reads as much as can be read, and changes nothing but a torn end.
    fn find(&self, options: &RecoverOptions) -> Result<Found, Error> {
        let mut logs = self.list_logs()?;
        let mark = watermark::read(&self.disk, &self.directories.log_dir())?;
        let initialize = self.directories.logs.join(INITIALIZE);
        let has_marker = self.disk.exists(&initialize).during(Action::Open, &initialize)?;
        let base = match self.base(options, has_marker, &logs) {
            Err(loss) if is_loss(&loss) => {
                logs.clear();
                Base { loss: Some(loss), ..Base::new(fresh(options.tree), Origin::Unknown) }
            }
            result => result?,
        };
        let mut replay = Replay::new(base.contents, base.landmarks);
        let replayed_from = replay.last_logged();
        let ReplayEnd { newest, trimmed, loss } = self.replay_logs(&mut replay, &mut logs, mark)?;
        let recovered = replay.last_logged();
        let lost_directory = self.log_directory_lost(&logs, recovered)?;
        let loss = base.loss.or(lost_directory).or(loss);
        let loss = loss.or_else(|| self.synced_history_lost(mark, recovered));
        let Base { origin, mut unreadable_snapshots, .. } = base;
        let loss = match loss {
            None => self.snapshot_lost(&mut unreadable_snapshots, recovered)?,
            loss => loss,
        };
        Ok(Found {
            replay,
            replayed_from,
            origin,
            unreadable_snapshots,
            newest,
            trimmed,
            mark,
            marker: has_marker.then_some(initialize),
            loss,
        })
    }

    /// Makes what was found durable, so that a history can go on from it.
    fn settle(&self, found: Found) -> Result<Recovered, Error> {
        if !mutant::active(118) {
            self.sync_recovered(found.newest.as_ref(), found.mark)?;
        }
        let (marker, replayed_from) = (found.marker.clone(), found.replayed_from);
        let mut recovered = found.into_recovered();
        if recovered.origin == Origin::Created {
            // Without this snapshot no log can ever be read.
            let writer = self.start_snapshot(Zxid::ZERO, Compression::None)?;
            snapshot::write_tree(writer, &mut recovered.tree)?;
            // Whoever lets it be created says that there was nothing before.
            self.note_whole()?;
        }
        self.note_log_directory()?;
        if let Some(marker) = marker {
            self.remove(&marker)?;
            self.sync_dir(&self.directories.logs)?;
        }
        let mut branch = self.branch();
        branch.replayed_from = Some(replayed_from);
        branch.ends_at_damage = false;
        Ok(recovered)
    }

    /// What the replay begins from.
    fn base(
        &self,
        options: &RecoverOptions,
        has_marker: bool,
        logs: &[LogFile],
    ) -> Result<Base, Error> {
        let may_create = has_marker || options.empty == EmptyDatabase::Create;
        let (found, unreadable_snapshots) = self.load_snapshot(options.tree)?;
        let landmarks = self.landmarks(&unreadable_snapshots)?;
        let (contents, origin) = match found {
            Some((zxid, contents)) => (contents, Origin::Snapshot(zxid)),
            None if !logs.is_empty() && !mutant::active(39) => match options.without_snapshot {
                WithoutSnapshot::Replay => (fresh(options.tree), Origin::Logs),
                WithoutSnapshot::Refuse => {
                    let dir = self.directories.log_dir();
                    return Err(Error::LogsWithoutSnapshot { dir });
                }
            },
            None if may_create => (fresh(options.tree), Origin::Created),
            None => (fresh(options.tree), Origin::Unknown),
        };
        Ok(Base { unreadable_snapshots, landmarks, ..Base::new(contents, origin) })
    }

    /// The newest snapshot that can be read, and those that can not.
    ///
    /// Files that are not even finished count as absent; but if a finished one can not be read, an
    /// older one must, for the server had a state.
    fn load_snapshot(
        &self,
        options: tree::Options,
    ) -> Result<(Option<(Zxid, Contents)>, Unreadable), Error> {
        let mut unreadable = Vec::new();
        let mut tried = 0;
        for file in self.list_snapshots()? {
            let SnapshotFile { zxid, path, .. } = &file;
            if tried == SNAPSHOTS_TRIED_MAX {
                break;
            }
            match snapshot::read(&self.disk, &file, options) {
                Ok(contents) => return Ok((Some((*zxid, contents)), unreadable)),
                Err(damage) => {
                    tried += usize::from(!matches!(damage, SnapshotDamage::Unfinished));
                    unreadable.push((path.clone(), damage));
                }
            }
        }
        // A first start of Apache's server that was interrupted leaves an unfinished snapshot of
        // nothing.
        let is_first = |(path, _): &(PathBuf, _)| path.ends_with("snapshot.0");
        if tried == 0 && unreadable.iter().all(is_first) {
            return Ok((None, unreadable));
        }
        if tried == 0 && !self.list_logs()?.is_empty() {
            return Ok((None, unreadable));
        }
        let (newest, damage) = unreadable.swap_remove(0);
        Err(Error::NoReadableSnapshot { newest, damage })
    }

    /// The transactions after which snapshots were taken that can not be read now. A log of a later
    /// epoch follows any other: nothing else tells that one of them is missing in between.
    fn landmarks(&self, unreadable: &Unreadable) -> Result<Vec<Zxid>, Error> {
        Ok(self.unreadable_landmarks(unreadable)?.into_iter().map(|file| file.zxid).collect())
    }

    fn unreadable_landmarks(&self, unreadable: &Unreadable) -> Result<Vec<SnapshotFile>, Error> {
        let is_finished = |file: &SnapshotFile| {
            let damage = unreadable.iter().find(|(path, _)| *path == file.path);
            damage.is_some_and(|(_, damage)| !matches!(damage, SnapshotDamage::Unfinished))
        };
        // Apache's servers also name them after the beginning of an epoch, which is in no log.
        let is_transaction = |file: &SnapshotFile| file.zxid.counter().0 > 0;
        let files = self.list_snapshots()?.into_iter();
        Ok(files.filter(|file| is_finished(file) && is_transaction(file)).collect())
    }

    /// The furthest snapshot that can not be read, if nothing else leads as far.
    fn snapshot_lost(
        &self,
        unreadable: &mut Unreadable,
        recovered: Zxid,
    ) -> Result<Option<Error>, Error> {
        let furthest = self.unreadable_landmarks(unreadable)?.into_iter().max_by_key(|it| it.zxid);
        let Some(SnapshotFile { path, .. }) = furthest.filter(|it| it.zxid > recovered) else {
            return Ok(None);
        };
        let at = unreadable.iter().position(|(unreadable, _)| *unreadable == path);
        Ok(at.map(|at| {
            let (file, damage) = unreadable.swap_remove(at);
            Error::SnapshotLost { file, damage, recovered }
        }))
    }

    /// Applies what comes after the snapshot, and repairs the end of the newest log. Stops at what
    /// can not be read.
    fn replay_logs(
        &self,
        replay: &mut Replay,
        logs: &mut Vec<LogFile>,
        mark: Option<Mark>,
    ) -> Result<ReplayEnd, Error> {
        let trimmed = match self.remove_headless(logs, mark) {
            // It is met again in its turn.
            Err(error) if is_loss(&error) => None,
            result => result?,
        };
        let mut end = ReplayEnd { newest: None, trimmed, loss: None };
        let start = replay.last_logged().successor();
        let first = logs.iter().rposition(|log| log.first <= start).unwrap_or(0);
        for (index, log) in logs.iter().enumerate().skip(first) {
            match self.replay_log(replay, log, &logs[index + 1..], mark) {
                Ok((newest, trimmed)) => {
                    end.newest = Some(newest);
                    end.trimmed = trimmed.or(end.trimmed);
                }
                Err(loss) if is_loss(&loss) => {
                    end.loss = Some(loss);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(end)
    }

    /// The first of these logs that begins with an entry, or with something that is found out in its
    /// turn. The others follow anything, and show no gap.
    fn first_filled<'l>(&self, logs: &'l [LogFile]) -> Result<Option<&'l LogFile>, Error> {
        for log in logs {
            let Opened::Log(mut reader) = LogReader::open(&self.disk, &log.path)? else {
                return Ok(Some(log));
            };
            if let Next::Entry(_) = reader.next()? {
                return Ok(Some(log));
            }
        }
        Ok(None)
    }

    fn replay_log(
        &self,
        replay: &mut Replay,
        log: &LogFile,
        behind: &[LogFile],
        mark: Option<Mark>,
    ) -> Result<(NewestLog, Option<Trimmed>), Error> {
        let Opened::Log(mut reader) = LogReader::open(&self.disk, &log.path)? else {
            let (file, damage) = (log.path.clone(), Damage::Header);
            return Err(Error::Corrupt { file, offset: 0, damage });
        };
        let end = replay.run(&mut reader)?;
        let newest = NewestLog { file: log.clone(), end: end.offset };
        let synced_to = mark.filter(|mark| mark.log == log.first).map(|mark| mark.offset);
        let next = match end.kind {
            EndKind::Clean => behind.first(),
            EndKind::Padding | EndKind::Damaged(_) => self.first_filled(behind)?,
        };
        let tail = Tail { end, last: replay.last_logged(), synced_to };
        if let Some(next) = next {
            tail.judge_covered(&mut reader, next.first)?;
        } else if let Verdict::Torn { offset, damage } = tail.judge_newest(&mut reader)? {
            return Ok((newest, Some(self.trim(log, offset, damage)?)));
        }
        Ok((newest, None))
    }

    /// Removes a newest log that a crash has kept from being more than a name.
    fn remove_headless(
        &self,
        logs: &mut Vec<LogFile>,
        mark: Option<Mark>,
    ) -> Result<Option<Trimmed>, Error> {
        let Some(newest) = logs.last() else { return Ok(None) };
        let is_blank = match LogReader::open(&self.disk, &newest.path)? {
            Opened::Log(_) => false,
            Opened::Empty => true,
            Opened::NoHeader(mut reader) => tail::is_blank(&mut reader)?,
        };
        if !is_blank || mark.is_some_and(|mark| mark.log == newest.first) {
            return Ok(None);
        }
        let file = newest.path.clone();
        self.remove(&file)?;
        self.sync_dir(&self.directories.log_dir())?;
        logs.pop();
        Ok(Some(Trimmed { file, bytes: None, damage: Damage::Header }))
    }

    /// Cuts off a torn tail: the next log must not come after a file that ends in doubt.
    fn trim(&self, log: &LogFile, offset: u64, damage: Damage) -> Result<Trimmed, Error> {
        let file = self.disk.open(&log.path, Access::ReadWrite).during(Action::Open, &log.path)?;
        file.set_len(offset).during(Action::Truncate, &log.path)?;
        Ok(Trimmed { file: log.path.clone(), bytes: Some(offset), damage })
    }

    /// Makes durable what was read. A killed process may have left entries and names that only the
    /// operating system's memory holds; whatever is logged next must not survive them.
    ///
    /// Entries that are not surely durable are written once more before the sync: if the process
    /// ended because a sync had failed, their pages may count as clean although the device never
    /// got them, and a sync alone would pass them over.
    fn sync_recovered(&self, newest: Option<&NewestLog>, mark: Option<Mark>) -> Result<(), Error> {
        if let Some(NewestLog { file: LogFile { first, path }, end }) = newest {
            let synced_to = mark.filter(|mark| mark.log == *first).map_or(0, |mark| mark.offset);
            let file = self.disk.open(path, Access::ReadWrite).during(Action::Open, path)?;
            if !mutant::active(114) {
                rewrite(&file, synced_to..*end, path)?;
            }
            file.sync_data().during(Action::Sync, path)?;
        }
        self.sync_dir(&self.directories.log_dir())?;
        self.sync_dir(&self.directories.snapshot_dir())
    }

    fn synced_history_lost(&self, mark: Option<Mark>, recovered: Zxid) -> Option<Error> {
        let mark = mark.filter(|mark| mark.zxid > recovered)?;
        let dir = self.directories.log_dir();
        Some(Error::SyncedHistoryLost {
            recovered,
            synced: mark.zxid,
            file: dir.join(log_name(mark.log)),
            watermark: dir.join(WATERMARK),
        })
    }
}

/// What the replay begins from.
struct Base {
    contents: Contents,
    origin: Origin,
    unreadable_snapshots: Unreadable,
    /// What the history has, by the names of those.
    landmarks: Vec<Zxid>,
    /// Why there is nothing to begin from.
    loss: Option<Error>,
}

impl Base {
    fn new(contents: Contents, origin: Origin) -> Self {
        Self {
            contents,
            origin,
            unreadable_snapshots: Vec::new(),
            landmarks: Vec::new(),
            loss: None,
        }
    }
}

/// How the replay ended.
struct ReplayEnd {
    newest: Option<NewestLog>,
    trimmed: Option<Trimmed>,
    /// Why it did not get to the end of the logs.
    loss: Option<Error>,
}

/// What can be read.
struct Found {
    replay: Replay,
    replayed_from: Zxid,
    origin: Origin,
    unreadable_snapshots: Unreadable,
    newest: Option<NewestLog>,
    trimmed: Option<Trimmed>,
    mark: Option<Mark>,
    /// The file that allows to start empty, if there is one.
    marker: Option<PathBuf>,
    /// Why there should be more.
    loss: Option<Error>,
}

impl Found {
    fn into_recovered(self) -> Recovered {
        let (last_logged, counts) = (self.replay.last_logged(), self.replay.counts());
        Recovered {
            tree: self.replay.into_tree(),
            last_logged,
            origin: self.origin,
            txns_replayed: counts.applied,
            digest_mismatches: counts.digest_mismatches,
            unreadable_snapshots: self.unreadable_snapshots,
            trimmed: self.trimmed,
        }
    }
}

/// The log that ends the history.
struct NewestLog {
    file: LogFile,
    /// The byte after its last entry; what follows is space.
    end: u64,
}

/// Writes a part of a file over itself.
fn rewrite<F: DiskFile>(file: &F, part: Range<u64>, path: &Path) -> Result<(), Error> {
    let mut window = vec![0; READ_WINDOW_BYTES];
    let mut offset = part.start;
    while offset < part.end {
        let left = usize::try_from(part.end - offset).unwrap_or(usize::MAX);
        let into = &mut window[..left.min(READ_WINDOW_BYTES)];
        let read = file.read_full_at(into, offset).during(Action::Read, path)?;
        if read == 0 {
            return Ok(());
        }
        file.write_all_at(&into[..read], offset).during(Action::Write, path)?;
        offset += read as u64;
    }
    Ok(())
}

fn fresh(options: tree::Options) -> Contents {
    let digest = StoredDigest { zxid: Zxid::ZERO, digest: None };
    Contents { tree: Tree::new(options), digest: Some(digest) }
}

/// Whether an error means that a part of the history can not be read, and not that the disk can not
/// be used.
pub(crate) fn is_loss(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt { .. }
            | Error::Gap { .. }
            | Error::SyncedHistoryLost { .. }
            | Error::LogDirectoryLost { .. }
            | Error::LogsWithoutSnapshot { .. }
            | Error::NoReadableSnapshot { .. }
            | Error::SnapshotLost { .. }
            | Error::Io { action: Action::Read, .. }
    )
}
