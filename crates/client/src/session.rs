//! A session without its surroundings: the client's half of the protocol as a state machine.
//!
//! [`Session`] opens no socket and reads no clock. What happens goes in as [`Input`], what to do
//! comes out as [`Effects`], and [`Session::next_deadline`] says when to come back at the latest.
//! The tokio driver of this crate is one surrounding, a simulator is another.
//!
//! ```text
//!            until            connected        accepted
//! Pausing ─────────► Dialing ──────────► Handshaking ──► Established
//!    ▲                  │                    │  │              │
//!    └──────────────────┴────────────────────┘  │  lost, silent│
//!    └──────────────────────────────────────────┼──────────────┘
//!                                       refused ▼  closed
//!                                             Over
//! ```
//!
//! # Rules
//!
//! - Requests are sent in the order in which they came, at once while a connection is there; their
//!   answers come in the same order, and an answer that is out of order ends the connection.
//! - An answer that is over the client's own limit fails its request with [`Error::AnswerTooLarge`] and
//!   ends the connection.
//! - A request that was sent and not answered when the connection ends fails with
//!   [`Error::ConnectionLost`], which says whether it may have happened. One that was not sent yet
//!   waits for the next connection; it fails, having never happened, when a whole round over the
//!   servers brought none.
//! - The highest zxid seen is shown to each new server; one that is behind refuses the connection.
//!   Thus what the application reads never goes back in time.
//! - Credentials, then watches, are set again on each connection before anything else is sent; only an
//!   exchange of SASL tokens, if there is one, goes before them, and has to succeed.
//! - A session that moves to another server while its own works answers what was asked first: no
//!   request fails because of that. It moves when the list of servers changes and chance wants it,
//!   and from a server without a quorum when one that serves writes is found.
//! - An id that came from a server without a quorum is known to that server only; elsewhere a new
//!   session begins.
//! - A watch is registered when its answer arrives, never when it is asked for.
//! - Silence: the session pings when nothing was sent for a third of its timeout, gives the
//!   connection up when nothing was heard for two thirds, and takes itself for expired when nothing
//!   was heard for four thirds, whether or not a server can confirm it.
//!
//! # Without a runtime
//!
//! ```
//! use std::time::Duration;
//!
//! use reefkeeper_client::session::{Chroot, Config, Effect, Effects, Input, Session};
//!
//! let mut session = Session::new(Config {
//!     hosts: 1,
//!     timeout: Duration::from_secs(30),
//!     chroot: Chroot::default(),
//!     read_only: false,
//!     resume: None,
//!     frame_bytes_max: 1_048_575,
//!     seed: 7,
//! });
//! let mut effects = Effects::default();
//! session.step(Default::default(), Input::Deadline, &mut effects);
//! let Some(Effect::Dial { conn, host }) = effects.list.pop() else { panic!("a server is due") };
//! println!("connect to server {}", host.0);
//! session.step(Default::default(), Input::Connected(conn), &mut effects);
//! assert!(!effects.outgoing.is_empty(), "the handshake is to be written");
//! assert!(session.next_deadline().is_some());
//! ```
//!
//! The timers and the fields of the handshake are those of Apache's `ClientCnxn`; the mapping of
//! events to watches is that of `ZKWatchManager`.

mod chroot;
mod config;
mod effect;
mod hosts;
mod inbound;
mod input;
mod pending;
mod sasl;
mod watches;

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use types::{AuthPacket, ConnId, Instant, Op, Read, SessionId, SessionPassword, Write, Xid, Zxid};
use types::{ErrorCode, WatcherKind};
use wire::connect::ConnectRequest;
use wire::request::Request;

use self::hosts::{HostOrder, Next, Rebalance};
use self::pending::{Pending, Then};
use self::sasl::Exchange;
use self::watches::{Dropped, WatchTable};
use crate::error::Error;
use crate::limits::{ATTEMPT_MIN, PING_INTERVAL_MAX, PROBE_MAX};

pub use self::chroot::Chroot;
pub use self::config::{Config, Ticket};
pub use self::effect::{
    Effect, Effects, HangUp, Notice, ServerMisbehaved, SessionState, WatchEvent,
};
pub use self::hosts::HostIndex;
pub use self::input::{Input, RequestId};
pub use self::sasl::SaslStep;
pub use self::watches::WatchId;
pub use crate::response::Response;

