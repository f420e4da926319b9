//! The connections of one I/O thread.
//!
//! A frontend takes in the bytes that arrive and appends the bytes to send. It answers what it can
//! by itself: pings, credentials, and reads of a session that has no request with the replica. All
//! else it hands to the replica, and takes the answers out of its mailbox.
//!
//! ```text
//!             first frame                     mail: established
//!  Handshake ─────────────> AwaitingSession ────────────────────> Open ──> Closing
//!      │                          │ mail: refused                  │          │ all sent
//!      └──────────────────────────┴────────────────────────────────┴──────> gone
//! ```
//!
//! **Order of replies.** `in_flight` counts the requests of a connection that are with the replica.
//! While there are any, everything but pings and credentials follows them there; the replica
//! answers in order. When there are none, a read is answered here. So a connection's replies leave
//! in the order of its requests without a queue of them. A read whose answer is long is not handed
//! over: its frame, and what comes after it, waits here until all before it is answered.
//!
//! **Order of events.** The mail is taken while the tree is held and before it is read, see
//! [`crate::published`].

mod connection;
mod credentials;
mod events;

use std::net::IpAddr;
use std::sync::Arc;

use tracing::warn;
use tree::Tree;
use types::{ConnId, ErrorCode, LineLimit, Now, Op, Read, Write, Xid, Zxid, mutant};
use wire::connect::ConnectRequest;
use wire::frame;
use wire::opcode::OpCode;
use wire::reply::{Body, Reply};
use wire::request::{Request as Decoded, RequestError, opcode};

use crate::access::AccessOptions;
use crate::eager;
use crate::input::{Ask, Connect, Input, Request};
use crate::large_requests::{LargeRequests, NoRoom};
use crate::limits::{BYTES_PER_READ_SECTION, HANDSHAKE_BYTES_MAX, WATCHED_PATHS_LISTED_AT_ONCE};
use crate::outstanding::Outstanding;
use crate::published::{Address, FrontId, Outbox, TreeReader};
use crate::read::{self, Asker};
use crate::view::{ConnectionStats, FrontStats, WatchesFrom, WatchesPage};
use crate::watch::{WatchKind, WatchTable};

use connection::{Connection, Connections, Phase};

pub use connection::slot_of;

/// How a frontend behaves.
#[derive(Clone, Debug)]
pub struct FrontendOptions {
    /// Who may do what.
    pub access: AccessOptions,
    /// The longest frame a client may send, in bytes.
    pub frame_bytes_max: usize,
    /// The requests with the replica: one account for all frontends.
    pub outstanding: Arc<Outstanding>,
    /// Bytes of an answer beyond which a read waits at its connection for the writes before it; see
    /// [`crate::LONG_ANSWER_BYTES`].
    pub long_answer_bytes: usize,
    /// How many bytes of large requests may be under way: one account for all frontends. `None`: any
    /// number.
    pub large_requests: Option<Arc<LargeRequests>>,
    /// Whether writes without permission are refused before they are handed over.
    pub eager_acl_check: bool,
    /// For hash tables.
    pub seed: u64,
}

/// The connections of one I/O thread. See the module.
#[derive(Debug)]
pub struct Frontend {
    reader: TreeReader,
    desk: Desk,
}

/// Everything but the tree, so that the tree can be held while this changes.
#[derive(Debug)]
struct Desk {
    options: FrontendOptions,
    connections: Connections,
    watches: WatchTable,
    /// Watches that came by mail and were not yet counted to the replica.
    watches_received: usize,
    /// For the replica.
    inputs: Vec<Input>,
    /// The mail being worked on; kept to be reused.
    mail: Outbox,
    /// The state up to which all mail was taken: what pings are answered with.
    seen: Zxid,
    stats: Arc<FrontStats>,
    lines: Lines,
}

/// How often the log may tell of what clients do, by kind of line.
#[derive(Debug, Default)]
struct Lines {
    misbehaved: LineLimit,
    ahead: LineLimit,
    refused_credentials: LineLimit,
    sasl: LineLimit,
    unread_events: LineLimit,
}

