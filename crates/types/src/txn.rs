//! What the leader decided.

use crate::{AclList, CreateCall, SessionId, Xid, Zxid};

/// Who asked for a transaction, and its place in the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnHeader {
    /// The session that asked.
    pub session: SessionId,
    /// The request's number in that session.
    pub cxid: Xid,
    /// Its place in the order.
    pub zxid: Zxid,
    /// When: milliseconds since 1970 by the leader's clock.
    pub time_ms: i64,
}

/// The digest of the whole tree after a transaction, as the leader computed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnDigest {
    /// The algorithm; this server computes [`TxnDigest::VERSION`].
    pub version: i32,
    /// The value, a sum modulo 2^64.
    pub tree: u64,
}

impl TxnDigest {
    /// The algorithm that every release since 3.6 uses.
    pub const VERSION: i32 = 2;
}

/// A decision, free of conditions: applying it can not fail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Txn {
    /// Opens the header's session.
    CreateSession {
        /// Its timeout in milliseconds.
        timeout_ms: i32,
    },
    /// Ends the header's session.
    CloseSession {
        /// The ephemeral znodes to delete with it; `None` in logs that do not carry the list.
        paths: Option<Vec<Box<str>>>,
    },
    /// Creates a znode.
    Create(CreateTxn),
    /// Deletes a znode.
    Delete {
        /// Which.
        path: Box<str>,
    },
    /// Deletes a znode that was reaped.
    DeleteContainer {
        /// Which.
        path: Box<str>,
    },
    /// Sets a znode's data.
    SetData {
        /// Which.
        path: Box<str>,
        /// To what.
        data: Option<Box<[u8]>>,
        /// The version that the data gets.
        version: i32,
    },
    /// As [`Txn::SetData`], on the node that holds the membership.
    Reconfig {
        /// Which.
        path: Box<str>,
        /// To what.
        data: Option<Box<[u8]>>,
        /// The version that the data gets.
        version: i32,
    },
    /// Sets a znode's access control list.
    SetAcl {
        /// Which.
        path: Box<str>,
        /// To what.
        acl: AclList,
        /// The version that the list gets.
        version: i32,
    },
    /// Nothing: the request was refused, but took a place in the order.
    Error {
        /// The number of the [`crate::ErrorCode`].
        code: i32,
    },
    /// Only within a multi: nothing, the condition held.
    Check {
        /// Which znode was looked at.
        path: Box<str>,
        /// Its version plus one.
        version: i32,
    },
    /// All of these; or none, if any of them is an error.
    Multi(Vec<Self>),
}

/// The creation of a znode, decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTxn {
    /// Which operation was called: it decides the stored form.
    pub call: CreateCall,
    /// The final path, suffix included.
    pub path: Box<str>,
    /// Its data.
    pub data: Option<Box<[u8]>>,
    /// Its access control list.
    pub acl: AclList,
    /// Whether it belongs to the header's session (never with [`CreateCall::Container`] or
    /// [`CreateCall::Ttl`]).
    pub ephemeral: bool,
    /// The parent's count of creations after this one; `None` ("one more than now") in old logs.
    pub parent_cversion: Option<i32>,
    /// The time to live in milliseconds, with [`CreateCall::Ttl`] only.
    pub ttl_ms: Option<i64>,
}

impl Txn {
    /// Whether a multi carries an error, so that none of it is executed.
    pub fn is_failed_multi(&self) -> bool {
        match self {
            Self::Multi(txns) => txns.iter().any(|txn| matches!(txn, Self::Error { .. })),
            _ => false,
        }
    }
}
