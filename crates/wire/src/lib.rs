//! Bytes to values and back: the three ports and the files.
//!
//! Everything that leaves or enters a server as bytes is encoded in *Jute*, a format without tags
//! or padding (see [`jute`]). This crate holds the codec and each message and record made with it:
//!
//! ```text
//! client port                               disk
//!
//! frame      len | body                     log        header | entry ... | zeros
//!   connect  ConnectRequest                   entry    sum | len | payload | 'B'
//!            ConnectResponse                  payload  txn header | txn | digest
//!   request  header | record                snapshot   header | sessions | ACLs | nodes | seals
//!   reply    header | record
//!   event    header | event
//!
//! election port                             quorum port
//!
//! hello      version | sid | addresses      packet     type | zxid | data | identities
//! frame      len | notification
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`jute`] | the primitives: [`jute::Reader`] and the `put_*` functions |
//! | [`frame`] | length prefixes on the client port |
//! | [`connect`] | the handshake that opens or resumes a session |
//! | [`request`] | what clients ask; [`opcode`] has the numbers |
//! | [`reply`] | what servers answer: written without a copy, read by clients |
//! | [`event`] | what watches tell |
//! | [`election`] | how servers greet each other, and vote |
//! | [`quorum`] | what a leader and its learners say to each other |
//! | [`stored`] | transactions, log entries, the records of snapshots |
//! | [`limits`] | each bound with its reason |
//!
//! `docs/formats/` shows messages and files byte by byte; a test keeps it true.
//!
//! # Example
//!
//! A request on its way into a buffer and out of it:
//!
//! ```
//! use types::{Op, Read, Xid};
//! use wire::{frame, limits, request::Request};
//!
//! let op = Op::Read(Read::GetData { path: "/a".into(), watch: false });
//! let request = Request { xid: Xid(1), op };
//! let mut buffer = Vec::new();
//! request.encode(&mut buffer);
//!
//! let frame = frame::split(&buffer, limits::FRAME_BYTES_MAX)?;
//! let (body, consumed) = frame.expect("all of it has arrived");
//! assert_eq!(consumed, buffer.len());
//! assert_eq!(Request::decode(body)?, request);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rules
//!
//! - Decoding borrows from its input; a read decodes without an allocation.
//! - Encoding appends to the caller's buffer and copies nothing on the way.
//! - No length in the input makes the decoder allocate more than the input holds.
//! - No input makes it panic: bytes that are no message are a [`jute::DecodeError`].
//! - There is no I/O, no clock and no state here.

pub mod connect;
pub mod election;
pub mod event;
pub mod frame;
pub mod jute;
pub mod limits;
mod multi;
pub mod opcode;
pub mod quorum;
pub mod reply;
pub mod request;
pub mod stored;