/// A client's session; see the [module](self).
///
/// ```
/// # use std::time::Duration;
/// # use reefkeeper_client::session::{Chroot, Config, Session};
/// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
/// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
/// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
/// use reefkeeper_client::session::{Effects, Input};
///
/// let mut session = Session::new(config);
/// let mut effects = Effects::default();
/// session.step(Default::default(), Input::Detach, &mut effects);
/// assert!(session.state().is_over());
/// ```
#[derive(Debug)]
pub struct Session {
    config: Config,
    hosts: HostOrder,
    link: Link,
    state: SessionState,
    /// `None` until a server gave one.
    ticket: Option<Ticket>,
    /// Whether a server with a quorum gave it, or knows it: others can resume it then.
    is_known_to_all: bool,
    /// Negotiated; what was asked for until then.
    timeout: Duration,
    /// When a server that serves the session last said anything; `None` if none ever did.
    last_heard: Option<Instant>,
    last_zxid_seen: Zxid,
    /// The number of the last request, from 1 on; wraps to 1.
    last_xid: Xid,
    last_conn: ConnId,
    /// Requests for which there was no connection yet, in order.
    waiting: VecDeque<(RequestId, Op<'static>)>,
    /// Sent on every connection, in this order.
    credentials: Vec<Credential>,
    /// Whether each connection begins with an exchange of SASL tokens.
    uses_sasl: bool,
    watches: WatchTable,
    /// Kept between events for its memory.
    told: Vec<WatchId>,
}

/// What there is of a connection.
#[derive(Debug)]
enum Link {
    Pausing {
        until: Instant,
    },
    Dialing {
        conn: ConnId,
        deadline: Instant,
    },
    /// With an exchange once the session was accepted and only that is left.
    Handshaking {
        conn: ConnId,
        deadline: Instant,
        inbound: Vec<u8>,
        sasl: Option<Exchange>,
    },
    Established(Connection),
    Over(End),
}

/// A connection over which a server serves the session.
#[derive(Debug)]
struct Connection {
    conn: ConnId,
    /// The beginning of a frame whose end has not arrived.
    inbound: Vec<u8>,
    /// Sent and not answered, in order.
    pending: VecDeque<Pending>,
    /// How many of the credentials were sent.
    credentials_sent: usize,
    /// How many of them were answered.
    credentials_answered: usize,
    last_sent: Instant,
    /// Whether an answer came: only then is the server known to work.
    is_proven: bool,
    /// Whether the end of the session was asked for; nothing is sent after that.
    is_closing: bool,
    /// Whether it ends as soon as everything is answered; requests wait for the next one.
    is_leaving: bool,
    /// When to look for a server that serves writes; `None` if this one does.
    probe: Option<Probe>,
}

impl Connection {
    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.credentials_answered == self.credentials_sent
    }
}

/// The search for a server that serves writes.
#[derive(Clone, Copy, Debug)]
struct Probe {
    due: Instant,
    /// Before the next one; it doubles.
    pause: Duration,
}

#[derive(Debug)]
struct Credential {
    packet: AuthPacket<'static>,
    /// Who waits for the first answer.
    asked_by: Option<RequestId>,
}

/// How a session can end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Closed,
    Expired,
    AuthFailed,
}

impl End {
    const fn error(self) -> Error {
        match self {
            Self::Closed => Error::Closed,
            Self::Expired => Error::SessionExpired,
            Self::AuthFailed => Error::AuthFailed,
        }
    }

    const fn state(self) -> SessionState {
        match self {
            Self::Closed => SessionState::Closed,
            Self::Expired => SessionState::Expired,
            Self::AuthFailed => SessionState::AuthFailed,
        }
    }
}

impl Session {
    /// A session that dials its first server at the first step.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// let session = Session::new(config);
    /// assert_eq!(session.ticket(), None);
    /// ```
    ///
    /// # Panics
    /// If there is no server.
    pub fn new(config: Config) -> Self {
        Self {
            hosts: HostOrder::new(config.hosts, config.seed),
            link: Link::Pausing { until: Instant::default() },
            state: SessionState::Connecting,
            ticket: config.resume.clone(),
            is_known_to_all: config.resume.is_some(),
            timeout: config.timeout,
            last_heard: None,
            last_zxid_seen: Zxid::ZERO,
            last_xid: Xid(0),
            last_conn: ConnId(0),
            waiting: VecDeque::new(),
            credentials: Vec::new(),
            uses_sasl: false,
            watches: WatchTable::default(),
            told: Vec::new(),
            config,
        }
    }

