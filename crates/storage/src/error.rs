//! What can be wrong with a disk and what is on it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use types::{Epoch, Zxid};
use wire::jute::DecodeError;

/// Why the disk, or what is on it, can not be used.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The operating system refused. After a failed write or sync the log is unusable: see
    /// [`Error::Poisoned`].
    #[error("can not {action} {path}")]
    Io {
        /// What was tried.
        action: Action,
        /// On which file or directory.
        path: PathBuf,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// A log is damaged where it must not be. Nothing was changed.
    #[error(
        "{file} is damaged at byte {offset}: {damage}. Everything before that byte is good. \
         Restore the file from a copy; or, to go on without what follows, keep a copy, run \
         `truncate -s {offset} {file}`, and remove the later logs and the file `synced` beside it"
    )]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// Where the first bad entry starts, in bytes.
        offset: u64,
        /// What is bad about it.
        damage: Damage,
    },
    /// Transactions are missing between two that are there.
    #[error(
        "{file} goes on with transaction {found} after {last}: those between are missing. \
         Restore the missing log or a newer snapshot from a copy"
    )]
    Gap {
        /// The file with the first transaction after the gap.
        file: PathBuf,
        /// The last transaction before the gap.
        last: Zxid,
        /// The first one after it.
        found: Zxid,
    },
    /// The logs end before a transaction that they should hold.
    #[error("the logs in {dir} end with {last}, although {expected} should be there")]
    HistoryEnds {
        /// The directory of the logs.
        dir: PathBuf,
        /// The last transaction found.
        last: Zxid,
        /// The one that was asked for.
        expected: Zxid,
    },
    /// The history ends before a transaction that is known to have been synced.
    #[error(
        "the history ends with {recovered} although {synced} was written to {file} durably. \
         Restore the file from a copy; or, to go on without what is missing, remove {watermark}"
    )]
    SyncedHistoryLost {
        /// The last transaction found.
        recovered: Zxid,
        /// One that was synced.
        synced: Zxid,
        /// The log in which it was.
        file: PathBuf,
        /// The file that remembers it.
        watermark: PathBuf,
    },
    /// The directory of the logs is empty, and is not the one that this server has used.
    #[error(
        "{dir} holds no transaction log, but this server has logged in {used}; without that the history \
         ends with {recovered}. See whether the device is there and dataLogDir is right, or restore the \
         logs from a copy; or, to go on without what they hold, remove {note}"
    )]
    LogDirectoryLost {
        /// The directory of the logs, now.
        dir: PathBuf,
        /// The last transaction found.
        recovered: Zxid,
        /// The directory that was used before.
        used: String,
        /// The file that remembers it.
        note: PathBuf,
    },
    /// There are logs, but no snapshot on which they could build.
    #[error(
        "{dir} holds transaction logs, but there is no valid snapshot to start from. Restore one \
         from a copy; if the server never wrote one (an upgrade from 3.4), set \
         snapshot.trust.empty=true for one start"
    )]
    LogsWithoutSnapshot {
        /// The directory of the logs.
        dir: PathBuf,
    },
    /// There are snapshots, but none can be read.
    #[error(
        "no snapshot can be read, the newest is {newest} ({damage}). Restore one from a copy; to \
         start empty, move all of them away"
    )]
    NoReadableSnapshot {
        /// The newest one.
        newest: PathBuf,
        /// What is wrong with it.
        #[source]
        damage: SnapshotDamage,
    },
    /// A snapshot can not be read, and what can be read ends before it.
    #[error(
        "{file} can not be read ({damage}), and what can be read ends with {recovered}, before it. \
         Restore it from a copy; to give up what only it has, move it away"
    )]
    SnapshotLost {
        /// The furthest of them.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        damage: SnapshotDamage,
        /// The last transaction that can be read.
        recovered: Zxid,
    },
    /// A directory does not exist and must not be created.
    #[error("directory {dir} does not exist, and datadir.autocreate is false")]
    MissingDirectory {
        /// Which.
        dir: PathBuf,
    },
    /// Logs among the snapshots or the reverse: the two directories were exchanged, or one was
    /// set to something else later.
    #[error(
        "{file} does not belong into this directory: check dataDir and dataLogDir, or move the \
         file to the other one"
    )]
    Misplaced {
        /// The first such file.
        file: PathBuf,
    },
    /// Another process uses the directory.
    #[error("{dir} is in use by another server: stop that one, or choose another directory")]
    Locked {
        /// Which.
        dir: PathBuf,
    },
    /// The history can not be cut after a transaction, because it is not there or because no
    /// snapshot is old enough to start from. Nothing was changed; the whole state has to come from a
    /// leader.
    #[error("the history can not be cut after {zxid}: {obstacle}")]
    NotCut {
        /// The transaction.
        zxid: Zxid,
        /// What is in the way.
        obstacle: CutObstacle,
    },
    /// The history was cut or replaced while a snapshot of it was written. The snapshot is gone.
    #[error("the snapshot at {zxid} is of a history that was cut or replaced meanwhile")]
    OtherBranch {
        /// What it would have been named after.
        zxid: Zxid,
    },
    /// What a leader sent is no snapshot. The database is as it was.
    #[error("the leader's snapshot at {zxid} can not be used")]
    ReceivedSnapshot {
        /// What it is named after.
        zxid: Zxid,
        /// What is wrong with it; bytes are counted in what the leader sent.
        #[source]
        damage: SnapshotDamage,
    },
    /// The file that says which session ids are free does not say it.
    #[error(
        "{file} should hold the number of a session in hexadecimal. Remove it, if the clock of this machine has \
         never gone back: then new sessions are numbered by the clock"
    )]
    SessionIds {
        /// Which file.
        file: PathBuf,
    },
    /// The file of an epoch does not hold one.
    #[error(
        "{file} should hold an epoch, a decimal number. Restore it from a copy; or, while the other \
         members are a quorum without this server, move its whole data directory away: it gets the \
         state from them"
    )]
    NoEpoch {
        /// Which file.
        file: PathBuf,
    },
    /// The current epoch is one that was never accepted.
    #[error(
        "{current_file} is to hold epoch {}, but {accepted_file} only {}: they are of different \
         times or servers. Restore both from one copy; or, while the other members are a quorum \
         without this server, move its whole data directory away: it gets the state from them",
        current.0, accepted.0
    )]
    EpochsContradict {
        /// Where the accepted epoch is.
        accepted_file: PathBuf,
        /// The accepted epoch.
        accepted: Epoch,
        /// Where the current epoch is.
        current_file: PathBuf,
        /// The current epoch, found or to be stored.
        current: Epoch,
    },
    /// There are transactions of an epoch that was never accepted.
    #[error(
        "{file} holds epoch {}, but the history goes to {last_logged}: they are of different times \
         or servers. Restore the file from a copy; or, if the history is the right one, remove \
         acceptedEpoch and currentEpoch: both are then taken from its last transaction",
        accepted.0
    )]
    HistoryBeyondEpoch {
        /// Where the accepted epoch is.
        file: PathBuf,
        /// The accepted epoch.
        accepted: Epoch,
        /// The last transaction of the history.
        last_logged: Zxid,
    },
    /// An epoch is to be stored that is behind the stored one. Nothing was changed.
    #[error("epoch {} can not be stored in {file}, which holds {}", wanted.0, stored.0)]
    EpochDecreases {
        /// Which file.
        file: PathBuf,
        /// What it holds.
        stored: Epoch,
        /// What it was to hold.
        wanted: Epoch,
    },
    /// What lies behind the history could not be read: it has to be cut off, or replaced by a leader's
    /// snapshot, before anything is logged.
    #[error("nothing can be logged behind damage that was neither cut off nor replaced")]
    BehindDamage,
    /// A write or sync failed before; what is on the disk is unknown until the next start.
    #[error("the log failed before and takes nothing more")]
    Poisoned,
}

