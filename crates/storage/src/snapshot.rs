//! Snapshots: the whole state in one file, so that older logs are not needed any more.
//!
//! ```text
//! SnapshotWriter::create ──> unfinished-snapshot.<zxid>
//!    write, write ...             │
//!    finish                       ├─ sync, rename, sync the directory ──> snapshot.<zxid>
//!    drop                         └─ unlink
//! ```
//!
//! A file has the name of a snapshot only when all of it is durable, so a crash leaves none that
//! looks valid. Apache's server writes straight to the final name; what it leaves after a crash is
//! told by [`mod@read`] from a whole one: by its last bytes, its seals, its sums.
//!
//! A snapshot is *fuzzy*: its znodes are written while transactions go on. It is named after the
//! last transaction before the writing began, and replaying the log from there on leads to the
//! exact state; see the `tree` crate.

mod read;
mod receive;
mod records;
mod stream;
mod write;

pub(crate) use read::{Contents, read, verify};
pub use receive::{Received, ReceivedSnapshot, ReceivingSnapshot};
pub use write::{SnapshotWriter, WrittenSnapshot, put_head, write_tree};

/// How the bytes of a snapshot are packed (`zookeeper.snapshot.compression.method`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// As one gzip stream.
    Gzip,
    /// As a stream of snappy blocks in the framing of snappy-java.
    Snappy,
}

impl Compression {
    /// What the file's name ends with.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Snappy => ".snappy",
        }
    }

    /// The method that a name's last part stands for; unknown ones stand for none, as in Apache's
    /// server.
    pub(crate) fn from_suffix(suffix: &str) -> Self {
        match suffix {
            "gz" => Self::Gzip,
            "snappy" => Self::Snappy,
            _ => Self::None,
        }
    }
}