    /// One that begins each connection with an exchange of SASL tokens: see [`Effect::SaslBegin`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// let session = Session::new(config).with_sasl();
    /// assert!(!session.state().is_connected());
    /// ```
    #[must_use]
    pub fn with_sasl(mut self) -> Self {
        self.uses_sasl = true;
        self
    }

    /// Takes in one thing that happened, and appends to `effects` what to do.
    ///
    /// ```
    /// # use reefkeeper_client::session::{Effects, Input};
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// let mut session = Session::new(config);
    /// let mut effects = Effects::default();
    /// session.step(Default::default(), Input::Deadline, &mut effects);
    /// assert_eq!(effects.list.len(), 1, "a server is to be dialed");
    /// ```
    pub fn step(&mut self, now: Instant, input: Input<'_>, effects: &mut Effects) {
        match input {
            Input::Request { id, op } => self.on_request(now, id, op, effects),
            Input::Forget(watch) => self.on_forget(now, watch, effects),
            Input::Detach if self.state.is_over() => {}
            Input::Detach => self.end(End::Closed, effects),
            Input::Hosts { count, moved } => self.on_hosts(count, moved),
            Input::ServesWrites(host) => self.on_serves_writes(host),
            Input::Connected(conn) => self.on_connected(now, conn, effects),
            Input::Received { conn, bytes } => self.on_received(now, conn, bytes, effects),
            Input::Disconnected(conn) => self.on_disconnected(now, conn, effects),
            Input::Sasl { conn, step } => self.on_sasl_step(now, conn, step, effects),
            Input::SaslFailed(conn) => self.on_sasl_failed(conn, effects),
            Input::Deadline => {}
        }
        self.settle(now, effects);
    }

    /// When the next step is due at the latest; `None` once the session is over.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// let session = Session::new(config);
    /// assert_eq!(session.next_deadline(), Some(Default::default()), "it begins at once");
    /// ```
    pub fn next_deadline(&self) -> Option<Instant> {
        let link = match &self.link {
            Link::Pausing { until } => *until,
            Link::Dialing { deadline, .. } | Link::Handshaking { deadline, .. } => *deadline,
            Link::Established(connection) => {
                let due = self.ping_due(connection).min(self.silence_due());
                return Some(connection.probe.map_or(due, |probe| due.min(probe.due)));
            }
            Link::Over(_) => return None,
        };
        Some(self.expiry_due().map_or(link, |expiry| link.min(expiry)))
    }

    /// What the application should know.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// use reefkeeper_client::SessionState;
    ///
    /// let session = Session::new(config);
    /// assert_eq!(session.state(), SessionState::Connecting);
    /// ```
    pub const fn state(&self) -> SessionState {
        self.state
    }

    /// What resumes the session elsewhere, once a server with a quorum gave it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// let session = Session::new(config);
    /// assert_eq!(session.ticket(), None, "no server gave one yet");
    /// ```
    pub const fn ticket(&self) -> Option<&Ticket> {
        if self.is_known_to_all { self.ticket.as_ref() } else { None }
    }

    /// The session timeout: what the server decided, or what was asked for until it did.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// let session = Session::new(config);
    /// assert_eq!(session.timeout(), Duration::from_secs(30));
    /// ```
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The highest zxid that any server has shown.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reefkeeper_client::session::{Chroot, Config, Session};
    /// # let (hosts, timeout, chroot) = (1, Duration::from_secs(30), Chroot::default());
    /// # let (read_only, resume, frame_bytes_max, seed) = (false, None, 1_048_575, 7);
    /// # let config = Config { hosts, timeout, chroot, read_only, resume, frame_bytes_max, seed };
    /// let session = Session::new(config);
    /// assert_eq!(session.last_zxid_seen(), reefkeeper_client::Zxid::ZERO);
    /// ```
    pub const fn last_zxid_seen(&self) -> Zxid {
        self.last_zxid_seen
    }

    fn on_request(
        &mut self,
        now: Instant,
        id: RequestId,
        mut op: Op<'static>,
        effects: &mut Effects,
    ) {
        if let Some(error) = self.refusal(&op) {
            return effects.complete(id, Err(error));
        }
        if let Err(error) = self.config.chroot.enter(&mut op) {
            return effects.complete(id, Err(error));
        }
        match op {
            Op::Auth(packet) => self.add_credential(now, id, packet, effects),
            Op::CloseSession if !matches!(self.link, Link::Established(_)) => {
                self.close_unconnected(id, effects);
            }
            Op::CloseSession => {
                self.stay(now, effects);
                self.send_or_keep(now, id, Op::CloseSession, effects);
            }
            op => self.send_or_keep(now, id, op, effects),
        }
    }