impl Frontend {
    /// A frontend without connections.
    pub fn new(options: FrontendOptions, reader: TreeReader) -> Self {
        let seen = reader.hold().last_applied();
        let desk = Desk {
            connections: Connections::default(),
            watches: WatchTable::new(options.seed),
            watches_received: 0,
            inputs: Vec::new(),
            mail: Outbox::default(),
            seen,
            stats: Arc::new(FrontStats::default()),
            lines: Lines::default(),
            options,
        };
        Self { reader, desk }
    }

    /// Which frontend it is.
    pub fn front(&self) -> FrontId {
        self.reader.front()
    }

    /// Takes in a new connection.
    pub fn open(&mut self, now: Now, peer: IpAddr) -> ConnId {
        let stats = Arc::new(ConnectionStats::new(now.wall_ms));
        self.desk.connections.insert(Connection::new(peer, now.instant, stats))
    }

    /// Takes in bytes of a connection: all frames that are complete are worked off at once, the
    /// rest is kept. Whether it may be read from again is told by [`Frontend::wants_bytes`].
    pub fn receive(&mut self, now: Now, conn: ConnId, bytes: &[u8]) {
        let Self { reader, desk } = self;
        let Some(connection) = desk.connections.find_mut(conn) else { return };
        if let Some(heartbeat) = &connection.heartbeat
            && !mutant::active(108)
        {
            heartbeat.beat(now.instant);
        }
        desk.stats.received_bytes.add(bytes.len() as u64);
        let mut tree = Held::new(reader);
        if connection.unread.is_empty() {
            let consumed = desk.work_off(now, conn, bytes, &mut tree);
            desk.keep_unread(conn, &bytes[consumed..]);
        } else {
            connection.unread.extend_from_slice(bytes);
            desk.work_off_unread(now, conn, &mut tree);
        }
        tree.release(desk);
        desk.count_watches();
    }

    /// Works off the mail, and frames that had to wait.
    pub fn collect(&mut self, now: Now) {
        let Self { reader, desk } = self;
        let mut tree = Held::new(reader);
        desk.take_mail(now, reader);
        while let Some(conn) = desk.connections.next_resumable() {
            desk.work_off_unread(now, conn, &mut tree);
        }
        tree.release(desk);
        desk.count_watches();
    }

    /// As [`Frontend::collect`], without what follows on connections whose bytes had to wait:
    /// [`Frontend::has_work`] tells of that.
    pub fn collect_mail(&mut self, now: Now) {
        let Self { reader, desk } = self;
        desk.take_mail(now, reader);
        desk.count_watches();
    }

    /// Whether nothing came by mail but answers, and at most so many.
    pub fn has_only_replies(&self, count_max: usize) -> bool {
        self.reader.has_only_replies(count_max)
    }

    /// Forgets a connection that the peer or the I/O layer closed.
    pub fn closed(&mut self, conn: ConnId) {
        let Some(connection) = self.desk.connections.remove(conn) else { return };
        if !matches!(connection.phase, Phase::Handshake) {
            let address = Address { front: self.reader.front(), conn };
            self.desk.inputs.push(Input::Disconnected(address));
        }
        self.desk.options.outstanding.remove(connection.in_flight);
        if !mutant::active(57) {
            self.desk.watches.remove_connection(conn);
        }
        self.desk.count_watches();
    }

    /// Whether more bytes of a connection can be taken in now: not while its session is being
    /// opened, while it is closing, or while it has too much under way.
    pub fn wants_bytes(&self, conn: ConnId) -> bool {
        let is_busy = self.desk.options.outstanding.is_too_many();
        self.desk.connections.find(conn).is_some_and(|connection| connection.wants_bytes(is_busy))
    }

    /// Connections that have something to send or are to be closed, each once.
    pub fn take_touched(&mut self, into: &mut Vec<ConnId>) {
        self.desk.connections.take_touched(into);
    }

    /// What a connection has to send; the caller removes what it sent with
    /// [`Frontend::sent`]. Empty also for one that is gone.
    pub fn output(&self, conn: ConnId) -> &[u8] {
        self.desk.connections.find(conn).map_or(&[], Connection::unsent)
    }

    /// The first `bytes` of [`Frontend::output`] were sent. Tells whether the connection is to be
    /// closed now.
    pub fn sent(&mut self, conn: ConnId, bytes: usize) -> bool {
        self.desk.connections.sent(conn, bytes)
    }

