//! From a configuration to a running server.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use admin::{TraceMask, Whitelist};
use config::Config;
use mio::net::TcpListener;
use mio::{Poll, Registry};
use replica::access::{AccessOptions, DigestAlgorithm, Secret};
use replica::{
    ConnectionThrottleOptions, EnsembleOptions, FrontId, Frontend, FrontendOptions, Input,
    LONG_ANSWER_BYTES, LargeRequests, Outstanding, PrepareOptions, ReapOptions, Replica,
    RequestThrottleOptions, SNAPSHOT_PART_BYTES, SnapshotOptions, first_session,
};
use storage::{
    Compression, DataDir, Directories, Durability, EmptyDatabase, Log, LogOptions,
    MissingDirectory, Origin, RealDisk, RecoverOptions, Recovered, RecoveredMember,
    WithoutSnapshot, limits,
};
use tracing::{info, warn};
use tree::Tree;
use types::{LineLimit, SessionId, Sid};

use crate::clock::{Clock, wall_ms};
use crate::crew::Crew;
use crate::door::{self, Counts, Door, Handover};
use crate::helm::{Helm, Outlets};
use crate::inbox::Inbox;
use crate::io_thread::IoThread;
use crate::log_thread::{GroupOptions, LogThread};
use crate::member::ensemble_options;
use crate::operator::{Desk, Facts, Operator};
use crate::peers::errand::Errand;
use crate::peers::{self, Peers, PeersError, PeersThread};
use crate::server::{Failure, FailureKind, Shared};
use crate::snapshot_thread::{KeepOptions, Keeper, Receiver, SnapshotJob};
use crate::view::Views;

/// The id of a server that is alone.
const STANDALONE_SID: Sid = Sid(1);
/// I/O threads at most, unless configured; beyond that the replica is what limits.
const IO_THREADS_MAX: usize = 8;
/// I/O threads at most in any case.
const CONFIGURED_IO_THREADS_MAX: usize = 64;

/// Why a server did not start.
#[derive(thiserror::Error, Debug)]
pub enum StartError {
    /// The directories or what is in them.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The port for clients.
    #[error("can not listen on {address} for clients (clientPort)")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The connections to the other servers of the ensemble.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// Threads, or telling of events on sockets.
    #[error("the system does not provide what the server needs")]
    System(#[from] io::Error),
}

/// A server that was started.
pub(crate) struct Started {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) crew: Crew,
}

/// Recovers the database, opens the port and starts the threads.
pub(crate) fn start(config: &Config) -> Result<Started, StartError> {
    let clock = Clock::start();
    let seed = RandomState::new().build_hasher().finish();
    let data_dir = open_directories(config)?;
    let recovered = recover(&data_dir, config, seed)?;
    let log = data_dir.log(log_options(config), recovered.last_logged)?;
    let ensemble = match &config.ensemble {
        None => None,
        Some(ensemble) => Some(ensemble_options(config, ensemble, &data_dir, &recovered, seed)?),
    };
    let wanted = first_session(sid(config), wall_ms(), &recovered.tree);
    let first_session = data_dir.reserve_session_ids(wanted)?;
    let peers = peers_thread(config, clock)?;
    // The port is opened last: who can connect is served.
    let listener = listen(config)?;
    let address = match &listener {
        Some(listener) => Some(listener.local_addr()?),
        None => None,
    };
    let (recovery_ms, replayed) = (clock.instant().millis(), recovered.txns_replayed);
    let options = replica_options(config, seed, first_session, ensemble);
    let threads = Threads::new(config, clock, recovered, options)?;
    threads.views.metrics.dbinittime.record(recovery_ms);
    threads.views.metrics.startup_txns_loaded.record(replayed);
    let crew = threads.start(config, log, data_dir, listener, peers)?;
    if let Some(address) = address {
        info!(%address, "serving");
    }
    Ok(Started { address, crew })
}

/// Who this server is.
fn sid(config: &Config) -> Sid {
    config.ensemble.as_ref().map_or(STANDALONE_SID, |ensemble| ensemble.sid)
}

