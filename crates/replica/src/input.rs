//! Everything that can happen to a replica.

use std::sync::Arc;

use tree::Tree;
use types::{Instant, Read, SessionId, Write, Xid, Zxid};
use wire::stored::LogBatch;
use zab::Link;

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
        /// A batch that was written and that nobody else has, to be filled again.
        spare: Option<LogBatch>,
    },
    /// Something happened that the protocol between servers is about. What arrives over connections
    /// goes to [`crate::Replica::take`].
    Peer(zab::Input<'static>),
    /// The log was cut as [`zab::Effect::Truncate`] wanted.
    DatabaseCut {
        /// The last transaction that is left.
        last_logged: Zxid,
        /// What they lead to.
        tree: Box<Tree>,
    },
    /// The snapshot of a leader has replaced the database, durably.
    DatabaseReplaced {
        /// The connection over which it came.
        link: Link,
        /// The last transaction that is in it as a whole.
        last_applied: Zxid,
        /// What it holds.
        tree: Box<Tree>,
    },
    /// The snapshot under way can take its next part.
    SnapshotTakesMore,
    /// A learner can take the next part of its snapshot.
    StreamTakesMore(Link),
    /// The snapshot under way is over: it is complete and durable, or was given up.
    SnapshotOver,
    /// The snapshot under way was given up because that was wanted.
    SnapshotAbandoned,
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
    /// Whether it is content with a server that serves reads only.
    pub accepts_read_only: bool,
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