    /// What the replica has to be told, in this order.
    pub fn inputs(&mut self) -> &mut Vec<Input> {
        &mut self.desk.inputs
    }

    /// Whether [`Frontend::collect`] would find something to do.
    pub fn has_work(&self) -> bool {
        self.reader.has_mail() || self.desk.connections.has_resumable()
    }

    /// Connections that did not finish the handshake and were opened before this moment.
    pub fn sessionless_since(&self, before: types::Instant) -> Vec<ConnId> {
        self.desk.connections.sessionless_since(before)
    }

    /// Connections that were to be closed some time ago, but whose clients do not take in what they
    /// were sent. Only those are found that were closing when this was asked before.
    pub fn lingering(&mut self, now: types::Instant) -> Vec<ConnId> {
        self.desk.connections.lingering(now)
    }

    /// What is counted here.
    pub fn stats(&self) -> Arc<FrontStats> {
        Arc::clone(&self.desk.stats)
    }

    /// What is counted of one connection.
    pub fn connection_stats(&self, conn: ConnId) -> Option<Arc<ConnectionStats>> {
        self.desk.connections.find(conn).map(|connection| Arc::clone(&connection.stats))
    }

    /// The watches of these connections.
    pub fn watches(&self) -> &WatchTable {
        &self.desk.watches
    }

    /// Lists the next part of the watches on data and existence. The work is bounded, so that the
    /// connections do not wait.
    pub fn list_watches(&self, from: WatchesFrom) -> WatchesPage {
        let Desk { watches, connections, .. } = &self.desk;
        let end = from.0.saturating_add(WATCHED_PATHS_LISTED_AT_ONCE).min(watches.slots());
        let session = |conn| connections.find(conn).map(|connection| connection.session);
        let listed = watches.data_watches(from.0..end);
        WatchesPage {
            watches: listed
                .map(|(path, conns)| (path.to_owned(), conns.filter_map(session).collect()))
                .collect(),
            next: (end < watches.slots()).then_some(WatchesFrom(end)),
        }
    }
}

/// The tree, held from the first look at it until the work at hand is done.
struct Held<'a> {
    reader: &'a TreeReader,
    guard: Option<std::sync::RwLockReadGuard<'a, Tree>>,
    /// Bytes of answers since it was taken.
    answered_bytes: usize,
}

impl<'a> Held<'a> {
    fn new(reader: &'a TreeReader) -> Self {
        Self { reader, guard: None, answered_bytes: 0 }
    }

    /// The tree; with the first look, all mail up to its state is worked off.
    fn look(&mut self, now: Now, desk: &mut Desk) -> &Tree {
        let reader = self.reader;
        let guard = match self.guard.take() {
            Some(guard) => guard,
            None => {
                let guard = reader.hold();
                if !mutant::active(54) {
                    desk.take_mail(now, reader);
                }
                desk.seen = guard.last_applied();
                guard
            }
        };
        self.guard.insert(guard)
    }

    /// Notes what was answered; after a lot of it the tree is let go until the next look.
    fn answered(&mut self, bytes: usize, desk: &mut Desk) {
        self.answered_bytes += bytes;
        if self.answered_bytes > BYTES_PER_READ_SECTION {
            self.release(desk);
        }
    }

    /// Lets the tree go; if it was held, the replica learns how many watches there are.
    fn release(&mut self, desk: &mut Desk) {
        if let Some(guard) = self.guard.take() {
            let received = std::mem::take(&mut desk.watches_received);
            self.reader.count_watches(desk.watches.len(), received);
            self.answered_bytes = 0;
            drop(guard);
        }
    }
}

impl Desk {
    fn count_watches(&self) {
        self.stats.watches.set(i64::try_from(self.watches.len()).unwrap_or(i64::MAX));
    }