/// The connections of a member to the others.
fn peers_thread(config: &Config, clock: Clock) -> Result<Option<(Peers, PeersThread)>, PeersError> {
    let Some(ensemble) = &config.ensemble else { return Ok(None) };
    let (peers, thread) = PeersThread::new(peers::options::Options::new(config, ensemble), clock)?;
    let membership = Arc::new(ensemble.membership.clone());
    peers.run(&mut vec![Errand::Membership(membership)]);
    Ok(Some((peers, thread)))
}

fn open_directories(config: &Config) -> Result<DataDir<RealDisk>, storage::Error> {
    let directories = Directories {
        snapshots: config.storage.data_dir.clone(),
        logs: config.storage.data_log_dir.clone(),
    };
    let missing = if config.storage.autocreate_directories {
        MissingDirectory::Create
    } else {
        MissingDirectory::Refuse
    };
    DataDir::open(RealDisk, directories, missing)
}

fn recover(
    data_dir: &DataDir<RealDisk>,
    config: &Config,
    seed: u64,
) -> Result<Recovered, storage::Error> {
    let start = std::time::Instant::now();
    let options = recover_options(config, seed);
    let mut recovered = match &config.ensemble {
        None => data_dir.recover(&options)?,
        Some(_) => {
            let RecoveredMember { recovered, loss } = data_dir.recover_member(&options)?;
            if let Some(loss) = loss {
                warn!(%loss, "going on with what can be read, a leader has the rest");
            }
            recovered
        }
    };
    for (file, damage) in &recovered.unreadable_snapshots {
        warn!(file = %file.display(), %damage, "snapshot not readable, an older one was taken");
    }
    if let Some(trimmed) = &recovered.trimmed {
        warn!(file = %trimmed.file.display(), bytes = trimmed.bytes, damage = %trimmed.damage,
            "removed what an interrupted write had left at the end of the log");
    }
    if recovered.digest_mismatches > 0 {
        warn!(times = recovered.digest_mismatches, "the digest of the replayed tree differed");
    }
    if config.ensemble.is_none() {
        remove_dead_ephemerals(&mut recovered.tree);
    }
    info!(zxid = %recovered.last_logged, znodes = recovered.tree.node_count(),
        replayed = recovered.txns_replayed, took_ms = start.elapsed().as_millis(), "recovered");
    Ok(recovered)
}

/// Ends sessions that are over and have left something. The members of an ensemble change their trees
/// by transactions only, so that they stay equal.
fn remove_dead_ephemerals(tree: &mut Tree) {
    let dead: Vec<_> = tree.dead_ephemeral_owners().collect();
    for session in dead {
        info!(%session, "ephemerals of a session that is over are removed");
        tree.kill_session(session, &mut |_| {});
    }
}

fn tree_options(config: &Config, seed: u64) -> tree::Options {
    tree::Options {
        extended_types: config.sessions.extended_types,
        digest: config.storage.digest_enabled,
        hash_seed: seed,
    }
}

fn recover_options(config: &Config, seed: u64) -> RecoverOptions {
    RecoverOptions {
        tree: tree_options(config, seed),
        without_snapshot: match config.storage.trust_empty_snapshot {
            true => WithoutSnapshot::Replay,
            false => WithoutSnapshot::Refuse,
        },
        empty: match config.storage.autocreate_database {
            true => EmptyDatabase::Create,
            false => EmptyDatabase::RequireMarker,
        },
    }
}

fn log_options(config: &Config) -> LogOptions {
    let storage = &config.storage;
    let wished = usize::try_from(storage.preallocation_bytes).unwrap_or(usize::MAX);
    LogOptions {
        durability: if storage.force_sync { Durability::Synced } else { Durability::Unsynced },
        file_bytes_max: storage.log_size_limit_bytes,
        space_step_bytes: wished.min(limits::LOG_SPACE_STEP_BYTES),
    }
}

