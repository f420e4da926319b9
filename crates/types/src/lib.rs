//! The vocabulary of Reefkeeper: ids, paths, access control lists, what clients ask ([`Op`]) and
//! what the leader decides ([`Txn`]).
//!
//! Everything here is plain data over the standard library: no I/O, no clock, no encoding. Bytes
//! become these types once, at the edge (the `wire` crate); from there on a value of one of these
//! types is well formed.
//!
//! The names are those of the Zab paper and of ZooKeeper; `docs/glossary.md` lists them.

mod acl;
mod error;
mod event;
mod id;
mod line_limit;
pub mod membership;
mod memory;
pub mod mutant;
mod op;
mod owner;
pub mod path;
mod stat;
mod time;
mod txn;
mod zxid;

pub use acl::{Acl, AclList, Id, Perms};
pub use error::ErrorCode;
pub use event::{EventKind, KeeperState, WatchMode, WatcherKind};
pub use id::{ConnId, SessionId, SessionPassword, Sid, Xid};
pub use line_limit::LineLimit;
pub use memory::Memory;
pub use op::{
    AuthPacket, Create, CreateCall, CreateMode, MultiOp, MultiReadOp, Op, Read, ReconfigRequest,
    SetWatches, Write,
};
pub use owner::{ExtendedTypes, NodeKind, Owner, TTL_MS_MAX};
pub use stat::{Stat, StoredStat};
pub use time::{Instant, Now};
pub use txn::{CreateTxn, Txn, TxnDigest, TxnHeader};
pub use zxid::{Counter, Epoch, Zxid};
