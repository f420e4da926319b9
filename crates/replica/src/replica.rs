//! The server minus its I/O.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tracing::{debug, info, warn};
use tree::{Applied, Change, Tree};
use types::{
    AclList, Counter, Epoch, ErrorCode, Instant, Now, SessionId, Sid, Txn, TxnDigest, TxnHeader,
    Write, Xid, Zxid, mutant,
};
use wire::reply::{Body, Reply};
use wire::stored::LogBatch;

use crate::access::{AccessOptions, Identities};
use crate::connection_throttle::{ConnectionThrottle, ConnectionThrottleOptions};
use crate::digests::Digests;
use crate::effect::Effect;
use crate::input::{Ask, Connect, Input, Request};
use crate::limits::TXNS_PER_WRITE_SECTION;
use crate::pending::Pending;
use crate::prepare::{Preparation, PrepareOptions};
use crate::published::{
    Address, ChangeKind, Established, FrontId, Mail, Post, PublishedChange, Publisher, TreeReader,
    WatchRequest,
};
use crate::read::{self, Asker};
use crate::reap::{ReapOptions, Reaper};
use crate::reply;
use crate::request::{Durable, Origin, Position, Proposal, Proposals, Question, Waiting};
use crate::request_throttle::{Released, RequestThrottle, RequestThrottleOptions};
use crate::session::Sessions;
use crate::snapshot::{SnapshotOptions, Snapshots};
use crate::view::{Inspection, SessionView, Stats, TreeView};

/// How a replica behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// This server's id; sessions carry it.
    pub sid: Sid,
    /// The unit in which sessions expire.
    pub tick: Duration,
    /// The shortest and longest timeouts a session may have.
    pub session_timeouts: std::ops::RangeInclusive<Duration>,
    /// Who may do what.
    pub access: AccessOptions,
    /// What writes are checked against beside that.
    pub prepare: PrepareOptions,
    /// Whether the end of a session lists its ephemerals in the log.
    pub close_session_paths: bool,
    /// When snapshots are taken.
    pub snapshot: SnapshotOptions,
    /// How unused znodes are looked for.
    pub reap: ReapOptions,
    /// How many connections may get a session at a time; `None`: any number.
    pub connection_throttle: Option<ConnectionThrottleOptions>,
    /// How many requests may be under way.
    pub request_throttle: RequestThrottleOptions,
    /// How many frontends there are.
    pub fronts: usize,
    /// Milliseconds of a clock that never goes back, also not over a restart of this process, so
    /// that session ids differ from those of earlier runs.
    pub session_id_clock_ms: i64,
    /// For hash tables and for the amounts between snapshots.
    pub seed: u64,
}

/// A session's connection, as the replica sees it.
#[derive(Debug)]
struct Speaker {
    session: SessionId,
    /// The last proposal that something it asked stands behind.
    last: Option<Position>,
}

/// The server minus its I/O: decides over writes, applies them when they are durable, and tracks
/// sessions.
///
/// One thread owns it. A standalone server is an ensemble of one: what is durable here is
/// committed.
#[derive(Debug)]
pub struct Replica {
    publisher: Publisher,
    core: Core,
}

/// Everything but the tree, so that the tree can be held while this changes.
#[derive(Debug)]
struct Core {
    options: Options,
    pending: Pending,
    proposals: Proposals,
    sessions: Sessions,
    speakers: HashMap<Address, Speaker, FixedState>,
    snapshots: Snapshots,
    reaper: Reaper,
    digests: Digests,
    /// `None`: any number of connections may come at once.
    connection_throttle: Option<ConnectionThrottle>,
    /// `None`: any number of requests may be under way.
    request_throttle: Option<RequestThrottle>,
    /// The last transaction that was decided.
    last_logged: Zxid,
    /// Decided since the last [`Effect::Append`].
    batch: LogBatch,
    /// Batches to fill again.
    spare_batches: Vec<LogBatch>,
    nobody: Arc<Identities>,
    /// Whether the tree keeps its digest.
    has_digest: bool,
    stats: Arc<Stats>,
}

