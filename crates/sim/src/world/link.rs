//! Connections: two streams of bytes.
//!
//! Inside a stream nothing is lost, exchanged or repeated, but the stream may arrive in any pieces,
//! late, and end after any byte; and it may end on one side only.

use std::collections::VecDeque;

use replica::FrontId;
use types::{ConnId, Instant};

use super::node::NodeId;
use crate::tape::Tape;

/// A connection between a client and a server; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct LinkId(pub(super) u64);

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    /// Who has it on its side; `None` once that side is closed, and for senders of nonsense.
    pub(super) client: Option<Caller>,
    /// Nothing that the client has sent arrives before this.
    pub(super) held_until: Instant,
    /// Which client had it before it called again.
    pub(super) left_by: Option<usize>,
    /// Which server it leads to.
    pub(super) node: NodeId,
    /// Which frontend accepted it.
    pub(super) front: FrontId,
    /// Its id there; `None` once the server has closed it.
    pub(super) conn: Option<ConnId>,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
}

/// Who has called a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caller {
    /// A client of the world.
    Client(usize),
    /// A program that is no part of the world.
    Outside,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    bytes: VecDeque<u8>,
    end: End,
    /// Whether the next arrival is on the agenda.
    pub(super) is_due: bool,
    /// Whether the receiver does not read at present.
    pub(super) is_held: bool,
}

/// How a direction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum End {
    /// Not yet.
    #[default]
    Open,
    /// The receiver sees the end after the bytes that are on their way.
    Closed,
    /// The receiver sees neither more bytes nor an end.
    Silent,
}

impl Pipe {
    /// Puts bytes on their way.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.end == End::Open {
            self.bytes.extend(bytes);
        }
    }

    /// Takes the piece that arrives next.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        self.bytes.drain(..bytes.min(self.bytes.len())).collect()
    }

    /// Lets the stream end.
    pub(super) fn close(&mut self, end: End) {
        if self.end == End::Open {
            self.end = end;
        }
    }

    /// Lets the receiver see an end that it would never have seen.
    pub(super) fn end_silence(&mut self) {
        if self.end == End::Silent {
            self.end = End::Closed;
        }
    }

    /// Lets the stream end after some of the bytes that are on their way.
    pub(super) fn cut(&mut self, tape: &mut Tape, end: End) {
        let kept = tape.range(0, self.bytes.len() as u64);
        self.bytes.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.close(end);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the receiver is to see the end now.
    pub(super) fn is_over(&self) -> bool {
        self.bytes.is_empty() && self.end == End::Closed
    }

    /// Whether there is something to arrive.
    pub(super) fn has_news(&self) -> bool {
        !self.bytes.is_empty() || self.end == End::Closed
    }
}
