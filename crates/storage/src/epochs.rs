//! The two epochs that a member of an ensemble must not forget.
//!
//! `acceptedEpoch` is the last epoch whose leader this server has promised to listen to;
//! `currentEpoch` the last one of which it has had the leader's whole history. Each is a file of
//! decimal digits, as Apache's server writes it, beside the snapshots. A standalone server neither
//! reads nor writes them.
//!
//! ```text
//! store ──> unfinished-<name> ── sync, rename, sync the directory ──> <name>, and the proof
//! ```
//!
//! **Invariants.** Neither ever decreases, and in each state that a crash can leave the accepted one
//! is at least the current one: whoever raises both raises the accepted one first.
//!
//! # What a start finds
//!
//! | found | taken for |
//! |---|---|
//! | no file | the epoch of the last transaction: the history is older than the files |
//! | `<name>.tmp`, later than `<name>` | the value: Apache's server renames without a sync of the directory, so what it has promised may lie there after a loss of power |
//! | a current epoch behind that of the last transaction, which was accepted | the epoch of that transaction, see below |
//! | a history that goes beyond the accepted epoch, or a current epoch that does | a mixture of two servers, or files of different times: refused |
//! | anything but a number | refused |
//!
//! A member makes the leader's history durable before it makes the leader's epoch its current one.
//! A crash between the two leaves a current epoch that is behind the last transaction. As there are
//! transactions of an epoch only once a quorum has had all that came before, what is there is what a
//! follower of that epoch has at some time, and its epoch is the current one. (Apache's server,
//! which can leave the same files, starts from them only if it finds `currentEpoch.tmp` too.)

use std::io;
use std::path::{Path, PathBuf};

use types::{Epoch, Memory, Zxid};

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::{Action, Context, Error};
use crate::limits::EPOCH_FILE_BYTES_MAX;

/// The file of the accepted epoch.
const ACCEPTED: &str = "acceptedEpoch";
/// The file of the current epoch.
const CURRENT: &str = "currentEpoch";
/// What the name of a file ends with while Apache's server writes it.
const APACHES_UNFINISHED: &str = ".tmp";
/// What Apache's server writes as long as it knows no transaction at all.
const APACHES_NO_EPOCH: &str = "-1";

/// The epochs on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epochs {
    /// The last epoch that was promised to a leader; at least `current`.
    pub accepted: Epoch,
    /// The last epoch whose leader's history was complete here.
    pub current: Epoch,
    /// Whether what was acknowledged in that epoch is still here.
    pub memory: Memory,
}

/// Proof that an epoch is the accepted one, durably. Only this crate can make one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AcceptedEpochStored {
    epoch: Epoch,
}

impl AcceptedEpochStored {
    /// Which.
    pub fn epoch(self) -> Epoch {
        self.epoch
    }
}

/// Proof that an epoch is the current one, durably. Only this crate can make one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CurrentEpochStored {
    epoch: Epoch,
}

impl CurrentEpochStored {
    /// Which.
    pub fn epoch(self) -> Epoch {
        self.epoch
    }
}

impl<D: Disk> DataDir<D> {
    /// Reads the epochs when a member starts, and makes durable what they are taken for.
    /// `last_logged` is where the recovered history ends.
    ///
    /// # Errors
    /// [`Error::NoEpoch`], [`Error::EpochsContradict`], [`Error::HistoryBeyondEpoch`], or when the
    /// disk fails.
    pub fn epochs(&self, last_logged: Zxid) -> Result<Epochs, Error> {
        let dir = self.directories.snapshot_dir();
        let of_history = last_logged.epoch();
        let stored_accepted = self.read_epoch(&dir.join(ACCEPTED))?;
        let stored_current = self.read_epoch(&dir.join(CURRENT))?;
        let accepted =
            stored_accepted.unwrap_or(of_history).max(self.read_leftover(&dir, ACCEPTED)?);
        if of_history > accepted {
            let file = dir.join(ACCEPTED);
            return Err(Error::HistoryBeyondEpoch { file, accepted, last_logged });
        }
        let leftover = self.read_leftover(&dir, CURRENT)?;
        let mut current = stored_current.unwrap_or(of_history).max(of_history);
        if leftover <= accepted {
            current = current.max(leftover);
        }
        if current > accepted {
            return Err(contradiction(&dir, accepted, current));
        }
        if stored_accepted != Some(accepted) {
            self.write_epoch(&dir, ACCEPTED, accepted)?;
        }
        if stored_current != Some(current) {
            self.write_epoch(&dir, CURRENT, current)?;
        }
        self.remove_leftovers(&dir)?;
        Ok(Epochs { accepted, current, memory: self.memory()?.of_history(last_logged, current) })
    }