    /// Works off the complete frames of `bytes`; returns how many bytes they took.
    fn work_off(&mut self, now: Now, conn: ConnId, bytes: &[u8], tree: &mut Held<'_>) -> usize {
        let mut consumed = 0;
        while let Some(connection) = self.connections.find(conn).filter(|it| it.takes_frames()) {
            let bytes_max = match connection.phase {
                Phase::Handshake => HANDSHAKE_BYTES_MAX.min(self.options.frame_bytes_max),
                _ => self.options.frame_bytes_max,
            };
            if let Some(large_requests) = &self.options.large_requests
                && let Some(length) = bytes[consumed..].first_chunk::<4>()
                && let Ok(length) = u64::try_from(i32::from_be_bytes(*length))
                && let Err(error) = large_requests.check(length)
            {
                self.no_room(now, conn, &error);
                return bytes.len();
            }
            match frame::split(&bytes[consumed..], bytes_max) {
                Ok(Some((body, length))) => {
                    self.on_frame(now, conn, body, tree);
                    if self.connections.find(conn).is_some_and(|it| it.awaits_answers) {
                        break;
                    }
                    consumed += length;
                    self.stats.received.add(1);
                }
                Ok(None) => break,
                Err(error) => {
                    self.misbehaved(now, conn, &error);
                    return bytes.len();
                }
            }
        }
        consumed
    }

    fn work_off_unread(&mut self, now: Now, conn: ConnId, tree: &mut Held<'_>) {
        let Some(connection) = self.connections.find_mut(conn) else { return };
        let mut unread = std::mem::take(&mut connection.unread);
        let consumed = self.work_off(now, conn, &unread, tree);
        unread.drain(..consumed);
        if let Some(connection) = self.connections.find_mut(conn)
            && !unread.is_empty()
        {
            connection.unread = unread;
        }
    }

    fn keep_unread(&mut self, conn: ConnId, rest: &[u8]) {
        if let Some(connection) = self.connections.find_mut(conn)
            && !rest.is_empty()
        {
            connection.unread.extend_from_slice(rest);
        }
    }

    fn on_frame(&mut self, now: Now, conn: ConnId, body: &[u8], tree: &mut Held<'_>) {
        let Some(connection) = self.connections.find_mut(conn) else { return };
        connection.stats.received.add(1);
        let in_flight = connection.in_flight;
        match connection.phase {
            Phase::Handshake => self.on_connect(now, conn, body, tree),
            Phase::Open => self.take_request(now, conn, body, tree),
            Phase::AwaitingSession | Phase::Closing => {}
        }
        if let Some(connection) = self.connections.find_mut(conn)
            && connection.in_flight > in_flight
        {
            connection.in_flight_bytes += body.len();
        }
    }

    fn on_connect(&mut self, now: Now, conn: ConnId, body: &[u8], tree: &mut Held<'_>) {
        let request = match ConnectRequest::decode(body) {
            Ok(request) => request,
            Err(error) => return self.misbehaved(now, conn, &error),
        };
        let last_applied = tree.look(now, self).last_applied();
        let Some(connection) = self.connections.find_mut(conn) else { return };
        if request.last_zxid_seen > last_applied && !mutant::active(52) {
            // It has seen what this server does not know: another server has to serve it.
            if let Some(suppressed) = self.lines.ahead.admit(now.instant) {
                warn!(peer = %connection.peer, seen = %request.last_zxid_seen, %last_applied,
                    suppressed, "client is ahead of this server, refused");
            }
            self.connections.close(conn);
            return;
        }
        connection.phase = Phase::AwaitingSession;
        self.stats.handshakes.add(1);
        connection.read_only_known = request.read_only.is_some();
        let resume = (request.session != types::SessionId::NONE)
            .then(|| (request.session, request.password.into()));
        let address = Address { front: tree.reader.front(), conn };
        let timeout_ms = request.timeout_ms;
        let accepts_read_only = request.read_only == Some(true);
        let connect = Connect { address, resume, timeout_ms, accepts_read_only };
        self.inputs.push(Input::Connect(connect));
    }

    /// Works a request off; if it is a large one and goes to the replica, it takes up room until it
    /// is answered.
    fn take_request(&mut self, now: Now, conn: ConnId, body: &[u8], tree: &mut Held<'_>) {
        let Some(large_requests) = &self.options.large_requests else {
            return self.on_request(now, conn, body, tree);
        };
        let room = match large_requests.take(body.len() as u64) {
            Ok(room) => room,
            Err(error) => return self.no_room(now, conn, &error),
        };
        let in_flight = |desk: &Self| desk.connections.find(conn).map(|it| it.in_flight);
        let before = in_flight(self);
        self.on_request(now, conn, body, tree);
        if in_flight(self) > before
            && let Some(connection) = self.connections.find_mut(conn)
        {
            connection.rooms.extend(room.map(|room| (connection.in_flight, room)));
        }
    }

