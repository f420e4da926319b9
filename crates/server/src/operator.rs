//! The thread that answers operators.
//!
//! An I/O thread that reads a four-letter word hands it over and goes on; the answer comes back as
//! an errand. So neither the walk over a directory nor a listing of all watches keeps a client
//! waiting. What only other threads know they are asked for, one thing at a time and in parts that
//! cost each of them little:
//!
//! ```text
//!   I/O thread ── Question ──> operator ── Input::Inspect ────────> replica
//!       ^                        │  ^  └─── Errand::ListWatches ──> I/O threads, in turn
//!       └── Errand::Answer ──────┘  └────── Finding ───────────────── both
//! ```

mod connections;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use admin::{
    ConfView, ConnectionsView, DigestView, DirectorySizes, EnvironmentView, FourLetterWord, Gauges,
    KnownSessions, MemberConfView, MemberGauges, Mode, MonitorView, PathWatchers, ServerStats,
    ServerView, SessionBucket, SessionDump, SessionEphemerals, SessionWatches, StatView, TraceMask,
    WatchSummary, WatchesByPath, WatchesBySession,
};
use config::{Config, Ensemble, LocalSessions, TickLimits};
use replica::view::{Inspection, SessionView, TreeView, WatchesFrom, WatchesPage};
use replica::{Address, Input};
use storage::Directories;
use types::membership::Member;
use types::{Now, SessionId, Sid, Zxid};

use crate::clock::Clock;
use crate::door::{Errand, Handover};
use crate::host;
use crate::inbox::{Inbox, Taken};
use crate::server::Shared;
use crate::view::{Place, Views};

/// The root has two names in Java's table of znodes, and both are counted.
const SECOND_NAME_OF_ROOT: u64 = 1;

/// A word that an operator sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    /// On which connection.
    pub(crate) asker: Address,
    pub(crate) word: FourLetterWord,
    /// What follows `stmk`.
    pub(crate) mask: Option<TraceMask>,
}

/// What another thread was asked for.
#[derive(Debug)]
pub(crate) enum Finding {
    /// By the replica.
    Inspection(Inspection),
    /// By an I/O thread.
    Watches(WatchesPage),
}

/// Where questions and findings are left for the operator's thread.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) questions: Inbox<Question>,
    pub(crate) findings: Inbox<Finding>,
}

impl Desk {
    /// Nothing is answered any more.
    pub(crate) fn close(&self) {
        self.questions.close();
        self.findings.close();
    }
}

/// What is known before anybody asks.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    conf: ConfView,
    /// `None` if it is alone.
    limits: Option<TickLimits>,
    /// Whether it opens sessions that only it knows of.
    opens_local: bool,
    /// Whether observers may learn from it while it follows.
    takes_observers: bool,
    environment: EnvironmentView,
}

impl Facts {
    /// Those of a server with this configuration.
    pub(crate) fn new(config: &Config, directories: &Directories) -> Self {
        let absolute =
            |path: std::path::PathBuf| std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let millis =
            |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let conf = ConfView {
            client_port: None,
            secure_client_port: None,
            data_dir: absolute(directories.snapshot_dir()),
            data_log_dir: absolute(directories.log_dir()),
            sizes: DirectorySizes::default(),
            tick_ms: millis(config.sessions.tick),
            connections_per_address_max: config
                .limits
                .connections_per_address_max
                .unwrap_or_default(),
            session_timeout_min_ms: millis(config.sessions.timeout_min),
            session_timeout_max_ms: millis(config.sessions.timeout_max),
            listen_backlog: config.listen.backlog,
            sid: config.ensemble.as_ref().map_or(Sid(0), |ensemble| ensemble.sid),
            member: None,
        };
        let limits = config.ensemble.as_ref().map(|ensemble| ensemble.limits);
        let opens_local = |ensemble: &Ensemble| ensemble.local_sessions != LocalSessions::Off;
        let opens_local = config.ensemble.as_ref().is_some_and(opens_local);
        let has_port = |ensemble: &Ensemble| ensemble.observers.master_port.is_some();
        let takes_observers = config.ensemble.as_ref().is_some_and(has_port);
        let environment = host::environment();
        Self { conf, limits, opens_local, takes_observers, environment }
    }
}