fn listen(config: &Config) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = config.listen.client_address else { return Ok(None) };
    let listener = door::listen(&config.listen, address)
        .map_err(|source| StartError::Listen { address, source })?;
    Ok(Some(listener))
}

fn access_options(config: &Config) -> AccessOptions {
    let access = &config.access;
    let algorithm = match access.digest_algorithm {
        config::DigestAlgorithm::Md5 => DigestAlgorithm::Md5,
        config::DigestAlgorithm::Sha1 => DigestAlgorithm::Sha1,
        config::DigestAlgorithm::Sha224 => DigestAlgorithm::Sha224,
        config::DigestAlgorithm::Sha256 => DigestAlgorithm::Sha256,
        config::DigestAlgorithm::Sha384 => DigestAlgorithm::Sha384,
        config::DigestAlgorithm::Sha512 => DigestAlgorithm::Sha512,
    };
    let names = access.ensemble_names.iter().map(|name| name.as_str().into());
    AccessOptions {
        skip_acl: access.skip_acl,
        digest: access.digest_enabled.then_some(algorithm),
        super_digest: access.super_digest.as_ref().map(|digest| Secret(digest.reveal().into())),
        ensemble_names: Some(names.collect()),
        required_schemes: access
            .enforced_schemes
            .iter()
            .flatten()
            .map(|scheme| scheme.as_str().into())
            .collect(),
    }
}

/// How many threads move bytes. Fewer than processors: a thread with many connections finds several
/// ready at a time, and the replica, the log and the kernel's network need room too.
fn io_threads(config: &Config) -> usize {
    if let Some(configured) = config.limits.io_threads {
        return usize::try_from(configured)
            .map_or(CONFIGURED_IO_THREADS_MAX, |count| count.min(CONFIGURED_IO_THREADS_MAX));
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, IO_THREADS_MAX)
}

fn replica_options(
    config: &Config,
    seed: u64,
    first_session: SessionId,
    ensemble: Option<EnsembleOptions>,
) -> replica::Options {
    let sessions = &config.sessions;
    let per_minute = u32::try_from(config.reaping.per_minute_max.max(1)).unwrap_or(u32::MAX);
    let never_used = config.reaping.never_used_after;
    replica::Options {
        sid: sid(config),
        tick: sessions.tick,
        session_timeouts: sessions.timeout_min..=sessions.timeout_max,
        access: access_options(config),
        prepare: PrepareOptions {
            extended_types: sessions.extended_types,
            enforce_quota: config.access.enforce_quota,
            reconfig_enabled: config.access.reconfig_enabled,
        },
        close_session_paths: sessions.log_deletions_on_close,
        snapshot: SnapshotOptions {
            txns: config.storage.snap_count,
            log_bytes: config.storage.snap_size_limit_bytes,
            part_bytes: SNAPSHOT_PART_BYTES,
        },
        reap: ReapOptions {
            interval: config.reaping.check_interval,
            pause: Duration::from_secs(60) / per_minute,
            never_used_max_ms: never_used
                .map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
        },
        connection_throttle: config.throttle.connections.map(connection_throttle),
        request_throttle: request_throttle(&config.throttle),
        fronts: io_threads(config),
        first_session,
        seed,
        ensemble,
    }
}

fn connection_throttle(throttle: config::ConnectionThrottle) -> ConnectionThrottleOptions {
    ConnectionThrottleOptions {
        tokens: throttle.tokens,
        fill_time: throttle.fill_time,
        fill_count: throttle.fill_count,
        freeze_time: throttle.freeze_time,
        drop_increase: throttle.drop_increase,
        drop_decrease: throttle.drop_decrease,
        decrease_ratio: throttle.decrease_ratio,
        new_session_tokens: throttle.weights.global,
        resumed_session_tokens: throttle.weights.renew,
    }
}

fn request_throttle(throttle: &config::Throttle) -> RequestThrottleOptions {
    RequestThrottleOptions {
        requests_max: throttle.requests_max,
        drop_of_closed_connections: throttle.drop_stale && throttle.closed_connection_makes_stale,
        drop_after_session_timeout: throttle.drop_stale && throttle.latency_makes_stale,
        refuse_after: throttle.refuse_after,
    }
}

