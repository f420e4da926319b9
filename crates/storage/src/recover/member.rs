//! A member of an ensemble that has lost a part of its history.
//!
//! A standalone server refuses to start at damage, since nobody else has what is lost. A member starts
//! with what can be read, so that a leader can repair it, and stays out of the vote until then:
//!
//! ```text
//! recover_member ──> what can be read, and the loss; `shortened` is written, nothing else changes
//!      │             (also where nothing is, and nothing says that there never was anything)
//!      │
//!      │   elected by the others, a leader synchronizes this server:
//!      ├─> rewind to the end of what can be read   cuts the damage off; then what is missing is logged
//!      ├─> or install                              replaces everything
//!      │
//!      └─> store_current_epoch                     removes `shortened`: it votes again
//! ```
//!
//! Until the leader comes the files stay as they are: should all members be in doubt about the same
//! transaction, an operator has to decide, and may need them.

use types::Zxid;

use super::{Origin, RecoverOptions, Recovered};
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;

/// What a member found.
pub struct RecoveredMember {
    /// What could be read, from the beginning of the history on. With a loss and [`Origin::Unknown`]
    /// nothing could; only a leader's snapshot helps then.
    pub recovered: Recovered,
    /// Why there should be more: the error with which [`DataDir::recover`] refuses. The log then takes
    /// nothing before a [`DataDir::rewind`] or [`DataDir::install`], and
    /// [`crate::Epochs::memory`] tells that this server must not vote.
    pub loss: Option<Error>,
}

impl<D: Disk> DataDir<D> {
    /// Reads everything, or as much as can be read. Where nothing is that ever was, and nothing may be
    /// created either, this server has lost its disk: that is noted like any other loss.
    ///
    /// # Errors
    /// When the disk can not be used.
    pub fn recover_member(&self, options: &RecoverOptions) -> Result<RecoveredMember, Error> {
        let mut found = self.find(options)?;
        let Some(loss) = found.loss.take() else {
            if found.origin == Origin::Unknown {
                // A leader's snapshot alone would make it look like a member that never had more.
                self.note_shortened(Zxid::ZERO, None)?;
            }
            return Ok(RecoveredMember { recovered: self.settle(found)?, loss: None });
        };
        let mut recovered = found.into_recovered();
        if recovered.origin == Origin::Created {
            // There was a database once.
            recovered.origin = Origin::Unknown;
        }
        self.note_shortened(recovered.last_logged, None)?;
        let mut branch = self.branch();
        branch.replayed_from = None;
        branch.ends_at_damage = true;
        drop(branch);
        Ok(RecoveredMember { recovered, loss: Some(loss) })
    }
}
