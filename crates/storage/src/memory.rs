//! Whether a member remembers everything that it has acknowledged.
//!
//! A member's vote stands for what it has logged: who wins an election has everything that a quorum
//! acknowledged, because each quorum has somebody who remembers it. A member that has lost a part of
//! its history would break that, and so must neither vote nor count for anybody's quorum before a
//! leader has given it the history again (protocol-aware recovery). That it has lost something must
//! survive its restarts, also when what is left looks sound again after a repair that did not come
//! to its end.
//!
//! The file `shortened` beside the snapshots says so. Its text is for people. It is written
//!
//! - when a start finds a history that can not be read to its end, or nothing at all where nothing
//!   may be created ([`DataDir::recover_member`]): with a leader's snapshot alone this server would look
//!   like one that never had more, but what was committed last may come behind the snapshot;
//! - before a leader takes away something of its own epoch, with a snapshot that ends before that
//!   ([`DataDir::install`]) or with a cut ([`DataDir::rewind`]): it comes again from the leader, or was never
//!   committed, but only the end of the synchronization shows which. What leaders take away of earlier
//!   epochs was never committed;
//!
//! and removed once the current epoch is stored, which is when a member says that it has all of a
//! leader's history; or when a database is created because an operator wants that. Apache's server
//! ignores it.

use types::Zxid;

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;

/// The file's name.
const SHORTENED: &str = "shortened";

/// Whether a member remembers everything that it has acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// It does.
    Whole,
    /// Something may be missing: it must not vote, nor count for a quorum, before a leader has
    /// synchronized it.
    Shortened,
}

impl<D: Disk> DataDir<D> {
    /// Notes durably that the history now ends with `last` and may have gone further.
    pub(crate) fn note_shortened(&self, last: Zxid) -> Result<(), Error> {
        let text = format!(
            "The history of this server was cut back to {last}, and may have lost what it had \
             acknowledged.\nIt takes no part in votes before a leader has synchronized it; this file \
             is removed then.\nIf no leader can be elected without this server, and no other one has \
             more, remove this file\nto let it vote with what it has.\n"
        );
        self.replace_file(&self.directories.snapshot_dir(), SHORTENED, text.as_bytes())
    }

    /// Notes durably, if it is so, that a history that ends with `last_logged` is about to lose
    /// something that others may count on this server for. It is to end with `last` for a leader, whose
    /// epoch is the accepted one.
    pub(crate) fn note_what_is_taken(&self, last_logged: Zxid, last: Zxid) -> Result<(), Error> {
        let is_of_leaders_epoch = last_logged.epoch() >= self.accepted_epoch()?;
        match last_logged > last && is_of_leaders_epoch {
            true => self.note_shortened(last),
            false => Ok(()),
        }
    }

    /// What was noted.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        let path = self.directories.snapshot_dir().join(SHORTENED);
        Ok(if self.is_there(&path)? { Memory::Shortened } else { Memory::Whole })
    }

    /// Notes durably that nothing is missing any more.
    pub(crate) fn note_whole(&self) -> Result<(), Error> {
        self.remove_if_there(&self.directories.snapshot_dir(), SHORTENED)
    }
}
