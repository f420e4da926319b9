//! Session ids that no later run hands out again.
//!
//! A server numbers its sessions from its wall clock at the start on, as Apache has it. Should the
//! clock have gone back, ids would be given out a second time, and a client that is told that its
//! session is over could come into that of another. So each start makes durable which ids it may
//! hand out, and takes none that an earlier start took.
//!
//! The file `session-ids` holds the first id that is free, in hexadecimal, and a line end.

use std::io;
use std::path::Path;

use types::SessionId;

use crate::data_dir::DataDir;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Action, Context, Error};
use crate::layout::{SESSION_IDS, UNFINISHED};
use crate::limits::{SESSION_IDS_FILE_BYTES_MAX, SESSION_IDS_PER_RUN};

impl<D: Disk> DataDir<D> {
    /// Reserves ids for the sessions of this run and returns the first: `wanted`, or the one after
    /// all that were reserved before.
    ///
    /// # Errors
    /// When the disk fails, or [`Error::SessionIds`].
    pub fn reserve_session_ids(&self, wanted: SessionId) -> Result<SessionId, Error> {
        let dir = self.directories.snapshot_dir();
        let free = self.read_free_session_id(&dir.join(SESSION_IDS))?;
        // A directory that came from a server of another number says nothing about this one's.
        let free = free.filter(|id| id.server_byte() == wanted.server_byte());
        let first = free.map_or(wanted, |free| wanted.max(free));
        self.write_free_session_id(&dir, SessionId(first.0.wrapping_add(SESSION_IDS_PER_RUN)))?;
        Ok(first)
    }

    fn read_free_session_id(&self, path: &Path) -> Result<Option<SessionId>, Error> {
        let file = match self.disk.open(path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.during(Action::Open, path)?,
        };
        let mut bytes = [0; SESSION_IDS_FILE_BYTES_MAX];
        let read = file.read_full_at(&mut bytes, 0).during(Action::Read, path)?;
        match parse(&bytes[..read]) {
            Some(id) => Ok(Some(id)),
            None => Err(Error::SessionIds { file: path.to_owned() }),
        }
    }

    fn write_free_session_id(&self, dir: &Path, id: SessionId) -> Result<(), Error> {
        let path = dir.join(SESSION_IDS);
        let unfinished = dir.join(format!("{UNFINISHED}{SESSION_IDS}"));
        let file = self.disk.create(&unfinished).during(Action::Create, &unfinished)?;
        let text = format!("{id}\n");
        file.write_all_at(text.as_bytes(), 0).during(Action::Write, &unfinished)?;
        file.sync_data().during(Action::Sync, &unfinished)?;
        self.disk.rename(&unfinished, &path).during(Action::Rename, &path)?;
        self.sync_dir(dir)
    }
}

fn parse(bytes: &[u8]) -> Option<SessionId> {
    let digits = std::str::from_utf8(bytes).ok()?.strip_prefix("0x")?.strip_suffix('\n')?;
    u64::from_str_radix(digits, 16).ok().map(|id| SessionId(id.cast_signed()))
}
