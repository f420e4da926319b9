//! Removing what no recovery needs any more.

use std::path::PathBuf;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;
use crate::limits::SNAPSHOTS_RETAINED_MIN;
use crate::recover::Unreadable;
use crate::snapshot;
use types::mutant;

/// What a purge removed.
#[derive(Debug, Default)]
pub struct Purged {
    /// Snapshots, the newest first.
    pub snapshots: Vec<PathBuf>,
    /// Logs, the oldest first.
    pub logs: Vec<PathBuf>,
    /// Snapshots that were met and can not be read: something is wrong with the disk.
    pub unreadable: Unreadable,
}

impl<D: Disk> DataDir<D> {
    /// Keeps the newest `retain` (at least [`SNAPSHOTS_RETAINED_MIN`]) snapshots that can be read,
    /// and every log from which any of them can be brought up to date; removes what is older.
    ///
    /// Each snapshot is read to its end before it counts, so that a rotten one never stands in for a
    /// good one; and is synced, which Apache's server does not do. If fewer than `retain` are good, nothing that comes before the oldest good one is
    /// needed either; if none is, nothing is removed. May run beside writers of logs and snapshots.
    ///
    /// # Errors
    /// When the disk fails; what is left can always be recovered from.
    pub fn purge(&self, retain: usize) -> Result<Purged, Error> {
        let retain = retain.max(SNAPSHOTS_RETAINED_MIN);
        // A cut removes newer snapshots: it must not find that the older ones are gone.
        let _branch = self.branch();
        let snapshots = self.list_snapshots()?;
        let mut good = 0;
        let mut oldest_kept = None;
        let mut purged = Purged::default();
        for file in &snapshots {
            match snapshot::verify(&self.disk, file) {
                Ok(_) => {
                    self.sync_file(&file.path)?;
                    (good, oldest_kept) = (good + 1, Some(file.zxid));
                }
                Err(damage) => purged.unreadable.push((file.path.clone(), damage)),
            }
            if good == retain {
                break;
            }
        }
        let Some(oldest_kept) = oldest_kept else { return Ok(purged) };
        for file in snapshots.into_iter().filter(|file| file.zxid < oldest_kept) {
            self.remove(&file.path)?;
            purged.snapshots.push(file.path);
        }
        // A snapshot must not outlive the logs it needs: it would be taken for a way to recover.
        if !mutant::active(165) {
            self.sync_dir(&self.directories.snapshot_dir())?;
        }
        let logs = self.list_logs()?;
        let needed = logs.iter().rposition(|log| log.first <= oldest_kept).unwrap_or(0);
        for log in logs.into_iter().take(needed + usize::from(mutant::active(121))) {
            // One after the other, the oldest first: no gap is left between logs if the power goes.
            self.remove_log(&log)?;
            purged.logs.push(log.path);
        }
        Ok(purged)
    }
}
