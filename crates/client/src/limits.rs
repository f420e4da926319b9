//! Every bound of the client, with its unit and reason.

use std::time::Duration;

/// The longest frame in bytes that is sent or accepted, unless configured otherwise: what servers
/// accept by default (`jute.maxbuffer`).
pub(crate) const FRAME_BYTES_MAX: usize = 0xf_ffff;

/// Paths in one re-registration of watches, in bytes of text: a request of this size fits into
/// every server's frame, with room for the lengths between the paths.
pub(crate) const SET_WATCHES_BYTES_MAX: usize = 128 * 1024;

/// The longest time without a sent byte, even for very long sessions, so that middle boxes keep
/// the connection.
pub(crate) const PING_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// The pause after the first round over the host list in which no server took the session; it
/// doubles with each further round.
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest pause between two rounds over the host list.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The shortest time a server has to accept a connection or to answer the handshake, however many
/// servers share the session timeout.
pub(crate) const ATTEMPT_MIN: Duration = Duration::from_millis(100);

/// The pause before the first look for a server that serves writes, when the session's own does not;
/// it doubles with each look. As Apache's `minPingRwTimeout`.
pub(crate) const PROBE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between two such looks. As Apache's `maxPingRwTimeout`.
pub(crate) const PROBE_MAX: Duration = Duration::from_secs(60);

/// How long a server has to say whether it serves writes. As Apache's socket timeout for that.
pub(crate) const PROBE_ANSWER_MAX: Duration = Duration::from_secs(1);

/// Requests that one client has under way, unless configured otherwise; more wait their turn.
pub(crate) const OUTSTANDING_MAX: usize = 4096;

/// Commands taken from the queue for one write to the socket.
pub(crate) const BATCH_COMMANDS_MAX: usize = 512;

/// When fewer than one in so many of those who were answered ask again at once, the driver lets other tasks
/// run before it writes. A lone request never waits for that, nor does a batch that is most of all.
pub(crate) const GATHER_SHARE: usize = 4;

/// Bytes read from the socket at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Events kept for a persistent watch whose owner does not take them; what comes on top is told as
/// one gap.
pub(crate) const WATCH_EVENTS_MAX: usize = 1024;

/// Znodes whose children are asked for at the same time when a subtree is listed.
pub(crate) const LISTS_MAX: usize = 128;

/// Znodes that are deleted in one transaction: with the longest paths that are in use, it stays far
/// below a frame's limit.
pub(crate) const DELETES_MAX: usize = 128;

/// How often the deletion of a subtree starts over because others create in it.
pub(crate) const DELETE_ROUNDS_MAX: u32 = 100;

/// How long the thread of a blocking client tries to close its session when no client is left.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(5);

const _: () = assert!(SET_WATCHES_BYTES_MAX < FRAME_BYTES_MAX / 2);