/// The parts of a server before its threads run.
struct Threads {
    clock: Clock,
    seed: u64,
    replica: Replica,
    frontends: Vec<(Frontend, Poll, Arc<Handover>)>,
    counts: Arc<Counts>,
    views: Arc<Views>,
    /// A snapshot is due: the log is long, or there is no snapshot at all.
    wants_snapshot: bool,
}

impl Threads {
    fn new(
        config: &Config,
        clock: Clock,
        recovered: Recovered,
        options: replica::Options,
    ) -> Result<Self, StartError> {
        let wants_snapshot = recovered.txns_replayed > 0 || recovered.origin == Origin::Logs;
        let (fronts, seed) = (options.fronts, options.seed);
        let access = options.access.clone();
        let replica = Replica::new(options, recovered.tree, clock.now());
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
        let views = Arc::new(Views::new(stats, replica.stats(), outstanding));
        Ok(Self { clock, seed, replica, frontends, counts, views, wants_snapshot })
    }

    fn start(
        self,
        config: &Config,
        log: Log<RealDisk>,
        data_dir: DataDir<RealDisk>,
        listener: Option<TcpListener>,
        peers: Option<(Peers, PeersThread)>,
    ) -> Result<Crew, StartError> {
        let Self { clock, seed, replica, frontends, counts, views, wants_snapshot } = self;
        let data_dir = Arc::new(data_dir);
        let (peers, peers_thread) = peers.unzip();
        let handovers: Vec<_> = frontends.iter().map(|(.., it)| Arc::clone(it)).collect();
        let desk = Arc::new(Desk::default());
        let (log_jobs, snapshot_jobs) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
        let tree = replica.tree_view();
        let outlets = Outlets {
            log: Arc::clone(&log_jobs),
            snapshots: Arc::clone(&snapshot_jobs),
            handovers: handovers.clone(),
            desk: Arc::clone(&desk),
            peers: peers.clone(),
        };
        let shared = Arc::new(Shared::new(Helm::new(replica, clock, outlets)));
        let port = listener.as_ref().and_then(|it| it.local_addr().ok()).map(|it| it.port());
        let operator = Operator {
            desk: Arc::clone(&desk),
            facts: Facts::new(config, data_dir.directories(), port),
            views: Arc::clone(&views),
            tree,
            shared: Arc::clone(&shared),
            threads: handovers.clone(),
            clock,
            handshake_timeout: config.sessions.handshake_timeout,
            trace_mask: TraceMask::default(),
        };
        let keep_options = keep_options(config);
        let mut keeper = Keeper {
            data_dir: Arc::clone(&data_dir),
            options: keep_options,
            clock,
            views: Arc::clone(&views),
            receiver: peers.map(|peers| {
                let tree_options = tree_options(config, seed);
                Receiver::new(keep_options.compression, tree_options, Arc::clone(&log_jobs), peers)
            }),
        };
        let log_thread = LogThread {
            data_dir,
            options: group_options(config),
            recover: recover_options(config, seed),
            views: Arc::clone(&views),
        };
        let door = listener.map(|listener| {
            Door::new(listener, handovers, config.limits.clone(), counts, Arc::clone(&views))
        });

        let mut crew = Crew::new(shared);
        crew.spawn("operator", move |_| {
            operator.run();
            Ok(())
        })?;
        let received_parts = Arc::clone(&snapshot_jobs);
        crew.spawn("snapshots", move |shared| {
            keeper.run(&snapshot_jobs, &shared.helm);
            Ok(())
        })?;
        crew.spawn("log", move |shared| {
            log_thread.run(log, &log_jobs, &shared.helm).map_err(|failure| log_failure(&failure))
        })?;
        if let Some(peers_thread) = peers_thread {
            crew.spawn("peers", move |shared| {
                let deliver = |news: &mut _| shared.helm.tell_of_peers(news);
                let receive = |part| received_parts.put(SnapshotJob::Receive(part));
                peers_thread.run(deliver, receive).map_err(|failure| peers_failure(&failure))
            })?;
        }
        if wants_snapshot {
            crew.shared().helm.leave(&mut vec![Input::TakeSnapshot]);
        }
        crew.spawn("replica", |shared| {
            shared.helm.keep_watch();
            Ok(())
        })?;
        // Whoever comes in meets everybody else at work.
        crew.start_io_threads(config, clock, frontends, door, &views, &desk)?;
        Ok(crew)
    }
}

