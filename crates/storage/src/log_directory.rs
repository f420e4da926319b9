//! A directory of logs that is lost as a whole.
//!
//! Logs may lie apart from the snapshots, on a device of their own. If that is not there when the server
//! starts, or is a new one, its directory is empty. The snapshots alone look like the history of a
//! server that has logged nothing since the last of them, which would be taken for all it ever
//! acknowledged.
//!
//! So each of the two directories knows of the other:
//!
//! ```text
//! <dataLogDir>/version-2/holds-logs          written first
//! <dataDir>/version-2/holds-no-logs          where they are, as a text for people
//! ```
//!
//! With the second file and without the first, a directory that holds no log is not the one into which
//! this server has logged: it may also be that of the snapshots, if `dataLogDir` is not set any more.
//! Logs that somebody has moved are taken wherever they are found. Apache's server ignores both files.

use types::Zxid;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::{Action, Context, Error};
use crate::layout::LogFile;
use crate::limits::DIRECTORY_FILE_BYTES_MAX;

/// The file in the directory of the logs.
const HERE: &str = "holds-logs";
/// The file in that of the snapshots, if it is another one.
const ELSEWHERE: &str = "holds-no-logs";

impl<D: Disk> DataDir<D> {
    /// Why the directory in which these logs lie can not be the one that this server has used; `None` if
    /// it can. `recovered` is how far the history goes without it.
    pub(crate) fn log_directory_lost(
        &self,
        logs: &[LogFile],
        recovered: Zxid,
    ) -> Result<Option<Error>, Error> {
        if !logs.is_empty() {
            return Ok(None);
        }
        let note = self.directories.snapshot_dir().join(ELSEWHERE);
        let Some(used) = self.read_small(&note, DIRECTORY_FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        let here = self.directories.log_dir().join(HERE);
        if !self.directories.is_shared() && self.disk.exists(&here).during(Action::Open, &here)? {
            return Ok(None);
        }
        let used = String::from_utf8_lossy(&used).trim_end().to_owned();
        Ok(Some(Error::LogDirectoryLost { dir: self.directories.log_dir(), recovered, used, note }))
    }

    /// Notes durably that the history goes on in the present directory of the logs.
    pub(crate) fn note_log_directory(&self) -> Result<(), Error> {
        let (snapshot_dir, log_dir) = (self.directories.snapshot_dir(), self.directories.log_dir());
        let note = snapshot_dir.join(ELSEWHERE);
        if self.directories.is_shared() {
            if self.disk.exists(&note).during(Action::Open, &note)? {
                self.remove(&note)?;
                self.sync_dir(&snapshot_dir)?;
            }
            return Ok(());
        }
        let here = log_dir.join(HERE);
        if !self.disk.exists(&here).during(Action::Open, &here)? {
            self.replace_file(&log_dir, HERE, b"")?;
        }
        let text = format!("{}\n", log_dir.display());
        match self.read_small(&note, DIRECTORY_FILE_BYTES_MAX)? {
            Some(known) if known == text.as_bytes() => Ok(()),
            Some(_) | None => self.replace_file(&snapshot_dir, ELSEWHERE, text.as_bytes()),
        }
    }
}