impl Replica {
    /// A replica that goes on from a recovered tree. Every session gets its full timeout again.
    pub fn new(options: Options, tree: Tree, now: Now) -> Self {
        let first = first_session(&options, &tree);
        let mut sessions = Sessions::new(options.tick, first);
        for (id, timeout_ms) in tree.sessions() {
            let timeout = Duration::from_millis(u64::from(timeout_ms.unsigned_abs()));
            sessions.track(now.instant, id, timeout);
        }
        let core = Core {
            pending: Pending::new(tree.digest().unwrap_or_default(), options.seed),
            proposals: Proposals::default(),
            sessions,
            speakers: HashMap::with_hasher(FixedState::with_seed(options.seed)),
            snapshots: Snapshots::new(options.snapshot, options.seed),
            reaper: Reaper::new(options.reap, now.instant),
            digests: Digests::default(),
            connection_throttle: options
                .connection_throttle
                .map(|throttle| ConnectionThrottle::new(throttle, now.instant, options.seed)),
            request_throttle: options
                .request_throttle
                .is_on()
                .then(|| RequestThrottle::new(options.request_throttle, options.seed)),
            last_logged: tree.last_applied(),
            batch: LogBatch::new(),
            spare_batches: Vec::new(),
            nobody: Arc::new(Identities::default()),
            has_digest: tree.options().digest,
            stats: Arc::new(Stats::default()),
            options,
        };
        Self { publisher: Publisher::new(tree, core.options.fronts), core }
    }

    /// Takes in everything that happened since the last step, in its order, and appends to
    /// `effects` what is to be done about it.
    ///
    /// What has become durable is applied first: it frees what later requests wait for.
    pub fn step(&mut self, now: Now, inputs: &mut Vec<Input>, effects: &mut Vec<Effect>) {
        let durable = inputs.iter().filter_map(|input| match input {
            Input::LogSynced { zxid, .. } => Some(Durable::from_log(*zxid)),
            _ => None,
        });
        let durable = if mutant::active(102) {
            Some(Durable::from_log(self.core.last_logged))
        } else {
            durable.max()
        };
        if let Some(durable) = durable {
            self.on_log_synced(now, durable);
        }
        let (tree, mut post) = self.publisher.read();
        let mut section = Reading { core: &mut self.core, tree: &tree, post: &mut post };
        let mut snapshot_moves = Vec::new();
        for input in inputs.drain(..) {
            match input {
                Input::Request(request) => section.take_request(now, request),
                Input::Connect(connect) => section.on_connect(now, &connect),
                Input::Disconnected(address) => section.core.take_disconnected(address),
                Input::LogSynced { mut spare, .. } => {
                    spare.clear();
                    section.core.spare_batches.push(spare);
                }
                Input::SnapshotTakesMore | Input::SnapshotOver | Input::TakeSnapshot => {
                    snapshot_moves.push(input);
                }
                Input::Inspect => effects.push(Effect::Inspected(section.core.inspect())),
                Input::Deadline => {}
            }
        }
        section.release(now);
        section.expire(now);
        drop(tree);
        for input in snapshot_moves {
            self.on_snapshot_move(&input, effects);
        }
        self.settle(now, effects);
    }

    /// When [`Replica::step`] has to be called next, though nothing happened.
    pub fn next_deadline(&self) -> Instant {
        let reaping = self.core.reaper.next_deadline();
        self.core.sessions.next_deadline().map_or(reaping, |expiry| expiry.min(reaping))
    }

    /// The reading end for one frontend.
    pub fn reader(&self, front: FrontId) -> TreeReader {
        self.publisher.reader(front)
    }