    /// Makes an epoch the accepted one, durably. One that is already is stored again.
    ///
    /// # Errors
    /// [`Error::EpochDecreases`] or [`Error::NoEpoch`]; nothing was changed then. When the disk
    /// fails: the epoch may be the accepted one or not, the server has to end.
    pub fn store_accepted_epoch(&self, epoch: Epoch) -> Result<AcceptedEpochStored, Error> {
        let dir = self.directories.snapshot_dir();
        self.require_not_less(&dir.join(ACCEPTED), epoch)?;
        self.write_epoch(&dir, ACCEPTED, epoch)?;
        Ok(AcceptedEpochStored { epoch })
    }

    /// Makes an epoch the current one, durably. One that is already is stored again. All of the
    /// history with which that epoch began has to be durable before; so [`Memory::Shortened`] is
    /// over, and no tree recovered from here on is [between states](DataDir::is_between_states).
    ///
    /// # Errors
    /// [`Error::EpochsContradict`] when it was not accepted before; otherwise as
    /// [`DataDir::store_accepted_epoch`].
    pub fn store_current_epoch(&self, epoch: Epoch) -> Result<CurrentEpochStored, Error> {
        let dir = self.directories.snapshot_dir();
        self.require_not_less(&dir.join(CURRENT), epoch)?;
        let accepted = self.accepted_epoch()?;
        if epoch > accepted {
            return Err(contradiction(&dir, accepted, epoch));
        }
        self.write_epoch(&dir, CURRENT, epoch)?;
        self.note_whole()?;
        self.note_state()?;
        Ok(CurrentEpochStored { epoch })
    }

    /// The accepted epoch, as it was stored last; the first one if it never was.
    pub(crate) fn accepted_epoch(&self) -> Result<Epoch, Error> {
        let path = self.directories.snapshot_dir().join(ACCEPTED);
        Ok(self.read_epoch(&path)?.unwrap_or_default())
    }

    fn require_not_less(&self, path: &Path, wanted: Epoch) -> Result<(), Error> {
        match self.read_epoch(path)? {
            Some(stored) if stored > wanted => {
                Err(Error::EpochDecreases { file: path.to_owned(), stored, wanted })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The epoch in a file; `None` without one.
    fn read_epoch(&self, path: &Path) -> Result<Option<Epoch>, Error> {
        // One byte more tells whether the line goes on.
        let Some(bytes) = self.read_small(path, EPOCH_FILE_BYTES_MAX + 1)? else { return Ok(None) };
        match parse(&bytes) {
            Some(epoch) => Ok(Some(epoch)),
            None => Err(Error::NoEpoch { file: path.to_owned() }),
        }
    }

    /// The epoch that Apache's server was about to store; the first one if there is none, or if the
    /// file was not written to its end.
    fn read_leftover(&self, dir: &Path, name: &str) -> Result<Epoch, Error> {
        let bytes = self.read_small(&leftover(dir, name), EPOCH_FILE_BYTES_MAX + 1)?;
        Ok(bytes.and_then(|bytes| parse(&bytes)).unwrap_or_default())
    }

    fn write_epoch(&self, dir: &Path, name: &str, epoch: Epoch) -> Result<(), Error> {
        self.replace_file(dir, name, epoch.0.to_string().as_bytes())
    }

    /// Removes what was read and stored, and makes durable that it is gone; and the names of files
    /// that Apache's server has renamed.
    fn remove_leftovers(&self, dir: &Path) -> Result<(), Error> {
        for name in [ACCEPTED, CURRENT] {
            let path = leftover(dir, name);
            match self.disk.unlink(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.during(Action::Remove, &path)?,
            }
        }
        self.sync_dir(dir)
    }
}

fn leftover(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{APACHES_UNFINISHED}"))
}

fn contradiction(dir: &Path, accepted: Epoch, current: Epoch) -> Error {
    let (accepted_file, current_file) = (dir.join(ACCEPTED), dir.join(CURRENT));
    Error::EpochsContradict { accepted_file, accepted, current_file, current }
}

/// The number on the first line, the only one that Apache's server reads.
fn parse(bytes: &[u8]) -> Option<Epoch> {
    let line = bytes.split(|&byte| byte == b'\n').next()?;
    if line.len() > EPOCH_FILE_BYTES_MAX {
        return None;
    }
    match std::str::from_utf8(line).ok()?.trim_end_matches('\r') {
        APACHES_NO_EPOCH => Some(Epoch::default()),
        line => line.parse().ok().filter(|&number| number >= 0).map(Epoch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_is_a_decimal_number() {
        let parse = |text: &str| parse(text.as_bytes()).map(|epoch| epoch.0);
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("17"), Some(17));
        assert_eq!(parse("17\nnot looked at"), Some(17));
        assert_eq!(parse("17\r\n"), Some(17));
        assert_eq!(parse("2147483647"), Some(i32::MAX));
        assert_eq!(parse("-1"), Some(0), "a server without any transaction");
        for text in ["", "\n17", " 17", "0x17", "2147483648", "-2", "17\0\0", "seventeen"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        // What is read of a longer file must not be taken for all of its number.
        let [long, longer] = [62, 63].map(|zeros| "0".repeat(zeros) + "17");
        assert_eq!((parse(&long), parse(&longer)), (Some(17), None));
    }
}
