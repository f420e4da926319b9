//! What operators may know of a running replica.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use types::{Instant, SessionId, Zxid};

use crate::limits::EPHEMERALS_LISTED_AT_ONCE;
use crate::published::TreeAccess;

/// A number that one thread raises and any thread reads.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Raises it. Only the thread that owns it may: two would lose counts.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// What it stands at.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Starts it at zero again.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A number that one thread sets and any thread reads.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// One that stands at `value`.
    pub const fn new(value: i64) -> Self {
        Self(AtomicI64::new(value))
    }

    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it stands at.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took: the shortest, the longest, how often and how long in all. In
/// milliseconds; `u64::MAX` is the shortest of nothing.
#[derive(Debug)]
pub struct Latency {
    count: AtomicU64,
    sum_ms: AtomicU64,
    min_ms: AtomicU64,
    max_ms: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            sum_ms: AtomicU64::new(0),
            min_ms: AtomicU64::new(u64::MAX),
            max_ms: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// Counts `times` operations that took so long each. Only the owning thread may.
    pub fn add(&self, took: Duration, times: u64) {
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let raise = |number: &AtomicU64, by: u64| {
            number.store(number.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        };
        raise(&self.count, times);
        raise(&self.sum_ms, took_ms.wrapping_mul(times));
        if took_ms < self.min_ms.load(Ordering::Relaxed) {
            self.min_ms.store(took_ms, Ordering::Relaxed);
        }
        if took_ms > self.max_ms.load(Ordering::Relaxed) {
            self.max_ms.store(took_ms, Ordering::Relaxed);
        }
    }

    /// How often, how long in all, the shortest (if any) and the longest.
    pub fn values(&self) -> LatencyValues {
        let count = self.count.load(Ordering::Relaxed);
        LatencyValues {
            count,
            sum_ms: self.sum_ms.load(Ordering::Relaxed),
            min_ms: (count > 0).then(|| self.min_ms.load(Ordering::Relaxed)),
            max_ms: self.max_ms.load(Ordering::Relaxed),
        }
    }

    /// Starts again.
    pub fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.sum_ms.store(0, Ordering::Relaxed);
        self.min_ms.store(u64::MAX, Ordering::Relaxed);
        self.max_ms.store(0, Ordering::Relaxed);
    }
}

/// A [`Latency`] at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LatencyValues {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub sum_ms: u64,
    /// The shortest.
    pub min_ms: Option<u64>,
    /// The longest.
    pub max_ms: u64,
}

/// What a server does in its ensemble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It is none's member, and decides over writes.
    Alone,
    /// It has no leader, and serves nobody.
    Looking,
    /// It decides over writes, with a quorum of others.
    Leading,
    /// It forwards writes to a leader, and votes on them.
    Following,
    /// It forwards writes to a leader, and does not vote.
    Observing,
    /// It has no leader, and serves those who only read.
    ReadOnly,
}

impl Role {
    const ALL: [Self; 6] = [
        Self::Alone,
        Self::Looking,
        Self::Leading,
        Self::Following,
        Self::Observing,
        Self::ReadOnly,
    ];
}

/// What is known of a server that leads others. Without meaning in other roles.
#[derive(Debug, Default)]
pub struct Leadership {
    /// Where its epoch begins: the zxid before its first transaction.
    pub start: Gauge,
    /// When it began, in milliseconds since the start of the process.
    pub since_ms: Gauge,
    /// Connections of other servers.
    pub learners: Gauge,
    /// Voters among them that follow.
    pub voters: Gauge,
    /// Followers that the membership does not let vote.
    pub others: Gauge,
    /// Observers that follow.
    pub observers: Gauge,
    /// Syncs that are not answered.
    pub pending_syncs: Gauge,
    /// Bytes of the last proposal; 0 before the first.
    pub last_proposal_bytes: Gauge,
    /// Bytes of the smallest proposal; 0 before the first.
    pub min_proposal_bytes: Gauge,
    /// Bytes of the largest proposal; 0 before the first.
    pub max_proposal_bytes: Gauge,
}

impl Leadership {
    /// A server begins to lead.
    pub(crate) fn begin(&self, now: Instant, start: Zxid) {
        self.start.set(start.raw());
        self.since_ms.set(i64::try_from(now.millis()).unwrap_or(i64::MAX));
        for bytes in [&self.last_proposal_bytes, &self.min_proposal_bytes, &self.max_proposal_bytes]
        {
            bytes.set(0);
        }
    }