    /// Why an operation can not even wait, if so.
    fn refusal(&self, op: &Op<'_>) -> Option<Error> {
        match &self.link {
            Link::Over(end) => return Some(end.error()),
            Link::Established(connection) if connection.is_closing => return Some(Error::Closed),
            Link::Established(_)
            | Link::Pausing { .. }
            | Link::Dialing { .. }
            | Link::Handshaking { .. } => {}
        }
        match op {
            Op::Ping
            | Op::Sasl(_)
            | Op::Read(Read::SetWatches(_) | Read::Rejected(_))
            | Op::Write(Write::CreateSession { .. } | Write::Rejected(_)) => {
                Some(Error::Refused(ErrorCode::Unimplemented))
            }
            Op::Auth(_) | Op::Read(_) | Op::Write(_) | Op::Sync { .. } | Op::CloseSession => None,
        }
    }

    fn add_credential(
        &mut self,
        now: Instant,
        id: RequestId,
        packet: AuthPacket<'static>,
        effects: &mut Effects,
    ) {
        if let Link::Established(connection) = &mut self.link
            && !connection.is_leaving
        {
            encode_auth(&packet, &mut effects.outgoing);
            connection.last_sent = now;
            connection.credentials_sent += 1;
        }
        self.credentials.push(Credential { packet, asked_by: Some(id) });
    }

    /// Moves to no other server after all, and asks this one what has waited for the next.
    fn stay(&mut self, now: Instant, effects: &mut Effects) {
        let Link::Established(connection) = &mut self.link else { return };
        if !mem::take(&mut connection.is_leaving) {
            return;
        }
        for credential in &self.credentials[connection.credentials_sent..] {
            encode_auth(&credential.packet, &mut effects.outgoing);
        }
        connection.credentials_sent = self.credentials.len();
        for (id, op) in mem::take(&mut self.waiting) {
            self.send_or_keep(now, id, op, effects);
        }
    }

    /// Without a connection there is nobody to tell: a session that exists will expire.
    fn close_unconnected(&mut self, id: RequestId, effects: &mut Effects) {
        let outcome = match self.ticket {
            Some(_) => Err(Error::ConnectionLost { may_have_happened: false }),
            None => Ok(Response::Done),
        };
        effects.complete(id, outcome);
        self.end(End::Closed, effects);
    }

    fn send_or_keep(
        &mut self,
        now: Instant,
        id: RequestId,
        op: Op<'static>,
        effects: &mut Effects,
    ) {
        let connection = match &mut self.link {
            Link::Established(connection) if !connection.is_leaving => connection,
            Link::Established(_)
            | Link::Pausing { .. }
            | Link::Dialing { .. }
            | Link::Handshaking { .. }
            | Link::Over(_) => {
                self.waiting.push_back((id, op));
                return;
            }
        };
        let xid = xid_after(self.last_xid);
        let start = effects.outgoing.len();
        let request = Request { xid, op };
        request.encode(&mut effects.outgoing);
        let bytes = effects.outgoing.len() - start - size_of::<i32>();
        let max = self.config.frame_bytes_max;
        if bytes > max {
            effects.outgoing.truncate(start);
            return effects.complete(id, Err(Error::RequestTooLarge { bytes, max }));
        }
        self.last_xid = xid;
        connection.is_closing = matches!(request.op, Op::CloseSession);
        connection.last_sent = now;
        connection.pending.push_back(Pending { xid, then: Then::for_request(id, request.op) });
    }

    fn on_forget(&mut self, now: Instant, watch: WatchId, effects: &mut Effects) {
        let Dropped::LastOf(path) = self.watches.remove(watch) else { return };
        let Link::Established(connection) = &mut self.link else { return };
        // A watch that is on its way to this path would be swept away with the others.
        let is_wanted = connection.pending.iter().any(|pending| pending.sets_watch_at(&path));
        // The next server does not hear of a watch that is not in the table.
        if is_wanted || connection.is_closing || connection.is_leaving {
            return;
        }
        let xid = xid_after(self.last_xid);
        self.last_xid = xid;
        let op = Read::RemoveWatches { path: (&*path).into(), kind: WatcherKind::Any };
        Request { xid, op: Op::Read(op) }.encode(&mut effects.outgoing);
        connection.last_sent = now;
        connection.pending.push_back(Pending { xid, then: Then::Nothing });
    }

