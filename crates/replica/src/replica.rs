//! The server minus its I/O.

mod delivery;
mod forwarding;
mod intake;
mod local;
mod member;
mod read_only;

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tracing::{debug, info, warn};
use tree::{SliceEnd, Tree};
use types::{
    Counter, Epoch, Instant, LineLimit, Now, SessionId, Sid, Txn, TxnDigest, TxnHeader, Xid, Zxid,
    mutant,
};
use wire::stored::LogBatch;

use crate::access::{AccessOptions, Identities};
use crate::connection_throttle::{ConnectionThrottle, ConnectionThrottleOptions};
use crate::digests::Digests;
use crate::effect::Effect;
use crate::ensemble::{Ensemble, EnsembleOptions, Standing};
use crate::input::{Connect, Input};
use crate::limits::{EPOCH_RESERVE, WORK_PER_WRITE_SECTION};
use crate::pending::Pending;
use crate::prepare::PrepareOptions;
use crate::published::{Address, FrontId, Publisher, TreeReader};
use crate::reap::{ReapOptions, Reaper};
use crate::request::{Committed, Content, Logged, Origin, Position, Proposal, Proposals};
use crate::request_throttle::{RequestThrottle, RequestThrottleOptions};
use crate::session::{Scope, Sessions};
use crate::snapshot::{SnapshotOptions, Snapshots};
use crate::view::{Inspection, Role, SessionView, Stats, TreeView};
use intake::Intake;
use member::Member;
pub use member::membership_in;

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
    /// The id of the first new session; see [`first_session`].
    pub first_session: SessionId,
    /// For hash tables and for the amounts between snapshots.
    pub seed: u64,
    /// Its part in an ensemble; `None` if it is alone.
    pub ensemble: Option<EnsembleOptions>,
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
    /// `None` on a server that is alone: what its log has is committed.
    member: Option<Member>,
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
    /// Its place among others, and what waits for them.
    ensemble: Ensemble,
    is_member: bool,
    /// The last transaction that was decided, here or by a leader.
    last_logged: Zxid,
    /// Decided since the last [`Effect::Append`].
    batch: LogBatch,
    /// Batches to fill again.
    spare_batches: Vec<LogBatch>,
    nobody: Arc<Identities>,
    /// Whether the tree keeps its digest.
    has_digest: bool,
    stats: Arc<Stats>,
    /// How often the log may tell of these.
    over_quota: LineLimit,
    throttled: LineLimit,
}

impl Replica {
    /// A replica that goes on from a recovered tree. Every session gets its full timeout again.
    pub fn new(mut options: Options, mut tree: Tree, now: Now) -> Self {
        let ensemble = options.ensemble.take();
        let place = Ensemble::new(ensemble.as_ref(), options.seed);
        let member = ensemble.map(|ensemble| Member::new(ensemble, now));
        if let Some(member) = &member {
            member.write_config(&mut tree, now);
        }
        let is_member = member.is_some();
        let mut digests = Digests::default();
        if member.as_ref().is_some_and(|member| member.peer().is_between_states()) {
            digests.replaced();
        }
        let mut core = Core {
            ensemble: place,
            is_member,
            pending: Pending::new(tree.digest().unwrap_or_default(), options.seed),
            proposals: Proposals::default(),
            sessions: Sessions::new(options.tick, options.first_session),
            speakers: HashMap::with_hasher(FixedState::with_seed(options.seed)),
            snapshots: Snapshots::new(options.snapshot, options.seed),
            reaper: Reaper::new(options.reap, now.instant),
            digests,
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
            over_quota: LineLimit::default(),
            throttled: LineLimit::default(),
            options,
        };
        if is_member {
            core.stats.set_role(Role::Looking);
        } else {
            core.track_all(now, &tree);
        }
        Self { publisher: Publisher::new(tree, core.options.fronts), core, member }
    }

