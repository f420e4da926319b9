//! Everything that can happen to a replica.

use std::sync::Arc;

use types::{Instant, Read, SessionId, Write, Xid, Zxid};
use wire::stored::LogBatch;

use crate::access::Identities;
use crate::published::Address;

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// A connection wants a session.
    Connect(Connect),
    /// A session asks for something that its connection's frontend can not do alone.
    Request(Box<Request>),
    /// A connection is gone; its session lives on for its timeout.
    Disconnected(Address),
    /// Everything in the log up to this transaction is durable.
    LogSynced {
        /// The last of them.
        zxid: Zxid,
        /// A batch that was written, to be filled again.
        spare: LogBatch,
    },
    /// The snapshot under way can take its next part.
    SnapshotTakesMore,
    /// The snapshot under way is over: it is complete and durable, or was given up.
    SnapshotOver,
    /// Take a snapshot now, whatever the triggers say.
    TakeSnapshot,
    /// An operator wants to know what only the replica does; answered with
    /// [`crate::Effect::Inspected`].
    Inspect,
    /// Time has passed.
    Deadline,
}

/// A connection's wish for a session.
#[derive(Debug)]
pub struct Connect {
    /// Which connection.
    pub address: Address,
    /// The session to resume, with its password; `None` for a new one.
    pub resume: Option<(SessionId, Box<[u8]>)>,
    /// The timeout it wishes, in milliseconds.
    pub timeout_ms: i32,
}

/// A request that takes its place behind others.
#[derive(Debug)]
pub struct Request {
    /// Over which connection it came.
    pub address: Address,
    /// The client's number for it.
    pub xid: Xid,
    /// When it came.
    pub received: Instant,
    /// Who the connection was when it came.
    pub identities: Arc<Identities>,
    /// What it is.
    pub ask: Ask,
}

/// What a session asks.
#[derive(Debug)]
pub enum Ask {
    /// A change of the tree.
    Write(Write<'static>),
    /// A question that has to wait for a write of its session.
    Read(Read<'static>),
    /// To be told when everything decided before is applied here.
    Sync {
        /// Echoed.
        path: Box<str>,
    },
    /// To end.
    CloseSession,
}
