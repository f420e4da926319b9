//! Cutting the end of a history off, as a leader may ask of a follower.
//!
//! What was logged but never committed has to go before anything else is logged, and must not come
//! back. Each step is durable before the next:
//!
//! ```text
//! 1  forget the watermark            it may point behind the cut
//! 2  remove snapshots from behind    newest first
//! 3  remove later logs               newest first: a crash leaves a shorter history without a gap
//! 4  cut the log after the transaction
//! ```

use std::path::PathBuf;

use types::Zxid;

use crate::data_dir::DataDir;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Action, Context, CutObstacle, Error};
use crate::layout::{LogFile, SnapshotFile};
use crate::log::{LogReader, Next, Opened};
use crate::{snapshot, watermark};

impl<D: Disk> DataDir<D> {
    /// Makes `last` the last transaction of the history, durably. The caller then recovers again;
    /// a [`crate::Log`] from before must not be used any more.
    ///
    /// # Errors
    /// [`Error::NotCut`] if that is impossible; nothing was changed then. After any other error the
    /// history is unknown: nothing may be logged or answered before a recovery.
    pub fn truncate(&self, last: Zxid) -> Result<(), Error> {
        let snapshots = self.list_snapshots()?;
        let (newer, start) = self.snapshots_beyond(&snapshots, last)?;
        let logs = self.list_logs()?;
        let later = logs.partition_point(|log| log.first <= last);
        let cut = match logs[..later].last() {
            Some(log) => self.cut_point(log, last)?,
            None => None,
        };
        if start != last && cut.as_ref().is_none_or(|cut| cut.reached != last) {
            return Err(Error::NotCut { zxid: last, obstacle: CutObstacle::NotLogged });
        }
        watermark::forget(&self.disk, &self.directories.log_dir())?;
        for file in newer {
            self.remove(&file.path)?;
            self.sync_dir(&self.directories.snapshot_dir())?;
        }
        for log in logs[later..].iter().rev() {
            self.remove(&log.path)?;
            self.sync_dir(&self.directories.log_dir())?;
        }
        if let Some(CutPoint { path, offset, .. }) = cut {
            let file = self.disk.open(&path, Access::ReadWrite).during(Action::Open, &path)?;
            file.set_len(offset).during(Action::Truncate, &path)?;
            file.sync_data().during(Action::Sync, &path)?;
        }
        Ok(())
    }

    /// The snapshots that may hold something after `last`, the newest first; and the transaction of
    /// the newest other one that can be read.
    fn snapshots_beyond<'a>(
        &self,
        snapshots: &'a [SnapshotFile],
        last: Zxid,
    ) -> Result<(Vec<&'a SnapshotFile>, Zxid), Error> {
        let mut beyond = Vec::new();
        for file in snapshots {
            match snapshot::verify(&self.disk, file) {
                Ok(reached) if reached <= last => return Ok((beyond, file.zxid)),
                Ok(_) => beyond.push(file),
                Err(_) if file.zxid > last => beyond.push(file),
                Err(_) => {}
            }
        }
        Err(Error::NotCut { zxid: last, obstacle: CutObstacle::NoSnapshot })
    }

    /// Where a log is to be cut so that nothing after `last` remains; `None` if it is no log.
    fn cut_point(&self, log: &LogFile, last: Zxid) -> Result<Option<CutPoint>, Error> {
        let Opened::Log(mut reader) = LogReader::open(&self.disk, &log.path)? else {
            return Ok(None);
        };
        let (mut offset, mut reached) = (reader.offset(), Zxid::ZERO);
        while let Next::Entry(entry) = reader.next()? {
            if entry.zxid > last {
                break;
            }
            reached = entry.zxid;
            offset = reader.offset();
        }
        Ok(Some(CutPoint { path: log.path.clone(), offset, reached }))
    }
}

/// Where a log is to be cut.
struct CutPoint {
    path: PathBuf,
    /// The byte after the last entry that stays.
    offset: u64,
    /// The transaction of that entry.
    reached: Zxid,
}