    /// Notes the sizes of proposals.
    pub(crate) fn proposed(&self, sizes: impl Iterator<Item = usize>) {
        for size in sizes {
            let bytes = i64::try_from(size).unwrap_or(i64::MAX);
            self.last_proposal_bytes.set(bytes);
            let min = self.min_proposal_bytes.value();
            self.min_proposal_bytes.set(if min == 0 { bytes } else { min.min(bytes) });
            self.max_proposal_bytes.set(self.max_proposal_bytes.value().max(bytes));
        }
    }
}

/// The times in which a member served nobody. It counts one when it serves again.
#[derive(Debug, Default)]
pub struct Outages {
    /// How often it began to look for a leader.
    pub looks: Count,
    /// From then until it knew who leads.
    pub elections: Latency,
    /// From then until it served as a follower.
    pub follower_synchronizations: Latency,
    /// From then until it served as an observer.
    pub observer_synchronizations: Latency,
    /// From the first look until it served again.
    pub all: Latency,
    /// Those of them that ended as it led.
    pub of_leaders: Latency,
}

impl Outages {
    /// Forgets all, as the operator's reset asks.
    pub fn reset(&self) {
        self.looks.reset();
        for times in [
            &self.elections,
            &self.follower_synchronizations,
            &self.observer_synchronizations,
            &self.all,
            &self.of_leaders,
        ] {
            times.reset();
        }
    }
}

/// What the replica counts.
#[derive(Debug, Default)]
pub struct Stats {
    /// Of a server that leads.
    pub leadership: Leadership,
    /// The place of the [`Role`] in [`Role::ALL`].
    role: AtomicU8,
    /// Transactions decided.
    pub proposals: Count,
    /// Transactions applied.
    pub commits: Count,
    /// Of a member: when it served nobody.
    pub outages: Outages,
    /// Transactions that a leader has sent.
    pub proposals_learned: Count,
    /// Transactions applied on a leader's word.
    pub commits_learned: Count,
    /// Learners that were brought up to date by what they lack.
    pub diffs_sent: Count,
    /// Learners that were sent a snapshot.
    pub snapshots_sent: Count,
    /// Transactions after which the digest of the tree was not that which came with them.
    pub digest_mismatches: Count,
    /// Sessions ended for silence.
    pub expired_sessions: Count,
    /// Sessions that only this server knows of.
    pub local_sessions: Gauge,
    /// Of a follower: how many observers learn from it.
    pub observers: Gauge,
    /// Of a learner: the id of the server from which it learns.
    pub teacher: Gauge,
    /// Connections closed since too many wanted a session.
    pub throttled_connections: Count,
    /// How probable that is for the next one though there is room: parts per million.
    pub drop_share_ppm: Gauge,
    /// Requests dropped since they waited too long, or for longer than their connection was there.
    pub stale_requests: Count,
    /// Requests answered with an error since they waited too long.
    pub throttled_requests: Count,
}

impl Stats {
    /// What the server does now.
    pub fn role(&self) -> Role {
        Role::ALL[usize::from(self.role.load(Ordering::Relaxed))]
    }

    pub(crate) fn set_role(&self, role: Role) {
        self.role.store(role as u8, Ordering::Relaxed);
    }

    /// Sets [`Stats::drop_share_ppm`] from a probability, 0 to 1.
    pub(crate) fn set_drop_share(&self, share: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a million at most")]
        self.drop_share_ppm.set((share * 1e6).round() as i64);
    }
}

/// What one frontend counts.
#[derive(Debug, Default)]
pub struct FrontStats {
    /// Frames received.
    pub received: Count,
    /// Bytes received.
    pub received_bytes: Count,
    /// Frames sent.
    pub sent: Count,
    /// Connections that asked for a session.
    pub handshakes: Count,
    /// Watches, data and children counted apart.
    pub watches: Gauge,
    /// Requests refused since large ones took all the room they may.
    pub large_requests_refused: Count,
    /// Connections closed for what they sent.
    pub misbehaved: Count,
    /// Credentials refused.
    pub refused_credentials: Count,
    /// From a request's arrival to its answer.
    pub latency: Latency,
}

