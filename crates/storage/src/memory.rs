//! Whether a member remembers everything that it has acknowledged.
//!
//! A member's vote stands for what it has logged: who wins an election has everything that a quorum
//! acknowledged, because each quorum has somebody who remembers it. A member that has lost a part of
//! its history would break that, and so must neither vote nor count for anybody's quorum before a
//! leader has given it the history again (protocol-aware recovery). That it has lost something must
//! survive its restarts, also when what is left looks sound again after a repair that did not come
//! to its end.
//!
//! The file `shortened` beside the snapshots says so. Its first line is `had=`, the last transaction that
//! the history had, and the CRC-32 of the line so far; or `had=unknown`. The rest is for people. Who knows it may vote for
//! others that have as much.
//! It is written
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

use tracing::warn;
use types::{Memory, Zxid};

use crate::checksum::crc32;
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;
use crate::limits::SHORTENED_FILE_BYTES_MAX;

/// The file's name.
const SHORTENED: &str = "shortened";
/// What comes before the last transaction that the history had.
const HAD: &str = "had=";

impl<D: Disk> DataDir<D> {
    /// Notes durably that the history now ends with `last` and went further: to `had`, or nobody knows how far.
    pub(crate) fn note_shortened(&self, last: Zxid, had: Option<Zxid>) -> Result<(), Error> {
        let votes = match had {
            Some(_) => "only for servers that have that",
            None => "for nobody",
        };
        let line = first_line(had);
        let text = format!(
            "{line}\nThe history of this server was cut back to {last}, and may have lost what it had \
             acknowledged.\nBefore a leader has synchronized it, it votes {votes}; this file is removed \
             then.\nIf no leader can be elected without this server, and no other one has more, remove \
             this file\nto let it vote with what it has.\n"
        );
        self.replace_file(&self.directories.snapshot_dir(), SHORTENED, text.as_bytes())
    }

    /// Notes durably, if it is so, that a history that ends with `last_logged` is about to lose
    /// something that others may count on this server for. It is to end with `last` for a leader, whose
    /// epoch is the accepted one.
    pub(crate) fn note_what_is_taken(&self, last_logged: Zxid, last: Zxid) -> Result<(), Error> {
        let is_of_leaders_epoch = last_logged.epoch() >= self.accepted_epoch()?;
        if last_logged <= last || !is_of_leaders_epoch {
            return Ok(());
        }
        match self.memory()?.shortened_from(last_logged) {
            Memory::Shortened { had } => self.note_shortened(last, had),
            Memory::Whole => Ok(()),
        }
    }

    /// What was noted.
    pub(crate) fn memory(&self) -> Result<Memory, Error> {
        let path = self.directories.snapshot_dir().join(SHORTENED);
        if !self.is_there(&path)? {
            return Ok(Memory::Whole);
        }
        let noted = self.read_small(&path, SHORTENED_FILE_BYTES_MAX);
        if let Err(error) = &noted {
            warn!(%error, "nobody knows how much was lost");
        }
        Ok(Memory::Shortened { had: noted.ok().flatten().as_deref().and_then(parse) })
    }

    /// Notes durably that nothing is missing any more.
    pub(crate) fn note_whole(&self) -> Result<(), Error> {
        self.remove_if_there(&self.directories.snapshot_dir(), SHORTENED)
    }
}

/// What the file begins with.
fn first_line(had: Option<Zxid>) -> String {
    let Some(had) = had else { return format!("{HAD}unknown") };
    let line = format!("{HAD}{:#x}", had.raw());
    let sum = crc32(line.as_bytes());
    format!("{line} {sum:08x}")
}

/// The last transaction that the history had; `None` if that is unknown, or the line has become another one.
fn parse(noted: &[u8]) -> Option<Zxid> {
    let end = noted.iter().position(|&byte| byte == b'\n')?;
    let line = std::str::from_utf8(&noted[..end]).ok()?;
    let (digits, _) = line.strip_prefix(HAD)?.strip_prefix("0x")?.split_once(' ')?;
    let raw = u64::from_str_radix(digits, 16).ok()?;
    let had = Zxid::from_raw(raw.cast_signed());
    (line == first_line(Some(had))).then_some(had)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_history_had_is_on_the_first_line() {
        for raw in [0, 7, 0x5_0000_0007, i64::MAX, i64::MIN, -1] {
            let had = Zxid::from_raw(raw);
            let line = first_line(Some(had));
            assert!(line.len() < SHORTENED_FILE_BYTES_MAX, "{line}");
            assert_eq!(parse(format!("{line}\nThe history\n").as_bytes()), Some(had), "{line}");
        }
        for unknown in ["", "had=unknown\n", "had=0x5\n", "had=5 1\n", "The history\nhad=0x5\n"] {
            assert_eq!(parse(unknown.as_bytes()), None, "{unknown:?}");
        }
    }

    #[test]
    fn a_line_with_any_bit_flipped_says_nothing() {
        let text = format!("{}\n", first_line(Some(Zxid::from_raw(0x5_0000_0007))));
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert_eq!(parse(&bytes), None, "bit {bit} of {at}");
            }
        }
    }
}
