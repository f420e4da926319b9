//! The server minus its I/O: what it decides, in which order, and what it tells whom.
//!
//! Two state machines make a server. The [`Replica`] decides over writes, applies them once they
//! are durable and tracks sessions; there is one, on a thread of its own. A [`Frontend`] has the
//! connections of one I/O thread, answers reads and fires watches. They share the tree, see
//! `published`, and exchange [`Input`]s and mail.
//!
//! ```text
//!   bytes ──> Frontend ── Input ──> Replica ── Effect::Append ──> log thread
//!   bytes <──    │     <── mail ──     │    <── Input::LogSynced ──
//!                └──── reads ─> tree <─┘ applies
//! ```
//!
//! # The way of a write
//!
//! A frame becomes an `Op` in the frontend and an [`Input::Request`] at the replica. `prepare`
//! checks it against the tree and everything decided but not applied (`pending`), and turns it into
//! a `Txn`, a refused one into the transaction that is the error. It gets the next zxid, goes into
//! the batch for the log together with the digest that the tree will have, and waits in `request`.
//! When the log says that it is durable it is applied; the changes, then the reply, then the answers
//! to reads that wait behind it go into the mail of the frontends, all before the tree is let go.
//!
//! # Invariants
//!
//! - Nothing is applied, and nobody is told anything, before the log said that it is durable:
//!   `request::Durable` is made from that answer only.
//! - Replies of a connection leave in the order of its requests; see `frontend`.
//! - A connection gets the event of a change before any reply that shows it; see `published`.
//! - A session that is in the tree ends by a transaction and by nothing else.
//!
//! # Absent by design
//!
//! Sockets, files, threads, clocks. Time comes with each call as [`types::Now`], randomness as a
//! seed, durability as an input.

pub mod access;
mod asked;
mod behind_syncs;
mod between_states;
mod connection_throttle;
mod digests;
mod eager;
mod effect;
mod ended;
mod ensemble;
mod frontend;
mod input;
mod large_requests;
mod limits;
mod outage;
mod outstanding;
mod pending;
mod prepare;
mod published;
mod random;
mod read;
mod reap;
mod relayed;
mod replica;
mod reply;
mod request;
mod request_throttle;
mod session;
mod snapshot;
mod sync;
pub mod view;
mod watch;

pub use connection_throttle::ConnectionThrottleOptions;
pub use effect::Effect;
pub use ensemble::{EnsembleOptions, LocalSessions};
pub use frontend::{Frontend, FrontendOptions, slot_of};
pub use input::{Ask, Connect, Input, Request};
pub use large_requests::LargeRequests;
pub use limits::{LONG_ANSWER_BYTES, SNAPSHOT_PART_BYTES};
pub use outstanding::Outstanding;
pub use prepare::PrepareOptions;
pub use published::{Address, FrontId, TreeReader};
pub use reap::ReapOptions;
pub use replica::{Options, Replica, first_session, membership_in};
pub use request_throttle::RequestThrottleOptions;
pub use session::Heartbeat;
pub use snapshot::SnapshotOptions;
pub use watch::{WatchKind, WatchTable};