    fn on_hosts(&mut self, count: usize, moved: &[Option<HostIndex>]) {
        let rebalance = self.hosts.replace(count, moved);
        if let (Link::Established(connection), Rebalance::Move) = (&mut self.link, rebalance) {
            connection.is_leaving = !connection.is_closing;
        }
    }

    fn on_serves_writes(&mut self, host: HostIndex) {
        if let Link::Established(connection) = &mut self.link
            && connection.probe.is_some()
            && !connection.is_closing
        {
            connection.is_leaving = true;
            connection.probe = None;
            self.hosts.prefer(host);
        }
    }

    fn on_connected(&mut self, now: Instant, connected: ConnId, effects: &mut Effects) {
        let Link::Dialing { conn, .. } = self.link else { return };
        if conn != connected {
            return;
        }
        let no_password = SessionPassword([0; 16]);
        let (session, password) = match &self.ticket {
            Some(ticket) if self.is_known_to_all => (ticket.id, &ticket.password),
            Some(_) | None => (SessionId::NONE, &no_password),
        };
        let timeout_ms = i32::try_from(self.config.timeout.as_millis()).unwrap_or(i32::MAX);
        ConnectRequest {
            last_zxid_seen: self.last_zxid_seen,
            timeout_ms,
            session,
            password: &password.0,
            read_only: Some(self.config.read_only),
        }
        .encode(&mut effects.outgoing);
        let deadline = now.after(self.attempt_timeout());
        self.link = Link::Handshaking { conn, deadline, inbound: Vec::new(), sasl: None };
    }

    fn on_disconnected(&mut self, now: Instant, disconnected: ConnId, effects: &mut Effects) {
        if self.conn() == Some(disconnected) {
            self.lose_connection(now, effects);
        }
    }

    /// Does what has become due: gives up, expires, pings, dials.
    fn settle(&mut self, now: Instant, effects: &mut Effects) {
        match &self.link {
            Link::Dialing { deadline, .. } | Link::Handshaking { deadline, .. }
                if now >= *deadline =>
            {
                self.hang_up(now, HangUp::Unanswered, effects);
            }
            Link::Established(_) if now >= self.silence_due() => {
                self.hang_up(now, HangUp::Silent, effects);
            }
            Link::Established(connection) if connection.is_leaving && connection.is_idle() => {
                self.hang_up(now, HangUp::Moving, effects);
            }
            Link::Established(connection) if now >= self.ping_due(connection) => {
                self.ping(now, effects);
            }
            Link::Established(connection)
                if connection.probe.is_some_and(|probe| now >= probe.due) =>
            {
                self.probe(now, effects);
            }
            Link::Pausing { .. }
            | Link::Dialing { .. }
            | Link::Handshaking { .. }
            | Link::Established(_)
            | Link::Over(_) => {}
        }
        let is_connected = matches!(self.link, Link::Established(_) | Link::Over(_));
        if !is_connected && self.expiry_due().is_some_and(|due| now >= due) {
            self.end(End::Expired, effects);
        }
        if let Link::Pausing { until } = self.link
            && now >= until
        {
            self.dial(now, effects);
        }
    }

    fn dial(&mut self, now: Instant, effects: &mut Effects) {
        let conn = ConnId(self.last_conn.0 + 1);
        self.last_conn = conn;
        effects.list.push(Effect::Dial { conn, host: self.hosts.current() });
        self.link = Link::Dialing { conn, deadline: now.after(self.attempt_timeout()) };
    }

    fn ping(&mut self, now: Instant, effects: &mut Effects) {
        let Link::Established(connection) = &mut self.link else { return };
        Request { xid: Xid::PING, op: Op::Ping }.encode(&mut effects.outgoing);
        connection.last_sent = now;
    }

    /// Looks for a server that serves writes, ever more rarely.
    fn probe(&mut self, now: Instant, effects: &mut Effects) {
        let Link::Established(connection) = &mut self.link else { return };
        let Some(probe) = &mut connection.probe else { return };
        *probe = Probe { due: now.after(probe.pause), pause: (probe.pause * 2).min(PROBE_MAX) };
        if let Some(host) = self.hosts.other() {
            effects.list.push(Effect::Probe { host });
        }
    }

