//! The word `cons`, and the lines that `stat` has of it.

use std::fmt;
use std::net::SocketAddr;

use types::{SessionId, Xid, Zxid};

use crate::java::Address;

/// Every connection in detail. Displays as the answer to `cons`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionsView {
    /// The connections, in any order.
    pub connections: Vec<ConnectionView>,
}

impl fmt::Display for ConnectionsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for connection in &self.connections {
            connection.write_brief(f)?;
            if let Some(session) = &connection.session {
                write!(f, "{session}")?;
            }
            f.write_str(")\n")?;
        }
        f.write_str("\n")
    }
}

/// A connection of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionView {
    /// Where the client is.
    pub address: SocketAddr,
    /// What the server waits for on it.
    pub interest: Interest,
    /// Its requests under way.
    pub queued: u64,
    /// Frames received on it.
    pub received: u64,
    /// Frames sent on it.
    pub sent: u64,
    /// Its session, once it has one.
    pub session: Option<SessionActivity>,
}

impl ConnectionView {
    /// Writes the line without its end: a parenthesis is open.
    pub(crate) fn write_brief(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interest, queued, received, sent, .. } = self;
        write!(f, " {}[{:x}]", Address(self.address), interest.bits())?;
        write!(f, "(queued={queued},recved={received},sent={sent}")
    }
}

/// What the server waits for on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// Nothing: it answers a word, or holds a client back.
    Nothing,
    /// The client's next request.
    Read,
    /// The client to take its replies.
    Write,
    /// Both.
    ReadAndWrite,
}

impl Interest {
    /// As Java's selection keys number it.
    const fn bits(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Read => 1,
            Self::Write => 4,
            Self::ReadAndWrite => 5,
        }
    }
}

/// What a session did on its connection. Displays as its part of the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionActivity {
    /// The session.
    pub session: SessionId,
    /// The last operation that was answered.
    pub last_op: LastOp,
    /// When the connection was made: milliseconds since 1970.
    pub established_wall_ms: i64,
    /// The negotiated timeout in milliseconds.
    pub timeout_ms: u32,
    /// The last request's number, of those that are not negative; `None` before the first.
    pub last_cxid: Option<Xid>,
    /// The zxid of the last reply; `None` before the first.
    pub last_zxid: Option<Zxid>,
    /// When the last reply was sent: milliseconds of the monotonic clock.
    pub last_response_ms: u64,
    /// How long the last request took, in milliseconds.
    pub last_latency_ms: u64,
    /// The shortest that any took; 0 before the first.
    pub min_latency_ms: u64,
    /// The average, rounded down.
    pub avg_latency_ms: u64,
    /// The longest.
    pub max_latency_ms: u64,
}

impl fmt::Display for SessionActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            ",sid={},lop={},est={},to={}",
            self.session, self.last_op, self.established_wall_ms, self.timeout_ms
        )?;
        if let Some(Xid(cxid)) = self.last_cxid {
            write!(f, ",lcxid={cxid:#x}")?;
        }
        write!(
            f,
            ",lzxid={:#x},lresp={},llat={},minlat={},avglat={},maxlat={}",
            self.last_zxid.map_or(-1, Zxid::raw),
            self.last_response_ms,
            self.last_latency_ms,
            self.min_latency_ms,
            self.avg_latency_ms,
            self.max_latency_ms
        )
    }
}

macro_rules! last_ops {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal;)*) => {
        /// An operation by the short name that `cons` gives it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum LastOp {
            $($(#[doc = $doc])* $variant,)*
        }

        impl fmt::Display for LastOp {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)*
                })
            }
        }
    };
}

last_ops! {
    /// None yet.
    None = "NA";
    /// The session was opened or resumed.
    CreateSession = "SESS";
    /// A ping.
    Ping = "PING";
    /// Any of the create operations.
    Create = "CREA";
    /// `delete`.
    Delete = "DELE";
    /// `setData`.
    SetData = "SETD";
    /// `getData`.
    GetData = "GETD";
    /// `exists`.
    Exists = "EXIS";
    /// `setACL`.
    SetAcl = "SETA";
    /// `getACL`.
    GetAcl = "GETA";
    /// `getChildren`, with or without stat.
    GetChildren = "GETC";
    /// `sync`.
    Sync = "SYNC";
    /// `multi`.
    Multi = "MULT";
    /// `multiRead`.
    MultiRead = "MLTR";
    /// `setWatches`.
    SetWatches = "SETW";
    /// `setWatches2`.
    SetWatches2 = "STW2";
    /// `addWatch`.
    AddWatch = "ADDW";
    /// `checkWatches`.
    CheckWatches = "CHKW";
    /// `removeWatches`.
    RemoveWatches = "REMW";
    /// The session was closed.
    CloseSession = "CLOS";
    /// `reconfig`.
    Reconfig = "RECO";
    /// `check`.
    Check = "CHEC";
    /// `getEphemerals`.
    GetEphemerals = "GETE";
    /// `getAllChildrenNumber`.
    GetAllChildrenNumber = "GETACN";
    /// `whoAmI`.
    WhoAmI = "HOMI";
}
