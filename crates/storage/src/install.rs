//! Replacing the database by a snapshot that came from a leader.
//!
//! The old history may be a part of the leader's, or of a branch that was left: nobody looks. So
//! after the installation nothing of it is there any more, neither to recover from nor to be read
//! back for others. Each step is durable before the next:
//!
//! ```text
//! 0  the file is sealed              it is called unfinished-…, and has no name yet
//! 1  if the old history goes further, note that this one is shorter; forget the watermark
//! 2  cut the logs after <zxid>       newest first, as in a cut
//! 3  give the file its name
//! 4  remove all other snapshots
//! 5  remove the logs that are left
//! ```
//!
//! What a crash leaves:
//!
//! **The snapshot goes further than the old history**, which is the rule. Step 2 finds nothing to
//! cut. Up to step 3 a recovery finds the old history, from then on the new one: it begins from the
//! newest snapshot and passes over older entries.
//!
//! **The old history goes further.** While there is a snapshot beyond the new one, a recovery begins
//! from that, and finds the old history up to it or to what step 2 has left. When there is none, it
//! finds what step 2 has left, and from step 3 on the new history. An entry of the old history is
//! never replayed on the new snapshot: those that could be are gone before it has its name. What is
//! cut was never committed, or the leader sends it next. Until the end of the synchronization shows
//! which, this server knows that it may have forgotten something ([`crate::Memory`]).
//!
//! Older snapshots are removed too, and before the logs: should the new one become unreadable, an older
//! one without its logs must not be taken for the state of this server.

use tree::Tree;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;
use crate::log::Log;
use crate::snapshot::ReceivedSnapshot;
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
        let (logs, snapshots) = (self.list_logs()?, self.list_snapshots()?);
        let (log_dir, snapshot_dir) = (self.directories.log_dir(), self.directories.snapshot_dir());
        if last_logged > zxid {
            self.note_shortened(zxid)?;
        }
        watermark::forget(&self.disk, &log_dir)?;
        let logs_left = self.cut_logs(&logs, zxid, Unreadable::Remove)?;
        let installed = writer.publish(bytes, &branch)?;
        for file in snapshots.iter().filter(|file| file.path != installed.path) {
            self.remove(&file.path)?;
        }
        self.sync_dir(&snapshot_dir)?;
        for log in logs_left {
            self.remove(&log.path)?;
        }
        self.sync_dir(&log_dir)?;
        branch.replayed_from = Some(zxid);
        branch.ends_at_damage = false;
        drop(branch);
        Ok((self.log(log_options, zxid)?, tree))
    }
}