    /// The numbers that operators ask for.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.core.stats)
    }

    /// The sessions it tracks, with the time at which they end unless their client is heard of.
    pub fn sessions(&self) -> Vec<SessionView> {
        self.core.session_views()
    }

    /// Transactions that are decided and not applied.
    pub fn outstanding(&self) -> usize {
        self.core.proposals.len()
    }

    /// The tree as operators see it.
    pub fn tree_view(&self) -> TreeView {
        TreeView::new(self.publisher.access())
    }

    fn on_log_synced(&mut self, now: Now, durable: Durable) {
        debug!(zxid = %durable.zxid(), "durable");
        loop {
            let mut section = self.publisher.write();
            let (tree, mut post) = section.parts();
            for _ in 0..TXNS_PER_WRITE_SECTION {
                let Some(proposal) = self.core.proposals.pop(durable) else { return };
                self.core.deliver(now, tree, &mut post, proposal);
            }
        }
    }

    fn on_snapshot_move(&mut self, input: &Input, effects: &mut Vec<Effect>) {
        let mut section = self.publisher.write();
        let (tree, _) = section.parts();
        match input {
            Input::SnapshotTakesMore => self.core.snapshots.go_on(tree, effects),
            Input::SnapshotOver => self.core.snapshots.over(tree),
            Input::TakeSnapshot => self.core.snapshots.ask(),
            _ => {}
        }
    }

    /// Derives what follows from the inputs: deletions that are due, the batch for the log, a
    /// snapshot, the mail.
    fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if now.instant >= self.core.reaper.next_deadline() {
            self.reap(now);
        }
        if !self.core.batch.is_empty() {
            let empty = self.core.spare_batches.pop().unwrap_or_default();
            let batch = std::mem::replace(&mut self.core.batch, empty);
            self.core.snapshots.logged(batch.count(), batch.as_bytes().len());
            effects.push(Effect::Append(batch));
        }
        if self.core.snapshots.is_due() {
            self.begin_snapshot(effects);
        }
        self.publisher.post(|front| effects.push(Effect::Wake(front)));
    }

    fn reap(&mut self, now: Now) {
        let mut section = self.publisher.write();
        let (tree, mut post) = section.parts();
        if let Some(path) = self.core.reaper.next(now, tree) {
            let write = Write::DeleteContainer { path: path.into() };
            let mut reading = Reading { core: &mut self.core, tree, post: &mut post };
            reading.propose_own(now, SessionId::NONE, |preparation| preparation.write(write));
        }
    }

    fn begin_snapshot(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::RollLog);
        if self.core.snapshots.is_running() {
            warn!("the last snapshot is still being written, this one is skipped");
            return;
        }
        let mut section = self.publisher.write();
        let (tree, _) = section.parts();
        info!(zxid = %tree.last_applied(), "taking a snapshot");
        self.core.snapshots.begin(tree, effects);
    }
}

/// The replica while it looks at the tree.
struct Reading<'a, 'p> {
    core: &'a mut Core,
    tree: &'a Tree,
    post: &'a mut Post<'p>,
}