fn member_conf(limits: TickLimits, place: &Place, mode: Mode) -> MemberConfView {
    let addresses = place.member().map_or(&[][..], Member::addresses);
    MemberConfView {
        init_ticks: limits.init_ticks,
        sync_ticks: limits.sync_ticks,
        election_ports: addresses.iter().map(|address| address.election().port).collect(),
        quorum_ports: addresses.iter().map(|address| address.quorum().port).collect(),
        is_voter: place.member().is_none_or(Member::is_voter),
        membership: (mode != Mode::ReadOnly).then(|| place.membership.to_string()),
    }
}

/// What the thread works with.
#[derive(Debug)]
pub(crate) struct Operator {
    pub(crate) desk: Arc<Desk>,
    pub(crate) facts: Facts,
    pub(crate) views: Arc<Views>,
    pub(crate) tree: TreeView,
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Vec<Arc<Handover>>,
    pub(crate) clock: Clock,
    /// How long a connection may take to open a session: the unit in which `dump` groups them.
    pub(crate) handshake_timeout: std::time::Duration,
    pub(crate) trace_mask: TraceMask,
}

/// The answers that need nothing: given even while a long listing is under way. `mode` is what the
/// server does; `None` while it serves nobody.
pub(crate) const fn prompt_answer(
    word: FourLetterWord,
    mode: Option<Mode>,
) -> Option<&'static str> {
    match (word, mode) {
        (FourLetterWord::Ruok, _) => Some(FourLetterWord::IMOK),
        (FourLetterWord::TelnetClose, _) => Some(""),
        (FourLetterWord::Isro, Some(mode)) => Some(mode.isro()),
        (word, None) => word.answer_while_not_serving(),
        (_, Some(_)) => None,
    }
}

impl Operator {
    /// Answers until the desk is closed.
    pub(crate) fn run(mut self) {
        let mut questions = Vec::new();
        while self.desk.questions.take(&mut questions, None) == Taken::Open {
            for question in questions.drain(..) {
                let Some(text) = self.answer(question) else { return };
                let Address { front, conn } = question.asker;
                self.threads[front.0].run(Errand::Answer { conn, text: text.into_bytes() });
            }
        }
    }

    /// The answer; `None` if the server stops.
    fn answer(&mut self, question: Question) -> Option<String> {
        let now = self.clock.now();
        let mode = self.views.mode();
        if let Some(text) = prompt_answer(question.word, mode) {
            return Some(text.to_owned());
        }
        // What is answered while nobody is served does not tell it.
        let mode = mode.unwrap_or(Mode::Standalone);
        let text = match question.word {
            FourLetterWord::Srvr => self.server(mode).to_string(),
            FourLetterWord::Stat => {
                let connections = connections::views(&self.views.connections());
                StatView { server: self.server(mode), connections }.to_string()
            }
            FourLetterWord::Cons => {
                let connections = connections::views(&self.views.connections());
                ConnectionsView { connections }.to_string()
            }
            FourLetterWord::Conf => self.configuration(mode).to_string(),
            FourLetterWord::Dirs => self.directory_sizes().to_string(),
            FourLetterWord::Envi => self.facts.environment.to_string(),
            FourLetterWord::Mntr => self.monitor(now, mode),
            FourLetterWord::Crst => {
                self.views.connections().iter().for_each(|entry| entry.stats.reset());
                FourLetterWord::CONNECTION_STATS_RESET.to_owned()
            }
            FourLetterWord::Srst => {
                self.views.reset();
                FourLetterWord::SERVER_STATS_RESET.to_owned()
            }
            FourLetterWord::Gtmk => self.trace_mask.to_string(),
            FourLetterWord::Stmk => {
                self.trace_mask = question.mask.unwrap_or(self.trace_mask);
                self.trace_mask.to_string()
            }
            FourLetterWord::Dump => self.dump(now, mode)?.to_string(),
            FourLetterWord::Hash => DigestView { digests: self.inspect()?.digests }.to_string(),
            FourLetterWord::Wchs => self.watch_summary()?.to_string(),
            FourLetterWord::Wchc => self.watches_by_session()?.to_string(),
            FourLetterWord::Wchp => self.watches_by_path()?.to_string(),
            // Answered above.
            FourLetterWord::Ruok | FourLetterWord::Isro | FourLetterWord::TelnetClose => {
                String::new()
            }
        };
        Some(text)
    }

