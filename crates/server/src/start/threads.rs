//! The threads of a server, put together and started.

use std::io;
use std::sync::Arc;

use admin::TraceMask;
use config::Config;
use mio::net::TcpListener;
use mio::{Poll, Registry};
use replica::{
    FrontId, Frontend, FrontendOptions, Input, LONG_ANSWER_BYTES, LargeRequests, Outstanding,
    Replica,
};
use storage::{DataDir, Log, Origin, Recovered};
use types::LineLimit;

use super::StartError;
use super::options::{group_options, keep_options, recover_options, tree_options, whitelist};
use crate::clock::Clock;
use crate::crew::Crew;
use crate::door::{Counts, Door, Handover};
use crate::helm::{Helm, Outlets};
use crate::history_thread::{HistoryThread, ReadJob};
use crate::inbox::Inbox;
use crate::io_thread::{Equipment, IoThread};
use crate::log_thread::{LogJob, LogThread};
use crate::machine::ServerDisk;
use crate::operator::{Desk, Facts, Operator};
use crate::oracle::OracleThread;
use crate::peers::{Peers, PeersError, PeersThread};
use crate::server::{Failure, FailureKind, Shared};
use crate::snapshot_thread::{Keeper, Receiver, SnapshotJob};
use crate::view::{Place, Views};

/// The parts of a server before its threads run.
pub(super) struct Threads {
    clock: Clock,
    seed: u64,
    replica: Replica,
    pub(super) frontends: Vec<(Frontend, Poll, Arc<Handover>)>,
    counts: Arc<Counts>,
    pub(super) views: Arc<Views>,
    /// A snapshot is due: the log is long, or there is no snapshot at all.
    wants_snapshot: bool,
}

impl Threads {
    /// Puts together those of a server that goes on from what was recovered.
    pub(super) fn new(
        config: &Config,
        clock: Clock,
        recovered: Recovered,
        options: replica::Options,
    ) -> Result<Self, StartError> {
        let wants_snapshot = recovered.txns_replayed > 0 || recovered.origin == Origin::Logs;
        let (fronts, seed) = (options.fronts, options.seed);
        let access = options.access.clone();
        let replica = Replica::new(options, recovered.tree, clock.now());
        replica.stats().digest_mismatches.add(recovered.digest_mismatches);
        let counts = Arc::new(Counts::default());
        let large_requests = config
            .limits
            .large_requests
            .map(|limit| Arc::new(LargeRequests::new(limit.threshold_bytes, limit.bytes_max)));
        let outstanding = Arc::new(Outstanding::new(config.limits.outstanding_requests_max));
        let mut frontends = Vec::with_capacity(fronts);
        for number in 0..fronts {
            let options = FrontendOptions {
                access: access.clone(),
                frame_bytes_max: config.limits.frame_bytes_max as usize,
                outstanding: Arc::clone(&outstanding),
                long_answer_bytes: LONG_ANSWER_BYTES,
                large_requests: large_requests.clone(),
                eager_acl_check: config.access.eager_acl_check,
                seed,
            };
            let frontend = Frontend::new(options, replica.reader(FrontId(number)));
            let poll = Poll::new()?;
            let handover = Arc::new(Handover::new(poll.registry(), Arc::clone(&counts))?);
            frontends.push((frontend, poll, handover));
        }
        let stats = frontends.iter().map(|(frontend, ..)| frontend.stats()).collect();
        let leader_serves = config.ensemble.as_ref().is_none_or(|it| it.leader_serves);
        let place = config.ensemble.as_ref().map(|ensemble| Place {
            sid: ensemble.sid,
            membership: Arc::new(ensemble.membership.clone()),
        });
        let views = Arc::new(Views::new(stats, replica.stats(), outstanding, leader_serves, place));
        Ok(Self { clock, seed, replica, frontends, counts, views, wants_snapshot })
    }

