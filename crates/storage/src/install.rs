//! Replacing the database by a snapshot that came from a leader.
//!
//! The old history may be a part of the leader's, or of a branch that was left: nobody looks. So
//! after the installation nothing of it is there any more, neither to recover from nor to be read
//! back for others. Each step is durable before the next:
//!
//! ```text
//! 0  the file is sealed              it is called unfinished-…, and has no name yet
//! 1  if others may count on what is taken away, note that; forget the watermark
//! 2  make way                        see below
//! 3  write `installing`              which says what the name will be, and `between-states`
//! 4  give the file its name
//! 5  remove all other snapshots
//! 6  remove the logs that are left
//! 7  remove `installing`
//! ```
//!
//! Making way means that no entry of the old history can be replayed on the new snapshot, and that the
//! old one has no hole meanwhile:
//!
//! - **No old snapshot lies beyond the new one**, which is the rule: the logs are cut behind the new
//!   snapshot's transaction, newest first. That is nothing if the leader is ahead. Recoveries find the
//!   old history, or what of it is not cut, up to step 4, and the new one from there on.
//! - **One does:** it has to stand alone. All others are removed, then all logs, newest first.
//!   Recoveries find the old history up to that snapshot, with fewer and fewer transactions behind it,
//!   up to the end of step 5, when it is removed, and the new one from there on.
//!
//! What is cut of earlier epochs than the leader's was never committed, since its snapshot has all that
//! was. Of the leader's own epoch it may be: then the leader sends it next, and until the end of the
//! synchronization this server knows that it may have forgotten something ([`types::Memory`]).
//!
//! What an interrupted installation has left beside the history that a recovery finds would be taken
//! for a part of it as soon as its newest snapshot rots. So when the directories are opened with
//! `installing` there, it is brought to its end if the new snapshot is the newest, and the new snapshot
//! is removed otherwise.

use tree::Tree;
use types::Zxid;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;
use crate::layout::{INSTALLING, LogFile, SnapshotFile};
use crate::limits::INSTALLING_FILE_BYTES_MAX;
use crate::log::Log;
use crate::snapshot::{self, ReceivedSnapshot};
use crate::truncate::Unreadable;
use crate::watermark;

impl<D: Disk> DataDir<D> {
    /// Makes a snapshot that came from a leader the whole database, durably. Returns its state, and
    /// a log that goes on after it.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if the log failed before. When the disk fails, what is on it is unknown
    /// and the server has to end.
    pub fn install(
        &self,
        log: Log<D>,
        snapshot: ReceivedSnapshot<D>,
    ) -> Result<(Log<D>, Tree), Error> {
        let (zxid, last_logged) = (snapshot.zxid(), log.last_logged());
        let log_options = log.abandon()?;
        let ReceivedSnapshot { tree, writer, bytes } = snapshot;
        let mut branch = self.branch();
        branch.number += 1;
        self.note_what_is_taken(last_logged, zxid)?;
        watermark::forget(&self.disk, &self.directories.log_dir())?;
        let name = writer.name();
        self.make_way(zxid, &name)?;
        self.replace_file(&self.directories.snapshot_dir(), INSTALLING, name.as_bytes())?;
        self.note_between_states(zxid)?;
        writer.publish(bytes, &branch)?;
        self.leave_only(zxid, &name)?;
        self.note_log_directory()?;
        branch.replayed_from = Some(zxid);
        branch.ends_at_damage = false;
        drop(branch);
        Ok((self.log(log_options, zxid)?, tree))
    }

    /// Ends an installation that was interrupted, one way or the other.
    pub(crate) fn settle_installation(&self) -> Result<(), Error> {
        let dir = self.directories.snapshot_dir();
        let noted = self.read_small(&dir.join(INSTALLING), INSTALLING_FILE_BYTES_MAX)?;
        let Some(noted) = noted else { return Ok(()) };
        let snapshots = self.list_snapshots()?;
        let is_noted = |file: &&SnapshotFile| file.name().as_bytes() == noted;
        if let Some(new) = snapshots.iter().find(is_noted) {
            let name = new.name();
            if self.newest_beyond(&snapshots, new.zxid, &name).is_none() {
                return self.leave_only(new.zxid, &name);
            }
            self.remove(&new.path)?;
            self.sync_dir(&dir)?;
        }
        self.remove(&dir.join(INSTALLING))?;
        self.sync_dir(&dir)
    }

    /// Sees to it that nothing of the old history can be replayed on the new snapshot.
    fn make_way(&self, zxid: Zxid, name: &str) -> Result<(), Error> {
        let (logs, snapshots) = (self.list_logs()?, self.list_snapshots()?);
        let Some(beyond) = self.newest_beyond(&snapshots, zxid, name) else {
            return self.cut_logs(&logs, zxid, Unreadable::Remove);
        };
        for file in snapshots.iter().filter(|file| file.path != beyond.path) {
            self.remove(&file.path)?;
        }
        self.sync_dir(&self.directories.snapshot_dir())?;
        logs.iter().rev().try_for_each(|log| self.remove_log(log))
    }

    /// The newest old snapshot from which a recovery would begin rather than from the new one.
    fn newest_beyond<'a>(
        &self,
        snapshots: &'a [SnapshotFile],
        zxid: Zxid,
        name: &str,
    ) -> Option<&'a SnapshotFile> {
        let mut beyond = snapshots.iter().filter(|it| it.zxid >= zxid && it.name() != name);
        beyond.find(|file| snapshot::verify(&self.disk, file).is_ok())
    }

    /// Removes everything that is older than the new snapshot, or beyond it, and ends the
    /// installation.
    fn leave_only(&self, zxid: Zxid, name: &str) -> Result<(), Error> {
        let dir = self.directories.snapshot_dir();
        for file in self.list_snapshots()?.iter().filter(|file| file.name() != name) {
            self.remove(&file.path)?;
        }
        self.sync_dir(&dir)?;
        for LogFile { path, .. } in self.list_logs()?.iter().filter(|log| log.first <= zxid) {
            self.remove(path)?;
        }
        self.sync_dir(&self.directories.log_dir())?;
        self.remove(&dir.join(INSTALLING))?;
        self.sync_dir(&dir)
    }
}