    fn configuration(&self, mode: Mode) -> ConfView {
        let place = self.views.place();
        let member = place.as_ref().zip(self.facts.limits);
        ConfView {
            client_port: self.views.client_port(),
            sizes: self.directory_sizes(),
            member: member.map(|(place, limits)| member_conf(limits, place, mode)),
            ..self.facts.conf.clone()
        }
    }

    fn server(&self, mode: Mode) -> ServerView {
        let tree = self.tree.summary();
        let front = self.views.front_totals();
        let start = self.views.start_of_epoch().unwrap_or(Zxid::ZERO);
        ServerView {
            latency: front.latency,
            received: front.received,
            sent: front.sent,
            connections: self.views.connection_count(),
            outstanding: front.outstanding,
            last_applied: tree.last_applied.max(start),
            mode,
            node_count: tree.znodes as u64 + SECOND_NAME_OF_ROOT,
            proposals: self.views.leader(self.clock.instant()).map(|it| it.proposal_sizes),
        }
    }

    fn monitor(&self, now: Now, mode: Mode) -> String {
        let tree = self.tree.summary();
        let front = self.views.front_totals();
        let descriptors = host::descriptors();
        let gauges = Gauges {
            num_alive_connections: self.views.connection_count(),
            outstanding_requests: front.outstanding,
            uptime: now.instant.millis(),
            znode_count: tree.znodes as u64 + SECOND_NAME_OF_ROOT,
            watch_count: front.watches,
            ephemerals_count: tree.ephemerals as u64,
            approximate_data_size: tree.data_bytes + SECOND_NAME_OF_ROOT,
            global_sessions: tree.sessions as u64,
            local_sessions: self.views.local_sessions(),
            open_file_descriptor_count: descriptors.open,
            max_file_descriptor_count: descriptors.max,
            auth_failed_count: front.refused_credentials,
            connection_drop_probability: self.views.connection_drop_probability(),
            ..Gauges::default()
        };
        let stats = ServerStats { latency_ms: front.latency.into(), ..ServerStats::default() };
        stats.packets_received.set(front.received);
        stats.packets_sent.set(front.sent);
        self.views.bring_metrics_up_to_date(&front);
        let metrics = &self.views.metrics;
        let leader = self.views.leader(now.instant);
        let voters = |place: Place| place.membership.voters().count() as u64;
        let place = self.views.place().filter(|_| mode != Mode::ReadOnly);
        let member = place.map(voters).map(|quorum_size| MemberGauges {
            quorum_size,
            observer_master: (mode == Mode::Observer).then(|| self.views.teacher()),
            own_observers: (mode == Mode::Follower && self.facts.takes_observers)
                .then(|| self.views.observers()),
            leader,
        });
        MonitorView { mode, member, gauges, stats: &stats, metrics }.to_string()
    }

    fn directory_sizes(&self) -> DirectorySizes {
        DirectorySizes {
            data_dir_bytes: host::bytes_in(&self.facts.conf.data_dir),
            log_dir_bytes: host::bytes_in(&self.facts.conf.data_log_dir),
        }
    }

