//! Every bound of the replica and its frontends.

use std::time::Duration;

/// Transactions that are applied, and reads behind them that are answered, while the tree is held
/// once. Keeps readers from waiting longer than some hundred microseconds.
pub(crate) const WORK_PER_WRITE_SECTION: usize = 256;

/// Bytes of an answer beyond which a read waits at its connection for the writes before it, and is
/// answered there. Shorter ones are answered by the replica, while it holds the tree for the write.
pub const LONG_ANSWER_BYTES: usize = 16 << 10;

/// Bytes of answers after which a frontend lets the tree go for a moment, so that writes need not
/// wait until it has read everything that it was asked at once.
pub(crate) const BYTES_PER_READ_SECTION: usize = 256 << 10;

/// Bytes of mail to a frontend for which memory is kept from one time to the next.
pub(crate) const SPARE_MAIL_BYTES_MAX: usize = 1 << 20;

/// Bytes of a frame that may come before there is a session. A handshake has less than a hundred.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 64 << 10;

/// Zxids of an epoch that are left when its leader begins another: more than one step decides.
pub(crate) const EPOCH_RESERVE: u32 = 1 << 20;

/// Bytes of encoded znodes in one part of a snapshot: what the replica's thread encodes between
/// two batches of requests, some tens of microseconds.
pub const SNAPSHOT_PART_BYTES: usize = 64 << 10;

/// Requests of one connection that may be under way. Then it is not read from until some are
/// answered.
pub(crate) const OUTSTANDING_PER_CONNECTION_MAX: u32 = 256;

/// Bytes of requests of one connection that may be under way, beyond one request. Then it is not
/// read from until all are answered.
pub(crate) const IN_FLIGHT_BYTES_MAX: usize = 4 << 20;

/// Unsent bytes of one connection. Then it is not read from until its client reads.
pub(crate) const UNSENT_BYTES_MAX: usize = 16 << 20;

/// Unsent bytes of one connection beyond which its next event closes it: events come whether or not
/// their client reads.
pub(crate) const UNSENT_BYTES_AT_EVENT_MAX: usize = 2 * UNSENT_BYTES_MAX;

/// How long a connection that is to be closed may take to take in what it was sent before.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(10);

/// Identities of one connection; further credentials are refused. Every request carries them, and
/// an `auth` entry of an access control list becomes one entry for each.
pub(crate) const IDENTITIES_MAX: usize = 100;

/// Bytes of the identities of one connection.
pub(crate) const IDENTITY_BYTES_MAX: usize = 64 << 10;

/// Entries of an access control list as it is stored: as many as fit into a frame of the default
/// length, but no more where each `auth` entry becomes several.
pub(crate) const ACL_ENTRIES_MAX: usize = 1 << 16;

/// Bytes of output buffers that a frontend keeps for reuse, per buffer; larger ones are given
/// back.
pub(crate) const SPARE_BUFFER_BYTES_MAX: usize = 256 << 10;

/// Output buffers that a frontend keeps for reuse.
pub(crate) const SPARE_BUFFERS_MAX: usize = 64;

/// Bytes of a transaction beside its record, at most: who asked for it and when, the digest behind it,
/// and what a record says beside texts and data.
pub(crate) const TXN_BYTES_BESIDE_RECORD: usize = 128;

/// Containers and znodes with a time to live that one step of reaping looks at while it holds the
/// tree.
pub(crate) const REAP_EXAMINED_MAX: usize = 1_000;

/// Ephemeral znodes listed for an operator while the tree is held once; those of one session are
/// never divided.
pub(crate) const EPHEMERALS_LISTED_AT_ONCE: usize = 1_000;

/// Watched paths that a frontend looks at for an operator in one turn: some tens of microseconds.
pub(crate) const WATCHED_PATHS_LISTED_AT_ONCE: usize = 1_000;

/// How many transactions lie between two digests that are remembered, as Apache has it.
pub(crate) const DIGEST_INTERVAL: i64 = 128;

/// Digests that are remembered, as Apache has it.
pub(crate) const DIGESTS_MAX: usize = 1_024;

const _: () = assert!(SNAPSHOT_PART_BYTES > 4096);
const _: () = assert!(UNSENT_BYTES_MAX > SPARE_BUFFER_BYTES_MAX);
