//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// Bytes of transactions that are kept for a learner which is receiving a snapshot, or what the log
/// has. Beyond that the one is sent away and comes back, the other gets them from the log as well: the
/// leader keeps its memory.
pub(crate) const HISTORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of transactions that a learner is sent from memory at once, behind what was read of the log:
/// with more it would have to be given up for what waits on its connection.
pub(crate) const SENT_FROM_MEMORY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of log that are read for a learner however small the newest snapshot is. Apache's server
/// reads about as many on start, and has them in memory then.
pub(crate) const LOG_BYTES_FREE: u64 = 1024 * 1024;

/// For [`Options::received_bytes_max`](crate::Options::received_bytes_max): little beside the memory of
/// any server, much beside what a learner misses in an election.
pub const RECEIVED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of transactions that a learner holds back while its log is cut or its database replaced, or
/// that wait for its disk while it receives the history. Beyond that it leaves, and comes back with
/// what it has got when its disk has it.
pub(crate) const RECEPTION_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How far a learner's accepted epoch may be ahead of the leader's, and the one that a leader begins
/// ahead of what a learner has accepted that was ever part of an ensemble. Each election counts one; a
/// number out of nowhere must not use the epochs up.
pub(crate) const EPOCH_JUMP_MAX: i32 = 1 << 16;

/// The last epoch that a learner may have accepted, or a leader may begin: what remains behind it is
/// for an operator to decide about.
pub(crate) const EPOCH_LAST: i32 = i32::MAX - (1 << 20);

/// Learners that do not vote, at a time: the observers of an ensemble many times over. Those that come
/// later are refused. Voters are not counted: there is one connection with each.
pub(crate) const STRANGE_LEARNERS_MAX: usize = 1024;

/// Connections to the quorum port over which nobody has said who it is. A correct learner does so at
/// once. The one that was silent longest gives way to a new one, so that nobody can keep others out.
pub(crate) const NEWCOMERS_MAX: usize = 256;

/// Connections of the election port with servers that do not vote: observers, and servers that are
/// about to join. They need one for as long as they look for a leader. The one that was silent
/// longest gives way to a new one, so that nobody can keep others out.
pub(crate) const STRANGERS_MAX: usize = 256;

/// Calls under way to servers that do not vote and asked to be called; others have to ask again.
/// Bounds the threads that anybody can make this server start.
pub(crate) const CALLS_TO_STRANGERS_MAX: usize = 16;

/// After the first failed call to a voter. A voter that starts calls by itself, so this is for
/// those that could not be reached for another reason.
pub(crate) const CALL_DELAY_MIN: Duration = Duration::from_millis(100);

/// Between two calls to a voter that can not be reached. A call costs a thread for as long as it
/// takes; this is how long an ensemble needs at most to find itself again after a partition.
pub const CALL_DELAY_MAX: Duration = Duration::from_secs(5);

/// A connection that held as long as this is replaced at once when it ends. One that ended sooner
/// waits as a failed call does: two servers may be taking turns in ending each other's.
pub(crate) const STEADY: Duration = Duration::from_millis(200);

/// How long a voter may say nothing to a server that looks for a leader. Then the connection may be
/// one of which the other side knows nothing any longer, and is replaced.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Answers to one server in [`ANSWERS_INTERVAL`]. A correct server asks a few times in an election;
/// two that disagree on who votes would answer each other's answers for ever.
pub(crate) const ANSWERS_MAX: u32 = 32;

/// See [`ANSWERS_MAX`].
pub(crate) const ANSWERS_INTERVAL: Duration = Duration::from_secs(1);

/// How often an observer tries all followers before it learns from the leader: as it waits for longer and
/// longer, that is about a dozen ticks. When an ensemble starts, followers need a moment longer than the
/// leader to be ready for observers.
pub(crate) const TRIES_OF_FOLLOWERS: u32 = 16;

/// Ticks for which the word of the oracle holds, and for which a first one is waited for. It is asked
/// twice in a tick, so this bridges a read that takes long.
pub(crate) const ORACLE_ANSWER_TICKS: u32 = 2;

const _: () = assert!(SENT_FROM_MEMORY_BYTES_MAX < HISTORY_BYTES_MAX);
const _: () = assert!(CALL_DELAY_MIN.as_nanos() < CALL_DELAY_MAX.as_nanos());
const _: () = assert!(CALL_DELAY_MAX.as_nanos() < SILENCE_MAX.as_nanos());