    fn no_room(&mut self, now: Now, conn: ConnId, error: &NoRoom) {
        self.stats.large_requests_refused.add(1);
        self.misbehaved(now, conn, error);
    }

    fn on_request(&mut self, now: Now, conn: ConnId, body: &[u8], tree: &mut Held<'_>) {
        let Decoded { xid, op } = match Decoded::decode(body) {
            Ok(request) => request,
            Err(error) => return self.undecodable(now, conn, &error),
        };
        let Some(connection) = self.connections.find_mut(conn) else { return };
        connection.stats.last_operation.set(i64::from(opcode(&op).raw()));
        let is_credential = matches!(op, Op::Auth(_) | Op::Sasl(_));
        if !is_credential && self.options.access.demands_authentication(&connection.identities) {
            self.refuse(conn, xid, ErrorCode::SessionClosedRequireSaslAuth);
            return;
        }
        match op {
            Op::Ping => self.reply(now, conn, Xid::PING, Ok(Body::Empty)),
            Op::Auth(packet) => self.on_auth(now, conn, xid, &packet),
            Op::Sasl(_) => self.on_sasl(now, conn, xid),
            Op::Read(read) => self.on_read(now, conn, xid, read, tree),
            // A session begins with the first frame, and is not changed by its client. A leader would take
            // it for what another server asks.
            Op::Write(Write::CreateSession { .. }) => {
                let opcode = OpCode::CreateSession.raw();
                self.undecodable(now, conn, &RequestError::UnknownOpcode { xid, opcode });
            }
            Op::Write(write) if self.is_refused_eagerly(now, conn, xid, &write, tree) => {}
            Op::Write(write) => {
                self.hand_over(now, conn, xid, Ask::Write(write.into_owned()), tree);
            }
            Op::Sync { path } => {
                self.hand_over(now, conn, xid, Ask::Sync { path: path.into() }, tree);
            }
            Op::CloseSession => self.hand_over(now, conn, xid, Ask::CloseSession, tree),
        }
    }

    /// Refuses a write that its client has no permission for, outside of the order of transactions.
    /// Not while others are with the replica: their answers have to come first.
    fn is_refused_eagerly(
        &mut self,
        now: Now,
        conn: ConnId,
        xid: Xid,
        write: &Write<'_>,
        held: &mut Held<'_>,
    ) -> bool {
        if !self.options.eager_acl_check {
            return false;
        }
        let tree = held.look(now, self);
        let Some(connection) = self.connections.find(conn) else { return false };
        if connection.in_flight > 0 {
            return false;
        }
        let identities = &connection.identities;
        let refusal = eager::refusal(tree, &self.options.access, identities, write);
        if let Some(code) = refusal {
            self.reply_at(now, conn, xid, Zxid::ZERO, Err(code));
        }
        refusal.is_some()
    }

    /// Answers a read, or lets it follow the requests of the connection that are with the replica.
    fn on_read(&mut self, now: Now, conn: ConnId, xid: Xid, read: Read<'_>, held: &mut Held<'_>) {
        let tree = held.look(now, self);
        let Some(connection) = self.connections.find_mut(conn) else { return };
        if connection.in_flight == 0 || mutant::active(50) {
            self.answer(now, conn, xid, &read, held);
        } else if read::is_longer(self.options.long_answer_bytes, tree, connection.session, &read) {
            connection.awaits_answers = true;
        } else {
            self.hand_over(now, conn, xid, Ask::Read(read.into_owned()), held);
        }
    }