impl Crew {
    /// Starts the threads of the connections; the first one has the door.
    fn start_io_threads(
        &mut self,
        config: &Config,
        clock: Clock,
        frontends: Vec<(Frontend, Poll, Arc<Handover>)>,
        mut door: Option<Door>,
        views: &Arc<Views>,
        desk: &Arc<Desk>,
    ) -> io::Result<()> {
        let unwatched = Arc::new(LineLimit::default());
        for (number, (frontend, poll, handover)) in frontends.into_iter().enumerate() {
            let io_thread = IoThread {
                frontend,
                door: registered(door.take(), poll.registry())?,
                poll,
                handover,
                shared: Arc::clone(self.shared()),
                desk: Arc::clone(desk),
                whitelist: whitelist(&config.operator),
                views: Arc::clone(views),
                clock,
                handshake_timeout: config.sessions.handshake_timeout,
                unwatched: Arc::clone(&unwatched),
            };
            self.spawn(format!("io-{number}"), move |_| {
                io_thread.run().map_err(|failure| format!("an I/O thread failed: {failure}").into())
            })?;
        }
        Ok(())
    }
}

fn registered(door: Option<Door>, registry: &Registry) -> io::Result<Option<Door>> {
    let Some(mut door) = door else { return Ok(None) };
    door.register(registry)?;
    Ok(Some(door))
}

fn whitelist(operator: &config::Operator) -> Whitelist {
    let names = operator.four_letter_whitelist.iter().map(String::as_str);
    Whitelist::new(names, operator.read_only_mode)
}

fn group_options(config: &Config) -> GroupOptions {
    let storage = &config.storage;
    GroupOptions {
        delay: storage.flush_delay,
        poll: storage.write_queue_poll_time_max,
        txns_max: usize::try_from(storage.batch_size_max).unwrap_or(usize::MAX),
        slow: storage.fsync_warning_threshold,
    }
}

fn keep_options(config: &Config) -> KeepOptions {
    let storage = &config.storage;
    KeepOptions {
        compression: match storage.compression {
            config::Compression::None => Compression::None,
            config::Compression::Gzip => Compression::Gzip,
            config::Compression::Snappy => Compression::Snappy,
        },
        with_last_zxid: storage.serialize_last_processed_zxid,
        purge: storage.autopurge.map(|purge| {
            (purge.interval, usize::try_from(purge.retain_count).unwrap_or(usize::MAX))
        }),
    }
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use mio::unix::SourceFd;
    use mio::{Interest, Token};

    use super::*;
    use crate::fixture::Site;

    #[test]
    fn a_start_that_fails_halfway_leaves_nothing_running() {
        let Site { config, .. } = &Site::new();
        let data_dir = open_directories(config).expect("a directory");
        let recovered = recover(&data_dir, config, 1).expect("an empty database");
        let log = data_dir.log(log_options(config), recovered.last_logged).expect("a log");
        let listener = listen(config).expect("a port").expect("configured");
        let options = replica_options(config, 1, SessionId(1), None);
        let threads = Threads::new(config, Clock::start(), recovered, options).expect("the parts");
        // The system refuses to tell of a listener twice.
        let (_, poll, _) = &threads.frontends[0];
        let again = &mut SourceFd(&listener.as_raw_fd());
        poll.registry().register(again, Token(0), Interest::READABLE).expect("once");

        let failure = threads.start(config, log, data_dir, Some(listener), None);
        assert!(matches!(failure, Err(StartError::System(_))), "{failure:?}");
        start(config).expect("the directory is free");
    }
}