/// What is known of one connection.
#[derive(Debug)]
pub struct ConnectionStats {
    /// Its session; 0 before there is one.
    pub session: Gauge,
    /// The negotiated timeout in milliseconds.
    pub timeout_ms: Gauge,
    /// When it was opened: milliseconds since 1970.
    pub established_ms: i64,
    /// Frames received.
    pub received: Count,
    /// Frames sent.
    pub sent: Count,
    /// Requests not answered yet.
    pub outstanding: Gauge,
    /// The number of the last request; -1 before the first.
    pub last_cxid: Gauge,
    /// The zxid of the last answer; -1 before the first.
    pub last_zxid: Gauge,
    /// The number of the last operation; see `wire::opcode`. `i64::MIN` before the first.
    pub last_operation: Gauge,
    /// When the last answer was sent, in milliseconds since the start of the process.
    pub last_response_ms: Gauge,
    /// How long the last answer took, in milliseconds.
    pub last_latency_ms: Gauge,
    /// From a request's arrival to its answer.
    pub latency: Latency,
}

impl ConnectionStats {
    /// Those of a connection that was opened just now.
    pub fn new(established_ms: i64) -> Self {
        Self {
            session: Gauge::new(0),
            timeout_ms: Gauge::new(0),
            established_ms,
            received: Count::default(),
            sent: Count::default(),
            outstanding: Gauge::new(0),
            last_cxid: Gauge::new(-1),
            last_zxid: Gauge::new(-1),
            last_operation: Gauge::new(i64::MIN),
            last_response_ms: Gauge::new(0),
            last_latency_ms: Gauge::new(0),
            latency: Latency::default(),
        }
    }

    /// Forgets what was counted, as the operator's reset asks.
    pub fn reset(&self) {
        self.received.reset();
        self.sent.reset();
        self.last_cxid.set(-1);
        self.last_zxid.set(-1);
        self.last_operation.set(i64::MIN);
        self.last_response_ms.set(0);
        self.last_latency_ms.set(0);
        self.latency.reset();
    }
}

/// What only the replica knows, at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// The sessions it tracks, in order of ids.
    pub sessions: Vec<SessionView>,
    /// Digests of the tree after earlier transactions, the oldest first.
    pub digests: Vec<(Zxid, u64)>,
}

/// A tracked session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionView {
    /// Which.
    pub id: SessionId,
    /// When it ends, unless its client is heard of.
    pub expires: Instant,
    /// Whether only this server knows of it.
    pub is_local: bool,
}

/// The tree as operators see it. Any thread may have one.
#[derive(Clone, Debug)]
pub struct TreeView {
    tree: TreeAccess,
}

/// The tree in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeSummary {
    /// The last transaction that was applied.
    pub last_applied: Zxid,
    /// Znodes, the root included.
    pub znodes: usize,
    /// Znodes that end with a session.
    pub ephemerals: usize,
    /// Bytes of all paths and data.
    pub data_bytes: u64,
    /// Sessions.
    pub sessions: usize,
}

impl TreeView {
    pub(crate) fn new(tree: TreeAccess) -> Self {
        Self { tree }
    }

    /// The numbers.
    pub fn summary(&self) -> TreeSummary {
        let tree = self.tree.hold();
        TreeSummary {
            last_applied: tree.last_applied(),
            znodes: tree.node_count(),
            ephemerals: tree.ephemeral_count(),
            data_bytes: tree.data_size(),
            sessions: tree.sessions().len(),
        }
    }

    /// All sessions with their timeouts in milliseconds, by id.
    pub fn sessions(&self) -> Vec<(SessionId, i32)> {
        let mut sessions: Vec<_> = self.tree.hold().sessions().collect();
        sessions.sort_unstable();
        sessions
    }

    /// The ephemeral znodes of every session that has some, by session.
    ///
    /// The tree is let go between sessions whenever some were listed, so that writes go on: what is
    /// listed need not be of one moment.
    pub fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        let tree = self.tree.hold();
        let mut sessions: Vec<_> = tree.sessions_with_ephemerals().map(|(id, _)| id).collect();
        drop(tree);
        sessions.sort_unstable();
        let mut listed = Vec::with_capacity(sessions.len());
        let mut left = sessions.into_iter().peekable();
        while left.peek().is_some() {
            let tree = self.tree.hold();
            let mut paths = 0;
            while paths < EPHEMERALS_LISTED_AT_ONCE {
                let Some(session) = left.next() else { break };
                let of_session: Vec<_> = tree.ephemerals(session).collect();
                paths += of_session.len() + 1;
                if !of_session.is_empty() {
                    listed.push((session, of_session));
                }
            }
        }
        listed
    }
}

/// A part of the watches of one frontend, as operators list them: those on data and existence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchesPage {
    /// Paths with the sessions that watch them.
    pub watches: Vec<(String, Vec<SessionId>)>,
    /// Where the next part begins; `None` if this is the last.
    pub next: Option<WatchesFrom>,
}

/// A place among the watches of one frontend, which stays where it is while others change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WatchesFrom(pub(crate) usize);
