//! The connections between servers: the election port and the quorum port.
//!
//! So far what needs no sockets: effects as bytes, bytes as packets, and what waits to be sent.

mod encode;
mod inbound;
mod limits;
mod options;
mod outbox;
