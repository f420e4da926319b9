//! Which file is where, and what its name says.
//!
//! ```text
//! <dataDir>/version-2/snapshot.<zxid>[.gz|.snappy]
//! <dataDir>/version-2/unfinished-snapshot.<zxid>      being written; removed at start
//! <dataLogDir>/initialize                             "an empty directory is intended"
//! <dataLogDir>/version-2/log.<zxid>                   named after its first transaction
//! <dataLogDir>/version-2/unfinished-log               space prepared for the next log
//! <dataLogDir>/version-2/synced                       the watermark
//! <dataDir>/version-2/session-ids                      which ids of sessions are free
//! <dataDir>/version-2/acceptedEpoch, currentEpoch      of a member of an ensemble
//! <dataDir>/version-2/shortened                        "this member has lost history"
//! <dataDir>/version-2/installing                       which snapshot replaces everything
//! <dataDir>/version-2/between-states                   "the tree has something of what comes behind it"
//! <dataLogDir>/version-2/holds-logs                    where logs lie apart
//! <dataDir>/version-2/holds-no-logs                    ... and where that is
//! <dataDir>/version-2/lock, <dataLogDir>/version-2/lock
//! ```
//!
//! Zxids are hexadecimal. Apache's server looks only at names that start with `log` or `snapshot`
//! and a dot, and so leaves ours alone. Names that are none of these are somebody else's and are
//! never touched.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use types::Zxid;

use crate::snapshot::Compression;

/// The subdirectory that carries the version of the formats.
pub(crate) const VERSION_DIR: &str = "version-2";
/// The marker that allows to start empty.
pub(crate) const INITIALIZE: &str = "initialize";
/// Which ids of sessions are free.
pub(crate) const SESSION_IDS: &str = "session-ids";
/// The name of the snapshot that is about to replace everything else.
pub(crate) const INSTALLING: &str = "installing";
/// The lock file.
pub(crate) const LOCK: &str = "lock";
/// The log that has space but no transaction yet.
pub(crate) const UNFINISHED_LOG: &str = "unfinished-log";
/// What was being written when the server stopped.
pub(crate) const UNFINISHED: &str = "unfinished-";

/// The two directories of a server, as configured: without `version-2`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Directories {
    /// For snapshots (`dataDir`).
    pub snapshots: PathBuf,
    /// For transaction logs (`dataLogDir`, by default the same).
    pub logs: PathBuf,
}

impl Directories {
    /// One directory for both.
    pub fn shared(data_dir: impl Into<PathBuf>) -> Self {
        let snapshots = data_dir.into();
        Self { logs: snapshots.clone(), snapshots }
    }

    /// Where snapshots are.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.snapshots.join(VERSION_DIR)
    }

    /// Where logs are.
    pub fn log_dir(&self) -> PathBuf {
        self.logs.join(VERSION_DIR)
    }

    /// Whether logs and snapshots lie together.
    pub fn is_shared(&self) -> bool {
        self.snapshots == self.logs
    }
}

/// A log in a listing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LogFile {
    /// What its name says of its first transaction.
    pub(crate) first: Zxid,
    pub(crate) path: PathBuf,
}

/// A snapshot in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SnapshotFile {
    /// The last transaction it surely holds.
    pub(crate) zxid: Zxid,
    pub(crate) path: PathBuf,
    pub(crate) compression: Compression,
}

impl SnapshotFile {
    /// The file's name.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        self.path.file_name().unwrap_or_default().to_string_lossy()
    }
}

/// The name of the log that starts with `first`.
pub(crate) fn log_name(first: Zxid) -> String {
    format!("log.{first:x}")
}

/// The name of the snapshot taken at `zxid`.
pub(crate) fn snapshot_name(zxid: Zxid, compression: Compression) -> String {
    format!("snapshot.{zxid:x}{}", compression.suffix())
}

/// The logs among the names, in ascending order.
pub(crate) fn logs(dir: &Path, names: &[String]) -> Vec<LogFile> {
    let mut logs: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let first = parse_zxid(name.strip_prefix("log.")?)?;
            Some(LogFile { first, path: dir.join(name) })
        })
        .collect();
    logs.sort_unstable();
    logs
}

/// The snapshots among the names, the newest first.
///
/// `snapshot.<zxid>.tmp` is what Apache's server leaves when it is interrupted: no snapshot.
pub(crate) fn snapshots(dir: &Path, names: &[String]) -> Vec<SnapshotFile> {
    let mut snapshots: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let mut parts = name.strip_prefix("snapshot.")?.split('.');
            let zxid = parse_zxid(parts.next()?)?;
            let compression = match (parts.next(), parts.next()) {
                (None, _) => Compression::None,
                (Some("tmp"), None) | (_, Some(_)) => return None,
                (Some(suffix), None) => Compression::from_suffix(suffix),
            };
            Some(SnapshotFile { zxid, path: dir.join(name), compression })
        })
        .collect();
    snapshots.sort_by(|a, b| (b.zxid, &b.path).cmp(&(a.zxid, &a.path)));
    snapshots
}

/// Whether Apache's server would take this for a log.
pub(crate) fn looks_like_log(name: &str) -> bool {
    name.starts_with("log.")
}

/// Whether Apache's server would take this for a snapshot.
pub(crate) fn looks_like_snapshot(name: &str) -> bool {
    name.starts_with("snapshot.")
}

fn parse_zxid(hex: &str) -> Option<Zxid> {
    i64::from_str_radix(hex, 16).ok().filter(|&raw| raw >= 0).map(Zxid::from_raw)
}

impl fmt::Display for Directories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.snapshots.display())?;
        if !self.is_shared() {
            write!(f, " and {}", self.logs.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn orders_logs_by_number_and_ignores_foreign_names() {
        let listing = names(&["log.10", "log.9", "log.", "log.x", "log.1.gz", "lock", "log.100"]);
        let firsts: Vec<_> =
            logs(Path::new("d"), &listing).iter().map(|log| log.first.raw()).collect();
        assert_eq!(firsts, [0x9, 0x10, 0x100]);
    }

    #[test]
    fn orders_snapshots_newest_first_and_reads_their_suffix() {
        let listing = names(&[
            "snapshot.5",
            "snapshot.20000001a.gz",
            "snapshot.7.snappy",
            "snapshot.8.tmp",
            "snapshot.9.gz.tmp",
            "snapshot.zz",
            "unfinished-snapshot.9",
        ]);
        let found: Vec<_> = snapshots(Path::new("d"), &listing)
            .iter()
            .map(|snapshot| (snapshot.zxid.raw(), snapshot.compression))
            .collect();
        let expected =
            [(0x2_0000_001a, Compression::Gzip), (7, Compression::Snappy), (5, Compression::None)];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_round_trip() {
        let zxid = Zxid::from_raw(0x2_0000_001a);
        assert_eq!(log_name(zxid), "log.20000001a");
        assert_eq!(snapshot_name(zxid, Compression::Snappy), "snapshot.20000001a.snappy");
    }
}
