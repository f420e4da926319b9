//! Every bound of the connections between servers, with its unit and reason.

use std::time::Duration;

use wire::limits::{ELECTION_MESSAGE_BYTES_MAX, FRAME_BYTES_MAX, PACKET_BYTES_MAX};

/// Connections to one port that have not said who they are. One more takes the place of the oldest:
/// servers introduce themselves at once, so who loses its place is hardly one of them.
pub(super) const STRANGERS_MAX: usize = 64;

/// Connections that were accepted at one port, introduced or not. Above are hundreds of observers,
/// which no ensemble has, or strangers with many names.
pub(super) const ACCEPTED_MAX: usize = 1024;

/// Connections accepted at one port before others get their turn.
pub(super) const ACCEPTED_AT_ONCE_MAX: usize = 64;

/// Connections that the system keeps waiting at one port. While it is not known whether this server
/// leads, the learners of an ensemble wait there.
pub(super) const PORT_BACKLOG: u32 = 128;

/// Bytes of data, and of identities, in the packet with which a learner introduces itself. Apache's
/// servers send 20; until it is there, memory is spent on anybody.
pub(super) const INTRODUCTION_BYTES_MAX: usize = 1024;

/// Bytes of data, and of identities, that any packet may have, however short the frames of clients are
/// made: a client has up to 64 KiB of identities, and memberships and votes have to get through as well.
pub(crate) const PACKET_BYTES_MIN: usize = 128 << 10;

/// Bytes taken from one connection before others get their turn.
pub(super) const READ_BYTES: usize = 128 << 10;

/// Bytes sent over one connection before others get their turn.
pub(super) const SENT_AT_ONCE_BYTES_MAX: usize = 4 << 20;

/// Bytes of one connection that were handed on and are not worked off; no more are read then. What
/// was read together is handed on together, so it may be one packet and one read more.
pub(super) const UNDER_WAY_BYTES_MAX: usize = 4 << 20;

/// Bytes that wait to be sent over one connection of the quorum port, unless the caller says
/// otherwise; above, the connection is closed. A leader sends a learner all of the history that it
/// keeps in memory at once, and proposals while the learner's disk or the network is slow for as
/// long as it answers pings; bytes of proposals are shared by all connections.
pub(crate) const BACKLOG_BYTES_MAX: usize = 256 << 20;

/// Bytes of a snapshot that are with who receives it. As many are gathered meanwhile.
pub(super) const STREAM_PART_BYTES_MAX: usize = 1 << 20;

/// Bytes of small packets that gather in one buffer.
pub(super) const GATHERED_BYTES: usize = 64 << 10;

/// Buffers that leave in one system call.
pub(super) const SLICES_MAX: usize = 64;

/// Errands that are run by whoever leaves them, if the thread sleeps: a write for each of a few learners.
pub(super) const BRIEF_ERRANDS_MAX: usize = 8;

/// How much each of them has to send: a few transactions of the usual size.
pub(super) const BRIEF_BYTES_MAX: usize = 4 << 10;

/// Encoded batches that are kept until the end of a turn, for other learners that get the same. An
/// effect list has one or two.
pub(super) const ENCODED_BATCHES_MAX: usize = 8;

/// Calls under way; one more fails. Strangers can cause calls by claiming to be servers.
pub(super) const ATTEMPTS_MAX: usize = 256;

/// Names looked up at the same time, each by a thread of its own; one more fails.
pub(super) const LOOKUPS_MAX: usize = 64;

/// Addresses of one server that are tried at the same time.
pub(super) const ADDRESSES_MAX: usize = 16;

/// How many times the port of the leader is tried, within the time for all of them.
pub(super) const LEADER_TRIES_MAX: u32 = 5;

/// Between two tries to open a port.
pub(super) const BIND_PAUSE: Duration = Duration::from_secs(1);

/// How long who waits at a port is left there when the system can not hand over a connection, for
/// want of descriptors most likely.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long a thread that looks up a name is waited for at the end. Looking up can not be
/// interrupted, but touches nothing.
pub(super) const END_OF_LOOKUPS: Duration = Duration::from_secs(1);

// A packet is in no more than two reads' worth of what may be under way.
const _: () = assert!(UNDER_WAY_BYTES_MAX >= PACKET_BYTES_MAX);
const _: () = assert!(UNDER_WAY_BYTES_MAX >= ELECTION_MESSAGE_BYTES_MAX);
// A learner may be many packets behind, and a request of its clients must get through.
const _: () = assert!(BACKLOG_BYTES_MAX >= 16 * PACKET_BYTES_MAX);
const _: () = assert!(BACKLOG_BYTES_MAX >= FRAME_BYTES_MAX);
const _: () = assert!(STRANGERS_MAX < ACCEPTED_MAX);
const _: () = assert!(READ_BYTES <= STREAM_PART_BYTES_MAX);
