//! Session ids that no later run hands out again.
//!
//! A server numbers its sessions from its wall clock at the start on, as Apache has it. Should the
//! clock have gone back, ids would be given out a second time, and a client that is told that its
//! session is over could come into that of another. So each start makes durable which ids it may
//! hand out, and takes none that an earlier start took.
//!
//! Who has lost its disk does not know what earlier starts took, which may be ahead of the clock if
//! there were many in a short time. It leaves so many out that they are surely passed.
//!
//! The file `session-ids` holds the first id that is free, in hexadecimal, and a line end.

use std::path::Path;

use types::{Memory, SessionId};

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;
use crate::layout::SESSION_IDS;
use crate::limits::{SESSION_IDS_FILE_BYTES_MAX, SESSION_IDS_LOST, SESSION_IDS_PER_RUN};

impl<D: Disk> DataDir<D> {
    /// Reserves ids for the sessions of this run and returns the first: `wanted`, or the one after
    /// all that were reserved before. A member of an ensemble calls this after it has recovered.
    ///
    /// # Errors
    /// When the disk fails, or [`Error::SessionIds`].
    pub fn reserve_session_ids(&self, wanted: SessionId) -> Result<SessionId, Error> {
        let dir = self.directories.snapshot_dir();
        let free = self.read_free_session_id(&dir.join(SESSION_IDS))?;
        // A directory that came from a server of another number says nothing about this one's.
        let free = free.filter(|id| id.server_byte() == wanted.server_byte());
        let first = match free {
            Some(free) => wanted.max(free),
            None if matches!(self.memory()?, Memory::Shortened { had: None }) => {
                SessionId(wanted.0.wrapping_add(SESSION_IDS_LOST))
            }
            None => wanted,
        };
        let free = SessionId(first.0.wrapping_add(SESSION_IDS_PER_RUN));
        self.replace_file(&dir, SESSION_IDS, format!("{free}\n").as_bytes())?;
        Ok(first)
    }

    fn read_free_session_id(&self, path: &Path) -> Result<Option<SessionId>, Error> {
        let Some(bytes) = self.read_small(path, SESSION_IDS_FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        match parse(&bytes).filter(|&free| has_room_behind(free)) {
            Some(id) => Ok(Some(id)),
            None => Err(Error::SessionIds { file: path.to_owned() }),
        }
    }
}

/// Whether all ids that a run may hand out from this one on are of one server.
fn has_room_behind(first: SessionId) -> bool {
    SessionId(first.0.wrapping_add(SESSION_IDS_PER_RUN)).server_byte() == first.server_byte()
}

fn parse(bytes: &[u8]) -> Option<SessionId> {
    let digits = std::str::from_utf8(bytes).ok()?.strip_prefix("0x")?.strip_suffix('\n')?;
    u64::from_str_radix(digits, 16).ok().map(|id| SessionId(id.cast_signed()))
}