impl Reading<'_, '_> {
    fn on_connect(&mut self, now: Now, connect: &Connect) {
        let Connect { address, ref resume, timeout_ms } = *connect;
        let wished = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default());
        if !self.core.admits(now, connect) {
            info!(?address, "too many connections at once, closed; see connection_throttle_tokens");
            self.post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
            return;
        }
        let bounds = &self.core.options.session_timeouts;
        let timeout = wished.clamp(*bounds.start(), *bounds.end());
        match resume {
            Some((session, password)) => self.resume(now, address, *session, password, timeout),
            None => {
                let session = self.core.sessions.allocate();
                let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
                let header = self.core.next_header(now, session, Xid::INTERNAL);
                let txn = Txn::CreateSession { timeout_ms };
                self.core.propose(header, txn, Origin::Handshake(address));
            }
        }
    }

    /// Binds a connection to a session that is there, if it knows its password. A connection that
    /// spoke for it before is closed in any case.
    fn resume(
        &mut self,
        now: Now,
        address: Address,
        id: SessionId,
        password: &[u8],
        timeout: Duration,
    ) {
        if let Some(before) = self.core.sessions.find_mut(id).and_then(|it| it.address.take()) {
            if !mutant::active(48) {
                self.core.speakers.remove(&before);
            }
            self.post.outbox(before.front).mail.push(Mail::Close { conn: before.conn });
        }
        let outbox = self.post.outbox(address.front);
        let knows_password = id.password().0 == *password || mutant::active(104);
        let session = self.core.sessions.find_mut(id).filter(|it| !it.is_closing);
        let Some(session) = session.filter(|_| knows_password) else {
            outbox.mail.push(Mail::Refused { conn: address.conn });
            return;
        };
        session.address = Some(address);
        session.heartbeat.beat(now.instant);
        let established = Established {
            conn: address.conn,
            session: id,
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            heartbeat: session.heartbeat.clone(),
        };
        self.core.sessions.set_timeout(id, timeout);
        self.core.speakers.insert(address, Speaker { session: id, last: None });
        self.queue(Waiting {
            address,
            session: id,
            xid: Xid::INTERNAL,
            received: now.instant,
            identities: Arc::clone(&self.core.nobody),
            question: Question::Resume(Box::new(established)),
        });
    }

    /// Works a request off, or lets it wait if the operator limits how many are under way.
    fn take_request(&mut self, now: Now, request: Box<Request>) {
        match &mut self.core.request_throttle {
            None => self.on_request(now, *request),
            Some(throttle) => throttle.request(request),
        }
    }

    /// Works off what waits, as far as there is room.
    fn release(&mut self, now: Now) {
        loop {
            let Core { request_throttle, proposals, speakers, sessions, stats, .. } =
                &mut *self.core;
            let Some(throttle) = request_throttle else { return };
            let timeout = |address| {
                let speaker: &Speaker = speakers.get(&address)?;
                sessions.open(speaker.session).map(|session| session.timeout)
            };
            let Some(next) = throttle.next(now.instant, proposals.len(), timeout) else { return };
            match next {
                Released::Request(request) => self.on_request(now, *request),
                Released::Disconnected(address) => self.core.on_disconnected(address),
                Released::Orphaned => stats.stale_requests.add(1),
                Released::Stale(address) => {
                    stats.stale_requests.add(1);
                    self.post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
                }
                Released::TooLate(request) => {
                    stats.throttled_requests.add(1);
                    self.refuse(*request, ErrorCode::ThrottledOp);
                }
            }
        }
    }

    /// Answers a request with an error, in its place among those of its connection.
    fn refuse(&mut self, request: Request, code: ErrorCode) {
        let Request { address, xid, received, identities, .. } = request;
        let Some(speaker) = self.core.speakers.get(&address) else { return };
        let session = speaker.session;
        let question = Question::Refused(code);
        self.queue(Waiting { address, session, xid, received, identities, question });
    }

    fn on_request(&mut self, now: Now, request: Request) {
        let Request { address, xid, received, identities, ask } = request;
        // A connection that was closed, or whose session moved away, may still have sent something.
        let Some(speaker) = self.core.speakers.get(&address) else {
            debug!(?address, ?xid, "request of a closed connection ignored");
            return;
        };
        let session = speaker.session;
        if self.core.sessions.open(session).is_none() && !mutant::active(45) {
            debug!(%session, ?xid, "request of a closing session ignored");
            return;
        }
        let origin = Origin::Request { address, xid, received };
        let question = match ask {
            Ask::Write(write) => {
                let header = self.core.next_header(now, session, xid);
                let txn = self.prepare(header, &identities, |it| it.write(write));
                self.propose_for(address, header, txn, origin);
                return;
            }
            Ask::CloseSession => {
                self.propose_close(now, session, xid, origin);
                return;
            }
            Ask::Read(read) => Question::Read(read),
            Ask::Sync { path } => Question::Sync { path },
        };
        self.queue(Waiting { address, session, xid, received, identities, question });
    }

    /// Lets a question wait for what it stands behind, or answers it.
    fn queue(&mut self, waiting: Waiting) {
        let Some(speaker) = self.core.speakers.get_mut(&waiting.address) else { return };
        if matches!(waiting.question, Question::Sync { .. } | Question::Resume(_))
            && !mutant::active(113)
        {
            speaker.last = self.core.proposals.last();
        }
        let proposal = speaker.last.and_then(|position| self.core.proposals.at(position));
        match proposal {
            Some(proposal) => proposal.behind.push(waiting),
            None => self.core.answer(self.tree, self.post, waiting),
        }
    }

    /// Ends the sessions whose time is over.
    fn expire(&mut self, now: Now) {
        if self.core.sessions.next_deadline().is_none_or(|deadline| now.instant < deadline) {
            return;
        }
        for session in self.core.sessions.expired(now.instant) {
            info!(%session, "session expired");
            self.core.stats.expired_sessions.add(1);
            self.propose_close(now, session, Xid::INTERNAL, Origin::Server);
        }
    }

    fn propose_close(&mut self, now: Now, session: SessionId, xid: Xid, origin: Origin) {
        if let Some(session) = self.core.sessions.find_mut(session) {
            session.is_closing = true;
        }
        let header = self.core.next_header(now, session, xid);
        let nobody = Arc::clone(&self.core.nobody);
        let with_paths = self.core.options.close_session_paths;
        let txn = self.prepare(header, &nobody, |it| it.close_session(with_paths));
        self.core.propose(header, txn, origin);
    }

    /// Proposes what the server itself wants. As with a client's write, the order has a place for it
    /// also if it is refused.
    fn propose_own(
        &mut self,
        now: Now,
        session: SessionId,
        decide: impl FnOnce(&mut Preparation<'_>) -> Result<Txn, ErrorCode>,
    ) {
        let header = self.core.next_header(now, session, Xid::INTERNAL);
        let nobody = Arc::clone(&self.core.nobody);
        let txn = self.prepare(header, &nobody, decide);
        self.core.propose(header, txn, Origin::Server);
    }

    fn prepare(
        &mut self,
        header: TxnHeader,
        identities: &Identities,
        decide: impl FnOnce(&mut Preparation<'_>) -> Result<Txn, ErrorCode>,
    ) -> Txn {
        let mut preparation = Preparation {
            tree: self.tree,
            pending: &mut self.core.pending,
            access: &self.core.options.access,
            options: &self.core.options.prepare,
            session: header.session,
            identities,
            zxid: header.zxid,
            time_ms: header.time_ms,
        };
        decide(&mut preparation).unwrap_or_else(|code| Txn::Error { code: code.raw() })
    }

    fn propose_for(&mut self, address: Address, header: TxnHeader, txn: Txn, origin: Origin) {
        let position = self.core.propose(header, txn, origin);
        if let Some(speaker) = self.core.speakers.get_mut(&address) {
            speaker.last = Some(position);
        }
    }
}

impl Core {
    fn inspect(&self) -> Inspection {
        Inspection { sessions: self.session_views(), digests: self.digests.iter().collect() }
    }

    fn session_views(&self) -> Vec<SessionView> {
        self.sessions.iter().map(|(id, expires)| SessionView { id, expires }).collect()
    }

    /// Whether a connection may have its session, as far as the throttle goes.
    fn admits(&mut self, now: Now, connect: &Connect) -> bool {
        let Some(throttle) = &mut self.connection_throttle else { return true };
        let is_admitted = throttle.admits(now.instant, connect.resume.is_some());
        self.stats.throttled_connections.add(u64::from(!is_admitted));
        self.stats.set_drop_share(throttle.drop_share());
        is_admitted
    }

    /// Notes the end of a connection, behind the requests of it that wait.
    fn take_disconnected(&mut self, address: Address) {
        match &mut self.request_throttle {
            None => self.on_disconnected(address),
            Some(throttle) => throttle.disconnected(address),
        }
    }

    fn on_disconnected(&mut self, address: Address) {
        if let Some(speaker) = self.speakers.remove(&address)
            && let Some(session) = self.sessions.find_mut(speaker.session)
        {
            session.address = None;
        }
    }

    /// The place after the last one. When an epoch is used up, an ensemble of one elects itself
    /// again: the next epoch starts.
    fn next_header(&mut self, now: Now, session: SessionId, cxid: Xid) -> TxnHeader {
        let Epoch(epoch) = self.last_logged.epoch();
        let next_epoch = || Zxid::new(Epoch(epoch.wrapping_add(1)), Counter(1));
        let zxid = match self.last_logged.next() {
            None if mutant::active(61) => self.last_logged.successor(),
            next => next.unwrap_or_else(next_epoch),
        };
        TxnHeader { session, cxid, zxid, time_ms: now.wall_ms }
    }

    fn propose(&mut self, header: TxnHeader, txn: Txn, origin: Origin) -> Position {
        assert!(header.zxid > self.last_logged, "zxids ascend");
        let digest = match txn {
            _ if !self.has_digest => None,
            Txn::Error { .. } => None,
            _ => Some(TxnDigest { version: TxnDigest::VERSION, tree: self.pending.digest() }),
        };
        self.batch.push(&header, &txn, digest);
        self.last_logged = header.zxid;
        self.stats.proposals.add(1);
        self.proposals.push(Proposal { header, txn, origin, behind: Vec::new() })
    }

    /// Applies a transaction and does everything that waited for it.
    fn deliver(&mut self, now: Now, tree: &mut Tree, post: &mut Post<'_>, proposal: Proposal) {
        let Proposal { header, txn, origin, behind } = proposal;
        let zxid = header.zxid;
        let applied = if post.is_watched() {
            tree.apply(&header, &txn, &mut |change| post.publish(&published(zxid, change)))
        } else {
            tree.apply(&header, &txn, &mut |_| {})
        };
        self.pending.applied(zxid);
        self.digests.applied(zxid, tree.digest());
        self.stats.commits.add(1);
        let mut behind = behind;
        if mutant::active(51) {
            for waiting in behind.drain(..) {
                self.answer(tree, post, waiting);
            }
        }
        match (&txn, origin) {
            (Txn::CreateSession { timeout_ms }, Origin::Handshake(address)) => {
                self.establish(now, post, header.session, *timeout_ms, address);
            }
            (_, Origin::Request { address, xid, received }) => {
                self.acknowledge(post, address, xid, received, zxid, &txn, &applied);
            }
            (_, Origin::Handshake(_) | Origin::Server) => {}
        }
        if matches!(txn, Txn::CloseSession { .. }) {
            self.end(post, header.session);
        }
        for waiting in behind {
            self.answer(tree, post, waiting);
        }
    }

    fn establish(
        &mut self,
        now: Now,
        post: &mut Post<'_>,
        id: SessionId,
        timeout_ms: i32,
        address: Address,
    ) {
        let timeout = Duration::from_millis(u64::from(timeout_ms.unsigned_abs()));
        self.sessions.track(now.instant, id, timeout);
        let Some(session) = self.sessions.find_mut(id) else { return };
        session.address = Some(address);
        let established = Established {
            conn: address.conn,
            session: id,
            timeout_ms,
            heartbeat: session.heartbeat.clone(),
        };
        let mail = Mail::Established(Box::new(established));
        post.outbox(address.front).mail.push(mail);
        self.speakers.insert(address, Speaker { session: id, last: None });
    }

    #[expect(clippy::too_many_arguments, reason = "all that one acknowledgement consists of")]
    fn acknowledge(
        &self,
        post: &mut Post<'_>,
        address: Address,
        xid: Xid,
        received: Instant,
        zxid: Zxid,
        txn: &Txn,
        applied: &Applied,
    ) {
        post.outbox(address.front).reply(address.conn, received, |out| {
            reply::to_write(xid, zxid, txn, applied, out);
        });
    }

    /// The session is over: its connection, if there is one, is closed after what it was sent.
    fn end(&mut self, post: &mut Post<'_>, id: SessionId) {
        let Some(session) = self.sessions.forget(id) else { return };
        if let Some(address) = session.address {
            self.speakers.remove(&address);
            post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
        }
    }

    /// Answers what is no longer behind anything.
    fn answer(&self, tree: &Tree, post: &mut Post<'_>, waiting: Waiting) {
        let Waiting { address, session, xid, received, identities, question } = waiting;
        let Address { front, conn } = address;
        let zxid = tree.last_applied();
        match question {
            Question::Sync { path } => post.outbox(front).reply(conn, received, |out| {
                Reply { xid, zxid, result: Ok(Body::Path(&path)) }.encode(out);
            }),
            Question::Refused(code) => post.outbox(front).reply(conn, received, |out| {
                Reply { xid, zxid, result: Err(code) }.encode(out);
            }),
            Question::Resume(established) => {
                post.outbox(front).mail.push(Mail::Established(established));
            }
            Question::Read(read) if read::concerns_watches_only(&read) => {
                post.watch_request(front, WatchRequest { conn, xid, zxid, read, received });
            }
            Question::Read(read) => {
                let asker =
                    Asker { access: &self.options.access, identities: &identities, session };
                let mut watches = Vec::new();
                post.outbox(front).reply(conn, received, |out| {
                    read::answer(tree, asker, xid, &read, out, &mut |path, kind| {
                        watches.push((path.to_owned(), kind));
                    });
                });
                for (path, kind) in watches {
                    post.watch(address, &path, kind);
                }
            }
        }
    }
}

/// The id of the first new session: by the clock, but after every session that is still there, in
/// case the clock went back.
fn first_session(options: &Options, tree: &Tree) -> SessionId {
    let by_clock = SessionId::first(options.sid, options.session_id_clock_ms);
    let of_this_server = |id: &SessionId| id.0 >> 56 == by_clock.0 >> 56;
    let newest = tree.sessions().map(|(id, _)| id).filter(of_this_server).max();
    newest.map_or(by_clock, |newest| by_clock.max(newest.next()))
}

/// A change as the watchers of all frontends are told of it.
fn published(zxid: Zxid, change: Change<'_>) -> Arc<PublishedChange> {
    let restricted = |acl: &AclList| (*acl != AclList::open()).then(|| acl.clone());
    let (kind, path, acl, parent_acl) = match change {
        Change::Created { path, acl, parent_acl } => {
            (ChangeKind::Created, path, acl, restricted(parent_acl))
        }
        Change::Deleted { path, acl, parent_acl } => {
            (ChangeKind::Deleted, path, acl, restricted(parent_acl))
        }
        Change::DataChanged { path, acl } => (ChangeKind::DataChanged, path, acl, None),
    };
    Arc::new(PublishedChange { zxid, kind, path: path.into(), acl: restricted(acl), parent_acl })
}