    /// Answers a read of a connection that has nothing with the replica.
    fn answer(&mut self, now: Now, conn: ConnId, xid: Xid, read: &Read<'_>, held: &mut Held<'_>) {
        let tree = held.look(now, self);
        let zxid = tree.last_applied();
        if read::concerns_watches_only(read) {
            self.answer_about_watches(now, conn, xid, zxid, read);
            return;
        }
        // The mail may have ended the session.
        let Self { connections, options, watches, stats, .. } = self;
        let Some(connection) = connections.answering(conn) else { return };
        let asker = Asker {
            access: &options.access,
            identities: &connection.identities,
            session: connection.session,
        };
        let before = connection.out.len();
        read::answer(tree, asker, xid, read, &mut connection.out, &mut |path, kind| {
            watches.add(conn, path, kind);
        });
        let bytes = connection.out.len() - before;
        stats.sent.add(1);
        stats.latency.add(std::time::Duration::ZERO, 1);
        connection.answered(now.instant, now.instant, xid, zxid);
        connections.touch(conn);
        held.answered(bytes, self);
    }

    fn answer_about_watches(
        &mut self,
        now: Now,
        conn: ConnId,
        xid: Xid,
        zxid: Zxid,
        read: &Read<'_>,
    ) {
        let found = |found: bool| if found { Ok(Body::Empty) } else { Err(ErrorCode::NoWatcher) };
        let result = match read {
            Read::AddWatch { path, mode } => {
                self.watches.add(conn, path, WatchKind::from(*mode));
                Ok(Body::WatchAdded)
            }
            Read::CheckWatches { path, kind } => found(self.watches.has(conn, path, *kind)),
            Read::RemoveWatches { path, kind } => found(self.watches.remove(conn, path, *kind)),
            _ => Err(ErrorCode::MarshallingError),
        };
        self.seen = self.seen.max(zxid);
        self.reply_at(now, conn, xid, zxid, result);
    }

    /// Gives a request to the replica; whatever follows it on the connection goes the same way
    /// until it is answered.
    fn hand_over(&mut self, now: Now, conn: ConnId, xid: Xid, ask: Ask, tree: &Held<'_>) {
        let Some(connection) = self.connections.find_mut(conn) else { return };
        connection.in_flight += 1;
        connection.stats.outstanding.set(i64::from(connection.in_flight));
        self.options.outstanding.add_one();
        if matches!(ask, Ask::CloseSession) {
            connection.takes_requests = false;
        }
        let request = Request {
            address: Address { front: tree.reader.front(), conn },
            xid,
            received: now.instant,
            identities: Arc::clone(&connection.identities),
            ask,
        };
        self.inputs.push(Input::Request(Box::new(request)));
    }

    fn reply(&mut self, now: Now, conn: ConnId, xid: Xid, result: Result<Body<'_>, ErrorCode>) {
        self.reply_at(now, conn, xid, self.seen, result);
    }

    fn reply_at(
        &mut self,
        now: Now,
        conn: ConnId,
        xid: Xid,
        zxid: Zxid,
        result: Result<Body<'_>, ErrorCode>,
    ) {
        let Some(connection) = self.connections.answering(conn) else { return };
        Reply { xid, zxid, result }.encode(&mut connection.out);
        connection.answered(now.instant, now.instant, xid, zxid);
        self.stats.sent.add(1);
        self.connections.touch(conn);
    }

    /// Answers with an error outside of the order of transactions, and closes.
    fn refuse(&mut self, conn: ConnId, xid: Xid, code: ErrorCode) {
        if let Some(connection) = self.connections.answering(conn) {
            Reply { xid, zxid: Zxid::ZERO, result: Err(code) }.encode(&mut connection.out);
        }
        self.connections.close(conn);
    }

    fn undecodable(&mut self, now: Now, conn: ConnId, error: &RequestError) {
        if let RequestError::UnknownOpcode { xid, .. } = error
            && let Some(connection) = self.connections.answering(conn)
        {
            let result = Err(ErrorCode::Unimplemented);
            Reply { xid: *xid, zxid: Zxid::from_raw(-1), result }.encode(&mut connection.out);
        }
        self.misbehaved(now, conn, error);
    }

    /// Closes a connection for what it sent.
    fn misbehaved(&mut self, now: Now, conn: ConnId, error: &dyn std::error::Error) {
        if let Some(connection) = self.connections.find(conn)
            && let Some(suppressed) = self.lines.misbehaved.admit(now.instant)
        {
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            warn!(peer = %connection.peer, session = %connection.session, %error, %source,
                suppressed, "connection closed for what it sent");
        }
        self.stats.misbehaved.add(1);
        self.connections.close(conn);
    }
}