    fn hang_up(&mut self, now: Instant, reason: HangUp, effects: &mut Effects) {
        let Some(conn) = self.conn() else { return };
        effects.list.push(Effect::HangUp { conn, reason });
        self.lose_connection(now, effects);
    }

    fn lose_connection(&mut self, now: Instant, effects: &mut Effects) {
        effects.outgoing.clear();
        let mut is_closing = false;
        let next = match mem::replace(&mut self.link, Link::Pausing { until: now }) {
            Link::Established(connection) => {
                fail_pending(connection.pending, effects);
                is_closing = connection.is_closing;
                if connection.is_leaving {
                    // The next server has been chosen.
                    Next::AtOnce
                } else if connection.is_proven {
                    self.hosts.advance();
                    Next::AtOnce
                } else {
                    self.hosts.failed()
                }
            }
            Link::Pausing { .. }
            | Link::Dialing { .. }
            | Link::Handshaking { .. }
            | Link::Over(_) => self.hosts.failed(),
        };
        if is_closing {
            return self.end(End::Closed, effects);
        }
        if let Next::After(pause) = next {
            self.link = Link::Pausing { until: now.after(pause) };
            let error = Error::ConnectionLost { may_have_happened: false };
            self.fail_waiting(&error, effects);
        }
        let state = match self.last_heard {
            Some(_) => SessionState::Disconnected,
            None => SessionState::Connecting,
        };
        self.change_state(state, effects);
    }

    fn end(&mut self, end: End, effects: &mut Effects) {
        if let Some(conn) = self.conn() {
            effects.outgoing.clear();
            effects.list.push(Effect::HangUp { conn, reason: HangUp::Over });
        }
        if let Link::Established(connection) = mem::replace(&mut self.link, Link::Over(end)) {
            fail_pending(connection.pending, effects);
        }
        self.fail_waiting(&end.error(), effects);
        for credential in self.credentials.drain(..) {
            if let Some(id) = credential.asked_by {
                effects.complete(id, Err(end.error()));
            }
        }
        self.watches = WatchTable::default();
        self.change_state(end.state(), effects);
    }

    fn fail_waiting(&mut self, error: &Error, effects: &mut Effects) {
        for (id, _) in self.waiting.drain(..) {
            effects.complete(id, Err(error.clone()));
        }
    }

    fn change_state(&mut self, state: SessionState, effects: &mut Effects) {
        if state != self.state {
            self.state = state;
            effects.list.push(Effect::State(state));
        }
    }

    /// The connection there is, or that is being made.
    const fn conn(&self) -> Option<ConnId> {
        match &self.link {
            Link::Dialing { conn, .. } | Link::Handshaking { conn, .. } => Some(*conn),
            Link::Established(connection) => Some(connection.conn),
            Link::Pausing { .. } | Link::Over(_) => None,
        }
    }

    /// The time that each server has, so that all of them can be tried before the session expires.
    fn attempt_timeout(&self) -> Duration {
        let hosts = u32::try_from(self.hosts.count()).unwrap_or(u32::MAX);
        (self.timeout / hosts).max(ATTEMPT_MIN)
    }

    fn ping_due(&self, connection: &Connection) -> Instant {
        connection.last_sent.after((self.timeout / 3).min(PING_INTERVAL_MAX))
    }

    fn silence_due(&self) -> Instant {
        self.last_heard.unwrap_or_default().after(self.timeout * 2 / 3)
    }

    /// When the session takes itself for expired; `None` if no server ever served it.
    fn expiry_due(&self) -> Option<Instant> {
        self.last_heard.map(|heard| heard.after(self.timeout * 4 / 3))
    }
}

/// Ordinary requests have positive numbers.
const fn xid_after(last: Xid) -> Xid {
    if last.0 == i32::MAX { Xid(1) } else { Xid(last.0 + 1) }
}

fn encode_auth(packet: &AuthPacket<'static>, outgoing: &mut Vec<u8>) {
    Request { xid: Xid::AUTH, op: Op::Auth(packet.clone()) }.encode(outgoing);
}

fn fail_pending(pending: VecDeque<Pending>, effects: &mut Effects) {
    for pending in pending {
        if let Then::Complete { id, may_change, .. } = pending.then {
            effects.complete(id, Err(Error::ConnectionLost { may_have_happened: may_change }));
        }
    }
}

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod tests;
