//! What is sent: requests in a form that both servers can be given.

use std::borrow::Cow;

use types::{Op, Read, SetWatches, Write, Xid, Zxid};
use wire::opcode::OpCode;
use wire::request::{self, Request};
use wire::{frame, jute};

/// What to do next, in lock-step on both servers.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send requests in one piece and wait for all their answers.
    Burst {
        /// Through which session.
        session: usize,
        /// What is sent.
        requests: Vec<Numbered>,
    },
    /// Send a request that servers answer without regard to what goes on, after all events of the
    /// session so far have been taken.
    Aside {
        /// Through which session.
        session: usize,
        /// What is sent.
        request: Numbered,
    },
    /// Set watches again, which tells what was missed.
    CatchUp {
        /// Through which session.
        session: usize,
        /// What is sent.
        request: Numbered,
    },
    /// Send a request whose answer, if there is one, is followed by the end of the connection.
    Last {
        /// Through which session.
        session: usize,
        /// What is sent.
        request: Numbered,
    },
    /// Send bytes that are no request; the connection ends.
    Break {
        /// Through which session.
        session: usize,
        /// What is wrong with them.
        what: &'static str,
        /// All that is sent.
        bytes: Vec<u8>,
    },
    /// Cut the connection and come back.
    Reconnect {
        /// Which session.
        session: usize,
        /// In which way.
        manner: Manner,
    },
    /// Close a session and open another in its place.
    Renew {
        /// Which session.
        session: usize,
        /// The timeout that the new one asks for, in milliseconds.
        timeout_ms: i32,
    },
}

/// How a client comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// As it should.
    Proper,
    /// As releases before 3.4 did, without the last byte of the handshake.
    WithoutReadOnly,
    /// With a wrong password first, which is refused.
    WrongPassword,
    /// With the id of a session that never was, which is refused.
    UnknownSession,
    /// Having seen transactions that the server has not, which is refused.
    FromTheFuture,
}

/// A request and its number.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// The number, which the server echoes.
    pub xid: Xid,
    /// The request.
    pub ask: Ask,
}

/// A request.
#[derive(Clone, Debug)]
pub enum Ask {
    /// One that makes sense.
    Op(Op<'static>),
    /// A re-registration of watches; the zxid that goes with it differs from server to server.
    SetWatches {
        /// How many transactions the client has missed.
        behind: i64,
        /// The watches; their zxid is ignored.
        watches: SetWatches<'static>,
    },
    /// One that [`Op`] can not express.
    Raw {
        /// What is odd about it.
        what: &'static str,
        /// Its operation.
        opcode: i32,
        /// All that follows the header.
        record: Vec<u8>,
    },
    /// A write that can not be carried out for reasons that come before its place in the order is
    /// known, so that servers may or may not use up a zxid for it.
    RawWithoutPlace {
        /// What is odd about it.
        what: &'static str,
        /// Its operation.
        opcode: i32,
        /// All that follows the header.
        record: Vec<u8>,
    },
}

impl Ask {
    /// The operation, if its number is one that clients may use.
    pub fn opcode(&self) -> Option<OpCode> {
        match self {
            Self::Op(op) => Some(request::opcode(op)),
            Self::SetWatches { watches, .. } => {
                Some(request::opcode(&set_watches(watches, Zxid::ZERO)))
            }
            Self::Raw { opcode, .. } | Self::RawWithoutPlace { opcode, .. } => {
                OpCode::from_raw(*opcode)
            }
        }
    }
}

impl Numbered {
    /// Appends it as a frame; `last_zxid` is the last zxid seen from this server.
    pub fn encode(&self, out: &mut Vec<u8>, last_zxid: Zxid) {
        match &self.ask {
            Ask::Op(op) => Request { xid: self.xid, op: op.clone() }.encode(out),
            Ask::SetWatches { behind, watches } => {
                let since = Zxid::from_raw(last_zxid.raw() - behind);
                Request { xid: self.xid, op: set_watches(watches, since) }.encode(out);
            }
            Ask::Raw { opcode, record, .. } | Ask::RawWithoutPlace { opcode, record, .. } => {
                let start = frame::begin(out);
                jute::put_int(out, self.xid.0);
                jute::put_int(out, *opcode);
                out.extend_from_slice(record);
                frame::finish(out, start);
            }
        }
    }
}

/// A write that fails, so that it uses up a zxid which no znode will ever show.
pub fn milestone(xid: Xid) -> Numbered {
    let path = Cow::Borrowed("/no/such/znode");
    Numbered { xid, ask: Ask::Op(Op::Write(Write::Delete { path, version: None })) }
}

/// A read that sets no watch.
pub fn exists(xid: Xid, path: Cow<'static, str>) -> Numbered {
    Numbered { xid, ask: Ask::Op(Op::Read(Read::Exists { path, watch: false })) }
}

fn set_watches(watches: &SetWatches<'static>, since: Zxid) -> Op<'static> {
    let watches = SetWatches { relative_zxid: since, ..watches.clone() };
    Op::Read(Read::SetWatches(Box::new(watches)))
}
