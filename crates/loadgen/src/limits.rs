//! Every bound of the load generator, with its unit and its reason.

use std::time::Duration;

/// Connections of one run.
///
/// More than the ephemeral ports that one address has towards one server is never reached.
pub const CONNS_MAX: usize = 60_000;

/// Requests in flight on one connection.
pub const WINDOW_MAX: usize = 10_000;

/// Threads that generate load; they share the machine with what they measure.
pub const THREADS_MAX: usize = 64;

/// Numbered znodes of one run: their names have eight digits.
pub const KEYS_MAX: u32 = 100_000_000;

/// Children below one directory of the `load` workload: half of a name's digits.
pub const DIRECTORY_CHILDREN_MAX: u32 = 10_000;

/// Bytes of a znode's data: Apache's default frame limit less room for the rest of the request.
pub const VALUE_BYTES_MAX: usize = 1_000_000;

/// Writes in one multi.
pub const MULTI_OPS_MAX: usize = 1_000;

/// Seconds of one run, so that a mistyped figure does not occupy a server for days.
pub const SECONDS_MAX: f64 = 86_400.0;

/// Bytes taken from a socket at once. A reply has to fit.
pub const RECEIVE_BYTES: usize = 2 * 1024 * 1024;

/// The session timeout to ask for; the server may grant another.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Handshakes under way at once: below the 50 pending connections that Apache lets wait by default.
pub const HANDSHAKES_MAX: usize = 32;

/// How long an answer may take before the run is given up.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// How long a server may take to close the connection of a session that was closed.
pub const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Connections and window with which znodes are put in place and removed.
pub const FIXTURE_CONNS: usize = 4;
/// See [`FIXTURE_CONNS`].
pub const FIXTURE_WINDOW: usize = 64;

/// The longest latency told apart from longer ones, in nanoseconds.
pub const LATENCY_NS_MAX: u64 = 120_000_000_000;

const _: () = assert!(2 * VALUE_BYTES_MAX <= RECEIVE_BYTES);
const _: () = assert!(KEYS_MAX == DIRECTORY_CHILDREN_MAX * DIRECTORY_CHILDREN_MAX);
const _: () = assert!(STALL_MAX.as_nanos() < LATENCY_NS_MAX as u128);
