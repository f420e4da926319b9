//! Where two correct servers may differ, by name. Everything else is reported.
//!
//! Each difference is taken out of the comparison at one place of this crate, which its variant
//! names. `COMPATIBILITY.md` lists the same ones.

use std::fmt;

/// A difference that is expected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Known {
    /// Whether a write that can not be decoded uses up a zxid, and which one its answer tells: Java
    /// servers log it under the zxid of the write before it, which no other server should imitate.
    /// Both sides count on from the same zxid afterwards; see `Lockstep::burst`.
    ZxidOfUndecodableWrite,
    /// The order of the events of a closing session, which deletes its ephemerals in the order of a
    /// hash table in Java. They are sorted; see `Lockstep::compare`.
    OrderWithinClosingSession,
    /// Whether a client that sets its watches again is told of changes of znodes that it may not
    /// read. Java servers tell, others should not; see `Lockstep::catch_up`, which makes sure that
    /// the client may not.
    CatchUpOfUnreadable,
    /// The zxid in the answer to a ping: a server that answers reads on several threads may tell an
    /// older one, of which the connection has had all events. It is left out; see `Normalizer::reply`.
    ZxidOfPing,
}

impl Known {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ZxidOfUndecodableWrite,
        Self::OrderWithinClosingSession,
        Self::CatchUpOfUnreadable,
        Self::ZxidOfPing,
    ];
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZxidOfUndecodableWrite => "zxid of an undecodable write",
            Self::OrderWithinClosingSession => "order of the events of a closing session",
            Self::CatchUpOfUnreadable => "events of unreadable znodes when watches are set again",
            Self::ZxidOfPing => "zxid in the answer to a ping",
        })
    }
}
