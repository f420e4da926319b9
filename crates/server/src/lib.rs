//! A running server: threads, sockets and files around the [`replica`].
//!
//! ```text
//!   I/O threads          replica thread            log thread
//!   Frontend each        Replica                   Log
//!      │  Input at the helm │   Inbox<LogJob>         │
//!      ├──────────────────> ├───────────────────────> │ write, sync
//!      │ <─── mailbox ───── │ <── Input at the helm ─ │
//!      │                    │   Inbox<Effect>      snapshot thread
//!      │                    ├───────────────────────> │ write, purge
//! ```
//!
//! One thread more answers operators, see `operator`. In a member of an ensemble, another one has the
//! connections to the other servers, see `peers`.
//!
//! The threads decide nothing about the protocol: they move bytes, carry out effects and tell what
//! became of them. Any number of servers can run in one process.
//!
//! # Invariants
//!
//! - Between two threads there is one queue in each direction.
//! - A failed write or sync of the log ends the server, with the reason as its last words; nothing
//!   of the batch was acknowledged.
//! - So does a panic of a thread, in a build that unwinds: no server is left running by half.
//! - Exiting the process is left to the caller: see [`Server::wait`].

mod clock;
mod crew;
mod door;
#[cfg(test)]
mod fixture;
mod helm;
mod history_thread;
mod host;
mod inbox;
mod io_thread;
mod letterbox;
mod log_thread;
mod machine;
mod member;
mod operator;
mod oracle;
mod peers;
mod server;
mod snapshot_thread;
mod start;
mod sync;
mod view;

pub use peers::{PeersError, Port};
pub use server::{Ended, Failure, FailureKind, Server};
pub use start::StartError;