    fn dump(&self, now: Now, mode: Mode) -> Option<SessionDump> {
        let (local, global): (Vec<_>, Vec<_>) =
            self.inspect()?.sessions.into_iter().partition(|session| session.is_local);
        let opens_local = self.facts.opens_local || !local.is_empty();
        let sessions = match mode {
            Mode::Follower | Mode::Observer | Mode::ReadOnly => {
                KnownSessions::Listed(self.tree.sessions())
            }
            Mode::Standalone | Mode::Leader => KnownSessions::Expiring(by_end(now, &global)),
        };
        let ephemerals = self.tree.ephemerals().into_iter();
        let ephemerals = ephemerals.map(|(session, paths)| SessionEphemerals { session, paths });
        let entries = self.views.connections();
        Some(SessionDump {
            local: opens_local.then(|| by_end(now, &local)),
            sessions,
            ephemerals: ephemerals.collect(),
            connections: connections::buckets(now, &entries, self.handshake_timeout),
        })
    }

    fn watch_summary(&self) -> Option<WatchSummary> {
        let (mut paths, mut sessions, mut watches) = (BTreeSet::new(), BTreeSet::new(), 0);
        self.for_each_watched(|path, watchers| {
            watches += watchers.len() as u64;
            sessions.extend(watchers);
            paths.insert(path);
        })?;
        Some(WatchSummary {
            connections: sessions.len() as u64,
            paths: paths.len() as u64,
            watches,
        })
    }

    fn watches_by_session(&self) -> Option<WatchesBySession> {
        let mut by_session = BTreeMap::<_, Vec<String>>::new();
        self.for_each_watched(|path, watchers| {
            for session in watchers {
                by_session.entry(session).or_default().push(path.clone());
            }
        })?;
        let sessions = by_session.into_iter();
        let sessions = sessions.map(|(session, paths)| SessionWatches { session, paths }).collect();
        Some(WatchesBySession { sessions })
    }

    fn watches_by_path(&self) -> Option<WatchesByPath> {
        let mut by_path = BTreeMap::<_, Vec<SessionId>>::new();
        self.for_each_watched(|path, watchers| by_path.entry(path).or_default().extend(watchers))?;
        let paths = by_path.into_iter();
        let paths = paths.map(|(path, sessions)| PathWatchers { path, sessions }).collect();
        Some(WatchesByPath { paths })
    }

    /// Asks one I/O thread after the other for its watches on data and existence. A path comes
    /// once for each thread where it is watched. `None` if the server stops.
    fn for_each_watched(&self, mut tell: impl FnMut(String, Vec<SessionId>)) -> Option<()> {
        for thread in &self.threads {
            let mut next = Some(WatchesFrom::default());
            while let Some(from) = next {
                thread.run(Errand::ListWatches(from));
                let Finding::Watches(page) = self.finding()? else { continue };
                page.watches.into_iter().for_each(|(path, watchers)| tell(path, watchers));
                next = page.next;
            }
        }
        Some(())
    }

    fn inspect(&self) -> Option<Inspection> {
        self.shared.helm.leave(&mut vec![Input::Inspect]);
        loop {
            if let Finding::Inspection(inspection) = self.finding()? {
                return Some(inspection);
            }
        }
    }

    /// Waits for what was asked for; `None` if the server stops.
    fn finding(&self) -> Option<Finding> {
        let mut findings = Vec::with_capacity(1);
        loop {
            let taken = self.desk.findings.take(&mut findings, None);
            if let Some(finding) = findings.pop() {
                return Some(finding);
            }
            if taken == Taken::Closed {
                return None;
            }
        }
    }
}

/// The sessions by the time at which they end, as they end.
fn by_end(now: Now, sessions: &[SessionView]) -> Vec<SessionBucket> {
    let mut buckets = BTreeMap::<_, Vec<SessionId>>::new();
    for session in sessions {
        buckets.entry(session.expires).or_default().push(session.id);
    }
    let bucket = |(expires, sessions)| SessionBucket {
        expire_wall_ms: connections::wall_ms_of(now, expires),
        sessions,
    };
    buckets.into_iter().map(bucket).collect()
}
