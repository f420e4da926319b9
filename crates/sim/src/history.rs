//! What a run looked like from outside: the calls of clients, their answers, watch events, faults,
//! and at the end the transactions found in the log.
//!
//! A [`History`] is what checkers read; they know nothing of the server. [`History::write`] gives
//! it to checkers of other people as JSON lines (`docs/design/0002-simulator.md` has the fields).

mod json;

use std::fmt;
use std::io;

use types::membership::Membership;
use types::{
    Acl, ConnId, Epoch, ErrorCode, EventKind, Instant, Op, SessionId, Sid, Stat, Txn, TxnDigest,
    TxnHeader, Xid, Zxid,
};

/// Everything that was seen of one run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// In the order of time; lines of one connection are in the order of the wire.
    pub lines: Vec<Line>,
    /// The transactions that survived, in the order of their zxids.
    pub log: Vec<LoggedTxn>,
    /// Memberships that came in force without a transaction, with a reign that began here.
    pub memberships: Vec<(Zxid, Membership)>,
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// A client program; it may open one session after another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u32);

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A request was put on the wire.
    Invoke {
        /// By whom.
        client: ClientId,
        /// In which session; [`SessionId::NONE`] while the handshake is not answered.
        session: SessionId,
        /// On which connection.
        conn: ConnId,
        /// To which server.
        server: Sid,
        /// Under which number.
        xid: Xid,
        /// Which.
        op: Op<'static>,
    },
    /// A reply came: "ok" or "fail".
    Reply {
        /// To whom.
        client: ClientId,
        /// On which connection.
        conn: ConnId,
        /// To which request.
        xid: Xid,
        /// The zxid in its header; `None` where the server sent none (zero or less).
        zxid: Option<Zxid>,
        /// What it says.
        result: Result<Answer, ErrorCode>,
    },
    /// The connection was lost before the reply came; the request may have been done.
    Unknown {
        /// Whose request.
        client: ClientId,
        /// On which connection.
        conn: ConnId,
        /// Which request.
        xid: Xid,
    },
    /// A watch event came.
    Watch {
        /// To whom.
        client: ClientId,
        /// On which connection.
        conn: ConnId,
        /// The change; `None` for what `setWatches` caught up with.
        zxid: Option<Zxid>,
        /// What happened to the znode.
        kind: EventKind,
        /// Which znode.
        path: String,
    },
    /// A handshake was answered with a session.
    Connected {
        /// To whom.
        client: ClientId,
        /// On which connection.
        conn: ConnId,
        /// The address the server sees.
        address: String,
        /// The session the client asked to resume.
        resumed: Option<SessionId>,
        /// When it asked, where that is known.
        asked: Option<Instant>,
        /// The session it got.
        session: SessionId,
        /// The negotiated timeout.
        timeout_ms: i32,
        /// Whether the server said that it has no leader, and only shows what it has.
        read_only: bool,
    },
    /// A handshake was answered with "your session is over".
    Expired {
        /// To whom.
        client: ClientId,
        /// On which connection.
        conn: ConnId,
        /// Which session.
        session: SessionId,
    },
    /// A connection ended, from whichever side.
    Lost {
        /// Whose.
        client: ClientId,
        /// Which.
        conn: ConnId,
    },
    /// Something was done to a server.
    Fault {
        /// To which.
        server: Sid,
        /// What.
        fault: Fault,
    },
}

/// What was done to a server, or became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process died; what it had written to files stays.
    Crash,
    /// The machine lost power; what was not synced may be lost.
    PowerLoss,
    /// A sync reported an error.
    SyncError,
    /// A write found no space.
    DiskFull,
    /// The wall clock jumped by so many milliseconds.
    WallClock(i64),
    /// The process stood still.
    Pause,
    /// The disk is slow for a while.
    SlowDisk,
    /// Something on the disk changed that was durable.
    Rot,
    /// The disk was replaced by an empty one.
    DiskLoss,
    /// The server gave up by its own decision.
    Exit,
    /// An operator has switched it on.
    SwitchedOn,
    /// The server serves again, with this as its last transaction.
    Recovered(Zxid),
    /// The server begins to lead learners to its history, in this epoch.
    Leads(Epoch),
}

/// The body of a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing beyond the header.
    Done,
    /// `create`, `sync`.
    Path(String),
    /// `create2`, `createContainer`, `createTTL`.
    Created(String, Stat),
    /// `exists`, `setData`, `setACL`.
    Stat(Stat),
    /// `getData`.
    Data(Option<Vec<u8>>, Stat),
    /// `getACL`.
    Acl(Vec<Acl>, Stat),
    /// `getChildren`, sorted.
    Children(Vec<String>),
    /// `getChildren2`, sorted.
    ChildrenStat(Vec<String>, Stat),
    /// `getAllChildrenNumber`.
    Count(i32),
    /// `getEphemerals`, sorted.
    Ephemerals(Vec<String>),
    /// `whoAmI`: scheme and user, sorted.
    Identities(Vec<(String, String)>),
    /// `multi` and `multiRead`.
    Multi(Vec<PartAnswer>),
}

/// The answer to one part of a multi.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartAnswer {
    /// `create`.
    Path(String),
    /// `create2` and its kin.
    Created(String, Stat),
    /// `delete`.
    Deleted,
    /// `setData`.
    Stat(Stat),
    /// `check`.
    Checked,
    /// `getData`.
    Data(Option<Vec<u8>>, Stat),
    /// `getChildren`, sorted.
    Children(Vec<String>),
    /// Failed, or not executed since another part failed; 0 for those before the failing one.
    Error(i32),
}

/// A transaction found in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedTxn {
    /// When the simulated server appended it; `None` where only the file was seen.
    pub at: Option<Instant>,
    /// Who asked for it, and its place.
    pub header: TxnHeader,
    /// What was decided.
    pub txn: Txn,
    /// The digest of the tree after it.
    pub digest: Option<TxnDigest>,
}

impl LoggedTxn {
    /// Whether both are one transaction. A leader leaves the digest out where the learner's tree is
    /// between two states.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_compared = self.digest.is_some() && other.digest.is_some();
        (&self.header, &self.txn) == (&other.header, &other.txn)
            && (!is_compared || self.digest == other.digest)
    }
}

impl History {
    /// Adds a line.
    pub fn push(&mut self, at: Instant, event: Event) {
        self.lines.push(Line { at, event });
    }

    /// Writes every line, then the log, as JSON lines.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, output: &mut impl io::Write) -> io::Result<()> {
        for line in &self.lines {
            writeln!(output, "{}", json::line(line))?;
        }
        for txn in &self.log {
            writeln!(output, "{}", json::txn(txn))?;
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&json::line(self), f)
    }
}

impl fmt::Display for LoggedTxn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&json::txn(self), f)
    }
}

impl Fault {
    /// The word for it in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::PowerLoss => "power-loss",
            Self::SyncError => "sync-error",
            Self::DiskFull => "disk-full",
            Self::WallClock(_) => "wall-clock",
            Self::Pause => "pause",
            Self::SlowDisk => "slow-disk",
            Self::Rot => "rot",
            Self::DiskLoss => "disk-loss",
            Self::Exit => "exit",
            Self::SwitchedOn => "switched-on",
            Self::Recovered(_) => "recovered",
            Self::Leads(_) => "leads",
        }
    }
}
