//! Everything a session does.

use thiserror::Error as ThisError;
use types::{ConnId, EventKind, Zxid};
use wire::frame::FrameError;
use wire::jute::DecodeError;

use super::{HostIndex, RequestId, WatchId};
use crate::error::Error;
use crate::response::Response;

/// What the driver has to do after a step, or after several.
#[derive(Default, Debug)]
pub struct Effects {
    /// To be done in this order.
    pub list: Vec<Effect>,
    /// Bytes to write to the connection that was last reported as [`super::Input::Connected`]. The
    /// session appends; the driver takes them from the front; they are void once the connection is
    /// given up, when the session clears them itself.
    pub outgoing: Vec<u8>,
}

/// One thing to do. A driver has to do whatever it is told: nothing here may be passed over, so a new kind of
/// thing is one that drivers must not build without.
#[derive(Debug)]
pub enum Effect {
    /// Connect to a server, and report [`super::Input::Connected`] or
    /// [`super::Input::Disconnected`]. There is never more than one connection.
    Dial {
        /// The new connection.
        conn: ConnId,
        /// To which server.
        host: HostIndex,
    },
    /// Close the connection, or stop making it. Nothing need be reported.
    HangUp {
        /// Which.
        conn: ConnId,
        /// Why, for the log.
        reason: HangUp,
    },
    /// Ask a server whether it serves writes, beside the connection, and report
    /// [`super::Input::ServesWrites`] if so. An answer that does not come need not be reported; one
    /// that is asked for replaces the one before.
    Probe {
        /// Which server.
        host: HostIndex,
    },
    /// The server has accepted the session, and SASL comes first: report the program's first token as
    /// [`super::Input::Sasl`], or [`super::Input::SaslFailed`]. Only with
    /// [`super::Session::with_sasl`].
    SaslBegin {
        /// Over which connection.
        conn: ConnId,
    },
    /// The server has answered the last token, and it is the program's turn: as
    /// [`Self::SaslBegin`].
    SaslToken {
        /// Over which connection.
        conn: ConnId,
        /// What the server said, which may be nothing.
        token: Option<Vec<u8>>,
    },
    /// A request is done. Every request is, exactly once.
    Complete {
        /// Which.
        id: RequestId,
        /// How it went.
        outcome: Result<Response, Error>,
    },
    /// A watch has something to tell.
    Deliver {
        /// Which.
        watch: WatchId,
        /// What.
        notice: Notice,
    },
    /// The session is in another state.
    State(SessionState),
}

/// What a watch tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A change that it watches for.
    Event(WatchEvent),
    /// Changes may have been missed: the connection was lost and is back. From here on none is.
    /// Only persistent watches need this, for a server tells what one-shot ones missed.
    Gap,
    /// It was removed on request of the application; nothing follows.
    Removed,
}

/// A change of a znode that was watched.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub kind: EventKind,
    /// To which znode: not necessarily the one that the watch was set on.
    pub path: String,
    /// The transaction that did it; `None` from servers of release 3.8 and older, and for changes
    /// that were found when the watches were set again.
    pub zxid: Option<Zxid>,
}

/// What an application should know about its session.
///
/// ```text
/// Connecting ──► Connected ⇄ Disconnected ──► Expired
///      │            ▲ │           │
///      │            └─┼── (or ConnectedReadOnly)
///      └──────────────┴───────────┴──► AuthFailed, Closed
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SessionState {
    /// No server has taken the session yet.
    Connecting,
    /// A server serves it.
    Connected,
    /// A server without a quorum serves it: reads only, and maybe of an old state.
    ConnectedReadOnly,
    /// The connection was lost; the session may be alive or not. Whoever holds a lock should pause.
    Disconnected,
    /// The session is over: no server heard of it in time. Its ephemeral znodes are gone.
    Expired,
    /// The session is over: a server refused the credentials.
    AuthFailed,
    /// The session is over for this client: the application closed it, left it to another, or shut
    /// down the runtime that it ran in.
    Closed,
}

impl SessionState {
    /// Whether nothing follows.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Expired | Self::AuthFailed | Self::Closed => true,
            Self::Connecting | Self::Connected | Self::ConnectedReadOnly | Self::Disconnected => {
                false
            }
        }
    }

    /// Whether a server serves the session.
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ConnectedReadOnly)
    }
}

/// Why a connection was given up.
#[derive(Clone, PartialEq, Eq, Debug, ThisError)]
#[non_exhaustive]
pub enum HangUp {
    /// No connection, or no answer to the handshake, in time.
    #[error("no answer to the attempt to connect")]
    Unanswered,
    /// Nothing was heard for two thirds of the session timeout.
    #[error("server is silent")]
    Silent,
    /// Another server is to serve the session: the list of servers has changed, or one that serves
    /// writes was found.
    #[error("moving to another server")]
    Moving,
    /// The session is over.
    #[error("session is over")]
    Over,
    /// The server sent what no server sends.
    #[error(transparent)]
    Misbehaved(#[from] ServerMisbehaved),
}

/// What no correct server sends.
#[derive(Clone, PartialEq, Eq, Debug, ThisError)]
#[non_exhaustive]
pub enum ServerMisbehaved {
    /// A length that no frame can have; also one over this client's own limit.
    #[error("unacceptable frame")]
    Frame(#[from] FrameError),
    /// A message that ends too early or makes no sense.
    #[error("unreadable message")]
    Message(#[from] DecodeError),
    /// An answer to something else than the oldest unanswered request.
    #[error("answer {got} where {} is due", ExpectedXid(*.expected))]
    OutOfOrder {
        /// The request that is due; `None` if there is none.
        expected: Option<i32>,
        /// The one that was answered.
        got: i32,
    },
    /// Watches could not be set again.
    #[error("watches were not accepted: error {0}")]
    WatchesRefused(i32),
}

struct ExpectedXid(Option<i32>);

impl std::fmt::Display for ExpectedXid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(xid) => write!(f, "{xid}"),
            None => f.write_str("none"),
        }
    }
}

impl Effects {
    pub(super) fn complete(&mut self, id: RequestId, outcome: Result<Response, Error>) {
        self.list.push(Effect::Complete { id, outcome });
    }
}