    /// Takes in everything that happened since the last step, in its order, and appends to
    /// `effects` what is to be done about it.
    ///
    /// What has become durable is applied first: it frees what later requests wait for.
    pub fn step(&mut self, now: Now, inputs: &mut Vec<Input>, effects: &mut Vec<Effect>) {
        self.on_logged(now, inputs, effects);
        let (tree, mut post) = self.publisher.read();
        let mut section = Intake::new(&mut self.core, self.member.as_ref(), &tree, &mut post);
        let mut snapshot_moves = Vec::new();
        let mut news = Vec::new();
        for input in inputs.drain(..) {
            match input {
                Input::Request(request) => section.take_request(now, request),
                Input::Connect(connect) => section.on_connect(now, &connect),
                Input::Disconnected(address) => section.core.take_disconnected(address),
                Input::LogSynced { spare, .. } => {
                    // A member's batches stay with its peer for a while.
                    if let Some(mut spare) = spare.filter(|_| !section.core.is_member) {
                        spare.clear();
                        section.core.spare_batches.push(spare);
                    }
                }
                Input::SnapshotTakesMore
                | Input::StreamTakesMore(_)
                | Input::SnapshotOver
                | Input::SnapshotAbandoned
                | Input::TakeSnapshot => snapshot_moves.push(input),
                Input::Peer(_) | Input::DatabaseCut { .. } | Input::DatabaseReplaced { .. } => {
                    news.push(input);
                }
                Input::Inspect => effects.push(Effect::Inspected(section.core.inspect())),
                Input::Deadline => {}
            }
        }
        section.release(now);
        section.expire(now);
        drop(tree);
        for input in news {
            self.on_news(now, input, effects);
        }
        for input in snapshot_moves {
            self.on_snapshot_move(&input, effects);
            if let Input::StreamTakesMore(link) = input {
                self.take(now, zab::Input::SnapshotTakesMore { link }, effects);
            }
        }
        self.settle(now, effects);
    }

    /// When [`Replica::step`] has to be called next, though nothing happened.
    pub fn next_deadline(&self) -> Instant {
        let peer = self.member.as_ref().and_then(Member::next_deadline);
        let leads = self.core.ensemble.standing == Standing::Leading;
        let reaping = leads.then(|| self.core.reaper.next_deadline());
        let expires = self.core.expires_sessions();
        let expiry = self.core.sessions.next_deadline().filter(|_| expires);
        let read_only = self.core.ensemble.read_only_at;
        let next = [peer, reaping, expiry, read_only].into_iter().flatten().min();
        next.unwrap_or(Instant::from_nanos(u64::MAX))
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

    /// Applies what has become durable, or tells the peer of it.
    fn on_logged(&mut self, now: Now, inputs: &[Input], effects: &mut Vec<Effect>) {
        let synced = inputs.iter().filter_map(|input| match input {
            Input::LogSynced { zxid, .. } => Some(*zxid),
            _ => None,
        });
        let synced = if mutant::active(102) { Some(self.core.last_logged) } else { synced.max() };
        let Some(zxid) = synced else { return };
        debug!(%zxid, "durable");
        if self.core.is_member {
            self.take(now, zab::Input::LogSynced { zxid }, effects);
        } else {
            self.deliver(now, Committed::by_own_log(zxid));
        }
    }

    fn on_news(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Peer(input) => self.take(now, input, effects),
            Input::DatabaseCut { last_logged, tree } => {
                self.on_cut(now, last_logged, *tree, effects);
            }
            Input::DatabaseReplaced { link, last_applied, tree } => {
                self.on_replaced(now, link, last_applied, *tree, effects);
            }
            _ => {}
        }
    }

    /// Applies what is committed.
    fn deliver(&mut self, now: Now, committed: Committed) {
        loop {
            let mut section = self.publisher.write();
            let (tree, mut post) = section.parts();
            let mut done = 0;
            while done < WORK_PER_WRITE_SECTION {
                let Some(proposal) = self.core.proposals.pop(committed) else { return };
                done += 1 + proposal.behind.len();
                self.core.deliver(now, tree, &mut post, proposal);
            }
        }
    }

    fn on_snapshot_move(&mut self, input: &Input, effects: &mut Vec<Effect>) {
        let mut section = self.publisher.write();
        let (tree, _) = section.parts();
        match input {
            Input::SnapshotTakesMore => self.core.snapshots.go_on(tree, effects),
            Input::StreamTakesMore(link) => {
                let end = self.core.snapshots.go_on_with_stream(*link, tree, effects);
                if end == SliceEnd::Done {
                    self.core.ensemble.between_states.sent(*link, tree.last_applied());
                }
            }
            Input::SnapshotOver => self.core.snapshots.over(tree),
            Input::SnapshotAbandoned => self.core.snapshots.abandoned(),
            Input::TakeSnapshot => self.core.snapshots.ask(),
            _ => {}
        }
    }

