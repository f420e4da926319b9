//! Whether the tree that a member recovers is the state after some transaction.
//!
//! A leader takes the snapshot that it sends while transactions go on. So the tree has effects of some that come
//! behind the snapshot's own, and until these are logged here as well no server was ever in its state. The
//! leader sends them next, but a member may stop in between. It goes on from there as from any other
//! tree, since applying a transaction again changes nothing; but what it has meanwhile must not be shown to anybody,
//! and what digests are compared with is another state's.
//!
//! The file `between-states` beside the snapshots says so. Its text is for people. It is written before a leader's
//! snapshot gets its name ([`DataDir::install`]), so that an interrupted installation may leave it beside the old
//! history, and removed once the current epoch is stored, which is when all is logged that the leader had
//! applied. Apache's server ignores it.

use types::Zxid;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;

/// The file's name.
const BETWEEN_STATES: &str = "between-states";

impl<D: Disk> DataDir<D> {
    /// Whether a recovered tree may have effects of transactions that come behind its last one.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn is_between_states(&self) -> Result<bool, Error> {
        self.is_there(&self.directories.snapshot_dir().join(BETWEEN_STATES))
    }

    /// Notes durably that the history is about to begin with a leader's snapshot, which may have more than this
    /// transaction.
    pub(crate) fn note_between_states(&self, snapshot: Zxid) -> Result<(), Error> {
        let text = format!(
            "A leader sent its snapshot at {snapshot}, which may have effects of transactions behind it.\nUntil a leader \
             has sent those as well, this server shows its state to nobody; this file is removed then.\n"
        );
        self.replace_file(&self.directories.snapshot_dir(), BETWEEN_STATES, text.as_bytes())
    }

    /// Notes durably that what belongs to a leader's snapshot is logged.
    pub(crate) fn note_state(&self) -> Result<(), Error> {
        self.remove_if_there(&self.directories.snapshot_dir(), BETWEEN_STATES)
    }
}