/// Why a history can not be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CutObstacle {
    /// The transaction is not in the logs.
    #[error("no such transaction in the logs")]
    NotLogged,
    /// Each snapshot that can be read may hold effects of later ones.
    #[error("no snapshot is that old")]
    NoSnapshot,
    /// The logs do not lead to it from any such snapshot without a gap.
    #[error("transactions before it are missing")]
    Gap,
}

/// What was asked of the operating system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Action {
    List,
    CreateDirectory,
    Create,
    Open,
    Lock,
    Read,
    Write,
    Truncate,
    Sync,
    SyncDirectory,
    Rename,
    Remove,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::CreateDirectory => "create the directory",
            Self::Create => "create",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncDirectory => "sync the directory",
            Self::Rename => "rename to",
            Self::Remove => "remove",
        })
    }
}

/// What is bad about a log's entry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// The file does not start as a log does.
    #[error("no log header")]
    Header,
    /// The stored checksum is not that of the bytes.
    #[error("checksum {stored:#x} stored, {computed:#x} computed")]
    Checksum {
        /// As stored.
        stored: u64,
        /// As it should be.
        computed: u32,
    },
    /// The length makes no sense.
    #[error("entry length {length}")]
    Length {
        /// As stored.
        length: i32,
    },
    /// The file ends within the entry.
    #[error("the file ends within an entry")]
    Cut,
    /// The byte that ends each entry is another one.
    #[error("no end mark")]
    EndMark,
    /// The checksum holds, but the content means nothing.
    #[error("undecodable transaction: {0}")]
    Undecodable(DecodeError),
    /// Zeros where a synced entry was.
    #[error("zeros where a synced entry should be")]
    Zeros,
}

/// Why a file is no snapshot.
#[derive(thiserror::Error, Debug)]
pub enum SnapshotDamage {
    /// It can not be read.
    #[error("unreadable: {0}")]
    Unreadable(#[from] io::Error),
    /// It does not start as a snapshot of its kind does, or does not end as one.
    #[error("not a finished snapshot")]
    Unfinished,
    /// The stored checksum is not that of the bytes before it.
    #[error("checksum {stored:#x} stored, {computed:#x} computed, at byte {offset}")]
    Checksum {
        /// Of the checksum, in bytes of the uncompressed content.
        offset: u64,
        /// As stored.
        stored: u32,
        /// As it should be.
        computed: u32,
    },
    /// A record means nothing.
    #[error("undecodable record at byte {offset}: {source}")]
    Undecodable {
        /// Of the record, in bytes of the uncompressed content.
        offset: u64,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// The content goes on after what should be its end.
    #[error("unexpected bytes from byte {offset} on")]
    TrailingBytes {
        /// Where its end should be, in bytes of the uncompressed content.
        offset: u64,
    },
    /// The znodes make no tree.
    #[error(transparent)]
    NoTree(#[from] tree::LoadError),
}

/// Turns errors of the operating system into ours.
pub(crate) trait Context<T> {
    /// Adds what was tried on which file.
    fn during(self, action: Action, path: &std::path::Path) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn during(self, action: Action, path: &std::path::Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}