    /// Derives what follows from the inputs: deletions that are due, the batch for the log, a
    /// snapshot, the mail.
    fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let leads = self.core.ensemble.standing == Standing::Leading;
        if leads && now.instant >= self.core.reaper.next_deadline() {
            self.reap(now);
        }
        if self.core.is_member {
            self.settle_member(now, effects);
            self.settle_read_only(now);
        } else if !self.core.batch.is_empty() {
            let empty = self.core.spare_batches.pop().unwrap_or_default();
            let batch = std::mem::replace(&mut self.core.batch, empty);
            self.core.snapshots.logged(batch.count(), batch.as_bytes().len());
            effects.push(Effect::Append(Arc::new(batch)));
        }
        self.begin_snapshots(effects);
        let locals = i64::try_from(self.core.sessions.locals()).unwrap_or(i64::MAX);
        self.core.stats.local_sessions.set(locals);
        self.publisher.post(|front| effects.push(Effect::Wake(front)));
    }

    fn reap(&mut self, now: Now) {
        let mut section = self.publisher.write();
        let (tree, mut post) = section.parts();
        if let Some(path) = self.core.reaper.next(now, tree) {
            let rules = self.core.reaper.rules(now);
            let member = self.member.as_ref();
            let mut intake = Intake::new(&mut self.core, member, tree, &mut post);
            intake.propose_own(now, SessionId::NONE, |it| it.reap(path.into(), rules));
        }
    }

    /// Begins what is due. No file is written while it is unknown whether what is applied is
    /// committed; learners get it, as it may take them to commit it.
    fn begin_snapshots(&mut self, effects: &mut Vec<Effect>) {
        let has_leader =
            matches!(self.core.ensemble.standing, Standing::Leading | Standing::Following(_));
        if has_leader && self.core.snapshots.is_due() {
            self.begin_snapshot(effects);
        }
        if self.core.snapshots.is_stream_due() {
            let mut section = self.publisher.write();
            let (tree, _) = section.parts();
            self.core.snapshots.begin_stream(tree, effects);
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

impl Core {
    fn inspect(&self) -> Inspection {
        Inspection { sessions: self.session_views(), digests: self.digests.iter().collect() }
    }

    fn session_views(&self) -> Vec<SessionView> {
        let view =
            |(id, expires, scope)| SessionView { id, expires, is_local: scope == Scope::Local };
        self.sessions.iter().map(view).collect()
    }

    /// The timeout that a session gets whose client wishes this one.
    fn clamped(&self, timeout_ms: i32) -> Duration {
        let wished = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default());
        let bounds = &self.options.session_timeouts;
        wished.clamp(*bounds.start(), *bounds.end())
    }

    /// Whether another epoch has to begin soon: with a number of zxids left that no step uses up.
    fn is_epoch_nearly_used_up(&self) -> bool {
        let Counter(counter) = self.last_logged.counter();
        self.ensemble.standing == Standing::Leading && counter > u32::MAX - EPOCH_RESERVE
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
        assert_eq!(self.ensemble.standing, Standing::Leading, "only who leads decides");
        assert!(header.zxid > self.last_logged, "zxids ascend");
        let digest = match txn {
            _ if !self.has_digest => None,
            Txn::Error { .. } => None,
            _ => Some(TxnDigest { version: TxnDigest::VERSION, tree: self.pending.digest() }),
        };
        let payload = self.batch.push(&header, &txn, digest);
        self.last_logged = header.zxid;
        self.stats.proposals.add(1);
        let content = match txn {
            // Who is alone gets its batches back from the log, so as to fill them again.
            Txn::SetData { .. } if self.is_member => {
                Content::SetData(Logged { batch: None, payload })
            }
            txn => Content::Txn(txn),
        };
        self.proposals.push(Proposal { header, content, digest, origin, behind: Vec::new() })
    }
}

/// The id of a server's first new session: by the clock, in milliseconds since some fixed moment, so
/// that it differs from those of earlier runs; but after every session that is still there.
pub fn first_session(sid: Sid, clock_ms: i64, tree: &Tree) -> SessionId {
    let by_clock = SessionId::first(sid, clock_ms);
    let of_this_server = |id: &SessionId| id.server_byte() == by_clock.server_byte();
    let newest = tree.sessions().map(|(id, _)| id).filter(of_this_server).max();
    newest.map_or(by_clock, |newest| by_clock.max(newest.next()))
}
