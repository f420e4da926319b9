//! Every bound of this crate, with its unit and its reason.

/// Zeros written ahead of a log's last entry in one go.
///
/// A sync of space that was written before needs no change of the file's metadata and is up to
/// twice as fast as one that fills a hole (`examples/log_space.rs` measures it). Small enough that
/// the one group in `step / group bytes` that pays for the zeros is late by less than half a
/// millisecond; from 1 MiB on it would be late by more than one.
pub const LOG_SPACE_STEP_BYTES: usize = 256 * 1024;

/// Bytes of a file that recovery holds in memory at a time, unless one entry is longer.
pub(crate) const READ_WINDOW_BYTES: usize = 1024 * 1024;

/// Bytes that a snapshot writer gathers before it writes.
pub(crate) const SNAPSHOT_BUFFER_BYTES: usize = 256 * 1024;

/// Bytes of a snapshot after which what was written is synced.
///
/// Without it the device gets the whole snapshot at its end, and the log's syncs wait behind it.
pub(crate) const SNAPSHOT_SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes of the text behind a leader's snapshot at most; it has ten. A longer one is another text,
/// however much of it has arrived.
pub(crate) const SNAPSHOT_SIGNATURE_BYTES_MAX: usize = 64;

/// Bytes of a snappy block, packed or not. Java's default is 32 KiB; its property can raise it.
pub(crate) const SNAPPY_BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Fewest bytes of an entry: checksum, length, a transaction's header, the end mark.
pub(crate) const LOG_ENTRY_BYTES_MIN: usize = 8 + 4 + 32 + 1;

/// Snapshots tried at most before giving up, as in Apache's server.
pub(crate) const SNAPSHOTS_TRIED_MAX: usize = 100;

/// Ids that one run of a server may hand out to sessions: more than it opens in years.
pub(crate) const SESSION_IDS_PER_RUN: i64 = 1 << 32;

/// Ids that are left out after a disk was lost: those of more starts than there are in the time that
/// they take by the clock, which is nine hours.
pub(crate) const SESSION_IDS_LOST: i64 = 1 << 41;

/// Bytes of the file of session ids at most; it has fewer than twenty.
pub(crate) const SESSION_IDS_FILE_BYTES_MAX: usize = 64;

/// Bytes of the file of an epoch at most; it has a dozen, unless somebody edited it.
pub(crate) const EPOCH_FILE_BYTES_MAX: usize = 64;

/// Bytes of the file that names the directory of the logs at most: a path as long as Linux allows.
pub(crate) const DIRECTORY_FILE_BYTES_MAX: usize = 4097;

/// Epochs that pass between two entries of a log at most: an epoch without a transaction leaves no
/// entry. No election begins one that is further ahead.
pub(crate) const EPOCHS_PASSED_MAX: i32 = 1 << 16;

/// Bytes of the file that names the snapshot being installed at most: the longest name has 33.
pub(crate) const INSTALLING_FILE_BYTES_MAX: usize = 64;

/// Bytes of the note of a shortened history that are read at most: its first line has fewer than forty.
pub(crate) const SHORTENED_FILE_BYTES_MAX: usize = 64;

/// Fewest snapshots that a purge keeps, as in Apache's server.
pub const SNAPSHOTS_RETAINED_MIN: usize = 3;

const _: () = assert!(LOG_SPACE_STEP_BYTES.is_multiple_of(4096));
const _: () = assert!(SNAPSHOT_SYNC_BYTES >= SNAPSHOT_BUFFER_BYTES as u64);