    /// Starts them. Whoever comes in by the door meets everybody else at work.
    pub(super) fn start(
        self,
        config: &Config,
        log: Log<ServerDisk>,
        data_dir: DataDir<ServerDisk>,
        listener: Option<TcpListener>,
        peers: Option<(Peers, PeersThread)>,
    ) -> Result<Crew, StartError> {
        let data_dir = Arc::new(data_dir);
        let (peers, peers_thread) = peers.unzip();
        let jobs = Jobs::default();
        let (keeper, log_thread) = self.storage_threads(config, &data_dir, &jobs, peers.clone());
        let Self { clock, replica, frontends, counts, views, wants_snapshot, .. } = self;
        let handovers: Vec<_> = frontends.iter().map(|(.., it)| Arc::clone(it)).collect();
        let door = door(config, listener, handovers.clone(), counts, &views);
        let desk = Arc::new(Desk::default());
        let io_threads = io_threads(config, clock, frontends, door, &views, &desk)?;
        let tree = replica.tree_view();
        let oracle = config.ensemble.as_ref().and_then(|it| it.oracle_path.clone());
        let oracle = oracle.map(OracleThread::new);
        let outlets = Outlets {
            log: Arc::clone(&jobs.log),
            snapshots: Arc::clone(&jobs.snapshots),
            history: Arc::clone(&jobs.history),
            fronts: io_threads.iter().map(IoThread::front).collect(),
            desk: Arc::clone(&desk),
            peers,
            oracle: oracle.as_ref().map(|oracle| Arc::clone(&oracle.questions)),
            views: Arc::clone(&views),
        };
        let shared = Arc::new(Shared::new(Helm::new(replica, clock, outlets)));
        let operator = Operator {
            desk: Arc::clone(&desk),
            facts: Facts::new(config, data_dir.directories()),
            views: Arc::clone(&views),
            tree,
            shared: Arc::clone(&shared),
            threads: handovers,
            clock,
            handshake_timeout: config.sessions.handshake_timeout,
            trace_mask: TraceMask::default(),
        };

        let mut crew = Crew::new(shared);
        crew.spawn("operator", move |_| {
            operator.run();
            Ok(())
        })?;
        if let Some(peers_thread) = peers_thread {
            crew.start_peers_thread(peers_thread, Arc::clone(&jobs.snapshots))?;
            crew.start_history_thread(Arc::clone(&data_dir), Arc::clone(&jobs.history))?;
        }
        if let Some(oracle) = oracle {
            crew.spawn("oracle", move |shared| {
                oracle.run(&shared.helm);
                Ok(())
            })?;
        }
        crew.start_storage_threads(keeper, log_thread, log, jobs)?;
        if wants_snapshot {
            crew.shared().helm.leave(&mut vec![Input::TakeSnapshot]);
        }
        crew.spawn("replica", |shared| {
            shared.helm.keep_watch();
            Ok(())
        })?;
        crew.start_io_threads(io_threads)?;
        Ok(crew)
    }

    /// Those that write files.
    fn storage_threads(
        &self,
        config: &Config,
        data_dir: &Arc<DataDir<ServerDisk>>,
        jobs: &Jobs,
        peers: Option<Peers>,
    ) -> (Keeper, LogThread) {
        let options = keep_options(config);
        let keeper = Keeper {
            data_dir: Arc::clone(data_dir),
            options,
            clock: self.clock,
            views: Arc::clone(&self.views),
            receiver: peers.map(|peers| {
                let tree_options = tree_options(config, self.seed);
                Receiver::new(options.compression, tree_options, Arc::clone(&jobs.log), peers)
            }),
        };
        let log_thread = LogThread {
            data_dir: Arc::clone(data_dir),
            options: group_options(config),
            recover: recover_options(config, self.seed),
            views: Arc::clone(&self.views),
            clock: self.clock,
            slow: LineLimit::default(),
            membership_files: config.ensemble.as_ref().and_then(|ensemble| ensemble.files.clone()),
        };
        (keeper, log_thread)
    }
}

/// What the threads that write files are asked to do.
#[derive(Default)]
struct Jobs {
    log: Arc<Inbox<LogJob>>,
    snapshots: Arc<Inbox<SnapshotJob>>,
    history: Arc<Inbox<ReadJob>>,
}

impl Crew {
    /// Starts the thread of the connections to other servers.
    fn start_peers_thread(
        &mut self,
        thread: PeersThread,
        snapshots: Arc<Inbox<SnapshotJob>>,
    ) -> io::Result<()> {
        self.spawn("peers", move |shared| {
            let deliver = |news: &mut _| shared.helm.tell_of_peers(news);
            let receive = |part| snapshots.put(SnapshotJob::Receive(part));
            thread.run(deliver, receive).map_err(|failure| peers_failure(&failure))
        })
    }

    /// Starts the thread that reads the log for learners.
    fn start_history_thread(
        &mut self,
        data_dir: Arc<DataDir<ServerDisk>>,
        jobs: Arc<Inbox<ReadJob>>,
    ) -> io::Result<()> {
        let mut thread = HistoryThread::new(data_dir);
        self.spawn("history", move |shared| {
            thread.run(&jobs, &shared.helm);
            Ok(())
        })
    }

    /// Starts the threads that write files.
    fn start_storage_threads(
        &mut self,
        mut keeper: Keeper,
        log_thread: LogThread,
        log: Log<ServerDisk>,
        jobs: Jobs,
    ) -> io::Result<()> {
        self.spawn("snapshots", move |shared| {
            keeper.run(&jobs.snapshots, &shared.helm);
            Ok(())
        })?;
        self.spawn("log", move |shared| {
            let ended = log_thread.run(log, &jobs.log, &shared.helm);
            ended.map_err(|failure| log_failure(&failure))
        })
    }

    /// Starts the threads of the clients' connections.
    fn start_io_threads(&mut self, threads: Vec<IoThread>) -> io::Result<()> {
        for (number, thread) in threads.into_iter().enumerate() {
            self.spawn(format!("io-{number}"), move |shared| {
                let ended = thread.run(&shared.helm);
                ended.map_err(|failure| format!("an I/O thread failed: {failure}").into())
            })?;
        }
        Ok(())
    }
}

fn door(
    config: &Config,
    listener: Option<TcpListener>,
    threads: Vec<Arc<Handover>>,
    counts: Arc<Counts>,
    views: &Arc<Views>,
) -> Door {
    let (listen, limits) = (config.listen.clone(), config.limits.clone());
    Door::new(listener, listen, threads, limits, counts, Arc::clone(views))
}

/// The threads of the clients' connections; the first one has the door.
fn io_threads(
    config: &Config,
    clock: Clock,
    frontends: Vec<(Frontend, Poll, Arc<Handover>)>,
    door: Door,
    views: &Arc<Views>,
    desk: &Arc<Desk>,
) -> io::Result<Vec<IoThread>> {
    let (mut door, unwatched) = (Some(door), Arc::new(LineLimit::default()));
    let threads = frontends.into_iter().map(|(frontend, poll, handover)| {
        let equipment = Equipment {
            registry: poll.registry().try_clone()?,
            frontend,
            handover,
            door: registered(door.take(), poll.registry())?,
            desk: Arc::clone(desk),
            whitelist: whitelist(&config.operator),
            views: Arc::clone(views),
            clock,
            handshake_timeout: config.sessions.handshake_timeout,
            unwatched: Arc::clone(&unwatched),
        };
        Ok(IoThread::new(poll, equipment))
    });
    threads.collect()
}

fn registered(door: Option<Door>, registry: &Registry) -> io::Result<Option<Door>> {
    let Some(mut door) = door else { return Ok(None) };
    door.register(registry)?;
    Ok(Some(door))
}

fn log_failure(failure: &storage::Error) -> Failure {
    let (kind, meaning) = match failure {
        storage::Error::NotCut { .. } => {
            (FailureKind::NotCut, "what the leader does not have can not be cut off")
        }
        _ => (FailureKind::Other, "the log can not be written, nothing more is acknowledged"),
    };
    Failure { kind, last_words: last_words(meaning, failure) }
}

fn peers_failure(failure: &PeersError) -> Failure {
    let kind = match failure {
        PeersError::Listen { .. } => FailureKind::PeerPort,
        PeersError::Addresses(_) | PeersError::System(_) => FailureKind::Other,
    };
    Failure { kind, last_words: last_words("there is no way to the other servers", failure) }
}

/// What an operator reads last, with everything that led to it.
fn last_words(meaning: &str, failure: &dyn std::error::Error) -> String {
    let mut words = format!("{meaning}: {failure}");
    let mut cause = failure.source();
    while let Some(source) = cause {
        words = format!("{words}: {source}");
        cause = source.source();
    }
    words
}
